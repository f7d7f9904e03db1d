/* What a simulated machine was told to be: orders by name, of which this is the one table.
 *
 *     struct atls_sim_state state;
 *     atls_sim_state_init(&state, ATLS_SIM_SNP);
 *     code = atls_sim_state_set(&state, "debug=yes", &err);
 *
 * Orders are kept as text, one "name=value" a line, so that a person can read the file of a world
 * that runs. */
#ifndef ATLS_SIMULATOR_STATE_H
#define ATLS_SIMULATOR_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>

enum atls_sim_tee {
    ATLS_SIM_SNP = 1 << 0,
    ATLS_SIM_TDX = 1 << 1,
    ATLS_SIM_CCA = 1 << 2,
};

/* Longest value: 64 bytes in hexadecimal. */
#define ATLS_SIM_VALUE_MAX 129

/* Name, technologies, type, least, most, default, what it says. Least and most are bytes of HEX and
 * values of NUMBER; CHOICE lists its words in the place of the default, the first is the default.
 */
#define ATLS_SIM_ORDERS(X)                                                                         \
    X(DELAY, "delay", ATLS_SIM_ALL, NUMBER, 0, 60000, "0", "milliseconds that each quote takes")   \
    X(FAULT, "fault", ATLS_SIM_ALL, FAULT, 0, 0, "none",                                           \
      "errno of the next quotes, NAME or NAME:COUNT")                                              \
    X(RACE, "race", ATLS_SIM_ALL, NUMBER, 0, 1000, "0", "a stranger writes before so many quotes") \
    X(TRUNCATE, "truncate", ATLS_SIM_ALL, NUMBER, 0, 1000000, "0", "outblob ends there; 0: whole") \
    X(DEBUG, "debug", ATLS_SIM_SNP | ATLS_SIM_TDX, CHOICE, 0, 0, "no|yes",                         \
      "the host may look into the guest")                                                          \
    X(TCB, "tcb", ATLS_SIM_SNP | ATLS_SIM_TDX, CHOICE, 0, 0, "current|old",                        \
      "firmware of the machine")                                                                   \
    X(REVOKED, "revoked", ATLS_SIM_SNP | ATLS_SIM_TDX, CHOICE, 0, 0, "none|intermediate|leaf",     \
      "which certificate is on a revocation list (snp: the intermediate only)")                    \
    X(COLLATERAL, "collateral", ATLS_SIM_SNP | ATLS_SIM_TDX, CHOICE, 0, 0, "fresh|expired",        \
      "validity of revocation lists and signed documents")                                         \
    X(SERVICE, "service", ATLS_SIM_SNP | ATLS_SIM_TDX, CHOICE, 0, 0, "up|busy|down",               \
      "collateral service: 200, 429 or 503")                                                       \
    X(MEASUREMENT, "measurement", ATLS_SIM_SNP, HEX, 48, 48, ATLS_SIM_DIGEST_48, "launch digest")  \
    X(HOST_DATA, "host-data", ATLS_SIM_SNP, HEX, 32, 32, ATLS_SIM_ZERO_32,                         \
      "what the host said at launch")                                                              \
    X(GUEST_SVN, "guest-svn", ATLS_SIM_SNP, NUMBER, 0, 0xffffffff, "0", "of the ID block")         \
    X(VMPL_FLOOR, "vmpl-floor", ATLS_SIM_SNP, NUMBER, 0, 3, "0", "lowest privlevel of this guest") \
    X(MASKED, "masked", ATLS_SIM_SNP, CHOICE, 0, 0, "no|yes", "the host hides which chip it is")   \
    X(CERTIFICATES, "certificates", ATLS_SIM_SNP, CHOICE, 0, 0, "yes|no",                          \
      "the host hands out the certificate table (auxblob)")                                        \
    X(MRTD, "mrtd", ATLS_SIM_TDX, HEX, 48, 48, ATLS_SIM_DIGEST_48,                                 \
      "measurement of the TD as built")                                                            \
    X(RTMR0, "rtmr0", ATLS_SIM_TDX, HEX, 48, 48, ATLS_SIM_ZERO_48, "run-time measurement 0")       \
    X(RTMR1, "rtmr1", ATLS_SIM_TDX, HEX, 48, 48, ATLS_SIM_ZERO_48, "run-time measurement 1")       \
    X(RTMR2, "rtmr2", ATLS_SIM_TDX, HEX, 48, 48, ATLS_SIM_ZERO_48, "run-time measurement 2")       \
    X(RTMR3, "rtmr3", ATLS_SIM_TDX, HEX, 48, 48, ATLS_SIM_ZERO_48, "run-time measurement 3")       \
    X(MRCONFIGID, "mrconfigid", ATLS_SIM_TDX, HEX, 48, 48, ATLS_SIM_ZERO_48,                       \
      "what the host said at launch")                                                              \
    X(PADDING, "padding", ATLS_SIM_TDX, NUMBER, 0, 16000, "0",                                     \
      "zeros follow the quote up to this length, as on some clouds")                               \
    X(LIFECYCLE, "lifecycle", ATLS_SIM_CCA, NUMBER, 0, 0xffff, "0x3000", "of the platform")        \
    X(FIRMWARE, "firmware", ATLS_SIM_CCA, HEX, 32, 32, ATLS_SIM_DIGEST_32,                         \
      "platform software component")                                                               \
    X(RIM, "rim", ATLS_SIM_CCA, HEX, 32, 32, ATLS_SIM_DIGEST_32, "realm initial measurement")      \
    X(REM0, "rem0", ATLS_SIM_CCA, HEX, 32, 32, ATLS_SIM_ZERO_32, "realm extensible measurement 0") \
    X(REM1, "rem1", ATLS_SIM_CCA, HEX, 32, 32, ATLS_SIM_ZERO_32, "realm extensible measurement 1") \
    X(REM2, "rem2", ATLS_SIM_CCA, HEX, 32, 32, ATLS_SIM_ZERO_32, "realm extensible measurement 2") \
    X(REM3, "rem3", ATLS_SIM_CCA, HEX, 32, 32, ATLS_SIM_ZERO_32, "realm extensible measurement 3") \
    X(RPV, "rpv", ATLS_SIM_CCA, HEX, 64, 64, ATLS_SIM_ZERO_32 ATLS_SIM_ZERO_32,                    \
      "realm personalization value")

enum atls_sim_order {
#define ATLS_SIM_ENUM(name, text, tees, type, least, most, value, says) ATLS_SIM_ORDER_##name,
    ATLS_SIM_ORDERS(ATLS_SIM_ENUM)
#undef ATLS_SIM_ENUM
        ATLS_SIM_ORDER_COUNT
};

struct atls_sim_state {
    enum atls_sim_tee tee;
    char values[ATLS_SIM_ORDER_COUNT]
               [ATLS_SIM_VALUE_MAX]; /* "" where the technology has no such order */
};

/* "snp", "tdx", "cca"; NULL and 0 for others. */
const char *atls_sim_tee_name(enum atls_sim_tee tee);
enum atls_sim_tee atls_sim_tee_by_name(const char *name);

/* Every order at its default. */
void atls_sim_state_init(struct atls_sim_state *state, enum atls_sim_tee tee);
/* Takes one "name=value". Errors: ATLS_E_CONFIG (unknown, not of this technology, bad value); then
 * state stays as it was. */
ATLS_MUST_CHECK enum atls_code atls_sim_state_set(struct atls_sim_state *state, const char *order,
                                                  struct atls_err *err);
/* Takes the text of a file: lines as above, '#' begins a comment line. *state is written on success
 * only. Errors: ATLS_E_CONFIG. */
ATLS_MUST_CHECK enum atls_code atls_sim_state_read(struct atls_sim_state *state,
                                                   struct atls_bytes text, struct atls_err *err);
/* Such a text, with what each order says. Errors: ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_sim_state_write(const struct atls_sim_state *state,
                                                    struct atls_buf *out, struct atls_err *err);
/* "name", or NULL where tee has no such order. */
const char *atls_sim_order_name(enum atls_sim_order order, enum atls_sim_tee tee);

/* Values, which are valid once they stand in a state. */
uint64_t atls_sim_state_number(const struct atls_sim_state *state, enum atls_sim_order order);
bool atls_sim_state_is(const struct atls_sim_state *state, enum atls_sim_order order,
                       const char *word);
/* Writes the bytes of a HEX order to out, which has room; returns how many. */
size_t atls_sim_state_hex(const struct atls_sim_state *state, enum atls_sim_order order,
                          uint8_t *out);
/* errno that the next quote is to fail with, counted down; 0 when none. */
int atls_sim_state_take_fault(struct atls_sim_state *state);
/* True when a stranger is to write before the next quote, counted down. */
bool atls_sim_state_take_race(struct atls_sim_state *state);

#endif
