/* Manifests become rows: all that a manifest brought carries its id and goes with it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atls/corim.h>

#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"
#include "store/db.h"
#include "store/manifest.h"
#include "wire/corim.h"

/* One import under way. */
struct import {
    struct store_connection *connection;
    char profile[128]; /* as text, "" for none */
    enum atls_corim_scheme scheme;
    int64_t manifest; /* row id */
    struct atls_store_import_report report;
};

/* What neither a class nor an instance names, nobody looks up. */
static bool has_place(const struct atls_environment *e)
{
    return e->class_id.ptr != NULL || e->instance.ptr != NULL;
}

static enum atls_code put_reference(struct import *im, const struct atls_corim_reference *ref,
                                    struct atls_err *err)
{
    struct store_query q = store_query(im->connection, SQL_REFERENCE_PUT);
    enum atls_code code;

    if (!has_place(&ref->environment)) {
        im->report.skipped++;
        return ATLS_OK;
    }
    store_bind_int(&q, 1, im->manifest);
    store_bind_bytes(&q, 2, ref->environment.class_id);
    store_bind_bytes(&q, 3, ref->environment_item);
    store_bind_bytes(&q, 4, ref->measurements_item);
    if ((code = store_run(&q, NULL, err)) == ATLS_OK)
        im->report.reference_values += ref->count;
    return code;
}

/* item: the whole record; class_id: what it is looked up by, empty for always. */
static enum atls_code put_endorsement_row(struct import *im, enum atls_comid_triple kind,
                                          struct atls_bytes item, struct atls_bytes class_id,
                                          struct atls_err *err)
{
    struct store_query q = store_query(im->connection, SQL_ENDORSEMENT_PUT);

    store_bind_int(&q, 1, im->manifest);
    store_bind_int(&q, 2, kind);
    store_bind_bytes(&q, 3, class_id);
    store_bind_bytes(&q, 4, item);
    return store_run(&q, NULL, err);
}

static enum atls_code put_endorsement(struct import *im, enum atls_comid_triple kind,
                                      struct atls_bytes item, const struct atls_environment *e,
                                      struct atls_err *err)
{
    if (!has_place(e)) {
        im->report.skipped++;
        return ATLS_OK;
    }
    im->report.endorsements++;
    return put_endorsement_row(im, kind, item, e->class_id, err);
}

static bool is_first_of_class(const struct atls_corim_conditional *c, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (atls_bytes_equal(c->conditions[i].environment.class_id,
                             c->conditions[at].environment.class_id))
            return false;
    return true;
}

/* Looked up by the class of each condition, for any of them may be the attester's; one that names
 * no class has it looked up always. */
static enum atls_code put_conditional(struct import *im, const struct atls_corim_conditional *c,
                                      struct atls_err *err)
{
    enum atls_code code = ATLS_OK;
    bool always = false;

    for (size_t i = 0; i < c->condition_count; i++) {
        if (!has_place(&c->conditions[i].environment)) {
            im->report.skipped++;
            return ATLS_OK;
        }
        always = always || c->conditions[i].environment.class_id.len == 0;
    }
    im->report.endorsements++;
    if (always)
        return put_endorsement_row(im, ATLS_TRIPLE_CONDITIONAL, c->item, atls_bytes_of(NULL, 0),
                                   err);
    for (size_t i = 0; i < c->condition_count && code == ATLS_OK; i++)
        if (is_first_of_class(c, i))
            code = put_endorsement_row(im, ATLS_TRIPLE_CONDITIONAL, c->item,
                                       c->conditions[i].environment.class_id, err);
    return code;
}

/* Bytes of an instance: a UEID (tag 550, or 560 as older tools write it), or a UUID (tag 37). */
static bool get_instance(struct atls_bytes instance, struct atls_bytes *out)
{
    uint64_t tag;

    return instance.ptr != NULL && atls_tagged_bytes(instance, &tag, out) &&
           (tag == ATLS_TAG_UEID || tag == ATLS_TAG_BYTES || tag == ATLS_TAG_UUID) &&
           out->len >= STORE_UEID_MIN && out->len <= STORE_UEID_MAX;
}

/* Whether appraisal can use the key of a triple. */
static bool is_usable(const struct atls_corim_attest_key *key, struct atls_bytes *out_instance)
{
    return get_instance(key->environment.instance, out_instance) && key->count == 1 &&
           key->keys[0].tag == ATLS_TAG_PKIX_KEY && !key->conditional;
}

/* A PEM text that holds a certificate would be taken for a key otherwise. */
static enum atls_code parse_key(struct atls_bytes pem, struct atls_key **out, struct atls_err *err)
{
    static const char label[] = "-----BEGIN PUBLIC KEY-----";

    if (pem.len < sizeof label - 1 || memcmp(pem.ptr, label, sizeof label - 1) != 0)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "CoRIM: attestation key does not begin with %s", label);
    return atls_key_from_pem(pem, out, err);
}

/* The same triple twice in one manifest is one key. */
static enum atls_code put_once(struct import *im, const struct store_key_row *row,
                               struct atls_err *err)
{
    struct store_query q = store_query(im->connection, SQL_KEY_SAME);
    enum atls_code code;
    bool there;

    store_bind_int(&q, 1, im->manifest);
    store_bind_bytes(&q, 2, row->instance);
    store_bind_int(&q, 3, row->kind);
    store_bind_bytes(&q, 4, row->class_id);
    if ((code = store_check_conflict(im->connection, row, err)) != ATLS_OK ||
        (code = store_run(&q, &there, err)) != ATLS_OK || there)
        return code;
    return store_put_key_row(im->connection, row, err);
}

/* Roots of makers come as keys of a whole line of hardware. */
static bool is_maker_certificate(const struct import *im, enum atls_comid_triple kind,
                                 const struct atls_corim_attest_key *key)
{
    return kind == ATLS_TRIPLE_ATTEST_KEY && key->environment.instance.ptr == NULL &&
           key->count == 1 && key->keys[0].tag == ATLS_TAG_PKIX_CERT && !key->conditional &&
           (im->scheme == ATLS_CORIM_SCHEME_SEV_SNP_ANCHOR ||
            im->scheme == ATLS_CORIM_SCHEME_SEV_SNP || im->scheme == ATLS_CORIM_SCHEME_TDX);
}

static enum atls_code put_maker_certificate(struct import *im,
                                            const struct atls_corim_attest_key *key,
                                            struct atls_err *err)
{
    struct store_anchor anchor = {.purpose = ATLS_ANCHOR_TEE,
                                  .class_id = key->environment.class_id,
                                  .vendor = key->environment.vendor,
                                  .model = key->environment.model};
    struct atls_buf der = ATLS_BUF_INIT;
    enum atls_code code;
    size_t count;

    if ((code = atls_certificates_from_pem(key->keys[0].content, &der, 1, &count, err)) != ATLS_OK)
        return code;
    anchor.der = atls_buf_bytes(&der);
    if ((code = store_put_manifest_anchor(im->connection, im->manifest, &anchor, err)) == ATLS_OK &&
        (code = store_check_tee_anchor(im->connection, anchor.der, err)) == ATLS_OK)
        im->report.anchors++;
    atls_buf_clear(&der);
    return code == ATLS_OK ? ATLS_OK : atls_err_prefix(err, code, "CoRIM");
}

static enum atls_code put_key(struct import *im, enum atls_comid_triple kind,
                              const struct atls_corim_attest_key *key, struct atls_err *err)
{
    struct store_key_row row = {.manifest = im->manifest,
                                .kind = kind,
                                .class_id = key->environment.class_id,
                                .vendor = key->environment.vendor,
                                .model = key->environment.model,
                                .technology = store_technology_of_scheme(im->scheme)};
    struct atls_key *parsed;
    enum atls_code code = ATLS_OK;

    if (is_maker_certificate(im, kind, key))
        return put_maker_certificate(im, key, err);
    if (!is_usable(key, &row.instance)) {
        im->report.skipped++;
        return ATLS_OK;
    }
    if ((code = parse_key(key->keys[0].content, &parsed, err)) != ATLS_OK)
        return code;
    row.spki = atls_key_spki(parsed);
    if (row.technology == NULL)
        code = store_technology_unsaid(&row, &row.technology, err);
    if (code == ATLS_OK)
        code = put_once(im, &row, err);
    atls_key_unref(parsed);
    if (code == ATLS_OK && kind == ATLS_TRIPLE_IDENTITY)
        im->report.identity_keys++;
    else if (code == ATLS_OK)
        im->report.attest_keys++;
    return code;
}

static enum atls_code put_keys(struct import *im, const struct atls_comid *m, struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    for (size_t i = 0; i < m->attest_key_count && code == ATLS_OK; i++)
        code = put_key(im, ATLS_TRIPLE_ATTEST_KEY, &m->attest_keys[i], err);
    for (size_t i = 0; i < m->identity_count && code == ATLS_OK; i++)
        code = put_key(im, ATLS_TRIPLE_IDENTITY, &m->identities[i], err);
    return code;
}

static enum atls_code put_endorsements(struct import *im, const struct atls_comid *m,
                                       struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    for (size_t i = 0; i < m->endorsed_count && code == ATLS_OK; i++)
        code = put_endorsement(im, ATLS_TRIPLE_ENDORSED, m->endorsed[i].item,
                               &m->endorsed[i].ect.environment, err);
    for (size_t i = 0; i < m->series_count && code == ATLS_OK; i++)
        code = put_endorsement(im, ATLS_TRIPLE_CONDITIONAL_SERIES, m->series[i].item,
                               &m->series[i].condition.environment, err);
    for (size_t i = 0; i < m->conditional_count && code == ATLS_OK; i++)
        code = put_conditional(im, &m->conditionals[i], err);
    return code;
}

static enum atls_code check_comid(struct import *im, const struct atls_comid *m,
                                  struct atls_err *err)
{
    /* What we do not understand may narrow what we do. */
    if (m->unknown_members != 0)
        return atls_fail(err, ATLS_E_UNSUPPORTED, "CoRIM: CoMID with members that are not known");
    if (m->replaces)
        return atls_fail(err, ATLS_E_UNSUPPORTED,
                         "CoRIM: a tag replaces another: import it under the same manifest id, or "
                         "remove the older manifest by hand");
    for (size_t i = 0; i < m->other_count; i++)
        im->report.skipped += m->others[i].count;
    im->report.skipped += m->domain_count;
    return ATLS_OK;
}

static enum atls_code put_comid(struct import *im, const struct atls_comid *m, struct atls_err *err)
{
    enum atls_code code;

    if ((code = check_comid(im, m, err)) != ATLS_OK)
        return code;
    for (size_t i = 0; i < m->reference_count; i++)
        if ((code = put_reference(im, &m->references[i], err)) != ATLS_OK)
            return code;
    if ((code = put_keys(im, m, err)) != ATLS_OK)
        return code;
    return put_endorsements(im, m, err);
}

/* Id of a manifest as escaped text, whole: it names the manifest everywhere. */
static enum atls_code manifest_name(const struct atls_corim_id *id, char *out, size_t size,
                                    struct atls_err *err)
{
    char escaped[4 * sizeof((struct atls_store_import_report *)NULL)->manifest_id + 4];
    char uuid[STORE_UUID_TEXT];

    if (id->uuid.ptr != NULL) {
        snprintf(out, size, "%s", store_uuid_text(id->uuid.ptr, uuid));
        return ATLS_OK;
    }
    /* A name that was cut would stand for many. */
    if (id->text.len < size)
        atls_escape(id->text, escaped, sizeof escaped);
    if (id->text.len >= size || strlen(escaped) >= size)
        return atls_fail(err, ATLS_E_LIMIT, "CoRIM: id of %zu bytes, too long to name a manifest",
                         id->text.len);
    memcpy(out, escaped, strlen(escaped) + 1);
    return ATLS_OK;
}

static struct atls_bytes text_of(const char *text)
{
    return text == NULL ? atls_bytes_of("", 0) : atls_bytes_of(text, strlen(text));
}

static enum atls_code delete_manifest(struct store_connection *c, const char *name,
                                      struct atls_err *err)
{
    struct store_query q = store_query(c, SQL_MANIFEST_DELETE);

    store_bind_text(&q, 1, text_of(name));
    return store_run(&q, NULL, err);
}

/* *out: the very same manifest is on file. Whoever may import unsigned ones must not undo what a
 * signer said: only another signed one takes the place of one that is signed. */
static enum atls_code is_on_file(struct import *im, const struct store_manifest *m,
                                 struct atls_bytes digest, bool *out, struct atls_err *err)
{
    struct store_query q = store_query(im->connection, SQL_MANIFEST_DIGEST);
    bool row, weakens = false;
    enum atls_code code;

    store_bind_text(&q, 1, text_of(im->report.manifest_id));
    if ((code = store_step(&q, &row, err)) != ATLS_OK)
        return code;
    if (row)
        weakens = m->signer_spki.len == 0 && !store_column_is_null(&q, 2);
    *out = row && atls_bytes_equal(store_column(&q, 1), digest);
    store_end(&q);
    if (weakens)
        return atls_fail(err, ATLS_E_CONFIG,
                         "CoRIM: manifest %s on file is signed, and this one is not: remove that "
                         "one first",
                         im->report.manifest_id);
    return ATLS_OK;
}

static void bind_time(struct store_query *q, int at, bool has, int64_t time_s)
{
    if (has)
        store_bind_int(q, at, time_s);
}

static enum atls_code put_manifest_row(struct import *im, const struct store_manifest *m,
                                       struct atls_bytes blob, struct atls_bytes digest,
                                       struct atls_err *err)
{
    struct store_query q = store_query(im->connection, SQL_MANIFEST_PUT);
    enum atls_code code;
    bool row;

    store_bind_text(&q, 1, text_of(im->report.manifest_id));
    store_bind_bytes(&q, 2, digest);
    store_bind_text(&q, 3, text_of(im->profile));
    bind_time(&q, 4, m->validity.has_not_before, m->validity.not_before_s);
    bind_time(&q, 5, m->validity.has_not_after, m->validity.not_after_s);
    if (m->signer_spki.len != 0)
        store_bind_bytes(&q, 6, m->signer_spki);
    store_bind_bytes(&q, 7, blob);
    if ((code = store_step(&q, &row, err)) != ATLS_OK)
        return code;
    im->manifest = store_column_int(&q, 0);
    store_end(&q);
    return ATLS_OK;
}

static enum atls_code put_tags(struct import *im, const struct atls_corim *corim,
                               struct atls_err *err)
{
    enum atls_code code;

    for (size_t i = 0; i < corim->tag_count; i++) {
        if (corim->tags[i].comid == NULL)
            im->report.skipped++;
        else if ((code = put_comid(im, corim->tags[i].comid, err)) != ATLS_OK)
            return code;
    }
    return ATLS_OK;
}

/* Profile as text: its URI, or its OID in dots ("1.2.840"); "" for none. */
static const char *profile_text(const struct atls_corim *corim, char *out, size_t size)
{
    out[0] = '\0';
    if (corim->profile_uri.ptr != NULL)
        return atls_escape(corim->profile_uri, out, size);
    if (corim->profile.ptr != NULL && !store_oid_text(corim->profile, out, size))
        return atls_hex(corim->profile, out, size);
    return out;
}

static enum atls_code check_profile(struct import *im, const struct atls_corim *corim,
                                    const char *wanted, struct atls_err *err)
{
    const struct atls_corim_profile *profile;
    enum atls_code code;

    if ((code = store_manifest_check(corim, &profile, err)) != ATLS_OK)
        return code;
    im->scheme = profile->scheme;
    profile_text(corim, im->profile, sizeof im->profile);
    if (wanted != NULL && strcmp(wanted, im->profile) != 0)
        return atls_fail(err, ATLS_E_UNSUPPORTED,
                         "CoRIM: profile is \"%s\", another one was wanted", im->profile);
    return ATLS_OK;
}

static enum atls_code put_opened(struct import *im, const struct store_manifest *m,
                                 const struct store_manifest_import *import, struct atls_err *err)
{
    struct atls_bytes digest;
    uint8_t bytes[ATLS_HASH_MAX];
    enum atls_code code;
    bool there;

    if ((code = check_profile(im, &m->corim, import->profile, err)) != ATLS_OK ||
        (code = manifest_name(&m->corim.id, im->report.manifest_id, sizeof im->report.manifest_id,
                              err)) != ATLS_OK ||
        (code = atls_hash_one(ATLS_HASH_SHA256, import->corim, bytes, err)) != ATLS_OK)
        return code;
    digest = atls_bytes_of(bytes, atls_hash_len(ATLS_HASH_SHA256));
    if ((code = is_on_file(im, m, digest, &there, err)) != ATLS_OK)
        return code;
    im->report.unchanged = there;
    if (there)
        return ATLS_OK;
    if ((code = delete_manifest(im->connection, im->report.manifest_id, err)) != ATLS_OK ||
        (code = put_manifest_row(im, m, import->corim, digest, err)) != ATLS_OK)
        return code;
    return put_tags(im, &m->corim, err);
}

static enum atls_code open_manifest(const struct store_manifest_import *import,
                                    struct store_manifest *out, struct atls_err *err)
{
    const struct store_manifest_trust trust = {.signer_spki = import->signer_spki,
                                               .anchors = import->anchors,
                                               .time_s =
                                                   import->check_time ? &import->time_s : NULL,
                                               .legacy = import->legacy};

    return store_manifest_open(import->corim, &trust, out, err);
}

enum atls_code store_put_manifest(struct store_connection *c,
                                  const struct store_manifest_import *import,
                                  struct atls_store_import_report *out, struct atls_err *err)
{
    struct import im;
    struct store_manifest m;
    enum atls_code code;

    memset(&im, 0, sizeof im);
    im.connection = c;
    if ((code = open_manifest(import, &m, err)) != ATLS_OK)
        return code;
    code = put_opened(&im, &m, import, err);
    atls_corim_clear(&m.corim);
    if (code == ATLS_OK)
        *out = im.report;
    return code;
}

static enum atls_code import_manifest(struct atls_store *s,
                                      const struct store_manifest_import *import,
                                      struct atls_store_import_report *out, struct atls_err *err)
{
    struct atls_store_import_report report;
    struct store_connection *c;
    enum atls_code code;

    if ((code = store_begin(s, STORE_ACCESS_WRITE, &c, err)) != ATLS_OK)
        return code;
    code = store_finish(c, STORE_ACCESS_WRITE, store_put_manifest(c, import, &report, err), err);
    if (code == ATLS_OK)
        *out = report;
    return code;
}

enum atls_code atls_store_import_corim(struct atls_store *s, struct atls_bytes corim,
                                       struct atls_bytes signer_spki, int64_t time_s,
                                       struct atls_store_import_report *out, struct atls_err *err)
{
    const struct store_manifest_import import = {
        .corim = corim, .signer_spki = signer_spki, .check_time = true, .time_s = time_s};

    return import_manifest(s, &import, out, err);
}

void atls_store_corim_options_init(struct atls_store_corim_options *options)
{
    memset(options, 0, sizeof *options);
    options->size = sizeof *options;
}

/* Anchors with the lists on file: they count for every purpose. */
static enum atls_code parse_anchors(struct atls_store *s, struct atls_bytes pem,
                                    struct atls_anchors **out, struct atls_err *err)
{
    struct store_connection *c;
    struct atls_anchors *anchors;
    enum atls_code code;

    if ((code = atls_anchors_new(&anchors, err)) != ATLS_OK)
        return code;
    if ((code = atls_anchors_add_pem(anchors, pem, NULL, err)) == ATLS_OK &&
        (code = store_borrow(s, &c, err)) == ATLS_OK) {
        code = store_add_crls(c, anchors, err);
        store_give_back(c);
    }
    if (code != ATLS_OK) {
        atls_anchors_unref(anchors);
        return code;
    }
    *out = anchors;
    return ATLS_OK;
}

static enum atls_code check_corim_options(const struct atls_store_corim_options *options,
                                          struct atls_err *err)
{
    if (options->size != sizeof *options)
        return atls_fail(err, ATLS_E_USAGE, "CoRIM: options that were not initialised");
    if (options->signer_spki.len == 0 && options->anchors.len == 0 && !options->allow_unsigned)
        return atls_fail(err, ATLS_E_USAGE,
                         "CoRIM: neither a signer nor anchors, nor leave to take an unsigned one");
    return ATLS_OK;
}

enum atls_code atls_store_import_corim_as(struct atls_store *s, struct atls_bytes corim,
                                          const struct atls_store_corim_options *options,
                                          struct atls_store_import_report *out,
                                          struct atls_err *err)
{
    struct store_manifest_import import = {
        .corim = corim, .profile = options->profile, .check_time = true, .time_s = options->time_s};
    struct atls_corim_envelope envelope;
    enum atls_code code;

    if ((code = check_corim_options(options, err)) != ATLS_OK ||
        (code = atls_corim_envelope_decode_with(corim, options->legacy ? ATLS_CORIM_LEGACY : 0,
                                                &envelope, err)) != ATLS_OK)
        return code;
    /* With leave to be unsigned nothing of a signer is asked of one that is. */
    if (envelope.is_signed || !options->allow_unsigned) {
        import.signer_spki = options->signer_spki;
        if (options->anchors.len != 0 &&
            (code = parse_anchors(s, options->anchors, &import.anchors, err)) != ATLS_OK)
            return code;
    }
    code = import_manifest(s, &import, out, err);
    atls_anchors_unref(import.anchors);
    return code;
}

/* ---- what an older program imported ---- */

static enum atls_code run(struct store_connection *c, enum store_sql which, int64_t manifest,
                          struct atls_err *err)
{
    struct store_query q = store_query(c, which);

    store_bind_int(&q, 1, manifest);
    return store_run(&q, NULL, err);
}

/* In place: the manifest keeps its row, what it brings is read afresh. */
static enum atls_code put_again(struct import *im, const struct atls_corim *corim,
                                struct atls_err *err)
{
    enum atls_code code;

    if ((code = check_profile(im, corim, NULL, err)) != ATLS_OK ||
        (code = run(im->connection, SQL_KEY_DELETE_OF_MANIFEST, im->manifest, err)) != ATLS_OK ||
        (code = run(im->connection, SQL_MANIFEST_ANCHOR_DELETE_OF_MANIFEST, im->manifest, err)) !=
            ATLS_OK ||
        (code = run(im->connection, SQL_REFERENCE_DELETE_OF_MANIFEST, im->manifest, err)) !=
            ATLS_OK ||
        (code = run(im->connection, SQL_ENDORSEMENT_DELETE_OF_MANIFEST, im->manifest, err)) !=
            ATLS_OK)
        return code;
    return put_tags(im, corim, err);
}

static bool is_about_the_manifest(enum atls_code code)
{
    return code == ATLS_E_DECODE || code == ATLS_E_UNSUPPORTED || code == ATLS_E_CONFIG ||
           code == ATLS_E_VERIFY || code == ATLS_E_CERTIFICATE || code == ATLS_E_LIMIT;
}

/* One that would be refused today keeps what it brought then: it counted until now, and what is
 * refused about it is what nobody read. */
static enum atls_code read_again(void *arg, const struct store_query *q, struct atls_err *err)
{
    const struct store_manifest_import import = {
        .corim = store_column(q, 3), .signer_spki = store_column(q, 2), .legacy = true};
    struct import im;
    struct store_manifest m;
    enum atls_code code, end;

    memset(&im, 0, sizeof im);
    im.connection = arg;
    im.manifest = store_column_int(q, 0);
    if ((code = open_manifest(&import, &m, err)) != ATLS_OK)
        return is_about_the_manifest(code) ? ATLS_OK : code;
    if ((code = run(im.connection, SQL_SAVEPOINT, 0, err)) == ATLS_OK) {
        code = put_again(&im, &m.corim, err);
        end = code == ATLS_OK ? ATLS_OK : run(im.connection, SQL_SAVEPOINT_ROLLBACK, 0, NULL);
        if (end == ATLS_OK)
            end = run(im.connection, SQL_SAVEPOINT_RELEASE, 0, NULL);
        if (is_about_the_manifest(code) && end == ATLS_OK)
            code = ATLS_OK;
    }
    atls_corim_clear(&m.corim);
    return code;
}

enum atls_code store_read_manifests_again(struct store_connection *c, struct atls_err *err)
{
    enum atls_code code = store_each(c, SQL_MANIFEST_LIST, read_again, c, err);

    if (code == ATLS_OK && err != NULL)
        *err = (struct atls_err)ATLS_ERR_INIT;
    return code;
}
