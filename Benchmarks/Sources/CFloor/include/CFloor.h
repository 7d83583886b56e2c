// What the benchmarks compare with: the least that a seccomp mediator can do, and what file servers do today.
#ifndef CFLOOR_H
#define CFLOOR_H
#include <stdint.h>
#include <sys/types.h>

// Has every openat, newfstatat and unlinkat of the calling process carried out by a minimal mediator, a process forked
// here: receive, then continue the call; or receive, process_vm_readv of the path, and then open, ADDFD, SEND, or
// fstatat, process_vm_writev, SEND, or unlinkat, SEND. Both wake up synchronously. `mediators` threads of it wait for
// traps. Files are removed as the user `remover`, by raw setresgid and setresuid, unless that is 0. The calling process
// must have one thread. Returns 0 or a negative errno.
int floor_install(int continues, int mediators, uid_t remover);

// Opens (for reading) and closes `path` `count` times and returns the nanoseconds of one, or a negative errno.
double bench_open_close(const char *path, int count);

// Opens that fail, whatever the error; -EEXIST when one does not.
double bench_open_refused(const char *path, int count);

// The same, with the calling thread taking on the user before and root's credentials after each open+close,
// by raw setgroups, setresgid and setresuid.
double bench_open_close_as(const char *path, int count, uid_t uid, gid_t gid);

// Makes `count` files, `path` and a number each.
double bench_create(const char *path, int count);

// newfstatat(2), and unlinkat(2) of the files that bench_create made.
double bench_stat(const char *path, int count);
double bench_unlink(const char *path, int count);

// Connects to the Unix socket `path` `count` times, waits each time for the server to close, and returns the
// nanoseconds of one, or a negative errno.
double bench_connect(const char *path, int count);
// A stream socket connected to a server, or -1 and errno.
int bench_dial(const char *path);

// Answers clients at the Unix socket `path` from a thread of its own, as the registry answers who opens a key and reads a
// value: 36 bytes with 40, 12 with 20, without looking at them. Returns 0, or -1 and errno.
int bench_serve_pairs(const char *path);
// Such a pair of round trips, `count` times over one connection: the nanoseconds of one pair, or a negative errno.
double bench_pairs(const char *path, int count);

double bench_now(void);

// Has the calling thread, and what it starts from here on, run on one processor, the one that it is on; or, undone, on all
// that it might before. Returns 0, or -1 and errno.
int bench_stay_on_one_processor(int stays);

// pipe2(2) with O_CLOEXEC.
int bench_pipe(int ends[2]);

// Has the kernel end this process, and the program it executes, when the process that started it ends.
void bench_end_with_parent(void);
#endif
