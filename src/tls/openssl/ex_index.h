/* Indexes of what hangs on objects of OpenSSL. */
#ifndef ATLS_TLS_OPENSSL_EX_INDEX_H
#define ATLS_TLS_OPENSSL_EX_INDEX_H

#include <pthread.h>
#include <stdatomic.h>

struct atls_ex_index {
    pthread_mutex_t mutex;
    atomic_int index;
};
#define ATLS_EX_INDEX_INIT                                                                         \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, -1                                                              \
    }

/* The index, made by the first call that succeeds; -1 when there was no memory for it, which
 * OpenSSL takes for an index where nothing hangs. Any thread. */
static inline int atls_ex_index_get(struct atls_ex_index *x, int (*make)(void))
{
    int index = atomic_load(&x->index);

    if (index >= 0)
        return index;
    (void)pthread_mutex_lock(&x->mutex);
    if ((index = atomic_load(&x->index)) < 0)
        atomic_store(&x->index, index = make());
    (void)pthread_mutex_unlock(&x->mutex);
    return index;
}

#endif
