/*
 * A service in C that goes wrong on purpose, and one that asks for all there is:
 *
 *     attack arguments SOCKET          what makes no sense, before and after attaching
 *     attack threads SOCKET FILE       threads, children and closed connections; FILE is its client's alone
 *     attack leak SOCKET               the same things ten thousand times
 *     attack show SOCKET               prints what it learns of one client after the other, until one says "end"
 *     attack lost SOCKET FILE          goes on after the authority has gone, which its client says
 *     attack pipe NAME SERVER          a named pipe, whose client it is itself; SERVER is its own SID
 *     attack connect SOCKET LEVEL FLAGS TEXT    a client that sends TEXT
 *
 * Each expectation is a line, "ok" or "FAILED"; the exit status is 0 if none failed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <guise.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int failures;

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        errno = 0;                                                                                 \
        int met = (condition);                                                                     \
        int error = errno;                                                                         \
        if (!met) failures++;                                                                      \
        printf("%s %d: %s (errno %d, \"%s\")\n", met ? "ok" : "FAILED", __LINE__, #condition, error, \
               met ? "" : guise_error_message());                                                  \
    } while (0)

/* Fails with this errno value, and says why. */
#define REFUSED(call, code) EXPECT((call) == -1 && errno == (code) && guise_error_message()[0] != 0)

static int opens(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    close(file);
    return 0;
}

static void say_serving(void) {
    printf("serving\n");
    fflush(stdout);
}

static int attach(size_t threads) { return guise_attach(GUISE_API_VERSION, NULL, 0, threads); }

static int listen_at(const char *path) {
    int listener = guise_listen(path, 0666, 16);
    if (listener < 0) {
        fprintf(stderr, "attack: %s\n", guise_error_message());
        exit(1);
    }
    return listener;
}

/* ---- arguments ---- */

/* What is no handle: never was, was made up, or points somewhere. */
static void refuse_handles(void *handle, int code) {
    char text[256];
    uint32_t number = 7;
    uint64_t big = 7;
    uid_t user = 7;
    void *made = (void *)1;
    unsigned char bytes[8] = {0};
    REFUSED(guise_connection_fd(handle), code);
    REFUSED(guise_connection_level(handle), code);
    REFUSED(guise_connection_peer(handle, NULL, NULL), code);
    REFUSED(guise_connection_close(handle), code);
    REFUSED(guise_impersonate(handle), code);
    REFUSED(guise_client_token(handle, (guise_token **)&made), code);
    REFUSED(guise_token_close(handle), code);
    REFUSED(guise_token_user(handle, text, sizeof text), code);
    REFUSED(guise_token_user_name(handle, text, sizeof text), code);
    REFUSED(guise_token_level(handle), code);
    REFUSED(guise_token_integrity(handle, &number), code);
    REFUSED(guise_token_session(handle, &big), code);
    REFUSED(guise_token_unix_user(handle, &user), code);
    REFUSED(guise_token_group_count(handle), code);
    REFUSED(guise_token_group(handle, 0, text, sizeof text, &number), code);
    REFUSED(guise_token_group_name(handle, 0, text, sizeof text), code);
    REFUSED(guise_token_privileges(handle, &big, &big), code);
    REFUSED(guise_access_check(handle, bytes, sizeof bytes, 1, NULL, NULL), code);
    REFUSED(guise_membership_check(handle, "S-1-1-0"), code);
    REFUSED(guise_privilege_check(handle, "SeDebugPrivilege"), code);
    REFUSED(guise_pipe_accept(handle, (guise_connection **)&made), code);
    REFUSED(guise_pipe_fd(handle), code);
    REFUSED(guise_pipe_close(handle), code);
    EXPECT(number == 7 && big == 7 && user == 7 && made == (void *)1);
}

static void refuse_arguments(void) {
    guise_connection *connection = NULL;
    guise_pipe *pipe = NULL;
    REFUSED(guise_listen(NULL, 0600, 1), EINVAL);
    REFUSED(guise_listen("/tmp", 0600, 1), EADDRINUSE);
    REFUSED(guise_listen("/tmp/guise-x", 01000, 1), EINVAL);
    REFUSED(guise_listen("/tmp/guise-x", 0600, 0), EINVAL);
    char longest[200];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    REFUSED(guise_listen(longest, 0600, 1), ENAMETOOLONG);
    REFUSED(guise_connect(NULL, GUISE_IMPERSONATION, 0, &connection), EINVAL);
    REFUSED(guise_connect("/nowhere", GUISE_IMPERSONATION, 0, &connection), ENOENT);
    REFUSED(guise_connect("/nowhere", GUISE_IMPERSONATION, 0, NULL), EINVAL);
    REFUSED(guise_connect("/nowhere", -1, 0, &connection), EINVAL);
    REFUSED(guise_connect("/nowhere", 4, 0, &connection), EINVAL);
    REFUSED(guise_connect("/nowhere", 256, 0, &connection), EINVAL);
    REFUSED(guise_connect("/nowhere", GUISE_IMPERSONATION, 4, &connection), EINVAL);
    REFUSED(guise_connect("/\xff", GUISE_IMPERSONATION, 0, &connection), EILSEQ);
    REFUSED(guise_connect(longest, GUISE_IMPERSONATION, 0, &connection), ENAMETOOLONG);
    REFUSED(guise_pipe_create(NULL, 0, 0, NULL, 0, &pipe), EINVAL);
    REFUSED(guise_pipe_create("x", 16, 0, NULL, 0, &pipe), EINVAL);
    REFUSED(guise_pipe_create("x", 0, 256, NULL, 0, &pipe), EINVAL);
    REFUSED(guise_pipe_create("x", 0, 0, NULL, 8, &pipe), EINVAL);
    REFUSED(guise_pipe_create("x", 0, 0, "nonsense", 8, &pipe), EINVAL);
    REFUSED(guise_pipe_create("x", GUISE_PIPE_INBOUND | GUISE_PIPE_OUTBOUND, 0, NULL, 0, &pipe), EINVAL);
    REFUSED(guise_pipe_create("x", 0, 0, NULL, 0, NULL), EINVAL);
    REFUSED(guise_pipe_connect(NULL, 3, 2, 0, 0, NULL, &connection), EINVAL);
    REFUSED(guise_pipe_connect("x", 0, 2, 0, 0, NULL, &connection), EINVAL);
    REFUSED(guise_pipe_connect("x", 4, 2, 0, 0, NULL, &connection), EINVAL);
    REFUSED(guise_pipe_connect("x", 3, 9, 0, 0, NULL, &connection), EINVAL);
    REFUSED(guise_pipe_connect("x", 3, 2, 8, 0, NULL, &connection), EINVAL);
    REFUSED(guise_pipe_connect("x", 3, 2, 0, -2, NULL, &connection), EINVAL);
    REFUSED(guise_pipe_connect("x", 3, 2, 0, 0, "nobody", &connection), EINVAL);
    REFUSED(guise_pipe_connect("x", 3, 2, 0, 0, NULL, NULL), EINVAL);
    EXPECT(connection == NULL && pipe == NULL);
}

/* SIDs, descriptors and names, which need no authority. */
static void convert(void) {
    unsigned char sid[68], small[4] = {9, 9, 9, 9}, descriptor[512];
    char text[512];
    EXPECT(guise_sid_from_text("S-1-5-32-544", sid, sizeof sid) == 16);
    EXPECT(guise_sid_to_text(sid, 16, text, sizeof text) == 12 && !strcmp(text, "S-1-5-32-544"));
    EXPECT(guise_sid_to_text(sid, 16, NULL, 0) == 12);
    EXPECT(guise_sid_to_text(sid, 16, text, 6) == 12 && !strcmp(text, "S-1-5"));
    EXPECT(guise_sid_to_text(sid, 16, text, 1) == 12 && text[0] == 0);
    EXPECT(guise_sid_from_text("S-1-5-32-544", NULL, 0) == 16);
    EXPECT(guise_sid_from_text("S-1-5-32-544", small, sizeof small) == 16 && small[0] == 9);
    REFUSED(guise_sid_from_text("S-1-5-32-544", NULL, 16), EINVAL);
    REFUSED(guise_sid_from_text("alice", sid, sizeof sid), EINVAL);
    REFUSED(guise_sid_from_text(NULL, sid, sizeof sid), EINVAL);
    REFUSED(guise_sid_from_text("S-1-\xc3(", sid, sizeof sid), EILSEQ);
    REFUSED(guise_sid_to_text(sid, 15, text, sizeof text), EINVAL);
    REFUSED(guise_sid_to_text(NULL, 16, text, sizeof text), EINVAL);
    REFUSED(guise_sid_to_text(sid, (size_t)-1, text, sizeof text), EINVAL);
    REFUSED(guise_sid_to_text(sid, 16, NULL, 8), EINVAL);
    REFUSED(guise_sid_to_text(sid, 16, text, (size_t)-1), EINVAL);

    int length = guise_descriptor_from_sddl("O:BAG:SYD:(A;;FA;;;BA)", descriptor, sizeof descriptor);
    EXPECT(length > 20 && length < (int)sizeof descriptor);
    EXPECT(guise_descriptor_to_sddl(descriptor, (size_t)length, text, sizeof text) > 0
           && !strcmp(text, "O:BAG:SYD:(A;;FA;;;BA)"));
    EXPECT(guise_descriptor_from_sddl("O:BAG:SYD:(A;;FA;;;BA)", NULL, 0) == length);
    REFUSED(guise_descriptor_from_sddl("O:BAG:SYD:(A;;", descriptor, sizeof descriptor), EINVAL);
    EXPECT(strstr(guise_error_message(), "column") != NULL);
    REFUSED(guise_descriptor_from_sddl(NULL, descriptor, sizeof descriptor), EINVAL);
    REFUSED(guise_descriptor_to_sddl(descriptor, 3, text, sizeof text), EINVAL);
    REFUSED(guise_descriptor_to_sddl(NULL, 0, text, sizeof text), EINVAL);
    REFUSED(guise_descriptor_to_sddl(descriptor, 1 << 20, text, sizeof text), EINVAL);

    EXPECT(guise_privilege_name(29, text, sizeof text) == 22 && !strcmp(text, "SeImpersonatePrivilege"));
    REFUSED(guise_privilege_name(0, text, sizeof text), ENOENT);
    REFUSED(guise_privilege_name(-1, text, sizeof text), ENOENT);
    REFUSED(guise_privilege_name(64, text, sizeof text), ENOENT);
}

static void *fresh_thread(void *unused) {
    (void)unused;
    EXPECT(guise_error_message()[0] == 0);
    return NULL;
}

static int arguments(const char *path) {
    guise_connection *connection = NULL;
    guise_token *token = NULL;
    guise_pipe *pipe = NULL;
    pthread_t thread;
    EXPECT(guise_error_message()[0] == 0);
    EXPECT(guise_api_version() == GUISE_API_VERSION);
    EXPECT(guise_revert() == 0);
    convert();
    refuse_handles(NULL, EINVAL);
    refuse_handles((void *)8, EBADF);
    refuse_handles(&connection, EBADF);
    refuse_arguments();
    /* The message is each thread's own. */
    pthread_create(&thread, NULL, fresh_thread, NULL);
    pthread_join(thread, NULL);

    /* Not attached. */
    int early = listen_at(path);
    REFUSED(guise_thread_token(&token), ENOTCONN);
    REFUSED(guise_process_token(&token), ENOTCONN);
    REFUSED(guise_connection_open(early, 0, &connection), ENOTCONN);
    REFUSED(guise_pipe_create("x", 0, 0, NULL, 0, &pipe), ENOTCONN);

    REFUSED(guise_attach(0, NULL, 0, 0), EINVAL);
    REFUSED(guise_attach(GUISE_API_VERSION + 1, NULL, 0, 0), EINVAL);
    REFUSED(guise_attach(GUISE_API_VERSION, NULL, 2, 0), EINVAL);
    REFUSED(guise_attach(GUISE_API_VERSION, NULL, 0, 16385), EINVAL);
    REFUSED(guise_attach(GUISE_API_VERSION, NULL, 0, (size_t)-1), EINVAL);
    REFUSED(guise_attach(GUISE_API_VERSION, "/nowhere", 0, 0), ECONNREFUSED);
    REFUSED(guise_attach(GUISE_API_VERSION, "\xff", 0, 0), EILSEQ);
    EXPECT(attach(0) == 0);
    REFUSED(attach(0), EALREADY);

    refuse_handles(NULL, EINVAL);
    refuse_handles((void *)(intptr_t)-1, EBADF);
    refuse_arguments();
    REFUSED(guise_thread_token(NULL), EINVAL);
    REFUSED(guise_process_token(NULL), EINVAL);
    REFUSED(guise_accept(early, NULL), EINVAL);
    REFUSED(guise_accept(-1, &connection), EBADF);
    REFUSED(guise_accept(1, &connection), ENOTSOCK);
    REFUSED(guise_connection_open(-1, 0, &connection), EBADF);
    REFUSED(guise_connection_open(early, 2, &connection), EINVAL);
    REFUSED(guise_connection_open(early, 0, NULL), EINVAL);
    REFUSED(guise_connection_open(early, 0, &connection), ECONNABORTED);
    EXPECT(fcntl(early, F_GETFD) >= 0);
    int other_family = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REFUSED(guise_connection_open(other_family, 0, &connection), EPROTOTYPE);
    EXPECT(close(other_family) == 0);
    fcntl(early, F_SETFL, O_NONBLOCK);
    REFUSED(guise_accept(early, &connection), EAGAIN);
    fcntl(early, F_SETFL, 0);
    say_serving();

    EXPECT(guise_accept(early, &connection) == 0);
    REFUSED(guise_client_token(connection, NULL), EINVAL);
    EXPECT(guise_client_token(connection, &token) == 0);
    /* A handle of another kind. */
    REFUSED(guise_token_close((guise_token *)connection), EBADF);
    REFUSED(guise_connection_close((guise_connection *)token), EBADF);
    REFUSED(guise_pipe_close((guise_pipe *)token), EBADF);
    REFUSED(guise_token_user(token, NULL, 5), EINVAL);
    REFUSED(guise_token_integrity(token, NULL), EINVAL);
    REFUSED(guise_token_session(token, NULL), EINVAL);
    REFUSED(guise_token_unix_user(token, NULL), EINVAL);
    REFUSED(guise_token_group(token, -1, NULL, 0, NULL), EINVAL);
    REFUSED(guise_token_group(token, guise_token_group_count(token), NULL, 0, NULL), EINVAL);
    REFUSED(guise_token_group_name(token, 1 << 30, NULL, 0), EINVAL);
    REFUSED(guise_membership_check(token, NULL), EINVAL);
    REFUSED(guise_membership_check(token, "alice"), EINVAL);
    REFUSED(guise_privilege_check(token, NULL), EINVAL);
    REFUSED(guise_privilege_check(token, "SeNothingPrivilege"), EINVAL);
    uint32_t granted = 7;
    REFUSED(guise_access_check(token, NULL, 0, 1, NULL, &granted), EINVAL);
    EXPECT(granted == 0);
    granted = 7;
    REFUSED(guise_access_check(token, "nonsense", 8, 1, NULL, &granted), EINVAL);
    EXPECT(granted == 0);
    REFUSED(guise_access_check(token, "nonsense", (size_t)-8, 1, NULL, &granted), EINVAL);
    /* No owner. */
    unsigned char descriptor[128];
    int length = guise_descriptor_from_sddl("D:(A;;FA;;;WD)", descriptor, sizeof descriptor);
    REFUSED(guise_access_check(token, descriptor, (size_t)length, 1, NULL, &granted), EINVAL);
    EXPECT(guise_token_close(token) == 0);
    refuse_handles(token, EBADF);
    /* The side that connected has nobody to impersonate. */
    guise_connection *other = NULL;
    EXPECT(guise_connect(path, GUISE_IMPERSONATION, 0, &other) == 0);
    REFUSED(guise_impersonate(other), EPROTOTYPE);
    REFUSED(guise_client_token(other, &token), EPROTOTYPE);
    EXPECT(guise_connection_close(other) == 0);
    EXPECT(guise_connection_close(connection) == 0);
    refuse_handles(connection, EBADF);
    close(early);
    return failures;
}

/* ---- threads ---- */

static const char *secret;

static void *try_secret(void *result) {
    *(int *)result = opens(secret) == 0 ? 0 : errno;
    return NULL;
}

/* What a thread that does not impersonate gets. */
static int elsewhere(void) {
    pthread_t thread;
    int result = -1;
    pthread_create(&thread, NULL, try_secret, &result);
    pthread_join(thread, NULL);
    return result;
}

/* Ends as the client. */
static void *act_and_end(void *connection) {
    return guise_impersonate(connection) == 0 && opens(secret) == 0 ? connection : NULL;
}

static int level_of_thread(void) {
    guise_token *token;
    if (guise_thread_token(&token) < 0) return -1;
    int level = guise_token_level(token);
    guise_token_close(token);
    return level;
}

static int threads(const char *path, const char *file) {
    guise_connection *connection = NULL, *again = NULL;
    guise_token *token = NULL;
    secret = file;
    EXPECT(attach(4) == 0);
    int listener = listen_at(path);
    say_serving();
    EXPECT(guise_accept(listener, &connection) == 0);

    EXPECT(opens(file) == -1 && errno == EACCES);
    EXPECT(guise_revert() == 0);
    EXPECT(level_of_thread() == GUISE_PRIMARY);
    EXPECT(guise_impersonate(connection) == 0);
    EXPECT(opens(file) == 0);
    EXPECT(level_of_thread() == GUISE_IMPERSONATION);
    /* Neither another thread nor one that this one starts. */
    EXPECT(elsewhere() == EACCES);
    EXPECT(guise_impersonate(connection) == 0 && opens(file) == 0);

    /* A child is nobody's client, and has no handles. */
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        EXPECT(opens(file) == -1 && errno == EACCES);
        EXPECT(guise_revert() == 0);
        REFUSED(guise_impersonate(connection), EBADF);
        REFUSED(guise_client_token(connection, &token), EBADF);
        REFUSED(guise_connection_close(connection), EBADF);
        REFUSED(guise_thread_token(&token), ENOTCONN);
        EXPECT(opens(file) == -1 && errno == EACCES);
        /* It can attach itself, and then has clients of its own. */
        EXPECT(attach(4) == 0);
        EXPECT(level_of_thread() == GUISE_PRIMARY);
        REFUSED(guise_impersonate(connection), EBADF);
        EXPECT(guise_accept(listener, &again) == 0);
        EXPECT(guise_impersonate(again) == 0 && opens(file) == 0);
        EXPECT(guise_revert() == 0 && opens(file) == -1);
        EXPECT(guise_connection_close(again) == 0);
        fflush(stdout);
        _exit(failures != 0);
    }
    int status = -1;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    EXPECT(opens(file) == 0);

    /* Threads that end as the client give back what they had, many times over. */
    int acted = 0;
    for (int i = 0; i < 500; i++) {
        pthread_t thread;
        void *result = NULL;
        pthread_create(&thread, NULL, act_and_end, connection);
        pthread_join(thread, &result);
        acted += result == connection;
    }
    EXPECT(acted == 500);
    EXPECT(elsewhere() == EACCES);

    /* Closing the connection ends nothing that goes on; nothing new begins with it. */
    EXPECT(guise_connection_close(connection) == 0);
    EXPECT(opens(file) == 0);
    REFUSED(guise_impersonate(connection), EBADF);
    EXPECT(opens(file) == 0);
    REFUSED(guise_connection_close(connection), EBADF);
    EXPECT(guise_revert() == 0);
    EXPECT(opens(file) == -1 && errno == EACCES);
    EXPECT(guise_revert() == 0);

    /* A socket that somebody else accepted, and keeps. */
    int socket = accept(listener, NULL, NULL);
    EXPECT(guise_connection_open(socket, GUISE_BORROW, &again) == 0);
    REFUSED(guise_connection_fd(again), EINVAL);
    EXPECT(guise_impersonate(again) == 0 && opens(file) == 0 && guise_revert() == 0);
    EXPECT(guise_connection_close(again) == 0 && fcntl(socket, F_GETFD) >= 0);
    EXPECT(guise_connection_open(socket, 0, &again) == 0 && guise_connection_fd(again) == socket);
    EXPECT(guise_impersonate(again) == 0 && opens(file) == 0 && guise_revert() == 0);
    EXPECT(guise_connection_close(again) == 0);
    EXPECT(fcntl(socket, F_GETFD) == -1 && errno == EBADF);
    return failures;
}

/* ---- leak ---- */

static int count_descriptors(void) {
    int count = 0;
    for (int i = 0; i < 1024; i++) count += fcntl(i, F_GETFD) >= 0;
    return count;
}

static int once(guise_connection *connection, int whole) {
    guise_token *token;
    char text[8];
    if (guise_impersonate(connection) || guise_revert()) return -1;
    if (guise_token_user((guise_token *)8, text, sizeof text) != -1) return -1;
    if (!whole) return 0;
    if (guise_client_token(connection, &token) || guise_token_user(token, text, sizeof text) < 0) return -1;
    if (guise_membership_check(token, "S-1-1-0") || guise_token_close(token)) return -1;
    return 0;
}

static int leak(const char *path) {
    guise_connection *connection = NULL;
    EXPECT(attach(0) == 0);
    int listener = listen_at(path);
    say_serving();
    EXPECT(guise_accept(listener, &connection) == 0);
    int failed = 0;
    for (int i = 0; i < 500; i++) failed += once(connection, 1);
    int descriptors = count_descriptors();
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 10000; i++) failed += once(connection, i % 10 == 0);
    size_t after = mallinfo2().uordblks;
    printf("bytes in use: %zu before, %zu after\n", before, after);
    EXPECT(failed == 0);
    EXPECT(after < before + 64 * 1024);
    EXPECT(count_descriptors() == descriptors);

    /* Connections, too, while one client connects again and again. */
    for (int i = 0; i < 300; i++) {
        guise_connection *one = NULL, *other = NULL;
        if (i == 100) {
            descriptors = count_descriptors();
            before = mallinfo2().uordblks;
        }
        failed += guise_connect(path, GUISE_IMPERSONATION, 0, &one);
        failed += guise_accept(listener, &other);
        failed += guise_impersonate(other) | guise_revert();
        failed += guise_connection_close(one) | guise_connection_close(other);
    }
    after = mallinfo2().uordblks;
    printf("bytes in use: %zu before, %zu after\n", before, after);
    EXPECT(failed == 0);
    EXPECT(after < before + 64 * 1024);
    EXPECT(count_descriptors() == descriptors);
    return failures;
}

/* ---- show ---- */

static void show_token(const char *whose, guise_token *token) {
    char text[512], name[512] = "-";
    uint32_t number = 0;
    uint64_t present = 0, enabled = 0, session = 0;
    uid_t user = (uid_t)-1;
    EXPECT(guise_token_user(token, text, sizeof text) == (int)strlen(text));
    if (guise_token_user_name(token, name, sizeof name) < 0) EXPECT(errno == ENOENT || strcmp(name, "-") == 0);
    EXPECT(guise_token_integrity(token, &number) == 0);
    EXPECT(guise_token_session(token, &session) == 0 && session != 0);
    if (guise_token_unix_user(token, &user) < 0) user = (uid_t)-1;
    EXPECT(guise_token_privileges(token, &present, &enabled) == 0 && (enabled & ~present) == 0);
    EXPECT(guise_token_privileges(token, NULL, NULL) == 0);
    printf("%s user=%s name=%s level=%d integrity=0x%x unix=%d change-notify=%d impersonate=%d\n", whose, text, name,
           guise_token_level(token), (unsigned)number, (int)user, (int)(enabled >> 23 & 1), (int)(enabled >> 29 & 1));
    EXPECT((guise_privilege_check(token, "SeChangeNotifyPrivilege") == 0) == (int)(enabled >> 23 & 1));
    EXPECT((guise_privilege_check(token, "seimpersonateprivilege") == 0) == (int)(enabled >> 29 & 1));
    int count = guise_token_group_count(token), everyone = 0;
    for (int i = 0; i < count; i++) {
        char group[256], called[256] = "-";
        uint32_t attributes = 0;
        EXPECT(guise_token_group(token, i, group, sizeof group, &attributes) == (int)strlen(group));
        guise_token_group_name(token, i, called, sizeof called);
        printf("%s group=%s name=%s attributes=0x%x\n", whose, group, called, (unsigned)attributes);
        if (!strcmp(group, "S-1-1-0")) everyone = attributes >> 2 & 1;
    }
    EXPECT((guise_membership_check(token, "S-1-1-0") == 0) == everyone);
    EXPECT(guise_membership_check(token, text) == 0);
    REFUSED(guise_membership_check(token, "S-1-5-21-1-2-3-4"), EACCES);
}

/* What `token` gets of `wanted` by a descriptor: the rights, or minus errno. */
static long ask(guise_token *token, const char *sddl, uint32_t wanted, const struct guise_mapping *mapping) {
    unsigned char descriptor[1024];
    uint32_t granted = 7;
    int length = guise_descriptor_from_sddl(sddl, descriptor, sizeof descriptor);
    if (length < 0) return -1000;
    int result = guise_access_check(token, descriptor, (size_t)length, wanted, mapping, &granted);
    if (result < 0 && granted != 0) return -1001;
    return result < 0 ? -(long)errno : (long)granted;
}

static int show(const char *path) {
    EXPECT(attach(0) == 0);
    guise_token *own = NULL;
    EXPECT(guise_process_token(&own) == 0);
    EXPECT(guise_token_level(own) == GUISE_PRIMARY);
    show_token("own", own);
    EXPECT(guise_token_close(own) == 0);
    int listener = listen_at(path);
    say_serving();
    for (;;) {
        guise_connection *connection = NULL;
        guise_token *token = NULL, *thread = NULL;
        char line[512] = "", user[256], sddl[512];
        pid_t process = -1;
        uint64_t session = 7;
        EXPECT(guise_accept(listener, &connection) == 0);
        ssize_t length = read(guise_connection_fd(connection), line, sizeof line - 1);
        if (length <= 0 || !strncmp(line, "end", 3)) break;
        line[strcspn(line, "\n")] = 0;
        int level = guise_connection_level(connection);
        EXPECT(guise_connection_peer(connection, &process, &session) == 0);
        EXPECT((process > 0) == (level > GUISE_ANONYMOUS) && (session != 0) == (level > GUISE_ANONYMOUS));
        EXPECT(guise_connection_peer(connection, NULL, NULL) == 0);
        EXPECT(guise_client_token(connection, &token) == 0);
        EXPECT(guise_token_level(token) == level);
        show_token(line, token);
        EXPECT(guise_token_user(token, user, sizeof user) > 0);

        /* What the client may, whether or not the service may act as it. */
        int known = level > GUISE_ANONYMOUS;
        snprintf(sddl, sizeof sddl, "O:SYG:SYD:(A;;FR;;;%s)", user);
        struct guise_mapping own_kind = {1, 2, 4, 0xf};
        EXPECT(ask(token, sddl, 0x1, NULL) == (known ? 0x1 : -EACCES));
        EXPECT(ask(token, sddl, 0x80000000u, NULL) == (known ? 0x120089 : -EACCES));
        EXPECT(ask(token, sddl, GUISE_MAXIMUM_ALLOWED, NULL) == (known ? 0x120089 : -EACCES));
        EXPECT(ask(token, sddl, 0x3, NULL) == -EACCES);
        EXPECT(ask(token, "O:SYG:SYD:(A;;GR;;;WD)", 0x80000000u, &own_kind) == (known ? 1 : -EACCES));
        EXPECT(ask(token, "O:SYG:SYD:", 0x1, NULL) == -EACCES);

        /* What the thread may. */
        EXPECT(guise_impersonate(connection) == 0);
        EXPECT(guise_thread_token(&thread) == 0);
        EXPECT(guise_token_level(thread) == level);
        snprintf(sddl, sizeof sddl, "O:SYG:SYD:(A;;FR;;;%s)", user);
        EXPECT(ask(thread, sddl, 0x1, NULL) == (level >= GUISE_IMPERSONATION || !known ? 0x1 : -EACCES));
        EXPECT(guise_revert() == 0);
        EXPECT(guise_token_close(thread) == 0);
        EXPECT(guise_token_close(token) == 0);
        EXPECT(write(guise_connection_fd(connection), "seen\n", 5) == 5);
        EXPECT(guise_connection_close(connection) == 0);
    }
    return failures;
}

/* ---- lost ---- */

static int lost(const char *path, const char *file) {
    guise_connection *connection = NULL;
    guise_token *token = NULL;
    char line[16];
    EXPECT(attach(0) == 0);
    int listener = listen_at(path);
    say_serving();
    EXPECT(guise_accept(listener, &connection) == 0);
    EXPECT(guise_impersonate(connection) == 0 && opens(file) == 0 && guise_revert() == 0);
    EXPECT(write(guise_connection_fd(connection), "acted\n", 6) == 6);
    EXPECT(read(guise_connection_fd(connection), line, sizeof line) > 0);
    int result = 0;
    for (int i = 0; i < 500 && result == 0; i++) {
        result = guise_impersonate(connection);
        EXPECT(result == -1 || opens(file) == -1);
        if (result == 0) guise_revert();
        usleep(10000);
    }
    REFUSED(guise_impersonate(connection), ECONNRESET);
    REFUSED(guise_client_token(connection, &token), ECONNRESET);
    REFUSED(guise_thread_token(&token), ECONNRESET);
    REFUSED(guise_accept(listener, &connection), ECONNRESET);
    EXPECT(guise_revert() == 0 && guise_connection_close(connection) == 0);
    return failures;
}

/* ---- pipe ---- */

struct waiting {
    guise_pipe *pipe;
    guise_connection *connection;
    int result, error;
};

static void *wait_for_client(void *argument) {
    struct waiting *waiting = argument;
    waiting->result = guise_pipe_accept(waiting->pipe, &waiting->connection);
    waiting->error = errno;
    return NULL;
}

static int pipes(const char *name, const char *own) {
    guise_pipe *server = NULL, *joined = NULL;
    guise_connection *client = NULL, *served = NULL;
    guise_token *token = NULL;
    unsigned char descriptor[512];
    char text[256];
    EXPECT(attach(0) == 0);
    snprintf(text, sizeof text, "O:%sG:SYD:(A;;FA;;;%s)", own, own);
    int length = guise_descriptor_from_sddl(text, descriptor, sizeof descriptor);
    REFUSED(guise_pipe_connect(name, GUISE_PIPE_READ, GUISE_IMPERSONATION, 0, 0, NULL, &client), ENOENT);
    EXPECT(guise_pipe_create(name, GUISE_PIPE_MESSAGES | GUISE_PIPE_FIRST, 1, descriptor, (size_t)length, &server)
           == 0);
    REFUSED(guise_pipe_create(name, GUISE_PIPE_MESSAGES | GUISE_PIPE_FIRST, 1, NULL, 0, &joined), EEXIST);
    say_serving();
    REFUSED(guise_pipe_connect(name, GUISE_PIPE_READ, GUISE_IMPERSONATION, 0, 0, "S-1-5-21-1-2-3-4", &client),
            EACCES);
    int both = GUISE_PIPE_READ | GUISE_PIPE_WRITE;
    EXPECT(guise_pipe_connect(name, both, GUISE_IDENTIFICATION, GUISE_EFFECTIVE_ONLY, 0, own, &client) == 0);
    struct pollfd ready = {guise_pipe_fd(server), POLLIN, 0};
    EXPECT(poll(&ready, 1, 5000) == 1);
    EXPECT(guise_pipe_accept(server, &served) == 0);
    EXPECT(guise_connection_level(served) == GUISE_IDENTIFICATION);
    EXPECT(write(guise_connection_fd(client), "hello", 5) == 5);
    EXPECT(read(guise_connection_fd(served), text, sizeof text) == 5);
    EXPECT(guise_client_token(served, &token) == 0);
    EXPECT(guise_token_user(token, text, sizeof text) > 0 && !strcmp(text, own));
    EXPECT(guise_token_close(token) == 0);
    guise_connection *third = NULL;
    REFUSED(guise_pipe_connect(name, both, GUISE_IMPERSONATION, 0, 0, NULL, &third), EBUSY);
    REFUSED(guise_pipe_connect(name, both, GUISE_IMPERSONATION, 0, 50, NULL, &third), EBUSY);
    EXPECT(guise_connection_close(served) == 0 && guise_connection_close(client) == 0);
    EXPECT(guise_pipe_connect(name, both, GUISE_IMPERSONATION, GUISE_DYNAMIC, -1, NULL, &client) == 0);
    EXPECT(guise_pipe_accept(server, &served) == 0);
    EXPECT(guise_impersonate(served) == 0 && guise_revert() == 0);
    EXPECT(guise_connection_close(served) == 0 && guise_connection_close(client) == 0);

    /* Who waits for a client when the pipe is closed is told. */
    pthread_t thread;
    struct waiting waiting = {server, NULL, 0, 0};
    pthread_create(&thread, NULL, wait_for_client, &waiting);
    usleep(50000);
    EXPECT(guise_pipe_close(server) == 0);
    pthread_join(thread, NULL);
    EXPECT(waiting.result == -1 && (waiting.error == EPIPE || waiting.error == EBADF));
    REFUSED(guise_pipe_close(server), EBADF);
    return failures;
}

/* ---- connect ---- */

static int connect_to(const char *path, int level, unsigned flags, const char *text) {
    guise_connection *connection = NULL;
    char answer[512];
    if (guise_connect(path, level, flags, &connection) < 0) {
        printf("%d %s\n", errno, guise_error_message());
        return 1;
    }
    int socket = guise_connection_fd(connection);
    dprintf(socket, "%s\n", text);
    ssize_t length = read(socket, answer, sizeof answer);
    if (length > 0) fwrite(answer, 1, (size_t)length, stdout);
    return guise_connection_close(connection) != 0;
}

int main(int count, char **words) {
    const char *what = count > 2 ? words[1] : "";
    int failed = 64;
    if (!strcmp(what, "arguments")) failed = arguments(words[2]);
    if (!strcmp(what, "threads") && count > 3) failed = threads(words[2], words[3]);
    if (!strcmp(what, "leak")) failed = leak(words[2]);
    if (!strcmp(what, "lost") && count > 3) failed = lost(words[2], words[3]);
    if (!strcmp(what, "show")) failed = show(words[2]);
    if (!strcmp(what, "pipe") && count > 3) failed = pipes(words[2], words[3]);
    if (!strcmp(what, "connect") && count > 5)
        failed = connect_to(words[2], atoi(words[3]), (unsigned)atoi(words[4]), words[5]);
    fflush(stdout);
    return failed ? 1 : 0;
}
