#define _GNU_SOURCE
#include "CGuiseWorker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

static int start(const char *path, int input, int output) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error) return -error;
    error = posix_spawnattr_init(&attributes);
    if (error) {
        posix_spawn_file_actions_destroy(&actions);
        return -error;
    }
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    pid_t pid = 0;
    char *const arguments[] = {(char *)path, NULL};
    char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    if (!(error = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)) &&
        !(error = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)) &&
        !(error = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)) &&
        !(error = posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1)))
        error = posix_spawn(&pid, path, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error ? -error : pid;
}

int guise_worker_start(const char *path, int *to, int *from) {
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) != 0) return -errno;
    int result;
    if (pipe2(out, O_CLOEXEC) != 0) {
        result = -errno;
        close(in[0]);
        close(in[1]);
        return result;
    }
    result = fcntl(out[0], F_SETFL, O_NONBLOCK) == 0 ? start(path, in[0], out[1]) : -errno;
    close(in[0]);
    close(out[1]);
    if (result < 0) {
        close(in[1]);
        close(out[0]);
        return result;
    }
    *to = in[1];
    *from = out[0];
    return result;
}

int guise_worker_end(int pid, int *status) {
    // Not waited for yet, so both numbers are still its own.
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    while (waitpid(pid, status, 0) < 0)
        if (errno != EINTR) return -errno;
    return 0;
}
