// The calling thread's slot in the identity page.
#ifndef CGUISE_THREAD_H
#define CGUISE_THREAD_H
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct guise_thread {
    uint64_t *handle;     // the thread's slot in the identity page (IdentityPage.swift); NULL before its first use
    void *identity;       // the retained object whose handle the slot holds; NULL when not impersonating
    uint32_t index;       // the slot's number
    uint32_t generation;  // of the attachment that the slot belongs to
};

extern __thread struct guise_thread guise_thread_state;

static inline struct guise_thread *guise_thread_current(void) { return &guise_thread_state; }

// A store that the compiler neither delays nor drops. A system call later on the same thread orders it.
static inline void guise_handle_store(uint64_t *handle, uint64_t value) {
    __atomic_store_n(handle, value, __ATOMIC_RELEASE);
}
static inline uint64_t guise_handle_load(const uint64_t *handle) {
    return __atomic_load_n(handle, __ATOMIC_ACQUIRE);
}
// Puts 0 in the place of a value; false when another one is there.
static inline _Bool guise_handle_take(uint64_t *handle, uint64_t value) {
    return __atomic_compare_exchange_n(handle, &value, 0, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}
static inline uint32_t guise_tid_load(const uint32_t *tid) { return __atomic_load_n(tid, __ATOMIC_ACQUIRE); }
static inline void guise_tid_store(uint32_t *tid, uint32_t value) {
    __atomic_store_n(tid, value, __ATOMIC_RELEASE);
}
static inline _Bool guise_tid_claim(uint32_t *tid, uint32_t value) {
    uint32_t none = 0;
    return __atomic_compare_exchange_n(tid, &none, value, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

// Has `release` called at the end of every thread that asked for it with guise_thread_watch.
int guise_thread_prepare(void (*release)(void));
void guise_thread_watch(void);
// Names the calling thread, for people; the kernel keeps 15 bytes.
void guise_thread_name(const char *name);
// An eventfd that counts what is written to it and gives one to each read, or a negative errno.
int guise_semaphore_create(void);
// A timer that sends the thread that made it a signal. Returns false when there is none to be had.
bool guise_alarm_create(int signal, timer_t *out);
// Every so many milliseconds from now on, again and again: a signal that comes just before the call it is to
// interrupt is lost. 0: no more.
void guise_alarm_set(timer_t timer, int milliseconds);
// Has `child` called in the child of a fork(2) made through libc.
int guise_fork_prepare(void (*child)(void));
#endif
