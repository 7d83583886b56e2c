#define _GNU_SOURCE
#include "guise_gss.h"

#ifdef GUISE_KERBEROS

#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#define OTHER_ABI 0x40000000
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#define OTHER_ABI 0xffffffff
#endif

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)
#define DENY RETURN(SECCOMP_RET_ERRNO | EPERM)
// Skips the next statement unless the accumulator has the value.
#define IF(value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1)
#define REFUSE(call) IF(__NR_##call), DENY
// The first argument has to be this process.
#define OWN(call)                                                                                                             \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##call, 0, 4), LOAD(args[0]), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, own, 0, 1), \
        RETURN(SECCOMP_RET_ALLOW), DENY

static int limit(int resource, rlim_t most) {
    struct rlimit to = {most, most};
    return setrlimit(resource, &to) ? -errno : 0;
}

int guise_gss_confine(uint32_t user, uint32_t end) {
    uint32_t own = (uint32_t)getpid();
    struct sock_filter filter[] = {
        LOAD(arch),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
        RETURN(SECCOMP_RET_KILL_PROCESS),
        LOAD(nr),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, OTHER_ABI, 0, 1),
        DENY,
        // Programs and processes. Threads it has: without clone3, whose flags a filter cannot see, the library uses clone.
        IF(__NR_clone3),
        RETURN(SECCOMP_RET_ERRNO | ENOSYS),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clone, 0, 4),
        LOAD(args[0]),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1),
        RETURN(SECCOMP_RET_ALLOW),
        DENY,
        OWN(kill),
        OWN(tgkill),
        REFUSE(execve),
        REFUSE(execveat),
#ifdef __NR_fork
        REFUSE(fork),
        REFUSE(vfork),
#endif
        REFUSE(tkill),
        REFUSE(rt_sigqueueinfo),
        REFUSE(rt_tgsigqueueinfo),
        REFUSE(pidfd_send_signal),
        REFUSE(pidfd_getfd),
        REFUSE(ptrace),
        REFUSE(process_vm_readv),
        REFUSE(process_vm_writev),
        REFUSE(kcmp),
        // What a kernel is attacked by.
        REFUSE(unshare),
        REFUSE(setns),
        REFUSE(mount),
        REFUSE(bpf),
        REFUSE(perf_event_open),
        REFUSE(userfaultfd),
        REFUSE(io_uring_setup),
        REFUSE(keyctl),
        REFUSE(add_key),
        REFUSE(request_key),
        REFUSE(open_by_handle_at),
        REFUSE(init_module),
        REFUSE(finit_module),
        RETURN(SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    // What it was started with, and nothing else.
    if (syscall(SYS_close_range, end, ~0U, 0) || chdir("/"))
        return -errno;
    int error = limit(RLIMIT_CORE, 0);
    if (!error)
        error = limit(RLIMIT_NOFILE, 256);
    if (!error)
        error = limit(RLIMIT_FSIZE, 64 << 20);
    if (error)
        return error;
    if (user != UINT32_MAX && (setgroups(0, NULL) || setresgid(user, user, user) || setresuid(user, user, user)))
        return -errno;
    // Others of the same user do not read its memory, and take none of its descriptors.
    if (prctl(PR_SET_DUMPABLE, 0) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        return -errno;
    return 0;
}
#endif
