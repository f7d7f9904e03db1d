#include "state.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "file.h"
#include "log.h"
#include "metrics.h"
#include "request.h"

#define ANCHORS_MAX     (1024 * 1024)
#define BUSY_TIMEOUT_MS 3000
#define RETRY_MS        250 /* between two looks for keys */

int64_t now_wall_s(void)
{
    return (int64_t)time(NULL);
}

static int64_t monotonic_us(void)
{
    struct timespec ts = {0, 0};

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t now_ms(void)
{
    return monotonic_us() / 1000;
}

int64_t now_us(void)
{
    return monotonic_us();
}

/* ---- stores that generations share ---- */

struct shared_store {
    struct shared_store *next;
    char *location, *schema;
    enum atls_store_mode mode;
    unsigned refs; /* these two under the lock */
    uint32_t connections, sessions_max;
    _Atomic(struct atls_store *) store; /* set once */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct shared_store *stores;

static void store_free(struct shared_store *s)
{
    if (s == NULL)
        return;
    atls_store_close(atomic_load(&s->store));
    free(s->location);
    free(s->schema);
    free(s);
}

static struct shared_store *store_new(const struct config_tenant *config, enum atls_store_mode mode)
{
    struct shared_store *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    s->refs = 1;
    s->mode = mode;
    s->connections = (uint32_t)config->connections;
    s->sessions_max = (uint32_t)config->sessions_max;
    s->location = strdup(config->store);
    s->schema = strdup(config->schema != NULL ? config->schema : "");
    if (s->location == NULL || s->schema == NULL) {
        store_free(s);
        return NULL;
    }
    return s;
}

/* The store of that location and schema, the same one for all generations. */
static struct shared_store *store_get(const struct config_tenant *config, enum atls_store_mode mode)
{
    struct shared_store *s;

    pthread_mutex_lock(&lock);
    for (s = stores; s != NULL; s = s->next)
        if (s->mode == mode && strcmp(s->location, config->store) == 0 &&
            strcmp(s->schema, config->schema != NULL ? config->schema : "") == 0)
            break;
    if (s != NULL) {
        s->refs++;
        if (s->connections != (uint32_t)config->connections ||
            s->sessions_max != (uint32_t)config->sessions_max)
            log_say(ATLS_LOG_WARNING, "configuration",
                    "tenant %s: connections and sessions.max of an open store change at the next "
                    "start",
                    config->name);
    } else if ((s = store_new(config, mode)) != NULL) {
        s->next = stores;
        stores = s;
    }
    pthread_mutex_unlock(&lock);
    return s;
}

static void store_put(struct shared_store *s)
{
    struct shared_store **at = &stores;

    if (s == NULL)
        return;
    pthread_mutex_lock(&lock);
    if (--s->refs > 0)
        s = NULL;
    while (s != NULL && *at != s)
        at = &(*at)->next;
    if (s != NULL)
        *at = s->next;
    pthread_mutex_unlock(&lock);
    store_free(s);
}

static enum atls_code store_open(struct shared_store *s, struct atls_err *err)
{
    struct atls_store_options options;
    struct atls_store *store = NULL, *none = NULL;
    enum atls_code code;

    if (atomic_load(&s->store) != NULL)
        return ATLS_OK;
    atls_store_options_init(&options);
    options.mode = s->mode;
    options.schema = s->schema[0] != '\0' ? s->schema : NULL;
    options.connections = s->connections;
    options.sessions_max = s->sessions_max;
    options.busy_timeout_ms = BUSY_TIMEOUT_MS;
    if ((code = atls_store_open_with(s->location, &options, &store, err)) != ATLS_OK)
        return code;
    /* Upkeep and a reload may be at it together: one store, and with it one set of sessions. */
    if (!atomic_compare_exchange_strong(&s->store, &none, store))
        atls_store_close(store);
    return ATLS_OK;
}

struct atls_store *tenant_store(const struct tenant *t)
{
    return atomic_load(&t->shared->store);
}

/* ---- tenants ---- */

static void tenant_clear(struct tenant *t)
{
    atls_issuer_free(atomic_load(&t->issuer));
    atls_policy_unref(t->policy);
    store_put(t->shared);
    atls_buf_clear(&t->anchors);
    atls_buf_clear(&t->signer_spki);
    free(t->accept_header);
    free(t->accept_json);
    pthread_mutex_destroy(&t->making);
}

/* What the issuer takes, as text that goes into answers. */
static enum atls_code write_accept(struct tenant *t, const struct atls_issuer *issuer,
                                   struct atls_err *err)
{
    struct text json = {0}, header = {0};

    text_open(&json, '[');
    for (const char *const *type = atls_issuer_media_types(issuer); *type != NULL; type++) {
        text_string(&json, *type);
        text_printf(&header, "%s%s", header.len > 0 ? ", " : "", *type);
    }
    text_close(&json, ']');
    if (json.failed || header.failed || header.ptr == NULL) {
        text_clear(&json);
        text_clear(&header);
        return set_error(err, ATLS_E_NOMEM, "media types: out of memory");
    }
    t->accept_json = json.ptr;
    t->accept_header = header.ptr;
    return ATLS_OK;
}

/* The services of a tenant as the library takes them; texts back the list. */
#define SERVICES_MAX 3
struct services {
    char texts[SERVICES_MAX][1100];
    const char *list[SERVICES_MAX + 1];
};

static void list_services(const struct config_tenant *config, struct services *out)
{
    const struct {
        const char *name, *url;
    } all[SERVICES_MAX] = {{"amd", config->collateral_amd},
                           {"intel", config->collateral_intel},
                           {"intel-root-crl", config->collateral_intel_root_crl}};
    size_t count = 0;

    for (size_t i = 0; i < SERVICES_MAX; i++) {
        if (all[i].url == NULL)
            continue;
        snprintf(out->texts[count], sizeof out->texts[count], "%s=%s", all[i].name, all[i].url);
        out->list[count] = out->texts[count];
        count++;
    }
    out->list[count] = NULL;
}

static enum atls_code make_issuer(struct tenant *t, struct atls_err *err)
{
    const struct config_tenant *config = t->config;
    const char *rules[RULES_MAX + 1] = {NULL};
    struct services services;
    struct atls_issuer_options options;
    struct atls_issuer *issuer = NULL;
    enum atls_code code;

    atls_issuer_options_init(&options);
    options.store = tenant_store(t);
    options.policy = t->policy;
    if (config->profile != NULL)
        options.ear.profile = config->profile;
    if (config->form != 0)
        options.ear.form = (enum atls_ear_form)config->form;
    if (config->lifetime_s > 0)
        options.ear.lifetime_s = config->lifetime_s;
    options.allow_insecure_technology = config->allow_insecure_technology;
    options.allow_sha1_pcr_bank = config->allow_sha1_pcr_bank;
    options.allow_unsafe_clock = config->allow_unsafe_clock;
    options.require_ak_eku = config->require_ak_eku;
    options.allow_ima_violations = config->allow_ima_violations;
    for (size_t i = 0; i < config->rule_count; i++)
        rules[i] = config->rules[i];
    options.rules = rules;
    list_services(config, &services);
    options.collateral_from = services.list;
    options.collateral_ca_file = config->collateral_ca_file;
    options.log = (struct atls_log){NULL, ATLS_LOG_DEBUG, log_library};
    if ((code = atls_issuer_new(&options, &issuer, err)) != ATLS_OK)
        return code;
    if ((code = write_accept(t, issuer, err)) != ATLS_OK) {
        atls_issuer_free(issuer);
        return code;
    }
    /* Texts first: whoever sees the issuer sees them. */
    atomic_store(&t->issuer, issuer);
    return ATLS_OK;
}

static enum atls_code try_issuer(struct tenant *t, struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    if (atomic_load(&t->issuer) != NULL)
        return ATLS_OK;
    pthread_mutex_lock(&t->making);
    if (atomic_load(&t->issuer) == NULL)
        code = make_issuer(t, err);
    atomic_store(&t->tried_ms, code == ATLS_OK ? 0 : now_ms());
    pthread_mutex_unlock(&t->making);
    return code;
}

struct atls_issuer *tenant_issuer(struct tenant *t)
{
    struct atls_issuer *issuer = atomic_load(&t->issuer);
    long long tried_ms = atomic_load(&t->tried_ms);

    if (issuer == NULL && tenant_store(t) != NULL &&
        (tried_ms == 0 || now_ms() - tried_ms > RETRY_MS) && try_issuer(t, NULL) == ATLS_OK)
        issuer = atomic_load(&t->issuer);
    return issuer;
}

void tenant_changed(struct tenant *t)
{
    atomic_store(&t->tried_ms, 0);
}

const char *tenant_accept(const struct tenant *t)
{
    return atomic_load(&t->issuer) != NULL ? t->accept_json : "[]";
}

static enum atls_code load_signers(struct tenant *t, struct atls_err *err)
{
    const struct config_provisioning *p = &t->config->provisioning;
    struct text all = {0};
    enum atls_code code = ATLS_OK;

    for (size_t i = 0; i < p->anchor_count && code == ATLS_OK; i++) {
        struct atls_buf file = ATLS_BUF_INIT;

        code = file_read(p->anchors[i], FILE_PUBLIC, ANCHORS_MAX, &file, err);
        if (code == ATLS_OK && strstr((const char *)file.ptr, "-----BEGIN CERTIFICATE") == NULL)
            code = set_error(err, ATLS_E_CONFIG, "%.100s: no certificate in PEM", p->anchors[i]);
        if (code == ATLS_OK) {
            text_add(&all, (const char *)file.ptr, file.len);
            text_add(&all, "\n", 1);
        }
        atls_buf_clear(&file);
    }
    if (code == ATLS_OK && all.failed)
        code = set_error(err, ATLS_E_NOMEM, "anchors: out of memory");
    if (code != ATLS_OK)
        text_clear(&all);
    t->anchors = (struct atls_buf){(uint8_t *)all.ptr, all.len};
    return code;
}

/* Public key or certificate in PEM. */
static EVP_PKEY *read_public_key(const struct atls_buf *file)
{
    BIO *bio = BIO_new_mem_buf(file->ptr, (int)file->len);
    EVP_PKEY *key = NULL;
    X509 *certificate;

    if (bio == NULL)
        return NULL;
    key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    if (key == NULL && BIO_reset(bio) == 1 &&
        (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        key = X509_get_pubkey(certificate);
        X509_free(certificate);
    }
    BIO_free(bio);
    return key;
}

static enum atls_code load_signer_key(struct tenant *t, struct atls_err *err)
{
    const char *path = t->config->provisioning.signer_key;
    struct atls_buf file = ATLS_BUF_INIT;
    unsigned char *der = NULL;
    EVP_PKEY *key = NULL;
    enum atls_code code;
    int len = 0;

    if (path == NULL)
        return ATLS_OK;
    if ((code = file_read(path, FILE_PUBLIC, 65536, &file, err)) != ATLS_OK)
        return code;
    if ((key = read_public_key(&file)) == NULL || (len = i2d_PUBKEY(key, &der)) <= 0)
        code = set_error(err, ATLS_E_CONFIG, "%.100s: neither public key nor certificate in PEM",
                         path);
    else if ((t->signer_spki.ptr = malloc((size_t)len)) == NULL)
        code = set_error(err, ATLS_E_NOMEM, "%.100s: out of memory", path);
    if (code == ATLS_OK) {
        memcpy(t->signer_spki.ptr, der, (size_t)len);
        t->signer_spki.len = (size_t)len;
    }
    OPENSSL_free(der);
    EVP_PKEY_free(key);
    atls_buf_clear(&file);
    return code;
}

static enum atls_code load_tokens(struct tenant *t, struct atls_err *err)
{
    const struct config_provisioning *p = &t->config->provisioning;
    enum atls_code code = ATLS_OK;

    for (size_t i = 0; i < p->token_count && code == ATLS_OK; i++) {
        t->tokens[i].name = p->tokens[i].name;
        code = auth_load_token(p->tokens[i].file, t->tokens[i].sha256, err);
        if (code == ATLS_OK)
            t->token_count++;
    }
    return code;
}

static void set_ready(struct tenant *t, enum atls_code code, const struct atls_err *err)
{
    bool was = atomic_load(&t->ready), is = code == ATLS_OK;
    bool changed;

    pthread_mutex_lock(&lock);
    changed =
        was != is || (!is && strncmp(t->not_ready, err->message, sizeof t->not_ready - 1) != 0);
    snprintf(t->not_ready, sizeof t->not_ready, "%.199s", is ? "" : err->message);
    pthread_mutex_unlock(&lock);
    atomic_store(&t->ready, is);
    metric_set(METRIC_READY, t->config->name, is ? 1 : 0);
    if (changed)
        log_say(is ? ATLS_LOG_INFO : ATLS_LOG_WARNING, "tenant", "tenant %s is %s%s",
                t->config->name, is ? "ready" : "not ready: ", is ? "" : err->message);
}

void tenant_why(struct tenant *t, char *out, size_t size)
{
    bool ready = atomic_load(&t->ready);

    pthread_mutex_lock(&lock);
    snprintf(out, size, "%s",
             ready                     ? ""
             : t->not_ready[0] == '\0' ? "the store was not asked yet"
             : atomic_load(&t->issuer) == NULL && tenant_store(t) != NULL
                 ? "no issuer: keys or trust anchors are missing"
                 : "the store does not answer");
    pthread_mutex_unlock(&lock);
}

static void tenant_upkeep(struct tenant *t, int64_t now_s)
{
    struct atls_err err = ATLS_ERR_INIT;
    size_t open = 0;
    enum atls_code code;

    if ((code = store_open(t->shared, &err)) == ATLS_OK &&
        (code = atls_store_ping(tenant_store(t), &err)) == ATLS_OK &&
        (code = atls_store_session_sweep(tenant_store(t), now_s, &open, &err)) == ATLS_OK) {
        metric_set(METRIC_SESSIONS, t->config->name, (int64_t)open);
        code = try_issuer(t, &err);
    }
    set_ready(t, code, &err);
}

void generation_upkeep(struct generation *g, int64_t now_s)
{
    for (size_t i = 0; i < g->config->tenant_count; i++)
        tenant_upkeep(&g->tenants[i], now_s);
}

static enum atls_code tenant_init(struct tenant *t, const struct config_tenant *config, bool strict,
                                  struct atls_err *err)
{
    enum atls_code code;

    t->config = config;
    pthread_mutex_init(&t->making, NULL);
    if ((t->shared = store_get(config, strict ? ATLS_STORE_READ : ATLS_STORE_WRITE)) == NULL)
        return set_error(err, ATLS_E_NOMEM, "out of memory");
    if (config->policy != NULL &&
        (code = atls_policy_load(config->policy, &t->policy, err)) != ATLS_OK)
        return code;
    if ((code = load_signers(t, err)) != ATLS_OK || (code = load_signer_key(t, err)) != ATLS_OK ||
        (code = load_tokens(t, err)) != ATLS_OK)
        return code;
    code = store_open(t->shared, err);
    if (code == ATLS_E_UNAVAILABLE && !strict)
        return ATLS_OK; /* upkeep goes on trying */
    if (code != ATLS_OK)
        return code;
    code = try_issuer(t, err);
    if (strict || (code != ATLS_OK && code != ATLS_E_UNAVAILABLE && code != ATLS_E_CONFIG &&
                   code != ATLS_E_IO))
        return code;
    /* Known before the first request: a reload must not make a tenant look as if it were starting.
     * Provisioning, or "atls store", may bring what is missing. */
    set_ready(t, code, err);
    return ATLS_OK;
}

/* Two names of one file, which would be one set of sessions and keys for two tenants. */
static enum atls_code check_apart(const struct config *config, size_t at, struct atls_err *err)
{
    struct stat mine, other;

    if (stat(config->tenants[at].store, &mine) != 0)
        return ATLS_OK; /* a database, or a file that opening will miss */
    for (size_t i = 0; i < at; i++)
        if (stat(config->tenants[i].store, &other) == 0 && mine.st_dev == other.st_dev &&
            mine.st_ino == other.st_ino)
            return set_error(err, ATLS_E_CONFIG, "store is also that of tenant %.40s",
                             config->tenants[i].name);
    return ATLS_OK;
}

/* ---- generations ---- */

static void generation_free(struct generation *g)
{
    for (size_t i = 0; g->tenants != NULL && i < g->config->tenant_count; i++)
        if (g->tenants[i].config != NULL)
            tenant_clear(&g->tenants[i]);
    free(g->tenants);
    config_free(g->config);
    free(g);
}

enum atls_code generation_new(struct config *config, bool strict, struct generation **out,
                              struct atls_err *err)
{
    static atomic_uint numbers;
    struct generation *g = calloc(1, sizeof *g);
    enum atls_code code = ATLS_OK;

    if (g == NULL || (g->tenants = calloc(config->tenant_count, sizeof *g->tenants)) == NULL) {
        free(g);
        return set_error(err, ATLS_E_NOMEM, "configuration: out of memory");
    }
    g->config = config;
    g->number = atomic_fetch_add(&numbers, 1) + 1;
    atomic_init(&g->refs, 1);
    for (size_t i = 0; i < config->tenant_count && code == ATLS_OK; i++) {
        struct atls_err inner = ATLS_ERR_INIT;

        if ((code = check_apart(config, i, &inner)) == ATLS_OK)
            code = tenant_init(&g->tenants[i], &config->tenants[i], strict, &inner);
        if (code != ATLS_OK)
            code = set_error(err, inner.code, "%.80s:%zu: tenant %.40s: %.150s", config->file,
                             config->tenants[i].line, config->tenants[i].name, inner.message);
    }
    if (code != ATLS_OK) {
        g->config = NULL;
        for (size_t i = 0; i < config->tenant_count; i++)
            if (g->tenants[i].config != NULL)
                tenant_clear(&g->tenants[i]);
        free(g->tenants);
        free(g);
        return code;
    }
    *out = g;
    return ATLS_OK;
}

struct generation *generation_ref(struct generation *g)
{
    atomic_fetch_add(&g->refs, 1);
    return g;
}

void generation_unref(struct generation *g)
{
    if (g != NULL && atomic_fetch_sub(&g->refs, 1) == 1)
        generation_free(g);
}
