#define _GNU_SOURCE
#include "CGuiseThread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

__thread struct guise_thread guise_thread_state;

static pthread_key_t key;
static void (*on_release)(void);

static void at_exit(void *unused) {
    (void)unused;
    if (on_release) on_release();
}

int guise_thread_prepare(void (*release)(void)) {
    on_release = release;
    return -pthread_key_create(&key, at_exit);
}

void guise_thread_watch(void) { pthread_setspecific(key, &guise_thread_state); }

int guise_fork_prepare(void (*child)(void)) { return -pthread_atfork(NULL, NULL, child); }

void guise_thread_name(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

int guise_semaphore_create(void) {
    int counter = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
    return counter < 0 ? -errno : counter;
}

bool guise_alarm_create(int signal, timer_t *out) {
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = signal;
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    return timer_create(CLOCK_MONOTONIC, &event, out) == 0;
}

void guise_alarm_set(timer_t timer, int milliseconds) {
    struct timespec every = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000L};
    struct itimerspec when = {.it_interval = every, .it_value = every};
    timer_settime(timer, 0, &when, NULL);
}
