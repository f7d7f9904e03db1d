/* The extension of PCK certificates, with each member to order. */
#include <string.h>

#include "testlib.h"

#include "core/writer.h"
#include "crypto/der.h"
#include "evidence/tdx_pck.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SGX      "\x2a\x86\x48\x86\xf8\x4d\x01\x0d\x01"

/* What the extension is made with; a member that is left out has order 0. */
struct order {
    int ppid, tcb, pce_id, fmspc, type, instance; /* how often each stands there */
    int foreign;                                  /* a member that nobody knows */
    size_t ppid_len, fmspc_len;
    uint8_t ppid_tag, type_tag;
    size_t type_len;
    int tcb_members; /* of 18 */
    bool tcb_twice;  /* member 3 */
    bool tcb_foreign;
    uint64_t component; /* member 1 */
    uint64_t pce_svn;
    bool negative;
    bool upside_down; /* the order of members */
    bool trailing;
};

static const struct order usual = {.ppid = 1,
                                   .tcb = 1,
                                   .pce_id = 1,
                                   .fmspc = 1,
                                   .type = 1,
                                   .instance = 1,
                                   .ppid_len = 16,
                                   .fmspc_len = 6,
                                   .ppid_tag = ATLS_DER_OCTET_STRING,
                                   .type_tag = 0x0a,
                                   .type_len = 1,
                                   .tcb_members = 18,
                                   .component = 7,
                                   .pce_svn = 300};

static const uint8_t octets[32] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

static void put_value(struct atls_writer *w, const char *oid, size_t oid_len, uint8_t tag,
                      struct atls_bytes value)
{
    size_t pair = atls_der_open(w, ATLS_DER_SEQUENCE);

    atls_der_put(w, ATLS_DER_OID, atls_bytes_of(oid, oid_len));
    atls_der_put(w, tag, value);
    atls_der_close(w, pair);
}

static void put_number(struct atls_writer *w, uint8_t arc, uint64_t number)
{
    uint8_t bytes[9] = {0};
    char oid[] = SGX "\x02?";
    size_t pair = atls_der_open(w, ATLS_DER_SEQUENCE);

    oid[sizeof oid - 2] = (char)arc;
    for (size_t i = 0; i < 8; i++)
        bytes[i + 1] = (uint8_t)(number >> (56 - 8 * i));
    atls_der_put(w, ATLS_DER_OID, atls_bytes_of(oid, sizeof oid - 1));
    atls_der_put_unsigned(w, atls_bytes_of(bytes, sizeof bytes));
    atls_der_close(w, pair);
}

static void put_tcb(struct atls_writer *w, const struct order *o)
{
    static const uint8_t minus_one[1] = {0xff};
    size_t pair = atls_der_open(w, ATLS_DER_SEQUENCE), list;

    atls_der_put(w, ATLS_DER_OID, atls_bytes_of(SGX "\x02", 10));
    list = atls_der_open(w, ATLS_DER_SEQUENCE);
    for (int i = 1; i <= o->tcb_members && i <= 16; i++) {
        if (i == 2 && o->negative)
            put_value(w, SGX "\x02\x02", 11, ATLS_DER_INTEGER, atls_bytes_of(minus_one, 1));
        else
            put_number(w, (uint8_t)i, i == 1 ? o->component : (uint64_t)i);
    }
    if (o->tcb_twice)
        put_number(w, 3, 3);
    if (o->tcb_foreign)
        put_number(w, 19, 1 << 30);
    if (o->tcb_members >= 17)
        put_number(w, 17, o->pce_svn);
    if (o->tcb_members >= 18)
        put_value(w, SGX "\x02\x12", 11, ATLS_DER_OCTET_STRING, atls_bytes_of(octets, 16));
    atls_der_close(w, list);
    atls_der_close(w, pair);
}

static void put_member(struct atls_writer *w, const struct order *o, int member)
{
    const int often[] = {0, o->ppid, o->tcb, o->pce_id, o->fmspc, o->type, o->instance, o->foreign};

    for (int i = 0; i < often[member]; i++)
        switch (member) {
        case 1:
            put_value(w, SGX "\x01", 10, o->ppid_tag, atls_bytes_of(octets, o->ppid_len));
            break;
        case 2:
            put_tcb(w, o);
            break;
        case 3:
            put_value(w, SGX "\x03", 10, ATLS_DER_OCTET_STRING, atls_bytes_of(octets, 2));
            break;
        case 4:
            put_value(w, SGX "\x04", 10, ATLS_DER_OCTET_STRING,
                      atls_bytes_of(octets, o->fmspc_len));
            break;
        case 5:
            put_value(w, SGX "\x05", 10, o->type_tag, atls_bytes_of(octets, o->type_len));
            break;
        case 6:
            put_value(w, SGX "\x06", 10, ATLS_DER_OCTET_STRING, atls_bytes_of(octets + 1, 16));
            break;
        default:
            put_value(w, "\x2a\x03\x04", 3, ATLS_DER_OCTET_STRING, atls_bytes_of(octets, 3));
            break;
        }
}

static struct atls_buf make(const struct order *o)
{
    struct atls_writer w = atls_writer_init(4096);
    struct atls_buf out = ATLS_BUF_INIT;
    size_t list = atls_der_open(&w, ATLS_DER_SEQUENCE);

    for (int i = 1; i <= 7; i++)
        put_member(&w, o, o->upside_down ? 8 - i : i);
    atls_der_close(&w, list);
    if (o->trailing)
        atls_put_u8(&w, 0);
    assert_int_equal(atls_writer_finish(&w, &out, NULL), ATLS_OK);
    return out;
}

static void facts_of_the_extension(void **state)
{
    static const bool directions[] = {false, true};

    (void)state;
    for (size_t i = 0; i < COUNT(directions); i++) {
        struct order o = usual;
        struct atls_pck_facts facts;
        struct atls_buf value;
        struct atls_err err = ATLS_ERR_INIT;

        o.upside_down = directions[i];
        value = make(&o);
        test_assert_code(atls_pck_facts_read(atls_buf_bytes(&value), &facts, &err), ATLS_OK, &err);
        assert_memory_equal(facts.ppid, octets, 16);
        assert_memory_equal(facts.fmspc, octets, 6);
        assert_memory_equal(facts.pce_id, octets, 2);
        assert_memory_equal(facts.instance, octets + 1, 16);
        assert_true(facts.has_instance);
        assert_int_equal(facts.sgx_type, 1);
        assert_int_equal(facts.pce_svn, 300);
        assert_int_equal(facts.components[0], 7);
        assert_int_equal(facts.components[15], 16);
        atls_buf_clear(&value);
    }
}

#define CHANGE(name, ...)                                                                          \
    static void name(struct order *o)                                                              \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
CHANGE(no_instance, o->instance = 0;)
CHANGE(foreign, o->foreign = 2;)
CHANGE(tcb_foreign, o->tcb_foreign = true;)
CHANGE(component_255, o->component = 255;)
CHANGE(pce_65535, o->pce_svn = 65535;)
CHANGE(no_ppid, o->ppid = 0;)
CHANGE(no_tcb, o->tcb = 0;)
CHANGE(no_pce_id, o->pce_id = 0;)
CHANGE(no_fmspc, o->fmspc = 0;)
CHANGE(no_type, o->type = 0;)
CHANGE(two_ppids, o->ppid = 2;)
CHANGE(two_tcbs, o->tcb = 2;)
CHANGE(two_instances, o->instance = 2;)
CHANGE(short_ppid, o->ppid_len = 15;)
CHANGE(long_fmspc, o->fmspc_len = 7;)
CHANGE(ppid_tag, o->ppid_tag = ATLS_DER_UTF8_STRING;)
CHANGE(type_tag, o->type_tag = ATLS_DER_INTEGER;)
CHANGE(type_len, o->type_len = 2;)
CHANGE(seventeen, o->tcb_members = 17;)
CHANGE(fifteen, o->tcb_members = 15;)
CHANGE(component_twice, o->tcb_twice = true;)
CHANGE(component_256, o->component = 256;)
CHANGE(component_large, o->component = UINT64_C(1) << 40;)
CHANGE(component_negative, o->negative = true;)
CHANGE(pce_65536, o->pce_svn = 65536;)
CHANGE(trailing, o->trailing = true;)

static const struct {
    const char *name;
    void (*change)(struct order *o);
    enum atls_code want;
} rows[] = {
    {"no platform instance id", no_instance, ATLS_OK},
    {"members that nobody knows", foreign, ATLS_OK},
    {"TCB member that nobody knows", tcb_foreign, ATLS_OK},
    {"component of 255", component_255, ATLS_OK},
    {"PCESVN of 65535", pce_65535, ATLS_OK},
    {"no PPID", no_ppid, ATLS_E_DECODE},
    {"no TCB", no_tcb, ATLS_E_DECODE},
    {"no PCE-ID", no_pce_id, ATLS_E_DECODE},
    {"no FMSPC", no_fmspc, ATLS_E_DECODE},
    {"no SGX type", no_type, ATLS_E_DECODE},
    {"PPID twice", two_ppids, ATLS_E_DECODE},
    {"TCB twice", two_tcbs, ATLS_E_DECODE},
    {"platform instance id twice", two_instances, ATLS_E_DECODE},
    {"PPID of 15 bytes", short_ppid, ATLS_E_DECODE},
    {"FMSPC of 7 bytes", long_fmspc, ATLS_E_DECODE},
    {"PPID that is text", ppid_tag, ATLS_E_DECODE},
    {"SGX type that is INTEGER", type_tag, ATLS_E_DECODE},
    {"SGX type of two bytes", type_len, ATLS_E_DECODE},
    {"no CPUSVN", seventeen, ATLS_E_DECODE},
    {"fifteen components", fifteen, ATLS_E_DECODE},
    {"component twice", component_twice, ATLS_E_DECODE},
    {"component of 256", component_256, ATLS_E_DECODE},
    {"component of 2^40", component_large, ATLS_E_DECODE},
    {"component below zero", component_negative, ATLS_E_DECODE},
    {"PCESVN of 65536", pce_65536, ATLS_E_DECODE},
    {"a byte behind it", trailing, ATLS_E_DECODE},
};

static void one_member_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct order o = usual;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_pck_facts facts;
        struct atls_buf value;

        rows[i].change(&o);
        value = make(&o);
        if (atls_pck_facts_read(atls_buf_bytes(&value), &facts, &err) != rows[i].want ||
            (rows[i].want != ATLS_OK && err.reason != ATLS_REASON_MALFORMED))
            fail_msg("%s: %s", rows[i].name, err.message);
        atls_buf_clear(&value);
    }
}

static void every_truncation_is_refused(void **state)
{
    struct atls_buf value = make(&usual);
    struct atls_pck_facts facts;

    (void)state;
    for (size_t len = 0; len < value.len; len++)
        assert_int_equal(atls_pck_facts_read(atls_bytes_of(value.ptr, len), &facts, NULL),
                         ATLS_E_DECODE);
    atls_buf_clear(&value);
}

/* Two certificates, four, or what is none. */
static void chains_have_three(void **state)
{
    struct atls_buf two = test_vector("tdx/v4-uptodate/tcb_signing_chain.pem");
    const struct atls_bytes texts[] = {atls_buf_bytes(&two), HEX(""), HEX("no certificate")};

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        const struct atls_pck_check check = {.certificates = texts[i], .time_s = 1751328000};
        struct atls_pck *pck = NULL;

        assert_int_equal(atls_pck_verify(&check, &pck, NULL), ATLS_E_DECODE);
        assert_null(pck);
    }
    atls_pck_unref(NULL);
    atls_buf_clear(&two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_of_the_extension),
        cmocka_unit_test(one_member_wrong),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(chains_have_three),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
