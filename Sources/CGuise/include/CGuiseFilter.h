// The seccomp filter of a mediated service.
#ifndef CGUISE_FILTER_H
#define CGUISE_FILTER_H
#include <stdbool.h>
#include <stdint.h>

// Installs the filter on the calling thread (which must be the process's only one, with no_new_privs set)
// and returns the listener's descriptor, close-on-exec. From here on every call that guise_call_name knows
// as notified waits for whoever reads the listener. (Linux 5.19: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV.)
int guise_filter_install(void);

// The name of a system call that the filter notifies of, or NULL.
const char *guise_call_name(int32_t number);

// The calls by name, so that no table of numbers is needed elsewhere. -1 where the machine has none.
int32_t guise_call_number(const char *name);
#endif
