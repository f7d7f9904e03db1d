#include "evidence/rules.h"

#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"

struct rule;

/* A value, which is never empty, into its member; false when it is not of the kind. */
typedef bool parse_fn(const struct rule *rule, const char *value, struct atls_rules *into);

static parse_fn parse_word, parse_number, parse_bits, parse_optional_bits, parse_client, parse_abi,
    parse_lines, parse_minimum_tcb, parse_launch_tcb, parse_csp_id, parse_statuses, parse_date,
    parse_service_td, parse_digests;

struct rule {
    struct atls_rule_row row;
    parse_fn *parse;
    size_t offset;     /* of the member */
    uint64_t argument; /* greatest number, or a line */
    const char *other; /* the word that is not the default */
};

#define SLUG(name) ATLS_REASON_##name
#define WORD(name, normal, other, slug, member)                                                    \
    {                                                                                              \
        {name, normal " or " other, normal, SLUG(slug)}, parse_word,                               \
            offsetof(struct atls_rules, member), 0, other                                          \
    }
#define VALUE(name, wants, normal, slug, parse, member, max)                                       \
    {                                                                                              \
        {name, wants, normal, SLUG(slug)}, parse, offsetof(struct atls_rules, member), max, NULL   \
    }
#define BITS(name, slug, member)                                                                   \
    VALUE(name, "bits such as 0x20", "none", slug, parse_bits, member, UINT64_MAX)
#define OLD_TCB(name, parse, line)                                                                 \
    VALUE(name, "BOOTLOADER.TEE.SNP.MICROCODE", "none", TCB_TOO_OLD, parse, snp, line)
#define NEW_TCB(name, parse, line)                                                                 \
    VALUE(name, "FMC.BOOTLOADER.TEE.SNP.MICROCODE", "none", TCB_TOO_OLD, parse, snp, line)

#define DIGESTS "up to 16 digests of 96 hexadecimal digits, with commas"

/* In the order of docs/tee-rules.md. */
static const struct rule rules[] = {
    WORD("snp.debug", "refuse", "allow", POLICY_DEBUG_ENABLED, snp.allow_debug),
    WORD("snp.migration", "refuse", "allow", POLICY_MIGRATION, snp.allow_migration),
    WORD("snp.smt", "allow", "refuse", POLICY_GUEST, snp.refuse_smt),
    VALUE("snp.abi", "MAJOR.MINOR", "any", POLICY_GUEST, parse_abi, snp.abi, 0),
    BITS("snp.policy-set", POLICY_GUEST, snp.policy_set),
    BITS("snp.policy-clear", POLICY_GUEST, snp.policy_clear),
    WORD("snp.unknown-policy-bits", "refuse", "allow", MALFORMED, snp.unknown_policy_bits),
    VALUE("snp.vmpl", "0 to 3", "0", VMPL, parse_number, snp.vmpl, 3),
    VALUE("snp.guest-svn", "a number up to 4294967295", "any", MEASUREMENT, parse_number,
          snp.guest_svn, UINT32_MAX),
    WORD("snp.masked-chip-id", "refuse", "allow", CHIP_ID_MISMATCH, snp.allow_masked_chip_id),
    VALUE("snp.csp-id", "text of up to 127 bytes", "any", CSP_ID_MISMATCH, parse_csp_id, snp.csp_id,
          sizeof(((struct atls_snp_rules *)0)->csp_id) - 1),
    VALUE("snp.id-keys", DIGESTS, "any", ID_KEY, parse_digests, snp.id_keys, 0),
    VALUE("snp.author-keys", DIGESTS, "any", ID_KEY, parse_digests, snp.author_keys, 0),
    VALUE("snp.refuse-lines", "names out of milan,genoa,turin,venice", "none", UNSUPPORTED_PRODUCT,
          parse_lines, snp.refused_lines, 0),
    WORD("snp.crl", "required", "optional", CRL_UNAVAILABLE, snp.crl_optional),
    WORD("snp.provisional-firmware", "allow", "refuse", PROVISIONAL_FIRMWARE,
         snp.refuse_provisional),
    BITS("snp.platform-set", PLATFORM_INFO, snp.platform_set),
    BITS("snp.platform-clear", PLATFORM_INFO, snp.platform_clear),
    BITS("snp.mitigations", MITIGATION, snp.mitigations),
    OLD_TCB("snp.minimum-tcb.milan", parse_minimum_tcb, ATLS_SNP_MILAN),
    OLD_TCB("snp.minimum-tcb.genoa", parse_minimum_tcb, ATLS_SNP_GENOA),
    NEW_TCB("snp.minimum-tcb.turin", parse_minimum_tcb, ATLS_SNP_TURIN),
    NEW_TCB("snp.minimum-tcb.venice", parse_minimum_tcb, ATLS_SNP_VENICE),
    OLD_TCB("snp.launch-tcb.milan", parse_launch_tcb, ATLS_SNP_MILAN),
    OLD_TCB("snp.launch-tcb.genoa", parse_launch_tcb, ATLS_SNP_GENOA),
    NEW_TCB("snp.launch-tcb.turin", parse_launch_tcb, ATLS_SNP_TURIN),
    NEW_TCB("snp.launch-tcb.venice", parse_launch_tcb, ATLS_SNP_VENICE),
    VALUE("tdx.statuses", "statuses of a TCB such as UpToDate,SWHardeningNeeded", "UpToDate",
          TCB_OUT_OF_DATE, parse_statuses, tdx.dcap.statuses, 0),
    VALUE("tdx.tcb-date", "YYYY-MM-DD", "none", TCB_OUT_OF_DATE, parse_date, tdx.dcap.tcb_date_s,
          0),
    VALUE("tdx.evaluation-number", "a number up to 4294967295", "any", TCB_EVAL_NUMBER,
          parse_number, tdx.dcap.evaluation, UINT32_MAX),
    WORD("tdx.crl", "required", "optional", CRL_UNAVAILABLE, tdx.dcap.crl_optional),
    WORD("tdx.debug", "refuse", "allow", TD_DEBUG, tdx.allow_debug),
    WORD("tdx.sept-ve-disable", "required", "optional", TD_ATTRIBUTES, tdx.allow_ve),
    BITS("tdx.attributes-set", TD_ATTRIBUTES, tdx.attributes_set),
    BITS("tdx.attributes-clear", TD_ATTRIBUTES, tdx.attributes_clear),
    VALUE("tdx.xfam", "bits such as 0x20", "any", TD_ATTRIBUTES, parse_optional_bits, tdx.xfam,
          UINT64_MAX),
    VALUE("tdx.service-td", "up to 16 measurements of 96 hexadecimal digits, with commas", "none",
          MR_SERVICE_TD_NOT_ALLOWED, parse_service_td, tdx.service_td_count, 0),
    WORD("tdx.trailing-data", "refuse", "allow", TRAILING_DATA, tdx.dcap.allow_trailing),
    VALUE("sgx.statuses", "statuses of a TCB such as UpToDate,SWHardeningNeeded", "UpToDate",
          TCB_OUT_OF_DATE, parse_statuses, sgx.dcap.statuses, 0),
    VALUE("sgx.tcb-date", "YYYY-MM-DD", "none", TCB_OUT_OF_DATE, parse_date, sgx.dcap.tcb_date_s,
          0),
    VALUE("sgx.evaluation-number", "a number up to 4294967295", "any", TCB_EVAL_NUMBER,
          parse_number, sgx.dcap.evaluation, UINT32_MAX),
    WORD("sgx.crl", "required", "optional", CRL_UNAVAILABLE, sgx.dcap.crl_optional),
    WORD("sgx.identity", "enclave", "signer", MEASUREMENT, sgx.by_signer),
    VALUE("sgx.isv-svn", "a number up to 65535", "any", MEASUREMENT, parse_number, sgx.isv_svn,
          UINT16_MAX),
    WORD("sgx.debug", "refuse", "allow", ENCLAVE_DEBUG, sgx.allow_debug),
    BITS("sgx.attributes-set", ENCLAVE_ATTRIBUTES, sgx.attributes_set),
    BITS("sgx.attributes-clear", ENCLAVE_ATTRIBUTES, sgx.attributes_clear),
    VALUE("sgx.xfrm", "bits such as 0x20", "any", ENCLAVE_ATTRIBUTES, parse_optional_bits, sgx.xfrm,
          UINT64_MAX),
    VALUE("sgx.misc-select", "bits such as 0x20", "any", ENCLAVE_ATTRIBUTES, parse_optional_bits,
          sgx.misc_select, UINT64_MAX),
    WORD("sgx.trailing-data", "refuse", "allow", TRAILING_DATA, sgx.dcap.allow_trailing),
    WORD("cca.lifecycle", "secured", "debug", LIFECYCLE, arm.cca_allow_debug),
    WORD("cca.realm-key", "p384", "p256", UNSUPPORTED_ALGORITHM, arm.cca_allow_p256),
    WORD("psa.lifecycle", "secured", "debug", LIFECYCLE, arm.psa_allow_debug),
    WORD("psa.legacy", "refuse", "allow", PROFILE, arm.psa_allow_legacy),
    WORD("psa.no-measurements", "refuse", "allow", MEASUREMENT, arm.psa_allow_unmeasured),
    WORD("psa.instance", "any", "key", UNTRUSTED_KEY, arm.psa_instance_from_key),
    WORD("psa.callers", "all", "secure", CLIENT_ID, arm.psa_secure_callers),
    VALUE("psa.client-id", "a number from -2147483648 to 2147483647, not 0", "any", CLIENT_ID,
          parse_client, arm.psa_client, 0),
};
#define COUNT (sizeof rules / sizeof rules[0])

const struct atls_rule_row *atls_rule_row_at(size_t index)
{
    return index < COUNT ? &rules[index].row : NULL;
}

/* ---- kinds of values ---- */

static void *member_of(const struct rule *rule, struct atls_rules *into)
{
    return (unsigned char *)into + rule->offset;
}

static bool parse_word(const struct rule *rule, const char *value, struct atls_rules *into)
{
    const bool other = strcmp(value, rule->other) == 0;

    if (!other && strcmp(value, rule->row.normal) != 0)
        return false;
    *(bool *)member_of(rule, into) = other;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Decimal digits, at most max; *at is then behind them. */
static bool take_decimal(const char **at, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;

    if (!is_digit(**at))
        return false;
    for (; is_digit(**at); (*at)++) {
        const uint64_t digit = (uint64_t)(**at - '0');

        if (digit > max || value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

static bool take_hex(const char **at, uint64_t *out)
{
    uint64_t value = 0;
    size_t count = 0;

    for (; atls_hex_digit(**at) >= 0; (*at)++, count++) {
        if (value >> 60 != 0)
            return false;
        value = value << 4 | (uint64_t)atls_hex_digit(**at);
    }
    *out = value;
    return count > 0;
}

static bool parse_number(const struct rule *rule, const char *value, struct atls_rules *into)
{
    struct atls_rule_number number = {.set = true};

    if (!take_decimal(&value, rule->argument, &number.value) || *value != '\0')
        return false;
    *(struct atls_rule_number *)member_of(rule, into) = number;
    return true;
}

static bool read_bits(const char *value, uint64_t *out)
{
    const char *at = value;
    const bool is_hex = strncmp(value, "0x", 2) == 0;

    if (is_hex)
        at += 2;
    return (is_hex ? take_hex(&at, out) : take_decimal(&at, UINT64_MAX, out)) && *at == '\0';
}

static bool parse_bits(const struct rule *rule, const char *value, struct atls_rules *into)
{
    return read_bits(value, member_of(rule, into));
}

static bool parse_optional_bits(const struct rule *rule, const char *value, struct atls_rules *into)
{
    struct atls_rule_number bits = {.set = true};

    if (!read_bits(value, &bits.value))
        return false;
    *(struct atls_rule_number *)member_of(rule, into) = bits;
    return true;
}

static bool parse_client(const struct rule *rule, const char *value, struct atls_rules *into)
{
    const bool negative = *value == '-';
    uint64_t size;

    value += negative ? 1 : 0;
    if (!take_decimal(&value, negative ? UINT64_C(1) << 31 : INT32_MAX, &size) || *value != '\0' ||
        size == 0)
        return false;
    *(struct atls_rule_number *)member_of(rule, into) =
        (struct atls_rule_number){true, negative ? 0 - size : size};
    return true;
}

/* Numbers of a byte each, with dots between. */
static bool read_dotted(const char *value, const uint8_t *max, uint8_t *out, size_t count)
{
    uint64_t number;

    for (size_t i = 0; i < count; i++) {
        if (i > 0 && *value++ != '.')
            return false;
        if (!take_decimal(&value, max[i], &number))
            return false;
        out[i] = (uint8_t)number;
    }
    return *value == '\0';
}

static bool parse_abi(const struct rule *rule, const char *value, struct atls_rules *into)
{
    static const uint8_t max[2] = {UINT8_MAX, UINT8_MAX};
    uint8_t v[2];

    (void)rule;
    if (!read_dotted(value, max, v, 2))
        return false;
    into->snp.abi = (struct atls_rule_number){true, (uint64_t)v[0] << 8 | v[1]};
    return true;
}

/* Only the microcode goes beyond 127. */
static bool read_tcb(const struct rule *rule, const char *value, struct atls_snp_tcb *out)
{
    static const uint8_t max[5] = {127, 127, 127, 127, UINT8_MAX};
    const size_t absent =
        rule->argument == ATLS_SNP_MILAN || rule->argument == ATLS_SNP_GENOA ? 1 : 0;
    uint8_t v[5] = {0};

    if (!read_dotted(value, max + absent, v + absent, 5 - absent))
        return false;
    *out = (struct atls_snp_tcb){v[0], v[1], v[2], v[3], v[4]};
    return true;
}

static bool parse_minimum_tcb(const struct rule *rule, const char *value, struct atls_rules *into)
{
    into->snp.minimum_tcb_set[rule->argument] =
        read_tcb(rule, value, &into->snp.minimum_tcb[rule->argument]);
    return into->snp.minimum_tcb_set[rule->argument];
}

static bool parse_launch_tcb(const struct rule *rule, const char *value, struct atls_rules *into)
{
    into->snp.launch_tcb_set[rule->argument] =
        read_tcb(rule, value, &into->snp.launch_tcb[rule->argument]);
    return into->snp.launch_tcb_set[rule->argument];
}

static bool parse_csp_id(const struct rule *rule, const char *value, struct atls_rules *into)
{
    const size_t len = strlen(value);

    if (len > rule->argument)
        return false;
    memset(into->snp.csp_id, 0, sizeof into->snp.csp_id);
    memcpy(into->snp.csp_id, value, len);
    return true;
}

/* ---- lists: names or numbers with commas between, each once ---- */

struct name {
    const char *text;
    unsigned int bit;
};

static bool read_names(const struct name *names, const char *value, unsigned int *out)
{
    unsigned int found = 0;

    for (;; value++) {
        const size_t len = strcspn(value, ",");
        const struct name *n = names;

        while (n->text != NULL && (strlen(n->text) != len || memcmp(n->text, value, len) != 0))
            n++;
        if (n->text == NULL || (found & n->bit) != 0)
            return false;
        found |= n->bit;
        value += len;
        if (*value == '\0')
            break;
    }
    *out = found;
    return true;
}

static bool parse_lines(const struct rule *rule, const char *value, struct atls_rules *into)
{
    static const struct name names[] = {
        {"milan", 1U << ATLS_SNP_MILAN},
        {"genoa", 1U << ATLS_SNP_GENOA},
        {"turin", 1U << ATLS_SNP_TURIN},
        {"venice", 1U << ATLS_SNP_VENICE},
        {NULL, 0},
    };

    return read_names(names, value, member_of(rule, into));
}

static bool parse_statuses(const struct rule *rule, const char *value, struct atls_rules *into)
{
    static const struct name names[] = {
        {"UpToDate", ATLS_TDX_UP_TO_DATE},
        {"SWHardeningNeeded", ATLS_TDX_SW_HARDENING_NEEDED},
        {"ConfigurationNeeded", ATLS_TDX_CONFIGURATION_NEEDED},
        {"ConfigurationAndSWHardeningNeeded", ATLS_TDX_CONFIGURATION_AND_SW_HARDENING_NEEDED},
        {"OutOfDate", ATLS_TDX_OUT_OF_DATE},
        {"OutOfDateConfigurationNeeded", ATLS_TDX_OUT_OF_DATE_CONFIGURATION_NEEDED},
        {"TDRelaunchAdvised", ATLS_TDX_RELAUNCH_ADVISED},
        {"TDRelaunchAdvisedConfigurationNeeded", ATLS_TDX_RELAUNCH_ADVISED_CONFIGURATION_NEEDED},
        {NULL, 0},
    };

    return read_names(names, value, member_of(rule, into));
}

static bool read_digest(const char *value, size_t len, uint8_t out[static 48])
{
    if (len != 96)
        return false;
    for (size_t i = 0; i < len; i += 2) {
        const int high = atls_hex_digit(value[i]), low = atls_hex_digit(value[i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool read_digests(const char *value, uint8_t list[][48], size_t *out_count)
{
    size_t count = 0;

    for (;; value++) {
        const size_t len = strcspn(value, ",");

        if (count == ATLS_RULE_IDS_MAX || !read_digest(value, len, list[count]))
            return false;
        count++;
        value += len;
        if (*value == '\0')
            break;
    }
    *out_count = count;
    return true;
}

static bool parse_digests(const struct rule *rule, const char *value, struct atls_rules *into)
{
    struct atls_rule_digests *digests = member_of(rule, into);

    return read_digests(value, digests->list, &digests->count);
}

static bool parse_service_td(const struct rule *rule, const char *value, struct atls_rules *into)
{
    (void)rule;
    return read_digests(value, into->tdx.service_td, &into->tdx.service_td_count);
}

/* ---- dates ---- */

/* Days since 1970-01-01 of a day of the proleptic Gregorian calendar, years counted from March. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    const int64_t y = year - (month < 3 ? 1 : 0);
    const int64_t day_of_year = (153 * (month + (month < 3 ? 9 : -3)) + 2) / 5 + day - 1;

    return y * 365 + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
}

static bool take_digits(const char **at, size_t count, int64_t *out)
{
    int64_t value = 0;

    for (size_t i = 0; i < count; i++, (*at)++) {
        if (!is_digit(**at))
            return false;
        value = value * 10 + (**at - '0');
    }
    *out = value;
    return true;
}

static bool parse_date(const struct rule *rule, const char *value, struct atls_rules *into)
{
    int64_t year, month, day, length;

    if (!take_digits(&value, 4, &year) || *value++ != '-' || !take_digits(&value, 2, &month) ||
        *value++ != '-' || !take_digits(&value, 2, &day) || *value != '\0' || year < 2000 ||
        month < 1 || month > 12)
        return false;
    length = days_of(year + month / 12, month % 12 + 1, 1) - days_of(year, month, 1);
    if (day < 1 || day > length)
        return false;
    *(int64_t *)member_of(rule, into) = days_of(year, month, day) * 86400;
    return true;
}

/* ---- setting ---- */

static const struct rule *find_rule(const char *name, size_t len)
{
    for (size_t i = 0; i < COUNT; i++)
        if (strlen(rules[i].row.name) == len && memcmp(rules[i].row.name, name, len) == 0)
            return &rules[i];
    return NULL;
}

static enum atls_code set(struct atls_rules *into, struct atls_bytes name, const char *value,
                          struct atls_err *err)
{
    const struct rule *rule = name.len == 0 ? NULL : find_rule((const char *)name.ptr, name.len);
    struct atls_rules changed = *into;
    char shown[64];

    if (rule == NULL)
        return atls_fail(err, ATLS_E_CONFIG, "rule \"%s\": there is none of that name",
                         atls_escape(name, shown, sizeof shown));
    if (*value == '\0' || !rule->parse(rule, value, &changed))
        return atls_fail(err, ATLS_E_CONFIG, "rule %s is \"%s\", want %s", rule->row.name,
                         atls_escape(atls_bytes_of(value, strlen(value)), shown, sizeof shown),
                         rule->row.wants);
    *into = changed;
    return ATLS_OK;
}

enum atls_code atls_rules_set(struct atls_rules *into, const char *name, const char *value,
                              struct atls_err *err)
{
    return set(into, atls_bytes_of(name, strlen(name)), value, err);
}

/* The name in front of an entry of list is given before it, too. */
static bool is_repeated(const char *const *list, size_t index, size_t len)
{
    for (size_t i = 0; i < index; i++)
        if (strncmp(list[i], list[index], len + 1) == 0)
            return true;
    return false;
}

enum atls_code atls_rules_set_all(struct atls_rules *into, const char *const *list,
                                  struct atls_err *err)
{
    struct atls_rules changed = *into;
    enum atls_code code;
    char shown[64];

    for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
        const size_t len = strcspn(list[i], "=");

        if (list[i][len] != '=')
            return atls_fail(err, ATLS_E_CONFIG, "rule \"%s\": want NAME=VALUE",
                             atls_escape(atls_bytes_of(list[i], len), shown, sizeof shown));
        if (is_repeated(list, i, len))
            return atls_fail(err, ATLS_E_CONFIG, "rule %.60s is given twice", list[i]);
        if ((code = set(&changed, atls_bytes_of(list[i], len), list[i] + len + 1, err)) != ATLS_OK)
            return code;
    }
    *into = changed;
    return ATLS_OK;
}
