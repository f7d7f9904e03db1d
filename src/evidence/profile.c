#include <atls/attester.h>

#include <string.h>

/* The preferred first. */
static const struct {
    enum atls_evidence_profile profile;
    const char *name;
} profiles[] = {
    {ATLS_PROFILE_BATCH, "kat-batch"}, {ATLS_PROFILE_KAT, "kat-bundle"},
    {ATLS_PROFILE_BARE, "bare"},       {ATLS_PROFILE_PARSEC, "parsec"},
    {ATLS_PROFILE_RATLS, "ra-tls"},
};

#define COUNT (sizeof profiles / sizeof profiles[0])

const char *atls_evidence_profile_name(enum atls_evidence_profile profile)
{
    for (size_t i = 0; i < COUNT; i++)
        if (profiles[i].profile == profile)
            return profiles[i].name;
    return "";
}

unsigned int atls_evidence_profile_find(const char *name)
{
    for (size_t i = 0; i < COUNT; i++)
        if (strcmp(profiles[i].name, name) == 0)
            return profiles[i].profile;
    return 0;
}
