#define _GNU_SOURCE
#include "CGuiseFilter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "the filter is written for x86-64 and arm64"
#endif

// System calls younger than the headers of the machine that builds this; the numbers are the same everywhere.
enum {
    NR_fchmodat2 = 452, NR_statmount = 457, NR_listmount = 458, NR_setxattrat = 463, NR_getxattrat = 464,
    NR_listxattrat = 465, NR_removexattrat = 466, NR_open_tree_attr = 467, NR_file_getattr = 468,
    NR_file_setattr = 469, NR_last_known = 469,
};

struct call { int32_t number; const char *name; };

// Waits for the mediator: whatever takes a path, asks for access to an object with the caller's identity,
// or shows that identity to others.
static const struct call notified[] = {
    {SYS_openat, "openat"}, {SYS_openat2, "openat2"},
#ifdef SYS_open
    {SYS_open, "open"}, {SYS_creat, "creat"}, {SYS_stat, "stat"}, {SYS_lstat, "lstat"},
    {SYS_access, "access"}, {SYS_readlink, "readlink"}, {SYS_unlink, "unlink"}, {SYS_rename, "rename"},
    {SYS_mkdir, "mkdir"}, {SYS_rmdir, "rmdir"}, {SYS_link, "link"}, {SYS_symlink, "symlink"},
    {SYS_mknod, "mknod"}, {SYS_chmod, "chmod"}, {SYS_chown, "chown"}, {SYS_lchown, "lchown"},
    {SYS_utime, "utime"}, {SYS_utimes, "utimes"}, {SYS_futimesat, "futimesat"}, {SYS_uselib, "uselib"},
    {SYS_ustat, "ustat"},
#endif
#ifdef SYS_renameat
    {SYS_renameat, "renameat"},
#endif
    {SYS_newfstatat, "newfstatat"}, {SYS_statx, "statx"}, {SYS_faccessat, "faccessat"},
    {SYS_faccessat2, "faccessat2"}, {SYS_readlinkat, "readlinkat"}, {SYS_unlinkat, "unlinkat"},
    {SYS_renameat2, "renameat2"}, {SYS_mkdirat, "mkdirat"}, {SYS_linkat, "linkat"},
    {SYS_symlinkat, "symlinkat"}, {SYS_mknodat, "mknodat"}, {SYS_fchmod, "fchmod"},
    {SYS_fchmodat, "fchmodat"}, {NR_fchmodat2, "fchmodat2"}, {SYS_fchown, "fchown"},
    {SYS_fchownat, "fchownat"}, {SYS_utimensat, "utimensat"}, {SYS_truncate, "truncate"},
    {SYS_statfs, "statfs"}, {SYS_chdir, "chdir"}, {SYS_fchdir, "fchdir"}, {SYS_getcwd, "getcwd"},
    {SYS_chroot, "chroot"},
    {SYS_setxattr, "setxattr"}, {SYS_lsetxattr, "lsetxattr"}, {SYS_fsetxattr, "fsetxattr"},
    {NR_setxattrat, "setxattrat"}, {SYS_getxattr, "getxattr"}, {SYS_lgetxattr, "lgetxattr"},
    {SYS_fgetxattr, "fgetxattr"}, {NR_getxattrat, "getxattrat"}, {SYS_listxattr, "listxattr"},
    {SYS_llistxattr, "llistxattr"}, {SYS_flistxattr, "flistxattr"}, {NR_listxattrat, "listxattrat"},
    {SYS_removexattr, "removexattr"}, {SYS_lremovexattr, "lremovexattr"},
    {SYS_fremovexattr, "fremovexattr"}, {NR_removexattrat, "removexattrat"},
    {NR_file_getattr, "file_getattr"}, {NR_file_setattr, "file_setattr"},
    {SYS_inotify_add_watch, "inotify_add_watch"}, {SYS_fanotify_mark, "fanotify_mark"},
    {SYS_name_to_handle_at, "name_to_handle_at"}, {SYS_open_by_handle_at, "open_by_handle_at"},
    {SYS_execve, "execve"}, {SYS_execveat, "execveat"}, {SYS_connect, "connect"}, {SYS_bind, "bind"},
    {SYS_sendmsg, "sendmsg"}, {SYS_sendmmsg, "sendmmsg"}, {SYS_mq_open, "mq_open"},
    {SYS_mq_unlink, "mq_unlink"}, {SYS_msgget, "msgget"}, {SYS_msgctl, "msgctl"}, {SYS_msgsnd, "msgsnd"},
    {SYS_msgrcv, "msgrcv"}, {SYS_semop, "semop"}, {SYS_semtimedop, "semtimedop"}, {SYS_semget, "semget"},
    {SYS_semctl, "semctl"}, {SYS_shmget, "shmget"}, {SYS_shmat, "shmat"}, {SYS_shmctl, "shmctl"},
    {SYS_add_key, "add_key"}, {SYS_request_key, "request_key"}, {SYS_keyctl, "keyctl"},
    {SYS_kill, "kill"}, {SYS_tkill, "tkill"}, {SYS_tgkill, "tgkill"},
    {SYS_rt_sigqueueinfo, "rt_sigqueueinfo"}, {SYS_rt_tgsigqueueinfo, "rt_tgsigqueueinfo"},
    {SYS_pidfd_send_signal, "pidfd_send_signal"}, {SYS_setuid, "setuid"}, {SYS_setgid, "setgid"},
    {SYS_setreuid, "setreuid"}, {SYS_setregid, "setregid"}, {SYS_setresuid, "setresuid"},
    {SYS_setresgid, "setresgid"}, {SYS_setfsuid, "setfsuid"}, {SYS_setfsgid, "setfsgid"},
    {SYS_setgroups, "setgroups"}, {SYS_capset, "capset"}, {SYS_migrate_pages, "migrate_pages"},
    {SYS_move_pages, "move_pages"}, {SYS_process_madvise, "process_madvise"},
    {SYS_setpriority, "setpriority"}, {SYS_ioprio_set, "ioprio_set"}, {SYS_quotactl, "quotactl"},
    {NR_statmount, "statmount"}, {NR_listmount, "listmount"},
    // Notified for some arguments only: see guise_filter_install.
    {SYS_sendto, "sendto"}, {SYS_prlimit64, "prlimit64"}, {SYS_ioctl, "ioctl"}, {SYS_clone, "clone"},
    {SYS_unshare, "unshare"},
};

// Refused whoever asks: a way around the mediator, or a right that no service under it has.
static const int32_t refused[] = {
    SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register, SYS_seccomp, SYS_ptrace,
    SYS_process_vm_readv, SYS_process_vm_writev, SYS_pidfd_getfd, SYS_kcmp, SYS_userfaultfd, SYS_setns,
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick,
    SYS_move_mount, SYS_open_tree, NR_open_tree_attr, SYS_mount_setattr, SYS_swapon, SYS_swapoff,
    SYS_acct, SYS_quotactl_fd, SYS_bpf, SYS_perf_event_open, SYS_init_module, SYS_finit_module,
    SYS_delete_module, SYS_kexec_load, SYS_reboot, SYS_syslog,
};

const char *guise_call_name(int32_t number) {
    for (size_t i = 0; i < sizeof notified / sizeof *notified; i++)
        if (notified[i].number == number) return notified[i].name;
    return NULL;
}

int32_t guise_call_number(const char *name) {
    for (size_t i = 0; i < sizeof notified / sizeof *notified; i++)
        if (strcmp(notified[i].name, name) == 0) return notified[i].number;
    return -1;
}

#define NAMESPACES                                                                                     \
    (CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |         \
     CLONE_NEWCGROUP)
#define LOW(index) (offsetof(struct seccomp_data, args) + 8 * (index))
#define HIGH(index) (LOW(index) + 4)
#define RETURN_ERRNO(error) (SECCOMP_RET_ERRNO | ((error) & SECCOMP_RET_DATA))
// ioctls on a descriptor that the kernel decides by the caller's identity (ioctl_fs, FS_IOC_*).
#define SET_FLAGS 0x40086602
#define SET_XATTR 0x401c5820
// Threads share their working directory, and processes do not; what mixes that is notified.
#define SHARED (CLONE_THREAD | CLONE_FS)
// Carries the mark of a process, which is the authority's: see CGuiseMark.h.
#define MARKED_LIMIT 10

int guise_filter_install(void) {
    struct sock_filter program[512];
    size_t n = 0;
#define EMIT(...) (program[n++] = (struct sock_filter)__VA_ARGS__)
#define LOAD(at) EMIT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (at)))
#define RETURN(value) EMIT(BPF_STMT(BPF_RET | BPF_K, (value)))
    // "unless" skips the next `skip` instructions when the comparison does not hold.
#define UNLESS(op, value, skip) EMIT(BPF_JUMP(BPF_JMP | (op) | BPF_K, (value), 0, (skip)))

    LOAD(offsetof(struct seccomp_data, arch));
    EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0));
    RETURN(RETURN_ERRNO(ENOSYS));
    LOAD(offsetof(struct seccomp_data, nr));
    // A call nobody here has heard of, the x32 ABI (bit 30) among them, could be a way around: there is none.
    UNLESS(BPF_JGT, NR_last_known, 1);
    RETURN(RETURN_ERRNO(ENOSYS));

    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        UNLESS(BPF_JEQ, (uint32_t)refused[i], 1);
        RETURN(RETURN_ERRNO(EPERM));
    }
    // clone3 hides its flags in memory; libraries fall back to clone.
    UNLESS(BPF_JEQ, SYS_clone3, 1);
    RETURN(RETURN_ERRNO(ENOSYS));
    UNLESS(BPF_JEQ, SYS_clone, 9);
    LOAD(LOW(0));
    UNLESS(BPF_JSET, NAMESPACES, 1);
    RETURN(RETURN_ERRNO(EPERM));
    EMIT(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, SHARED));
    UNLESS(BPF_JEQ, 0, 1);
    RETURN(SECCOMP_RET_ALLOW);
    UNLESS(BPF_JEQ, SHARED, 1);
    RETURN(SECCOMP_RET_ALLOW);
    RETURN(SECCOMP_RET_USER_NOTIF);
    UNLESS(BPF_JEQ, SYS_unshare, 6);
    LOAD(LOW(0));
    UNLESS(BPF_JSET, ~(uint32_t)(CLONE_FILES | CLONE_FS | CLONE_SYSVSEM), 1);
    RETURN(RETURN_ERRNO(EPERM));
    UNLESS(BPF_JSET, CLONE_FS, 1);
    RETURN(SECCOMP_RET_USER_NOTIF);
    RETURN(SECCOMP_RET_ALLOW);
    UNLESS(BPF_JEQ, SYS_setrlimit, 4);
    LOAD(LOW(0));
    UNLESS(BPF_JEQ, MARKED_LIMIT, 1);
    RETURN(RETURN_ERRNO(EPERM));
    RETURN(SECCOMP_RET_ALLOW);
    UNLESS(BPF_JEQ, SYS_prctl, 4);
    LOAD(LOW(0));
    UNLESS(BPF_JEQ, PR_SET_SECCOMP, 1);
    RETURN(RETURN_ERRNO(EPERM));
    RETURN(SECCOMP_RET_ALLOW);
    // sendto without an address is send: it goes where the socket was connected to.
    UNLESS(BPF_JEQ, SYS_sendto, 6);
    LOAD(LOW(4));
    UNLESS(BPF_JEQ, 0, 3);
    LOAD(HIGH(4));
    UNLESS(BPF_JEQ, 0, 1);
    RETURN(SECCOMP_RET_ALLOW);
    RETURN(SECCOMP_RET_USER_NOTIF);
    UNLESS(BPF_JEQ, SYS_prlimit64, 11);
    LOAD(LOW(1));
    UNLESS(BPF_JEQ, MARKED_LIMIT, 5);
    // Without a new limit it only asks.
    LOAD(LOW(2));
    UNLESS(BPF_JEQ, 0, 2);
    LOAD(HIGH(2));
    EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0));
    RETURN(RETURN_ERRNO(EPERM));
    LOAD(LOW(0));
    UNLESS(BPF_JEQ, 0, 1);
    RETURN(SECCOMP_RET_ALLOW);
    RETURN(SECCOMP_RET_USER_NOTIF);
    UNLESS(BPF_JEQ, SYS_ioctl, 6);
    LOAD(LOW(1));
    UNLESS(BPF_JEQ, SET_FLAGS, 1);
    RETURN(SECCOMP_RET_USER_NOTIF);
    UNLESS(BPF_JEQ, SET_XATTR, 1);
    RETURN(SECCOMP_RET_USER_NOTIF);
    RETURN(SECCOMP_RET_ALLOW);

    for (size_t i = 0; i < sizeof notified / sizeof *notified; i++) {
        UNLESS(BPF_JEQ, (uint32_t)notified[i].number, 1);
        RETURN(SECCOMP_RET_USER_NOTIF);
    }
    RETURN(SECCOMP_RET_ALLOW);

    _Static_assert(sizeof notified / sizeof *notified + sizeof refused / sizeof *refused < 220,
                   "the program array is too small");
    struct sock_fprog whole = {.len = (unsigned short)n, .filter = program};
    long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                            SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &whole);
    return listener < 0 ? -errno : (int)listener;
}
