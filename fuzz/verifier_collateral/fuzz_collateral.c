/* What services of makers send: the first byte says what it is taken for. What becomes a document
 * must be one of its kind again, and keep its form. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/reader.h"
#include "store/collateral_document.h"
#include "verifier/collateral/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void try_document(enum atls_collateral_kind kind, struct atls_bytes body)
{
    struct atls_buf out = ATLS_BUF_INIT, again = ATLS_BUF_INIT;
    struct store_collateral_dates dates = {false, false, 0, 0};

    if (collateral_document_of(kind, body, &out, NULL) != ATLS_OK) {
        require(out.ptr == NULL);
        return;
    }
    if (store_collateral_read(kind, atls_buf_bytes(&out), &dates, NULL) == ATLS_OK) {
        require(collateral_document_of(kind, atls_buf_bytes(&out), &again, NULL) == ATLS_OK);
        require(atls_bytes_equal(atls_buf_bytes(&out), atls_buf_bytes(&again)));
    }
    atls_buf_clear(&again);
    atls_buf_clear(&out);
}

static void try_chain(struct atls_bytes value)
{
    struct atls_buf out = ATLS_BUF_INIT;
    struct store_collateral_dates dates;

    if (collateral_chain_of(value, &out, NULL) == ATLS_OK)
        require(store_collateral_read(ATLS_COLLATERAL_TDX_TCB_CHAIN, atls_buf_bytes(&out), &dates,
                                      NULL) == ATLS_OK);
    atls_buf_clear(&out);
}

/* A file name and the subject in it. */
static void try_name(struct atls_bytes name)
{
    char text[512], subject[ATLS_COLLATERAL_SUBJECT_MAX + 1], file[ATLS_COLLATERAL_FILE_MAX];
    struct atls_collateral_query query = {ATLS_COLLATERAL_NONE, subject};
    struct collateral_request request;
    const struct atls_collateral_row *row;

    if (name.len >= sizeof text || memchr(name.ptr, 0, name.len) != NULL)
        return;
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    if ((row = atls_collateral_row_of_file(text, subject)) == NULL)
        return;
    query.kind = row->kind;
    atls_collateral_file_name(&query, file);
    require(strcmp(file, text) == 0);
    if (collateral_request_of(&query, &request, NULL) == ATLS_OK)
        require(request.path[0] == '/' && strlen(request.path) + 1 < COLLATERAL_PATH_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_bytes rest;

    if (size < 2)
        return 0;
    rest = atls_bytes_of(data + 1, size - 1);
    if (data[0] == 0)
        try_chain(rest);
    else if (data[0] == 1)
        try_name(rest);
    else
        try_document((enum atls_collateral_kind)(1 + data[0] % ATLS_COLLATERAL_LAST), rest);
    return 0;
}
