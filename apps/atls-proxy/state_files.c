#include "state_parts.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

static bool is_same_file(const struct state_file *a, const struct state_file *b)
{
    if (!a->there || !b->there)
        return a->there == b->there;
    if (a->stat.st_dev != b->stat.st_dev || a->stat.st_ino != b->stat.st_ino)
        return false;
    return a->is_store || b->is_store ||
           (a->stat.st_size == b->stat.st_size &&
            a->stat.st_mtim.tv_sec == b->stat.st_mtim.tv_sec &&
            a->stat.st_mtim.tv_nsec == b->stat.st_mtim.tv_nsec);
}

static struct state_file look_at(const char *path)
{
    struct state_file file = {.path = path};

    file.there = stat(path, &file.stat) == 0;
    return file;
}

static const struct state_file *find_file(const struct generation *g, const char *path)
{
    for (size_t i = 0; i < g->file_count; i++)
        if (strcmp(g->files[i].path, path) == 0)
            return &g->files[i];
    return NULL;
}

static void add_file(struct generation *g, const char *path)
{
    if (path != NULL && find_file(g, path) == NULL)
        g->files[g->file_count++] = look_at(path);
}

static bool is_local(const struct config_verifier *v)
{
    return strncmp(v->uri, "local:", 6) == 0;
}

const char *state_file_of(const struct config_verifier *v)
{
    const char *rest = strchr(v->uri, ':');

    if (rest == NULL || rest[1] == '\0' || strstr(v->uri, "://") != NULL)
        return NULL;
    return rest + 1;
}

static void add_file_of(struct generation *g, const struct config_verifier *v)
{
    const size_t count = g->file_count;

    add_file(g, state_file_of(v));
    if (g->file_count > count)
        g->files[count].is_store = is_local(v);
}

enum atls_code state_list_files(struct generation *g, struct atls_err *err)
{
    const struct config *c = g->config;
    const size_t max =
        4 * c->attester_count + 3 * c->verifier_count + c->policy_count + 8 * c->route_count + 1;

    if ((g->files = calloc(max, sizeof *g->files)) == NULL)
        return set_error(err, ATLS_E_NOMEM, "configuration: out of memory");
    for (size_t i = 0; i < c->attester_count; i++) {
        add_file(g, c->attesters[i].certificate);
        add_file(g, c->attesters[i].endorsements);
        add_file(g, c->attesters[i].passport.ca);
        add_file(g, c->attesters[i].passport.result_keys);
    }
    for (size_t i = 0; i < c->verifier_count; i++) {
        add_file(g, c->verifiers[i].ca);
        add_file(g, c->verifiers[i].result_keys);
        add_file_of(g, &c->verifiers[i]);
    }
    for (size_t i = 0; i < c->policy_count; i++)
        add_file(g, c->policies[i].file);
    for (size_t i = 0; i < c->route_count; i++)
        for (int n = 0; n < 2; n++) {
            const struct config_tls *tls =
                n == 0 ? &c->routes[i].downstream.tls : &c->routes[i].upstream.tls;

            add_file(g, tls->certificate);
            add_file(g, tls->key);
            add_file(g, tls->ca);
            add_file(g, tls->crl);
        }
    return ATLS_OK;
}

bool state_kept_file(const struct generation *a, const struct generation *b, const char *path)
{
    const struct state_file *in_a, *in_b;

    if (path == NULL)
        return true;
    in_a = find_file(a, path);
    in_b = find_file(b, path);
    return in_a != NULL && in_b != NULL && is_same_file(in_a, in_b);
}

/* FNV-1a, over what tells one file from another. */
static uint64_t add_number(uint64_t sum, uint64_t number)
{
    for (int i = 0; i < 8; i++, number >>= 8)
        sum = (sum ^ (number & 0xff)) * UINT64_C(0x100000001b3);
    return sum;
}

static uint64_t add_state(uint64_t sum, const struct state_file *file)
{
    sum = add_number(sum, file->there);
    if (!file->there)
        return sum;
    sum = add_number(sum, (uint64_t)file->stat.st_dev);
    sum = add_number(sum, (uint64_t)file->stat.st_ino);
    sum = add_number(sum, (uint64_t)file->stat.st_size);
    sum = add_number(sum, (uint64_t)file->stat.st_mtim.tv_sec);
    return add_number(sum, (uint64_t)file->stat.st_mtim.tv_nsec);
}

const char *generation_stale(const struct generation *g, struct state_stale *out)
{
    const char *path = NULL;

    *out = (struct state_stale){.sum = UINT64_C(0xcbf29ce484222325)};
    for (size_t i = 0; i < g->file_count; i++) {
        const struct state_file now = look_at(g->files[i].path);

        out->sum = add_state(out->sum, &now);
        if (!now.there || is_same_file(&now, &g->files[i]))
            continue;
        if (now.stat.st_mtim.tv_sec > out->latest_s)
            out->latest_s = now.stat.st_mtim.tv_sec;
        path = path == NULL ? g->files[i].path : path;
    }
    return path;
}
