#define _GNU_SOURCE
#include "CGuiseTerminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <time.h>

int guise_terminal_size(int descriptor, uint16_t *rows, uint16_t *columns) {
    struct winsize size;
    if (ioctl(descriptor, TIOCGWINSZ, &size) < 0) return -errno;
    *rows = size.ws_row;
    *columns = size.ws_col;
    return 0;
}

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
#define COUNT (sizeof signals / sizeof *signals)

static void interrupt(int signal) { (void)signal; }

int guise_interruption_prepare(void) {
    sigset_t held;
    sigemptyset(&held);
    // Without SA_RESTART: the waiting call is to end.
    struct sigaction action = {.sa_handler = interrupt};
    for (size_t i = 0; i < COUNT; i++) {
        sigaddset(&held, signals[i]);
        if (sigaction(signals[i], &action, NULL) < 0) return -errno;
    }
    return sigprocmask(SIG_BLOCK, &held, NULL) < 0 ? -errno : 0;
}

int guise_wait(int descriptor, int64_t milliseconds) {
    struct pollfd one = {.fd = descriptor, .events = POLLIN};
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    sigset_t mask;
    if (sigprocmask(SIG_BLOCK, NULL, &mask) < 0) return -errno;
    for (size_t i = 0; i < COUNT; i++) sigdelset(&mask, signals[i]);
    int count = ppoll(&one, 1, &time, &mask);
    return count < 0 ? -errno : count;
}
