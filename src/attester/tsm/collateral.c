#include "attester/tsm/collateral.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "attester/file.h"
#include "attester/tsm/needs.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "crypto/certificate.h"
#include "crypto/crypto.h"
#include "wire/json.h"

#define DIRECTORY_MAX 512
#define PATH_LEN      (DIRECTORY_MAX + 1 + ATLS_COLLATERAL_FILE_MAX)
/* Intel's and AMD's documents hold for weeks: room for a timer that failed some days in a row. */
#define SOON_S           (3 * 86400)
#define CERTIFICATES_MAX 8
#define KINDS            (ATLS_COLLATERAL_LAST + 1)

enum said { SAID_NOTHING = 0, SAID_MISSING, SAID_SOON, SAID_EXPIRED };

/* The file last seen of one kind. */
struct seen {
    char subject[ATLS_COLLATERAL_SUBJECT_MAX + 1];
    struct timespec modified;
    off_t size;
    ino_t inode;
    int64_t not_after_s; /* 0: the document does not say, or cannot be read */
    enum said said;
};

struct atls_tsm_collateral {
    const char *scheme; /* static, for messages */
    char *directory;
    struct atls_log log;
    pthread_mutex_t lock; /* of what follows */
    struct seen seen[KINDS];
    bool said_unknown;
};

enum atls_code atls_tsm_collateral_new(const char *scheme, const char *directory,
                                       const struct atls_log *log, struct atls_tsm_collateral **out,
                                       struct atls_err *err)
{
    const size_t len = strlen(directory);
    struct atls_tsm_collateral *c;
    struct stat st;

    if (len > DIRECTORY_MAX || stat(directory, &st) < 0 || !S_ISDIR(st.st_mode))
        return atls_fail(err, ATLS_E_CONFIG, "%s: collateral=%.200s is no directory", scheme,
                         directory);
    if ((c = calloc(1, sizeof *c)) == NULL || (c->directory = malloc(len + 1)) == NULL) {
        free(c);
        return atls_fail(err, ATLS_E_NOMEM, "%s: out of memory", scheme);
    }
    memcpy(c->directory, directory, len + 1);
    c->scheme = scheme;
    c->log = *log;
    pthread_mutex_init(&c->lock, NULL);
    *out = c;
    return ATLS_OK;
}

void atls_tsm_collateral_free(struct atls_tsm_collateral *c)
{
    if (c == NULL)
        return;
    pthread_mutex_destroy(&c->lock);
    free(c->directory);
    free(c);
}

static void path_of(const struct atls_tsm_collateral *c, const struct atls_tsm_need *need,
                    char out[PATH_LEN])
{
    const struct atls_collateral_query query = {need->kind, need->subject};
    char file[ATLS_COLLATERAL_FILE_MAX];

    atls_collateral_file_name(&query, file);
    snprintf(out, PATH_LEN, "%s/%s", c->directory, file);
}

/* nextUpdate of the object inside {"tcbInfo": {...}, "signature": "..."}. */
static int64_t json_expiry(struct atls_bytes document)
{
    struct atls_json_value root, inner, next_update;
    struct atls_json_walk walk;
    int64_t expiry_s = 0;

    if (atls_json_parse(document, &root, NULL) != ATLS_OK)
        return 0;
    walk = atls_json_walk(&root);
    while (atls_json_next(&walk, NULL, &inner))
        if (atls_json_member(&inner, "nextUpdate", &next_update) &&
            atls_json_get_time(&next_update, &expiry_s))
            return expiry_s;
    return 0;
}

static int64_t crl_expiry(struct atls_bytes document)
{
    struct atls_crl crl;
    int64_t expiry_s;

    if (atls_crl_read(document, &crl, NULL) != ATLS_OK)
        return 0;
    expiry_s = crl.next_update_s;
    atls_crl_clear(&crl);
    return expiry_s;
}

/* Of the certificate that ends first. */
static int64_t certificates_expiry(struct atls_bytes document)
{
    struct atls_certificate *all[CERTIFICATES_MAX];
    int64_t expiry_s = 0;
    size_t count = 0;

    if (atls_certificates_parse(document, all, CERTIFICATES_MAX, &count, NULL) != ATLS_OK)
        return 0;
    for (size_t i = 0; i < count; i++) {
        const int64_t not_after_s = atls_certificate_not_after_s(all[i]);

        if (i == 0 || not_after_s < expiry_s)
            expiry_s = not_after_s;
        atls_certificate_unref(all[i]);
    }
    return expiry_s;
}

static int64_t expiry_of(const struct atls_collateral_row *row, struct atls_bytes document)
{
    if (strcmp(row->extension, "json") == 0)
        return json_expiry(document);
    return strcmp(row->extension, "crl") == 0 ? crl_expiry(document)
                                              : certificates_expiry(document);
}

/* What was seen of a kind is of another file now, or of none. */
static bool changed(const struct seen *seen, const struct atls_tsm_need *need,
                    const struct stat *st)
{
    return strcmp(seen->subject, need->subject) != 0 || seen->size != st->st_size ||
           seen->inode != st->st_ino || seen->modified.tv_sec != st->st_mtim.tv_sec ||
           seen->modified.tv_nsec != st->st_mtim.tv_nsec;
}

static void note(struct seen *seen, const struct atls_tsm_need *need, const struct stat *st)
{
    *seen = (struct seen){
        .modified = st->st_mtim, .size = st->st_size, .inode = st->st_ino, .said = SAID_NOTHING};
    memcpy(seen->subject, need->subject, sizeof seen->subject);
}

/* Says what is worth saying of a document, once. Called with the lock held. */
static void judge_age(struct atls_tsm_collateral *c, struct seen *seen, const char *path)
{
    const int64_t left_s = seen->not_after_s - atls_clock_wall_s(NULL);

    if (seen->not_after_s == 0 && seen->said == SAID_NOTHING) {
        seen->said = SAID_EXPIRED;
        atls_log(&c->log, ATLS_LOG_WARNING, "attester",
                 "%s: collateral %s does not say how long it holds", c->scheme, path);
    } else if (left_s < 0 && seen->said != SAID_EXPIRED) {
        seen->said = SAID_EXPIRED;
        atls_log(&c->log, ATLS_LOG_ERROR, "attester", "%s: collateral %s has expired", c->scheme,
                 path);
    } else if (left_s < SOON_S && seen->said == SAID_NOTHING) {
        seen->said = SAID_SOON;
        atls_log(&c->log, ATLS_LOG_WARNING, "attester", "%s: collateral %s expires in %lld hours",
                 c->scheme, path, (long long)(left_s / 3600));
    }
}

/* Says that a document could not be had, once until there is one. Called with the lock held. */
static void miss(struct atls_tsm_collateral *c, const struct atls_tsm_need *need,
                 const struct atls_err *why)
{
    static const struct stat none;
    struct seen *seen = &c->seen[need->kind];

    if (changed(seen, need, &none))
        note(seen, need, &none);
    if (seen->said == SAID_MISSING || need->optional)
        return;
    seen->said = SAID_MISSING;
    atls_log(&c->log, ATLS_LOG_ERROR, "attester",
             "%s: %s: evidence goes without it, and only verifiers that have their own accept it",
             c->scheme, why->message);
}

/* Adds one document; none is no error. Called with the lock held. */
static enum atls_code attach(struct atls_tsm_collateral *c, const struct atls_tsm_need *need,
                             struct atls_quote *quote)
{
    const struct atls_collateral_row *row = atls_collateral_row_of(need->kind);
    struct seen *seen = &c->seen[need->kind];
    struct atls_err why = ATLS_ERR_INIT;
    struct atls_buf document = ATLS_BUF_INIT;
    char path[PATH_LEN];
    struct stat st;
    enum atls_code code;
    bool found;

    path_of(c, need, path);
    found = stat(path, &st) == 0; /* before: what replaces it meanwhile, is seen next time */
    code = atls_file_read("collateral", path, ATLS_COLLATERAL_DOCUMENT_MAX, &document, &why);
    if (code == ATLS_E_NOMEM)
        return code;
    if (code == ATLS_OK && (document.len == 0 || !found))
        code = atls_fail(&why, ATLS_E_IO, "collateral: %s is empty", path);
    if (code != ATLS_OK) {
        atls_buf_clear(&document);
        miss(c, need, &why);
        return ATLS_OK;
    }
    if (changed(seen, need, &st)) {
        note(seen, need, &st);
        seen->not_after_s = expiry_of(row, atls_buf_bytes(&document));
    }
    judge_age(c, seen, path);
    quote->endorsements[quote->endorsement_count++] =
        (struct atls_quote_endorsement){row->name, row->media_type, document};
    return ATLS_OK;
}

/* Lines whose reports may be of version 2, which do not name theirs: the one whose VEK is on file.
 */
static bool snp_needs(const struct atls_tsm_collateral *c, const struct atls_tsm_blobs *blobs,
                      struct atls_tsm_needs *out)
{
    static const char *const guesses[] = {NULL, "milan", "genoa"};
    char path[PATH_LEN];
    struct stat st;

    for (size_t i = 0; i < sizeof guesses / sizeof guesses[0]; i++) {
        if (!atls_tsm_snp_needs(atls_buf_bytes(&blobs->outblob), atls_buf_bytes(&blobs->auxblob),
                                guesses[i], out))
            continue;
        path_of(c, &out->items[0], path);
        if (guesses[i] == NULL || stat(path, &st) == 0)
            return true;
    }
    out->count = 0;
    return false;
}

enum atls_code atls_tsm_collateral_attach(struct atls_tsm_collateral *c,
                                          const struct atls_tsm_blobs *blobs,
                                          struct atls_quote *quote, struct atls_err *err)
{
    struct atls_tsm_needs needs = {.count = 0};
    enum atls_code code = ATLS_OK;
    bool known = true;

    if (blobs->provider == &atls_tsm_snp)
        known = snp_needs(c, blobs, &needs);
    else if (blobs->provider == &atls_tsm_tdx)
        known = atls_tsm_tdx_needs(atls_buf_bytes(&blobs->outblob), &needs);
    pthread_mutex_lock(&c->lock);
    if (!known && !c->said_unknown) {
        c->said_unknown = true;
        atls_log(&c->log, ATLS_LOG_ERROR, "attester",
                 "%s: the evidence does not say which collateral of %s is its own", c->scheme,
                 c->directory);
    }
    for (size_t i = 0; i < needs.count && code == ATLS_OK; i++)
        code = attach(c, &needs.items[i], quote);
    pthread_mutex_unlock(&c->lock);
    return code == ATLS_OK ? ATLS_OK : atls_fail(err, code, "%s: out of memory", c->scheme);
}

_Static_assert(ATLS_TSM_NEEDS_MAX <= ATLS_QUOTE_ENDORSEMENTS_MAX, "endorsements hold all needs");
