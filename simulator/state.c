#include "simulator/state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/writer.h"

#define ATLS_SIM_ALL (ATLS_SIM_SNP | ATLS_SIM_TDX | ATLS_SIM_CCA)

#define STATE_TEXT_MAX (64 * 1024)
#define FAULTS_MAX     1000000

#define ATLS_SIM_ZERO_16   "00000000000000000000000000000000"
#define ATLS_SIM_ZERO_32   ATLS_SIM_ZERO_16 ATLS_SIM_ZERO_16
#define ATLS_SIM_ZERO_48   ATLS_SIM_ZERO_16 ATLS_SIM_ZERO_32
#define ATLS_SIM_DIGEST_16 "a71500000000000000000000000051e5"
#define ATLS_SIM_DIGEST_32 ATLS_SIM_DIGEST_16 ATLS_SIM_DIGEST_16
#define ATLS_SIM_DIGEST_48 ATLS_SIM_DIGEST_16 ATLS_SIM_DIGEST_32

enum value_type { NUMBER, HEX, CHOICE, FAULT };

static const struct row {
    const char *name;
    unsigned int tees; /* enum atls_sim_tee */
    enum value_type type;
    uint64_t least, most;
    const char *value;
    const char *says;
} rows[ATLS_SIM_ORDER_COUNT] = {
#define ATLS_SIM_ROW(name, text, tees, type, least, most, value, says)                             \
    {text, tees, type, least, most, value, says},
    ATLS_SIM_ORDERS(ATLS_SIM_ROW)
#undef ATLS_SIM_ROW
};

/* What the reading of a quote can fail with on real machines. */
static const struct {
    const char *name;
    int number;
} faults[] = {
    {"EIO", EIO},     {"ENXIO", ENXIO},         {"EBUSY", EBUSY},   {"EAGAIN", EAGAIN},
    {"EINTR", EINTR}, {"ETIMEDOUT", ETIMEDOUT}, {"ENOTTY", ENOTTY}, {"EINVAL", EINVAL},
};

#define FAULT_COUNT (sizeof(faults) / sizeof(faults[0]))

static const struct {
    enum atls_sim_tee tee;
    const char *name;
} tees[] = {{ATLS_SIM_SNP, "snp"}, {ATLS_SIM_TDX, "tdx"}, {ATLS_SIM_CCA, "cca"}};

#define TEE_COUNT (sizeof(tees) / sizeof(tees[0]))

const char *atls_sim_tee_name(enum atls_sim_tee tee)
{
    for (size_t i = 0; i < TEE_COUNT; i++)
        if (tees[i].tee == tee)
            return tees[i].name;
    return NULL;
}

enum atls_sim_tee atls_sim_tee_by_name(const char *name)
{
    for (size_t i = 0; i < TEE_COUNT; i++)
        if (strcmp(tees[i].name, name) == 0)
            return tees[i].tee;
    return (enum atls_sim_tee)0;
}

const char *atls_sim_order_name(enum atls_sim_order order, enum atls_sim_tee tee)
{
    return (rows[order].tees & tee) != 0 ? rows[order].name : NULL;
}

/* ---- values ---- */

static bool number_valid(const struct row *row, const char *text)
{
    unsigned long long value;
    char *end;

    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    value = strtoull(text, &end, 0);
    return errno == 0 && *end == '\0' && value >= row->least && value <= row->most;
}

static bool hex_valid(const struct row *row, const char *text)
{
    size_t len = strlen(text);

    return len % 2 == 0 && len / 2 >= row->least && len / 2 <= row->most &&
           strspn(text, "0123456789abcdefABCDEF") == len;
}

static bool choice_valid(const struct row *row, const char *text)
{
    size_t len = strlen(text);

    for (const char *word = row->value; word != NULL; word = strchr(word, '|')) {
        word += *word == '|';
        if (len > 0 && strcspn(word, "|") == len && memcmp(word, text, len) == 0)
            return true;
    }
    return false;
}

/* Reads "none", "NAME" or "NAME:COUNT" (COUNT not 0). */
static bool fault_read(const char *text, int *out_errno, unsigned long *out_count)
{
    size_t len = strcspn(text, ":");
    unsigned long count = 1;
    char *end;

    if (strcmp(text, "none") == 0) {
        *out_errno = 0;
        *out_count = 0;
        return true;
    }
    if (text[len] == ':') {
        if (text[len + 1] < '1' || text[len + 1] > '9')
            return false;
        count = strtoul(text + len + 1, &end, 10);
        if (*end != '\0' || count > FAULTS_MAX)
            return false;
    }
    for (size_t i = 0; i < FAULT_COUNT; i++)
        if (strlen(faults[i].name) == len && memcmp(faults[i].name, text, len) == 0) {
            *out_errno = faults[i].number;
            *out_count = count;
            return true;
        }
    return false;
}

static bool value_valid(const struct row *row, const char *text)
{
    unsigned long count;
    int number;

    switch (row->type) {
    case NUMBER:
        return number_valid(row, text);
    case HEX:
        return hex_valid(row, text);
    case CHOICE:
        return choice_valid(row, text);
    case FAULT:
        return fault_read(text, &number, &count);
    }
    return false;
}

/* What a value is to look like, for messages. */
static void describe(const struct row *row, char *out, size_t size)
{
    if (row->type == NUMBER)
        snprintf(out, size, "a number from %" PRIu64 " to %" PRIu64, row->least, row->most);
    else if (row->type == HEX)
        snprintf(out, size, "%" PRIu64 " bytes in hexadecimal", row->least);
    else if (row->type == CHOICE)
        snprintf(out, size, "%s", row->value);
    else
        snprintf(out, size, "none, or NAME:COUNT, such as EIO:3");
}

void atls_sim_state_init(struct atls_sim_state *state, enum atls_sim_tee tee)
{
    memset(state, 0, sizeof *state);
    state->tee = tee;
    for (size_t i = 0; i < ATLS_SIM_ORDER_COUNT; i++) {
        size_t len = rows[i].type == CHOICE ? strcspn(rows[i].value, "|") : strlen(rows[i].value);

        if ((rows[i].tees & tee) != 0)
            memcpy(state->values[i], rows[i].value, len);
    }
}

static enum atls_code set_span(struct atls_sim_state *state, const char *order, size_t len,
                               struct atls_err *err)
{
    const char *equals = memchr(order, '=', len);
    size_t name_len = equals == NULL ? len : (size_t)(equals - order);
    char value[ATLS_SIM_VALUE_MAX] = {0}, wanted[80];

    if (equals == NULL)
        return atls_fail(err, ATLS_E_CONFIG, "\"%.*s\": want NAME=VALUE", (int)(len & 0xff), order);
    if (len - name_len - 1 < sizeof value)
        memcpy(value, equals + 1, len - name_len - 1);
    for (size_t i = 0; i < ATLS_SIM_ORDER_COUNT; i++) {
        const struct row *row = &rows[i];

        if (strlen(row->name) != name_len || memcmp(row->name, order, name_len) != 0)
            continue;
        if ((row->tees & state->tee) == 0)
            return atls_fail(err, ATLS_E_CONFIG, "%s: %s has no such thing", row->name,
                             atls_sim_tee_name(state->tee));
        if (len - name_len - 1 >= sizeof value || !value_valid(row, value)) {
            describe(row, wanted, sizeof wanted);
            return atls_fail(err, ATLS_E_CONFIG, "%s: \"%s\", want %s", row->name, value, wanted);
        }
        memcpy(state->values[i], value, sizeof value);
        return ATLS_OK;
    }
    return atls_fail(err, ATLS_E_CONFIG, "\"%.*s\": no such name", (int)(name_len & 0xff), order);
}

enum atls_code atls_sim_state_set(struct atls_sim_state *state, const char *order,
                                  struct atls_err *err)
{
    return set_span(state, order, strlen(order), err);
}

enum atls_code atls_sim_state_read(struct atls_sim_state *state, struct atls_bytes text,
                                   struct atls_err *err)
{
    struct atls_sim_state read = *state;
    enum atls_code code;

    if (text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL)
        return atls_fail(err, ATLS_E_CONFIG, "a NUL byte in the orders");
    for (size_t pos = 0; pos < text.len;) {
        const char *line = (const char *)text.ptr + pos;
        const char *end = memchr(line, '\n', text.len - pos);
        size_t len = end == NULL ? text.len - pos : (size_t)(end - line);

        if (len > 0 && line[0] != '#' && (code = set_span(&read, line, len, err)) != ATLS_OK)
            return code;
        pos += len + 1;
    }
    *state = read;
    return ATLS_OK;
}

enum atls_code atls_sim_state_write(const struct atls_sim_state *state, struct atls_buf *out,
                                    struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(STATE_TEXT_MAX);
    char wanted[80];

    for (size_t i = 0; i < ATLS_SIM_ORDER_COUNT; i++) {
        if ((rows[i].tees & state->tee) == 0)
            continue;
        describe(&rows[i], wanted, sizeof wanted);
        atls_put_text(&w, "# ");
        atls_put_text(&w, rows[i].says);
        atls_put_text(&w, " (");
        atls_put_text(&w, wanted);
        atls_put_text(&w, ")\n");
        atls_put_text(&w, rows[i].name);
        atls_put_text(&w, "=");
        atls_put_text(&w, state->values[i]);
        atls_put_text(&w, "\n");
    }
    return atls_writer_finish(&w, out, err);
}

uint64_t atls_sim_state_number(const struct atls_sim_state *state, enum atls_sim_order order)
{
    return strtoull(state->values[order], NULL, 0);
}

bool atls_sim_state_is(const struct atls_sim_state *state, enum atls_sim_order order,
                       const char *word)
{
    return strcmp(state->values[order], word) == 0;
}

static uint8_t nibble(char c)
{
    return (uint8_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

size_t atls_sim_state_hex(const struct atls_sim_state *state, enum atls_sim_order order,
                          uint8_t *out)
{
    const char *text = state->values[order];
    size_t len = strlen(text) / 2;

    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(nibble(text[2 * i]) << 4 | nibble(text[2 * i + 1]));
    return len;
}

int atls_sim_state_take_fault(struct atls_sim_state *state)
{
    char *value = state->values[ATLS_SIM_ORDER_FAULT];
    unsigned long count = 0;
    int number = 0;

    if (!fault_read(value, &number, &count) || count == 0)
        return 0;
    value[strcspn(value, ":")] = '\0';
    if (count == 1)
        strcpy(value, "none");
    else
        snprintf(value + strlen(value), ATLS_SIM_VALUE_MAX - strlen(value), ":%lu", count - 1);
    return number;
}

bool atls_sim_state_take_race(struct atls_sim_state *state)
{
    uint64_t left = atls_sim_state_number(state, ATLS_SIM_ORDER_RACE);

    if (left == 0)
        return false;
    snprintf(state->values[ATLS_SIM_ORDER_RACE], ATLS_SIM_VALUE_MAX, "%" PRIu64, left - 1);
    return true;
}
