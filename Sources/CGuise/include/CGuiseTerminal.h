// The terminal that a tool writes to.
#ifndef CGUISE_TERMINAL_H
#define CGUISE_TERMINAL_H
#include <stdint.h>

// Rows and columns, 0 where the terminal does not know; -ENOTTY for what is none.
int guise_terminal_size(int descriptor, uint16_t *rows, uint16_t *columns);

// Keeps SIGINT, SIGTERM and SIGHUP waiting, all but while guise_wait waits.
int guise_interruption_prepare(void);
// Waits for the descriptor (-1: none) to be readable. 1: it is; 0: the time is over; -EINTR: one of the signals came.
int guise_wait(int descriptor, int64_t milliseconds);
#endif
