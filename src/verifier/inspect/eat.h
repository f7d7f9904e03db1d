/* What the views of EAT share. Not for others. */
#ifndef ATLS_VERIFIER_INSPECT_EAT_H
#define ATLS_VERIFIER_INSPECT_EAT_H

#include "verifier/inspect/view.h"
#include "wire/eat.h"

/* Four times the largest evidence that is carried. */
#define ATLS_EAT_ARENA_MAX (1u << 20)

/* A claims set on its way out. */
struct atls_eat_shown {
    struct atls_view *v;
    struct atls_arena *arena;
    bool is_json;
};

void atls_eat_show_claims(const struct atls_eat_shown *s, const char *key,
                          const struct atls_eat_claims *c);
/* A nested token, looked into where that works. */
void atls_eat_show_token(const struct atls_eat_shown *s, const char *key,
                         enum atls_eat_submod_kind kind, struct atls_bytes token);

#endif
