#define _GNU_SOURCE
#include "CGuisePassword.h"

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

// What crypt_gensalt_rn makes "j9T" of. A fixed cost, so that no hash can be told from another by its time.
static const unsigned long cost = 5;

int guise_password_setting(char out[GUISE_PASSWORD_HASH_SIZE]) {
    if (!crypt_gensalt_rn("$y$", cost, NULL, 0, out, GUISE_PASSWORD_HASH_SIZE)) return -errno;
    return strncmp(out, "$y$j9T$", 7) == 0 ? 0 : -ENOSYS;
}

int guise_password_hash(const char *password, const char *setting, char out[GUISE_PASSWORD_HASH_SIZE]) {
    struct crypt_data *data = calloc(1, sizeof *data);
    if (!data) return -ENOMEM;
    errno = 0;
    const char *hash = crypt_rn(password, setting, data, sizeof *data);
    int error = hash ? 0 : errno ? -errno : -EINVAL;
    if (hash && strlen(hash) >= GUISE_PASSWORD_HASH_SIZE) error = -EINVAL;
    if (!error) strcpy(out, hash);
    explicit_bzero(data, sizeof *data);
    free(data);
    return error;
}

bool guise_password_hash_is(const char *one, const char *other) {
    size_t length = strlen(one);
    if (length != strlen(other)) return false;
    unsigned char difference = 0;
    for (size_t i = 0; i < length; i++) difference |= (unsigned char)(one[i] ^ other[i]);
    return difference == 0;
}

static const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;

int guise_secret_make(const void *bytes, size_t length) {
    int fd = memfd_create("guise-secret", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) fd = memfd_create("guise-secret", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -errno;
    if (write(fd, bytes, length) == (ssize_t)length && fcntl(fd, F_ADD_SEALS, seals | F_SEAL_SEAL) == 0)
        return fd;
    int error = errno;
    close(fd);
    return error ? -error : -EIO;
}

ssize_t guise_secret_read(int descriptor, void *out, size_t capacity) {
    // Only memory can be sealed, and what is sealed so is read without waiting for anybody.
    int held = fcntl(descriptor, F_GET_SEALS);
    struct stat status;
    if (held < 0 || (held & seals) != seals || fstat(descriptor, &status) < 0) return -EINVAL;
    if (status.st_size > (off_t)capacity) return -EMSGSIZE;
    ssize_t got = pread(descriptor, out, capacity, 0);
    return got < 0 ? -errno : got;
}

void guise_wipe(void *bytes, size_t length) { explicit_bzero(bytes, length); }

ssize_t guise_terminal_read_secret(const char *prompt, char *out, size_t capacity) {
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return -ENOTTY;
    struct termios before, silent;
    if (tcgetattr(fd, &before) < 0) {
        close(fd);
        return -ENOTTY;
    }
    silent = before;
    // Without signals from the keyboard nothing ends this before the echo is back.
    silent.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG);
    silent.c_cc[VMIN] = 1;
    silent.c_cc[VTIME] = 0;
    if (tcsetattr(fd, TCSAFLUSH, &silent) < 0) {
        close(fd);
        return -ENOTTY;
    }
    ssize_t length = write(fd, prompt, strlen(prompt)) < 0 ? -errno : 0;
    while (length >= 0) {
        char byte;
        ssize_t got = read(fd, &byte, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            length = got < 0 ? -errno : -ECANCELED;
        } else if (byte == '\n' || byte == '\r' || byte == before.c_cc[VEOF]) {
            break;
        } else if (byte == before.c_cc[VINTR]) {
            length = -ECANCELED;
        } else if (byte == before.c_cc[VERASE] || byte == '\b') {
            // A character of UTF-8 whole.
            while (length > 0 && (out[--length] & 0xC0) == 0x80) {}
        } else if (byte == before.c_cc[VKILL]) {
            length = 0;
        } else if ((size_t)length == capacity) {
            length = -EMSGSIZE;
        } else {
            out[length++] = byte;
        }
    }
    (void)!write(fd, "\n", 1);
    tcsetattr(fd, TCSAFLUSH, &before);
    close(fd);
    return length;
}
