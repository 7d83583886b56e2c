#define _GNU_SOURCE
#include "CTestSupport.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

long test_call(long number, const long a[6]) {
    long result = syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    return result < 0 ? -errno : result;
}

pid_t test_fork(void) { return fork(); }

pid_t test_raw_fork(void) {
    return (pid_t)syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L);
}

long test_int80(void) {
#if defined(__x86_64__)
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "r8", "r9", "r10", "r11", "memory");
    return result;
#else
    return -ENOSYS;
#endif
}

long test_x32(void) {
#if defined(__x86_64__)
    long result = syscall(0x40000000L + SYS_getpid);
    return result < 0 ? -errno : result;
#else
    return -ENOSYS;
#endif
}

void test_raw_thread_exit(void) {
    for (;;) syscall(SYS_exit, 0);
}

int test_exec(const char *program, char *const arguments[]) {
    execv(program, arguments);
    return -errno;
}

pid_t test_spawn(const char *program, char *const arguments[], char *const environment[], pid_t group, int in,
                 int out, int error) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    const int streams[3] = {in, out, error};
    for (int i = 0; i < 3; i++) {
        if (streams[i] < 0) posix_spawn_file_actions_addopen(&actions, i, "/dev/null", O_RDWR, 0);
        else posix_spawn_file_actions_adddup2(&actions, streams[i], i);
    }
    // What another part of the test process left open on purpose is not this child's.
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    sigemptyset(&none);
    sigfillset(&defaults);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setpgroup(&attributes, group);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    pid_t pid;
    int result = posix_spawn(&pid, program, &actions, &attributes, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return result == 0 ? pid : -result;
}

ssize_t test_send(int socket, const void *bytes, size_t length, int descriptor, int count, pid_t sender) {
    char space[CMSG_SPACE(253 * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = length};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    size_t used = 0;
    memset(space, 0, sizeof space);
    message.msg_control = space;
    message.msg_controllen = sizeof space;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (count > 0 && count <= 253) {
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof(int));
        for (int i = 0; i < count; i++) memcpy(CMSG_DATA(header) + i * sizeof(int), &descriptor, sizeof(int));
        used += CMSG_SPACE(count * sizeof(int));
        header = CMSG_NXTHDR(&message, header);
    }
    if (sender != 0 && header) {
        struct ucred made_up = {.pid = sender, .uid = geteuid(), .gid = getegid()};
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_CREDENTIALS;
        header->cmsg_len = CMSG_LEN(sizeof made_up);
        memcpy(CMSG_DATA(header), &made_up, sizeof made_up);
        used += CMSG_SPACE(sizeof made_up);
    }
    message.msg_controllen = used;
    if (used == 0) message.msg_control = NULL;
    ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    return sent < 0 ? -errno : sent;
}

ssize_t test_receive(int socket, void *out, size_t capacity, int32_t *pid, uint32_t *uid, uint32_t *gid,
                     int descriptors[], size_t *count) {
    char space[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(253 * sizeof(int))];
    size_t room = *count;
    *count = 0;
    struct iovec part = {.iov_base = out, .iov_len = capacity};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    ssize_t got = recvmsg(socket, &message, MSG_DONTWAIT);
    if (got < 0) return -errno;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_type == SCM_CREDENTIALS) {
            struct ucred sender;
            memcpy(&sender, CMSG_DATA(header), sizeof sender);
            *pid = sender.pid;
            *uid = sender.uid;
            *gid = sender.gid;
        } else if (header->cmsg_type == SCM_RIGHTS) {
            size_t got_count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (size_t i = 0; i < got_count; i++) {
                int descriptor;
                memcpy(&descriptor, CMSG_DATA(header) + i * sizeof descriptor, sizeof descriptor);
                if (*count < room) descriptors[(*count)++] = descriptor;
                else close(descriptor);
            }
        }
    }
    return got;
}

ssize_t test_send_to(int socket, const void *bytes, size_t length, const void *address, size_t address_length,
                     int descriptor) {
    char space[CMSG_SPACE(sizeof(int))];
    // In two parts, as who sends messages may have them.
    struct iovec parts[2] = {{.iov_base = (void *)bytes, .iov_len = length / 2},
                             {.iov_base = (char *)bytes + length / 2, .iov_len = length - length / 2}};
    struct msghdr message = {.msg_name = (void *)address, .msg_namelen = (socklen_t)address_length,
                             .msg_iov = parts, .msg_iovlen = 2};
    if (descriptor >= 0) {
        memset(space, 0, sizeof space);
        message.msg_control = space;
        message.msg_controllen = sizeof space;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof descriptor);
        memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    }
    ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    return sent < 0 ? -errno : sent;
}

int test_foreign_socket(void) {
    int here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (here < 0 || unshare(CLONE_NEWNET) < 0) return -errno;
    int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int error = errno;
    if (setns(here, CLONE_NEWNET) < 0) abort();
    close(here);
    return made < 0 ? -error : made;
}

int test_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC) < 0 ? -errno : 0; }

int test_terminal(char *name, size_t capacity) {
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0) return -errno;
    if (grantpt(master) < 0 || unlockpt(master) < 0 || ptsname_r(master, name, capacity) != 0) {
        close(master);
        return -EIO;
    }
    return master;
}

int test_exchange(const char *one, const char *other) {
    return syscall(SYS_renameat2, AT_FDCWD, one, AT_FDCWD, other, 2) < 0 ? -errno : 0;
}

int test_lingering(int ends[2]) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 4096;
    ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ends[1] = -1;
    setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (bind(listener, (struct sockaddr *)&at, size) == 0 && listen(listener, 1) == 0 &&
        getsockname(listener, (struct sockaddr *)&at, &size) == 0 &&
        (connect(ends[0], (struct sockaddr *)&at, size) == 0 || errno == EINPROGRESS))
        ends[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    close(listener);
    if (ends[1] < 0) { close(ends[0]); return -errno; }
    static const char bytes[65536];
    while (send(ends[0], bytes, sizeof bytes, MSG_NOSIGNAL) > 0) {}
    struct linger hour = {.l_onoff = 1, .l_linger = 3600};
    // To wait is for sockets that block.
    fcntl(ends[0], F_SETFL, 0);
    return setsockopt(ends[0], SOL_SOCKET, SO_LINGER, &hour, sizeof hour) < 0 ? -errno : 0;
}

void *test_tree_open(char *path) { return fts_open((char *[]){path, NULL}, FTS_PHYSICAL | FTS_NOCHDIR, NULL); }

int test_tree_next(void *tree) {
    FTSENT *entry = fts_read(tree);
    if (!entry) return -1;
    switch (entry->fts_info) {
    case FTS_D: return 0;
    case FTS_F: return 1;
    case FTS_DNR: case FTS_ERR: case FTS_NS: return 2;
    default: return 3;
    }
}

void test_tree_close(void *tree) { fts_close(tree); }

bool test_contains(const void *bytes, size_t count, const void *wanted, size_t length) {
    return memmem(bytes, count, wanted, length) != NULL;
}
