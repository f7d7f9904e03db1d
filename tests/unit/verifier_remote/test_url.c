#include "testlib.h"

#include <string.h>

#include "verifier/remote/url.h"

static const struct {
    const char *name, *text;
    const char *want; /* NULL: refused */
} bases[] = {
    {"name alone", "https://verifier.example", "https://verifier.example"},
    {"slash at the end", "https://verifier.example/", "https://verifier.example"},
    {"port", "https://verifier.example:8443", "https://verifier.example:8443"},
    {"the default port is left out", "https://verifier.example:443", "https://verifier.example"},
    {"the default port of http", "http://verifier.example:80", "http://verifier.example"},
    {"443 is another port for http", "http://h:443", "http://h:443"},
    {"prefix", "https://h/a/b", "https://h/a/b"},
    {"prefix with a slash at the end", "https://h/a/b/", "https://h/a/b"},
    {"host and scheme in lower case, path as it is", "HTTPS://Host.Example/A",
     "https://host.example/A"},
    {"IPv4", "http://127.0.0.1:8443", "http://127.0.0.1:8443"},
    {"IPv6", "https://[::1]:8443", "https://[::1]:8443"},
    {"no scheme", "verifier.example", NULL},
    {"another scheme", "ftp://verifier.example", NULL},
    {"empty", "", NULL},
    {"no host", "https://", NULL},
    {"no host before a path", "https:///a", NULL},
    {"user name", "https://user@h", NULL},
    {"user and password", "https://user:secret@h", NULL},
    {"at sign behind a port", "https://h:443@evil", NULL},
    {"query", "https://h?x", NULL},
    {"fragment", "https://h#x", NULL},
    {"query behind a path", "https://h/a?x", NULL},
    {"port 0", "https://h:0", NULL},
    {"port 65536", "https://h:65536", NULL},
    {"port with a zero in front", "https://h:0443", NULL},
    {"port that is none", "https://h:https", NULL},
    {"empty port", "https://h:", NULL},
    {"dots", "https://h/a/../b", NULL},
    {"one dot", "https://h/./b", NULL},
    {"empty segment", "https://h//b", NULL},
    {"percent-encoding", "https://h/%41", NULL},
    {"space", "https://h/a b", NULL},
    {"line feed in the host", "https://h\nx", NULL},
    {"backslash", "https://h\\x", NULL},
    {"host that starts with a hyphen", "https://-h", NULL},
    {"host with an empty label", "https://a..b", NULL},
    {"IPv6 without an end", "https://[::1", NULL},
    {"IPv6 with a zone", "https://[fe80::1%25eth0]", NULL},
    {"text behind IPv6", "https://[::1]x", NULL},
    {"underscore in the host", "https://a_b", NULL},
};

static void parses_bases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bases / sizeof bases[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_url url, again;

        print_message("%s\n", bases[i].name);
        test_assert_code(atls_url_parse(bases[i].text, &url, &err),
                         bases[i].want != NULL ? ATLS_OK : ATLS_E_CONFIG, &err);
        if (bases[i].want == NULL) {
            assert_null(strstr(err.message, "secret"));
            continue;
        }
        assert_string_equal(url.text, bases[i].want);
        assert_int_equal(url.is_https, strncmp(bases[i].want, "https:", 6) == 0);
        assert_int_equal(atls_url_parse(url.text, &again, NULL), ATLS_OK);
        assert_string_equal(again.text, url.text);
    }
}

static void refuses_what_is_too_long(void **state)
{
    char text[ATLS_URL_MAX + 8];
    struct atls_url url;

    (void)state;
    memset(text, 'a', sizeof text);
    memcpy(text, "https://h/", 10);
    text[ATLS_URL_MAX - 1] = '\0';
    assert_int_equal(atls_url_parse(text, &url, NULL), ATLS_OK);
    text[ATLS_URL_MAX - 1] = 'a';
    text[ATLS_URL_MAX] = '\0';
    assert_int_equal(atls_url_parse(text, &url, NULL), ATLS_E_CONFIG);
    memset(text, 'a', 300);
    memcpy(text, "https://", 8);
    text[8 + 254] = '\0';
    assert_int_equal(atls_url_parse(text, &url, NULL), ATLS_E_CONFIG);
    text[8 + 253] = '\0';
    assert_int_equal(atls_url_parse(text, &url, NULL), ATLS_OK);
}

static const struct {
    const char *name, *base, *reference, *want;
} references[] = {
    {"relative", "https://h/v1/newSession", "session/1-2", "https://h/v1/session/1-2"},
    {"relative to a prefix", "https://h/p/v1/newSession", "session/1", "https://h/p/v1/session/1"},
    {"absolute path", "https://h/v1/newSession", "/v1/session/1", "https://h/v1/session/1"},
    {"absolute URL", "https://h/v1/newSession", "https://h/s/1", "https://h/s/1"},
    {"absolute URL with the default port", "https://h/v1/n", "https://H:443/s", "https://h/s"},
    {"another host", "https://h/v1/n", "https://evil/s", NULL},
    {"another port", "https://h:8443/v1/n", "https://h/s", NULL},
    {"a port that begins alike", "https://h:844/v1/n", "https://h:8443/s", NULL},
    {"another scheme", "https://h/v1/n", "http://h/s", NULL},
    {"authority without scheme", "https://h/v1/n", "//evil/s", NULL},
    {"upwards", "https://h/v1/n", "../s", NULL},
    {"upwards by an absolute path", "https://h/v1/n", "/v1/../s", NULL},
    {"query", "https://h/v1/n", "s?x=1", NULL},
    {"fragment", "https://h/v1/n", "s#x", NULL},
    {"scheme of another kind", "https://h/v1/n", "javascript:x", NULL},
    {"user name", "https://h/v1/n", "https://u@h/s", NULL},
    {"header injection", "https://h/v1/n", "s\r\nX: y", NULL},
    {"empty", "https://h/v1/n", "", NULL},
    {"relative to nothing", "https://h", "s", NULL},
};

static void resolves_references(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof references / sizeof references[0]; i++) {
        struct atls_bytes reference =
            atls_bytes_of(references[i].reference, strlen(references[i].reference));
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_url base, url;

        print_message("%s\n", references[i].name);
        assert_int_equal(atls_url_parse(references[i].base, &base, NULL), ATLS_OK);
        test_assert_code(atls_url_resolve(&base, reference, &url, &err),
                         references[i].want != NULL ? ATLS_OK : ATLS_E_PROTOCOL, &err);
        if (references[i].want != NULL)
            assert_string_equal(url.text, references[i].want);
    }
}

static void refuses_long_references(void **state)
{
    char text[ATLS_URL_MAX + 1];
    struct atls_url base, url;

    (void)state;
    memset(text, 'a', sizeof text);
    text[0] = '/';
    assert_int_equal(atls_url_parse("https://h/v1/n", &base, NULL), ATLS_OK);
    assert_int_equal(atls_url_resolve(&base, atls_bytes_of(text, ATLS_URL_MAX - 9), &url, NULL),
                     ATLS_E_PROTOCOL);
    assert_int_equal(atls_url_resolve(&base, atls_bytes_of(text, ATLS_URL_MAX - 10), &url, NULL),
                     ATLS_OK);
    assert_int_equal(strlen(url.text), ATLS_URL_MAX - 1);
}

static void appends_paths(void **state)
{
    struct atls_url base, url;

    (void)state;
    assert_int_equal(atls_url_parse("https://h/p", &base, NULL), ATLS_OK);
    assert_int_equal(atls_url_append(&base, atls_bytes_of("/a/b", 4), &url, NULL), ATLS_OK);
    assert_string_equal(url.text, "https://h/p/a/b");
    assert_string_equal(atls_url_path(&url), "/p/a/b");
    assert_int_equal(atls_url_append(&base, atls_bytes_of("a", 1), &url, NULL), ATLS_E_PROTOCOL);
    assert_int_equal(atls_url_append(&base, atls_bytes_of("", 0), &url, NULL), ATLS_E_PROTOCOL);
    assert_int_equal(atls_url_append(&base, atls_bytes_of("/a\0b", 4), &url, NULL),
                     ATLS_E_PROTOCOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_bases),        cmocka_unit_test(refuses_what_is_too_long),
        cmocka_unit_test(resolves_references), cmocka_unit_test(refuses_long_references),
        cmocka_unit_test(appends_paths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
