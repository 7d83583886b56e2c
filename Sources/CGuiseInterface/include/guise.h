/*
 * guise.h: act as one's client, from C and whatever calls C.
 *
 * A service attaches once, accepts connections on Unix sockets, and has a thread act as the client of one:
 *
 *     guise_attach(GUISE_API_VERSION, NULL, 0, 0);
 *     int listener = guise_listen("/run/files.sock", 0666, 128);
 *     guise_connection *client;
 *     guise_accept(listener, &client);
 *     if (guise_impersonate(client) == 0) {
 *         int file = open("/srv/files/plan", O_RDONLY);     // what the client may have, or EACCES
 *         guise_revert();
 *     }
 *
 * Link with `pkg-config --cflags --libs guise`. The service is started by guise(1) `run`.
 *
 * Every function:
 *   - returns 0 or more when it did what it says, and -1 otherwise. It then has set errno, and guise_error_message()
 *     says what was refused, by which rule, and what to do next. Checks, too, return 0 for yes and -1 for no and for
 *     whatever went wrong, so that only == 0 ever lets anybody in.
 *   - may be called from any thread, whoever made it, at any time. None of them calls back, and none changes signals.
 *   - takes NULL, a handle that was closed and a number out of its range for an error (EINVAL, EBADF), and not for a
 *     reason to end the program. A pointer to fewer bytes than said is another matter.
 *   - leaves alone what its out parameters point to when it fails, but for `granted`.
 *
 * Handles (guise_connection *, guise_token *, guise_pipe *) point to nothing, and no number is given twice: one that
 * was closed is EBADF for good. A child made by fork(2) has none of its parent's, and is not attached; it may attach
 * itself.
 *
 * Texts are UTF-8, end in a zero byte, and are written as snprintf(3) writes: at most `size` bytes with that byte,
 * and what is returned is how long the whole text is without it. So a result of `size` or more says that
 * something is missing. `text` may be NULL if `size` is 0. Bytes are written whole or not at all; what is returned
 * is how many there are.
 *
 * errno, besides what a system call left:
 *   EINVAL         an argument makes no sense          EBADF        no such handle or descriptor
 *   EPERM          the service may not act as others   EACCES       refused: a descriptor, integrity, a restriction
 *   ENOTCONN       not attached, or a child            EALREADY     attached already
 *   ECONNREFUSED   no authority answers                ECONNRESET   the authority is gone: start the service anew
 *   ECONNABORTED   the client has left: the next one   EPROTOTYPE   not the accepted end of a Unix socket
 *   EOPNOTSUPP     not started by `guise run`          ENOBUFS      more threads than attached for
 *   ENOENT         there is none                       EEXIST       there is one
 *   EBUSY          all instances are taken             EPIPE        it was closed
 *   EDQUOT         a limit of the authority            EIO          the authority failed: see its log
 *   EILSEQ         not UTF-8
 */
#ifndef GUISE_H
#define GUISE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What this header describes. A library of a higher version does all of it. */
#define GUISE_API_VERSION 1

/* A connected Unix socket or named pipe: a client, on the side that accepted it. */
typedef struct guise_connection guise_connection;
/* A copy of a token, for inspection and for decisions. */
typedef struct guise_token guise_token;
/* A process's part in serving a named pipe. */
typedef struct guise_pipe guise_pipe;

/* How much of a client's identity a service may use (SECURITY_IMPERSONATION_LEVEL). */
#define GUISE_ANONYMOUS 0
#define GUISE_IDENTIFICATION 1
#define GUISE_IMPERSONATION 2
#define GUISE_DELEGATION 3
/* guise_token_level() of a process's own token. */
#define GUISE_PRIMARY 4

/* The version of the library, GUISE_API_VERSION when it was built. */
int guise_api_version(void);

/*
 * What went wrong the last time that a function here failed on the calling thread: one or two sentences for a person.
 * Never NULL; "" when nothing has. Belongs to the thread, and is good until its next failure.
 */
const char *guise_error_message(void);

/* ---- Attaching ---- */

/* For guise_attach(): the program checks itself what clients may do; nothing stops it from forgetting to. */
#define GUISE_COOPERATIVE 1u

/*
 * Attaches this process to the authority. Once, before anything else that a service does; a client that only
 * connects does without.
 *
 * version: GUISE_API_VERSION. EINVAL when the library is older.
 * runtime_directory: where guised runs; NULL for $GUISE_RUNTIME_DIR, which `guise run` sets, else /run/guise.
 * flags: 0 or GUISE_COOPERATIVE.
 * threads: how many threads may impersonate at once, 1 to 16384; 0 for 1024.
 *
 * ECONNREFUSED, EOPNOTSUPP, EALREADY, EACCES, EINVAL.
 */
int guise_attach(int version, const char *runtime_directory, unsigned flags, size_t threads);

/* ---- Connections ---- */

/*
 * Makes a listening Unix stream socket. Any other does as well, one from systemd for instance.
 *
 * path: at most 107 bytes. A file that is there is EADDRINUSE, and not removed.
 * mode: of the socket's file, 0 to 0777: who may connect.
 * backlog: 1 or more.
 *
 * Returns the descriptor, which is the caller's, close-on-exec. The file is the caller's to unlink(2).
 */
int guise_listen(const char *path, unsigned mode, int backlog);

/*
 * Waits for a client on a listening Unix socket and captures it: who it is, it stays. On a non-blocking listener it
 * is EAGAIN when nobody waits; a signal that was caught makes it EINTR.
 *
 * After ECONNABORTED, EACCES and EPROTOTYPE go on with the next client: that one has left, or may not be served.
 */
int guise_accept(int listener, guise_connection **connection);

/* For guise_connection_open(): the socket stays the caller's, who may close it before the connection or after. */
#define GUISE_BORROW 1u

/*
 * Captures the client of a socket that was accepted by something else, a stream or seqpacket Unix socket. It takes
 * some 200 microseconds.
 *
 * flags: 0: the socket is closed with the connection; GUISE_BORROW. When this fails the socket is the caller's.
 */
int guise_connection_open(int socket, unsigned flags, guise_connection **connection);

/* For guise_connect() and guise_pipe_connect(): the service gets the token as it is when it impersonates. */
#define GUISE_DYNAMIC 1u
/* The service gets no groups and privileges that are not enabled. */
#define GUISE_EFFECTIVE_ONLY 2u

/*
 * Connects to a service's Unix stream socket, allowing it no more than a level (GUISE_ANONYMOUS to
 * GUISE_DELEGATION). connect(2) allows GUISE_IMPERSONATION, and no authority is needed for that here either.
 *
 * flags: 0, or GUISE_DYNAMIC and GUISE_EFFECTIVE_ONLY joined by |.
 */
int guise_connect(const char *path, int level, unsigned flags, guise_connection **connection);

/* The connected socket, to read and write. It belongs to the connection. EINVAL when it was borrowed. */
int guise_connection_fd(guise_connection *connection);

/* The level that the client allowed: GUISE_ANONYMOUS to GUISE_DELEGATION. */
int guise_connection_level(guise_connection *connection);

/*
 * Who was at the other end when the connection was made: the process, and its logon session. 0 where it is not known,
 * as of a client at GUISE_ANONYMOUS. The process may have ended since; do not decide by it. Either may be NULL.
 */
int guise_connection_peer(guise_connection *connection, pid_t *process, uint64_t *session);

/*
 * Ends the connection and closes its socket, unless that was borrowed. A thread that acts as the client stays the
 * client until guise_revert().
 */
int guise_connection_close(guise_connection *connection);

/* ---- Acting as the client ---- */

/*
 * Makes the calling thread act as the client of a connection that was accepted, until guise_revert(): every access
 * decision on it is made with the client's rights. No other thread notices, none that it starts and no child. A
 * second time replaces the first. When it fails the thread is what it was before.
 *
 * EPERM without SeImpersonatePrivilege, EACCES, ECONNRESET, ENOBUFS, EPROTOTYPE on the side that connected.
 */
int guise_impersonate(guise_connection *connection);

/* Makes the calling thread the service again. Always 0; does nothing on a thread that does not impersonate. */
int guise_revert(void);

/* ---- Tokens ---- */

/* The client's token. Of one at GUISE_ANONYMOUS nothing is known: it is the Anonymous one, S-1-5-7. */
int guise_client_token(guise_connection *connection, guise_token **token);

/* The token that decides for the calling thread: the client's while it impersonates, else the process's. */
int guise_thread_token(guise_token **token);

/* The process's own token. */
int guise_process_token(guise_token **token);

/* Gives up a token. */
int guise_token_close(guise_token *token);

/* The user's SID, "S-1-5-21-...-1013". */
int guise_token_user(guise_token *token, char *text, size_t size);

/* The user's name, "alice" or "NT AUTHORITY\SYSTEM". ENOENT when nobody knows one. */
int guise_token_user_name(guise_token *token, char *text, size_t size);

/* GUISE_ANONYMOUS to GUISE_DELEGATION of an impersonation token, GUISE_PRIMARY of a process's. */
int guise_token_level(guise_token *token);

/* The integrity level, the number at the end of S-1-16-x: 0x2000 is Medium. */
int guise_token_integrity(guise_token *token, uint32_t *level);

/* The number of the logon session. */
int guise_token_session(guise_token *token, uint64_t *session);

/* The Unix user whose rights hold outside managed roots. ENOENT when the token has none. */
int guise_token_unix_user(guise_token *token, uid_t *user);

/* How many groups there are. */
int guise_token_group_count(guise_token *token);

/*
 * The SID of a group. index: from 0 to one less than there are. attributes: where its SE_GROUP_* bits go (4: enabled,
 * 16: for deny entries only); may be NULL.
 */
int guise_token_group(guise_token *token, int index, char *text, size_t size, uint32_t *attributes);

/* The name of a group. ENOENT when nobody knows one. */
int guise_token_group_name(guise_token *token, int index, char *text, size_t size);

/* The privileges that are present and those that are enabled: bit n is the one with the number (LUID) n. */
int guise_token_privileges(guise_token *token, uint64_t *present, uint64_t *enabled);

/* The name of a privilege by its number: 29 is SeImpersonatePrivilege. ENOENT when there is none. */
int guise_privilege_name(int number, char *text, size_t size);

/* ---- Decisions ---- */

/*
 * These are made in this process, from a token as it was when it was opened; open it anew for what has changed since.
 * A token that a thread acts under below GUISE_IMPERSONATION decides as Anonymous. A client's token decides as the
 * client from GUISE_IDENTIFICATION on: that is what the level is for.
 */

/* What the generic rights of a kind of object stand for (GENERIC_MAPPING). */
struct guise_mapping {
    uint32_t read, write, execute, all;
};

/* Those of files and directories, and of named pipes. */
#define GUISE_FILE_MAPPING { 0x120089, 0x120116, 0x1200a0, 0x1f01ff }

/* Asks guise_access_check() for whatever can be granted. */
#define GUISE_MAXIMUM_ALLOWED 0x02000000u

/*
 * 0 if a token has all the rights of `desired` on an object with this security descriptor; -1 with EACCES if not.
 *
 * descriptor, size: self-relative, at most 65535 bytes. EINVAL when it is none or has no owner.
 * desired: rights, generic ones too, or GUISE_MAXIMUM_ALLOWED.
 * mapping: of the kind of object; NULL for GUISE_FILE_MAPPING.
 * granted: where what is granted goes, 0 when it returns -1; may be NULL.
 */
int guise_access_check(guise_token *token, const void *descriptor, size_t size, uint32_t desired,
                       const struct guise_mapping *mapping, uint32_t *granted);

/* 0 if a SID, as text, is the token's user or a group of it that counts; -1 with EACCES if not. */
int guise_membership_check(guise_token *token, const char *sid);

/* 0 if a privilege, by its name, is enabled in the token; -1 with EACCES if not. */
int guise_privilege_check(guise_token *token, const char *name);

/* ---- SIDs and descriptors ---- */

/* A SID of 8 to 68 bytes as text. */
int guise_sid_to_text(const void *sid, size_t length, char *text, size_t size);

/* A SID's bytes from text, "S-1-5-32-544". */
int guise_sid_from_text(const char *text, void *sid, size_t size);

/* A self-relative security descriptor as SDDL. */
int guise_descriptor_to_sddl(const void *descriptor, size_t length, char *text, size_t size);

/* A self-relative security descriptor from SDDL. EINVAL says at which column. */
int guise_descriptor_from_sddl(const char *sddl, void *descriptor, size_t size);

/* ---- Named pipes ---- */

/* For guise_pipe_create(): messages keep their boundaries. */
#define GUISE_PIPE_MESSAGES 1u
/* Only clients send; only the server does. Neither: both do. */
#define GUISE_PIPE_INBOUND 2u
#define GUISE_PIPE_OUTBOUND 4u
/* EEXIST rather than to join others who serve the pipe. */
#define GUISE_PIPE_FIRST 8u

/*
 * Makes a named pipe, or joins those who serve it.
 *
 * name: 1 to 256 characters; \\.\pipe\NAME is the same.
 * flags: GUISE_PIPE_*, joined by |.
 * instances: how many clients may be served at once, 1 to 254; 0 or 255 for no limit.
 * descriptor, size: the security descriptor of a new pipe, self-relative; NULL and 0 for the usual one.
 */
int guise_pipe_create(const char *name, unsigned flags, unsigned instances, const void *descriptor, size_t size,
                      guise_pipe **pipe);

/* Waits for a client of a pipe; it comes captured. EPIPE once the pipe was closed, ECONNRESET without authority. */
int guise_pipe_accept(guise_pipe *pipe, guise_connection **connection);

/* Readable when a client has arrived, to poll it. It belongs to the pipe. */
int guise_pipe_fd(guise_pipe *pipe);

/* Takes no more clients of a pipe; those that were accepted stay connected. */
int guise_pipe_close(guise_pipe *pipe);

/* For guise_pipe_connect(): what for. */
#define GUISE_PIPE_READ 1
#define GUISE_PIPE_WRITE 2

/*
 * Connects to the server of a pipe, allowing it no more than a level.
 *
 * access: GUISE_PIPE_READ, GUISE_PIPE_WRITE, or both joined by |.
 * flags: as for guise_connect().
 * timeout: how long to wait for an instance, in milliseconds; -1 for ever. EBUSY when it is over.
 * server: the SID, as text, of the user whose servers alone are meant; NULL for anybody's.
 */
int guise_pipe_connect(const char *name, int access, int level, unsigned flags, int timeout, const char *server,
                       guise_connection **connection);

#ifdef __cplusplus
}
#endif

#endif
