#define _GNU_SOURCE
#include "CGuiseProcess.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#define PAGE 4096u
#define SHORT 256u

int guise_pidfd_open(int32_t pid, bool thread) {
    long fd = syscall(SYS_pidfd_open, pid, thread ? PIDFD_THREAD : 0);
    return fd < 0 ? -errno : (int)fd;
}

int guise_pidfd_getfd(int pidfd, int descriptor) {
    long fd = syscall(SYS_pidfd_getfd, pidfd, descriptor, 0);
    return fd < 0 ? -errno : (int)fd;
}

bool guise_pidfd_has_ended(int pidfd) {
    struct pollfd one = {.fd = pidfd, .events = POLLIN};
    // An error counts as ended: a task nobody can ask about is not trusted.
    return poll(&one, 1, 0) != 0;
}

uint64_t guise_pidfd_identity(int pidfd) {
    struct stat status;
    return fstat(pidfd, &status) == 0 ? (uint64_t)status.st_ino : 0;
}

ssize_t guise_memory_read(int32_t tid, uint64_t address, void *out, size_t length) {
    // One range per page, because a range that ends in a missing page may be dropped whole.
    struct iovec remote[18];
    size_t count = 0, done = 0;
    while (done < length && count < sizeof remote / sizeof *remote) {
        uint64_t at = address + done;
        size_t step = PAGE - (at & (PAGE - 1));
        if (step > length - done) step = length - done;
        remote[count].iov_base = (void *)(uintptr_t)at;
        remote[count++].iov_len = step;
        done += step;
    }
    struct iovec local = {.iov_base = out, .iov_len = done};
    ssize_t got = process_vm_readv(tid, &local, 1, remote, count, 0);
    return got < 0 ? -errno : got;
}

ssize_t guise_memory_read_string(int32_t tid, uint64_t address, char *out, size_t capacity) {
    // Most strings are short, and a read that stays within one page costs half of one that does not. One that comes
    // to the end of its page goes on in the next.
    size_t first = PAGE - (address & (PAGE - 1));
    if (first > SHORT || first < SHORT / 4) first = SHORT;
    if (first > capacity) first = capacity;
    ssize_t got = guise_memory_read(tid, address, out, first);
    if (got < 0) return got;
    char *end = memchr(out, 0, (size_t)got);
    if (end) return end - out;
    got = guise_memory_read(tid, address, out, capacity);
    if (got < 0) return got;
    end = memchr(out, 0, (size_t)got);
    if (end) return end - out;
    return (size_t)got == capacity ? -ENAMETOOLONG : -EFAULT;
}

ssize_t guise_memory_write(int32_t tid, uint64_t address, const void *bytes, size_t length) {
    struct iovec local = {.iov_base = (void *)bytes, .iov_len = length};
    struct iovec remote = {.iov_base = (void *)(uintptr_t)address, .iov_len = length};
    ssize_t put = process_vm_writev(tid, &local, 1, &remote, 1, 0);
    return put < 0 ? -errno : put;
}

int guise_openat2(int directory, const char *path, const struct open_how *how) {
    long fd = syscall(SYS_openat2, directory, path, how, sizeof *how);
    return fd < 0 ? -errno : (int)fd;
}

// linux/stat.h of Linux 6.8; the C library's structure may name neither this nor the field.
enum { STATX_MOUNT = 0x4000, STATX_MOUNT_OFFSET = 0x90 };

int guise_stat(int directory, const char *path, int flags, struct statx *out) {
    return statx(directory, path, flags, STATX_BASIC_STATS | STATX_MOUNT, out) < 0 ? -errno : 0;
}

uint64_t guise_stat_mount(const struct statx *status) {
    uint64_t mount = 0;
    if (status->stx_mask & STATX_MOUNT) memcpy(&mount, (const char *)status + STATX_MOUNT_OFFSET, sizeof mount);
    return mount;
}

void guise_stat_forget_mount(struct statx *status) {
    status->stx_mask &= ~(uint32_t)STATX_MOUNT;
    memset((char *)status + STATX_MOUNT_OFFSET, 0, sizeof(uint64_t));
}

// /proc/self/fd, open for as long as the process runs: from there a descriptor is found at three quarters of what
// the whole path costs.
static int own_descriptors(void) {
    static int kept = -1;
    int known = __atomic_load_n(&kept, __ATOMIC_ACQUIRE);
    if (known >= 0) return known;
    int opened = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC), nobody = -1;
    if (opened < 0 || __atomic_compare_exchange_n(&kept, &nobody, opened, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return opened;
    close(opened);
    return nobody;
}

// The name of a descriptor in /proc/self/fd; there, an O_PATH descriptor takes calls that want an open file.
struct own_name { char text[12]; };

static struct own_name own_name(int descriptor) {
    struct own_name name;
    snprintf(name.text, sizeof name.text, "%d", descriptor);
    return name;
}

int guise_reopen(int descriptor, const struct open_how *how) {
    int all = own_descriptors();
    return all < 0 ? -errno : guise_openat2(all, own_name(descriptor).text, how);
}

static long get_at(int directory, const char *path, int flags, const char *name, void *out, size_t capacity) {
    struct { uint64_t value; uint32_t size, flags; } arguments = {(uintptr_t)out, (uint32_t)capacity, 0};
    return syscall(464 /* getxattrat */, directory, path, flags, name, &arguments, sizeof arguments);
}

static void proc_path(char *out, size_t size, int descriptor) {
    snprintf(out, size, "/proc/self/fd/%d", descriptor);
}

ssize_t guise_xattr_get(int descriptor, const char *name, void *out, size_t capacity) {
    ssize_t got = fgetxattr(descriptor, name, out, capacity);
    return got < 0 && errno == EBADF ? guise_xattr_get_path(descriptor, name, out, capacity)
           : got < 0                 ? -errno
                                     : got;
}

ssize_t guise_xattr_get_path(int descriptor, const char *name, void *out, size_t capacity) {
    int all = own_descriptors();
    ssize_t got = all < 0 ? -1 : get_at(all, own_name(descriptor).text, 0, name, out, capacity);
    if (all < 0 || (got < 0 && errno == ENOSYS)) {
        char path[40];
        proc_path(path, sizeof path, descriptor);
        got = getxattr(path, name, out, capacity);
    }
    return got < 0 ? -errno : got;
}

ssize_t guise_xattr_get_at(int directory, const char *path, const char *name, void *out, size_t capacity) {
    long got = get_at(directory, path, AT_SYMLINK_NOFOLLOW, name, out, capacity);
    return got < 0 ? -errno : got;
}

int guise_xattr_set(int descriptor, const char *name, const void *bytes, size_t length, bool is_new) {
    int flags = is_new ? XATTR_CREATE : 0;
    int done = fsetxattr(descriptor, name, bytes, length, flags);
    if (done < 0 && errno == EBADF) {
        char path[40];
        proc_path(path, sizeof path, descriptor);
        done = setxattr(path, name, bytes, length, flags);
    }
    return done < 0 ? -errno : 0;
}

void guise_stat_convert(const struct statx *from, struct stat *to) {
    *to = (struct stat){
        .st_dev = makedev(from->stx_dev_major, from->stx_dev_minor),
        .st_ino = from->stx_ino,
        .st_mode = from->stx_mode,
        .st_nlink = from->stx_nlink,
        .st_uid = from->stx_uid,
        .st_gid = from->stx_gid,
        .st_rdev = makedev(from->stx_rdev_major, from->stx_rdev_minor),
        .st_size = (off_t)from->stx_size,
        .st_blksize = (blksize_t)from->stx_blksize,
        .st_blocks = (blkcnt_t)from->stx_blocks,
        .st_atim = {from->stx_atime.tv_sec, from->stx_atime.tv_nsec},
        .st_mtim = {from->stx_mtime.tv_sec, from->stx_mtime.tv_nsec},
        .st_ctim = {from->stx_ctime.tv_sec, from->stx_ctime.tv_nsec},
    };
}

int guise_memfd_sealed(const char *name, size_t size) {
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -errno;
    if (ftruncate(fd, (off_t)size) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int32_t guise_gettid(void) { return (int32_t)syscall(SYS_gettid); }

int guise_tgkill(int32_t pid, int32_t tid, int signal) {
    return syscall(SYS_tgkill, pid, tid, signal) < 0 ? -errno : 0;
}

bool guise_is_procfs(int descriptor) {
    struct statfs status;
    return fstatfs(descriptor, &status) == 0 && status.f_type == 0x9fa0;  // PROC_SUPER_MAGIC
}

int guise_duplicate(int descriptor) {
    int again = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    return again < 0 ? -errno : again;
}

int guise_clear_nonblocking(int descriptor, uint64_t flags) {
    return fcntl(descriptor, F_SETFL, (int)flags & ~O_NONBLOCK) < 0 ? -errno : 0;
}

int guise_errno(void) { return errno; }

ssize_t guise_file_read(const char *path, void *out, size_t capacity) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -errno;
    ssize_t got = read(fd, out, capacity);
    int error = errno;
    close(fd);
    return got < 0 ? -error : got;
}

int guise_statx(int directory, const char *path, int flags, unsigned mask, struct statx *out) {
    return statx(directory, path, flags, mask, out);
}

bool guise_is_pidfs(int descriptor) {
    struct statfs status;
    return fstatfs(descriptor, &status) == 0 && status.f_type == 0x50494446;  // PID_FS_MAGIC
}

bool guise_is_of_this_machine(int descriptor) {
    // statx without a bit of status and without synchronizing asks nobody but the kernel.
    struct statx status;
    if (statx(descriptor, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MOUNT, &status) < 0) return false;
    struct { uint32_t size, spare; uint64_t mount, wanted; } request = {
        .size = sizeof request, .mount = guise_stat_mount(&status), .wanted = 1 /* STATMOUNT_SB_BASIC */};
    struct { uint32_t size, options; uint64_t known; uint32_t major, minor; uint64_t magic; uint8_t rest[512]; } found;
    if (request.mount == 0 || syscall(457 /* statmount */, &request, &found, sizeof found, 0) < 0 ||
        !(found.known & 1))
        return false;
    switch (found.magic) {
    case 0xEF53: case 0x58465342: case 0x9123683E: case 0x01021994: return true;
    default: return false;
    }
}

int guise_pidfd_signal(int pidfd, int signal, int32_t pid, uint32_t uid) {
    siginfo_t info = {.si_signo = signal, .si_code = SI_QUEUE};
    info.si_pid = pid;
    info.si_uid = uid;
    return syscall(SYS_pidfd_send_signal, pidfd, signal, &info, 0) < 0 ? -errno : 0;
}

int guise_faccessat2(int directory, const char *path, int mode, int flags) {
    return (int)syscall(SYS_faccessat2, directory, path, mode, flags);
}

int guise_renameat2(int from, const char *old, int to, const char *new_name, unsigned flags) {
    return (int)syscall(SYS_renameat2, from, old, to, new_name, flags);
}

int guise_set_times(const char *path, const struct timespec *times) {
    return utimensat(AT_FDCWD, path, times, 0);
}

void guise_allow_tracer(int32_t pid) { prctl(PR_SET_PTRACER, (unsigned long)pid, 0, 0, 0); }

int guise_refuse_cores(void) {
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) < 0) return -errno;
    // A program that the kernel pipes cores to is not held to the limit.
    int fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? 0 : -errno;
    int error = write(fd, "0", 1) == 1 ? 0 : -errno;
    close(fd);
    return error;
}

int guise_refuse_tracers(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0; }
