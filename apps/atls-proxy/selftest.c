#include "selftest.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "text.h"

#define TPM_DEVICE  "/dev/tpmrm0"
#define TSM_REPORTS "/sys/kernel/config/tsm/report"

/* The group that may do what is asked of a file, when its mode lets it; "" otherwise. */
static void group_of(const char *path, int mode, char out[64])
{
    const mode_t bits = ((mode & R_OK) != 0 ? S_IRGRP : 0u) | ((mode & W_OK) != 0 ? S_IWGRP : 0u);
    char room[4096];
    struct group entry, *found = NULL;
    struct stat st;

    out[0] = '\0';
    if (stat(path, &st) == 0 && (st.st_mode & bits) == bits && st.st_gid != 0 &&
        getgrgid_r(st.st_gid, &entry, room, sizeof room, &found) == 0 && found != NULL)
        snprintf(out, 64, "%.63s", found->gr_name);
}

/* Whether something is in the way of using path so; missing: what it may mean that it is not there.
 */
static bool blocks(const char *path, int mode, const char *missing, char out[SELFTEST_MAX])
{
    char group[64];
    int problem;

    if (faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0)
        return false;
    problem = errno;
    if (problem == EACCES || problem == EPERM) {
        group_of(path, mode, group);
        if (group[0] != '\0')
            snprintf(out, SELFTEST_MAX, "%.120s: permission denied; want group %s", path, group);
        else
            snprintf(out, SELFTEST_MAX, "%.120s: permission denied; want the right to %s it", path,
                     (mode & W_OK) != 0 ? "read and write" : "read");
    } else if (problem == ENOENT) {
        snprintf(out, SELFTEST_MAX, "%.120s: not there; %s", path, missing);
    } else {
        snprintf(out, SELFTEST_MAX, "%.120s: %s", path, strerror(problem));
    }
    return true;
}

/* A path in a URI, up to one of the ends; false when it is none, or an escape is in it. */
static bool take_path(const char *at, const char *ends, char out[256])
{
    const size_t len = strcspn(at, ends);

    if (at[0] != '/' || len >= 256 || memchr(at, '%', len) != NULL)
        return false;
    memcpy(out, at, len);
    out[len] = '\0';
    return true;
}

/* A file that an option of a URI names. */
static bool option_blocks(const char *uri, const char *option, char out[SELFTEST_MAX])
{
    const char *at = strchr(uri, '?');
    const size_t len = strlen(option);
    char path[256];

    while (at != NULL) {
        at++;
        if (strncmp(at, option, len) == 0 && take_path(at + len, "&", path))
            return blocks(path, R_OK, "does this kernel write it?", out);
        at = strchr(at, '&');
    }
    return false;
}

static bool tpm_blocks(const char *uri, const char *rest, char out[SELFTEST_MAX])
{
    char path[256];

    if (strncmp(rest, "device:", 7) == 0 && take_path(rest + 7, "?", path)) {
        if (blocks(path, R_OK | W_OK, "is there a TPM, and its driver?", out))
            return true;
    } else if (rest[0] == '\0' || rest[0] == '?' || strcmp(rest, "device") == 0 ||
               strncmp(rest, "device?", 7) == 0) {
        if (blocks(TPM_DEVICE, R_OK | W_OK, "is there a TPM, and its driver?", out))
            return true;
    } else if (strncmp(rest, "swtpm:path=", 11) == 0 && take_path(rest + 11, "?,", path)) {
        if (blocks(path, R_OK | W_OK, "does swtpm run?", out))
            return true;
    }
    return option_blocks(uri, "event-log=", out) || option_blocks(uri, "ima-log=", out);
}

bool selftest_uri(const char *uri, char out[SELFTEST_MAX])
{
    const char *rest = strchr(uri, ':');
    char path[256];

    if (rest == NULL)
        return false;
    rest++;
    if (strncmp(uri, "tpm2:", 5) == 0)
        return tpm_blocks(uri, rest, out);
    if (strncmp(uri, "tsm:", 4) == 0) {
        if (!take_path(rest, "?", path))
            snprintf(path, sizeof path, TSM_REPORTS);
        return blocks(path, R_OK | W_OK | X_OK, "is configfs mounted, with the driver of a TEE?",
                      out);
    }
    if (strncmp(uri, "soft:", 5) == 0 && take_path(rest, "?", path))
        return blocks(path, R_OK, "the key of the attester", out);
    if (strncmp(uri, "local:", 6) == 0 && take_path(rest, "", path))
        return blocks(path, R_OK, "atls store init makes one", out);
    return false;
}

void selftest_explain(const char *uri, struct atls_err *err)
{
    const struct atls_err found = *err;
    char why[SELFTEST_MAX];

    if (!selftest_uri(uri, why))
        return;
    (void)set_error(err, found.code, "%.200s (%.100s)", why, found.message);
    err->reason = found.reason;
}
