// Values that Swift does not get from the C headers: macros with casts, and what is younger than them.
#ifndef CGUISE_FLAGS_H
#define CGUISE_FLAGS_H
#include <stdint.h>

// open(2), as openat2(2) takes them.
static const uint64_t GUISE_O_ACCMODE = 00000003;
static const uint64_t GUISE_O_WRONLY = 00000001;
static const uint64_t GUISE_O_RDWR = 00000002;
static const uint64_t GUISE_O_CREAT = 00000100;
static const uint64_t GUISE_O_EXCL = 00000200;
static const uint64_t GUISE_O_NOCTTY = 00000400;
static const uint64_t GUISE_O_TRUNC = 00001000;
static const uint64_t GUISE_O_APPEND = 00002000;
static const uint64_t GUISE_O_NONBLOCK = 00004000;
static const uint64_t GUISE_O_CLOEXEC = 02000000;
static const uint64_t GUISE_O_PATH = 010000000;
#if defined(__x86_64__)
static const uint64_t GUISE_O_DIRECTORY = 0200000;
static const uint64_t GUISE_O_NOFOLLOW = 0400000;
static const uint64_t GUISE_O_LARGEFILE = 0100000;
static const uint64_t GUISE_O_DIRECT = 040000;
#else
static const uint64_t GUISE_O_DIRECTORY = 040000;
static const uint64_t GUISE_O_NOFOLLOW = 0100000;
static const uint64_t GUISE_O_LARGEFILE = 0400000;
static const uint64_t GUISE_O_DIRECT = 0200000;
#endif
static const uint64_t GUISE_O_NOATIME = 01000000;
static const uint64_t GUISE_O_TMPFILE_BIT = 020000000;
// What open(2) keeps of its flags; the rest it ignores (fcntl.h, VALID_OPEN_FLAGS).
static const uint64_t GUISE_O_KNOWN =
    0740000 |  // O_DIRECT, O_LARGEFILE, O_DIRECTORY and O_NOFOLLOW, whose bits change places by architecture
    03 | 0100 | 0200 | 0400 | 01000 | 02000 | 04000 | 04010000 | 020000 | 01000000 | 02000000 |
    010000000 | 020000000;
static const uint64_t GUISE_RESOLVE_NO_XDEV = 1;
static const uint64_t GUISE_RESOLVE_NO_MAGICLINKS = 2;
static const uint64_t GUISE_RESOLVE_NO_SYMLINKS = 4;
static const uint64_t GUISE_RESOLVE_BENEATH = 8;
static const uint64_t GUISE_RESOLVE_IN_ROOT = 16;
static const uint64_t GUISE_RESOLVE_CACHED = 32;
static const uint32_t GUISE_S_IFMT = 0170000;
static const uint32_t GUISE_S_IFDIR = 0040000;
static const uint32_t GUISE_S_IFREG = 0100000;
static const uint32_t GUISE_S_IFLNK = 0120000;
static const uint32_t GUISE_S_IFIFO = 0010000;
static const uint32_t GUISE_S_IFCHR = 0020000;
static const uint32_t GUISE_S_IFBLK = 0060000;
static const uint32_t GUISE_S_IFSOCK = 0140000;

static const int32_t GUISE_AT_SYMLINK_NOFOLLOW = 0x100;
static const int32_t GUISE_AT_NO_AUTOMOUNT = 0x800;
static const int32_t GUISE_AT_EMPTY_PATH = 0x1000;
static const int32_t GUISE_AT_EACCESS = 0x200;
static const int32_t GUISE_AT_STATX_DONT_SYNC = 0x4000;
static const uint32_t GUISE_IN_DONT_FOLLOW = 0x02000000;
static const int32_t GUISE_RENAME_NOREPLACE = 1;
static const int32_t GUISE_RENAME_EXCHANGE = 2;
static const int16_t GUISE_POLLRDHUP = 0x2000;
#endif
