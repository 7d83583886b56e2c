#define _GNU_SOURCE
#include "CGuiseProbe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "CGuiseCredentials.h"
#include "CGuiseNotification.h"
#include "CGuiseProcess.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

#define NOBODY 65534
#define ANSWER 0x4755
#define WAIT 2000

// What the child says before it traps, and what it found out afterwards.
struct report { int credentials, filter, killable, listener; };
struct outcome { int answer, descriptor; };

static const char token[16] = "guise probe";

static int install(unsigned long flags) {
    // Calls that nothing else in the child makes: getppid and getsid.
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getsid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog whole = {.len = sizeof program / sizeof *program, .filter = program};
    long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | flags,
                            &whole);
    return listener < 0 ? -errno : (int)listener;
}

static _Noreturn void child(int out) {
    struct report report = {.credentials = GUISE_NOT_TRIED, .killable = GUISE_NOT_TRIED, .listener = -1};
    if (geteuid() == 0)
        report.credentials = guise_credentials_become(NOBODY, NOBODY, NULL, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    report.listener = install(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
    if (report.listener >= 0) {
        report.killable = 0;
    } else {
        int error = report.listener;
        report.listener = install(0);
        // The flag is what was wrong only if it goes without.
        if (report.listener >= 0) report.killable = error;
    }
    report.filter = report.listener < 0 ? report.listener : 0;
    if (write(out, &report, sizeof report) != sizeof report || report.listener < 0) _exit(0);
    struct outcome outcome;
    long got = syscall(SYS_getppid);
    outcome.answer = got < 0 ? -errno : got == ANSWER ? 0 : -EPROTO;
    int descriptor = (int)syscall(SYS_getsid, 0);
    outcome.descriptor = descriptor < 0 ? -errno : fcntl(descriptor, F_GETFD) < 0 ? -errno : 0;
    if (write(out, &outcome, sizeof outcome) != sizeof outcome) _exit(1);
    // Its memory is still to be read.
    pause();
    _exit(0);
}

static int readable(int descriptor) {
    struct pollfd one = {.fd = descriptor, .events = POLLIN};
    int count = poll(&one, 1, WAIT);
    return count < 0 ? -errno : count == 0 ? -ETIMEDOUT : one.revents & POLLIN ? 0 : -EPIPE;
}

static int take(int from, void *out, size_t size) {
    int error = readable(from);
    if (error < 0) return error;
    return read(from, out, size) == (ssize_t)size ? 0 : -EPIPE;
}

// The next trapped call of the child.
static int receive(int listener, struct guise_notification *out) {
    int error = readable(listener);
    return error < 0 ? error : guise_notification_receive(listener, out);
}

static void mediate(int listener, int from, struct guise_trial *out) {
    struct guise_notification call;
    struct outcome outcome;
    out->synchronous = guise_notification_wake_synchronously(listener);
    out->answer = receive(listener, &call);
    if (out->answer < 0) return;
    out->answer = guise_notification_answer(listener, call.id, ANSWER, 0);
    if (out->answer < 0) return;
    out->descriptor = receive(listener, &call);
    if (out->descriptor < 0) return;
    int copy = guise_duplicate(from);
    out->descriptor = copy < 0 ? copy : guise_notification_answer_descriptor(listener, call.id, copy, true);
    // A call that was not answered waits on; the child is killed.
    if (out->descriptor < 0) return;
    int error = take(from, &outcome, sizeof outcome);
    out->answer = error < 0 ? error : outcome.answer;
    out->descriptor = error < 0 ? error : outcome.descriptor;
}

void guise_probe_mediation(struct guise_trial *out) {
    *out = (struct guise_trial){GUISE_NOT_TRIED, GUISE_NOT_TRIED, GUISE_NOT_TRIED, GUISE_NOT_TRIED,
                                GUISE_NOT_TRIED, GUISE_NOT_TRIED, GUISE_NOT_TRIED, GUISE_NOT_TRIED};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        out->filter = -errno;
        return;
    }
    pid_t pid = fork();
    if (pid == 0) child(ends[1]);
    int error = pid < 0 ? -errno : 0;
    close(ends[1]);
    struct report report;
    if (error == 0) error = take(ends[0], &report, sizeof report);
    if (error == 0) {
        out->credentials = report.credentials;
        out->filter = report.filter;
        out->killable = report.killable;
        char copy[sizeof token];
        ssize_t got = guise_memory_read(pid, (uint64_t)(uintptr_t)token, copy, sizeof copy);
        out->memory = got < 0 ? (int)got : got == sizeof copy && !memcmp(copy, token, sizeof copy) ? 0 : -EIO;
        int pidfd = report.listener < 0 ? -1 : guise_pidfd_open(pid, false);
        if (pidfd >= 0) {
            int listener = guise_pidfd_getfd(pidfd, report.listener);
            out->listener = listener < 0 ? listener : 0;
            if (listener >= 0) {
                mediate(listener, ends[0], out);
                close(listener);
            }
            close(pidfd);
        }
    } else {
        out->filter = error;
    }
    if (pid > 0) {
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
    }
    close(ends[0]);
}
