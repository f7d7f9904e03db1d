#include "attester/tsm/config.h"

#include <string.h>

#include "core/err.h"
#include "wire/tsm.h"

#define DEADLINE_DEFAULT_S 30
#define DEADLINE_MAX_S     600
#define PRIVLEVEL_MAX      3
#define TEXT_MAX           64
#define QGS_CID_HOST       2 /* the machine that we are a guest of (VMADDR_CID_HOST) */
#define QGS_PORT           4050

const struct atls_tsm_provider atls_tsm_snp = {ATLS_TSM_PROVIDER_SNP, "snp"};
const struct atls_tsm_provider atls_tsm_tdx = {ATLS_TSM_PROVIDER_TDX, "tdx"};
const struct atls_tsm_provider atls_tsm_cca = {ATLS_TSM_PROVIDER_CCA, "cca"};

const struct atls_tsm_provider *atls_tsm_provider_by_name(struct atls_bytes name)
{
    static const struct atls_tsm_provider *const all[] = {&atls_tsm_snp, &atls_tsm_tdx,
                                                          &atls_tsm_cca};

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (atls_bytes_equal_text(name, all[i]->name))
            return all[i];
    return NULL;
}

bool atls_tsm_parse_number(struct atls_bytes text, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;

    if (text.len == 0 || text.len > 20)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned int digit = (unsigned int)text.ptr[i] - '0';

        if (digit > 9 || value > max / 10 || digit > max - 10 * value)
            return false;
        value = 10 * value + digit;
    }
    *out = value;
    return true;
}

static struct atls_bytes bytes_of_text(const char *text)
{
    return atls_bytes_of(text, strlen(text));
}

static enum atls_code bad(const char *name, const char *value, const char *want,
                          struct atls_err *err)
{
    return atls_fail(err, ATLS_E_CONFIG, "tsm: %s=%.64s, want %s", name, value, want);
}

/* "unix:PATH", "vsock", "vsock:CID", "vsock:CID:PORT" */
static enum atls_code parse_qgs(const char *text, struct atls_tsm_qgs *out, struct atls_err *err)
{
    const char *cid = text, *port = NULL;
    uint64_t number = 0;

    *out = (struct atls_tsm_qgs){NULL, QGS_CID_HOST, QGS_PORT};
    if (text == NULL || strcmp(text, "vsock") == 0)
        return ATLS_OK;
    if (strncmp(text, "unix:", 5) == 0 && text[5] != '\0') {
        out->path = text + 5;
        return ATLS_OK;
    }
    if (strncmp(text, "vsock:", 6) == 0) {
        cid = text + 6;
        port = strchr(cid, ':');
        if (atls_tsm_parse_number(
                atls_bytes_of(cid, port != NULL ? (size_t)(port - cid) : strlen(cid)), UINT32_MAX,
                &number)) {
            out->cid = (uint32_t)number;
            if (port == NULL)
                return ATLS_OK;
            if (atls_tsm_parse_number(bytes_of_text(port + 1), UINT32_MAX, &number)) {
                out->port = (uint32_t)number;
                return ATLS_OK;
            }
        }
    }
    return bad("qgs", text, "unix:PATH, vsock, vsock:CID or vsock:CID:PORT", err);
}

/* What goes into an attribute: visible characters, few. */
static bool text_fits(const char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    return len >= 1 && len <= TEXT_MAX;
}

static enum atls_code check_service(const struct atls_tsm_config *c, struct atls_err *err)
{
    uint64_t number;

    if (c->service != NULL && !text_fits(c->service))
        return bad("service", c->service, "a name such as svsm", err);
    if (c->service_guid != NULL && !text_fits(c->service_guid))
        return bad("service-guid", c->service_guid, "a GUID", err);
    if (c->service_version != NULL &&
        !atls_tsm_parse_number(bytes_of_text(c->service_version), UINT32_MAX, &number))
        return bad("service-manifest-version", c->service_version, "a number", err);
    if (c->service == NULL && (c->service_guid != NULL || c->service_version != NULL))
        return atls_fail(err, ATLS_E_CONFIG,
                         "tsm: service-guid and service-manifest-version want a service");
    if (c->service != NULL && c->device != NULL)
        return atls_fail(err, ATLS_E_CONFIG, "tsm: a device knows no service");
    return ATLS_OK;
}

static enum atls_code check_numbers(struct atls_tsm_config *c, const char *deadline,
                                    struct atls_err *err)
{
    uint64_t number = DEADLINE_DEFAULT_S;

    if (deadline != NULL &&
        (!atls_tsm_parse_number(bytes_of_text(deadline), DEADLINE_MAX_S, &number) || number == 0))
        return bad("deadline", deadline, "1 to 600 seconds", err);
    c->deadline_ms = (int64_t)number * 1000;
    if (c->privlevel != NULL &&
        !atls_tsm_parse_number(bytes_of_text(c->privlevel), PRIVLEVEL_MAX, &number))
        return bad("privlevel", c->privlevel, "0 to 3", err);
    return ATLS_OK;
}

/* A device node names its driver; what else it is called, provider says. */
static enum atls_code check_device(struct atls_tsm_config *c, struct atls_err *err)
{
    const char *name;

    if (c->device == NULL)
        return ATLS_OK;
    name = strrchr(c->device, '/');
    name = name != NULL ? name + 1 : c->device;
    if (c->provider == NULL && strncmp(name, "sev", 3) == 0)
        c->provider = &atls_tsm_snp;
    else if (c->provider == NULL && strncmp(name, "tdx", 3) == 0)
        c->provider = &atls_tsm_tdx;
    if (c->provider == NULL || c->provider == &atls_tsm_cca)
        return atls_fail(err, ATLS_E_CONFIG,
                         "tsm: device=%.64s: want provider=sev_guest or provider=tdx_guest",
                         c->device);
    if (c->directory_given)
        return atls_fail(err, ATLS_E_CONFIG, "tsm: a directory and a device: want one of them");
    return ATLS_OK;
}

static enum atls_code check(struct atls_tsm_config *c, const char *provider, struct atls_err *err)
{
    enum atls_code code;

    c->directory_given = c->uri.base[0] != '\0';
    c->directory = c->directory_given ? c->uri.base : ATLS_TSM_DIRECTORY;
    if (strlen(c->directory) > ATLS_TSM_DIRECTORY_MAX)
        return atls_fail(err, ATLS_E_CONFIG, "tsm: directory of %zu bytes, at most %d",
                         strlen(c->directory), ATLS_TSM_DIRECTORY_MAX);
    if (provider != NULL &&
        (c->provider = atls_tsm_provider_by_name(bytes_of_text(provider))) == NULL)
        return bad("provider", provider, "sev_guest, tdx_guest or arm_cca_guest", err);
    if ((code = check_device(c, err)) != ATLS_OK)
        return code;
    return check_service(c, err);
}

enum atls_code atls_tsm_config_parse(const char *rest, struct atls_tsm_config *out,
                                     struct atls_err *err)
{
    struct atls_tsm_config c = {0};
    const char *provider = NULL, *deadline = NULL, *qgs = NULL;
    const struct atls_uri_known known[] = {
        {"aik", &c.aik},
        {"privlevel", &c.privlevel},
        {"service", &c.service},
        {"service-guid", &c.service_guid},
        {"service-manifest-version", &c.service_version},
        {"collateral", &c.collateral},
        {"event-log", &c.event_log},
        {"device", &c.device},
        {"qgs", &qgs},
        {"deadline", &deadline},
        {"provider", &provider},
    };
    enum atls_code code = atls_uri_parse("tsm", rest, &c.uri, err);

    if (code != ATLS_OK)
        return code;
    if ((code = atls_uri_options("tsm", &c.uri, known, sizeof known / sizeof known[0], NULL,
                                 err)) != ATLS_OK ||
        (code = check(&c, provider, err)) != ATLS_OK ||
        (code = check_numbers(&c, deadline, err)) != ATLS_OK ||
        (code = parse_qgs(qgs, &c.qgs, err)) != ATLS_OK) {
        atls_tsm_config_clear(&c);
        return code;
    }
    *out = c;
    return ATLS_OK;
}

void atls_tsm_config_clear(struct atls_tsm_config *config)
{
    atls_uri_clear(&config->uri);
    *config = (struct atls_tsm_config){0};
}
