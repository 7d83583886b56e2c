// The text behind guise_error_message(), which is the calling thread's own.
#ifndef CGUISE_ERROR_H
#define CGUISE_ERROR_H
#include <stddef.h>

void guise_error_set(const char *text, size_t length);
#endif
