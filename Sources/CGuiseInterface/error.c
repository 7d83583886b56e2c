#include "CGuiseError.h"

#include <string.h>

#include "guise.h"

static __thread char message[1024];

void guise_error_set(const char *text, size_t length) {
    if (length >= sizeof message) {
        length = sizeof message - 1;
        // Not in the middle of a character.
        while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80) length--;
    }
    memcpy(message, text, length);
    message[length] = 0;
}

const char *guise_error_message(void) { return message; }
