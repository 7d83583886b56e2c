// What Guise needs of GSSAPI (RFC 2743, 2744) as MIT Kerberos has it. Handles are opaque; each has to be freed.
// There is nothing behind it unless the package trait Kerberos is enabled.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What came of a call.
typedef struct {
    bool failed;
    bool finished;
    uint32_t flags;     // GSS_C_*_FLAG
    uint32_t lifetime;  // seconds; all ones: for good
    uint8_t *token;     // for the other side
    size_t token_size;
    char client[1024];  // alice@A.TEST
    char name[1024];    // alice
    char realm[256];    // A.TEST
    char target[1024];
    char error[1024];   // what GSSAPI says, one sentence
} guise_gss_outcome;

void guise_gss_outcome_clear(guise_gss_outcome *outcome);
void guise_gss_credential_free(void *credential);
void guise_gss_context_free(void *context);

// Credentials to accept with; `initiates`: and to ask the KDC with, which this does not do yet.
void *guise_gss_credential_of_keytab(const char *keytab, bool negotiates, bool initiates, guise_gss_outcome *outcome);

// The credentials of this process's user, to initiate with.
void *guise_gss_credential_of_user(guise_gss_outcome *outcome);

// Credentials to initiate with as somebody who is not here (S4U2Self). Asks the KDC.
void *guise_gss_credential_of_other(void *credential, const char *principal, guise_gss_outcome *outcome);

// A step of the accepting side. `delegated` gets what came along, if it is not NULL.
void guise_gss_accept(void **context, void *credential, const uint8_t *token, size_t size, void **delegated,
                      guise_gss_outcome *outcome);

// A step of the connecting side, to a host-based service (HTTP@host), or to a principal, which has a slash. May ask the KDC.
void guise_gss_initiate(void **context, void *credential, const char *target, bool negotiates, uint32_t flags,
                        const uint8_t *token, size_t size, guise_gss_outcome *outcome);

// Has one side accept what the other made with credentials to initiate: whoever these are for is described. Asks the KDC.
void guise_gss_verify_own(void **initiating, void *other, void **accepting, void *own, void **delegated,
                          guise_gss_outcome *outcome);

// From here on this process is nobody in particular: another user, unless `user` is UINT32_MAX; it starts no process and
// no program, and touches no other process. Of its descriptors it keeps those below `end`. Returns 0 or a negative errno.
int guise_gss_confine(uint32_t user, uint32_t end);
