/* Sessions of the challenge-response API: in memory for a SQLite store, else in the database. */
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "core/secret.h"
#include "core/writer.h"
#include "store/db.h"

#define NONCE_MIN   8
#define CONTENT_MAX ((size_t)256 * 1024)
#define BUCKETS_MIN 1024
#define BUCKETS_MAX ((size_t)1 << 20)
#define SWEEP_BATCH 64
/* Of evidence of all sessions in memory, which whoever can reach the service fills: what comes when
 * it is full is not kept, its result is. */
#define MEMORY_EVIDENCE_MAX ((size_t)64 * 1024 * 1024)

void atls_store_session_clear(struct atls_store_session *session)
{
    atls_buf_clear(&session->media_type);
    atls_buf_clear(&session->evidence);
    atls_buf_clear(&session->result);
    memset(session, 0, sizeof *session);
}

static enum atls_code not_found(struct atls_err *err)
{
    return atls_fail(err, ATLS_E_NOT_FOUND, "session: there is none of this id, or it has expired");
}

static enum atls_code too_many(const struct atls_store *s, struct atls_err *err)
{
    return atls_fail(err, ATLS_E_LIMIT, "session: %u are open, at most that many may be",
                     (unsigned)s->sessions_max);
}

static enum atls_code already(struct atls_err *err)
{
    return atls_fail(err, ATLS_E_PROTOCOL, "session: it had its evidence already");
}

/* A copy that is NUL terminated beyond its length; of nothing, nothing. */
static enum atls_code copy_content(struct atls_buf *out, struct atls_bytes from,
                                   struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(from.len + 1);
    enum atls_code code;

    if (from.len == 0)
        return ATLS_OK;
    atls_put_bytes(&w, from);
    atls_put_u8(&w, 0);
    if ((code = atls_writer_finish(&w, out, err)) == ATLS_OK)
        out->len--;
    return code;
}

/* Fills what is not text of out, which is empty; on failure it is again. */
static enum atls_code copy_contents(struct atls_store_session *out, struct atls_bytes media_type,
                                    struct atls_bytes evidence, struct atls_bytes result,
                                    struct atls_err *err)
{
    enum atls_code code;

    if ((code = copy_content(&out->media_type, media_type, err)) != ATLS_OK ||
        (code = copy_content(&out->evidence, evidence, err)) != ATLS_OK ||
        (code = copy_content(&out->result, result, err)) != ATLS_OK)
        atls_store_session_clear(out);
    return code;
}

/* ---- in memory ---- */

struct memory_session {
    struct memory_session *next; /* of its bucket */
    struct memory_session *older, *newer;
    struct atls_store_session session;
};

/* The queue is in the order of expiry as long as sessions live equally long, which only a change of
 * the configuration interrupts: until it is in order again a sweep looks at all, and at most once a
 * second. */
struct store_memory_sessions {
    pthread_mutex_t lock;
    size_t count, evidence_bytes;
    size_t bucket_count; /* a power of two */
    struct memory_session *oldest, *newest;
    bool mixed;      /* the queue is not in the order of expiry */
    int64_t swept_s; /* when it was looked through because it was mixed */
    struct memory_session *buckets[];
};

/* As many buckets as there may be sessions, within bounds; what is not touched costs no memory. */
static size_t bucket_count(size_t sessions_max)
{
    size_t count = BUCKETS_MIN;

    while (count < sessions_max && count < BUCKETS_MAX)
        count *= 2;
    return count;
}

enum atls_code store_memory_sessions_new(size_t sessions_max, struct store_memory_sessions **out,
                                         struct atls_err *err)
{
    size_t count = bucket_count(sessions_max);
    struct store_memory_sessions *m =
        calloc(1, sizeof *m + count * sizeof(struct memory_session *));

    if (m == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "store: out of memory");
    pthread_mutex_init(&m->lock, NULL);
    m->bucket_count = count;
    m->swept_s = INT64_MIN;
    *out = m;
    return ATLS_OK;
}

/* Takes what *at points at out of its bucket and of the queue. */
static void drop(struct store_memory_sessions *m, struct memory_session **at)
{
    struct memory_session *gone = *at;

    *at = gone->next;
    *(gone->older != NULL ? &gone->older->newer : &m->oldest) = gone->newer;
    *(gone->newer != NULL ? &gone->newer->older : &m->newest) = gone->older;
    m->count--;
    m->evidence_bytes -= gone->session.evidence.len;
    atls_store_session_clear(&gone->session);
    free(gone);
}

/* Ids are random: their sum of bits spreads well enough, and nobody chooses them. */
static struct memory_session **bucket_of(struct store_memory_sessions *m, const char *id)
{
    uint32_t h = 2166136261u;

    for (; *id != '\0'; id++)
        h = (h ^ (uint8_t)*id) * 16777619u;
    return &m->buckets[(h ^ h >> 16) & (m->bucket_count - 1)];
}

static void drop_session(struct store_memory_sessions *m, const struct memory_session *gone)
{
    struct memory_session **at = bucket_of(m, gone->session.id);

    while (*at != gone)
        at = &(*at)->next;
    drop(m, at);
}

void store_memory_sessions_free(struct store_memory_sessions *m)
{
    if (m == NULL)
        return;
    while (m->oldest != NULL)
        drop_session(m, m->oldest);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* What points at the session, or NULL. */
static struct memory_session **find(struct store_memory_sessions *m, const char *id, int64_t now_s)
{
    struct memory_session **at = bucket_of(m, id);

    while (*at != NULL && strcmp((*at)->session.id, id) != 0)
        at = &(*at)->next;
    if (*at != NULL && (*at)->session.expires_s < now_s)
        drop(m, at);
    else if (*at != NULL)
        return at;
    return NULL;
}

static void sweep_mixed(struct store_memory_sessions *m, int64_t now_s)
{
    struct memory_session *s = m->oldest, *next;
    int64_t last_s = INT64_MIN;

    if (m->swept_s == now_s)
        return;
    m->swept_s = now_s;
    m->mixed = false;
    for (; s != NULL; s = next) {
        next = s->newer;
        if (s->session.expires_s < now_s) {
            drop_session(m, s);
            continue;
        }
        m->mixed = m->mixed || s->session.expires_s < last_s;
        last_s = s->session.expires_s;
    }
}

/* Drops what has expired, at most so many; false: there may be more. */
static bool sweep(struct store_memory_sessions *m, int64_t now_s, size_t most)
{
    if (m->mixed)
        sweep_mixed(m, now_s);
    while (m->oldest != NULL && m->oldest->session.expires_s < now_s) {
        if (most-- == 0)
            return false;
        drop_session(m, m->oldest);
    }
    return true;
}

static void add(struct store_memory_sessions *m, struct memory_session *added)
{
    struct memory_session **bucket = bucket_of(m, added->session.id), *before = m->newest;

    added->next = *bucket;
    *bucket = added;
    added->older = before;
    *(before != NULL ? &before->newer : &m->oldest) = added;
    m->newest = added;
    m->mixed = m->mixed || (before != NULL && added->session.expires_s < before->session.expires_s);
    m->count++;
}

static enum atls_code memory_open(struct atls_store *s, const struct atls_store_session *session,
                                  int64_t now_s, struct atls_err *err)
{
    struct store_memory_sessions *m = s->sessions;
    struct memory_session *added = calloc(1, sizeof *added);
    bool has_room;

    if (added == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "session: out of memory");
    added->session = *session;
    pthread_mutex_lock(&m->lock);
    if (m->count >= s->sessions_max)
        (void)sweep(m, now_s, SWEEP_BATCH);
    has_room = m->count < s->sessions_max;
    if (has_room)
        add(m, added);
    pthread_mutex_unlock(&m->lock);
    if (has_room)
        return ATLS_OK;
    free(added);
    return too_many(s, err);
}

static enum atls_code copy_session(const struct atls_store_session *session,
                                   struct atls_store_session *out, struct atls_err *err)
{
    struct atls_store_session copy = *session;
    enum atls_code code;

    copy.media_type = copy.evidence = copy.result = (struct atls_buf)ATLS_BUF_INIT;
    code = copy_contents(&copy, atls_buf_bytes(&session->media_type),
                         atls_buf_bytes(&session->evidence), atls_buf_bytes(&session->result), err);
    if (code == ATLS_OK)
        *out = copy;
    return code;
}

/* Reads a session; take: for the one who gives evidence. */
static enum atls_code memory_get(struct store_memory_sessions *m, const char *id, int64_t now_s,
                                 bool take, struct atls_store_session *out, struct atls_err *err)
{
    struct memory_session **at;
    enum atls_code code;

    pthread_mutex_lock(&m->lock);
    if ((at = find(m, id, now_s)) == NULL)
        code = not_found(err);
    else if (take && (*at)->session.state != ATLS_SESSION_WAITING)
        code = already(err);
    else
        code = copy_session(&(*at)->session, out, err);
    if (code == ATLS_OK && take)
        out->state = (*at)->session.state = ATLS_SESSION_PROCESSING;
    pthread_mutex_unlock(&m->lock);
    return code;
}

/* Takes what is in contents, but for evidence that there is no room for. */
static void keep_contents(struct store_memory_sessions *m, struct atls_store_session *kept,
                          enum atls_store_session_state state, struct atls_store_session *contents)
{
    kept->state = state;
    kept->media_type = contents->media_type;
    kept->result = contents->result;
    contents->media_type = contents->result = (struct atls_buf)ATLS_BUF_INIT;
    if (contents->evidence.len > MEMORY_EVIDENCE_MAX - m->evidence_bytes)
        return;
    m->evidence_bytes += contents->evidence.len;
    kept->evidence = contents->evidence;
    contents->evidence = (struct atls_buf)ATLS_BUF_INIT;
}

static enum atls_code memory_finish(struct store_memory_sessions *m,
                                    const struct atls_store_session *session, struct atls_err *err)
{
    struct atls_store_session contents;
    struct memory_session **at;
    enum atls_code code;

    memset(&contents, 0, sizeof contents);
    if ((code = copy_contents(&contents, atls_buf_bytes(&session->media_type),
                              atls_buf_bytes(&session->evidence), atls_buf_bytes(&session->result),
                              err)) != ATLS_OK)
        return code;
    pthread_mutex_lock(&m->lock);
    if ((at = find(m, session->id, INT64_MIN)) == NULL) {
        code = not_found(err);
    } else if ((*at)->session.state != ATLS_SESSION_WAITING &&
               (*at)->session.state != ATLS_SESSION_PROCESSING) {
        code = already(err);
    } else {
        keep_contents(m, &(*at)->session, session->state, &contents);
    }
    pthread_mutex_unlock(&m->lock);
    atls_store_session_clear(&contents);
    return code;
}

static enum atls_code memory_remove(struct store_memory_sessions *m, const char *id,
                                    struct atls_err *err)
{
    struct memory_session **at;

    pthread_mutex_lock(&m->lock);
    if ((at = find(m, id, INT64_MIN)) != NULL)
        drop(m, at);
    pthread_mutex_unlock(&m->lock);
    return at != NULL ? ATLS_OK : not_found(err);
}

static size_t memory_sweep(struct store_memory_sessions *m, int64_t now_s)
{
    bool done = false;
    size_t left = 0;

    /* In between those go on who answer. */
    while (!done) {
        pthread_mutex_lock(&m->lock);
        done = sweep(m, now_s, SWEEP_BATCH);
        left = m->count;
        pthread_mutex_unlock(&m->lock);
    }
    return left;
}

/* ---- in the database: each is one statement, and so one transaction ---- */

static struct atls_bytes text_of(const char *text)
{
    return atls_bytes_of(text, strlen(text));
}

static enum atls_code try_open(struct store_connection *c, const struct atls_store_session *session,
                               bool *out_room, struct atls_err *err)
{
    struct store_query q = store_query(c, SQL_SESSION_OPEN);

    store_bind_text(&q, 1, text_of(session->id));
    store_bind_bytes(&q, 2, atls_bytes_of(session->nonce, session->nonce_len));
    store_bind_int(&q, 3, session->expires_s);
    store_bind_int(&q, 4, c->store->sessions_max);
    return store_run(&q, out_room, err);
}

static enum atls_code database_sweep(struct store_connection *c, int64_t now_s, size_t *out_left,
                                     struct atls_err *err)
{
    struct store_query q = store_query(c, SQL_SESSION_SWEEP);
    enum atls_code code;
    int64_t left;
    bool row;

    store_bind_int(&q, 1, now_s);
    if ((code = store_step(&q, &row, err)) != ATLS_OK)
        return code;
    left = row ? store_column_int(&q, 0) : 0;
    store_end(&q);
    *out_left = left < 0 ? 0 : (size_t)left;
    return ATLS_OK;
}

static enum atls_code database_open(struct store_connection *c,
                                    const struct atls_store_session *session, int64_t now_s,
                                    struct atls_err *err)
{
    enum atls_code code;
    size_t left;
    bool room;

    if ((code = try_open(c, session, &room, err)) != ATLS_OK || room)
        return code;
    if ((code = database_sweep(c, now_s, &left, err)) != ATLS_OK ||
        (code = try_open(c, session, &room, err)) != ATLS_OK)
        return code;
    return room ? ATLS_OK : too_many(c->store, err);
}

static enum atls_code read_session(const struct store_query *q, const char *id,
                                   struct atls_store_session *out, struct atls_err *err)
{
    struct atls_bytes nonce = store_column(q, 1);
    struct atls_store_session session;
    enum atls_code code;

    memset(&session, 0, sizeof session);
    if (nonce.len > sizeof session.nonce)
        return atls_fail(err, ATLS_E_IO, "session: a nonce of %zu bytes on file", nonce.len);
    memcpy(session.id, id, strlen(id) + 1);
    session.state = (enum atls_store_session_state)store_column_int(q, 0);
    memcpy(session.nonce, nonce.ptr, nonce.len);
    session.nonce_len = nonce.len;
    session.expires_s = store_column_int(q, 2);
    code = copy_contents(&session, store_column(q, 3), store_column(q, 4), store_column(q, 5), err);
    if (code == ATLS_OK)
        *out = session;
    return code;
}

/* *out_there: which, SQL_SESSION_GET or SQL_SESSION_TAKE, found one; out may be NULL. */
static enum atls_code database_find(struct store_query *q, const char *id, int64_t now_s,
                                    struct atls_store_session *out, bool *out_there,
                                    struct atls_err *err)
{
    enum atls_code code;

    store_bind_text(q, 1, text_of(id));
    store_bind_int(q, 2, now_s);
    if ((code = store_step(q, out_there, err)) == ATLS_OK && *out_there && out != NULL)
        code = read_session(q, id, out, err);
    store_end(q);
    return code;
}

static enum atls_code database_get(struct store_connection *c, const char *id, int64_t now_s,
                                   struct atls_store_session *out, struct atls_err *err)
{
    struct store_query q = store_query(c, SQL_SESSION_GET);
    enum atls_code code;
    bool there;

    if ((code = database_find(&q, id, now_s, out, &there, err)) != ATLS_OK)
        return code;
    return there ? ATLS_OK : not_found(err);
}

static enum atls_code database_take(struct store_connection *c, const char *id, int64_t now_s,
                                    struct atls_store_session *out, struct atls_err *err)
{
    struct store_query q = store_query(c, SQL_SESSION_TAKE);
    enum atls_code code;
    bool there;

    if ((code = database_find(&q, id, now_s, out, &there, err)) != ATLS_OK || there)
        return code;
    code = database_get(c, id, now_s, NULL, err);
    return code == ATLS_OK ? already(err) : code;
}

static enum atls_code database_finish(struct store_connection *c,
                                      const struct atls_store_session *session,
                                      struct atls_err *err)
{
    struct store_query q = store_query(c, SQL_SESSION_FINISH);
    enum atls_code code;
    bool there;

    store_bind_text(&q, 1, text_of(session->id));
    store_bind_int(&q, 2, session->state);
    store_bind_bytes(&q, 3, atls_buf_bytes(&session->media_type));
    store_bind_bytes(&q, 4, atls_buf_bytes(&session->evidence));
    store_bind_bytes(&q, 5, atls_buf_bytes(&session->result));
    if ((code = store_run(&q, &there, err)) != ATLS_OK || there)
        return code;
    code = database_get(c, session->id, INT64_MIN, NULL, err);
    return code == ATLS_OK ? already(err) : code;
}

static enum atls_code database_remove(struct store_connection *c, const char *id,
                                      struct atls_err *err)
{
    struct store_query q = store_query(c, SQL_SESSION_REMOVE);
    enum atls_code code;
    bool there;

    store_bind_text(&q, 1, text_of(id));
    if ((code = store_run(&q, &there, err)) != ATLS_OK)
        return code;
    return there ? ATLS_OK : not_found(err);
}

/* ---- both ---- */

/* A text that is no id of ours is not looked for. */
static bool is_id(const char *id)
{
    uint8_t uuid[16];

    return id != NULL && store_uuid_parse(id, uuid);
}

/* Versions of ids: by who made the nonce (RFC 9562 sections 5.4 and 5.8). */
enum id_version { ID_OWN_NONCE = 0x40, ID_GIVEN_NONCE = 0x80 };
#define ID_VERSION_AT 14 /* its digit */

static enum atls_code new_id(enum id_version version, char out[ATLS_SESSION_ID_TEXT],
                             struct atls_err *err)
{
    uint8_t uuid[16];
    enum atls_code code;

    if ((code = atls_random(uuid, sizeof uuid, err)) != ATLS_OK)
        return code;
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | version);
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
    store_uuid_text(uuid, out);
    return ATLS_OK;
}

/* Who opens which session. */
struct opening {
    enum id_version version;
    struct atls_bytes nonce;
    int64_t now_s, expires_s;
};

static enum atls_code open_session(struct atls_store *s, const struct opening *o, char *out_id,
                                   struct atls_err *err)
{
    struct atls_store_session session;
    struct store_connection *c;
    enum atls_code code;

    if (o->nonce.len < NONCE_MIN || o->nonce.len > ATLS_NONCE_MAX || o->expires_s < o->now_s)
        return atls_fail(err, ATLS_E_USAGE,
                         "session: a nonce of %zu bytes (%d to %d wanted), or expired from the "
                         "beginning",
                         o->nonce.len, NONCE_MIN, ATLS_NONCE_MAX);
    memset(&session, 0, sizeof session);
    session.state = ATLS_SESSION_WAITING;
    memcpy(session.nonce, o->nonce.ptr, o->nonce.len);
    session.nonce_len = o->nonce.len;
    session.expires_s = o->expires_s;
    if ((code = new_id(o->version, session.id, err)) != ATLS_OK)
        return code;
    if (s->sessions != NULL) {
        code = memory_open(s, &session, o->now_s, err);
    } else if ((code = store_borrow(s, &c, err)) == ATLS_OK) {
        code = database_open(c, &session, o->now_s, err);
        store_give_back(c);
    }
    if (code == ATLS_OK)
        memcpy(out_id, session.id, ATLS_SESSION_ID_TEXT);
    return code;
}

enum atls_code atls_store_session_open(struct atls_store *s, struct atls_bytes nonce, int64_t now_s,
                                       int64_t expires_s, char out_id[ATLS_SESSION_ID_TEXT],
                                       struct atls_err *err)
{
    const struct opening o = {ID_OWN_NONCE, nonce, now_s, expires_s};

    return open_session(s, &o, out_id, err);
}

enum atls_code atls_store_session_open_given(struct atls_store *s, struct atls_bytes nonce,
                                             int64_t now_s, int64_t expires_s,
                                             char out_id[ATLS_SESSION_ID_TEXT],
                                             struct atls_err *err)
{
    const struct opening o = {ID_GIVEN_NONCE, nonce, now_s, expires_s};

    return open_session(s, &o, out_id, err);
}

bool atls_store_session_is_given(const char *id)
{
    return !is_id(id) || id[ID_VERSION_AT] != '4';
}

enum atls_code atls_store_session_get(struct atls_store *s, const char *id, int64_t now_s,
                                      struct atls_store_session *out, struct atls_err *err)
{
    struct store_connection *c;
    enum atls_code code;

    if (!is_id(id))
        return not_found(err);
    if (s->sessions != NULL)
        return memory_get(s->sessions, id, now_s, false, out, err);
    if ((code = store_borrow(s, &c, err)) != ATLS_OK)
        return code;
    code = database_get(c, id, now_s, out, err);
    store_give_back(c);
    return code;
}

enum atls_code atls_store_session_take(struct atls_store *s, const char *id, int64_t now_s,
                                       struct atls_store_session *out, struct atls_err *err)
{
    struct store_connection *c;
    enum atls_code code;

    if (!is_id(id))
        return not_found(err);
    if (s->sessions != NULL)
        return memory_get(s->sessions, id, now_s, true, out, err);
    if ((code = store_borrow(s, &c, err)) != ATLS_OK)
        return code;
    code = database_take(c, id, now_s, out, err);
    store_give_back(c);
    return code;
}

enum atls_code atls_store_session_finish(struct atls_store *s,
                                         const struct atls_store_session *session,
                                         struct atls_err *err)
{
    const size_t lengths[] = {session->media_type.len, session->evidence.len, session->result.len};
    struct store_connection *c;
    size_t room = CONTENT_MAX;
    enum atls_code code;

    if (session->state != ATLS_SESSION_COMPLETE && session->state != ATLS_SESSION_FAILED)
        return atls_fail(err, ATLS_E_USAGE, "session: it ends complete or failed");
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        if (lengths[i] > room)
            return atls_fail(err, ATLS_E_LIMIT, "session: holds at most %zu bytes", CONTENT_MAX);
        room -= lengths[i];
    }
    if (memchr(session->id, '\0', sizeof session->id) == NULL || !is_id(session->id))
        return not_found(err);
    if (s->sessions != NULL)
        return memory_finish(s->sessions, session, err);
    if ((code = store_borrow(s, &c, err)) != ATLS_OK)
        return code;
    code = database_finish(c, session, err);
    store_give_back(c);
    return code;
}

enum atls_code atls_store_session_remove(struct atls_store *s, const char *id, struct atls_err *err)
{
    struct store_connection *c;
    enum atls_code code;

    if (!is_id(id))
        return not_found(err);
    if (s->sessions != NULL)
        return memory_remove(s->sessions, id, err);
    if ((code = store_borrow(s, &c, err)) != ATLS_OK)
        return code;
    code = database_remove(c, id, err);
    store_give_back(c);
    return code;
}

enum atls_code atls_store_session_sweep(struct atls_store *s, int64_t now_s, size_t *out_open,
                                        struct atls_err *err)
{
    struct store_connection *c;
    enum atls_code code = ATLS_OK;
    size_t left = 0;

    if (s->sessions != NULL) {
        left = memory_sweep(s->sessions, now_s);
    } else if ((code = store_borrow(s, &c, err)) == ATLS_OK) {
        code = database_sweep(c, now_s, &left, err);
        store_give_back(c);
    }
    if (code == ATLS_OK && out_open != NULL)
        *out_open = left;
    return code;
}
