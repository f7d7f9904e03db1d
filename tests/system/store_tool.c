/* Stores for the tests of the daemon: store_tool init LOCATION | anchor LOCATION FILE | key
 * LOCATION USE_FROM | copy FROM TO | dump LOCATION. Prints what a test wants to know. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <atls/store.h>

static struct atls_store *open_store(const char *location, enum atls_store_mode mode)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_store_options options;
    struct atls_store *s = NULL;

    atls_store_options_init(&options);
    options.mode = mode;
    if (atls_store_open_with(location, &options, &s, &err) != ATLS_OK) {
        fprintf(stderr, "store_tool: %s\n", err.message);
        exit(1);
    }
    return s;
}

static int new_key(struct atls_store *s, int64_t use_from_s, struct atls_err *err)
{
    char kid[ATLS_KID_TEXT];

    if (atls_store_new_signing_key(s, ATLS_KEY_P256, use_from_s, kid, err) != ATLS_OK)
        return 1;
    puts(kid);
    return 0;
}

/* Anchors of attestation keys. */
static int anchor(struct atls_store *s, const char *path, struct atls_err *err)
{
    char pem[65536];
    FILE *f = fopen(path, "r");
    size_t len = f != NULL ? fread(pem, 1, sizeof pem, f) : 0;

    if (f != NULL)
        fclose(f);
    return atls_store_import_anchors(s, ATLS_ANCHOR_AK, atls_bytes_of(pem, len), NULL, NULL, err) !=
           ATLS_OK;
}

static int dump(struct atls_store *s, struct atls_err *err)
{
    struct atls_buf json = ATLS_BUF_INIT;

    if (atls_store_export_json(s, &json, err) != ATLS_OK)
        return 1;
    fwrite(json.ptr, 1, json.len, stdout);
    atls_buf_clear(&json);
    return 0;
}

static int copy(struct atls_store *from, struct atls_store *to, struct atls_err *err)
{
    struct atls_buf json = ATLS_BUF_INIT;
    int status = atls_store_export_json_with_keys(from, &json, err) != ATLS_OK ||
                 atls_store_import_json(to, atls_buf_bytes(&json), err) != ATLS_OK;

    atls_buf_clear(&json);
    return status;
}

int main(int argc, char **argv)
{
    struct atls_store *s = NULL, *to = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    int status = 0;

    if (argc < 3)
        return 1;
    s = open_store(argv[2], strcmp(argv[1], "init") == 0   ? ATLS_STORE_CREATE
                            : strcmp(argv[1], "dump") == 0 ? ATLS_STORE_READ
                                                           : ATLS_STORE_WRITE);
    if (strcmp(argv[1], "key") == 0 && argc == 4) {
        status = new_key(s, strtoll(argv[3], NULL, 10), &err);
    } else if (strcmp(argv[1], "anchor") == 0 && argc == 4) {
        status = anchor(s, argv[3], &err);
    } else if (strcmp(argv[1], "copy") == 0 && argc == 4) {
        to = open_store(argv[3], ATLS_STORE_WRITE);
        status = copy(s, to, &err);
    } else if (strcmp(argv[1], "dump") == 0) {
        status = dump(s, &err);
    }
    if (status != 0)
        fprintf(stderr, "store_tool: %s\n", err.message);
    atls_store_close(to);
    atls_store_close(s);
    return status;
}
