#include "flavour/post/hello.h"

#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "flavour/post/carrier.h"

#define FLAGS_DEFINED                                                                              \
    (ATLS_HELLO_ATTESTS | ATLS_HELLO_REQUIRES | ATLS_HELLO_RAW | ATLS_HELLO_REQUIRES_SELF |        \
     ATLS_HELLO_BINDER_ECHO)
#define PARAMETER_FRAME_MAX 5
#define PARAMETER_OPTIONAL  9 /* behind those of name_parameters */

/* Parameters in the order of their types, which is that of enum atls_names. */
static const struct {
    uint16_t type;
    const char *name;
} name_parameters[ATLS_NAMES_COUNT] = {
    [ATLS_NAMES_EVIDENCE_OFFERED] = {1, "evidence offered"},
    [ATLS_NAMES_EVIDENCE_ACCEPTED] = {2, "evidence accepted"},
    [ATLS_NAMES_PROFILES] = {3, "profiles"},
    [ATLS_NAMES_INNER_PROTOCOLS] = {4, "inner protocols"},
    [ATLS_NAMES_RESULTS_OFFERED] = {6, "results offered"},
    [ATLS_NAMES_RESULTS_ACCEPTED] = {7, "results accepted"},
    [ATLS_NAMES_PROFILES_OFFERED] = {8, "profiles offered"},
};

static enum atls_code decode_names(struct atls_bytes data, const char *what, struct atls_bytes *out,
                                   struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(data);
    struct atls_bytes list, rest, name;

    if (!atls_get_vec(&r, 1, 0xffff, &list) || !atls_reader_done(&r))
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "HELLO: parameter \"%s\" is no list of names", what);
    rest = list;
    while (atls_names_next(&rest, &name))
        continue;
    if (rest.len != 0)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "HELLO: parameter \"%s\" has a malformed name near byte %zu", what,
                                list.len - rest.len);
    *out = list;
    return ATLS_OK;
}

static enum atls_code decode_frame_max(struct atls_bytes data, uint32_t *out, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(data);
    uint32_t value;

    if (!atls_get_u24(&r, &value) || !atls_reader_done(&r))
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "HELLO: parameter \"largest frame\" is %zu bytes, want 3",
                                data.len);
    if (value < ATLS_HELLO_FRAME_MAX_LEAST || value > ATLS_FRAME_BODY_MAX)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "HELLO: largest frame is %u, want %d to %d", value,
                                ATLS_HELLO_FRAME_MAX_LEAST, ATLS_FRAME_BODY_MAX);
    *out = value;
    return ATLS_OK;
}

static enum atls_code decode_optional(struct atls_bytes data, bool *out, struct atls_err *err)
{
    if (data.len != 0)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "HELLO: parameter \"optional\" is %zu bytes, want none", data.len);
    *out = true;
    return ATLS_OK;
}

static enum atls_code decode_parameter(uint16_t type, struct atls_bytes data,
                                       struct atls_hello *hello, struct atls_err *err)
{
    if (type == PARAMETER_FRAME_MAX)
        return decode_frame_max(data, &hello->frame_max, err);
    if (type == PARAMETER_OPTIONAL)
        return decode_optional(data, &hello->optional, err);
    for (size_t i = 0; i < ATLS_NAMES_COUNT; i++)
        if (name_parameters[i].type == type)
            return decode_names(data, name_parameters[i].name, &hello->names[i], err);
    return ATLS_OK; /* unknown parameters are ignored */
}

static enum atls_code decode_parameters(struct atls_bytes parameters, struct atls_hello *hello,
                                        struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(parameters);
    uint32_t least = 0;

    while (!atls_reader_done(&r)) {
        struct atls_bytes data;
        uint16_t type;
        enum atls_code code;

        if (!atls_get_u16(&r, &type) || !atls_get_vec(&r, 0, 0xffff, &data))
            return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                    "HELLO: parameters are malformed near byte %zu", r.pos);
        if (type < least)
            return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                    "HELLO: parameter %u is repeated or out of order", type);
        least = (uint32_t)type + 1;
        if ((code = decode_parameter(type, data, hello, err)) != ATLS_OK)
            return code;
    }
    return ATLS_OK;
}

enum atls_code atls_hello_decode(struct atls_bytes body, struct atls_hello *out,
                                 struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(body);
    struct atls_hello hello = {.frame_max = ATLS_FRAME_BODY_MAX};
    struct atls_bytes parameters;
    uint8_t version;
    enum atls_code code;

    if (!atls_get_u8(&r, &version))
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "HELLO: empty");
    if (version != ATLS_HELLO_VERSION) /* what follows may have another form */
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_NO_COMMON_PARAMETERS,
                                "HELLO: version is %u, want %d", version, ATLS_HELLO_VERSION);
    if (!atls_get_u8(&r, &hello.flags) || !atls_get_vec(&r, 0, 0xffff, &parameters) ||
        !atls_reader_done(&r))
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "HELLO: malformed near byte %zu of %zu", r.pos, body.len);
    if ((hello.flags & ~FLAGS_DEFINED) != 0)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "HELLO: flags are 0x%02x, want 0x%02x at most", hello.flags,
                                FLAGS_DEFINED);
    if ((hello.flags & ATLS_HELLO_REQUIRES_SELF) != 0 && (hello.flags & ATLS_HELLO_ATTESTS) == 0)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "HELLO: requires-self without attests");
    if ((hello.flags & ATLS_HELLO_BINDER_ECHO) != 0 && (hello.flags & ATLS_HELLO_REQUIRES) == 0)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "HELLO: binder-echo without requires");
    if ((code = decode_parameters(parameters, &hello, err)) != ATLS_OK)
        return code;
    if (hello.optional && (hello.flags & ATLS_HELLO_REQUIRES) == 0)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "HELLO: optional without requires");
    *out = hello;
    return ATLS_OK;
}

static void put_names(struct atls_writer *w, uint16_t type, struct atls_bytes names)
{
    if (names.len == 0)
        return;
    atls_put_u16(w, type);
    struct atls_mark data = atls_open_vec(w, 0xffff), list = atls_open_vec(w, 0xffff);
    atls_put_bytes(w, names);
    atls_close_vec(w, list);
    atls_close_vec(w, data);
}

static void put_frame_max(struct atls_writer *w, uint32_t frame_max)
{
    if (frame_max == ATLS_FRAME_BODY_MAX)
        return;
    atls_put_u16(w, PARAMETER_FRAME_MAX);
    struct atls_mark data = atls_open_vec(w, 0xffff);
    atls_put_u24(w, frame_max);
    atls_close_vec(w, data);
}

void atls_hello_put(struct atls_writer *w, const struct atls_hello *hello)
{
    atls_put_u8(w, ATLS_FRAME_HELLO);
    struct atls_mark body = atls_open_vec(w, 0xffffff);
    atls_put_u8(w, ATLS_HELLO_VERSION);
    atls_put_u8(w, hello->flags);
    struct atls_mark parameters = atls_open_vec(w, 0xffff);
    for (size_t i = 0; i < ATLS_NAMES_COUNT; i++) {
        if (i == ATLS_NAMES_RESULTS_OFFERED)
            put_frame_max(w, hello->frame_max);
        put_names(w, name_parameters[i].type, hello->names[i]);
    }
    if (hello->optional) {
        atls_put_u16(w, PARAMETER_OPTIONAL);
        atls_put_u16(w, 0);
    }
    atls_close_vec(w, parameters);
    atls_close_vec(w, body);
}
