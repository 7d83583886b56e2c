// Effective credentials of the calling thread alone. glibc's wrappers change every thread of the process,
// so these are the raw system calls.
#ifndef CGUISE_CREDENTIALS_H
#define CGUISE_CREDENTIALS_H
#include <stddef.h>
#include <stdint.h>

// Takes on a user's effective uid, gid and supplementary groups. The real and saved ids stay 0, so that the
// user can neither signal nor trace the thread. The effective capabilities go with the effective uid
// (capabilities(7)); an effective uid of 0 keeps them. On failure the thread is what it was, but for its groups.
int guise_credentials_assume(uint32_t uid, uint32_t gid, const uint32_t *groups, size_t count);

// Between the two: what files allow is decided for uid 0 again, while whoever is connected to sees the user.
int guise_credentials_pass_files(void);

// Back to uid 0 and gid 0. The supplementary groups stay, because setting them is dear, uid 0 gains nothing by
// them, and whoever is assumed next gets its own.
int guise_credentials_restore(void);

// As assume and restore, for what files allow alone (setfsuid(2)): all else stays the authority's.
int guise_credentials_assume_files(uint32_t uid, uint32_t gid, const uint32_t *groups, size_t count);
int guise_credentials_restore_files(void);

// For good, and for the whole process, which must have one thread: groups, gid, uid, no capabilities,
// no_new_privs.
int guise_credentials_become(uint32_t uid, uint32_t gid, const uint32_t *groups, size_t count);

// Gives the calling thread a working directory and umask of its own (unshare(2), CLONE_FS).
int guise_unshare_fs(void);
#endif
