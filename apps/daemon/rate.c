#include "rate.h"

#include <netinet/in.h>
#include <pthread.h>
#include <string.h>

#include <openssl/rand.h>

/* Sets of eight: a new client takes the place of the one in its set that was seen longest ago,
 * which has a full bucket again soon anyway. An attacker cannot aim at a set: the hash is keyed. */
#define SETS 1024
#define WAYS 8

static struct {
    pthread_mutex_t lock;
    int64_t rate, burst;
    uint64_t key[2];
    bool keyed;
    struct bucket {
        uint64_t client; /* 0: free */
        int64_t seen_ms;
        int64_t millis; /* thousandths of a request that are left */
    } buckets[SETS][WAYS];
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

void rate_setup(int64_t rate, int64_t burst)
{
    pthread_mutex_lock(&state.lock);
    state.rate = rate;
    state.burst = burst;
    if (!state.keyed && RAND_bytes((unsigned char *)state.key, sizeof state.key) == 1)
        state.keyed = true;
    memset(state.buckets, 0, sizeof state.buckets);
    pthread_mutex_unlock(&state.lock);
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Never 0 for an address that is limited. */
static uint64_t client_of(const struct sockaddr *address)
{
    uint64_t id = 0;

    if (address == NULL)
        return 0;
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, address, sizeof in);
        id = UINT64_C(0xffff00000000) | in.sin_addr.s_addr;
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, address, sizeof in6);
        memcpy(&id, in6.sin6_addr.s6_addr, 8);
        if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
            uint32_t v4;

            memcpy(&v4, in6.sin6_addr.s6_addr + 12, 4);
            id = UINT64_C(0xffff00000000) | v4;
        }
    } else {
        return 0;
    }
    id = mix(id ^ state.key[0]) ^ state.key[1];
    return id != 0 ? id : 1;
}

static struct bucket *find_bucket(uint64_t client, int64_t now_ms)
{
    struct bucket *set = state.buckets[mix(client) % SETS], *oldest = &set[0];

    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].client == client)
            return &set[i];
        if (set[i].client == 0 || (oldest->client != 0 && set[i].seen_ms < oldest->seen_ms))
            oldest = &set[i];
    }
    *oldest = (struct bucket){client, now_ms, state.burst * 1000};
    return oldest;
}

unsigned rate_take(const struct sockaddr *address, int64_t now_ms)
{
    unsigned wait_s = 0;
    uint64_t client;

    pthread_mutex_lock(&state.lock);
    client = state.rate > 0 ? client_of(address) : 0;
    if (client != 0) {
        struct bucket *b = find_bucket(client, now_ms);
        int64_t passed = now_ms - b->seen_ms;

        if (passed > 0) {
            b->millis = passed > state.burst * 1000 / state.rate ? state.burst * 1000
                                                                 : b->millis + passed * state.rate;
            if (b->millis > state.burst * 1000)
                b->millis = state.burst * 1000;
            b->seen_ms = now_ms;
        }
        if (b->millis >= 1000)
            b->millis -= 1000;
        else
            wait_s = (unsigned)((1000 - b->millis + state.rate * 1000 - 1) / (state.rate * 1000));
    }
    pthread_mutex_unlock(&state.lock);
    return wait_s;
}
