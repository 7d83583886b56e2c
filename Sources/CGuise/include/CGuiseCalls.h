// File calls that the C library does not have, or has since lately.
#ifndef CGUISE_CALLS_H
#define CGUISE_CALLS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// name_to_handle_at(2): its flags, and the most bytes of a handle (MAX_HANDLE_SZ).
static const int32_t GUISE_AT_SYMLINK_FOLLOW = 0x400;
static const int32_t GUISE_AT_HANDLE_FID = 0x200;
static const int32_t GUISE_AT_HANDLE_CONNECTABLE = 2;
static const int32_t GUISE_AT_HANDLE_MNT_ID_UNIQUE = 1;
#define GUISE_LARGEST_HANDLE 128

// fanotify_init(2): what of a group's flags tells how it was made, and which of them a group may have that reports file
// handles and no descriptors.
static const uint32_t GUISE_FAN_CLOEXEC = 0x1;
static const uint32_t GUISE_FAN_NONBLOCK = 0x2;
static const uint32_t GUISE_FAN_REPORT_HANDLES = 0x200 | 0x400 | 0x800 | 0x1000;
// fanotify_mark(2)
static const uint32_t GUISE_FAN_MARK_DONT_FOLLOW = 0x4;
static const uint32_t GUISE_FAN_MARK_MOUNT = 0x10;
static const uint32_t GUISE_FAN_MARK_FLUSH = 0x80;
static const uint32_t GUISE_FAN_MARK_FILESYSTEM = 0x100;

// struct file_attr of file_getattr(2), Linux 6.17.
struct guise_file_attributes {
    uint64_t flags;
    uint32_t extent_size, extent_count, project, cow_extent_size;
};
// FS_XFLAG_SYNC, _NOATIME, _NODUMP; _IMMUTABLE and _APPEND, which take a capability
static const uint64_t GUISE_FILE_FLAGS_OF_OWNERS = 0x20 | 0x40 | 0x80;
static const uint64_t GUISE_FILE_FLAGS_OF_ROOT = 0x8 | 0x10;

// As the system calls, -1 and errno, for what the path leads to.
int guise_file_handle(const char *path, int flags, void *handle, void *mount);
// path: NULL with GUISE_FAN_MARK_FLUSH alone.
int guise_fanotify_mark(int group, uint32_t flags, uint64_t mask, const char *path);
int guise_file_attributes_get(const char *path, struct guise_file_attributes *out);
// Never by CAP_LINUX_IMMUTABLE.
int guise_file_attributes_set(const char *path, const struct guise_file_attributes *attributes);

// Whether the kernel has getxattrat(2) and its like, Linux 6.13.
bool guise_has_xattr_at(void);
// Whether it has file_getattr(2) and file_setattr(2).
bool guise_has_file_attributes(void);
#endif
