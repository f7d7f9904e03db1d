/* A plug-in of a program brings libatls-openssl along and goes again, twice: the key is gone, what
 * OpenSSL still knows of the library's code stays there, and nothing is left behind that a leak
 * checker finds. unload LIBATLS-OPENSSL; fails with a message. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>

#include <atls/attester.h>

/* ISO C converts no object pointers to functions. */
union symbol {
    void *object;
    enum atls_code (*open)(const char *uri, const struct atls_attester_ops *const *backends,
                           const struct atls_attester_options *options, struct atls_attester **out,
                           struct atls_err *err);
    void (*init)(struct atls_attester_options *options);
    void (*unref)(struct atls_attester *a);
    enum atls_code (*use)(SSL_CTX *ctx, struct atls_attester *attester, struct atls_err *err);
};

static union symbol find(void *library, const char *name)
{
    union symbol s = {.object = dlsym(library, name)};

    if (s.object == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return s;
}

static void load_and_unload(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct atls_attester_ops *backends[] = {NULL, NULL};
    struct atls_attester *attester = NULL;
    struct atls_attester_options options;
    struct atls_err err = ATLS_ERR_INIT;
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    if (library == NULL || ctx == NULL) {
        fprintf(stderr, "%s\n", library == NULL ? dlerror() : "no context");
        exit(1);
    }
    backends[0] = find(library, "atls_soft_attester").object;
    find(library, "atls_attester_options_init").init(&options);
    options.insecure = true;
    if (find(library, "atls_attester_open").open("soft:", backends, &options, &attester, &err) !=
            ATLS_OK ||
        find(library, "atls_openssl_use_attester").use(ctx, attester, &err) != ATLS_OK ||
        SSL_CTX_check_private_key(ctx) != 1) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    find(library, "atls_attester_unref").unref(attester);
    SSL_CTX_free(ctx);
    if (dlclose(library) != 0) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    load_and_unload(argv[1]);
    load_and_unload(argv[1]);
    return 0;
}
