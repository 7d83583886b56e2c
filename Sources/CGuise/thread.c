#include "CGuiseThread.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

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
