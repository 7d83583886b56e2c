#define _GNU_SOURCE
#include "CGuiseMark.h"
#include "CGuiseProcess.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEEP ((uint32_t)-1)
enum { LIMIT = 10 /* RLIMIT_LOCKS */, STACK = 16384, PATIENCE = 1000 };
struct limit { uint64_t soft, hard; };

static int exchange(int32_t tid, const struct limit *limit, struct limit *before) {
    return syscall(SYS_prlimit64, tid, LIMIT, limit, before) < 0 ? -errno : 0;
}

int guise_mark_read(int32_t tid, uint64_t *mark) {
    struct limit limit;
    if (exchange(tid, NULL, &limit) == 0) {
        *mark = limit.soft;
        return 0;
    }
    // Who may not ask the kernel may still look.
    static const char title[] = "\nMax file locks ";
    char path[32], text[4096];
    snprintf(path, sizeof path, "/proc/%d/limits", tid);
    ssize_t length = guise_file_read(path, text, sizeof text - 1);
    if (length < 0) return (int)length;
    text[length] = 0;
    const char *line = strstr(text, title);
    if (!line) return -ESRCH;
    line += sizeof title - 1;
    line += strspn(line, " ");
    *mark = *line == 'u' ? GUISE_MARK_NONE : strtoull(line, NULL, 10);
    return 0;
}

static int set(int32_t tid, uint64_t mark) {
    struct limit limit;
    int error = exchange(tid, NULL, &limit);
    if (error < 0) return error;
    limit.soft = mark == GUISE_MARK_NONE ? limit.hard : mark;
    return exchange(tid, &limit, NULL);
}

struct order {
    int32_t tid;
    uint32_t uid, gid;
    uint64_t mark;
    int result;
};

// Runs on memory that it shares with whoever waits for it, and calls nothing but the kernel.
static int carry_out(void *argument) {
    struct order *order = argument;
    if (syscall(SYS_setresgid, order->gid, KEEP, KEEP) == 0 &&
        syscall(SYS_setresuid, order->uid, KEEP, KEEP) == 0)
        order->result = set(order->tid, order->mark);
    syscall(SYS_exit, 0);
    return 0;
}

int guise_mark_write(int32_t tid, uint32_t uid, uint32_t gid, uint64_t mark) {
    int error = set(tid, mark);
    if (error != -EPERM || geteuid() != 0) return error;
    // Root without CAP_SYS_RESOURCE has to have the process's real uid and gid. Whoever has that uid may signal whoever
    // has them, so it is a process of its own that takes them on, and keeps all else of root's. That it is killed or
    // stopped is the service's own loss.
    char *stack = malloc(STACK);
    if (!stack) return -ENOMEM;
    struct order order = {.tid = tid, .uid = uid, .gid = gid, .mark = mark, .result = -EAGAIN};
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int pidfd = -1;
    int child = clone(carry_out, stack + STACK, CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_PIDFD, &order, &pidfd);
    if (child < 0) order.result = -errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (child > 0) {
        struct pollfd one = {.fd = pidfd, .events = POLLIN};
        if (poll(&one, 1, PATIENCE) <= 0) syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
        while (waitpid(child, NULL, __WALL) < 0 && errno == EINTR) continue;
        close(pidfd);
    }
    free(stack);
    return order.result;
}
