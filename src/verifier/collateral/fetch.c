#include "verifier/collateral/fetch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"
#include "core/writer.h"
#include "evidence/wanted.h"
#include "store/collateral_document.h"
#include "verifier/remote/http.h"
#include "verifier/remote/url.h"

#define TIMEOUT_MS 10000
/* A wait that is asked for without saying how long. */
#define WAIT_UNSAID_S 5

struct atls_collateral_fetcher {
    struct atls_http *http;
    struct atls_url base[COLLATERAL_MAKERS]; /* text "" when there is none */
    struct atls_url root_crl;
    uint32_t timeout_ms, wait_max_s;
};

/* ---- opening ---- */

void atls_collateral_options_init(struct atls_collateral_options *options)
{
    memset(options, 0, sizeof *options);
    options->size = sizeof *options;
}

static enum atls_code set_once(const char **place, const char *url, const char *from,
                               struct atls_err *err)
{
    char shown[120];

    if (*place != NULL)
        return atls_fail(err, ATLS_E_CONFIG, "collateral from \"%s\": a service was given before",
                         atls_escape(atls_bytes_of(from, strlen(from)), shown, sizeof shown));
    *place = url;
    return ATLS_OK;
}

enum atls_code atls_collateral_options_add(struct atls_collateral_options *options,
                                           const char *from, struct atls_err *err)
{
    const struct {
        const char *name;
        const char **place;
    } names[] = {{"amd=", &options->amd_url},
                 {"intel=", &options->intel_url},
                 {"intel-root-crl=", &options->intel_root_crl_url}};
    char shown[120];
    enum atls_code code;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strncmp(from, names[i].name, strlen(names[i].name)) == 0)
            return set_once(names[i].place, from + strlen(names[i].name), from, err);
    if (strncmp(from, "http", 4) != 0)
        return atls_fail(err, ATLS_E_CONFIG,
                         "collateral from \"%s\": want a URL, alone or behind amd=, intel= or "
                         "intel-root-crl=",
                         atls_escape(atls_bytes_of(from, strlen(from)), shown, sizeof shown));
    if ((code = set_once(&options->amd_url, from, from, err)) != ATLS_OK)
        return code;
    return set_once(&options->intel_url, from, from, err);
}

static enum atls_code take_url(const char *text, struct atls_url *out, struct atls_err *err)
{
    return text == NULL ? ATLS_OK : atls_url_parse(text, out, err);
}

static enum atls_code take_options(struct atls_collateral_fetcher *f,
                                   const struct atls_collateral_options *options,
                                   struct atls_err *err)
{
    const struct atls_http_options http = {.ca_file = options->ca_file,
                                           .use_environment_proxy = true};
    enum atls_code code;

    f->timeout_ms = options->timeout_ms != 0 ? options->timeout_ms : TIMEOUT_MS;
    f->wait_max_s = options->wait_max_s;
    if (options->amd_url == NULL && options->intel_url == NULL &&
        options->intel_root_crl_url == NULL)
        return atls_fail(err, ATLS_E_CONFIG, "collateral: no service to fetch from");
    if ((code = take_url(options->amd_url, &f->base[COLLATERAL_AMD], err)) != ATLS_OK ||
        (code = take_url(options->intel_url, &f->base[COLLATERAL_INTEL], err)) != ATLS_OK ||
        (code = take_url(options->intel_root_crl_url, &f->root_crl, err)) != ATLS_OK)
        return atls_err_prefix(err, code, "collateral");
    return atls_http_new(&http, &f->http, err);
}

enum atls_code atls_collateral_open(const struct atls_collateral_options *options,
                                    struct atls_collateral_fetcher **out, struct atls_err *err)
{
    struct atls_collateral_fetcher *f;
    enum atls_code code;

    if (options->size != sizeof *options)
        return atls_fail(err, ATLS_E_USAGE, "collateral: options that were not initialised");
    if ((f = calloc(1, sizeof *f)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "collateral: out of memory");
    if ((code = take_options(f, options, err)) != ATLS_OK) {
        atls_collateral_close(f);
        return code;
    }
    *out = f;
    return ATLS_OK;
}

void atls_collateral_close(struct atls_collateral_fetcher *fetcher)
{
    if (fetcher == NULL)
        return;
    atls_http_free(fetcher->http);
    free(fetcher);
}

bool collateral_can_fetch(const struct atls_collateral_fetcher *fetcher,
                          enum collateral_maker maker)
{
    return fetcher->base[maker].text[0] != '\0' ||
           (maker == COLLATERAL_INTEL && fetcher->root_crl.text[0] != '\0');
}

/* ---- one exchange ---- */

void collateral_answer_clear(struct collateral_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++)
        atls_buf_clear(&answer->documents[i].document);
    answer->count = 0;
}

#define URL_MAX (ATLS_URL_MAX + COLLATERAL_PATH_MAX)

/* Something that is under way; too large for a stack. */
struct fetching {
    struct atls_collateral_fetcher *fetcher;
    const struct atls_collateral_query *query;
    struct collateral_request request;
    struct collateral_answer *answer;
    char what[120]; /* for messages */
    char url[URL_MAX];
    struct atls_http_response response, second;
};

static enum atls_code check_status(const struct fetching *x,
                                   const struct atls_http_response *response, struct atls_err *err)
{
    if (response->status == 200)
        return ATLS_OK;
    x->answer->retry_after_s = response->retry_after_s;
    if (response->status == 404)
        return atls_fail(err, ATLS_E_NOT_FOUND, "%s: the service has none", x->what);
    return atls_http_unwanted(response, x->what, err);
}

/* Asks for what x->url names. */
static enum atls_code ask(const struct fetching *x, struct atls_http_response *out,
                          struct atls_err *err)
{
    const struct atls_http_request request = {
        .method = "GET",
        .url = x->url,
        .keep_header = x->request.chain_header,
        .deadline_ms = atls_http_now_ms() + x->fetcher->timeout_ms,
    };
    enum atls_code code;

    if ((code = atls_http_exchange(x->fetcher->http, &request, out, err)) != ATLS_OK)
        return atls_err_prefix(err, code, x->what);
    if ((code = check_status(x, out, err)) != ATLS_OK)
        atls_http_response_clear(out);
    return code;
}

static enum atls_code make_url(struct fetching *x, const char *path, struct atls_err *err)
{
    const struct atls_url *base = &x->fetcher->base[x->request.maker];

    if (x->query->kind == ATLS_COLLATERAL_TDX_ROOT_CRL && x->fetcher->root_crl.text[0] != '\0') {
        snprintf(x->url, sizeof x->url, "%s", x->fetcher->root_crl.text);
        return ATLS_OK;
    }
    if (base->text[0] == '\0')
        return atls_fail(err, ATLS_E_CONFIG, "%s: no service of %s to fetch from", x->what,
                         x->request.maker == COLLATERAL_AMD ? "AMD" : "Intel");
    snprintf(x->url, sizeof x->url, "%s%s", base->text, path);
    return ATLS_OK;
}

/* Takes the document; what is no such document is a fault of the service. */
static enum atls_code keep(struct fetching *x, const struct atls_collateral_query *query,
                           struct atls_buf *document, struct atls_err *err)
{
    struct store_collateral_dates dates;
    enum atls_code code = store_collateral_read(query->kind, atls_buf_bytes(document), &dates, err);

    if (code != ATLS_OK) {
        atls_buf_clear(document);
        return atls_fail(err, code == ATLS_E_NOMEM ? code : ATLS_E_PROTOCOL,
                         "%s: the answer is no such document", x->what);
    }
    x->answer->documents[x->answer->count++] = (struct collateral_fetched){*query, *document};
    *document = (struct atls_buf)ATLS_BUF_INIT;
    return ATLS_OK;
}

static enum atls_code append(struct atls_buf *to, const struct atls_buf *more, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(ATLS_COLLATERAL_DOCUMENT_MAX);
    struct atls_buf both = ATLS_BUF_INIT;
    enum atls_code code;

    atls_put_bytes(&w, atls_buf_bytes(to));
    atls_put_bytes(&w, atls_buf_bytes(more));
    if ((code = atls_writer_finish(&w, &both, err)) != ATLS_OK)
        return code;
    atls_buf_clear(to);
    *to = both;
    return ATLS_OK;
}

/* Lines without such certificates answer 404, which is fine. */
static enum atls_code ask_second(struct fetching *x, struct atls_buf *document,
                                 struct atls_err *err)
{
    struct atls_buf more = ATLS_BUF_INIT;
    struct atls_err attempt = ATLS_ERR_INIT;
    enum atls_code code;

    if ((code = make_url(x, x->request.second_path, err)) != ATLS_OK)
        return code;
    if ((code = ask(x, &x->second, &attempt)) == ATLS_OK) {
        code = collateral_document_of(x->query->kind, atls_buf_bytes(&x->second.body), &more,
                                      &attempt);
        if (code == ATLS_OK)
            code = append(document, &more, &attempt);
        atls_buf_clear(&more);
        atls_http_response_clear(&x->second);
    }
    if (code == ATLS_OK || code == ATLS_E_NOT_FOUND)
        return ATLS_OK;
    if (err != NULL)
        *err = attempt;
    return code;
}

static enum atls_code take_chain(struct fetching *x, struct atls_err *err)
{
    const struct atls_http_response *response = &x->response;
    struct atls_buf chain = ATLS_BUF_INIT;
    enum atls_code code;

    if (x->request.chain_header == NULL)
        return ATLS_OK;
    if (response->header.len == 0)
        return atls_fail(err, ATLS_E_PROTOCOL, "%s: the answer lacks the header %s", x->what,
                         x->request.chain_header);
    if ((code = collateral_chain_of(atls_buf_bytes(&response->header), &chain, err)) != ATLS_OK)
        return atls_err_prefix(err, code, x->what);
    return keep(x, &x->request.chain, &chain, err);
}

/* Asked for a chain alone, the document that it came with is left aside. */
static enum atls_code take_document(struct fetching *x, struct atls_err *err)
{
    struct atls_buf document = ATLS_BUF_INIT;
    enum atls_code code;

    if (x->request.chain_header != NULL && x->query->kind == x->request.chain.kind)
        return ATLS_OK;
    code =
        collateral_document_of(x->query->kind, atls_buf_bytes(&x->response.body), &document, err);
    if (code != ATLS_OK)
        return atls_err_prefix(err, code, x->what);
    if (x->request.second_path[0] != '\0' && (code = ask_second(x, &document, err)) != ATLS_OK) {
        atls_buf_clear(&document);
        return code;
    }
    return keep(x, x->query, &document, err);
}

static enum atls_code fetch(struct fetching *x, struct atls_err *err)
{
    enum atls_code code;

    if ((code = make_url(x, x->request.path, err)) != ATLS_OK ||
        (code = ask(x, &x->response, err)) != ATLS_OK)
        return code;
    if ((code = take_document(x, err)) == ATLS_OK)
        code = take_chain(x, err);
    atls_http_response_clear(&x->response);
    if (code != ATLS_OK)
        collateral_answer_clear(x->answer);
    return code;
}

enum atls_code collateral_fetch(struct atls_collateral_fetcher *fetcher,
                                const struct atls_collateral_query *query,
                                struct collateral_answer *out, struct atls_err *err)
{
    struct fetching *x = calloc(1, sizeof *x);
    enum atls_code code;

    *out = (struct collateral_answer){.retry_after_s = -1};
    if (x == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "collateral: out of memory");
    x->fetcher = fetcher;
    x->query = query;
    x->answer = out;
    if ((code = collateral_request_of(query, &x->request, err)) == ATLS_OK) {
        snprintf(x->what, sizeof x->what, "%s %.60s", atls_collateral_row_of(query->kind)->name,
                 query->subject);
        code = fetch(x, err);
    }
    free(x);
    return code;
}

/* ---- until it is there ---- */

static void sleep_s(int64_t seconds)
{
    struct timespec left = {.tv_sec = (time_t)seconds};

    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

/* Asks again as long as the service says when, and all waits together are within bounds. */
static enum atls_code fetch_patiently(struct atls_collateral_fetcher *f,
                                      const struct atls_collateral_query *query,
                                      struct collateral_answer *out, struct atls_err *err)
{
    int64_t left_s = f->wait_max_s, wait_s;
    enum atls_code code;

    for (;;) {
        code = collateral_fetch(f, query, out, err);
        if (code != ATLS_E_UNAVAILABLE || out->retry_after_s < 0)
            return code;
        wait_s = out->retry_after_s > 0 ? out->retry_after_s : WAIT_UNSAID_S;
        if (wait_s > left_s)
            return code;
        left_s -= wait_s;
        sleep_s(wait_s);
    }
}

enum atls_code atls_collateral_fetch(struct atls_collateral_fetcher *fetcher, const char *kind,
                                     const char *subject, atls_collateral_visit *visit, void *arg,
                                     struct atls_err *err)
{
    const struct atls_collateral_row *row =
        atls_collateral_row_by_name(atls_bytes_of(kind, strlen(kind)));
    struct atls_collateral_query query = {ATLS_COLLATERAL_NONE, subject};
    struct collateral_answer answer;
    char name[ATLS_COLLATERAL_FILE_MAX];
    enum atls_code code;

    if (row == NULL || !atls_collateral_subject_valid(subject))
        return atls_fail(err, ATLS_E_USAGE, "collateral: no such kind, or a subject that is none");
    query.kind = row->kind;
    if ((code = fetch_patiently(fetcher, &query, &answer, err)) != ATLS_OK)
        return code;
    if (err != NULL)
        *err = (struct atls_err)ATLS_ERR_INIT; /* of attempts before */
    for (size_t i = 0; i < answer.count && code == ATLS_OK; i++) {
        atls_collateral_file_name(&answer.documents[i].query, name);
        code = visit(arg, name, atls_buf_bytes(&answer.documents[i].document), err);
    }
    collateral_answer_clear(&answer);
    return code;
}

/* ---- for evidence ---- */

struct wish {
    atls_collateral_want *want;
    void *arg;
};

static enum atls_code pass_on(void *arg, const struct atls_collateral_query *query,
                              struct atls_err *err)
{
    const struct wish *wish = arg;

    return wish->want(wish->arg, atls_collateral_row_of(query->kind)->name, query->subject, err);
}

enum atls_code atls_collateral_of_evidence(struct atls_bytes evidence, atls_collateral_want *want,
                                           void *arg, struct atls_err *err)
{
    struct wish wish = {want, arg};

    return atls_evidence_wanted(evidence, pass_on, &wish, err);
}
