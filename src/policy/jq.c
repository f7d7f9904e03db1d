#include "policy/jq.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jq.h>

#include <atls/limits.h>

#include "core/base64.h"
#include "core/err.h"
#include "core/json_writer.h"
#include "core/log.h"
#include "core/reader.h"
#include "core/writer.h"
#include "verifier/result.h"
#include "wire/cbor.h"

/* Compiled programs of one policy, hence decisions that run at the same time: a jq_state serves one
 * thread at a time, and compiling one takes some 20 ms. */
#define STATES_MAX 8

struct program {
    char *text; /* prelude and program, NUL terminated */
    char *name; /* for messages */
    pthread_mutex_t lock;
    pthread_cond_t returned;
    unsigned int compiled; /* states that exist; under lock */
    unsigned int idle_count;
    jq_state *idle[STATES_MAX];
};

/* Put in front of the program, in one line so that jq's line numbers stay right. What reaches
 * outside the result (environment, further input, modules, descriptors, exit) fails when called; an
 * import has no place behind a definition and is a syntax error. The date functions go too: jq 1.6
 * aborts the process on some numbers, and a peer's number must not get there. */
static const char prelude[] =
    "def env: error(\"env is out of a policy's reach\"); "
    "def input: error(\"input is out of a policy's reach\"); def inputs: input; "
    "def input_filename: input; def input_line_number: input; "
    "def debug: error(\"debug is out of a policy's reach\"); def debug(m): debug; "
    "def stderr: debug; "
    "def halt: error(\"halt is out of a policy's reach\"); "
    "def halt_error: halt; def halt_error(c): halt; "
    "def modulemeta: error(\"modules are out of a policy's reach\"); "
    "def get_search_list: modulemeta; "
    "def gmtime: error(\"dates are out of a policy's reach, compare seconds\"); "
    "def localtime: gmtime; def mktime: gmtime; def strptime(f): gmtime; "
    "def strftime(f): gmtime; def strflocaltime(f): gmtime; def todate: gmtime; "
    "def fromdate: gmtime; def date: gmtime; def todateiso8601: gmtime; "
    "def fromdateiso8601: gmtime; def dateadd(u; n): gmtime; def datesub(u; n): gmtime; "
    "null as $ENV | ";

struct message {
    size_t count;
    char text[200]; /* of the first */
};

/* jq reports errors of compilation here, with the program's text behind the first line. */
static void keep_message(void *arg, jv message)
{
    struct message *m = arg;
    jv text = jq_format_error(message);

    if (m->count++ == 0 && jv_get_kind(text) == JV_KIND_STRING) {
        const char *p = jv_string_value(text);

        atls_escape(atls_bytes_of(p, strcspn(p, "\n")), m->text, sizeof m->text);
    }
    jv_free(text);
}

static void ignore_message(void *arg, jv message)
{
    (void)arg;
    jv_free(message);
}

static enum atls_code compile_state(const struct program *p, jq_state **out, struct atls_err *err)
{
    struct message message = {0, ""};
    jq_state *jq = jq_init();
    int compiled;

    if (jq == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "policy %s: out of memory", p->name);
    jq_set_error_cb(jq, keep_message, &message);
    compiled = jq_compile(jq, p->text);
    jq_set_error_cb(jq, ignore_message, NULL);
    if (!compiled) {
        jq_teardown(&jq);
        return atls_fail(err, ATLS_E_CONFIG, "policy %s: %s", p->name,
                         message.count > 0 ? message.text : "does not compile");
    }
    *out = jq;
    return ATLS_OK;
}

/* An idle state, a new one while there may be more, or the next that is given back. */
static enum atls_code borrow_state(struct program *p, jq_state **out, struct atls_err *err)
{
    enum atls_code code;

    pthread_mutex_lock(&p->lock);
    while (p->idle_count == 0 && p->compiled == STATES_MAX)
        pthread_cond_wait(&p->returned, &p->lock);
    if (p->idle_count > 0) {
        *out = p->idle[--p->idle_count];
        pthread_mutex_unlock(&p->lock);
        return ATLS_OK;
    }
    p->compiled++;
    pthread_mutex_unlock(&p->lock);
    if ((code = compile_state(p, out, err)) == ATLS_OK)
        return ATLS_OK;
    pthread_mutex_lock(&p->lock);
    p->compiled--;
    pthread_cond_signal(&p->returned);
    pthread_mutex_unlock(&p->lock);
    return code;
}

static void return_state(struct program *p, jq_state *jq)
{
    jq_start(jq, jv_null(), 0); /* lets go of what the last run held */
    pthread_mutex_lock(&p->lock);
    p->idle[p->idle_count++] = jq;
    pthread_cond_signal(&p->returned);
    pthread_mutex_unlock(&p->lock);
}

/* The sink of atls_result_walk that builds a jv: no JSON text in between. */
struct builder {
    unsigned int depth;
    const char
        *keys[ATLS_RESULT_DEPTH_MAX]; /* borrowed: those of containers live as long as the result */
    jv values[ATLS_RESULT_DEPTH_MAX];
    struct atls_writer text;
    jv done;
};

static void add(struct builder *b, const char *key, jv v)
{
    jv *top;

    if (b->depth == 0) {
        jv_free(b->done);
        b->done = v;
        return;
    }
    top = &b->values[b->depth - 1];
    *top = key == NULL ? jv_array_append(*top, v) : jv_object_set(*top, jv_string(key), v);
}

static void open_value(struct builder *b, const char *key, jv container)
{
    b->keys[b->depth] = key;
    b->values[b->depth++] = container;
}

static void build_open_object(void *arg, const char *key)
{
    open_value(arg, key, jv_object());
}

static void build_open_array(void *arg, const char *key)
{
    open_value(arg, key, jv_array());
}

static void build_close(void *arg)
{
    struct builder *b = arg;

    b->depth--;
    add(b, b->keys[b->depth], b->values[b->depth]);
}

static void build_text(void *arg, const char *key, struct atls_bytes text)
{
    add(arg, key, jv_string_sized(text.ptr == NULL ? "" : (const char *)text.ptr, (int)text.len));
}

static void build_hex(void *arg, const char *key, struct atls_bytes bytes)
{
    static const char digits[] = "0123456789abcdef";
    struct builder *b = arg;
    struct atls_writer *w = &b->text;

    w->len = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        atls_put_u8(w, (uint8_t)digits[bytes.ptr[i] >> 4]);
        atls_put_u8(w, (uint8_t)digits[bytes.ptr[i] & 15]);
    }
    build_text(b, key, atls_writer_bytes(w));
}

static void build_base64url(void *arg, const char *key, struct atls_bytes bytes)
{
    struct builder *b = arg;

    b->text.len = 0;
    atls_base64url_put(&b->text, bytes);
    build_text(b, key, atls_writer_bytes(&b->text));
}

static void build_int(void *arg, const char *key, int64_t v)
{
    add(arg, key, jv_number((double)v)); /* times and trust values: far below 2^53 */
}

static void build_uint(void *arg, const char *key, uint64_t v)
{
    char digits[24];

    if (v <= (uint64_t)ATLS_JSON_INTEGER_MAX) {
        add(arg, key, jv_number((double)v));
        return;
    }
    snprintf(digits, sizeof digits, "%" PRIu64, v); /* as the JSON text has it */
    add(arg, key, jv_string(digits));
}

static void build_bool(void *arg, const char *key, bool v)
{
    add(arg, key, jv_bool(v));
}

static void build_null(void *arg, const char *key)
{
    add(arg, key, jv_null());
}

static enum atls_code build_input(const struct atls_result *r, jv *out, struct atls_err *err)
{
    struct builder b;
    const struct atls_result_sink sink = {
        &b,         build_open_object, build_open_array, build_close,
        build_text, build_hex,         build_base64url,  build_int,
        build_uint, build_bool,        build_null,       NULL,
    };

    memset(&b, 0, sizeof b);
    b.text = atls_writer_init(ATLS_RESULT_JSON_MAX);
    b.done = jv_invalid();
    atls_result_walk(r, &sink);
    if (b.text.failed != ATLS_OK) {
        jv_free(b.done);
        atls_writer_clear(&b.text);
        return atls_fail(err, ATLS_E_NOMEM, "policy: the result is too large to decide on");
    }
    atls_writer_clear(&b.text);
    *out = b.done;
    return ATLS_OK;
}

static enum atls_code refuse_output(struct atls_err *err, const char *what)
{
    return atls_fail_reason(err, ATLS_E_REFUSED, ATLS_REASON_POLICY_OUTPUT, "policy output: %s",
                            what);
}

static struct atls_bytes string_bytes(jv text)
{
    return atls_bytes_of(jv_string_value(text), (size_t)jv_string_length_bytes(jv_copy(text)));
}

static bool is_strings(jv array)
{
    bool fine = jv_get_kind(array) == JV_KIND_ARRAY;
    int count = fine ? jv_array_length(jv_copy(array)) : 0;

    for (int i = 0; fine && i < count; i++) {
        jv item = jv_array_get(jv_copy(array), i);

        fine = jv_get_kind(item) == JV_KIND_STRING;
        jv_free(item);
    }
    return fine;
}

static void read_reasons(jv reasons, struct atls_decision *d)
{
    int count = jv_array_length(jv_copy(reasons));

    for (int i = 0; i < count && d->reason_count < ATLS_DECISION_REASONS_MAX; i++) {
        jv text = jv_array_get(jv_copy(reasons), i);

        atls_escape(string_bytes(text), d->reasons[d->reason_count++], sizeof d->reasons[0]);
        jv_free(text);
    }
}

static void read_insecure(jv names, const char *technology, struct atls_decision *d)
{
    int count = jv_array_length(jv_copy(names));

    for (int i = 0; i < count; i++) {
        jv name = jv_array_get(jv_copy(names), i);

        if (atls_bytes_equal_text(string_bytes(name), technology))
            d->names_insecure = true;
        jv_free(name);
    }
}

/* One member of the output; NULL when it is fine, else what is wrong with it. */
static const char *read_member(struct atls_bytes key, jv value, const char *technology,
                               struct atls_decision *d)
{
    if (atls_bytes_equal_text(key, "decision")) {
        if (jv_get_kind(value) != JV_KIND_STRING)
            return "\"decision\" is no text";
        d->accept = atls_bytes_equal_text(string_bytes(value), "accept");
        return d->accept || atls_bytes_equal_text(string_bytes(value), "refuse")
                   ? NULL
                   : "\"decision\" is neither \"accept\" nor \"refuse\"";
    }
    if (atls_bytes_equal_text(key, "reasons")) {
        if (!is_strings(value))
            return "\"reasons\" is no array of texts";
        read_reasons(value, d);
        return NULL;
    }
    if (atls_bytes_equal_text(key, "insecure")) {
        if (!is_strings(value))
            return "\"insecure\" is no array of texts";
        read_insecure(value, technology, d);
        return NULL;
    }
    return "has a member other than \"decision\", \"reasons\", \"insecure\"";
}

enum atls_code atls_policy_read_output(jv output, const char *technology, struct atls_decision *out,
                                       struct atls_err *err)
{
    struct atls_decision d;
    const char *wrong = NULL;
    bool decided = false;

    memset(&d, 0, sizeof d);
    if (jv_get_kind(output) != JV_KIND_OBJECT) {
        jv_free(output);
        return refuse_output(err, "is no object");
    }
    for (int i = jv_object_iter(output); jv_object_iter_valid(output, i) && wrong == NULL;
         i = jv_object_iter_next(output, i)) {
        jv key = jv_object_iter_key(output, i);
        jv value = jv_object_iter_value(output, i);

        wrong = read_member(string_bytes(key), value, technology, &d);
        decided = decided || atls_bytes_equal_text(string_bytes(key), "decision");
        jv_free(key);
        jv_free(value);
    }
    jv_free(output);
    if (wrong == NULL && !decided)
        wrong = "has no \"decision\"";
    if (wrong != NULL)
        return refuse_output(err, wrong);
    *out = d;
    return ATLS_OK;
}

/* The program ended without an output that can be used: its error in a sentence. */
static enum atls_code refuse_failure(jv invalid, struct atls_err *err)
{
    char text[160];
    jv message;

    if (!jv_invalid_has_msg(jv_copy(invalid))) {
        jv_free(invalid);
        return refuse_output(err, "the program gave none");
    }
    message = jv_invalid_get_msg(invalid);
    if (jv_get_kind(message) == JV_KIND_STRING)
        atls_escape(string_bytes(message), text, sizeof text);
    else
        snprintf(text, sizeof text, "(an error that is no text)");
    jv_free(message);
    return atls_fail_reason(err, ATLS_E_REFUSED, ATLS_REASON_POLICY_OUTPUT,
                            "policy program failed: %s", text);
}

static enum atls_code run(jq_state *jq, jv input, const char *technology, struct atls_decision *out,
                          struct atls_err *err)
{
    jv output, second;

    jq_start(jq, input, 0);
    output = jq_next(jq);
    if (!jv_is_valid(output))
        return refuse_failure(output, err);
    second = jq_next(jq);
    if (jv_is_valid(second)) {
        jv_free(output);
        jv_free(second);
        return refuse_output(err, "the program gave more than one");
    }
    if (jv_invalid_has_msg(jv_copy(second))) {
        jv_free(output);
        return refuse_failure(second, err);
    }
    jv_free(second);
    return atls_policy_read_output(output, technology, out, err);
}

static enum atls_code decide(void *self, struct atls_result *result, struct atls_decision *out,
                             struct atls_err *err)
{
    struct program *p = self;
    jq_state *jq = NULL;
    enum atls_code code;
    jv input;

    /* The input first: states are few, and what they wait for is long. */
    if ((code = build_input(result, &input, err)) != ATLS_OK)
        return code;
    if ((code = borrow_state(p, &jq, err)) != ATLS_OK) {
        jv_free(input);
        return code;
    }
    code = run(jq, input, atls_result_evidence_type(result), out, err);
    return_state(p, jq);
    return code;
}

static void free_program(void *self)
{
    struct program *p = self;

    if (p == NULL)
        return;
    while (p->idle_count > 0)
        jq_teardown(&p->idle[--p->idle_count]);
    pthread_cond_destroy(&p->returned);
    pthread_mutex_destroy(&p->lock);
    free(p->text);
    free(p->name);
    free(p);
}

/* NULL when memory runs out. */
static struct program *new_program(const char *name, struct atls_bytes text)
{
    struct program *p = calloc(1, sizeof *p);
    char shown[96];

    if (p == NULL)
        return NULL;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->returned, NULL);
    p->text = malloc(sizeof prelude + text.len);
    p->name = strdup(atls_escape(atls_bytes_of(name, strlen(name)), shown, sizeof shown));
    if (p->text == NULL || p->name == NULL) {
        free_program(p);
        return NULL;
    }
    memcpy(p->text, prelude, sizeof prelude - 1);
    memcpy(p->text + sizeof prelude - 1, text.ptr, text.len);
    p->text[sizeof prelude - 1 + text.len] = '\0';
    return p;
}

enum atls_code atls_policy_compile(const char *name, struct atls_bytes text,
                                   struct atls_policy **out, struct atls_err *err)
{
    static const struct atls_policy_ops ops = {free_program, decide};
    struct program *p;
    jq_state *jq = NULL;
    enum atls_code code;

    if (text.len == 0 || text.len > ATLS_POLICY_MAX)
        return atls_fail(err, ATLS_E_CONFIG, "policy: %zu bytes, want 1..%d", text.len,
                         ATLS_POLICY_MAX);
    if (memchr(text.ptr, 0, text.len) != NULL || !atls_utf8_valid(text))
        return atls_fail(err, ATLS_E_CONFIG, "policy: the program is not text in UTF-8");
    if ((p = new_program(name, text)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "policy: out of memory");
    if ((code = borrow_state(p, &jq, err)) != ATLS_OK) {
        free_program(p);
        return code;
    }
    return_state(p, jq);
    if ((code = atls_policy_new(&ops, p, out, err)) != ATLS_OK)
        free_program(p);
    return code;
}

static enum atls_code read_program(int file, const char *path, struct atls_buf *out,
                                   struct atls_err *err)
{
    struct stat about;
    size_t len = 0;

    if (fstat(file, &about) != 0)
        return atls_fail_errno(err, errno, "policy %s", path);
    if (!S_ISREG(about.st_mode) || about.st_size < 1 || about.st_size > ATLS_POLICY_MAX)
        return atls_fail(err, ATLS_E_CONFIG, "policy %s: want a regular file of 1..%d bytes", path,
                         ATLS_POLICY_MAX);
    if ((out->ptr = malloc((size_t)about.st_size)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "policy: out of memory");
    while (len < (size_t)about.st_size) {
        ssize_t got = read(file, out->ptr + len, (size_t)about.st_size - len);

        if (got <= 0) {
            int failed = got < 0 ? errno : EIO;

            atls_buf_clear(out);
            return atls_fail_errno(err, failed, "policy %s", path);
        }
        len += (size_t)got;
    }
    out->len = len;
    return ATLS_OK;
}

enum atls_code atls_policy_load(const char *path, struct atls_policy **out, struct atls_err *err)
{
    struct atls_buf text = ATLS_BUF_INIT;
    enum atls_code code;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */

    if (file < 0)
        return atls_fail_errno(err, errno, "policy %s", path);
    code = read_program(file, path, &text, err);
    close(file);
    if (code == ATLS_OK)
        code = atls_policy_compile(path, atls_buf_bytes(&text), out, err);
    atls_buf_clear(&text);
    return code;
}
