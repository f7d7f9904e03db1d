#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diag.h"
#include "testlib.h"

#include <atls/limits.h>

#include "wire/cbor.h"
#include "wire/corim.h"
#include "wire/corim_profile.h"

#define D32  "5820aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define UUID "d825500102030405060708090a0b0c0d0e0f10"
#define ENV  "a100a100" UUID
#define MEAS "81a2000701a102818201" D32
#define REF  "82" ENV MEAS
#define KEY  "82a101d9022647010203040506ff81d9022a6161"
#define ID   "01a1006174"
/* A CoMID of three members: identity, one more, triples. */
#define REFS "04a10081" REF

struct row {
    const char *name;
    const char *hex;
    enum atls_code want;
    const char *says;
};

static void assert_row(const struct row *row, enum atls_code code, const struct atls_err *err)
{
    if (code != row->want || (row->says != NULL && strstr(err->message, row->says) == NULL))
        fail_msg("%s: code %d, want %d: %s", row->name, code, row->want, err->message);
    if (row->want == ATLS_E_DECODE)
        assert_int_equal(err->reason, ATLS_REASON_MALFORMED);
}

static const struct row comids[] = {
    {"smallest", "a2" ID REFS, ATLS_OK, NULL},
    {"id by UUID, with a version",
     "a201a200500102030405060708090a0b0c0d0e0f10"
     "0107" REFS,
     ATLS_OK, NULL},
    {"language", "a30062656e" ID REFS, ATLS_OK, NULL},
    {"entity", "a3" ID "0281a2006161028100" REFS, ATLS_OK, NULL},
    {"entity with an extension", "a3" ID "0281a300616102810038ff00" REFS, ATLS_OK, NULL},
    {"linked tag that supplements", "a3" ID "0381a20061610100" REFS, ATLS_OK, NULL},
    {"attest key", "a2" ID "04a10381" KEY, ATLS_OK, NULL},
    {"attest key with conditions", "a2" ID "04a1038183a101d9022647010203040506ff81d9022a6161a10007",
     ATLS_OK, NULL},
    {"links to CoSWID tags are text", "a2" ID "04a1066161", ATLS_E_DECODE, "not a non-empty list"},
    {"unknown kind of triple",
     "a2" ID "04a1188"
     "18100",
     ATLS_OK, NULL},
    {"member of some profile",
     "a3" ID REFS "1864"
     "00",
     ATLS_OK, NULL},
    {"not a map", "80", ATLS_E_DECODE, "CoMID: not a map"},
    {"key is text", "a1616100", ATLS_E_DECODE, "CoMID: key is not an integer"},
    {"no identity", "a1" REFS, ATLS_E_DECODE, "has no tag-identity"},
    {"no triples", "a1" ID, ATLS_E_DECODE, "has no triples"},
    {"duplicate key", "a3" ID ID REFS, ATLS_E_DECODE, "duplicate map key"},
    {"indefinite length", "bf" ID REFS "ff", ATLS_E_DECODE, "indefinite length"},
    {"identity is text", "a2016174" REFS, ATLS_E_DECODE, "tag-identity: not a map"},
    {"identity without an id", "a201a10107" REFS, ATLS_E_DECODE, "tag-identity: has no id"},
    {"identity with an empty id", "a201a10060" REFS, ATLS_E_DECODE, "id is neither text nor"},
    {"identity of 15 bytes", "a201a1004f0102030405060708090a0b0c0d0e0f" REFS, ATLS_E_DECODE,
     "id is neither text nor"},
    {"identity with a negative version", "a201a20061740120" REFS, ATLS_E_DECODE,
     "version no number"},
    {"identity with another member", "a201a20061740200" REFS, ATLS_E_DECODE, "unknown member"},
    {"language is a number", "a30000" ID REFS, ATLS_E_DECODE, "language: not text"},
    {"no entities in the list", "a3" ID "0280" REFS, ATLS_E_DECODE, "entities: not a non-empty"},
    {"entity is text", "a3" ID "02816161" REFS, ATLS_E_DECODE, "entity: not a map"},
    {"entity key is text", "a3" ID "0281a1616100" REFS, ATLS_E_DECODE, "entity: key"},
    {"entity without a role", "a3" ID "0281a1006161" REFS, ATLS_E_DECODE, "no name or no role"},
    {"entity with no roles in the list", "a3" ID "0281a20061610280" REFS, ATLS_E_DECODE,
     "entity: member of the wrong type or empty"},
    {"entity with a role by name",
     "a3" ID "0281a20061610281"
     "6131" REFS,
     ATLS_E_DECODE, "entity: member of the wrong type or empty"},
    {"entity without a name", "a3" ID "0281a1028100" REFS, ATLS_E_DECODE, "no name or no role"},
    {"entity with a bare reg-id",
     "a3" ID "0281a30061610161"
     "61028100" REFS,
     ATLS_E_DECODE, "entity: member of the wrong type"},
    {"linked tags are a map", "a3" ID "03a0" REFS, ATLS_E_DECODE, "linked-tags: not a non-empty"},
    {"linked tag is text", "a3" ID "03816161" REFS, ATLS_E_DECODE, "linked-tags: not a map"},
    {"linked tag without a relation", "a3" ID "0381a1006161" REFS, ATLS_E_DECODE, "no relation"},
    {"linked tag without an id", "a3" ID "0381a10100" REFS, ATLS_E_DECODE, "has no id"},
    {"linked tag with an unknown relation", "a3" ID "0381a20061610102" REFS, ATLS_E_DECODE,
     "linked-tags: member is unknown"},
    {"linked tag with another member", "a3" ID "0381a20061610200" REFS, ATLS_E_DECODE,
     "linked-tags: member is unknown"},
    {"triples are a list", "a2" ID "0480", ATLS_E_DECODE, "triples: not a non-empty map"},
    {"triples are empty", "a2" ID "04a0", ATLS_E_DECODE, "triples: not a non-empty map"},
    {"kind of triples by name", "a2" ID "04a1616100", ATLS_E_DECODE, "kind is not an integer"},
    {"no reference triples in the list", "a2" ID "04a10080", ATLS_E_DECODE,
     "reference triples: not a non-empty list"},
    {"no attest-key triples in the list", "a2" ID "04a10380", ATLS_E_DECODE,
     "attest-key triples: not a non-empty list"},
    {"no links to CoSWID tags in the list", "a2" ID "04a10680", ATLS_E_DECODE,
     "not a non-empty list"},
    {"reference triple of one member", "a2" ID "04a1008181" ENV, ATLS_E_DECODE,
     "reference triple 0: CoRIM triple: not [environment, measurements]"},
    {"second reference triple with an empty environment", "a2" ID "04a10082" REF "82a0" MEAS,
     ATLS_E_DECODE, "reference triple 1: CoRIM environment: not a non-empty map"},
    {"reference triple without measurements", "a2" ID "04a1008182" ENV "80", ATLS_E_DECODE,
     "reference triple 0: CoRIM measurements"},
    {"attest-key triple of one member", "a2" ID "04a1038181" ENV, ATLS_E_DECODE,
     "attest-key triple 0: CoRIM triple"},
    {"attest-key triple of four members", "a2" ID "04a1038184" ENV "81d9022a6161a1000700",
     ATLS_E_DECODE, "attest-key triple 0: CoRIM triple"},
    {"attest-key triple without keys", "a2" ID "04a1038182" ENV "80", ATLS_E_DECODE,
     "attest-key triple 0: CoRIM keys"},
    {"attest-key triple with an empty environment", "a2" ID "04a1038182a081d9022a6161",
     ATLS_E_DECODE, "attest-key triple 0: CoRIM environment"},
    {"attest-key triple with empty conditions", "a2" ID "04a1038183" ENV "81d9022a6161a0",
     ATLS_E_DECODE, "conditions are not"},
    {"one trailing byte", "a2" ID REFS "00", ATLS_E_DECODE, "trailing bytes"},
};

static void test_comids(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof comids / sizeof comids[0]; i++) {
        struct atls_buf in = test_unhex(comids[i].hex);
        struct atls_arena arena = atls_arena_init(1 << 20);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_comid m;

        assert_row(&comids[i], atls_comid_decode(atls_buf_bytes(&in), &arena, &m, &err), &err);
        atls_arena_clear(&arena);
        atls_buf_clear(&in);
    }
}

static void test_comid_members(void **state)
{
    struct atls_buf in = test_unhex("a501a20061740107"
                                    "0281a30061610"
                                    "1d82061750281"
                                    "02"
                                    "0381a20061610101"
                                    "04a30081" REF "0381" KEY "06820102"
                                    "186400");
    struct atls_arena arena = atls_arena_init(1 << 20);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_comid m;

    (void)state;
    test_assert_code(atls_comid_decode(atls_buf_bytes(&in), &arena, &m, &err), ATLS_OK, &err);
    test_assert_bytes(m.id.text, atls_bytes_of("t", 1));
    assert_null(m.id.uuid.ptr);
    assert_true(m.has_version && m.version == 7 && m.replaces);
    assert_int_equal(m.entity_count, 1);
    test_assert_bytes(m.entities[0].name, atls_bytes_of("a", 1));
    test_assert_bytes(m.entities[0].reg_id, atls_bytes_of("u", 1));
    assert_int_equal(m.entities[0].roles, 1 << 2);
    assert_int_equal(m.reference_count, 1);
    assert_int_equal(m.references[0].count, 1);
    assert_int_equal(m.references[0].environment.class_id.len, 19);
    assert_int_equal(m.references[0].measurements[0].mkey.number, 7);
    assert_int_equal(m.attest_key_count, 1);
    assert_int_equal(m.attest_keys[0].count, 1);
    assert_int_equal(m.attest_keys[0].keys[0].tag, ATLS_TAG_PKIX_KEY);
    test_assert_bytes(m.attest_keys[0].keys[0].content, atls_bytes_of("a", 1));
    assert_false(m.attest_keys[0].conditional);
    assert_int_equal(m.other_count, 1);
    assert_int_equal(m.others[0].kind, ATLS_TRIPLE_COSWID);
    assert_int_equal(m.others[0].count, 2);
    test_assert_bytes(m.others[0].list, atls_bytes_of("\x82\x01\x02", 3));
    assert_int_equal(m.unknown_members, 1);
    atls_arena_clear(&arena);
    atls_buf_clear(&in);
}

#define SMALL "a2" ID REFS
/* 506(<< SMALL >>): SMALL has 78 bytes. */
#define TAG506 "d901fa584e" SMALL
#define TAGS   "0181" TAG506

static const struct row corims[] = {
    {"smallest", "d901f5a2006169" TAGS, ATLS_OK, NULL},
    {"id by UUID", "d901f5a200500102030405060708090a0b0c0d0e0f10" TAGS, ATLS_OK, NULL},
    {"tag that is skipped", "d901f5a20061690182" TAG506 "d901f941a0", ATLS_OK, NULL},
    {"CoTS without members", "d901f5a20061690182" TAG506 "d901fb41a0", ATLS_E_DECODE,
     "tag 1: CoTS map: has no environments"},
    {"CoTL without members", "d901f5a20061690182" TAG506 "d901fc41a0", ATLS_E_DECODE,
     "tag 1: CoRIM CoTL: has no tag-identity"},
    {"profile by URI", "d901f5a3006169" TAGS "03d820617a", ATLS_OK, NULL},
    {"profile by OID", "d901f5a3006169" TAGS "03d86f4155", ATLS_OK, NULL},
    {"validity", "d901f5a3006169" TAGS "04a200c10101c102", ATLS_OK, NULL},
    {"validity of one second", "d901f5a3006169" TAGS "04a200c10101c101", ATLS_OK, NULL},
    {"entity", "d901f5a3006169" TAGS "0581a2006161028101", ATLS_OK, NULL},
    {"dependent manifest", "d901f5a3006169" TAGS "0281a100d8206175", ATLS_OK, NULL},
    {"member of some profile", "d901f5a3006169" TAGS "186400", ATLS_OK, NULL},
    {"no tag", "a2006169" TAGS, ATLS_E_DECODE, "not tag 501 on a map"},
    {"another tag", "d901f4a2006169" TAGS, ATLS_E_DECODE, "not tag 501 on a map"},
    {"tag on a list", "d901f580", ATLS_E_DECODE, "not tag 501 on a map"},
    {"key is text", "d901f5a1616100", ATLS_E_DECODE, "map: key is not an integer"},
    {"no id", "d901f5a1" TAGS, ATLS_E_DECODE, "has no id"},
    {"no tags", "d901f5a1006169", ATLS_E_DECODE, "has no tags"},
    {"id is a number", "d901f5a20001" TAGS, ATLS_E_DECODE, "id: neither text nor a UUID"},
    {"id of 15 bytes", "d901f5a2004f0102030405060708090a0b0c0d0e0f" TAGS, ATLS_E_DECODE,
     "id: neither"},
    {"empty list of tags", "d901f5a20061690180", ATLS_E_DECODE, "tags: not a non-empty list"},
    {"tag is a bare byte string", "d901f5a2006169018141a0", ATLS_E_DECODE,
     "tag 0: CoRIM tags: not a tagged byte string"},
    {"tag holds a map", "d901f5a20061690181d901faa0", ATLS_E_DECODE, "not a tagged byte string"},
    {"tag of an unknown kind", "d901f5a20061690181d901fd41a0", ATLS_E_UNSUPPORTED,
     "509 is no kind of tag"},
    {"trailing byte inside a CoMID", "d901f5a20061690181d901fa584f" SMALL "00", ATLS_E_DECODE,
     "tag 0: CBOR: trailing bytes"},
    {"trailing byte inside a skipped tag", "d901f5a20061690182" TAG506 "d901f942a000",
     ATLS_E_DECODE, "tag 1: CBOR: trailing bytes"},
    {"profile is bare text", "d901f5a3006169" TAGS "03617a", ATLS_E_DECODE, "profile: neither"},
    {"profile is an empty OID", "d901f5a3006169" TAGS "03d86f40", ATLS_E_DECODE,
     "profile: neither"},
    {"validity is a list", "d901f5a3006169" TAGS "0480", ATLS_E_DECODE, "validity: not a map"},
    {"validity without an end", "d901f5a3006169" TAGS "04a100c101", ATLS_E_DECODE,
     "validity: has no not-after"},
    {"validity that ends before it begins", "d901f5a3006169" TAGS "04a200c10201c101", ATLS_E_DECODE,
     "validity: ends before it begins"},
    {"validity with a bare number", "d901f5a3006169" TAGS "04a10101", ATLS_E_DECODE,
     "validity: not an epoch time"},
    {"validity with another member", "d901f5a3006169" TAGS "04a202c10101c102", ATLS_E_DECODE,
     "validity: unknown member"},
    {"two manifest signers", "d901f5a3006169" TAGS "0582a2006161028102a2006162028102",
     ATLS_E_DECODE, "more than one manifest signer"},
    {"entity without a role", "d901f5a3006169" TAGS "0581a1006161", ATLS_E_DECODE, "no role"},
    {"empty list of dependent manifests", "d901f5a3006169" TAGS "0280", ATLS_E_DECODE,
     "dependent-rims: not a non-empty list"},
    {"dependent manifest is text", "d901f5a3006169" TAGS "02816161", ATLS_E_DECODE,
     "dependent-rims: not a map"},
    {"dependent manifest with a thumbprint", "d901f5a3006169" TAGS "0281a200d8206175018201" D32,
     ATLS_OK, NULL},
    {"dependent manifest with two places and two thumbprints",
     "d901f5a3006169" TAGS "0281a20082d8206175d8206176018182014103", ATLS_E_DECODE,
     "dependent-rims: digest of 1 bytes"},
    {"dependent manifest without a place", "d901f5a3006169" TAGS "0281a1018201" D32, ATLS_E_DECODE,
     "dependent-rims: has no href"},
    {"dependent manifest with another member", "d901f5a3006169" TAGS "0281a200d82061750200",
     ATLS_E_DECODE, "dependent-rims: unknown member"},
    {"dependent manifest with a bare place", "d901f5a3006169" TAGS "0281a100816175", ATLS_E_DECODE,
     "dependent-rims: href is not a URI"},
    {"duplicate id", "d901f5a3006169006169" TAGS, ATLS_E_DECODE, "duplicate map key"},
    {"one trailing byte", "d901f5a2006169" TAGS "00", ATLS_E_DECODE, "trailing bytes"},
};

static void test_corims(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof corims / sizeof corims[0]; i++) {
        struct atls_buf in = test_unhex(corims[i].hex);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_corim c;
        enum atls_code code = atls_corim_decode(atls_buf_bytes(&in), &c, &err);

        assert_row(&corims[i], code, &err);
        if (code == ATLS_OK) {
            atls_corim_clear(&c);
            for (size_t n = 0; n < in.len; n++)
                assert_int_not_equal(atls_corim_decode(atls_bytes_of(in.ptr, n), &c, NULL),
                                     ATLS_OK);
        }
        atls_buf_clear(&in);
    }
}

static void test_corim_members(void **state)
{
    struct atls_buf in =
        test_unhex("d901f5a7006169" TAGS "0281a100d820617503d820617a04a200c10101c102"
                   "0581a2006161028101186400");
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_corim c;

    (void)state;
    test_assert_code(atls_corim_decode(atls_buf_bytes(&in), &c, &err), ATLS_OK, &err);
    test_assert_bytes(c.id.text, atls_bytes_of("i", 1));
    test_assert_bytes(c.profile_uri, atls_bytes_of("z", 1));
    assert_int_equal(c.profile.len, 4);
    assert_true(c.validity.has_not_before && c.validity.not_before_s == 1);
    assert_true(c.validity.has_not_after && c.validity.not_after_s == 2);
    assert_int_equal(c.entity_count, 1);
    assert_int_equal(c.dependent_rims, 1);
    assert_int_equal(c.dependents[0].href_count, 1);
    test_assert_bytes(c.dependents[0].hrefs[0], atls_bytes_of("u", 1));
    assert_int_equal(c.dependents[0].thumbprint_count, 0);
    assert_int_equal(c.unknown_members, 1);
    assert_int_equal(c.tag_count, 1);
    assert_int_equal(c.tags[0].number, ATLS_TAG_COMID);
    assert_int_equal(c.tags[0].comid->reference_count, 1);
    atls_corim_clear(&c);
    assert_null(c.tags);
    atls_buf_clear(&in);
}

/* ---- limits ---- */

static void put_reference(struct atls_writer *w)
{
    struct atls_buf ref = test_unhex(REF);

    atls_put_bytes(w, atls_buf_bytes(&ref));
    atls_buf_clear(&ref);
}

static void put_comid(struct atls_writer *w, size_t references, size_t others)
{
    struct atls_buf id = test_unhex("a2" ID "04a2");

    atls_put_bytes(w, atls_buf_bytes(&id));
    atls_cbor_put_uint(w, 0);
    atls_cbor_put_array(w, references);
    for (size_t i = 0; i < references; i++)
        put_reference(w);
    atls_cbor_put_uint(w, 6);
    atls_cbor_put_array(w, others);
    for (size_t i = 0; i < others; i++)
        atls_cbor_put_uint(w, 0);
    atls_buf_clear(&id);
}

static void test_limits(void **state)
{
    const struct {
        const char *name;
        size_t references, others;
        enum atls_code want;
    } rows[] = {
        {"as many triples as are taken", 3000, 1096, ATLS_OK},
        {"one triple more, of another kind", 3000, 1097, ATLS_E_LIMIT},
        {"too many references", 4097, 1, ATLS_E_LIMIT},
    };
    struct atls_corim_envelope envelope;
    struct atls_corim corim;
    uint8_t *big = calloc(1, ATLS_CORIM_MAX + 1);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_writer w = atls_writer_init((size_t)1 << 22);
        struct atls_arena arena = atls_arena_init((size_t)1 << 26);
        struct atls_comid m;

        put_comid(&w, rows[i].references, rows[i].others);
        assert_int_equal(w.failed, ATLS_OK);
        if (atls_comid_decode(atls_writer_bytes(&w), &arena, &m, NULL) != rows[i].want)
            fail_msg("%s", rows[i].name);
        atls_arena_clear(&arena);
        atls_writer_clear(&w);
    }
    assert_non_null(big);
    assert_int_equal(atls_corim_decode(atls_bytes_of(big, ATLS_CORIM_MAX + 1), &corim, NULL),
                     ATLS_E_LIMIT);
    assert_int_equal(
        atls_corim_envelope_decode(atls_bytes_of(big, ATLS_CORIM_MAX + 1), &envelope, NULL),
        ATLS_E_LIMIT);
    free(big);
}

static void test_memory_is_bounded(void **state)
{
    struct atls_buf in = test_unhex("a3" ID "0281a2006161028100"
                                    "04a20081" REF "0381" KEY);
    struct atls_comid m;

    (void)state;
    /* Each step of room lets the decoder come further, and never to a wrong end. */
    for (size_t room = 0; room < 4096; room += 16) {
        struct atls_arena arena = atls_arena_init(room);
        enum atls_code code = atls_comid_decode(atls_buf_bytes(&in), &arena, &m, NULL);

        assert_true(code == ATLS_OK || code == ATLS_E_NOMEM);
        assert_true(room > 64 || code == ATLS_E_NOMEM);
        assert_true(room < 2048 || code == ATLS_OK);
        atls_arena_clear(&arena);
    }
    atls_buf_clear(&in);
}

/* ---- signed ---- */

#define CONTENT_TYPE                                                                               \
    "0374"                                                                                         \
    "6170706c69636174696f6e2f72696d2b63626f72"
#define CWT "0fa20161730402"

static const struct row protected_headers[] = {
    {"corim-meta without a window", "a30126" CONTENT_TYPE "0846a100a1006173", ATLS_OK, NULL},
    {"corim-meta with a window", "a30126" CONTENT_TYPE "084ba200a100617301a101c102", ATLS_OK, NULL},
    {"corim-meta with a URI", "a30126" CONTENT_TYPE "084ba100a200617301d8206175", ATLS_OK, NULL},
    {"CWT claims", "a30126" CONTENT_TYPE CWT, ATLS_OK, NULL},
    {"CWT claims with others", "a30126" CONTENT_TYPE "0fa4016173026178616100186400", ATLS_OK, NULL},
    {"both, in agreement", "a40126" CONTENT_TYPE "084ba200a100617301a101c102" CWT, ATLS_OK, NULL},
    {"both, one without a window", "a40126" CONTENT_TYPE "0846a100a1006173" CWT, ATLS_OK, NULL},
    {"corim-meta critical",
     "a401260281"
     "08" CONTENT_TYPE "0846a100a1006173",
     ATLS_OK, NULL},
    {"CWT claims critical",
     "a401260281"
     "0f" CONTENT_TYPE CWT,
     ATLS_OK, NULL},
    {"both critical, and the content type",
     "a501260283"
     "03080f" CONTENT_TYPE "0846a100a1006173" CWT,
     ATLS_OK, NULL},
    {"corim-meta critical and absent",
     "a401260281"
     "08" CONTENT_TYPE CWT,
     ATLS_E_DECODE, "label is not in the protected header"},
    {"another label critical",
     "a501260281"
     "18630846a100a1006173" CONTENT_TYPE "186300",
     ATLS_E_UNSUPPORTED, "is critical"},
    {"hash envelope critical",
     "a501260281"
     "1901020846a100a1006173" CONTENT_TYPE "1901022f",
     ATLS_E_UNSUPPORTED, "is critical"},
    {"neither", "a20126" CONTENT_TYPE, ATLS_E_DECODE, "neither corim-meta nor CWT claims"},
    {"both, with two names", "a40126" CONTENT_TYPE "0846a100a1006174" CWT, ATLS_E_DECODE,
     "disagree"},
    {"both, with two ends", "a40126" CONTENT_TYPE "084ba200a100617301a101c103" CWT, ATLS_E_DECODE,
     "disagree"},
    {"both, with two beginnings",
     "a40126" CONTENT_TYPE "084ea200a100617301a200c10001c102"
     "0fa301617304020501",
     ATLS_E_DECODE, "disagree"},
    {"both, with a window that ends before it begins",
     "a40126" CONTENT_TYPE "084ba200a100617301a101c102"
     "0fa20161730503",
     ATLS_E_DECODE, "signature: ends before it begins"},
    {"no content type",
     "a2012608"
     "46a100a1006173",
     ATLS_E_DECODE, "content type is not"},
    {"another content type",
     "a3012603"
     "6161"
     "0846a100a1006173",
     ATLS_E_DECODE, "content type is not"},
    {"content type by number",
     "a3012603"
     "18640846a100a1006173",
     ATLS_E_DECODE, "content type is not"},
    {"no algorithm", "a2" CONTENT_TYPE "0846a100a1006173", ATLS_E_DECODE, NULL},
    {"corim-meta is a map", "a30126" CONTENT_TYPE "08a100a1006173", ATLS_E_DECODE,
     "corim-meta: not a byte string"},
    {"corim-meta holds text", "a30126" CONTENT_TYPE "08426173", ATLS_E_DECODE,
     "corim-meta: not a map"},
    {"corim-meta with an indefinite map", "a30126" CONTENT_TYPE "0847bf00a1006173ff", ATLS_E_DECODE,
     "corim-meta: CBOR: indefinite length"},
    {"corim-meta without a signer", "a30126" CONTENT_TYPE "0846a101a101c102", ATLS_E_DECODE,
     "corim-meta: has no signer"},
    {"corim-meta with an empty name", "a30126" CONTENT_TYPE "0845a100a10060", ATLS_E_DECODE,
     "signer is not"},
    {"corim-meta with a bare URI",
     "a30126" CONTENT_TYPE "0849a100a20061730161"
     "75",
     ATLS_E_DECODE, "signer is not"},
    {"corim-meta with another member of the signer",
     "a30126" CONTENT_TYPE "0848a100a2006173"
     "0200",
     ATLS_E_DECODE, "signer is not"},
    {"corim-meta with a signer as text", "a30126" CONTENT_TYPE "0844a1006173", ATLS_E_DECODE,
     "signer is not"},
    {"corim-meta with another member", "a30126" CONTENT_TYPE "0848a200a10061730200", ATLS_E_DECODE,
     "corim-meta: unknown member"},
    {"corim-meta with a window without end", "a30126" CONTENT_TYPE "084ba200a100617301a100c102",
     ATLS_E_DECODE, "validity: has no not-after"},
    {"CWT claims are a list", "a30126" CONTENT_TYPE "0f80", ATLS_E_DECODE, "CWT claims: not a map"},
    {"CWT claims without iss", "a30126" CONTENT_TYPE "0fa10402", ATLS_E_DECODE, "has no iss"},
    {"CWT claims with an empty iss", "a30126" CONTENT_TYPE "0fa10160", ATLS_E_DECODE, "has no iss"},
    {"CWT claims with exp as text",
     "a30126" CONTENT_TYPE "0fa20161730461"
     "31",
     ATLS_E_DECODE, "claim of the wrong type"},
    {"CWT claims with a window that ends before it begins",
     "a30126" CONTENT_TYPE "0fa301617304010502", ATLS_E_DECODE, "CWT claims: ends before"},
    {"hash envelope",
     "a40126" CONTENT_TYPE "0846a100a1006173"
     "1901022f",
     ATLS_E_UNSUPPORTED, "hash envelope"},
    {"preimage type of a hash envelope alone",
     "a40126" CONTENT_TYPE "0846a100a1006173"
     "19010300",
     ATLS_E_UNSUPPORTED, "hash envelope"},
    {"location of a hash envelope alone",
     "a40126" CONTENT_TYPE "0846a100a1006173"
     "1901046161",
     ATLS_E_UNSUPPORTED, "hash envelope"},
    {"label after those of a hash envelope",
     "a40126" CONTENT_TYPE "0846a100a1006173"
     "1901056161",
     ATLS_OK, NULL},
    {"indefinite length", "bf0126" CONTENT_TYPE "0846a100a1006173ff", ATLS_E_DECODE, NULL},
};

static struct atls_buf sign1(struct atls_bytes header, const struct atls_bytes *payload)
{
    struct atls_writer w = atls_writer_init(1 << 20);
    struct atls_buf out = ATLS_BUF_INIT;

    if (payload != NULL) {
        atls_cose_put_sign1(&w, header, atls_bytes_of(NULL, 0), *payload,
                            atls_bytes_of("signature", 9));
    } else {
        atls_cbor_put_tag(&w, 18);
        atls_cbor_put_array(&w, 4);
        atls_cbor_put_bytes(&w, header);
        atls_cbor_put_map(&w, 0);
        atls_cbor_put_null(&w);
        atls_cbor_put_bytes(&w, atls_bytes_of("signature", 9));
    }
    assert_int_equal(atls_writer_finish(&w, &out, NULL), ATLS_OK);
    return out;
}

static void test_protected_headers(void **state)
{
    struct atls_buf manifest = test_unhex("d901f5a2006169" TAGS);
    struct atls_bytes payload = atls_buf_bytes(&manifest);

    (void)state;
    for (size_t i = 0; i < sizeof protected_headers / sizeof protected_headers[0]; i++) {
        struct atls_buf header = test_unhex(protected_headers[i].hex);
        struct atls_buf in = sign1(atls_buf_bytes(&header), &payload);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_corim_envelope e;
        enum atls_code code = atls_corim_envelope_decode(atls_buf_bytes(&in), &e, &err);

        assert_row(&protected_headers[i], code, &err);
        if (code == ATLS_OK) {
            assert_true(e.is_signed);
            test_assert_bytes(e.manifest, payload);
            test_assert_bytes(e.signer, atls_bytes_of("s", 1));
            for (size_t n = 0; n < in.len; n++)
                assert_int_not_equal(atls_corim_envelope_decode(atls_bytes_of(in.ptr, n), &e, NULL),
                                     ATLS_OK);
        }
        atls_buf_clear(&header);
        atls_buf_clear(&in);
    }
    atls_buf_clear(&manifest);
}

static void test_signed_payloads(void **state)
{
    static const struct row rows[] = {
        {"map without its tag", "a2006169" TAGS, ATLS_E_UNSUPPORTED, "payload is not tag 501"},
        {"empty", "", ATLS_E_UNSUPPORTED, "payload is not tag 501"},
        {"detached", NULL, ATLS_E_UNSUPPORTED, "detached payload"},
    };
    struct atls_buf header = test_unhex("a30126" CONTENT_TYPE CWT);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf text = test_unhex(rows[i].hex != NULL ? rows[i].hex : "");
        struct atls_bytes payload = atls_buf_bytes(&text);
        struct atls_buf in = sign1(atls_buf_bytes(&header), rows[i].hex != NULL ? &payload : NULL);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_corim_envelope e;

        assert_row(&rows[i], atls_corim_envelope_decode(atls_buf_bytes(&in), &e, &err), &err);
        atls_buf_clear(&text);
        atls_buf_clear(&in);
    }
    atls_buf_clear(&header);
}

static void test_envelope_forms(void **state)
{
    struct atls_buf header = test_unhex("a30126" CONTENT_TYPE CWT);
    struct atls_buf manifest = test_unhex("d901f5a2006169" TAGS);
    struct atls_bytes payload = atls_buf_bytes(&manifest);
    struct atls_buf signed_one = sign1(atls_buf_bytes(&header), &payload);
    struct atls_writer w = atls_writer_init(1 << 16);
    struct atls_corim_envelope e;

    (void)state;
    test_assert_code(atls_corim_envelope_decode(payload, &e, NULL), ATLS_OK, NULL);
    assert_false(e.is_signed);
    test_assert_bytes(e.manifest, payload);

    atls_cbor_put_tag(&w, 500);
    atls_cbor_put_tag(&w, 502);
    atls_put_bytes(&w, atls_buf_bytes(&signed_one));
    test_assert_code(atls_corim_envelope_decode(atls_writer_bytes(&w), &e, NULL), ATLS_OK, NULL);
    assert_true(e.is_signed && e.validity.has_not_after && e.validity.not_after_s == 2);
    assert_false(e.validity.has_not_before);
    atls_writer_clear(&w);

    atls_cbor_put_tag(&w, 500);
    atls_put_bytes(&w, atls_buf_bytes(&signed_one));
    test_assert_code(atls_corim_envelope_decode(atls_writer_bytes(&w), &e, NULL), ATLS_E_DECODE,
                     NULL);
    atls_writer_clear(&w);
    test_assert_code(atls_corim_envelope_decode(atls_bytes_of("\x80", 1), &e, NULL), ATLS_E_DECODE,
                     NULL);
    test_assert_code(atls_corim_envelope_decode(atls_bytes_of(NULL, 0), &e, NULL), ATLS_E_DECODE,
                     NULL);
    atls_buf_clear(&header);
    atls_buf_clear(&manifest);
    atls_buf_clear(&signed_one);
}

static void test_protected_round_trip(void **state)
{
    static const struct atls_corim_validity windows[] = {
        {false, false, 0, 0}, {false, true, 0, 9}, {true, true, -5, 9}, {true, false, 7, 0}};
    struct atls_buf manifest = test_unhex("d901f5a2006169" TAGS);
    struct atls_bytes payload = atls_buf_bytes(&manifest);

    (void)state;
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        struct atls_writer w = atls_writer_init(1 << 16);
        struct atls_err err = ATLS_ERR_INIT;
        const struct atls_bytes chain[] = {HEX("\x30\x01"), HEX("\x30\x02")};
        const struct atls_corim_header header = {-7, atls_bytes_of("me", 2), windows[i], chain,
                                                 i % 3};
        struct atls_bytes certificates[ATLS_CHAIN_MAX];
        struct atls_corim_envelope e;
        struct atls_buf in;
        size_t count;

        atls_corim_put_protected(&w, &header);
        in = sign1(atls_writer_bytes(&w), &payload);
        test_assert_code(atls_corim_envelope_decode(atls_buf_bytes(&in), &e, &err), ATLS_OK, &err);
        test_assert_bytes(e.signer, atls_bytes_of("me", 2));
        assert_int_equal(e.sign1.alg, -7);
        assert_int_equal(e.validity.has_not_before, windows[i].has_not_before);
        assert_int_equal(e.validity.has_not_after, windows[i].has_not_after);
        assert_int_equal(e.validity.not_before_s, windows[i].not_before_s);
        assert_int_equal(e.validity.not_after_s, windows[i].not_after_s);
        assert_int_equal(e.sign1.x5chain.ptr != NULL, i % 3 != 0);
        if (i % 3 != 0) {
            test_assert_code(atls_corim_x5chain_decode(e.sign1.x5chain, certificates, &count, &err),
                             ATLS_OK, &err);
            assert_int_equal(count, i % 3);
            test_assert_bytes(certificates[count - 1], chain[count - 1]);
        }
        atls_buf_clear(&in);
        atls_writer_clear(&w);
    }
    atls_buf_clear(&manifest);
}

static void test_x5chains(void **state)
{
    static const struct row rows[] = {
        {"one certificate", "4130", ATLS_OK, NULL},
        {"a list of one", "814130", ATLS_OK, NULL},
        {"as many as are taken", "8841304130413041304130413041304130", ATLS_OK, NULL},
        {"one more", "89413041304130413041304130413041304130", ATLS_E_LIMIT, "at most 8"},
        {"empty list", "80", ATLS_E_DECODE, "neither a certificate nor a list"},
        {"text", "6130", ATLS_E_DECODE, "neither a certificate nor a list"},
        {"list with text", "8241306130", ATLS_E_DECODE, "not a byte string"},
        {"one trailing byte", "413000", ATLS_E_DECODE, "trailing"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_bytes certificates[ATLS_CHAIN_MAX];
        struct atls_buf in = test_unhex(rows[i].hex);
        struct atls_err err = ATLS_ERR_INIT;
        size_t count;

        assert_row(&rows[i],
                   atls_corim_x5chain_decode(atls_buf_bytes(&in), certificates, &count, &err),
                   &err);
        atls_buf_clear(&in);
    }
}

/* ---- forms of old tools ---- */

static void test_legacy(void **state)
{
    struct atls_buf in = test_vector("corim/legacy-signed-corim-valid.cbor"),
                    empty = test_vector("corim/legacy-signed-corim-empty-payload.cbor");
    struct atls_err err = ATLS_ERR_INIT;
    const struct atls_measurement *m;
    struct atls_corim_envelope e;
    struct atls_corim c;

    (void)state;
    test_assert_code(
        atls_corim_envelope_decode_with(atls_buf_bytes(&in), ATLS_CORIM_LEGACY, &e, &err), ATLS_OK,
        &err);
    assert_true(e.is_signed && e.is_untagged);
    test_assert_code(atls_corim_decode(e.manifest, &c, &err), ATLS_E_DECODE, &err);
    test_assert_code(atls_corim_decode_with(e.manifest, ATLS_CORIM_LEGACY, &c, &err), ATLS_OK,
                     &err);
    test_assert_bytes(c.profile_uri, atls_bytes_of("http://arm.com/iot/profile/1", 28));
    assert_int_equal(c.tags[0].comid->reference_count, 1);
    assert_int_equal(c.tags[0].comid->references[0].count, 3);
    assert_int_equal(c.tags[0].comid->references[0].environment.class_id.ptr[2], 0x30);
    m = &c.tags[0].comid->references[0].measurements[0];
    test_assert_bytes(m->mkey.bytes, atls_bytes_of("psa.software-component", 22));
    test_assert_bytes(m->mval.name, atls_bytes_of("BL", 2));
    test_assert_bytes(m->mval.version, atls_bytes_of("2.1.0", 5));
    assert_int_equal(m->mval.keys[0].tag, ATLS_TAG_BYTES);
    assert_int_equal(m->mval.keys[0].content.len, 32);
    atls_corim_clear(&c);

    test_assert_code(
        atls_corim_envelope_decode_with(atls_buf_bytes(&empty), ATLS_CORIM_LEGACY, &e, &err),
        ATLS_OK, &err);
    test_assert_code(atls_corim_decode_with(e.manifest, ATLS_CORIM_LEGACY, &c, &err), ATLS_E_DECODE,
                     &err);
    assert_non_null(strstr(err.message, "has no id"));
    atls_buf_clear(&in);
    atls_buf_clear(&empty);
}

#define OLD_CLASS         "{0: {0: 600(h(32))}}"
#define OLD_MKEY          "601({1: 'BL', 4: '1', 5: h(32)})"
#define OLD(mkey, values) "{0: [[" OLD_CLASS ", [{0: " mkey ", 1: " values ", 2: [554('k')]}]]]}"

static const struct {
    const char *name, *profile, *triples;
    enum atls_code want;
    const char *says;
} old_manifests[] = {
    {"old tags under the old profile", ATLS_CORIM_OLD_PSA_PROFILE,
     OLD(OLD_MKEY, "{2: [[1, h(32)]]}"), ATLS_OK, NULL},
    {"reference id of a signer alone", ATLS_CORIM_OLD_PSA_PROFILE,
     OLD("601({5: h(32)})", "{2: [[1, h(32)]]}"), ATLS_OK, NULL},
    {"old tags under the current profile", "tag:arm.com,2025:psa#1.0.0",
     OLD(OLD_MKEY, "{2: [[1, h(32)]]}"), ATLS_E_UNSUPPORTED, "tag 600 or 601"},
    {"reference id without a signer", ATLS_CORIM_OLD_PSA_PROFILE,
     OLD("601({1: 'BL'})", "{2: [[1, h(32)]]}"), ATLS_E_DECODE, "old PSA reference id"},
    {"reference id with another member", ATLS_CORIM_OLD_PSA_PROFILE,
     OLD("601({2: 'BL', 5: h(32)})", "{2: [[1, h(32)]]}"), ATLS_E_DECODE, "old PSA reference id"},
    {"reference id beside a name", ATLS_CORIM_OLD_PSA_PROFILE,
     OLD(OLD_MKEY, "{2: [[1, h(32)]], 11: 'n'}"), ATLS_E_DECODE, "of their own"},
    {"reference id beside keys", ATLS_CORIM_OLD_PSA_PROFILE,
     OLD(OLD_MKEY, "{2: [[1, h(32)]], 13: [554('k')]}"), ATLS_E_DECODE, "of their own"},
    {"reference id with a label that is a number", ATLS_CORIM_OLD_PSA_PROFILE,
     OLD("601({1: 1, 5: h(32)})", "{2: [[1, h(32)]]}"), ATLS_E_DECODE, "old PSA reference id"},
    {"reference id that is a list", ATLS_CORIM_OLD_PSA_PROFILE,
     OLD("601([h(32)])", "{2: [[1, h(32)]]}"), ATLS_E_DECODE, "old PSA reference id"},
    {"reference id with values that are a list", ATLS_CORIM_OLD_PSA_PROFILE, OLD(OLD_MKEY, "[]"),
     ATLS_E_DECODE, "old PSA reference id"},
    {"reference id without values", ATLS_CORIM_OLD_PSA_PROFILE,
     "{0: [[" OLD_CLASS ", [{0: " OLD_MKEY "}]]]}", ATLS_E_DECODE, "old PSA reference id"},
    {"reference id beside an unknown member", ATLS_CORIM_OLD_PSA_PROFILE,
     "{0: [[" OLD_CLASS ", [{0: " OLD_MKEY ", 1: {1: 1}, 3: 0}]]]}", ATLS_E_DECODE,
     "old PSA reference id"},
    {"reference id in a list of a list", ATLS_CORIM_OLD_PSA_PROFILE,
     "{0: [[[{0: " OLD_MKEY ", 1: [{}]}]]]}", ATLS_E_DECODE, "old PSA reference id"},
    {"duplicate member", ATLS_CORIM_OLD_PSA_PROFILE, "{6: [0], 6: [0]}", ATLS_E_DECODE,
     "duplicate map key"},
    {"reference id as a class", ATLS_CORIM_OLD_PSA_PROFILE,
     "{0: [[{0: {0: 601({5: h(32)})}}, [{1: {1: 1}}]]]}", ATLS_E_DECODE, "old PSA reference id"},
    {"implementation-id as an mkey", ATLS_CORIM_OLD_PSA_PROFILE,
     OLD("600(h(32))", "{2: [[1, h(32)]]}"), ATLS_E_DECODE, "mkey: tag 560"},
};

static void test_old_manifests(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof old_manifests / sizeof old_manifests[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_corim c;
        struct atls_buf in;
        enum atls_code code;
        char text[1024];

        snprintf(text, sizeof text,
                 "501({0: 'i', 1: [506(<<{1: {0: 't'}, 4: %s}>>)], 3: 32('%s')})",
                 old_manifests[i].triples, old_manifests[i].profile);
        in = test_diag(text);
        code = atls_corim_decode(atls_buf_bytes(&in), &c, &err);
        if (code != old_manifests[i].want ||
            (old_manifests[i].says != NULL && strstr(err.message, old_manifests[i].says) == NULL))
            fail_msg("%s: code %d: %s", old_manifests[i].name, code, err.message);
        if (code == ATLS_OK) {
            const struct atls_corim_reference *ref = &c.tags[0].comid->references[0];

            assert_int_equal(ref->measurements[0].mval.key_count, 1);
            assert_int_equal(ref->measurements[0].mval.digest_count, 1);
            assert_int_equal(ref->measurements[0].authorized_by_count, 1);
            assert_int_equal(ref->measurements[0].mval.name.ptr != NULL, i == 0);
            test_assert_code(atls_corim_profile_check(&c, NULL, &err), ATLS_OK, &err);
            atls_corim_clear(&c);
        }
        atls_buf_clear(&in);
    }
}

/* Host data of SEV-SNP is no digest, whatever it is called. */
static void test_host_data(void **state)
{
    static const struct {
        const char *name, *profile, *measurement;
        enum atls_code want;
    } rows[] = {
        {"under SHA-384", ATLS_CORIM_SNP_PROFILE, "{0: 642, 1: {2: [[7, h(32)]]}}", ATLS_OK},
        {"as a raw value", ATLS_CORIM_SNP_PROFILE, "{0: 642, 1: {4: 560(h(32))}}", ATLS_OK},
        {"under SHA-384, too short", ATLS_CORIM_SNP_PROFILE, "{0: 642, 1: {2: [[7, h(31)]]}}",
         ATLS_E_DECODE},
        {"another field under SHA-384", ATLS_CORIM_SNP_PROFILE, "{0: 643, 1: {2: [[7, h(32)]]}}",
         ATLS_E_DECODE},
        {"under SHA-384, of another profile", "p", "{0: 642, 1: {2: [[7, h(32)]]}}", ATLS_E_DECODE},
        {"under the old tag of PSA", ATLS_CORIM_SNP_PROFILE, "{0: 600(h(32)), 1: {1: 1}}",
         ATLS_E_UNSUPPORTED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        const struct atls_mval *v;
        struct atls_corim c;
        struct atls_buf in;
        char text[512];

        snprintf(
            text, sizeof text,
            "501({0: 'i', 1: [506(<<{1: {0: 't'}, 4: {0: [[{0: {0: 111(h'2b060104019c780301')}}, "
            "[%s]]]}}>>)], 3: 32('%s')})",
            rows[i].measurement, rows[i].profile);
        in = test_diag(text);
        if (atls_corim_decode(atls_buf_bytes(&in), &c, &err) != rows[i].want)
            fail_msg("%s: %s", rows[i].name, err.message);
        if (rows[i].want == ATLS_OK) {
            v = &c.tags[0].comid->references[0].measurements[0].mval;
            assert_int_equal(v->present, ATLS_MVAL_RAW);
            assert_int_equal(v->raw.len, 32);
            test_assert_code(atls_corim_profile_check(&c, NULL, &err), ATLS_OK, &err);
            atls_corim_clear(&c);
        }
        atls_buf_clear(&in);
    }
}

/* Of old tools each form is taken on request only. */
static void test_legacy_forms(void **state)
{
    static const struct {
        const char *name, *text;
        const char *says; /* without the request */
    } rows[] = {
        {"no tag 501", "{0: 'i', 1: [506(<<{1: {0: 't'}, 4: {6: [0]}}>>)]}", "not tag 501"},
        {"tag inside of bytes", "501({0: 'i', 1: [<<506({1: {0: 't'}, 4: {6: [0]}})>>]})",
         "not a tagged byte string"},
        {"bare profile", "501({0: 'i', 1: [506(<<{1: {0: 't'}, 4: {6: [0]}}>>)], 3: 'p'})",
         "profile: neither"},
    };
    struct atls_buf bad = test_diag("501({0: 'i', 1: [h'00']})");
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_corim c;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf in = test_diag(rows[i].text);

        if (atls_corim_decode(atls_buf_bytes(&in), &c, &err) != ATLS_E_DECODE ||
            strstr(err.message, rows[i].says) == NULL)
            fail_msg("%s: %s", rows[i].name, err.message);
        test_assert_code(atls_corim_decode_with(atls_buf_bytes(&in), ATLS_CORIM_LEGACY, &c, &err),
                         ATLS_OK, &err);
        atls_corim_clear(&c);
        atls_buf_clear(&in);
    }
    test_assert_code(atls_corim_decode_with(atls_buf_bytes(&bad), ATLS_CORIM_LEGACY, &c, &err),
                     ATLS_E_DECODE, &err);
    atls_buf_clear(&bad);
}

/* CoTL: what goes active together. */
static void test_cotls(void **state)
{
    static const struct {
        const char *name, *text;
        enum atls_code want;
        const char *says;
    } rows[] = {
        {"smallest", "{0: {0: 'l'}, 1: [{0: 't'}], 2: {1: 1(2)}}", ATLS_OK, NULL},
        {"not a map", "[]", ATLS_E_DECODE, "CoTL: not a map"},
        {"no identity", "{1: [{0: 't'}], 2: {1: 1(2)}}", ATLS_E_DECODE, "has no tag-identity"},
        {"no tags", "{0: {0: 'l'}, 2: {1: 1(2)}}", ATLS_E_DECODE, "has no tag-identity, no tags"},
        {"no validity", "{0: {0: 'l'}, 1: [{0: 't'}]}", ATLS_E_DECODE, "no validity"},
        {"empty list", "{0: {0: 'l'}, 1: [], 2: {1: 1(2)}}", ATLS_E_DECODE, "tags-list: not a non"},
        {"second tag without an id", "{0: {0: 'l'}, 1: [{0: 't'}, {1: 1}], 2: {1: 1(2)}}",
         ATLS_E_DECODE, "tag of the list 1: CoRIM tag-identity: has no id"},
        {"validity that ends before it begins",
         "{0: {0: 'l'}, 1: [{0: 't'}], 2: {0: 1(3), 1: 1(2)}}", ATLS_E_DECODE, "ends before"},
        {"unknown member", "{0: {0: 'l'}, 1: [{0: 't'}], 2: {1: 1(2)}, 3: 0}", ATLS_E_UNSUPPORTED,
         "CoTL: unknown member"},
    };
    struct atls_buf in = test_vector("corim/draft-cotl-1.cbor");
    struct atls_arena arena = atls_arena_init(1 << 16);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_cotl list;

    (void)state;
    test_assert_code(atls_cotl_decode(atls_buf_bytes(&in), &arena, &list, &err), ATLS_OK, &err);
    assert_int_equal(list.identity.id.uuid.len, 16);
    assert_true(list.identity.has_version && list.identity.version == 1);
    assert_int_equal(list.tag_count, 3);
    assert_false(list.tags[0].has_version);
    assert_true(list.tags[1].has_version && list.tags[1].version == 5);
    assert_int_equal(list.validity.not_before_s, 1234);
    assert_int_equal(list.validity.not_after_s, 4567);
    for (size_t n = 0; n < in.len; n++)
        assert_int_not_equal(atls_cotl_decode(atls_bytes_of(in.ptr, n), &arena, &list, NULL),
                             ATLS_OK);
    atls_buf_clear(&in);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        in = test_diag(rows[i].text);
        err = (struct atls_err)ATLS_ERR_INIT;
        if (atls_cotl_decode(atls_buf_bytes(&in), &arena, &list, &err) != rows[i].want ||
            (rows[i].says != NULL && strstr(err.message, rows[i].says) == NULL))
            fail_msg("%s: %s", rows[i].name, err.message);
        atls_buf_clear(&in);
    }
    atls_arena_clear(&arena);
}

/* ---- published examples ---- */

enum form { CORIM, COMID_MAP };

static const struct {
    const char *file;
    enum form form;
    enum atls_code want;
    size_t references, attest_keys, endorsed, conditional; /* of the first CoMID */
} vectors[] = {
    {"comid-1.cbor", COMID_MAP, ATLS_OK, 1, 0, 0, 0},
    {"comid-1a.cbor", COMID_MAP, ATLS_OK, 1, 0, 0, 0},
    {"comid-2.cbor", COMID_MAP, ATLS_OK, 0, 0, 1, 0},
    {"comid-2b.cbor", COMID_MAP, ATLS_OK, 3, 0, 1, 0},
    {"comid-3.cbor", COMID_MAP, ATLS_OK, 1, 0, 0, 0},
    {"comid-4.cbor", COMID_MAP, ATLS_OK, 1, 0, 0, 0},
    {"comid-6.cbor", COMID_MAP, ATLS_OK, 1, 0, 0, 0},
    {"comid-7.cbor", COMID_MAP, ATLS_OK, 1, 0, 0, 0},
    {"comid-cond-endorse-series.cbor", COMID_MAP, ATLS_OK, 1, 0, 0, 1},
    {"comid-design-cd.cbor", COMID_MAP, ATLS_OK, 4, 0, 1, 0},
    {"comid-firmware-cd.cbor", COMID_MAP, ATLS_OK, 2, 0, 1, 0},
    {"comid-flags.cbor", COMID_MAP, ATLS_OK, 0, 0, 1, 0},
    {"comid-integrity-registers.cbor", COMID_MAP, ATLS_OK, 1, 0, 0, 0},
    {"comid-opaque-instance-id.cbor", COMID_MAP, ATLS_OK, 1, 0, 0, 0},
    {"draft-comid-psa-endval.cbor", COMID_MAP, ATLS_OK, 0, 0, 0, 1},
    {"draft-comid-psa-refval.cbor", COMID_MAP, ATLS_OK, 2, 0, 0, 0},
    {"profile-tdx-comid_qe_refval.cbor", COMID_MAP, ATLS_OK, 1, 0, 0, 0},
    {"profile-tdx-comid_seam_refval.cbor", COMID_MAP, ATLS_OK, 1, 0, 0, 0},
    {"corim-1.cbor", CORIM, ATLS_OK, 1, 0, 0, 0},
    {"corim-design-cd.cbor", CORIM, ATLS_OK, 4, 0, 1, 0},
    {"corim-roles.cbor", CORIM, ATLS_OK, 1, 0, 0, 0},
    {"draft-corim-1.cbor", CORIM, ATLS_OK, 1, 0, 0, 0},
    {"draft-corim-2.cbor", CORIM, ATLS_OK, 3, 0, 1, 0},
    {"draft-payload-corim-4.cbor", CORIM, ATLS_OK, 1, 0, 0, 0},
    {"signed-good-corim.cbor", CORIM, ATLS_OK, 1, 0, 0, 0},
    {"unsigned-good-corim.cbor", CORIM, ATLS_OK, 1, 0, 0, 0},
    {"profile-psa-valid.cbor", CORIM, ATLS_OK, 1, 1, 0, 0},
    {"profile-psa-no-profile.cbor", CORIM, ATLS_OK, 1, 0, 0, 0},
    {"profile-cca-platform-valid.cbor", CORIM, ATLS_OK, 1, 1, 0, 0},
    {"profile-cca-realm-valid.cbor", CORIM, ATLS_OK, 1, 0, 0, 0},
    {"scheme-psa-valid.cbor", CORIM, ATLS_OK, 1, 0, 0, 0},
    {"scheme-cca-platform-valid.cbor", CORIM, ATLS_OK, 1, 0, 0, 0},
    {"scheme-cca-realm-valid.cbor", CORIM, ATLS_OK, 1, 0, 0, 0},
    {"scheme-enacttrust-valid.cbor", CORIM, ATLS_OK, 1, 0, 0, 0},
    {"scheme-parsec-cca-valid.cbor", CORIM, ATLS_OK, 1, 0, 0, 0},
    {"scheme-sevsnp-valid.cbor", CORIM, ATLS_OK, 1, 0, 0, 0},
    {"scheme-parsec-tpm-valid.cbor", CORIM, ATLS_OK, 1, 0, 0, 0},
    {"legacy-signed-corim-valid.cbor", CORIM, ATLS_E_UNSUPPORTED, 0, 0, 0, 0},
    {"legacy-signed-corim-empty-payload.cbor", CORIM, ATLS_E_UNSUPPORTED, 0, 0, 0, 0},
};

static enum atls_code decode_vector(struct atls_bytes in, enum form form, struct atls_corim *corim,
                                    struct atls_comid *comid, struct atls_err *err)
{
    struct atls_corim_envelope e;
    enum atls_code code;

    memset(corim, 0, sizeof *corim);
    corim->arena = atls_arena_init((size_t)1 << 24);
    if (form == COMID_MAP)
        return atls_comid_decode(in, &corim->arena, comid, err);
    if ((code = atls_corim_envelope_decode(in, &e, err)) != ATLS_OK ||
        (code = atls_corim_decode(e.manifest, corim, err)) != ATLS_OK)
        return code;
    if (corim->tags[0].comid != NULL)
        *comid = *corim->tags[0].comid;
    return ATLS_OK;
}

static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        char path[128];
        struct atls_buf in;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_corim corim;
        struct atls_comid m;
        enum atls_code code;

        memset(&m, 0, sizeof m);
        snprintf(path, sizeof path, "corim/%s", vectors[i].file);
        in = test_vector(path);
        code = decode_vector(atls_buf_bytes(&in), vectors[i].form, &corim, &m, &err);
        if (code != vectors[i].want)
            fail_msg("%s: code %d: %s", vectors[i].file, code, err.message);
        if (m.reference_count != vectors[i].references ||
            m.attest_key_count != vectors[i].attest_keys ||
            m.endorsed_count != vectors[i].endorsed ||
            m.conditional_count + m.series_count != vectors[i].conditional || m.other_count != 0)
            fail_msg("%s: %zu references, %zu attest keys, %zu endorsed, %zu conditional",
                     vectors[i].file, m.reference_count, m.attest_key_count, m.endorsed_count,
                     m.conditional_count + m.series_count);
        atls_corim_clear(&corim);
        atls_buf_clear(&in);
    }
}

static void test_published_headers(void **state)
{
    static const struct {
        const char *file;
        enum atls_code want;
        bool has_window;
    } rows[] = {
        {"corim/draft-protected-header-map-corim-meta.cbor", ATLS_OK, false},
        {"corim/draft-protected-header-map-cwt-claims.cbor", ATLS_OK, true},
        {"corim/draft-protected-header-map-hash-envelope.cbor", ATLS_E_UNSUPPORTED, false},
    };
    struct atls_buf manifest = test_vector("corim/draft-payload-corim-4.cbor");
    struct atls_bytes payload = atls_buf_bytes(&manifest);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf header = test_vector(rows[i].file);
        struct atls_buf in = sign1(atls_buf_bytes(&header), &payload);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_corim_envelope e;

        test_assert_code(atls_corim_envelope_decode(atls_buf_bytes(&in), &e, &err), rows[i].want,
                         &err);
        if (rows[i].want == ATLS_OK) {
            test_assert_bytes(e.signer, atls_bytes_of("ACME Ltd.", 9));
            assert_int_equal(e.validity.has_not_after, rows[i].has_window);
        }
        atls_buf_clear(&header);
        atls_buf_clear(&in);
    }
    atls_buf_clear(&manifest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comids),
        cmocka_unit_test(test_comid_members),
        cmocka_unit_test(test_corims),
        cmocka_unit_test(test_corim_members),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_protected_headers),
        cmocka_unit_test(test_signed_payloads),
        cmocka_unit_test(test_envelope_forms),
        cmocka_unit_test(test_protected_round_trip),
        cmocka_unit_test(test_x5chains),
        cmocka_unit_test(test_legacy),
        cmocka_unit_test(test_old_manifests),
        cmocka_unit_test(test_host_data),
        cmocka_unit_test(test_legacy_forms),
        cmocka_unit_test(test_cotls),
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_published_headers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
