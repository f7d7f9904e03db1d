#include "probe.h"

#include <openssl/rand.h>

#include <atls/attester.h>

#include "text.h"

#define BINDER_LEN 32

enum atls_code probe_attester(struct opened_attester *a, struct atls_err *err)
{
    struct atls_buf cmw = ATLS_BUF_INIT;
    uint8_t binder[BINDER_LEN];
    enum atls_code code;

    if (RAND_bytes(binder, sizeof binder) != 1)
        return set_error(err, ATLS_E_CRYPTO, "no randomness");
    code =
        atls_attester_evidence(a->attester, (struct atls_bytes){binder, sizeof binder}, &cmw, err);
    atls_buf_clear(&cmw);
    if (code == ATLS_OK)
        atomic_store(&a->proven, true);
    return code;
}

enum atls_code probe_verifier(const struct opened_verifier *v, struct atls_err *err)
{
    return atls_verifier_ping(v->verifier, err);
}
