#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/log.h"
#include "core/reader.h"
#include "crypto/der.h"
#include "store/db.h"

bool store_hex_parse(const char *text, uint8_t *out, size_t size, size_t *out_len)
{
    size_t len = strlen(text);

    if (len % 2 != 0 || len / 2 > size)
        return false;
    for (size_t i = 0; i < len; i += 2) {
        int high = atls_hex_digit(text[i]), low = atls_hex_digit(text[i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    *out_len = len / 2;
    return true;
}

bool store_uuid_parse(const char *text, uint8_t out[16])
{
    char digits[33];
    size_t count = 0, len;

    if (strlen(text) != STORE_UUID_TEXT - 1)
        return false;
    for (size_t i = 0; i < STORE_UUID_TEXT - 1; i++) {
        bool is_hyphen = i == 8 || i == 13 || i == 18 || i == 23;

        if (is_hyphen != (text[i] == '-'))
            return false;
        if (!is_hyphen)
            digits[count++] = text[i];
    }
    digits[count] = '\0';
    return store_hex_parse(digits, out, 16, &len);
}

const char *store_uuid_text(const uint8_t uuid[16], char out[STORE_UUID_TEXT])
{
    char hex[33];

    atls_hex(atls_bytes_of(uuid, 16), hex, sizeof hex);
    snprintf(out, STORE_UUID_TEXT, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
             hex + 20);
    return out;
}

bool store_class_from_uuid(const char *text, uint8_t out[STORE_UUID_CLASS_ID])
{
    static const uint8_t head[] = {0xd8, ATLS_TAG_UUID, 0x50};

    memcpy(out, head, sizeof head);
    return store_uuid_parse(text, out + sizeof head);
}

const char *store_class_text(struct atls_bytes class_id, char *out, size_t size)
{
    struct atls_bytes content;
    uint64_t tag;

    if (size >= STORE_UUID_TEXT && atls_tagged_bytes(class_id, &tag, &content) &&
        tag == ATLS_TAG_UUID && content.len == 16)
        return store_uuid_text(content.ptr, out);
    return atls_hex(class_id, out, size);
}

static const char *const purposes[] = {
    [ATLS_ANCHOR_AK] = "ak",
    [ATLS_ANCHOR_EK] = "ek",
    [ATLS_ANCHOR_TLS] = "tls",
    [ATLS_ANCHOR_TEE] = "tee",
};
#define PURPOSES (sizeof purposes / sizeof purposes[0])

const char *store_purpose_name(enum atls_anchor_purpose purpose)
{
    return (size_t)purpose < PURPOSES ? purposes[purpose] : NULL;
}

bool store_purpose_by_name(const char *name, enum atls_anchor_purpose *out)
{
    for (size_t i = ATLS_ANCHOR_AK; i < PURPOSES; i++) {
        if (strcmp(name, purposes[i]) != 0)
            continue;
        *out = (enum atls_anchor_purpose)i;
        return true;
    }
    return false;
}

/* Last octet of 2.5.4.n (X.520), as short names have it. */
static const char *attribute_name(struct atls_bytes oid)
{
    static const struct {
        uint8_t last;
        const char *name;
    } names[] = {{3, "CN"}, {5, "serialNumber"}, {6, "C"},  {7, "L"},
                 {8, "ST"}, {10, "O"},           {11, "OU"}};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (oid.len == 3 && oid.ptr[0] == 0x55 && oid.ptr[1] == 0x04 && oid.ptr[2] == names[i].last)
            return names[i].name;
    return "?";
}

/* The next attribute of a Name; its sets of one are not told apart from larger ones. */
static bool get_attribute(struct atls_reader *name, struct atls_reader *set, struct atls_bytes *oid,
                          struct atls_der *value)
{
    struct atls_bytes content;
    struct atls_reader pair;

    if (atls_reader_done(set)) {
        if (!atls_der_get(name, ATLS_DER_SET, &content))
            return false;
        *set = atls_reader_init(content);
    }
    if (!atls_der_get(set, ATLS_DER_SEQUENCE, &content))
        return false;
    pair = atls_reader_init(content);
    return atls_der_get(&pair, ATLS_DER_OID, oid) && atls_der_get_any(&pair, value);
}

const char *store_name_text(struct atls_bytes name_der, char *out, size_t size)
{
    struct atls_reader set = atls_reader_init(atls_bytes_of(NULL, 0)), sequence, name;
    struct atls_bytes oid, content;
    struct atls_der value;
    char escaped[128];
    size_t used = 0;

    snprintf(out, size, "(no subject)");
    sequence = atls_reader_init(name_der);
    if (!atls_der_get(&sequence, ATLS_DER_SEQUENCE, &content))
        return out;
    name = atls_reader_init(content);
    while (used < size && get_attribute(&name, &set, &oid, &value)) {
        int n = snprintf(out + used, size - used, "%s%s=%s", used == 0 ? "" : ", ",
                         attribute_name(oid), atls_escape(value.content, escaped, sizeof escaped));

        used += n > 0 ? (size_t)n : 0;
    }
    return out;
}

const char *store_subject_text(struct atls_bytes certificate, char *out, size_t size)
{
    struct atls_certificate_parts parts;

    if (atls_certificate_walk(certificate, &parts, NULL) != ATLS_OK)
        parts.subject = atls_bytes_of(NULL, 0);
    return store_name_text(parts.subject, out, size);
}

const char *store_time_text(int64_t time_s, char out[STORE_TIME_TEXT])
{
    time_t t = (time_t)time_s;
    struct tm tm;

    if (gmtime_r(&t, &tm) == NULL || tm.tm_year > 9999 - 1900 || tm.tm_year < 0 ||
        strftime(out, STORE_TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(out, STORE_TIME_TEXT, "(no date)");
    return out;
}

const char *store_digest_text(struct atls_bytes bytes, char out[STORE_DIGEST_TEXT])
{
    uint8_t digest[ATLS_HASH_MAX];

    if (atls_hash_one(ATLS_HASH_SHA256, bytes, digest, NULL) != ATLS_OK)
        memset(digest, 0, sizeof digest);
    return atls_hex(atls_bytes_of(digest, 32), out, STORE_DIGEST_TEXT);
}

const char *store_fingerprint(struct atls_bytes bytes, char out[STORE_FINGERPRINT_TEXT])
{
    char hex[STORE_DIGEST_TEXT];

    snprintf(out, STORE_FINGERPRINT_TEXT, "sha256:%.16s", store_digest_text(bytes, hex));
    return out;
}

#define TPM_PCRS 24

const char *store_mkey_text(const struct atls_mkey *mkey, char *out, size_t size)
{
    switch (mkey->kind) {
    case ATLS_MKEY_UINT:
        snprintf(out, size, "%s %llu", mkey->number < TPM_PCRS ? "PCR" : "field",
                 (unsigned long long)mkey->number);
        break;
    case ATLS_MKEY_TEXT:
        atls_escape(mkey->bytes, out, size);
        break;
    case ATLS_MKEY_OID:
    case ATLS_MKEY_UUID:
        atls_hex(mkey->bytes, out, size);
        break;
    case ATLS_MKEY_NONE:
    default:
        snprintf(out, size, "%s", "");
        break;
    }
    return out;
}

/* BER: base 128, high bit on all octets of an arc but the last (X.690 section 8.19). */
bool store_oid_text(struct atls_bytes item, char *out, size_t size)
{
    struct atls_bytes oid;
    uint64_t tag, arc = 0;
    size_t used = 0;
    int n;

    if (!atls_tagged_bytes(item, &tag, &oid) || tag != ATLS_TAG_OID || oid.len == 0 ||
        (oid.ptr[oid.len - 1] & 0x80) != 0)
        return false;
    for (size_t i = 0; i < oid.len; i++) {
        if (arc > UINT64_MAX >> 7)
            return false;
        arc = arc << 7 | (oid.ptr[i] & 0x7f);
        if ((oid.ptr[i] & 0x80) != 0)
            continue;
        if (used == 0)
            n = snprintf(out, size, "%u.%llu", arc < 80 ? (unsigned)(arc / 40) : 2u,
                         (unsigned long long)(arc < 80 ? arc % 40 : arc - 80));
        else
            n = snprintf(out + used, size - used, ".%llu", (unsigned long long)arc);
        if (n < 0 || (size_t)n >= size - used)
            return false;
        used += (size_t)n;
        arc = 0;
    }
    return true;
}
