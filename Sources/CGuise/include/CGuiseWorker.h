// Programs that the authority has do something for it, apart from itself.
#ifndef CGUISE_WORKER_H
#define CGUISE_WORKER_H

// Starts a program in a session of its own, with pipes as its standard input and output and nothing of the caller's: no
// environment but a PATH, no descriptors, no blocked signals. Returns its pid, and the caller's ends of the pipes, of which
// the second does not wait.
int guise_worker_start(const char *path, int *to, int *from);
// Ends it with all that it started in its session, waits for it, and returns what waitpid(2) says of it. A program that
// has ended already ended as it did.
int guise_worker_end(int pid, int *status);
#endif
