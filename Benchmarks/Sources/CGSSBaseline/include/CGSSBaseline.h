// What accepting a client by Kerberos takes of the library alone. There is nothing behind it unless the package trait
// Kerberos is enabled.
#pragma once
#include <stddef.h>

// Credentials to accept with, for Kerberos and for SPNEGO with it; NULL: there are none.
void *bench_gss_credential(const char *keytab);

// Has the library accept a client's token, from its mechanism's first to the finished context, and nothing else, not even
// asking who it is. Returns the nanoseconds, or -1.
double bench_gss_accept(void *credential, const void *token, size_t size);
