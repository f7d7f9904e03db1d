#include "flavour/base/names.h"

#include "core/reader.h"

bool atls_names_next(struct atls_bytes *list, struct atls_bytes *out_name)
{
    struct atls_reader r = atls_reader_init(*list);

    if (!atls_get_vec(&r, 1, 0xff, out_name))
        return false;
    *list = atls_bytes_of(list->ptr + r.pos, list->len - r.pos);
    return true;
}

bool atls_names_contain(struct atls_bytes list, struct atls_bytes name)
{
    struct atls_bytes one;

    while (atls_names_next(&list, &one))
        if (atls_bytes_equal(one, name))
            return true;
    return false;
}

struct atls_bytes atls_names_common(struct atls_bytes preferred, struct atls_bytes other)
{
    struct atls_bytes one;

    while (atls_names_next(&preferred, &one))
        if (atls_names_contain(other, one))
            return one;
    return atls_bytes_of(NULL, 0);
}

void atls_name_put(struct atls_writer *w, const char *name)
{
    struct atls_mark mark = atls_open_vec(w, 0xff);

    if (name[0] == '\0' && w->failed == ATLS_OK)
        w->failed = ATLS_E_LIMIT;
    atls_put_text(w, name);
    atls_close_vec(w, mark);
}
