// What the tests need of Linux and Swift does not import: variadic calls, fork, foreign ABIs, packets that our
// own library would never send.
#ifndef CTESTSUPPORT_H
#define CTESTSUPPORT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// Any system call. Returns its result or a negative errno value.
long test_call(long number, const long arguments[6]);

pid_t test_fork(void);
// fork without libc's handlers.
pid_t test_raw_fork(void);

// getpid through the 32-bit entry and through the x32 ABI. A result or a negative errno value.
long test_int80(void);
long test_x32(void);

// Ends the calling thread behind libc's back.
void test_raw_thread_exit(void);

// Runs a program as the replacement of the process, whatever the other threads do.
int test_exec(const char *program, char *const arguments[]);

// Starts a program in a process group (0: one of its own), its standard streams being these (-1: /dev/null),
// all else closed on exec. Returns the process or a negative errno value.
pid_t test_spawn(const char *program, char *const arguments[], char *const environment[], pid_t group, int in,
                 int out, int error);

// Sends one packet with `count` copies of a descriptor and, when not 0, a made-up sender.
ssize_t test_send(int socket, const void *bytes, size_t length, int descriptor, int count, pid_t sender);

// The next datagram of a socket that passes credentials, its sender's, and the descriptors with it, of which there is room
// for `count`. Does not wait.
ssize_t test_receive(int socket, void *out, size_t capacity, int32_t *pid, uint32_t *uid, uint32_t *gid,
                     int descriptors[], size_t *count);

// Sends one message to an address, with a descriptor (-1: none).
ssize_t test_send_to(int socket, const void *bytes, size_t length, const void *address, size_t address_length,
                     int descriptor);

// A stream socket of a network namespace that nothing else is in. Needs root. A descriptor or a negative errno.
int test_foreign_socket(void);

// A pipe that no child inherits. 0 or a negative errno value.
int test_pipe(int ends[2]);

// A pseudo-terminal that is nobody's controlling one: its master, and the name of its other end.
int test_terminal(char *name, size_t capacity);

// Exchanges two names in one step (renameat2, RENAME_EXCHANGE). 0 or a negative errno value.
int test_exchange(const char *one, const char *other);

// A walk through a tree by fts(3). The kind of the next entry: 0 a folder before what is in it, 1 a file, 2 an error,
// 3 anything else; -1 at the end.
void *test_tree_open(char *path);
int test_tree_next(void *tree);
void test_tree_close(void *tree);

// A file system (FUSE) of this process's, which everybody may enter: a folder with the file `file`, content "fuse", where
// sockets can be bound. NULL with errno when it cannot be mounted. Needs root.
struct test_fuse;
struct test_fuse *test_fuse_mount(const char *at, uint32_t owner);
// The requests (a bit for each opcode) that get no answer from now on; 0 fails those that wait for one, with EIO.
void test_fuse_mute(struct test_fuse *fuse, uint64_t opcodes);
// How many requests wait for an answer.
int test_fuse_held(struct test_fuse *fuse);
// What every extended attribute is (0 bytes: there is none); with a second one (which: 1) they take turns.
void test_fuse_attribute(struct test_fuse *fuse, int which, const void *bytes, int size);
// From now on a file is of absurd size, and another inode each time somebody asks.
void test_fuse_lie(struct test_fuse *fuse);
void test_fuse_unmount(struct test_fuse *fuse);

// A connected TCP socket whose closing takes up to an hour: what was sent is not read by anybody. The reading end comes
// with it. 0 or a negative errno value.
int test_lingering(int ends[2]);

// From here on this process and what it runs find a kernel that has not these system calls (ENOSYS). Needs root. 0 or a
// negative errno value.
int test_without_calls(const int32_t numbers[], size_t count);

// Whether bytes occur among others.
bool test_contains(const void *bytes, size_t count, const void *wanted, size_t length);
#endif
