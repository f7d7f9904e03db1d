/* SNP reports through /dev/sev-guest, for kernels older than configfs-tsm (Linux,
 * Documentation/virt/coco/sev-guest.rst). The structures are the kernel's, written down here so
 * that an old kernel's headers suffice; guests are x86, so integers are as in memory. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attester/tsm/report.h"
#include "attester/tsm/table.h"
#include "core/err.h"
#include "core/log.h"
#include "core/writer.h"
#include "wire/snp.h"

#define SNP_GET_EXT_REPORT 0xc0205302ul
#define MESSAGE_VERSION    1
#define RESPONSE_LEN       4000
#define RESPONSE_HEADER    32
#define PAGE               4096u
#define CERTIFICATES_FIRST (4 * PAGE) /* all that kernels take so far */
#define CERTIFICATES_MAX   (16 * PAGE)
/* High half of exitinfo2 (GHCB specification, SNP guest request). */
#define VMM_INVALID_LENGTH 1u
#define VMM_BUSY           2u

struct report_request {
    uint8_t user_data[64];
    uint32_t vmpl;
    uint8_t reserved[28];
};

struct extended_request {
    struct report_request data;
    uint64_t certificates;
    uint32_t certificates_len;
    uint32_t padding;
};

struct guest_request {
    uint8_t message_version;
    uint8_t padding[7];
    uint64_t request, response;
    uint64_t exitinfo2; /* firmware's error, and above it the hypervisor's */
};

_Static_assert(sizeof(struct report_request) == 96 && sizeof(struct extended_request) == 112 &&
                   sizeof(struct guest_request) == 32,
               "structures are the kernel's");

struct exchange {
    struct extended_request request;
    uint8_t response[RESPONSE_LEN];
    uint8_t *certificates;
    uint32_t certificates_len;
};

static uint64_t address_of(const void *p)
{
    return (uint64_t)(uintptr_t)p;
}

/* Room for len bytes of certificates, empty. */
static enum atls_code make_room(struct exchange *x, uint32_t len, struct atls_err *err)
{
    free(x->certificates);
    x->certificates_len = len;
    if ((x->certificates = calloc(1, len)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "tsm: out of memory");
    return ATLS_OK;
}

static int ask(struct atls_tsm_call *call, int fd, struct exchange *x, uint64_t *out_exitinfo2)
{
    struct guest_request guest = {.message_version = MESSAGE_VERSION,
                                  .request = address_of(&x->request),
                                  .response = address_of(x->response)};
    uint64_t level = 0;
    const char *wanted = call->config->privlevel;
    int result;

    if (wanted != NULL)
        (void)atls_tsm_parse_number(atls_bytes_of(wanted, strlen(wanted)), UINT32_MAX, &level);
    memset(&x->request, 0, sizeof x->request);
    memset(x->response, 0, sizeof x->response);
    memcpy(x->request.data.user_data, call->challenge, sizeof x->request.data.user_data);
    x->request.data.vmpl = (uint32_t)level;
    x->request.certificates = address_of(x->certificates);
    x->request.certificates_len = x->certificates_len;
    result = call->kernel->ioctl(call->kernel->arg, fd, SNP_GET_EXT_REPORT, &guest);
    *out_exitinfo2 = guest.exitinfo2;
    return result;
}

/* The hypervisor has more certificates than fit, and said how much room they want. */
static enum atls_code grow(struct exchange *x, struct atls_err *err)
{
    const uint32_t wanted = x->request.certificates_len;

    if (wanted > CERTIFICATES_MAX)
        return atls_fail(err, ATLS_E_LIMIT,
                         "tsm: certificate table of %" PRIu32 " bytes, at most %u", wanted,
                         CERTIFICATES_MAX);
    if (wanted <= x->certificates_len)
        return atls_fail(err, ATLS_E_DEVICE,
                         "tsm: the hypervisor refuses room for %" PRIu32
                         " bytes of certificates and wants %" PRIu32,
                         x->certificates_len, wanted);
    return make_room(x, (wanted + PAGE - 1) / PAGE * PAGE, err);
}

static enum atls_code refused(struct atls_tsm_call *call, int sys_errno, uint64_t exitinfo2,
                              struct atls_err *err)
{
    const uint32_t vmm = (uint32_t)(exitinfo2 >> 32), firmware = (uint32_t)exitinfo2;
    enum atls_code code;
    char what[96];

    snprintf(what, sizeof what,
             "get a report (firmware error 0x%" PRIx32 ", hypervisor's 0x%" PRIx32 ") from",
             firmware, vmm);
    code = atls_tsm_fail(call, sys_errno, what, call->device, err);
    if (vmm == VMM_BUSY)
        call->again = ATLS_TSM_LATER;
    return code;
}

static enum atls_code get_report(struct atls_tsm_call *call, int fd, struct exchange *x,
                                 struct atls_err *err)
{
    uint64_t exitinfo2 = 0;
    enum atls_code code = make_room(x, CERTIFICATES_FIRST, err);
    int result;

    if (code != ATLS_OK)
        return code;
    result = ask(call, fd, x, &exitinfo2);
    if (result < 0 && exitinfo2 >> 32 == VMM_INVALID_LENGTH) {
        if ((code = grow(x, err)) != ATLS_OK)
            return code;
        result = ask(call, fd, x, &exitinfo2);
    }
    return result < 0 ? refused(call, -result, exitinfo2, err) : ATLS_OK;
}

static enum atls_code take_report(struct atls_tsm_call *call, const struct exchange *x,
                                  struct atls_tsm_blobs *out, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(atls_bytes_of(x->response, sizeof x->response));
    struct atls_bytes table = {NULL, 0};
    uint32_t status = 0, size = 0;
    enum atls_code code;

    if (!atls_get_u32le(&r, &status) || !atls_get_u32le(&r, &size) || status != 0 ||
        size != ATLS_SNP_REPORT_LEN)
        return atls_fail(err, ATLS_E_DEVICE,
                         "tsm: report of %s: status 0x%" PRIx32 ", %" PRIu32 " bytes, want 0, %d",
                         call->device, status, size, ATLS_SNP_REPORT_LEN);
    if (!atls_tsm_table_trim(atls_bytes_of(x->certificates, x->certificates_len), &table))
        atls_log(call->log, ATLS_LOG_WARNING, "attester",
                 "tsm: the hypervisor's certificate table is malformed and left out");
    code = atls_buf_copy(&out->outblob,
                         atls_bytes_of(x->response + RESPONSE_HEADER, ATLS_SNP_REPORT_LEN), err);
    if (code == ATLS_OK && table.len > 0)
        code = atls_buf_copy(&out->auxblob, table, err);
    out->provider = &atls_tsm_snp;
    return code;
}

enum atls_code atls_tsm_sev_device(struct atls_tsm_call *call, struct atls_tsm_blobs *out,
                                   struct atls_err *err)
{
    const struct atls_tsm_kernel *kernel = call->kernel;
    struct exchange *x = NULL;
    enum atls_code code;
    int fd = kernel->open(kernel->arg, call->device, O_RDWR);

    if (fd < 0)
        return atls_tsm_fail(call, -fd, "open", call->device, err);
    if ((x = calloc(1, sizeof *x)) == NULL)
        code = atls_fail(err, ATLS_E_NOMEM, "tsm: out of memory");
    else if ((code = get_report(call, fd, x, err)) == ATLS_OK)
        code = take_report(call, x, out, err);
    (void)kernel->close(kernel->arg, fd);
    if (x != NULL)
        free(x->certificates);
    free(x);
    return code;
}
