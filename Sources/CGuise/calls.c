#define _GNU_SOURCE
#include "CGuiseCalls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NR_getxattrat = 464, NR_file_getattr = 468, NR_file_setattr = 469 };

int guise_file_handle(const char *path, int flags, void *handle, void *mount) {
    return (int)syscall(SYS_name_to_handle_at, AT_FDCWD, path, handle, mount, flags | GUISE_AT_SYMLINK_FOLLOW);
}

int guise_fanotify_mark(int group, uint32_t flags, uint64_t mask, const char *path) {
    return (int)syscall(SYS_fanotify_mark, group, flags, mask, AT_FDCWD, path);
}

int guise_file_attributes_get(const char *path, struct guise_file_attributes *out) {
    return (int)syscall(NR_file_getattr, AT_FDCWD, path, out, sizeof *out, 0);
}

static int set_attributes(const char *path, const struct guise_file_attributes *attributes) {
    return (int)syscall(NR_file_setattr, AT_FDCWD, path, attributes, sizeof *attributes, 0);
}

int guise_file_attributes_set(const char *path, const struct guise_file_attributes *attributes) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct held[2];
    // By system calls: they are about the calling thread alone.
    if (syscall(SYS_capget, &header, held) < 0) return -1;
    uint32_t bit = CAP_TO_MASK(CAP_LINUX_IMMUTABLE);
    if (!(held[CAP_TO_INDEX(CAP_LINUX_IMMUTABLE)].effective & bit)) return set_attributes(path, attributes);
    struct __user_cap_data_struct less[2] = {held[0], held[1]};
    less[CAP_TO_INDEX(CAP_LINUX_IMMUTABLE)].effective &= ~bit;
    if (syscall(SYS_capset, &header, less) < 0) return -1;
    int done = set_attributes(path, attributes);
    int error = errno;
    // A thread that had lost it would refuse later what it may do.
    if (syscall(SYS_capset, &header, held) < 0) abort();
    errno = error;
    return done;
}

bool guise_has_xattr_at(void) {
    return syscall(NR_getxattrat, -1, NULL, 0, NULL, NULL, 0) >= 0 || errno != ENOSYS;
}

bool guise_has_file_attributes(void) {
    return syscall(NR_file_getattr, -1, NULL, NULL, 0, 0) >= 0 || errno != ENOSYS;
}
