/* TCG event logs (TCG PC Client Platform Firmware Profile, "Event Logging"): the list of what
 * firmware and boot loaders extended into PCRs. Little-endian, in one of two shapes: crypto agile,
 * when the first event is "Spec ID Event03", else SHA-1.
 *
 * Reading a log proves nothing: no event is believed before a replay (evidence/event_log.h) has led
 * to quoted PCR values, and never for its type, which is not measured.
 *
 *     if ((code = atls_event_log_open(in, &log, err)) != ATLS_OK) return code;
 *     while (!atls_event_log_done(&log)) {
 *         if ((code = atls_event_log_next(&log, &event, err)) != ATLS_OK) return code;
 *         ...
 *     }
 *
 * Everything borrows from the input. One thread at a time per log. */
#ifndef ATLS_WIRE_TPM_EVENT_LOG_H
#define ATLS_WIRE_TPM_EVENT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/reader.h"

#define ATLS_EVENT_ALGORITHMS_MAX 16
#define ATLS_EVENT_DATA_MAX       (1024 * 1024)
/* PCR index of events that some firmware logs without extending any. */
#define ATLS_EVENT_NO_PCR 0xffffffffu

/* Event types that this project acts on; others are replayed alike. (Macros: the last one does not
 * fit an int.) */
#define ATLS_EV_NO_ACTION                  0x00000003u
#define ATLS_EV_SEPARATOR                  0x00000004u
#define ATLS_EV_EFI_VARIABLE_DRIVER_CONFIG 0x80000001u

struct atls_event_algorithm {
    uint16_t id;   /* TPM_ALG_ID */
    uint16_t size; /* of its digests, in bytes; agrees with the algorithm where we know it */
};

struct atls_event_log {
    struct atls_reader r;
    bool crypto_agile;
    struct atls_event_algorithm algorithms[ATLS_EVENT_ALGORITHMS_MAX];
    size_t algorithm_count;
};

struct atls_event {
    uint32_t pcr;  /* below 24, or ATLS_EVENT_NO_PCR; of ATLS_EV_NO_ACTION: anything */
    uint32_t type; /* not measured: a hint */
    struct atls_bytes digests[ATLS_EVENT_ALGORITHMS_MAX]; /* in the order of log->algorithms */
    struct atls_bytes data;
};

/* Reads the head of a log: at least one event. Errors: ATLS_E_DECODE, malformed; ATLS_E_LIMIT for
 * more than ATLS_EVENT_LOG_MAX bytes. */
ATLS_MUST_CHECK enum atls_code atls_event_log_open(struct atls_bytes in, struct atls_event_log *out,
                                                   struct atls_err *err);
/* True when every event was read. */
bool atls_event_log_done(const struct atls_event_log *log);
/* The next event; the "Spec ID Event03" that heads a crypto agile log is not handed out. Each event
 * carries exactly one digest of every algorithm of the log. Errors: ATLS_E_DECODE, malformed. */
ATLS_MUST_CHECK enum atls_code atls_event_log_next(struct atls_event_log *log,
                                                   struct atls_event *out, struct atls_err *err);
/* Position of an algorithm in log->algorithms, or -1. */
int atls_event_log_find(const struct atls_event_log *log, uint16_t algorithm);

/* UEFI_VARIABLE_DATA: what an event of type EFI_VARIABLE_* measures (UEFI variable at boot). */
struct atls_uefi_variable {
    struct atls_bytes guid; /* 16 bytes, mixed-endian as logged */
    struct atls_bytes name; /* UTF-16LE */
    struct atls_bytes data;
};
/* False when data is not exactly one such structure. */
ATLS_MUST_CHECK bool atls_uefi_variable_decode(struct atls_bytes data,
                                               struct atls_uefi_variable *out);

#endif
