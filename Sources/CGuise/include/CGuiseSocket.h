// Unix sockets: packets with descriptors and sender, and what the kernel knows of a peer.
#ifndef CGUISE_SOCKET_H
#define CGUISE_SOCKET_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// Sends one packet with at most one descriptor (-1: none).
ssize_t guise_packet_send(int socket, const void *bytes, size_t length, int descriptor, int flags);

struct guise_packet {
    int32_t sender_pid;   // 0 when the kernel did not say (SO_PASSCRED is off)
    int descriptors[10];  // as many as the kernel has room for; the receiver's to close
    int count;
    bool damaged;         // longer than the buffer, or with more than one descriptor
    bool lost;            // whole, but what came with it did not fit: no descriptors are left
};
// Receives one packet; 0 bytes: the peer closed.
ssize_t guise_packet_receive(int socket, void *out, size_t capacity, struct guise_packet *packet, int flags);

struct guise_peer {
    int32_t pid;
    uint32_t uid, gid;
    int pidfd;            // -1 when the peer process has ended
    uint32_t groups[256];
    uint32_t group_count;
};
// Who connected the other end: SO_PEERCRED, SO_PEERPIDFD (Linux 6.5), SO_PEERGROUPS, as of connect().
// -EOVERFLOW: in more than 256 groups.
int guise_peer_of(int socket, struct guise_peer *out);

// unix_listen(path): a bound, listening socket, close-on-exec. type is SOCK_STREAM or SOCK_SEQPACKET.
int guise_unix_listen(const char *path, size_t length, int type, int backlog, uint32_t mode);
int guise_unix_connect(int socket, const char *path, size_t length);
// socketpair(2), close-on-exec.
int guise_unix_pair(int type, int *first, int *second);
// Lets so many times more be sent than received (SO_SNDBUF), as far as the machine allows that.
void guise_socket_widen(int socket, int times);
// connect(2) and bind(2) with an address as it is.
int guise_socket_connect(int socket, const void *address, uint32_t length);
int guise_socket_bind(int socket, const void *address, uint32_t length);
// The most descriptors that go with a message (SCM_MAX_FD of the kernel).
#define GUISE_LARGEST_RIGHTS 253
// Sends one datagram, to an address unless its length is 0, with descriptors if there are any. The receiver is told this
// process and user (SCM_CREDENTIALS), if it asks.
int64_t guise_socket_send_to(int socket, const void *bytes, size_t length, int flags, const void *address,
                             uint32_t address_length, const int *descriptors, size_t count, int32_t pid,
                             uint32_t uid, uint32_t gid);
// bind(2) to a name in the calling thread's working directory.
int guise_unix_bind_here(int socket, const char *name);
// Whether the socket is of the calling thread's network namespace. A failure to ask counts as no.
bool guise_socket_is_of_this_network(int socket);
bool guise_socket_waits(int socket);                      // false: O_NONBLOCK
int guise_unix_socket(int type, bool nonblocking);
int guise_unix_accept(int listener, bool nonblocking);
// Gives a socket an abstract name; -EADDRINUSE when it is taken.
int guise_unix_bind_abstract(int socket, const char *name, size_t length);
// Whether a socket that has a name was shut down or connected: it does not listen any more, whoever asks.
bool guise_unix_is_spent(int socket);
// The name of the other end (without the leading zero byte of an abstract one); returns its length, with
// 0x10000 added for an abstract one; 0: none.
int guise_unix_peer_name(int socket, char *out, size_t capacity);
// The path that this end is bound to, as it was told; returns its length, 0 when it has none.
int guise_unix_own_path(int socket, char *out, size_t capacity);
// The abstract name of this end, without its zero byte; returns its length, -ENOENT when it has none.
int guise_unix_own_abstract_name(int socket, char *out, size_t capacity);
// Makes a socket that is bound already wait and pass credentials as another one does that was to be bound.
int guise_unix_take_after(int socket, int other);
// Who made the socket or, of an accepted one, who accepted it: its user. -1: not known.
int64_t guise_socket_owner(int socket);
// Whether this end has a name. The end that accept(2) returned has its listener's.
bool guise_unix_has_name(int socket);
int guise_socket_domain(int socket);
int guise_socket_type(int socket);
int guise_socket_protocol(int socket);
int guise_socket_pass_credentials(int socket);

// One datagram to a socket named as NOTIFY_SOCKET names it: by path, or abstract after an @.
int guise_notify(const char *socket_name, const char *message);

uint64_t guise_socket_cookie(int socket);                 // SO_COOKIE, unique until restart; 0 on failure
uint32_t guise_socket_inode(int socket);                  // 0 on failure

// sock_diag(7): opens the netlink socket, and asks for the inode of a Unix socket's peer and its cookie.
int guise_diag_open(void);
// 0: found. -ENOENT: no such socket, or it has no peer any more.
int guise_diag_peer(int diag, uint32_t inode, uint64_t cookie, uint32_t *peer_inode, uint64_t *peer_cookie);
// Whether the socket is still there. A failure to ask counts as yes.
bool guise_diag_exists(int diag, uint32_t inode, uint64_t cookie);
#endif
