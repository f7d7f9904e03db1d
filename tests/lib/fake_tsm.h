/* A kernel for the attester "tsm": a tree of configfs-tsm reports, /dev/sev-guest, /dev/tdx_guest
 * and a quote generation service, which answer with evidence over what they are given and fail when
 * told to. Any thread. */
#ifndef ATLS_TEST_FAKE_TSM_H
#define ATLS_TEST_FAKE_TSM_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>

#include "attester/tsm/kernel.h"

#define TEST_TSM_DIRECTORY "/fake/tsm/report"
#define TEST_TSM_ENTRIES   16
#define TEST_TSM_FILES     32
#define TEST_TSM_FAULTS    4

/* The call ("read", "make_directory" ...) on a path that ends so fails after skip good ones, times
 * times. */
struct test_tsm_fault {
    const char *call, *path;
    int sys_errno;
    unsigned int skip, times;
};

struct test_tsm_entry {
    bool used;
    char path[512];
    uint64_t generation;
    uint8_t inblob[128];
    size_t inblob_len;
};

struct test_tsm_file {
    bool used;
    char path[512];
    struct test_tsm_entry *entry; /* NULL: a device or a socket */
    struct atls_buf content;      /* to read */
    size_t pos;
    uint8_t written[2048];
    size_t written_len;
    bool starved; /* the last call said EAGAIN */
};

struct test_tsm {
    struct atls_tsm_kernel kernel;

    /* What there is; set it before use. */
    bool no_directory, no_driver;
    const char *provider;       /* content of the attribute */
    const char *floor;          /* of privlevel; NULL: no such attribute */
    bool services;              /* attributes of services */
    struct atls_bytes aux;      /* .ptr NULL: no such attribute */
    struct atls_bytes evidence; /* in place of what is made; report data is put in all the same */
    size_t padding;             /* zeros behind evidence */
    size_t chunk;               /* what one read gives at most; 0: all */
    const char *generation;     /* content of the attribute; NULL: the number */
    bool short_write;           /* of inblob */
    unsigned int strangers;     /* so many reports are written to by somebody else */
    unsigned int mixed_up;      /* so many reports are over other bytes */
    const char *devices[3];     /* that exist */
    struct test_tsm_fault faults[TEST_TSM_FAULTS];

    /* The device of SNP. */
    uint32_t certificates_len;   /* room that the hypervisor wants */
    uint32_t certificates_said;  /* what it says that it wants; 0: the truth */
    unsigned int vmm_busy;       /* so many calls */
    uint64_t exitinfo2;          /* with a fault of ioctl */
    uint32_t status, report_len; /* of the response; 0: 1184 */

    /* The quote generation service: the response, length in front; NULL: a good one. */
    struct atls_bytes response;
    bool starve; /* every other call on the socket says EAGAIN */

    /* What happened. */
    int64_t now_ms;
    unsigned int pauses, reports, opened, entries_made;
    char privlevel[24], service[80], service_guid[80], service_version[24];
    uint32_t vmpl;
    struct atls_tsm_qgs reached;

    pthread_mutex_t lock;
    struct test_tsm_entry entries[TEST_TSM_ENTRIES];
    struct test_tsm_file files[TEST_TSM_FILES];
};

/* A machine of this provider ("sev_guest"), in configfs. Never moved afterwards. */
void test_tsm_init(struct test_tsm *t, const char *provider);
/* Fails the test when an entry stayed, or a file open. */
void test_tsm_finish(struct test_tsm *t);
/* Evidence of provider over challenge, 64 bytes. The caller clears it. */
struct atls_buf test_tsm_evidence(const struct test_tsm *t, const uint8_t *challenge);

#endif
