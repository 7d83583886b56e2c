#define _GNU_SOURCE
#include "CFloor.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define KEEP ((uint32_t)-1)

double bench_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e9 + now.tv_nsec;
}

double bench_open_close(const char *path, int count) {
    double start = bench_now();
    for (int i = 0; i < count; i++) {
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0) return -errno;
        close(file);
    }
    return (bench_now() - start) / count;
}

double bench_open_refused(const char *path, int count) {
    double start = bench_now();
    for (int i = 0; i < count; i++) {
        if (open(path, O_RDONLY | O_CLOEXEC) >= 0) return -EEXIST;
    }
    return (bench_now() - start) / count;
}

double bench_open_close_as(const char *path, int count, uid_t uid, gid_t gid) {
    double start = bench_now();
    for (int i = 0; i < count; i++) {
        gid_t groups[] = {gid};
        if (syscall(SYS_setgroups, 1, groups) || syscall(SYS_setresgid, KEEP, gid, KEEP) ||
            syscall(SYS_setresuid, KEEP, uid, KEEP))
            return -errno;
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0) return -errno;
        close(file);
        if (syscall(SYS_setresuid, KEEP, 0, KEEP) || syscall(SYS_setresgid, KEEP, 0, KEEP) ||
            syscall(SYS_setgroups, 0, NULL))
            return -errno;
    }
    return (bench_now() - start) / count;
}

int bench_stay_on_one_processor(int stays) {
    static cpu_set_t all;
    if (!stays) return sched_setaffinity(0, sizeof all, &all);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    if (sched_getaffinity(0, sizeof all, &all) < 0) return -1;
    return sched_setaffinity(0, sizeof one, &one);
}

static const char *numbered(char *out, size_t size, const char *path, int number) {
    snprintf(out, size, "%s%d", path, number);
    return out;
}

double bench_create(const char *path, int count) {
    char name[256];
    double start = bench_now();
    for (int i = 0; i < count; i++) {
        int file = open(numbered(name, sizeof name, path, i), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (file < 0) return -errno;
        close(file);
    }
    return (bench_now() - start) / count;
}

double bench_stat(const char *path, int count) {
    struct stat status;
    double start = bench_now();
    for (int i = 0; i < count; i++)
        if (syscall(SYS_newfstatat, AT_FDCWD, path, &status, 0) < 0) return -errno;
    return (bench_now() - start) / count;
}

double bench_unlink(const char *path, int count) {
    char name[256];
    double start = bench_now();
    for (int i = 0; i < count; i++)
        if (syscall(SYS_unlinkat, AT_FDCWD, numbered(name, sizeof name, path, i), 0) < 0) return -errno;
    return (bench_now() - start) / count;
}

double bench_connect(const char *path, int count) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    double start = bench_now();
    for (int i = 0; i < count; i++) {
        int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (server < 0) return -errno;
        if (connect(server, (struct sockaddr *)&address, sizeof address) < 0) return -errno;
        char byte;
        ssize_t got = read(server, &byte, 1);
        if (got < 0) return -errno;
        close(server);
    }
    return (bench_now() - start) / count;
}

int bench_dial(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server >= 0 && connect(server, (struct sockaddr *)&address, sizeof address) < 0) {
        close(server);
        return -1;
    }
    return server;
}

enum { OPEN = 36, OPENED = 40, QUERY = 12, VALUE = 20 };

static void *answer_pairs(void *listener) {
    char buffer[64] = {0};
    for (;;) {
        int client = accept4((int)(intptr_t)listener, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0) return NULL;
        while (recv(client, buffer, OPEN, MSG_WAITALL) == OPEN && send(client, buffer, OPENED, MSG_NOSIGNAL) == OPENED &&
               recv(client, buffer, QUERY, MSG_WAITALL) == QUERY && send(client, buffer, VALUE, MSG_NOSIGNAL) == VALUE)
            ;
        close(client);
    }
}

int bench_serve_pairs(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) || chmod(path, 0666) ||
        listen(listener, 8))
        return -1;
    pthread_t thread;
    errno = pthread_create(&thread, NULL, answer_pairs, (void *)(intptr_t)listener);
    return errno ? -1 : 0;
}

double bench_pairs(const char *path, int count) {
    char buffer[64] = {0};
    int server = bench_dial(path);
    if (server < 0) return -errno;
    double start = bench_now();
    for (int i = 0; i < count; i++)
        if (send(server, buffer, OPEN, 0) != OPEN || recv(server, buffer, OPENED, MSG_WAITALL) != OPENED ||
            send(server, buffer, QUERY, 0) != QUERY || recv(server, buffer, VALUE, MSG_WAITALL) != VALUE) {
            close(server);
            return -EIO;
        }
    double took = (bench_now() - start) / count;
    close(server);
    return took;
}

int bench_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

void bench_end_with_parent(void) { prctl(PR_SET_PDEATHSIG, SIGTERM); }
