// What the kernel of this machine lets an authority do, tried out on a child made for it.
#ifndef CGUISE_PROBE_H
#define CGUISE_PROBE_H
#include <stdint.h>

// Not a result: something earlier failed.
#define GUISE_NOT_TRIED 1

// Each 0 when it works, GUISE_NOT_TRIED, or a negative errno.
struct guise_trial {
    int credentials;    // becoming another user for good; not tried when not root
    int filter;         // a filter with a listener (SECCOMP_FILTER_FLAG_NEW_LISTENER, seccomp(2))
    int killable;       // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
    int listener;       // taking the listener over (pidfd_getfd(2))
    int synchronous;    // SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
    int answer;         // receiving a trapped call and answering it
    int descriptor;     // putting a descriptor into the child
    int memory;         // reading the child's memory (process_vm_readv(2))
};

// Has a child become nobody, as root, and trap two calls; mediates them. Takes two seconds at most.
void guise_probe_mediation(struct guise_trial *out);
#endif
