#pragma once
// How long Samba's own access check takes on a descriptor it has already parsed: `entries` entries for strangers but the
// last, which grants to the last of `groups` groups. Nanoseconds, the best of several runs; negative if Samba's headers
// were not there at build time or its library is not there now.
double guise_samba_access_check_ns(int entries, int groups);
