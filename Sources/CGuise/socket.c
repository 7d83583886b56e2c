#define _GNU_SOURCE
#include "CGuiseSocket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static int result(long value) { return value < 0 ? -errno : (int)value; }

ssize_t guise_packet_send(int socket, const void *bytes, size_t length, int descriptor, int flags) {
    if (descriptor < 0) {
        // send, unlike sendmsg, is not among the calls that a mediated process waits for.
        ssize_t sent = send(socket, bytes, length, flags | MSG_NOSIGNAL);
        return sent < 0 ? -errno : sent;
    }
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = length};
    union { char space[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    memset(&control, 0, sizeof control);
    message.msg_control = control.space;
    message.msg_controllen = sizeof control.space;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    ssize_t sent = sendmsg(socket, &message, flags | MSG_NOSIGNAL);
    return sent < 0 ? -errno : sent;
}

ssize_t guise_packet_receive(int socket, void *out, size_t capacity, struct guise_packet *packet, int flags) {
    struct iovec part = {.iov_base = out, .iov_len = capacity};
    union {
        char space[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(2 * sizeof(int))];  // 10 descriptors at most
        struct cmsghdr align;
    } control;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space,
                             .msg_controllen = sizeof control.space};
    packet->sender_pid = 0;
    packet->count = 0;
    packet->damaged = false;
    packet->lost = false;
    ssize_t got = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
    if (got < 0) return -errno;
    if (message.msg_flags & MSG_TRUNC) packet->damaged = true;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&message); h; h = CMSG_NXTHDR(&message, h)) {
        if (h->cmsg_level != SOL_SOCKET) continue;
        if (h->cmsg_type == SCM_CREDENTIALS && h->cmsg_len >= CMSG_LEN(sizeof(struct ucred))) {
            struct ucred sender;
            memcpy(&sender, CMSG_DATA(h), sizeof sender);
            packet->sender_pid = sender.pid;
        } else if (h->cmsg_type == SCM_RIGHTS) {
            size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (size_t i = 0; i < count && packet->count < 10; i++)
                memcpy(&packet->descriptors[packet->count++], CMSG_DATA(h) + i * sizeof(int), sizeof(int));
            if (packet->count > 1) packet->damaged = true;
        }
    }
    if (message.msg_flags & MSG_CTRUNC) {
        if (packet->count == 0 && !packet->damaged) packet->lost = true;
        else packet->damaged = true;
    }
    return got;
}

int guise_peer_of(int socket, struct guise_peer *out) {
    struct ucred peer;
    socklen_t length = sizeof peer;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) return -errno;
    out->pid = peer.pid;
    out->uid = peer.uid;
    out->gid = peer.gid;
    length = sizeof out->groups;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, out->groups, &length) < 0)
        return errno == ERANGE ? -EOVERFLOW : -errno;
    out->group_count = length / sizeof *out->groups;
    length = sizeof out->pidfd;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &out->pidfd, &length) < 0) out->pidfd = -1;
    return 0;
}

static int address(struct sockaddr_un *out, const char *path, size_t length, socklen_t *size) {
    if (length == 0 || length >= sizeof out->sun_path) return -ENAMETOOLONG;
    memset(out, 0, sizeof *out);
    out->sun_family = AF_UNIX;
    memcpy(out->sun_path, path, length);
    *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    return 0;
}

int guise_unix_socket(int type, bool nonblocking) {
    return result(socket(AF_UNIX, type | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0));
}

int guise_unix_pair(int type, int *first, int *second) {
    int ends[2];
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) < 0) return -errno;
    *first = ends[0];
    *second = ends[1];
    return 0;
}

void guise_socket_widen(int socket, int times) {
    int size = 0;
    socklen_t length = sizeof size;
    if (getsockopt(socket, SOL_SOCKET, SO_SNDBUF, &size, &length) < 0) return;
    // The kernel says, and sets, twice what it is told.
    size = size / 2 * times;
    if (setsockopt(socket, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
        setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

int guise_unix_listen(const char *path, size_t length, int type, int backlog, uint32_t mode) {
    struct sockaddr_un name;
    socklen_t size;
    int error = address(&name, path, length, &size);
    if (error < 0) return error;
    int fd = guise_unix_socket(type, false);
    if (fd < 0) return fd;
    // The mode of the socket file is set before anybody can connect: nothing listens yet.
    if (bind(fd, (struct sockaddr *)&name, size) < 0 || chmod(name.sun_path, mode) < 0 ||
        listen(fd, backlog) < 0) {
        error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int guise_unix_connect(int socket, const char *path, size_t length) {
    struct sockaddr_un name;
    socklen_t size;
    int error = address(&name, path, length, &size);
    if (error < 0) return error;
    return result(connect(socket, (struct sockaddr *)&name, size));
}

int guise_socket_connect(int socket, const void *address, uint32_t length) {
    return result(connect(socket, address, length));
}

int guise_socket_bind(int socket, const void *address, uint32_t length) {
    return result(bind(socket, address, length));
}

int64_t guise_socket_send_to(int socket, const void *bytes, size_t length, int flags, const void *address,
                             uint32_t address_length, const int *descriptors, size_t count, int32_t pid,
                             uint32_t uid, uint32_t gid) {
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = length};
    union {
        char space[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(GUISE_LARGEST_RIGHTS * sizeof(int))];
        struct cmsghdr align;
    } control;
    if (count > GUISE_LARGEST_RIGHTS) return -EINVAL;
    struct msghdr message = {.msg_name = address_length ? (void *)address : NULL,
                             .msg_namelen = address_length, .msg_iov = &part, .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = CMSG_SPACE(sizeof(struct ucred)) +
                                               (count ? CMSG_SPACE(count * sizeof(int)) : 0)};
    struct ucred sender = {.pid = pid, .uid = uid, .gid = gid};
    memset(&control, 0, sizeof control);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_CREDENTIALS;
    header->cmsg_len = CMSG_LEN(sizeof sender);
    memcpy(CMSG_DATA(header), &sender, sizeof sender);
    if (count) {
        header = CMSG_NXTHDR(&message, header);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(header), descriptors, count * sizeof(int));
    }
    ssize_t sent = sendmsg(socket, &message, flags | MSG_NOSIGNAL);
    return sent < 0 ? -errno : sent;
}

int guise_unix_bind_here(int socket, const char *name) {
    struct sockaddr_un at;
    socklen_t size;
    int error = address(&at, name, strlen(name), &size);
    return error < 0 ? error : result(bind(socket, (struct sockaddr *)&at, size));
}

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static bool network_cookie(int fd, uint64_t *cookie) {
    socklen_t size = sizeof *cookie;
    return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, cookie, &size) == 0 && size == sizeof *cookie;
}

static bool has_network_of_this(int fd) {
    int own = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    uint64_t one, other;
    bool same = own >= 0 && network_cookie(fd, &one) && network_cookie(own, &other) && one == other;
    if (own >= 0) close(own);
    return same;
}

bool guise_socket_is_of_this_network(int socket) {
    int namespace = ioctl(socket, SIOCGSKNS);
    // Without CAP_NET_ADMIN the kernel tells a number that no other namespace has (Linux 5.14).
    if (namespace < 0 && errno == EPERM) return has_network_of_this(socket);
    if (namespace < 0) return false;
    struct stat its, own;
    bool same = fstat(namespace, &its) == 0 && stat("/proc/thread-self/ns/net", &own) == 0 &&
                its.st_ino == own.st_ino && its.st_dev == own.st_dev;
    close(namespace);
    return same;
}

bool guise_socket_waits(int socket) {
    int flags = fcntl(socket, F_GETFL);
    return flags >= 0 && !(flags & O_NONBLOCK);
}

int guise_unix_accept(int listener, bool nonblocking) {
    return result(accept4(listener, NULL, NULL, SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0)));
}

bool guise_unix_is_spent(int socket) {
    struct pollfd one = {.fd = socket, .events = POLLRDHUP};
    struct sockaddr_un name;
    socklen_t size = sizeof name;
    if (poll(&one, 1, 0) > 0 && one.revents & POLLRDHUP) return true;
    return getpeername(socket, (struct sockaddr *)&name, &size) == 0 || errno != ENOTCONN;
}

int guise_unix_bind_abstract(int socket, const char *name, size_t length) {
    struct sockaddr_un at;
    if (length + 1 > sizeof at.sun_path) return -ENAMETOOLONG;
    memset(&at, 0, sizeof at);
    at.sun_family = AF_UNIX;
    memcpy(at.sun_path + 1, name, length);
    return result(bind(socket, (struct sockaddr *)&at,
                       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length)));
}

int guise_unix_peer_name(int socket, char *out, size_t capacity) {
    struct sockaddr_un name;
    socklen_t size = sizeof name;
    if (getpeername(socket, (struct sockaddr *)&name, &size) < 0) return -errno;
    size_t offset = offsetof(struct sockaddr_un, sun_path);
    if (size <= offset) return 0;
    // A path of 108 bytes is followed by a terminator that does not fit.
    if (size > sizeof name) size = sizeof name;
    bool abstract = name.sun_path[0] == 0;
    size_t length = size - offset - (abstract ? 1 : 0);
    if (!abstract) length = strnlen(name.sun_path, size - offset);
    if (length > capacity) return -ENAMETOOLONG;
    memcpy(out, name.sun_path + (abstract ? 1 : 0), length);
    return (int)length + (abstract ? 0x10000 : 0);
}

int guise_unix_own_path(int socket, char *out, size_t capacity) {
    struct sockaddr_un name;
    socklen_t size = sizeof name;
    if (getsockname(socket, (struct sockaddr *)&name, &size) < 0) return -errno;
    size_t offset = offsetof(struct sockaddr_un, sun_path);
    if (size <= offset || name.sun_path[0] == 0) return 0;
    if (size > sizeof name) size = sizeof name;
    size_t length = strnlen(name.sun_path, size - offset);
    if (length >= capacity) return -ENAMETOOLONG;
    memcpy(out, name.sun_path, length);
    out[length] = 0;
    return (int)length;
}

static int option(int socket, int which) {
    int value;
    socklen_t length = sizeof value;
    return getsockopt(socket, SOL_SOCKET, which, &value, &length) < 0 ? -errno : value;
}

bool guise_unix_has_name(int socket) {
    struct sockaddr_un name;
    socklen_t size = sizeof name;
    return getsockname(socket, (struct sockaddr *)&name, &size) == 0 &&
           size > offsetof(struct sockaddr_un, sun_path);
}

int guise_socket_domain(int socket) { return option(socket, SO_DOMAIN); }
int guise_socket_type(int socket) { return option(socket, SO_TYPE); }
int guise_socket_protocol(int socket) { return option(socket, SO_PROTOCOL); }

int guise_socket_pass_credentials(int socket) {
    int on = 1;
    return result(setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
}

uint64_t guise_socket_cookie(int socket) {
    uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    return getsockopt(socket, SOL_SOCKET, SO_COOKIE, &cookie, &length) < 0 ? 0 : cookie;
}

uint32_t guise_socket_inode(int socket) {
    struct stat status;
    return fstat(socket, &status) < 0 ? 0 : (uint32_t)status.st_ino;
}

int guise_diag_open(void) { return result(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG)); }

// Asks for one socket. A cookie of 0 asks for whatever socket has the inode.
static int ask(int diag, uint32_t inode, uint64_t cookie, uint64_t *cookie_out, uint32_t *peer_out) {
    struct { struct nlmsghdr header; struct unix_diag_req request; } question = {
        .header = {.nlmsg_len = sizeof question, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST},
        .request = {.sdiag_family = AF_UNIX, .udiag_states = (uint32_t)-1, .udiag_ino = inode,
                    .udiag_show = UDIAG_SHOW_PEER,
                    .udiag_cookie = {cookie ? (uint32_t)cookie : (uint32_t)-1,
                                     cookie ? (uint32_t)(cookie >> 32) : (uint32_t)-1}},
    };
    if (send(diag, &question, sizeof question, 0) < 0) return -errno;
    union { char bytes[1024]; struct nlmsghdr header; } answer;
    ssize_t got = recv(diag, &answer, sizeof answer, 0);
    if (got < 0) return -errno;
    if (!NLMSG_OK(&answer.header, (size_t)got)) return -EPROTO;
    if (answer.header.nlmsg_type == NLMSG_ERROR) {
        struct nlmsgerr *error = NLMSG_DATA(&answer.header);
        if (answer.header.nlmsg_len < NLMSG_LENGTH(sizeof *error)) return -EPROTO;
        // ESTALE: the inode is another socket's by now.
        return error->error == -ESTALE ? -ENOENT : error->error;
    }
    if (answer.header.nlmsg_type != SOCK_DIAG_BY_FAMILY ||
        answer.header.nlmsg_len < NLMSG_LENGTH(sizeof(struct unix_diag_msg))) return -EPROTO;
    struct unix_diag_msg *message = NLMSG_DATA(&answer.header);
    if (cookie_out) *cookie_out = (uint64_t)message->udiag_cookie[0] | (uint64_t)message->udiag_cookie[1] << 32;
    if (!peer_out) return 0;
    struct rtattr *attribute = (struct rtattr *)(message + 1);
    size_t rest = answer.header.nlmsg_len - NLMSG_LENGTH(sizeof *message);
    for (; RTA_OK(attribute, rest); attribute = RTA_NEXT(attribute, rest))
        if (attribute->rta_type == UNIX_DIAG_PEER && RTA_PAYLOAD(attribute) >= sizeof *peer_out) {
            memcpy(peer_out, RTA_DATA(attribute), sizeof *peer_out);
            return *peer_out ? 0 : -ENOENT;
        }
    return -ENOENT;
}

int guise_diag_peer(int diag, uint32_t inode, uint64_t cookie, uint32_t *peer_inode, uint64_t *peer_cookie) {
    int error = ask(diag, inode, cookie, NULL, peer_inode);
    if (error < 0) return error;
    return ask(diag, *peer_inode, 0, peer_cookie, NULL);
}

bool guise_diag_exists(int diag, uint32_t inode, uint64_t cookie) {
    return ask(diag, inode, cookie, NULL, NULL) != -ENOENT;
}

int guise_notify(const char *socket_name, const char *message) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    size_t length = strlen(socket_name);
    if (length == 0 || length >= sizeof name.sun_path) return -EINVAL;
    memcpy(name.sun_path, socket_name, length);
    if (socket_name[0] == '@') name.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    ssize_t sent = sendto(fd, message, strlen(message), MSG_NOSIGNAL, (struct sockaddr *)&name,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    int error = errno;
    close(fd);
    return sent < 0 ? -error : 0;
}

int guise_unix_own_abstract_name(int socket, char *out, size_t capacity) {
    struct sockaddr_un name;
    socklen_t size = sizeof name;
    if (getsockname(socket, (struct sockaddr *)&name, &size) < 0) return -errno;
    size_t offset = offsetof(struct sockaddr_un, sun_path);
    if (size <= offset || size > sizeof name || name.sun_path[0] != 0) return -ENOENT;
    size_t length = size - offset - 1;
    if (length > capacity) return -ENAMETOOLONG;
    memcpy(out, name.sun_path + 1, length);
    return (int)length;
}

int guise_unix_take_after(int socket, int other) {
    int flags = fcntl(other, F_GETFL);
    if (flags < 0 || fcntl(socket, F_SETFL, flags) < 0) return -errno;
    int passes = option(other, SO_PASSCRED);
    if (passes < 0) return passes;
    return result(setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &passes, sizeof passes));
}

int64_t guise_socket_owner(int socket) {
    struct stat status;
    return fstat(socket, &status) == 0 && S_ISSOCK(status.st_mode) ? (int64_t)status.st_uid : -1;
}
