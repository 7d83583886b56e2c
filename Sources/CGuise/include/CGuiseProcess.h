// Other processes: descriptors of them, their memory, and opening files.
#ifndef CGUISE_PROCESS_H
#define CGUISE_PROCESS_H
#include <linux/openat2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

int guise_pidfd_open(int32_t pid, bool thread);          // thread: PIDFD_THREAD, Linux 6.9
int guise_pidfd_getfd(int pidfd, int descriptor);
// True once the process or thread of the pidfd has ended.
bool guise_pidfd_has_ended(int pidfd);
// A number that no other process has until the machine restarts (inode of pidfs, Linux 6.9), 0 on failure.
uint64_t guise_pidfd_identity(int pidfd);

// Copies memory of another process. Stops at the first page that is not there; returns the bytes copied.
ssize_t guise_memory_read(int32_t tid, uint64_t address, void *out, size_t length);
// Copies a C string of at most `capacity` bytes with its terminator; returns its length without it,
// -EFAULT, or -ENAMETOOLONG.
ssize_t guise_memory_read_string(int32_t tid, uint64_t address, char *out, size_t capacity);
ssize_t guise_memory_write(int32_t tid, uint64_t address, const void *bytes, size_t length);

int guise_openat2(int directory, const char *path, const struct open_how *how);
// Opens what a descriptor stands for, O_PATH included, once more.
int guise_reopen(int descriptor, const struct open_how *how);
int guise_stat(int directory, const char *path, int flags, struct statx *out);
// The mount that guise_stat found it in, by a number that no other has until the machine restarts
// (STATX_MNT_ID_UNIQUE, Linux 6.8); 0: not known.
uint64_t guise_stat_mount(const struct statx *status);
void guise_stat_forget_mount(struct statx *status);
// What stat(2) says instead.
void guise_stat_convert(const struct statx *from, struct stat *to);
// The extended attribute of whatever the descriptor stands for, O_PATH included. -ENODATA: none.
ssize_t guise_xattr_get(int descriptor, const char *name, void *out, size_t capacity);
// The same, quicker for a descriptor that was opened with O_PATH and slower for any other.
ssize_t guise_xattr_get_path(int descriptor, const char *name, void *out, size_t capacity);
// The same of whatever the path stands for, a link itself. -ENOSYS before Linux 6.13.
ssize_t guise_xattr_get_at(int directory, const char *path, const char *name, void *out, size_t capacity);
// is_new: -EEXIST where there is one already.
int guise_xattr_set(int descriptor, const char *name, const void *bytes, size_t length, bool is_new);

// Lets a process look into this one where the Yama security module asks to be told (PR_SET_PTRACER). Nothing to be done
// where there is no such module.
void guise_allow_tracer(int32_t pid);
// Keeps what is in memory out of cores, of this process and of its children, also of those that a program takes.
int guise_refuse_cores(void);
// Lets no process of the same user look into this one (PR_SET_DUMPABLE).
int guise_refuse_tracers(void);

int guise_memfd_sealed(const char *name, size_t size);   // of this size for ever, F_SEAL_SHRINK | F_SEAL_GROW
bool guise_is_procfs(int descriptor);
bool guise_is_pidfs(int descriptor);
// Whether what is open (O_PATH will do) lies in ext4, XFS, Btrfs or tmpfs, by its mount (statmount(2), Linux 6.8): the file
// system itself is not asked, which somebody may serve who does not answer. A failure to tell counts as no.
bool guise_is_of_this_machine(int descriptor);
int guise_duplicate(int descriptor);                     // close-on-exec
// Takes O_NONBLOCK away from a descriptor that was opened with `flags`.
int guise_clear_nonblocking(int descriptor, uint64_t flags);
int guise_statx(int directory, const char *path, int flags, unsigned mask, struct statx *out);
// As the system calls: -1 and errno.
int guise_faccessat2(int directory, const char *path, int mode, int flags);
int guise_renameat2(int from, const char *old, int to, const char *new_name, unsigned flags);
int guise_set_times(const char *path, const struct timespec *times);
int guise_errno(void);
// The first bytes of a file, by one read.
ssize_t guise_file_read(const char *path, void *out, size_t capacity);
int32_t guise_gettid(void);
int guise_tgkill(int32_t pid, int32_t tid, int signal);
// Signals the process or thread of a pidfd in the name of a sender: SI_QUEUE, as the kernel lets no sender name another
// one otherwise. 0 or a negative errno value.
int guise_pidfd_signal(int pidfd, int signal, int32_t pid, uint32_t uid);
#endif
