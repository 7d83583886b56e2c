#define _GNU_SOURCE
#include "guise_gss.h"

#ifdef GUISE_KERBEROS

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <krb5.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// SPNEGO, RFC 4178: 1.3.6.1.5.5.2
static gss_OID_desc spnego = {6, (void *)"\x2b\x06\x01\x05\x05\x02"};

static gss_OID_set_desc kerberos_alone(void) {
    gss_OID_set_desc set = {1, (gss_OID)gss_mech_krb5};
    return set;
}

static void append(char *text, size_t size, OM_uint32 code, int type) {
    OM_uint32 minor, more = 0;
    do {
        gss_buffer_desc part = GSS_C_EMPTY_BUFFER;
        if (GSS_ERROR(gss_display_status(&minor, code, type, (gss_OID)gss_mech_krb5, &more, &part)))
            return;
        size_t used = strlen(text);
        if (used + 4 < size)
            snprintf(text + used, size - used, "%s%.*s", used ? ": " : "", (int)part.length, (char *)part.value);
        gss_release_buffer(&minor, &part);
    } while (more);
}

static void fail(guise_gss_outcome *outcome, OM_uint32 major, OM_uint32 minor) {
    outcome->failed = true;
    outcome->error[0] = 0;
    append(outcome->error, sizeof outcome->error, major, GSS_C_GSS_CODE);
    if (minor)
        append(outcome->error, sizeof outcome->error, minor, GSS_C_MECH_CODE);
}

static void fail_saying(guise_gss_outcome *outcome, const char *why) {
    outcome->failed = true;
    snprintf(outcome->error, sizeof outcome->error, "%s", why);
}

void guise_gss_outcome_clear(guise_gss_outcome *outcome) {
    free(outcome->token);
    memset(outcome, 0, sizeof *outcome);
}

void guise_gss_credential_free(void *credential) {
    OM_uint32 minor;
    gss_cred_id_t handle = credential;
    gss_release_cred(&minor, &handle);
}

void guise_gss_context_free(void *context) {
    OM_uint32 minor;
    gss_ctx_id_t handle = context;
    gss_delete_sec_context(&minor, &handle, GSS_C_NO_BUFFER);
}

// Credentials of a store, of Kerberos; with SPNEGO what it negotiates is Kerberos and nothing else.
static gss_cred_id_t acquire(gss_key_value_element_desc *elements, OM_uint32 count, bool negotiates, gss_cred_usage_t usage,
                             guise_gss_outcome *outcome) {
    OM_uint32 minor, ignored;
    gss_OID_desc both[2] = {*gss_mech_krb5, spnego};
    gss_OID_set_desc mechanisms = {negotiates ? 2 : 1, both};
    gss_key_value_set_desc store = {count, elements};
    gss_cred_id_t credential = GSS_C_NO_CREDENTIAL;
    OM_uint32 major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &mechanisms, usage,
                                            count ? &store : GSS_C_NO_CRED_STORE, &credential, NULL, NULL);
    if (!GSS_ERROR(major) && negotiates) {
        gss_OID_set_desc alone = kerberos_alone();
        major = gss_set_neg_mechs(&minor, credential, &alone);
    }
    if (GSS_ERROR(major)) {
        fail(outcome, major, minor);
        gss_release_cred(&ignored, &credential);
    }
    return credential;
}

void *guise_gss_credential_of_keytab(const char *keytab, bool negotiates, bool initiates, guise_gss_outcome *outcome) {
    gss_key_value_element_desc elements[] = {
        {"keytab", keytab}, {"client_keytab", keytab}, {"ccache", "MEMORY:guise-service"}};
    return acquire(elements, initiates ? 3 : 1, negotiates, initiates ? GSS_C_BOTH : GSS_C_ACCEPT, outcome);
}

void *guise_gss_credential_of_user(guise_gss_outcome *outcome) {
    return acquire(NULL, 0, true, GSS_C_INITIATE, outcome);
}

void *guise_gss_credential_of_other(void *credential, const char *principal, guise_gss_outcome *outcome) {
    OM_uint32 minor, ignored;
    gss_buffer_desc text = {strlen(principal), (void *)principal};
    gss_name_t name = GSS_C_NO_NAME;
    gss_cred_id_t found = GSS_C_NO_CREDENTIAL;
    gss_OID_set_desc alone = kerberos_alone();
    OM_uint32 major = gss_import_name(&minor, &text, (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME, &name);
    if (!GSS_ERROR(major))
        major = gss_acquire_cred_impersonate_name(&minor, credential, name, GSS_C_INDEFINITE, &alone, GSS_C_INITIATE, &found,
                                                  NULL, NULL);
    if (GSS_ERROR(major))
        fail(outcome, major, minor);
    gss_release_name(&ignored, &name);
    return found;
}

// The same credentials for both mechanisms, whichever they came by.
static gss_cred_id_t normalized(gss_cred_id_t delegated) {
    static atomic_ullong last;
    char ccache[64];
    snprintf(ccache, sizeof ccache, "MEMORY:guise-%llu", atomic_fetch_add(&last, 1));
    gss_key_value_element_desc element = {"ccache", ccache};
    gss_key_value_set_desc store = {1, &element};
    OM_uint32 minor;
    guise_gss_outcome unused = {0};
    gss_cred_id_t found = GSS_C_NO_CREDENTIAL;
    if (!GSS_ERROR(gss_store_cred_into(&minor, delegated, GSS_C_INITIATE, (gss_OID)gss_mech_krb5, 1, 0, &store, NULL, NULL)))
        found = acquire(&element, 1, true, GSS_C_INITIATE, &unused);
    gss_release_cred(&minor, &delegated);
    return found;
}

static void take(guise_gss_outcome *outcome, gss_buffer_t token) {
    OM_uint32 minor;
    if (token->length && (outcome->token = malloc(token->length))) {
        memcpy(outcome->token, token->value, token->length);
        outcome->token_size = token->length;
    }
    gss_release_buffer(&minor, token);
}

static bool show(gss_name_t name, char *text, size_t size) {
    OM_uint32 minor;
    gss_buffer_desc shown = GSS_C_EMPTY_BUFFER;
    if (name == GSS_C_NO_NAME || GSS_ERROR(gss_display_name(&minor, name, &shown, NULL)))
        return false;
    bool fits = shown.length > 0 && shown.length < size && !memchr(shown.value, 0, shown.length);
    if (fits) {
        memcpy(text, shown.value, shown.length);
        text[shown.length] = 0;
    }
    gss_release_buffer(&minor, &shown);
    return fits;
}

// The realm of a principal, and the rest of it.
static bool split(const char *principal, char *name, size_t name_size, char *realm, size_t realm_size) {
    // Kept: making one reads the configuration, which takes as long as a quarter of judging a client.
    static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
    static krb5_context context;
    krb5_principal parsed = NULL;
    char *rest = NULL;
    pthread_mutex_lock(&turn);
    bool fits = (context || !krb5_init_context(&context))
                && !krb5_parse_name(context, principal, &parsed)
                && !krb5_unparse_name_flags(context, parsed, KRB5_PRINCIPAL_UNPARSE_NO_REALM, &rest) && *rest
                && strlen(rest) < name_size && parsed->realm.length > 0 && parsed->realm.length < realm_size
                && !memchr(parsed->realm.data, 0, parsed->realm.length);
    if (fits) {
        strcpy(name, rest);
        memcpy(realm, parsed->realm.data, parsed->realm.length);
        realm[parsed->realm.length] = 0;
    }
    krb5_free_unparsed_name(context, rest);
    krb5_free_principal(context, parsed);
    pthread_mutex_unlock(&turn);
    return fits;
}

// What a context is, now that it is established.
static void describe(gss_ctx_id_t context, guise_gss_outcome *outcome) {
    OM_uint32 minor;
    gss_name_t client = GSS_C_NO_NAME, target = GSS_C_NO_NAME;
    gss_OID mechanism = GSS_C_NO_OID;
    int is_local = 0, is_open = 0;
    OM_uint32 major = gss_inquire_context(&minor, context, &client, &target, &outcome->lifetime, &mechanism,
                                          &outcome->flags, &is_local, &is_open);
    if (GSS_ERROR(major))
        fail(outcome, major, minor);
    else if (!is_open || mechanism == GSS_C_NO_OID || mechanism->length != gss_mech_krb5->length
             || memcmp(mechanism->elements, gss_mech_krb5->elements, mechanism->length))
        fail_saying(outcome, "the client was proven by another mechanism than Kerberos");
    else if (!show(client, outcome->client, sizeof outcome->client)
             || !split(outcome->client, outcome->name, sizeof outcome->name, outcome->realm, sizeof outcome->realm))
        fail_saying(outcome, "the client's principal has no name that can be shown");
    else
        show(target, outcome->target, sizeof outcome->target);
    gss_release_name(&minor, &client);
    gss_release_name(&minor, &target);
}

void guise_gss_accept(void **context, void *credential, const uint8_t *token, size_t size, void **delegated,
                      guise_gss_outcome *outcome) {
    OM_uint32 minor, ignored;
    gss_ctx_id_t handle = *context;
    gss_buffer_desc input = {size, (void *)token}, output = GSS_C_EMPTY_BUFFER;
    gss_cred_id_t came = GSS_C_NO_CREDENTIAL;
    OM_uint32 major = gss_accept_sec_context(&minor, &handle, credential, &input, GSS_C_NO_CHANNEL_BINDINGS, NULL, NULL,
                                             &output, NULL, NULL, &came);
    *context = handle;
    take(outcome, &output);
    if (GSS_ERROR(major))
        fail(outcome, major, minor);
    else if (major & GSS_S_CONTINUE_NEEDED) {
        if (!outcome->token_size)
            fail_saying(outcome, "the token is not whole");
    } else {
        outcome->finished = true;
        describe(handle, outcome);
    }
    if (came == GSS_C_NO_CREDENTIAL)
        return;
    // Who wants to be known and no more has nothing acted with.
    if (delegated && outcome->finished && !outcome->failed && !(outcome->flags & GSS_C_IDENTIFY_FLAG))
        *delegated = normalized(came);
    else
        gss_release_cred(&ignored, &came);
}

void guise_gss_verify_own(void **initiating, void *other, void **accepting, void *own, void **delegated,
                          guise_gss_outcome *outcome) {
    OM_uint32 minor, ignored;
    gss_ctx_id_t handle = GSS_C_NO_CONTEXT;
    gss_name_t name = GSS_C_NO_NAME;
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = gss_inquire_cred(&minor, own, &name, NULL, NULL, NULL);
    if (!GSS_ERROR(major))
        major = gss_init_sec_context(&minor, other, &handle, name, (gss_OID)gss_mech_krb5,
                                     GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG, 0, GSS_C_NO_CHANNEL_BINDINGS, GSS_C_NO_BUFFER,
                                     NULL, &token, NULL, NULL);
    *initiating = handle;
    if (GSS_ERROR(major))
        fail(outcome, major, minor);
    else {
        guise_gss_accept(accepting, own, token.value, token.length, delegated, outcome);
        if (!outcome->failed && !outcome->finished)
            fail_saying(outcome, "the ticket to this service did not prove its client");
    }
    gss_release_buffer(&ignored, &token);
    gss_release_name(&ignored, &name);
}

void guise_gss_initiate(void **context, void *credential, const char *target, bool negotiates, uint32_t flags,
                        const uint8_t *token, size_t size, guise_gss_outcome *outcome) {
    OM_uint32 minor, ignored;
    gss_ctx_id_t handle = *context;
    gss_buffer_desc text = {strlen(target), (void *)target};
    gss_buffer_desc input = {size, (void *)token}, output = GSS_C_EMPTY_BUFFER;
    gss_name_t name = GSS_C_NO_NAME;
    gss_OID type = strchr(target, '/') ? (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME : GSS_C_NT_HOSTBASED_SERVICE;
    OM_uint32 major = gss_import_name(&minor, &text, type, &name);
    if (!GSS_ERROR(major))
        major = gss_init_sec_context(&minor, credential, &handle, name, negotiates ? &spnego : (gss_OID)gss_mech_krb5, flags,
                                     0, GSS_C_NO_CHANNEL_BINDINGS, &input, NULL, &output, NULL, NULL);
    *context = handle;
    take(outcome, &output);
    if (GSS_ERROR(major))
        fail(outcome, major, minor);
    else if (!(major & GSS_S_CONTINUE_NEEDED)) {
        outcome->finished = true;
        describe(handle, outcome);
    } else if (!outcome->token_size)
        fail_saying(outcome, "the token is not whole");
    gss_release_name(&ignored, &name);
}
#endif
