#include "schema.h"

#include <stdlib.h>
#include <string.h>

#include "testlib.h"

struct thing {
    const char *text, *needed, *maybe_empty;
    bool flag;
    int64_t number, octal, size, time;
    int choice, later;
    struct schema_texts texts;
    char *pair;
};

static const char *const words[] = {"a", "b", NULL};

static enum atls_code read_pair(struct schema *s, const struct tree_node *node, void *into)
{
    struct thing *t = into;
    enum atls_code code = schema_list(s, node, 2);

    if (code != ATLS_OK || node->child->kind != TREE_MAP)
        return code;
    return schema_pair(s, node->child->child, &t->pair);
}

static const struct schema_field fields[] = {
    SCHEMA_TEXT("text", struct thing, text),
    SCHEMA_NEEDED("needed", struct thing, needed),
    SCHEMA_EMPTIABLE("maybe-empty", struct thing, maybe_empty),
    SCHEMA_FLAG("flag", struct thing, flag),
    SCHEMA_AMOUNT("number", SCHEMA_KIND_NUMBER, struct thing, number, 1, INT64_MAX),
    SCHEMA_AMOUNT("octal", SCHEMA_KIND_OCTAL, struct thing, octal, 0, 0777),
    SCHEMA_AMOUNT("size", SCHEMA_KIND_SIZE, struct thing, size, 0, INT64_MAX),
    SCHEMA_AMOUNT("time", SCHEMA_KIND_TIME, struct thing, time, 0, INT64_MAX),
    SCHEMA_CHOICE("choice", struct thing, choice, words),
    SCHEMA_CHOICE_FROM("later", struct thing, later, words, 5),
    SCHEMA_TEXTS("texts", struct thing, texts, 3),
    SCHEMA_OTHER("pair", false, read_pair),
    SCHEMA_END,
};

static enum atls_code read_thing(const char *text, struct thing *out, struct tree_node **out_tree,
                                 struct atls_err *err)
{
    struct schema s = {"f", NULL, err};

    *out = (struct thing){.choice = -1, .time = -1};
    test_assert_code(tree_parse("f", atls_bytes_of(text, strlen(text)), out_tree, err), ATLS_OK,
                     err);
    return schema_map(&s, *out_tree, fields, out);
}

static void test_good(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct tree_node *tree = NULL;
    struct thing t;

    (void)state;
    test_assert_code(read_thing("text: x\nneeded: y\nmaybe-empty: ''\nflag: true\nnumber: 1\n"
                                "octal: 0640\nsize: 3GiB\ntime: 2h\nchoice: b\nlater: b\n"
                                "texts: [one, two]\npair: [{k: v}]\n",
                                &t, &tree, &err),
                     ATLS_OK, &err);
    assert_string_equal(t.text, "x");
    assert_string_equal(t.needed, "y");
    assert_string_equal(t.maybe_empty, "");
    assert_true(t.flag);
    assert_int_equal(t.number, 1);
    assert_int_equal(t.octal, 0640);
    assert_true(t.size == INT64_C(3) * 1024 * 1024 * 1024);
    assert_int_equal(t.time, 7200);
    assert_int_equal(t.choice, 1);
    assert_int_equal(t.later, 6);
    assert_int_equal(t.texts.count, 2);
    assert_string_equal(t.texts.at[1], "two");
    assert_null(t.texts.at[2]);
    assert_string_equal(t.pair, "k=v");
    assert_ptr_equal(schema_find(tree, "needed")->text, t.needed);
    assert_null(schema_find(tree, "other"));
    free(t.pair);
    tree_free(tree);
    /* What is not there stays. */
    test_assert_code(read_thing("needed: y\n", &t, &tree, &err), ATLS_OK, &err);
    assert_null(t.text);
    assert_int_equal(t.choice, -1);
    assert_int_equal(t.time, -1);
    tree_free(tree);
}

static void test_bad(void **state)
{
    static const struct {
        const char *text;
        const char *message;
    } rows[] = {
        {"text: x\n", "f:1: needed is missing"},
        {"needed: y\nother: x\n", "f:2: unknown key \"other\""},
        {"needed: ''\n", "f:1: needed is empty"},
        {"needed: [x]\n", "f:1: needed is a list, want a single value"},
        {"needed: {x: y}\n", "f:1: needed is a mapping, want a single value"},
        {"[x]\n", "f:1: entry is a list, want a mapping"},
        {"x\n", "f:1: entry is a single value, want a mapping"},
        {"flag: 'true'\n", "f:1: flag is \"true\", want true or false"},
        {"flag: TRUE\n", "f:1: flag is \"TRUE\", want true or false"},
        {"number: 0\n", "f:1: number is 0, want 1 to 9223372036854775807"},
        {"number: 1s\n", "f:1: number is \"1s\", want a number"},
        {"number: 99999999999999999999\n", "f:1: number is \"99999999999999999999\", want"},
        {"octal: 8\n", "f:1: octal is \"8\", want octal digits"},
        {"octal: 1000\n", "f:1: octal is 1000, want 0 to 511"},
        {"size: 1kB\n", "f:1: size is \"1kB\", want a size such as"},
        {"size: 99999999999GiB\n", "f:1: size is \"99999999999GiB\", want a size such as"},
        {"time: 1d\n", "f:1: time is \"1d\", want a time such as"},
        {"time: ''\n", "f:1: time is \"\", want a time such as"},
        {"choice: c\n", "f:1: choice is \"c\", want one of a, b"},
        {"texts: x\n", "f:1: texts is no list"},
        {"texts: []\n", "f:1: texts has 0 entries, want 1 to 32"},
        {"texts: [x, '']\n", "f:1: texts is a list of texts of 1 to 3 bytes"},
        {"texts: [abcd]\n", "f:1: texts is a list of texts of 1 to 3 bytes"},
        {"texts: [[x]]\n", "f:1: texts is a list of texts of 1 to 3 bytes"},
        {"texts: [x, y, x]\n", "f:1: texts names \"x\" twice"},
        {"pair: [a, b, c]\n", "f:1: pair has 3 entries, want 1 to 2"},
        {"pair: [{k: [v]}]\n", "f:1: k has no single value"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct tree_node *tree = NULL;
        struct thing t;

        test_assert_code(read_thing(rows[i].text, &t, &tree, &err), ATLS_E_CONFIG, &err);
        if (strncmp(err.message, rows[i].message, strlen(rows[i].message)) != 0)
            fail_msg("want %s: %s", rows[i].message, err.message);
        assert_null(t.pair);
        tree_free(tree);
    }
}

static void test_names(void **state)
{
    char name[65];

    (void)state;
    assert_true(schema_is_name("a-z_09"));
    assert_false(schema_is_name(""));
    assert_false(schema_is_name("A"));
    assert_false(schema_is_name("a b"));
    memset(name, 'a', sizeof name);
    name[64] = '\0';
    assert_false(schema_is_name(name));
    name[63] = '\0';
    assert_true(schema_is_name(name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
