#include "CSambaBaseline.h"

#if __has_include(<samba-4.0/gen_ndr/security.h>) && __has_include(<talloc.h>)
#include <stdbool.h>
#include <stdint.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <talloc.h>
#include <samba-4.0/util/data_blob.h>
#include <samba-4.0/core/ntstatus.h>
#include <samba-4.0/gen_ndr/security.h>

typedef NTSTATUS (*access_check)(const struct security_descriptor *, const struct security_token *, uint32_t, uint32_t *);

static access_check find(void) {
    static const char *const names[] = {
        "libsamba-security-samba4.so.0", "libsamba-security-private-samba.so.0",
        "/usr/lib/x86_64-linux-gnu/samba/libsamba-security-samba4.so.0",
        "/usr/lib/x86_64-linux-gnu/samba/libsamba-security-private-samba.so.0",
        "/usr/lib/aarch64-linux-gnu/samba/libsamba-security-samba4.so.0",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *library = dlopen(names[i], RTLD_NOW);
        if (library) return (access_check)dlsym(library, "se_access_check");
    }
    return NULL;
}

static struct dom_sid account(uint32_t rid) {
    struct dom_sid sid = {.sid_rev_num = 1, .num_auths = 5, .id_auth = {0, 0, 0, 0, 0, 5}};
    sid.sub_auths[0] = 21, sid.sub_auths[1] = 11, sid.sub_auths[2] = 22, sid.sub_auths[3] = 33, sid.sub_auths[4] = rid;
    return sid;
}

double guise_samba_access_check_ns(int entries, int groups) {
    access_check check = find();
    if (!check) return -1;
    struct dom_sid owner = account(1);
    struct security_ace *aces = calloc((size_t)entries, sizeof *aces);
    struct dom_sid *sids = calloc((size_t)groups + 1, sizeof *sids);
    struct security_acl dacl = {.revision = 2, .num_aces = (uint32_t)entries, .aces = aces};
    struct security_descriptor descriptor = {
        .revision = 1, .type = SEC_DESC_SELF_RELATIVE | SEC_DESC_DACL_PRESENT, .owner_sid = &owner,
        .group_sid = &owner, .dacl = &dacl};
    struct security_token token = {.num_sids = (uint32_t)groups + 1, .sids = sids};
    for (int i = 0; i < entries; i++) {
        aces[i].access_mask = 0x1f01ff;
        aces[i].trustee = account(i == entries - 1 ? 2000 + (uint32_t)groups - 1 : 5000 + (uint32_t)i);
    }
    sids[0] = account(1000);
    for (int i = 0; i < groups; i++) sids[i + 1] = account(2000 + (uint32_t)i);
    double best = 1e18;
    for (int run = 0; run < 15; run++) {
        struct timespec start, end;
        uint32_t granted = 0, sum = 0;
        clock_gettime(CLOCK_MONOTONIC, &start);
        for (int i = 0; i < 20000; i++) {
            check(&descriptor, &token, 1, &granted);
            sum += granted;
        }
        clock_gettime(CLOCK_MONOTONIC, &end);
        double took = ((double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec)) / 20000;
        if (sum != 20000) best = -1;
        if (took < best) best = took;
    }
    free(aces);
    free(sids);
    return best;
}
#else
double guise_samba_access_check_ns(int entries, int groups) {
    (void)entries, (void)groups;
    return -1;
}
#endif
