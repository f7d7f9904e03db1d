#include "simulator/world.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sys/stat.h>

#include "core/err.h"
#include "core/writer.h"
#include "simulator/folder.h"
#include "simulator/maker.h"

#define WORLD_FORMAT "libatls-simulator-1"
#define WORLD_OPTIONS                                                                              \
    "format=" WORLD_FORMAT "\ntee=%s\nline=%s\nkey=%s\nquote=%u\ntime=%" PRId64 "\n"

static const struct atls_sim_maker *const makers[] = {&atls_sim_snp_maker, &atls_sim_tdx_maker,
                                                      &atls_sim_cca_maker};

static const char *const lines[] = {"milan", "genoa", "turin"};

struct atls_sim_world {
    char *folder;
    struct atls_sim_setup setup;
    char name[64];
    const struct atls_sim_maker *maker;
    void *self;
    void (*say)(const char *message);
    pthread_mutex_t lock; /* of what follows: orders as last read, and which file that was */
    struct atls_sim_state state;
    struct stat read;
};

static const struct atls_sim_maker *maker_of(enum atls_sim_tee tee)
{
    for (size_t i = 0; i < sizeof makers / sizeof makers[0]; i++)
        if (makers[i]->tee == tee)
            return makers[i];
    return NULL;
}

/* ---- what a world is ---- */

static const char *line_by_name(const char *name)
{
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (strcmp(lines[i], name) == 0)
            return lines[i];
    return NULL;
}

/* Fills in what was left to us and refuses what no machine is. */
static enum atls_code setup_settle(struct atls_sim_setup *setup, struct atls_err *err)
{
    if (setup->tee != ATLS_SIM_SNP && (setup->line != NULL || setup->vlek))
        return atls_fail(err, ATLS_E_CONFIG, "product line and VLEK are of snp only");
    if (setup->tee != ATLS_SIM_SNP && setup->rsa_bits != 0)
        return atls_fail(err, ATLS_E_CONFIG, "RSA is of snp only");
    if (setup->tee != ATLS_SIM_TDX && setup->quote_version != 0)
        return atls_fail(err, ATLS_E_CONFIG, "versions of quotes are of tdx only");
    if (setup->tee == ATLS_SIM_TDX && setup->quote_version == 0)
        setup->quote_version = 4;
    if (setup->tee == ATLS_SIM_TDX && setup->quote_version != 4 && setup->quote_version != 5)
        return atls_fail(err, ATLS_E_CONFIG, "quotes of version %u, want 4 or 5",
                         setup->quote_version);
    if (setup->tee == ATLS_SIM_SNP && setup->line == NULL)
        setup->line = "genoa";
    if (setup->line != NULL && (setup->line = line_by_name(setup->line)) == NULL)
        return atls_fail(err, ATLS_E_CONFIG, "no such product line, want milan, genoa or turin");
    return ATLS_OK;
}

static enum atls_code setup_write(const char *folder, const struct atls_sim_setup *setup,
                                  struct atls_err *err)
{
    char text[256];
    int len = snprintf(text, sizeof text, WORLD_OPTIONS, atls_sim_tee_name(setup->tee),
                       setup->line != NULL ? setup->line : "none", setup->vlek ? "vlek" : "vcek",
                       setup->quote_version, setup->time_s);

    return atls_sim_folder_write(folder, "world", atls_bytes_of(text, (size_t)len), ATLS_SIM_PUBLIC,
                                 err);
}

/* The file is ours, so that it has exactly the form above. */
static enum atls_code setup_read(const char *folder, struct atls_sim_setup *out,
                                 struct atls_err *err)
{
    char text[256] = {0}, again[256], tee[8] = {0}, line[8] = {0}, key[8] = {0};
    struct atls_sim_setup setup = {0};
    struct atls_buf file = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = atls_sim_folder_read(folder, "world", &file, err)) != ATLS_OK)
        return code;
    if (file.len > 0 && file.len < sizeof text)
        memcpy(text, file.ptr, file.len);
    atls_buf_clear(&file);
    if (sscanf(text, "format=" WORLD_FORMAT " tee=%7s line=%7s key=%7s quote=%u time=%" SCNd64, tee,
               line, key, &setup.quote_version, &setup.time_s) != 5)
        return atls_fail(err, ATLS_E_CONFIG, "%s: no world of this version", folder);
    setup.tee = atls_sim_tee_by_name(tee);
    setup.line = strcmp(line, "none") == 0 ? NULL : line;
    setup.vlek = strcmp(key, "vlek") == 0;
    if (maker_of(setup.tee) == NULL)
        return atls_fail(err, ATLS_E_CONFIG, "%s: technology %s", folder, tee);
    if ((code = setup_settle(&setup, err)) != ATLS_OK)
        return code;
    snprintf(again, sizeof again, WORLD_OPTIONS, tee, line, key, setup.quote_version, setup.time_s);
    if (strcmp(again, text) != 0)
        return atls_fail(err, ATLS_E_CONFIG, "%s: file \"world\" was changed", folder);
    *out = setup;
    return ATLS_OK;
}

static void world_describe(struct atls_sim_world *w)
{
    if (w->setup.tee == ATLS_SIM_SNP)
        snprintf(w->name, sizeof w->name, "snp %s%s", w->setup.line, w->setup.vlek ? " vlek" : "");
    else if (w->setup.tee == ATLS_SIM_TDX)
        snprintf(w->name, sizeof w->name, "tdx quote %u", w->setup.quote_version);
    else
        snprintf(w->name, sizeof w->name, "%s", atls_sim_tee_name(w->setup.tee));
}

enum atls_code atls_sim_world_open(const char *directory, struct atls_sim_world **out,
                                   struct atls_err *err)
{
    struct atls_sim_world *w = calloc(1, sizeof *w);
    struct atls_sim_state state;
    enum atls_code code;

    if (w == NULL || (w->folder = strdup(directory)) == NULL) {
        free(w);
        return atls_fail(err, ATLS_E_NOMEM, "out of memory");
    }
    pthread_mutex_init(&w->lock, NULL);
    if ((code = setup_read(directory, &w->setup, err)) == ATLS_OK) {
        w->maker = maker_of(w->setup.tee);
        world_describe(w);
        if ((code = atls_sim_world_state(w, &state, err)) == ATLS_OK)
            code = w->maker->open(directory, &w->setup, &w->self, err);
    }
    if (code != ATLS_OK) {
        atls_sim_world_free(w);
        return code;
    }
    *out = w;
    return ATLS_OK;
}

void atls_sim_world_free(struct atls_sim_world *world)
{
    if (world == NULL)
        return;
    if (world->maker != NULL)
        world->maker->close(world->self);
    pthread_mutex_destroy(&world->lock);
    free(world->folder);
    free(world);
}

enum atls_sim_tee atls_sim_world_tee(const struct atls_sim_world *world)
{
    return world->setup.tee;
}

const char *atls_sim_world_name(const struct atls_sim_world *world)
{
    return world->name;
}

const char *atls_sim_world_provider_name(const struct atls_sim_world *world)
{
    return world->maker->provider;
}

/* ---- making ---- */

/* The directory itself: new, or there and empty (else one of the folders below exists). */
static enum atls_code directory_make(const char *directory, struct atls_err *err)
{
    static const struct {
        const char *name;
        unsigned int mode;
    } folders[] = {{"keys", 0700},
                   {"machine", 0755},
                   {"roots", 0755},
                   {"reference", 0755},
                   {"collateral", 0755}};
    enum atls_code code;

    if (mkdir(directory, 0755) != 0 && errno != EEXIST)
        return atls_fail_errno(err, errno, "%s", directory);
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        if ((code = atls_sim_folder_make(directory, folders[i].name, folders[i].mode, err)) !=
            ATLS_OK)
            return code;
    return ATLS_OK;
}

static enum atls_code state_write(const char *folder, const struct atls_sim_state *state,
                                  struct atls_err *err)
{
    struct atls_buf text = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = atls_sim_state_write(state, &text, err)) != ATLS_OK)
        return code;
    code = atls_sim_folder_write(folder, "state", atls_buf_bytes(&text), ATLS_SIM_PUBLIC, err);
    atls_buf_clear(&text);
    return code;
}

enum atls_code atls_sim_world_make(const char *directory, const struct atls_sim_setup *setup,
                                   struct atls_sim_world **out, struct atls_err *err)
{
    const struct atls_sim_maker *maker = maker_of(setup->tee);
    struct atls_sim_setup settled = *setup;
    struct atls_sim_world *world = NULL;
    struct atls_sim_state state;
    enum atls_code code;

    if (maker == NULL)
        return atls_fail(err, ATLS_E_CONFIG, "no such technology, want snp, tdx or cca");
    if ((code = setup_settle(&settled, err)) != ATLS_OK)
        return code;
    atls_sim_state_init(&state, settled.tee);
    if ((code = directory_make(directory, err)) != ATLS_OK ||
        (code = maker->make(directory, &settled, err)) != ATLS_OK ||
        (code = state_write(directory, &state, err)) != ATLS_OK ||
        (code = setup_write(directory, &settled, err)) != ATLS_OK ||
        (code = atls_sim_world_open(directory, &world, err)) != ATLS_OK)
        return code;
    if ((code = atls_sim_world_publish(world, settled.time_s, err)) != ATLS_OK) {
        atls_sim_world_free(world);
        return code;
    }
    *out = world;
    return ATLS_OK;
}

/* ---- orders ---- */

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Under the lock: reads the file again when it is another one. */
static enum atls_code state_refresh(struct atls_sim_world *w, struct atls_err *err)
{
    struct atls_buf text = ATLS_BUF_INIT;
    char path[ATLS_SIM_PATH_MAX];
    struct atls_sim_state state;
    struct stat now = {0};
    enum atls_code code;

    if (snprintf(path, sizeof path, "%s/state", w->folder) >= (int)sizeof path)
        return atls_fail(err, ATLS_E_LIMIT, "path too long");
    if (stat(path, &now) != 0)
        return atls_fail_errno(err, errno, "%s", path);
    if (w->state.tee == w->setup.tee && same_file(&now, &w->read))
        return ATLS_OK;
    if ((code = atls_sim_folder_read(w->folder, "state", &text, err)) != ATLS_OK)
        return code;
    atls_sim_state_init(&state, w->setup.tee);
    code = atls_sim_state_read(&state, atls_buf_bytes(&text), err);
    atls_buf_clear(&text);
    if (code != ATLS_OK)
        return atls_err_prefix(err, code, path);
    w->state = state;
    w->read = now;
    return ATLS_OK;
}

enum atls_code atls_sim_world_state(struct atls_sim_world *world, struct atls_sim_state *out,
                                    struct atls_err *err)
{
    enum atls_code code;

    pthread_mutex_lock(&world->lock);
    if ((code = state_refresh(world, err)) == ATLS_OK)
        *out = world->state;
    pthread_mutex_unlock(&world->lock);
    return code;
}

/* Changes the orders by what change does to them, while no other process does. */
static enum atls_code state_change(struct atls_sim_world *w,
                                   enum atls_code (*change)(struct atls_sim_state *state,
                                                            void *context, struct atls_err *err),
                                   void *context, struct atls_err *err)
{
    struct atls_sim_state before, state;
    enum atls_code code;
    int fd = -1;

    if ((code = atls_sim_folder_lock(w->folder, &fd, err)) != ATLS_OK)
        return code;
    if ((code = atls_sim_world_state(w, &before, err)) == ATLS_OK) {
        state = before;
        code = change(&state, context, err);
        if (code == ATLS_OK && memcmp(&state, &before, sizeof state) != 0)
            code = state_write(w->folder, &state, err);
    }
    atls_sim_folder_unlock(fd);
    return code;
}

struct orders {
    const char *const *orders;
    size_t count;
};

static enum atls_code take_orders(struct atls_sim_state *state, void *context, struct atls_err *err)
{
    const struct orders *o = context;
    enum atls_code code;

    for (size_t i = 0; i < o->count; i++)
        if ((code = atls_sim_state_set(state, o->orders[i], err)) != ATLS_OK)
            return code;
    return ATLS_OK;
}

enum atls_code atls_sim_world_order(struct atls_sim_world *world, const char *const *orders,
                                    size_t count, struct atls_err *err)
{
    struct orders o = {orders, count};

    return state_change(world, take_orders, &o, err);
}

enum atls_code atls_sim_world_publish(struct atls_sim_world *world, int64_t time_s,
                                      struct atls_err *err)
{
    struct atls_sim_state state;
    enum atls_code code;

    if ((code = atls_sim_world_state(world, &state, err)) != ATLS_OK)
        return code;
    return world->maker->publish(world->self, world->folder, &state, time_s, err);
}

/* ---- evidence ---- */

struct moment {
    struct atls_sim_state state; /* after it was taken from */
    int fault;
};

static enum atls_code take_moment(struct atls_sim_state *state, void *context, struct atls_err *err)
{
    struct moment *m = context;

    (void)err;
    m->fault = atls_sim_state_take_fault(state);
    m->state = *state;
    return ATLS_OK;
}

static void wait_ms(uint64_t ms)
{
    struct timespec left = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};

    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

static enum atls_code fail_as(int number, int *out_errno, struct atls_err *err, const char *what)
{
    enum atls_code code = atls_fail_errno(err, number, "%s", what);

    *out_errno = number;
    (void)code;
    if (err != NULL)
        err->code = ATLS_E_DEVICE;
    return ATLS_E_DEVICE;
}

static void truncate_outblob(struct atls_sim_blobs *blobs, uint64_t len)
{
    if (len > 0 && len < blobs->outblob.len)
        blobs->outblob.len = (size_t)len;
}

enum atls_code atls_sim_world_evidence(struct atls_sim_world *world,
                                       const struct atls_sim_request *request,
                                       struct atls_sim_blobs *out, int *out_errno,
                                       struct atls_err *err)
{
    struct atls_sim_blobs blobs = {0};
    struct moment now = {0};
    enum atls_code code;

    *out_errno = EIO;
    if (request->inblob.len < world->maker->inblob_least ||
        request->inblob.len > ATLS_SIM_INBLOB_MAX)
        return fail_as(EINVAL, out_errno, err, "length of inblob");
    if ((code = state_change(world, take_moment, &now, err)) != ATLS_OK)
        return code;
    wait_ms(atls_sim_state_number(&now.state, ATLS_SIM_ORDER_DELAY));
    if (now.fault != 0)
        return fail_as(now.fault, out_errno, err, "a fault that was ordered");
    code = world->maker->evidence(world->self, &now.state, request, &blobs, err);
    if (code != ATLS_OK) {
        atls_sim_blobs_clear(&blobs);
        if (code == ATLS_E_USAGE)
            *out_errno = EINVAL;
        return code;
    }
    truncate_outblob(&blobs, atls_sim_state_number(&now.state, ATLS_SIM_ORDER_TRUNCATE));
    *out = blobs;
    *out_errno = 0;
    return ATLS_OK;
}

/* ---- the service ---- */

enum atls_code atls_sim_world_answer(struct atls_sim_world *world,
                                     const struct atls_sim_question *question,
                                     struct atls_sim_answer *out, struct atls_err *err)
{
    struct atls_sim_answer answer = {.status = 404};
    struct atls_sim_state state;
    enum atls_code code;

    if ((code = atls_sim_world_state(world, &state, err)) != ATLS_OK)
        return code;
    if (atls_sim_state_is(&state, ATLS_SIM_ORDER_SERVICE, "busy"))
        answer.status = 429;
    else if (atls_sim_state_is(&state, ATLS_SIM_ORDER_SERVICE, "down"))
        answer.status = 503;
    else if (world->maker->answer != NULL &&
             (code = world->maker->answer(world->self, world->folder, question, &answer, err)) !=
                 ATLS_OK)
        return code;
    *out = answer;
    return ATLS_OK;
}

/* ---- behind a tree ---- */

static void say(const struct atls_sim_world *w, const struct atls_err *err)
{
    if (w->say != NULL)
        w->say(err->message);
}

static unsigned int provider_floor(void *context)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_sim_state state;

    if (atls_sim_world_state(context, &state, &err) != ATLS_OK) {
        say(context, &err);
        return 0;
    }
    return (unsigned int)atls_sim_state_number(&state, ATLS_SIM_ORDER_VMPL_FLOOR);
}

static bool provider_visible(void *context, enum atls_sim_tree_attribute attribute)
{
    const struct atls_sim_maker *maker = ((struct atls_sim_world *)context)->maker;
    unsigned int bit = 1u << attribute;

    return (maker->attributes & bit) != 0 ||
           ((maker->at_a_floor & bit) != 0 && provider_floor(context) > 0);
}

static enum atls_code take_race(struct atls_sim_state *state, void *context, struct atls_err *err)
{
    (void)err;
    *(bool *)context = atls_sim_state_take_race(state);
    return ATLS_OK;
}

static bool provider_raced(void *context)
{
    struct atls_err err = ATLS_ERR_INIT;
    bool raced = false;

    if (state_change(context, take_race, &raced, &err) != ATLS_OK) {
        say(context, &err);
        return false;
    }
    return raced;
}

static int provider_report(void *context, const struct atls_sim_request *request,
                           struct atls_sim_blobs *out)
{
    struct atls_err err = ATLS_ERR_INIT;
    int number = EIO;

    if (atls_sim_world_evidence(context, request, out, &number, &err) == ATLS_OK)
        return 0;
    say(context, &err);
    return -number;
}

struct atls_sim_provider atls_sim_world_provider(struct atls_sim_world *world,
                                                 void (*say_to)(const char *message))
{
    struct atls_sim_provider provider = {.context = world,
                                         .name = world->maker->provider,
                                         .floor = provider_floor,
                                         .visible = provider_visible,
                                         .raced = provider_raced,
                                         .report = provider_report};

    world->say = say_to;
    return provider;
}
