/* What atls-verifierd does as a process: appraisals over HTTP, two requests each, against the two
 * signature checks that the evidence of a TPM cannot do without, timed in the same run.
 *
 *     bench_verifierd [--postgres] [--seconds N] [--connections N] [--program PATH]
 *     bench_verifierd --flood
 *     bench_verifierd --material DIR                      writes what a peer is endorsed with
 *     bench_verifierd --peer PORT --pids PID,PID --material DIR
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atls/limits.h>

#include "bench.h"
#include "daemon.h"
#include "load.h"
#include "postgres.h"
#include "verifier/remote/pack.h"
#include "world.h"

#define ROUNDS 15
/* More than a run opens. */
#define SESSIONS_AMPLE "max: 1000000"
#define PIDS_MAX       8

struct options {
    const char *program, *material;
    bool postgres, flood;
    uint16_t peer;
    pid_t pids[PIDS_MAX];
    size_t pid_count, connections;
    double seconds; /* of one round */
};

/* One round: load, and the primitives right after it. */
struct round {
    double rate, cpu_ns, database_ns; /* of one appraisal */
    double verify_two_ns;
};

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(const struct round *rounds, double (*get)(const struct round *r))
{
    double values[ROUNDS];

    for (size_t i = 0; i < ROUNDS; i++)
        values[i] = get(&rounds[i]);
    qsort(values, ROUNDS, sizeof values[0], ascending);
    return values[ROUNDS / 2];
}

static double rate_of(const struct round *r)
{
    return r->rate;
}

static double cpu_of(const struct round *r)
{
    return r->cpu_ns;
}

static double database_of(const struct round *r)
{
    return r->database_ns;
}

static double verify_of(const struct round *r)
{
    return r->verify_two_ns;
}

/* Rate per core against the primitives', of one round. */
static double ratio_of(const struct round *r)
{
    return r->verify_two_ns / r->cpu_ns;
}

/* ---- under load ---- */

struct target {
    const char *name;
    struct load *load;
    const pid_t *pids;
    size_t pid_count;
    struct round rounds[ROUNDS];
};

static double cpu_ns(const struct target *t)
{
    double sum = 0;

    for (size_t i = 0; i < t->pid_count; i++)
        sum += process_cpu_ns(t->pids[i]);
    return sum;
}

static struct round one_round(const struct target *t, double seconds,
                              struct world_signature *signature)
{
    struct bench primitive = {"two checks", world_run_verify_two, signature, 0, 0};
    double cpu = cpu_ns(t), database = postgres_cpu_ns();
    struct load_result result = load_saturate(t->load, seconds);
    struct round r = {
        .rate = (double)result.count / result.seconds,
        .cpu_ns = (cpu_ns(t) - cpu) / (double)result.count,
        .database_ns = (postgres_cpu_ns() - database) / (double)result.count,
    };

    free(result.latencies_ns);
    bench_run(&primitive, 1, 5, 20);
    r.verify_two_ns = primitive.median_ns;
    return r;
}

static void print_target(const struct target *t)
{
    double cpu = median(t->rounds, cpu_of), database = median(t->rounds, database_of);

    printf("%s: %.0f appraisals a second at saturation\n", t->name, median(t->rounds, rate_of));
    printf("  CPU of the service            %9.2f us an appraisal: %.0f a second and core\n",
           cpu / 1e3, 1e9 / cpu);
    printf("  two ECDSA P-256 checks        %9.2f us: %.0f a second and core\n",
           median(t->rounds, verify_of) / 1e3, 1e9 / median(t->rounds, verify_of));
    printf("  rate per core                 %9.2f of that of the two checks\n",
           median(t->rounds, ratio_of));
    if (database > 0)
        printf("  CPU of the database           %9.2f us an appraisal\n", database / 1e3);
}

static void print_latency(struct target *t, double seconds)
{
    double rate = median(t->rounds, rate_of) / 2;
    struct load_result r = load_pace(t->load, rate, seconds);
    double p50 = load_percentile(&r, 50), p99 = load_percentile(&r, 99);

    printf("  latency at %.0f a second: p50 %.0f us, p99 %.0f us: %.1f times\n",
           (double)r.count / r.seconds, p50 / 1e3, p99 / 1e3, p99 / p50);
    free(r.latencies_ns);
}

/* ---- what is sent ---- */

static void make_materials(const struct world *w, struct load_material *out)
{
    for (size_t i = 0; i < WORLD_MACHINES; i++)
        out[i] = load_material_make(w->machines[i].nonce, ATLS_BUNDLE_MEDIA_TYPE,
                                    w->machines[i].evidence.ptr, w->machines[i].evidence.len);
}

static struct atls_packed pack(const struct world_machine *m)
{
    static const char type[] = ATLS_PARSEC_TPM_MEDIA_TYPE;
    const struct atls_bytes types = atls_bytes_of(type, sizeof type - 1);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_packed packed;

    if (atls_pack(atls_buf_bytes(&m->evidence), atls_bytes_of(m->nonce, sizeof m->nonce), &types, 1,
                  &packed, &err) != ATLS_OK)
        world_die("packing evidence", &err);
    return packed;
}

static void write_file(const char *folder, const char *name, const void *bytes, size_t len)
{
    char path[512];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    if ((f = fopen(path, "wb")) == NULL || fwrite(bytes, 1, len, f) != len || fclose(f) != 0)
        world_die(path, NULL);
}

static struct atls_buf read_file(const char *folder, const char *name)
{
    struct atls_buf out = {malloc(65536), 0};
    char path[512];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (out.ptr == NULL || (f = fopen(path, "rb")) == NULL)
        world_die(path, NULL);
    out.len = fread(out.ptr, 1, 65536, f);
    fclose(f);
    return out;
}

/* What is to be known of one machine to endorse it elsewhere, and what it says. */
static int write_material(const struct world *w, const char *folder)
{
    const struct world_machine *m = &w->machines[0];
    struct atls_packed packed = pack(m);
    struct atls_buf pem = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t kid[ATLS_TPM_KID_LEN], pcrs[WORLD_PCRS * 32];

    test_tpm_ueid(&m->parts.ak, kid);
    for (size_t i = 0; i < WORLD_PCRS; i++)
        memcpy(pcrs + 32 * i, m->parts.banks[0].values[i].ptr, 32);
    if (atls_key_to_pem(atls_private_key_public(m->parts.ak.private_key), &pem, &err) != ATLS_OK)
        world_die("attestation key", &err);
    write_file(folder, "nonce", m->nonce, sizeof m->nonce);
    write_file(folder, "evidence", packed.body.ptr, packed.body.len);
    write_file(folder, "ak.pem", pem.ptr, pem.len);
    write_file(folder, "kid", kid, sizeof kid);
    write_file(folder, "pcrs", pcrs, sizeof pcrs);
    atls_buf_clear(&pem);
    atls_packed_clear(&packed);
    return 0;
}

/* ---- runs ---- */

struct peer {
    struct target target;
    struct load_material material;
    struct atls_buf nonce, evidence;
};

static void open_peer(struct peer *p, const struct options *o)
{
    p->nonce = read_file(o->material, "nonce");
    p->evidence = read_file(o->material, "evidence");
    p->material = load_material_make(p->nonce.ptr, ATLS_PARSEC_TPM_MEDIA_TYPE, p->evidence.ptr,
                                     p->evidence.len);
    p->target = (struct target){.name = "peer",
                                .load = load_new(o->peer, o->connections, &p->material, 1),
                                .pids = o->pids,
                                .pid_count = o->pid_count};
}

static void close_peer(struct peer *p)
{
    load_free(p->target.load);
    load_material_clear(&p->material);
    atls_buf_clear(&p->nonce);
    atls_buf_clear(&p->evidence);
}

static void compare(const struct target *ours, const struct target *peer)
{
    printf("peer: CPU of an appraisal is %.1f times ours, our rate at saturation is %.1f times "
           "its\n",
           median(peer->rounds, cpu_of) / median(ours->rounds, cpu_of),
           median(ours->rounds, rate_of) / median(peer->rounds, rate_of));
}

static void measure(const struct options *o, struct target *ours)
{
    struct world_signature signature;
    struct load_result warm;
    struct peer peer;

    world_signature_make(&signature);
    if (o->peer != 0)
        open_peer(&peer, o);
    warm = load_saturate(ours->load, o->seconds);
    free(warm.latencies_ns);
    for (size_t i = 0; i < ROUNDS; i++) {
        ours->rounds[i] = one_round(ours, o->seconds, &signature);
        if (o->peer != 0)
            peer.target.rounds[i] = one_round(&peer.target, o->seconds, &signature);
    }
    print_target(ours);
    print_latency(ours, o->seconds * 10);
    if (o->peer != 0) {
        print_target(&peer.target);
        print_latency(&peer.target, o->seconds * 10);
        compare(ours, &peer.target);
        close_peer(&peer);
    }
    world_signature_clear(&signature);
}

static void run(const struct world *w, const struct options *o)
{
    struct load_material materials[WORLD_MACHINES];
    struct test_postgres *postgres = NULL;
    struct target ours = {.name = "SQLite", .pid_count = 1};
    struct daemon d;
    char store[192];

    daemon_prepare(&d);
    snprintf(store, sizeof store, "%s/store.db", d.folder);
    if (o->postgres) {
        if ((postgres = test_postgres_new()) == NULL)
            exit(77);
        ours.name = "PostgreSQL";
        snprintf(store, sizeof store, "%s&sslmode=disable", test_postgres_uri(postgres));
    }
    world_store(w, store);
    daemon_start(&d, o->program, store, "rate: 0", SESSIONS_AMPLE);
    make_materials(w, materials);
    ours.load = load_new(d.port, o->connections, materials, WORLD_MACHINES);
    ours.pids = &d.pid;
    measure(o, &ours);
    printf("  resident memory               %9ld KiB, at most %ld\n", process_rss_kib(d.pid),
           process_peak_kib(d.pid));
    load_free(ours.load);
    for (size_t i = 0; i < WORLD_MACHINES; i++)
        load_material_clear(&materials[i]);
    daemon_stop(&d);
    test_postgres_free(postgres);
}

/* ---- floods ---- */

#define FLOOD_SESSIONS 100000
#define FLOOD_BODIES   128
#define BODIES_MIB     16
#define SESSIONS_MAX   10000

static void flood_sessions(const struct daemon *d, const struct options *o,
                           const struct load_material *materials)
{
    struct load *l = load_new(d->port, o->connections, materials, WORLD_MACHINES);
    long before = process_rss_kib(d->pid);
    double cpu = process_cpu_ns(d->pid);
    size_t opened = 0, refused = 0;

    load_open_sessions(l, FLOOD_SESSIONS, &opened, &refused);
    printf("flood of %d sessions, at most %d open: %zu opened, %zu refused\n"
           "  resident memory               %9ld KiB before, %ld after\n"
           "  CPU of the service            %9.2f us a request\n",
           FLOOD_SESSIONS, SESSIONS_MAX, opened, refused, before, process_rss_kib(d->pid),
           (process_cpu_ns(d->pid) - cpu) / FLOOD_SESSIONS / 1e3);
    load_free(l);
}

/* All but the last byte of each: none is answered yet. */
static void flood_bodies(const struct daemon *d, size_t count, size_t size)
{
    long before = process_rss_kib(d->pid);
    size_t refused;
    struct load_bodies *bodies = load_hold_bodies(d->port, count, size, &refused);

    printf("flood of %zu bodies of %zu KiB at once, at most %d MiB of them kept\n"
           "  resident memory               %9ld KiB before, %ld with them, at most %ld\n",
           count, size >> 10, BODIES_MIB, before, process_rss_kib(d->pid),
           process_peak_kib(d->pid));
    load_drop_bodies(bodies);
}

static void flood(const struct world *w, const struct options *o)
{
    struct load_material materials[WORLD_MACHINES];
    struct daemon d;
    char store[64], limits[64], sessions[64];

    daemon_prepare(&d);
    snprintf(store, sizeof store, "%s/store.db", d.folder);
    snprintf(limits, sizeof limits, "rate: 0, bodies: %d", BODIES_MIB << 20);
    snprintf(sessions, sizeof sessions, "max: %d", SESSIONS_MAX);
    world_store(w, store);
    daemon_start(&d, o->program, store, limits, sessions);
    make_materials(w, materials);
    flood_bodies(&d, FLOOD_BODIES, ATLS_CMW_DATA_MAX);
    flood_bodies(&d, FLOOD_BODIES, (size_t)1 << 20);
    flood_sessions(&d, o, materials);
    for (size_t i = 0; i < WORLD_MACHINES; i++)
        load_material_clear(&materials[i]);
    daemon_stop(&d);
}

/* ---- options ---- */

static void default_program(char *out, size_t size)
{
    ssize_t len = readlink("/proc/self/exe", out, size - 1);
    char *at;

    if (len <= 0)
        world_die("/proc/self/exe", NULL);
    out[len] = '\0';
    for (int i = 0; i < 2; i++)
        if ((at = strrchr(out, '/')) != NULL)
            *at = '\0';
    len = (ssize_t)strlen(out);
    snprintf(out + len, size - (size_t)len, "/apps/atls-verifierd");
}

static void read_pids(struct options *o, char *text)
{
    for (char *at = strtok(text, ","); at != NULL && o->pid_count < PIDS_MAX;
         at = strtok(NULL, ","))
        o->pids[o->pid_count++] = atoi(at);
}

static struct options read_options(int argc, char **argv)
{
    static const struct option names[] = {
        {"postgres", no_argument, NULL, 'p'},
        {"flood", no_argument, NULL, 'f'},
        {"seconds", required_argument, NULL, 's'},
        {"connections", required_argument, NULL, 'c'},
        {"program", required_argument, NULL, 'x'},
        {"material", required_argument, NULL, 'm'},
        {"peer", required_argument, NULL, 'e'},
        {"pids", required_argument, NULL, 'i'},
        {NULL, 0, NULL, 0},
    };
    struct options o = {.connections = 16, .seconds = 0.4};
    int c;

    while ((c = getopt_long(argc, argv, "", names, NULL)) >= 0) {
        switch (c) {
        case 'p':
            o.postgres = true;
            break;
        case 'f':
            o.flood = true;
            break;
        case 's':
            o.seconds = strtod(optarg, NULL);
            break;
        case 'c':
            o.connections = strtoul(optarg, NULL, 10);
            break;
        case 'x':
            o.program = optarg;
            break;
        case 'm':
            o.material = optarg;
            break;
        case 'e':
            o.peer = (uint16_t)strtoul(optarg, NULL, 10);
            break;
        case 'i':
            read_pids(&o, optarg);
            break;
        default:
            exit(2);
        }
    }
    if (o.connections == 0 || !(o.seconds > 0) ||
        (o.peer != 0 && (o.material == NULL || o.pid_count == 0)))
        world_die("usage: --peer PORT --pids PID,... --material DIR", NULL);
    return o;
}

int main(int argc, char **argv)
{
    static char program[512];
    struct options o = read_options(argc, argv);
    struct world *w = calloc(1, sizeof *w);

    if (w == NULL)
        world_die("memory", NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    default_program(program, sizeof program);
    if (o.program == NULL)
        o.program = program;
    world_make(w);
    if (o.material != NULL && o.peer == 0)
        write_material(w, o.material);
    else if (o.flood)
        flood(w, &o);
    else
        run(w, &o);
    world_clear(w);
    free(w);
    return 0;
}
