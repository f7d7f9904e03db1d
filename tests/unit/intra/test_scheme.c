#include "testlib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/reader.h"
#include "flavour/intra/intra.h"
#include "flavour/intra/scheme.h"
#include "session_pair.h"

/* A configuration that takes evidence of these technologies in these profiles. */
static struct atls_config *taking(const char *const *technologies, const char *const *profiles)
{
    struct pair p;

    pair_init(&p);
    p.client.options.flavour = p.server.options.flavour = ATLS_FLAVOUR_INTRA;
    p.client.attests = false;
    p.client.options.evidence_types = technologies;
    p.client.options.profiles = profiles;
    pair_configure(&p);
    atls_config_unref(p.server.config);
    return p.client.config;
}

/* The encoded list, as text: one scheme a line; media types and "result IDENTITY". */
static void text_of(const struct atls_intra_schemes *schemes, char out[2048])
{
    struct atls_writer w = atls_writer_init(4096);
    struct atls_early_scheme scheme;
    struct atls_bytes list;
    size_t len = 0;

    atls_intra_schemes_put(&w, schemes);
    assert_int_equal(w.failed, ATLS_OK);
    list = atls_writer_bytes(&w);
    out[0] = '\0';
    while (atls_early_next(&list, &scheme)) {
        assert_int_not_equal(scheme.kind, ATLS_EARLY_CONTENT_FORMAT);
        len += (size_t)snprintf(out + len, 2048 - len, "%s%.*s\n",
                                scheme.kind == ATLS_EARLY_RESULT ? "result " : "",
                                (int)scheme.text.len, (const char *)scheme.text.ptr);
        assert_true(len < 2048);
    }
    atls_writer_clear(&w);
}

#define BUNDLE(technology, profile)                                                                \
    "application/vnd.libatls.evidence+cbor; technology=" technology "; profile=" profile "\n"
#define TSM "application/vnd.veraison.tsm-report+cbor\n"

static void what_is_taken(void **state)
{
    static const struct {
        const char *technologies[4], *profiles[5];
        const char *text;
    } rows[] = {
        {{"tpm"}, {NULL}, BUNDLE("tpm", "kat-batch") BUNDLE("tpm", "kat-bundle")},
        {{"tpm", "snp"}, {"kat-bundle"}, BUNDLE("tpm", "kat-bundle") BUNDLE("snp", "kat-bundle")},
        {{"snp"},
         {"bare", "kat-bundle"},
         BUNDLE("snp", "kat-bundle") TSM "application/vnd.amd.sev-snp.attestation-report\n"},
        /* types that technologies share stand there once */
        {{"snp", "tdx"},
         {"bare"},
         TSM "application/vnd.amd.sev-snp.attestation-report\napplication/tdx-quote\n"},
        {{"tpm"}, {"parsec"}, "application/vnd.parallaxsecond.key-attestation.tpm\n"},
        /* of technologies that this build does not know there are bundles only */
        {{"new"}, {"kat-bundle", "bare"}, BUNDLE("new", "kat-bundle")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_config *c =
            taking(rows[i].technologies, rows[i].profiles[0] != NULL ? rows[i].profiles : NULL);
        struct atls_intra_schemes *schemes = calloc(1, sizeof *schemes);
        char text[2048];

        if (schemes == NULL)
            abort();
        assert_int_equal(atls_intra_schemes_peer(c, schemes, NULL), ATLS_OK);
        text_of(schemes, text);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(atls_intra_schemes_own(c, schemes, NULL), ATLS_OK); /* no attester */
        assert_int_equal(schemes->count, 0);
        free(schemes);
        atls_config_unref(c);
    }
}

static void what_is_shown(void **state)
{
    static const struct {
        bool passport, only;
        const char *text;
    } rows[] = {
        {false, false, BUNDLE("fake", "kat-bundle")},
        {true, false, "result verifier.example\n" BUNDLE("fake", "kat-bundle")},
        {true, true, "result verifier.example\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_intra_schemes *schemes = calloc(1, sizeof *schemes);
        char text[2048];
        struct pair p;

        if (schemes == NULL)
            abort();
        pair_init(&p);
        p.client.options.flavour = p.server.options.flavour = ATLS_FLAVOUR_INTRA;
        p.client.requires = false;
        p.client.has_passport = rows[i].passport;
        p.client.options.passport_only = rows[i].only;
        p.client.options.passport_verifier = rows[i].passport ? "verifier.example" : NULL;
        pair_configure(&p);
        assert_int_equal(atls_intra_schemes_own(p.client.config, schemes, NULL), ATLS_OK);
        text_of(schemes, text);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(atls_intra_schemes_peer(p.client.config, schemes, NULL), ATLS_OK);
        assert_int_equal(schemes->count, 0);
        atls_config_unref(p.client.config);
        atls_config_unref(p.server.config);
        free(schemes);
    }
}

/* How others may write what we mean. */
static void spellings(void **state)
{
    static const char *const technologies[] = {"tpm", "psa", NULL};
    static const char *const profiles[] = {"kat-bundle", "bare", NULL};
    static const struct {
        enum atls_early_kind kind;
        const char *text; /* or content_format */
        uint16_t content_format;
        unsigned int profile; /* 0: means nothing to us */
    } rows[] = {
        {ATLS_EARLY_MEDIA_TYPE,
         "application/vnd.libatls.evidence+cbor; technology=tpm; profile=kat-bundle", 0,
         ATLS_PROFILE_KAT},
        {ATLS_EARLY_MEDIA_TYPE,
         "Application/vnd.libatls.Evidence+CBOR;PROFILE=\"kat-bundle\";technology=tpm", 0,
         ATLS_PROFILE_KAT},
        {ATLS_EARLY_MEDIA_TYPE,
         "application/vnd.libatls.evidence+cbor; technology=TPM; profile=kat-bundle", 0, 0},
        {ATLS_EARLY_MEDIA_TYPE,
         "application/vnd.libatls.evidence+cbor; technology=tpm; profile=kat-batch", 0, 0},
        {ATLS_EARLY_MEDIA_TYPE, "application/vnd.libatls.evidence+cbor; technology=tpm", 0, 0},
        {ATLS_EARLY_MEDIA_TYPE,
         "application/vnd.libatls.evidence+cbor; technology=tpm; technology=tpm; "
         "profile=kat-bundle",
         0, 0},
        {ATLS_EARLY_MEDIA_TYPE,
         "application/vnd.libatls.evidence+cbor; technology=tpm; technology=snp; "
         "profile=kat-bundle",
         0, 0},
        {ATLS_EARLY_MEDIA_TYPE,
         "application/eat+cwt; eat_profile=\"tag:psacertified.org,2023:psa#tfm\"", 0,
         ATLS_PROFILE_BARE},
        {ATLS_EARLY_CONTENT_FORMAT, NULL, 10003, ATLS_PROFILE_BARE},
        {ATLS_EARLY_CONTENT_FORMAT, NULL, 263, 0},
        {ATLS_EARLY_CONTENT_FORMAT, NULL, 0xffff, 0},
        {ATLS_EARLY_RESULT, "tpm", 0, 0},
        {ATLS_EARLY_RESULT,
         "application/vnd.libatls.evidence+cbor; technology=tpm; profile=kat-bundle", 0, 0},
    };
    struct atls_config *c = taking(technologies, profiles);
    struct atls_intra_schemes *schemes = calloc(1, sizeof *schemes);

    (void)state;
    if (schemes == NULL)
        abort();
    assert_int_equal(atls_intra_schemes_peer(c, schemes, NULL), ATLS_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_early_scheme encoded = {.kind = rows[i].kind,
                                            .content_format = rows[i].content_format};
        const struct atls_intra_scheme *found;

        if (rows[i].text != NULL)
            encoded.text = atls_bytes_of(rows[i].text, strlen(rows[i].text));
        found = atls_intra_schemes_find(schemes, &encoded);
        if ((found != NULL) != (rows[i].profile != 0) ||
            (found != NULL && found->profile != rows[i].profile))
            fail_msg("%s, %u", rows[i].text != NULL ? rows[i].text : "content-format",
                     rows[i].content_format);
    }
    free(schemes);
    atls_config_unref(c);
}

static void results_by_their_verifier(void **state)
{
    static const struct {
        const char *identity;
        bool found;
    } rows[] = {{"verifier.example", true},
                {"Verifier.example", false},
                {"verifier.exampl", false},
                {"verifier.example2", false}};
    struct atls_intra_schemes *schemes = calloc(1, sizeof *schemes);
    struct pair p;

    (void)state;
    if (schemes == NULL)
        abort();
    pair_init(&p);
    p.client.options.flavour = p.server.options.flavour = ATLS_FLAVOUR_INTRA;
    p.client.verifier.takes_results = true;
    p.client.options.accepted_verifier = "verifier.example";
    pair_configure(&p);
    assert_int_equal(atls_intra_schemes_peer(p.client.config, schemes, NULL), ATLS_OK);
    assert_int_equal(schemes->count, 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct atls_early_scheme encoded = {
            .kind = ATLS_EARLY_RESULT,
            .text = atls_bytes_of(rows[i].identity, strlen(rows[i].identity))};

        assert_int_equal(atls_intra_schemes_find(schemes, &encoded) != NULL, rows[i].found);
    }
    atls_config_unref(p.client.config);
    atls_config_unref(p.server.config);
    free(schemes);
}

static void offers_that_cannot_be_made(void **state)
{
    static const char *const blank[] = {"a b", NULL};
    static const char *const unknown[] = {"new", NULL};
    static const char *const bare[] = {"bare", NULL};
    const char *many[40];
    char names[39][8];
    const struct {
        const char *const *technologies, *const *profiles;
        enum atls_code want;
    } rows[] = {
        {blank, NULL, ATLS_E_CONFIG},   /* no media type has such a parameter */
        {unknown, bare, ATLS_E_CONFIG}, /* nothing to offer */
        {many, NULL, ATLS_E_LIMIT},     /* 78 schemes */
    };

    (void)state;
    for (size_t i = 0; i < 39; i++) {
        (void)snprintf(names[i], sizeof names[i], "t%zu", i);
        many[i] = names[i];
    }
    many[39] = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_config *c = taking(rows[i].technologies, rows[i].profiles);
        struct atls_intra *intra = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        test_assert_code(atls_intra_new(c, ATLS_ROLE_CLIENT, &intra, &err), rows[i].want, &err);
        assert_null(intra);
        atls_config_unref(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken),
        cmocka_unit_test(what_is_shown),
        cmocka_unit_test(spellings),
        cmocka_unit_test(results_by_their_verifier),
        cmocka_unit_test(offers_that_cannot_be_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
