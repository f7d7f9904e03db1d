#include "verifier/inspect/x509.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool atls_x509_time_text(struct atls_bytes content, uint8_t tag, char out[static 24])
{
    size_t years = tag == ATLS_DER_UTC_TIME ? 2 : 4;
    const char *d = (const char *)content.ptr;
    bool is_last_century;

    if ((tag != ATLS_DER_UTC_TIME && tag != ATLS_DER_GENERALIZED_TIME) ||
        content.len != years + 11 || d[years + 10] != 'Z')
        return false;
    for (size_t i = 0; i < years + 10; i++)
        if (d[i] < '0' || d[i] > '9')
            return false;
    is_last_century = years == 2 && d[0] >= '5';
    snprintf(out, 24, "%s%.*s-%.2s-%.2sT%.2s:%.2s:%.2sZ",
             years == 4        ? ""
             : is_last_century ? "19"
                               : "20",
             (int)years, d, d + years, d + years + 2, d + years + 4, d + years + 6, d + years + 8);
    return true;
}

void atls_view_put_oid(struct atls_writer *w, struct atls_bytes oid)
{
    uint64_t arc = 0;
    char text[24];
    bool first = true;

    for (size_t i = 0; i < oid.len; i++) {
        if (arc > UINT64_MAX >> 8)
            break; /* nobody assigns such arcs: what was read so far has to do */
        arc = arc << 7 | (oid.ptr[i] & 0x7f);
        if (oid.ptr[i] & 0x80)
            continue;
        if (first) {
            uint64_t top = arc < 80 ? arc / 40 : 2;

            snprintf(text, sizeof text, "%" PRIu64 ".%" PRIu64, top, arc - 40 * top);
        } else {
            snprintf(text, sizeof text, ".%" PRIu64, arc);
        }
        atls_put_text(w, text);
        first = false;
        arc = 0;
    }
}

/* Short names of RFC 4514 section 3; others are written dotted. */
static void put_attribute_type(struct atls_writer *w, struct atls_bytes oid)
{
    static const struct {
        uint8_t last; /* of 2.5.4.last */
        const char *name;
    } names[] = {{3, "CN"}, {5, "serialNumber"}, {6, "C"},  {7, "L"},
                 {8, "ST"}, {10, "O"},           {11, "OU"}};

    if (oid.len == 3 && memcmp(oid.ptr, "\x55\x04", 2) == 0) {
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            if (oid.ptr[2] == names[i].last) {
                atls_put_text(w, names[i].name);
                return;
            }
        }
    }
    atls_view_put_oid(w, oid);
}

/* A value must not look like another attribute (RFC 4514 section 2.4). */
static void put_attribute_value(struct atls_writer *w, struct atls_bytes value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] != 0 && strchr(",+=\"\\<>;", value.ptr[i]) != NULL)
            atls_put_u8(w, '\\');
        atls_put_u8(w, value.ptr[i]);
    }
}

/* One SEQUENCE { type, value } of a name; false when it is malformed. */
static bool put_attribute(struct atls_writer *w, struct atls_bytes attribute)
{
    struct atls_reader r = atls_reader_init(attribute);
    struct atls_bytes oid;
    struct atls_der value;

    if (!atls_der_get(&r, ATLS_DER_OID, &oid) || !atls_der_get_any(&r, &value) ||
        !atls_reader_done(&r))
        return false;
    if (w->len > 0)
        atls_put_text(w, ", ");
    put_attribute_type(w, oid);
    atls_put_u8(w, '=');
    put_attribute_value(w, value.content);
    return true;
}

/* What is malformed ends it. */
void atls_x509_put_name(struct atls_json *j, const char *key, struct atls_bytes name)
{
    struct atls_writer w = atls_writer_init(name.len * 8 + 64);
    struct atls_reader sets = atls_reader_init(name), set;
    struct atls_bytes members, attribute;

    while (atls_der_get(&sets, ATLS_DER_SET, &members)) {
        set = atls_reader_init(members);
        while (atls_der_get(&set, ATLS_DER_SEQUENCE, &attribute))
            if (!put_attribute(&w, attribute))
                break;
    }
    atls_json_put_text(j, key, atls_writer_bytes(&w));
    atls_writer_clear(&w);
}

void atls_x509_put_time(struct atls_json *j, const char *key, struct atls_bytes element)
{
    struct atls_reader r = atls_reader_init(element);
    struct atls_der e;
    char text[24];

    if (atls_der_get_any(&r, &e) && atls_x509_time_text(e.content, e.tag, text))
        atls_json_put_string(j, key, text);
}
