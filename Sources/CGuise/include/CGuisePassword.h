// Passwords: their hashes, by yescrypt (crypt(5)), and the way from one process to another.
#ifndef CGUISE_PASSWORD_H
#define CGUISE_PASSWORD_H
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

// The most bytes of a password, without a terminator. crypt(3) takes 511.
enum { GUISE_PASSWORD_LARGEST = 256 };
// Room for a hash with its terminator.
enum { GUISE_PASSWORD_HASH_SIZE = 128 };

// A setting with a new random salt, `$y$j9T$SALT`: 16 MiB of memory and some 30 ms for each hash.
int guise_password_setting(char out[GUISE_PASSWORD_HASH_SIZE]);
// The hash of a password by a setting, or by another hash's: `$y$j9T$SALT$HASH`. -ENOMEM where there is no memory.
int guise_password_hash(const char *password, const char *setting, char out[GUISE_PASSWORD_HASH_SIZE]);
// Compares in a time that does not depend on where the first difference is.
bool guise_password_hash_is(const char *one, const char *other);

// A memfd that holds the bytes and will never change, to be passed to another process. Close-on-exec.
int guise_secret_make(const void *bytes, size_t length);
// Reads a whole one. -EINVAL for what is none, -EMSGSIZE for one that is longer. Never waits.
ssize_t guise_secret_read(int descriptor, void *out, size_t capacity);

// Overwrites memory, whatever the compiler thinks of it.
void guise_wipe(void *bytes, size_t length);

// Reads a line from the terminal without echo, without its end. -ECANCELED after Control-C, -EMSGSIZE when it is longer
// than the room for it, -ENOTTY where there is none.
ssize_t guise_terminal_read_secret(const char *prompt, char *out, size_t capacity);
#endif
