#include "verifier/inspect/eat.h"

#include "wire/eat_json.h"

/* Content of measurements that is looked into: measured components (RFC 10013). */
enum { FORMAT_COMPONENT = 295 };

/* What has no name here: diagnostic notation, or JSON as text. */
static void put_value(const struct atls_eat_shown *s, const char *key, struct atls_bytes value)
{
    if (s->is_json)
        atls_json_put_text(s->v->j, key, value);
    else
        atls_view_or_hex(s->v, key, value, atls_view_cbor);
}

static void put_label(struct atls_json *j, const char *key, const struct atls_eat_label *label)
{
    if (label->is_text)
        atls_json_put_text(j, key, label->text);
    else
        atls_json_put_int(j, key, label->number);
}

static void put_number(struct atls_json *j, const char *key, const struct atls_eat_number *n)
{
    if (n->present)
        atls_json_put_uint(j, key, n->value);
}

static void put_named(struct atls_json *j, const char *key, const struct atls_eat_number *n,
                      const char *(*name_of)(uint64_t value))
{
    if (n->present)
        atls_json_put_string(j, key, name_of(n->value));
}

static void put_version(struct atls_json *j, const char *key, const struct atls_eat_version *v)
{
    if (v->version.ptr == NULL)
        return;
    atls_json_open_object(j, key);
    atls_json_put_text(j, "version", v->version);
    if (v->has_scheme)
        put_label(j, "scheme", &v->scheme);
    atls_json_close(j);
}

static void put_digest(struct atls_json *j, const char *key, const struct atls_eat_digest *digest)
{
    atls_json_open_object(j, key);
    put_label(j, "alg", &digest->algorithm);
    atls_json_put_hex(j, "value", digest->digest);
    atls_json_close(j);
}

static void put_profile(struct atls_json *j, const struct atls_eat_profile *profile)
{
    struct atls_writer w;

    if (!profile->is_oid) {
        atls_view_put_text(j, "eat_profile", profile->value);
        return;
    }
    w = atls_writer_init(16 * profile->value.len + 64);
    atls_view_put_oid(&w, profile->value);
    atls_json_put_text(j, "eat_profile", atls_writer_bytes(&w));
    atls_writer_clear(&w);
}

static void put_cnf(const struct atls_eat_shown *s, const struct atls_eat_cnf *cnf)
{
    struct atls_json *j = s->v->j;

    if (cnf->key_encoded.ptr == NULL && cnf->kid.ptr == NULL)
        return;
    atls_json_open_object(j, "cnf");
    if (s->is_json)
        atls_view_put_text(j, "kid", cnf->kid);
    else
        atls_view_put_hex(j, "kid", cnf->kid);
    if (cnf->key_encoded.ptr != NULL)
        put_value(s, "key", cnf->key_encoded);
    atls_json_close(j);
}

static void put_component(struct atls_view *v, const struct atls_eat_component *c)
{
    atls_json_open_object(v->j, "component");
    atls_json_put_text(v->j, "name", c->name);
    put_version(v->j, "version", &c->version);
    if (c->has_digest)
        put_digest(v->j, "digest", &c->digest);
    atls_view_put_hex(v->j, "raw", c->raw);
    atls_json_open_array(v->j, "authorities");
    for (size_t i = 0; i < c->authority_count; i++)
        atls_json_put_hex(v->j, NULL, c->authorities[i]);
    atls_json_close(v->j);
    atls_view_put_hex(v->j, "flags", c->flags);
    atls_json_close(v->j);
}

static void put_contents(const struct atls_eat_shown *s, const char *key,
                         const struct atls_eat_content *contents, size_t count)
{
    struct atls_json *j = s->v->j;

    if (count == 0)
        return;
    atls_json_open_array(j, key);
    for (size_t i = 0; i < count; i++) {
        struct atls_eat_component component;

        atls_json_open_object(j, NULL);
        atls_json_put_uint(j, "content-format", contents[i].content_format);
        if (contents[i].is_text)
            atls_json_put_text(j, "content", contents[i].bytes);
        else if (contents[i].content_format == FORMAT_COMPONENT &&
                 atls_eat_component_decode(contents[i].bytes, s->arena, &component, NULL) ==
                     ATLS_OK)
            put_component(s->v, &component);
        else
            atls_view_or_hex(s->v, "content", contents[i].bytes, atls_view_cbor);
        atls_json_close(j);
    }
    atls_json_close(j);
}

static void put_measres(struct atls_json *j, const struct atls_eat_claims *c)
{
    if (c->measres_count == 0)
        return;
    atls_json_open_array(j, "measres");
    for (size_t i = 0; i < c->measres_count; i++) {
        atls_json_open_object(j, NULL);
        atls_json_put_text(j, "system", c->measres[i].system);
        atls_json_open_array(j, "results");
        for (size_t k = 0; k < c->measres[i].count; k++) {
            const struct atls_eat_individual *one = &c->measres[i].results[k];

            atls_json_open_object(j, NULL);
            if (one->is_text)
                atls_json_put_text(j, "id", one->id);
            else
                atls_json_put_hex(j, "id", one->id);
            atls_json_put_string(j, "result", atls_eat_result_name(one->result));
            atls_json_close(j);
        }
        atls_json_close(j);
        atls_json_close(j);
    }
    atls_json_close(j);
}

static void put_location(const struct atls_eat_shown *s, const struct atls_eat_location *location)
{
    static const char *const names[ATLS_EAT_LOCATION_NUMBERS] = {
        "latitude", "longitude", "altitude", "accuracy", "altitude-accuracy", "heading", "speed"};

    if (!location->present)
        return;
    atls_json_open_object(s->v->j, "location");
    for (size_t i = 0; i < ATLS_EAT_LOCATION_NUMBERS; i++)
        if (location->numbers[i].ptr != NULL)
            put_value(s, names[i], location->numbers[i]);
    put_number(s->v->j, "timestamp", &location->timestamp_s);
    put_number(s->v->j, "age", &location->age_s);
    atls_json_close(s->v->j);
}

static void put_dloas(struct atls_json *j, const struct atls_eat_claims *c)
{
    if (c->dloa_count == 0)
        return;
    atls_json_open_array(j, "dloas");
    for (size_t i = 0; i < c->dloa_count; i++) {
        atls_json_open_object(j, NULL);
        atls_json_put_text(j, "registrar", c->dloas[i].registrar);
        atls_json_put_text(j, "platform", c->dloas[i].platform);
        atls_view_put_text(j, "application", c->dloas[i].application);
        atls_json_close(j);
    }
    atls_json_close(j);
}

/* The tree again as a wrapper: what shows wrappers shows this one. */
static void put_cmw(const struct atls_eat_shown *s, const struct atls_cmw *cmw)
{
    struct atls_writer w = atls_writer_init(ATLS_EAT_ARENA_MAX);

    if (cmw != NULL && atls_cmw_encode(cmw, &w, NULL) == ATLS_OK)
        atls_view_or_hex(s->v, "cmw", atls_writer_bytes(&w), atls_view_cmw);
    atls_writer_clear(&w);
}

static void put_texts(struct atls_json *j, const char *key, const struct atls_bytes *texts,
                      size_t count)
{
    if (count == 0)
        return;
    atls_json_open_array(j, key);
    for (size_t i = 0; i < count; i++)
        atls_json_put_text(j, NULL, texts[i]);
    atls_json_close(j);
}

static void put_sueids(struct atls_json *j, const struct atls_eat_claims *c)
{
    if (c->sueid_count == 0)
        return;
    atls_json_open_array(j, "sueids");
    for (size_t i = 0; i < c->sueid_count; i++) {
        atls_json_open_object(j, NULL);
        atls_json_put_text(j, "label", c->sueids[i].name);
        atls_json_put_hex(j, "ueid", c->sueids[i].bytes);
        atls_json_close(j);
    }
    atls_json_close(j);
}

static void put_ueid(struct atls_json *j, struct atls_bytes ueid)
{
    static const char *const forms[] = {"other", "random", "eui", "imei"};

    if (ueid.ptr == NULL)
        return;
    atls_json_put_hex(j, "ueid", ueid);
    atls_json_put_string(j, "ueid-form", forms[atls_eat_ueid_form(ueid)]);
}

static void put_nonces(struct atls_json *j, const struct atls_eat_claims *c)
{
    if (c->nonce_count == 0)
        return;
    atls_json_open_array(j, "eat_nonce");
    for (size_t i = 0; i < c->nonce_count; i++)
        atls_json_put_hex(j, NULL, c->nonces[i]);
    atls_json_close(j);
}

static void put_bool(struct atls_json *j, const char *key, const struct atls_eat_number *n)
{
    if (n->present)
        atls_json_put_bool(j, key, n->value != 0);
}

static void put_identity(const struct atls_eat_shown *s, const struct atls_eat_claims *c)
{
    struct atls_json *j = s->v->j;

    atls_view_put_text(j, "iss", c->iss);
    atls_view_put_text(j, "sub", c->sub);
    put_texts(j, "aud", c->aud, c->aud_count);
    put_number(j, "exp", &c->exp_s);
    put_number(j, "nbf", &c->nbf_s);
    put_number(j, "iat", &c->iat_s);
    if (s->is_json)
        atls_view_put_text(j, "jti", c->cti);
    else
        atls_view_put_hex(j, "cti", c->cti);
    put_cnf(s, &c->cnf);
    put_nonces(j, c);
    put_ueid(j, c->ueid);
    put_sueids(j, c);
    put_number(j, "oemid", &c->oemid.pen);
    atls_view_put_hex(j, "oemid", c->oemid.bytes);
    put_profile(j, &c->profile);
}

static void put_device(const struct atls_eat_shown *s, const struct atls_eat_claims *c)
{
    struct atls_json *j = s->v->j;

    atls_view_put_hex(j, "hwmodel", c->hwmodel);
    put_version(j, "hwversion", &c->hwversion);
    put_number(j, "uptime", &c->uptime_s);
    put_bool(j, "oemboot", &c->oemboot);
    put_named(j, "dbgstat", &c->dbgstat, atls_eat_dbgstat_name);
    put_location(s, &c->location);
    put_number(j, "bootcount", &c->bootcount);
    atls_view_put_hex(j, "bootseed", c->bootseed);
    put_dloas(j, c);
    atls_view_put_text(j, "swname", c->swname);
    put_version(j, "swversion", &c->swversion);
    put_contents(s, "manifests", c->manifests, c->manifest_count);
    put_contents(s, "measurements", c->measurements, c->measurement_count);
    put_measres(j, c);
    put_named(j, "intuse", &c->intuse, atls_eat_intuse_name);
    put_cmw(s, c->cmw);
}

static void put_others(const struct atls_eat_shown *s, const struct atls_eat_claims *c)
{
    struct atls_json *j = s->v->j;

    if (c->other_count == 0)
        return;
    atls_json_open_array(j, "other-claims");
    for (size_t i = 0; i < c->other_count; i++) {
        atls_json_open_object(j, NULL);
        put_label(j, "key", &c->others[i].key);
        put_value(s, "value", c->others[i].value);
        atls_json_close(j);
    }
    atls_json_close(j);
}

void atls_eat_show_token(const struct atls_eat_shown *s, const char *key,
                         enum atls_eat_submod_kind kind, struct atls_bytes token)
{
    struct atls_view inner = {s->v->j, s->v->nesting + 1, NULL};

    if (kind == ATLS_EAT_SUBMOD_CBOR_TOKEN) {
        atls_view_or_hex(s->v, key, token, atls_view_eat);
        return;
    }
    /* Text is better shown as text than in hexadecimal; what is none becomes U+FFFD. */
    if (inner.nesting > ATLS_VIEW_NESTING_MAX || atls_view_eat(&inner, key, token) != ATLS_OK)
        atls_json_put_text(s->v->j, key, token);
}

/* Recursion is bounded by the decoder: ATLS_EAT_DEPTH_MAX. */
static void put_submods(const struct atls_eat_shown *s, const struct atls_eat_claims *c)
{
    struct atls_json *j = s->v->j;

    if (c->submod_count == 0)
        return;
    atls_json_open_array(j, "submods");
    for (size_t i = 0; i < c->submod_count; i++) {
        const struct atls_eat_submod *submod = &c->submods[i];

        atls_json_open_object(j, NULL);
        atls_json_put_text(j, "name", submod->name);
        if (submod->kind == ATLS_EAT_SUBMOD_CLAIMS)
            atls_eat_show_claims(s, "claims", submod->claims);
        else if (submod->kind == ATLS_EAT_SUBMOD_DIGEST)
            put_digest(j, "digest", &submod->digest);
        else
            atls_eat_show_token(s, submod->kind == ATLS_EAT_SUBMOD_BUNDLE ? "bundle" : "token",
                                submod->kind, submod->token);
        atls_json_close(j);
    }
    atls_json_close(j);
}

void atls_eat_show_claims(const struct atls_eat_shown *s, const char *key,
                          const struct atls_eat_claims *c)
{
    atls_json_open_object(s->v->j, key);
    put_identity(s, c);
    put_device(s, c);
    put_submods(s, c);
    put_others(s, c);
    atls_json_close(s->v->j);
}
