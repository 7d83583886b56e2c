#define _GNU_SOURCE
#include "CGuiseRing.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ENTRIES 4

struct guise_ring {
    int fd;
    void *rings;
    size_t rings_size;
    struct io_uring_sqe *entries;
    size_t entries_size;
    unsigned *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
    struct io_uring_cqe *completions;
    uint64_t sequence;
};

struct guise_ring *guise_ring_create(void) {
    struct io_uring_params p = {0};
    struct guise_ring *ring = calloc(1, sizeof *ring);
    if (!ring) return NULL;
    ring->fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &p);
    if (ring->fd < 0 || !(p.features & IORING_FEAT_SINGLE_MMAP)) goto failed;
    size_t sq = p.sq_off.array + p.sq_entries * sizeof(unsigned);
    size_t cq = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
    ring->rings_size = sq > cq ? sq : cq;
    ring->entries_size = p.sq_entries * sizeof(struct io_uring_sqe);
    ring->rings = mmap(NULL, ring->rings_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd,
                       IORING_OFF_SQ_RING);
    if (ring->rings == MAP_FAILED) { ring->rings = NULL; goto failed; }
    ring->entries = mmap(NULL, ring->entries_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd,
                         IORING_OFF_SQES);
    if (ring->entries == MAP_FAILED) { ring->entries = NULL; goto failed; }
    char *base = ring->rings;
    ring->sq_tail = (unsigned *)(base + p.sq_off.tail);
    ring->sq_mask = (unsigned *)(base + p.sq_off.ring_mask);
    ring->sq_array = (unsigned *)(base + p.sq_off.array);
    ring->cq_head = (unsigned *)(base + p.cq_off.head);
    ring->cq_tail = (unsigned *)(base + p.cq_off.tail);
    ring->cq_mask = (unsigned *)(base + p.cq_off.ring_mask);
    ring->completions = (struct io_uring_cqe *)(base + p.cq_off.cqes);
    return ring;
failed:;
    int error = ring->fd < 0 ? errno : ENOSYS;
    guise_ring_destroy(ring);
    errno = error;
    return NULL;
}

void guise_ring_destroy(struct guise_ring *ring) {
    if (ring->entries) munmap(ring->entries, ring->entries_size);
    if (ring->rings) munmap(ring->rings, ring->rings_size);
    if (ring->fd >= 0) close(ring->fd);
    free(ring);
}

int guise_ring_register(struct guise_ring *ring) {
    long number = syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_PERSONALITY, NULL, 0);
    return number < 0 ? -errno : (int)number;
}

int guise_ring_forget(struct guise_ring *ring, int personality) {
    long done = syscall(SYS_io_uring_register, ring->fd, IORING_UNREGISTER_PERSONALITY, NULL, personality);
    return done < 0 ? -errno : 0;
}

int guise_ring_open(struct guise_ring *ring, int personality, int directory, const char *path,
                    const struct open_how *how) {
    uint64_t sequence = ++ring->sequence;
    unsigned tail = *ring->sq_tail, index = tail & *ring->sq_mask;
    struct io_uring_sqe *entry = &ring->entries[index];
    memset(entry, 0, sizeof *entry);
    entry->opcode = IORING_OP_OPENAT2;
    entry->fd = directory;
    entry->addr = (uint64_t)(uintptr_t)path;
    entry->len = sizeof *how;
    entry->off = (uint64_t)(uintptr_t)how;
    entry->personality = (uint16_t)personality;
    entry->user_data = sequence;
    ring->sq_array[index] = index;
    __atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);

    unsigned submit = 1;
    for (;;) {
        long done = syscall(SYS_io_uring_enter, ring->fd, submit, 1, IORING_ENTER_GETEVENTS, NULL, 0);
        if (done < 0 && errno != EINTR) return -errno;
        if (done > 0) submit = 0;
        unsigned head = *ring->cq_head;
        while (head != __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE)) {
            struct io_uring_cqe completion = ring->completions[head & *ring->cq_mask];
            __atomic_store_n(ring->cq_head, ++head, __ATOMIC_RELEASE);
            if (completion.user_data == sequence) return completion.res;
            // An answer nobody waits for any more: a descriptor in it would leak.
            if (completion.res >= 0) close(completion.res);
        }
    }
}
