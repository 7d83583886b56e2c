// Opening files with another user's credentials through io_uring personalities (io_uring_register(2)).
// One ring belongs to one thread.
#ifndef CGUISE_RING_H
#define CGUISE_RING_H
#include <linux/openat2.h>
#include <stdint.h>

struct guise_ring;

// NULL with errno set where io_uring is not to be had.
struct guise_ring *guise_ring_create(void);
void guise_ring_destroy(struct guise_ring *ring);
// Registers the calling thread's present credentials; returns a personality number above 0.
int guise_ring_register(struct guise_ring *ring);
int guise_ring_forget(struct guise_ring *ring, int personality);
// openat2(2) with the credentials of the personality.
int guise_ring_open(struct guise_ring *ring, int personality, int directory, const char *path,
                    const struct open_how *how);
#endif
