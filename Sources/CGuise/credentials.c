#define _GNU_SOURCE
#include "CGuiseCredentials.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEEP ((uint32_t)-1)

static int result(long value) { return value < 0 ? -errno : (int)value; }

// Asking costs an eighth of setting. The kernel has them in order.
static bool has_groups(const uint32_t *groups, size_t count) {
    uint32_t held[64];
    long got = syscall(SYS_getgroups, sizeof held / sizeof *held, held);
    return got >= 0 && (size_t)got == count && (count == 0 || memcmp(held, groups, count * sizeof *held) == 0);
}

// The first step of assuming somebody.
static int take_groups(const uint32_t *groups, size_t count) {
    // To be oneself takes no privilege, and would have no way back to uid 0.
    if (geteuid() != 0) return -EPERM;
    return has_groups(groups, count) ? 0 : result(syscall(SYS_setgroups, count, groups));
}

int guise_credentials_assume(uint32_t uid, uint32_t gid, const uint32_t *groups, size_t count) {
    int error = take_groups(groups, count);
    if (error < 0) return error;
    if ((error = result(syscall(SYS_setresgid, KEEP, gid, KEEP))) < 0 ||
        (error = result(syscall(SYS_setresuid, KEEP, uid, KEEP))) < 0) {
        // Half of somebody else is nobody: a thread that cannot go back must not go on.
        if (guise_credentials_restore() < 0) abort();
    }
    return error;
}

int guise_credentials_restore(void) {
    int error;
    // The uid first: it brings back the capability that the other takes.
    if ((error = result(syscall(SYS_setresuid, KEEP, 0, KEEP))) < 0) return error;
    return result(syscall(SYS_setresgid, KEEP, 0, KEEP));
}

// setfsuid(2) and setfsgid(2) do not tell whether they worked, but what was before.
static int set_files(long call, uint32_t id) {
    syscall(call, id);
    return (uint32_t)syscall(call, KEEP) == id ? 0 : -EPERM;
}

// The saved uid 0 permits it, and the capabilities that are about files come with it.
int guise_credentials_pass_files(void) { return set_files(SYS_setfsuid, 0); }

int guise_credentials_assume_files(uint32_t uid, uint32_t gid, const uint32_t *groups, size_t count) {
    int error = take_groups(groups, count);
    if (error < 0) return error;
    if ((error = set_files(SYS_setfsgid, gid)) < 0 || (error = set_files(SYS_setfsuid, uid)) < 0) {
        if (guise_credentials_restore_files() < 0) abort();
    }
    return error;
}

int guise_credentials_restore_files(void) {
    int error = set_files(SYS_setfsuid, 0);
    return error < 0 ? error : set_files(SYS_setfsgid, 0);
}

int guise_credentials_become(uint32_t uid, uint32_t gid, const uint32_t *groups, size_t count) {
    int error;
    if (geteuid() == 0) {
        if ((error = result(syscall(SYS_setgroups, count, groups))) < 0) return error;
        if ((error = result(syscall(SYS_setresgid, gid, gid, gid))) < 0) return error;
        if ((error = result(syscall(SYS_setresuid, uid, uid, uid))) < 0) return error;
    } else if (geteuid() != uid) {
        return -EPERM;
    }
    return result(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

int guise_unshare_fs(void) { return result(unshare(CLONE_FS)); }
