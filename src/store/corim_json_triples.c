#include "core/reader.h"
#include "store/corim_json.h"
#include "store/db.h"

static void put_text(struct atls_json *j, const char *key, struct atls_bytes text)
{
    if (text.ptr != NULL)
        atls_json_put_text(j, key, text);
}

void store_json_put_id(struct atls_json *j, const char *key, const struct atls_corim_id *id)
{
    char uuid[STORE_UUID_TEXT];

    if (id->uuid.ptr != NULL)
        atls_json_put_string(j, key, store_uuid_text(id->uuid.ptr, uuid));
    else
        atls_json_put_text(j, key, id->text);
}

/* UUID as text, what is a tagged byte string in hexadecimal, else its encoding. */
void store_json_put_identifier(struct atls_json *j, const char *key, struct atls_bytes item)
{
    char uuid[STORE_UUID_TEXT];
    struct atls_bytes content;
    uint64_t tag;

    if (item.ptr == NULL)
        return;
    if (!atls_tagged_bytes(item, &tag, &content))
        atls_json_put_hex(j, key, item);
    else if (tag == ATLS_TAG_UUID && content.len == 16)
        atls_json_put_string(j, key, store_uuid_text(content.ptr, uuid));
    else
        atls_json_put_hex(j, key, content);
}

void store_json_put_environment(struct atls_json *j, const char *key,
                                const struct atls_environment *e)
{
    atls_json_open_object(j, key);
    store_json_put_identifier(j, "class", e->class_id);
    put_text(j, "vendor", e->vendor);
    put_text(j, "model", e->model);
    if (e->has_layer)
        atls_json_put_uint(j, "layer", e->layer);
    if (e->has_index)
        atls_json_put_uint(j, "index", e->index);
    store_json_put_identifier(j, "instance", e->instance);
    store_json_put_identifier(j, "group", e->group);
    atls_json_close(j);
}

void store_json_put_digests(struct atls_json *j, const char *key, const struct atls_digest *digests,
                            size_t count)
{
    atls_json_open_array(j, key);
    for (size_t i = 0; i < count; i++) {
        const struct atls_named_hash *named =
            atls_named_hash_by_number(digests[i].named_information);

        atls_json_open_object(j, NULL);
        if (named != NULL)
            atls_json_put_string(j, "algorithm", named->name);
        else if (digests[i].named_information != ATLS_NAMED_HASH_TEXT)
            atls_json_put_int(j, "algorithm", digests[i].named_information);
        else
            atls_json_put_null(j, "algorithm");
        atls_json_put_hex(j, "value", digests[i].value);
        atls_json_close(j);
    }
    atls_json_close(j);
}

static void put_flags(struct atls_json *j, const struct atls_mval *v)
{
    static const char *const names[] = {
        "configured",          "secure",           "recovery",  "debug", "replay-protected",
        "integrity-protected", "runtime-measured", "immutable", "tcb",   "confidential",
        "runtime-updatable"};

    atls_json_open_object(j, "flags");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if ((v->flags_known >> i & 1) != 0)
            atls_json_put_bool(j, names[i], (v->flags >> i & 1) != 0);
    atls_json_close(j);
}

static void put_keys(struct atls_json *j, const char *key, const struct atls_corim_key *keys,
                     size_t count)
{
    if (keys == NULL)
        return;
    atls_json_open_array(j, key);
    for (size_t i = 0; i < count; i++) {
        atls_json_open_object(j, NULL);
        atls_json_put_uint(j, "tag", keys[i].tag);
        if (keys[i].tag == ATLS_TAG_PKIX_KEY || keys[i].tag == ATLS_TAG_PKIX_CERT ||
            keys[i].tag == ATLS_TAG_PKIX_PATH)
            atls_json_put_text(j, "text", keys[i].content);
        else
            atls_json_put_hex(j, "content", keys[i].content);
        atls_json_close(j);
    }
    atls_json_close(j);
}

static void put_registers(struct atls_json *j, const struct atls_mval *v)
{
    atls_json_open_array(j, "integrity-registers");
    for (size_t i = 0; i < v->register_count; i++) {
        const struct atls_integrity_register *one = &v->registers[i];

        atls_json_open_object(j, NULL);
        if (one->name.ptr != NULL)
            atls_json_put_text(j, "id", one->name);
        else
            atls_json_put_uint(j, "id", one->number);
        store_json_put_digests(j, "digests", one->digests, one->digest_count);
        atls_json_close(j);
    }
    atls_json_close(j);
}

static void put_range(struct atls_json *j, const struct atls_int_range *range)
{
    if (!range->is_range) {
        atls_json_put_int(j, "int-range", range->least);
        return;
    }
    atls_json_open_object(j, "int-range");
    if (range->has_least)
        atls_json_put_int(j, "min", range->least);
    if (range->has_most)
        atls_json_put_int(j, "max", range->most);
    atls_json_close(j);
}

/* Members of a profile, as encoded. */
static void put_extensions(struct atls_json *j, const struct atls_mval *v)
{
    atls_json_open_array(j, "extensions");
    for (size_t i = 0; i < v->extension_count; i++) {
        atls_json_open_object(j, NULL);
        atls_json_put_int(j, "key", v->extensions[i].key);
        atls_json_put_hex(j, "cbor", v->extensions[i].item);
        atls_json_close(j);
    }
    atls_json_close(j);
}

static void put_mkey(struct atls_json *j, const struct atls_mkey *mkey)
{
    char uuid[STORE_UUID_TEXT];

    switch (mkey->kind) {
    case ATLS_MKEY_NONE:
        break;
    case ATLS_MKEY_UINT:
        atls_json_put_uint(j, "mkey", mkey->number);
        break;
    case ATLS_MKEY_TEXT:
        atls_json_put_text(j, "mkey", mkey->bytes);
        break;
    case ATLS_MKEY_OID:
        atls_json_put_hex(j, "mkey", mkey->bytes);
        break;
    case ATLS_MKEY_UUID:
        atls_json_put_string(j, "mkey", store_uuid_text(mkey->bytes.ptr, uuid));
        break;
    }
}

/* What a device is known by. */
static void put_names(struct atls_json *j, const struct atls_mval *v)
{
    char uuid[STORE_UUID_TEXT];

    if ((v->present & ATLS_MVAL_MAC) != 0)
        atls_json_put_hex(j, "mac-addr", v->mac);
    if ((v->present & ATLS_MVAL_IP) != 0)
        atls_json_put_hex(j, "ip-addr", v->ip);
    if ((v->present & ATLS_MVAL_SERIAL) != 0)
        atls_json_put_text(j, "serial-number", v->serial);
    if ((v->present & ATLS_MVAL_UEID) != 0)
        atls_json_put_hex(j, "ueid", v->ueid);
    if ((v->present & ATLS_MVAL_UUID) != 0)
        atls_json_put_string(j, "uuid", store_uuid_text(v->uuid.ptr, uuid));
    if ((v->present & ATLS_MVAL_NAME) != 0)
        atls_json_put_text(j, "name", v->name);
}

static void put_values(struct atls_json *j, const struct atls_mval *v)
{
    if ((v->present & ATLS_MVAL_VERSION) != 0)
        atls_json_put_text(j, "version", v->version);
    if (v->version_scheme.ptr != NULL)
        atls_json_put_hex(j, "version-scheme-cbor", v->version_scheme);
    if ((v->present & ATLS_MVAL_SVN) != 0)
        atls_json_put_uint(j, "svn", v->svn);
    if ((v->present & ATLS_MVAL_MIN_SVN) != 0)
        atls_json_put_uint(j, "min-svn", v->svn);
    if ((v->present & ATLS_MVAL_DIGESTS) != 0)
        store_json_put_digests(j, "digests", v->digests, v->digest_count);
    if ((v->present & ATLS_MVAL_FLAGS) != 0)
        put_flags(j, v);
    if ((v->present & ATLS_MVAL_RAW) != 0)
        atls_json_put_hex(j, "raw-value", v->raw);
    if (v->mask.ptr != NULL)
        atls_json_put_hex(j, "raw-value-mask", v->mask);
    put_names(j, v);
    put_keys(j, "cryptokeys", v->keys, v->key_count);
    if ((v->present & ATLS_MVAL_REGISTERS) != 0)
        put_registers(j, v);
    if ((v->present & ATLS_MVAL_INT_RANGE) != 0)
        put_range(j, &v->range);
    if ((v->present & ATLS_MVAL_EXTENSIONS) != 0)
        put_extensions(j, v);
    if ((v->present & ATLS_MVAL_OTHER) != 0)
        atls_json_put_bool(j, "more", true);
}

static void put_measurements(struct atls_json *j, const char *key,
                             const struct atls_measurement *list, size_t count)
{
    atls_json_open_array(j, key);
    for (size_t i = 0; i < count; i++) {
        atls_json_open_object(j, NULL);
        put_mkey(j, &list[i].mkey);
        put_values(j, &list[i].mval);
        put_keys(j, "authorized-by", list[i].authorized_by, list[i].authorized_by_count);
        atls_json_close(j);
    }
    atls_json_close(j);
}

/* One environment with its measurements, as members of an open object. */
static void put_ect(struct atls_json *j, const struct atls_corim_ect *ect)
{
    store_json_put_environment(j, "environment", &ect->environment);
    put_measurements(j, "measurements", ect->measurements, ect->count);
    put_keys(j, "authorized-by", ect->authorized_by, ect->authorized_by_count);
}

static void put_ects(struct atls_json *j, const char *key, const struct atls_corim_ect *ects,
                     size_t count)
{
    atls_json_open_array(j, key);
    for (size_t i = 0; i < count; i++) {
        atls_json_open_object(j, NULL);
        put_ect(j, &ects[i]);
        atls_json_close(j);
    }
    atls_json_close(j);
}

static void put_references(struct atls_json *j, const struct atls_comid *m)
{
    atls_json_open_array(j, "reference-triples");
    for (size_t i = 0; i < m->reference_count; i++) {
        atls_json_open_object(j, NULL);
        store_json_put_environment(j, "environment", &m->references[i].environment);
        put_measurements(j, "measurements", m->references[i].measurements, m->references[i].count);
        atls_json_close(j);
    }
    atls_json_close(j);
}

static void put_endorsed(struct atls_json *j, const struct atls_comid *m)
{
    atls_json_open_array(j, "endorsed-triples");
    for (size_t i = 0; i < m->endorsed_count; i++) {
        atls_json_open_object(j, NULL);
        put_ect(j, &m->endorsed[i].ect);
        atls_json_close(j);
    }
    atls_json_close(j);
}

static void put_key_triples(struct atls_json *j, const char *key,
                            const struct atls_corim_attest_key *keys, size_t count)
{
    if (count == 0)
        return;
    atls_json_open_array(j, key);
    for (size_t i = 0; i < count; i++) {
        atls_json_open_object(j, NULL);
        store_json_put_environment(j, "environment", &keys[i].environment);
        put_keys(j, "keys", keys[i].keys, keys[i].count);
        if (keys[i].conditional)
            atls_json_put_bool(j, "conditional", true);
        put_mkey(j, &keys[i].mkey);
        put_keys(j, "authorized-by", keys[i].authorized_by, keys[i].authorized_by_count);
        atls_json_close(j);
    }
    atls_json_close(j);
}

static void put_domains(struct atls_json *j, const struct atls_comid *m)
{
    atls_json_open_array(j, "domain-triples");
    for (size_t i = 0; i < m->domain_count; i++) {
        const struct atls_corim_domain *domain = &m->domains[i];
        bool depends = domain->kind == ATLS_TRIPLE_DEPENDENCY;

        atls_json_open_object(j, NULL);
        atls_json_put_string(j, "kind", depends ? "dependency" : "membership");
        store_json_put_environment(j, "environment", &domain->environment);
        atls_json_open_array(j, depends ? "trustees" : "members");
        for (size_t k = 0; k < domain->member_count; k++)
            store_json_put_environment(j, NULL, &domain->members[k]);
        atls_json_close(j);
        atls_json_close(j);
    }
    atls_json_close(j);
}

static void put_series(struct atls_json *j, const struct atls_comid *m)
{
    atls_json_open_array(j, "conditional-endorsement-series-triples");
    for (size_t i = 0; i < m->series_count; i++) {
        const struct atls_corim_series *series = &m->series[i];

        atls_json_open_object(j, NULL);
        atls_json_open_object(j, "condition");
        put_ect(j, &series->condition);
        atls_json_close(j);
        atls_json_open_array(j, "series");
        for (size_t k = 0; k < series->entry_count; k++) {
            const struct atls_corim_series_entry *entry = &series->entries[k];

            atls_json_open_object(j, NULL);
            put_measurements(j, "selection", entry->selection, entry->selection_count);
            put_measurements(j, "addition", entry->addition, entry->addition_count);
            atls_json_close(j);
        }
        atls_json_close(j);
        atls_json_close(j);
    }
    atls_json_close(j);
}

static void put_conditionals(struct atls_json *j, const struct atls_comid *m)
{
    atls_json_open_array(j, "conditional-endorsement-triples");
    for (size_t i = 0; i < m->conditional_count; i++) {
        const struct atls_corim_conditional *one = &m->conditionals[i];

        atls_json_open_object(j, NULL);
        put_ects(j, "conditions", one->conditions, one->condition_count);
        put_ects(j, "additions", one->additions, one->addition_count);
        atls_json_close(j);
    }
    atls_json_close(j);
}

static void put_others(struct atls_json *j, const struct atls_comid *m)
{
    atls_json_open_array(j, "other-triples");
    for (size_t i = 0; i < m->other_count; i++) {
        atls_json_open_object(j, NULL);
        atls_json_put_int(j, "kind", m->others[i].kind);
        atls_json_put_uint(j, "count", m->others[i].count);
        atls_json_close(j);
    }
    atls_json_close(j);
}

void store_json_put_triples(struct atls_json *j, const struct atls_comid *m)
{
    if (m->reference_count != 0)
        put_references(j, m);
    if (m->endorsed_count != 0)
        put_endorsed(j, m);
    put_key_triples(j, "identity-triples", m->identities, m->identity_count);
    put_key_triples(j, "attest-key-triples", m->attest_keys, m->attest_key_count);
    if (m->domain_count != 0)
        put_domains(j, m);
    if (m->series_count != 0)
        put_series(j, m);
    if (m->conditional_count != 0)
        put_conditionals(j, m);
    if (m->other_count != 0)
        put_others(j, m);
}
