// seccomp user notification, as seen by the mediator: seccomp_unotify(2).
#ifndef CGUISE_NOTIFICATION_H
#define CGUISE_NOTIFICATION_H
#include <stdbool.h>
#include <stdint.h>

struct guise_notification {
    uint64_t id;
    uint32_t tid;     // as the reader's pid namespace numbers it; 0 when the task is outside of it
    int32_t call;
    uint64_t arguments[6];
};

// Makes wake-ups between the trapped thread and the mediator synchronous (Linux 6.6).
int guise_notification_wake_synchronously(int listener);

// Waits for a trapped call. -ENOENT: it went away meanwhile, wait again. -EINTR: a signal came.
int guise_notification_receive(int listener, struct guise_notification *out);

// True while the trapped call still waits: what was read from its thread before belongs to that thread.
bool guise_notification_is_pending(int listener, uint64_t id);

// True when the descriptor is a seccomp listener.
bool guise_notification_is_listener(int descriptor);

// The three answers: a result (or a negative errno), "let the kernel do it", and a descriptor put into the
// caller's table, whose number then is the result. The descriptor is closed here in any case.
int guise_notification_answer(int listener, uint64_t id, int64_t value, int32_t error);
int guise_notification_continue(int listener, uint64_t id);
int guise_notification_answer_descriptor(int listener, uint64_t id, int descriptor, bool close_on_exec);

// Puts a duplicate of a descriptor in the place of one of the caller's, which goes on waiting. Not negative, or
// a negative errno value.
int guise_notification_replace_descriptor(int listener, uint64_t id, int descriptor, int number, bool close_on_exec);
#endif
