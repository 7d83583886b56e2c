#define _GNU_SOURCE
#include "CFloor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

static int result(int value) { return value < 0 ? -errno : value; }

// Puts a descriptor into the caller's table; returns its number there.
static int give(int listener, uint64_t id, int descriptor) {
    struct seccomp_notif_addfd add = {.id = id, .srcfd = (uint32_t)descriptor, .newfd_flags = O_CLOEXEC};
    return result(ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add));
}

// As whom files are removed; 0: as who mediates.
static uid_t removes_as;

static int remove_file(int directory, const char *path, int flags) {
    const uint32_t keep = (uint32_t)-1;
    if (removes_as == 0) return result(unlinkat(directory, path, flags));
    if (syscall(SYS_setresgid, keep, removes_as, keep) || syscall(SYS_setresuid, keep, removes_as, keep)) _exit(1);
    int done = result(unlinkat(directory, path, flags));
    if (syscall(SYS_setresuid, keep, 0, keep) || syscall(SYS_setresgid, keep, 0, keep)) _exit(1);
    return done;
}

// Nothing is checked that a mediator could not do without: this is a floor, not a mediator.
static void mediate(int listener, int continues) {
    char path[4096];
    for (;;) {
        struct seccomp_notif trap;
        memset(&trap, 0, sizeof trap);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &trap) < 0) {
            if (errno == EINTR) continue;
            return;
        }
        struct seccomp_notif_resp response = {.id = trap.id};
        const uint64_t *arguments = (const uint64_t *)trap.data.args;
        struct iovec local = {path, sizeof path};
        struct iovec remote = {(void *)(uintptr_t)arguments[1], 4096 - (arguments[1] & 4095)};
        int found = -1, done;
        if (continues) {
            response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
            done = 0;
        } else if (process_vm_readv((pid_t)trap.pid, &local, 1, &remote, 1, 0) <= 0) {
            done = -EFAULT;
        } else if (trap.data.nr == SYS_newfstatat) {
            struct stat status;
            done = result(fstatat((int)arguments[0], path, &status, (int)arguments[3]));
            local = (struct iovec){&status, sizeof status};
            remote = (struct iovec){(void *)(uintptr_t)arguments[2], sizeof status};
            if (done == 0 && process_vm_writev((pid_t)trap.pid, &local, 1, &remote, 1, 0) <= 0) done = -EFAULT;
        } else if (trap.data.nr == SYS_unlinkat) {
            done = remove_file((int)arguments[0], path, (int)arguments[2]);
        } else {
            found = result(openat((int)arguments[0], path, (int)arguments[2], 0));
            done = found < 0 ? found : give(listener, trap.id, found);
        }
        if (done < 0) response.error = done;
        else response.val = done;
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
        if (found >= 0) close(found);
    }
}

static void *mediate_beside(void *listener) {
    mediate((int)(intptr_t)listener, 0);
    return NULL;
}

int floor_install(int continues, int mediators, uid_t remover) {
    removes_as = remover;
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_newfstatat, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unlinkat, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog whole = {.len = sizeof program / sizeof *program, .filter = program};
    int numbers[2];
    pid_t service = getpid();
    if (pipe(numbers) < 0) return -errno;
    pid_t mediator = fork();
    if (mediator < 0) return -errno;
    if (mediator == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        // Only the service may hold its pipes: their end is what ends it.
        close(STDIN_FILENO);
        close(STDOUT_FILENO);
        int number;
        if (read(numbers[0], &number, sizeof number) != sizeof number) _exit(1);
        int process = (int)syscall(SYS_pidfd_open, service, 0);
        int listener = (int)syscall(SYS_pidfd_getfd, process, number, 0);
        if (listener < 0) _exit(1);
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
        for (int i = 1; i < mediators; i++) {
            pthread_t thread;
            if (pthread_create(&thread, NULL, mediate_beside, (void *)(intptr_t)listener) != 0) _exit(1);
        }
        mediate(listener, continues);
        _exit(0);
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return -errno;
    int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &whole);
    if (listener < 0) return -errno;
    if (write(numbers[1], &listener, sizeof listener) != sizeof listener) return -errno;
    close(numbers[0]);
    close(numbers[1]);
    // The listener stays open here, so that a trap before the mediator has it waits instead of failing.
    return 0;
}
