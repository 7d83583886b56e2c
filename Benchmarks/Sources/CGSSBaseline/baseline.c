#include "CGSSBaseline.h"

#ifdef GUISE_KERBEROS

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <time.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

void *bench_gss_credential(const char *keytab) {
    gss_OID_desc both[2] = {*gss_mech_krb5, {6, (void *)"\x2b\x06\x01\x05\x05\x02"}};
    gss_OID_set_desc mechanisms = {2, both}, alone = {1, both};
    gss_key_value_element_desc element = {"keytab", keytab};
    gss_key_value_set_desc store = {1, &element};
    gss_cred_id_t credential = GSS_C_NO_CREDENTIAL;
    OM_uint32 minor;
    if (GSS_ERROR(gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &mechanisms, GSS_C_ACCEPT, &store,
                                        &credential, NULL, NULL))
        || GSS_ERROR(gss_set_neg_mechs(&minor, credential, &alone)))
        return NULL;
    return credential;
}

double bench_gss_accept(void *credential, const void *token, size_t size) {
    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    gss_buffer_desc input = {size, (void *)token}, output = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;
    double start = now();
    OM_uint32 major = gss_accept_sec_context(&minor, &context, credential, &input, GSS_C_NO_CHANNEL_BINDINGS, NULL, NULL,
                                             &output, NULL, NULL, NULL);
    double took = now() - start;
    gss_release_buffer(&minor, &output);
    gss_delete_sec_context(&minor, &context, GSS_C_NO_BUFFER);
    return major == GSS_S_COMPLETE ? took : -1;
}
#endif
