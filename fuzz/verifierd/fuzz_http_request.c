/* What a client says before its body: target, Content-Type, Accept. The input is these three lines.
 *
 * What is taken is within bounds, says the same when it is read twice, and a media type is equal to
 * itself written again. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media.h"
#include "text.h"
#include "uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_target(const char *target)
{
    const char *rule = NULL;
    struct uri uri;
    unsigned status = uri_parse(target, &uri, &rule);
    uint8_t nonce[64];
    size_t len;

    if ((status == 0) != (rule == NULL) || (status != 0 && status != 400 && status != 414))
        abort();
    if (status != 0)
        return;
    if (uri.path[0] != '/' || strlen(uri.path) > URI_PATH_MAX || strstr(uri.path, "//") != NULL ||
        strstr(uri.path, "/../") != NULL || uri.count > URI_PARAMETERS_MAX)
        abort();
    for (size_t i = 0; i < uri.count; i++) {
        if (uri_parameter(&uri, uri.parameters[i].name) != uri.parameters[i].value)
            abort();
        if (base64url_decode(uri.parameters[i].value, nonce, sizeof nonce, &len) &&
            len > sizeof nonce)
            abort();
    }
}

static void check_type(const char *text)
{
    struct media media, again;
    const char *rule = NULL;
    char written[2048];
    size_t n;

    if (!media_parse(text, &media, &rule)) {
        if (rule == NULL)
            abort();
        return;
    }
    n = (size_t)snprintf(written, sizeof written, "%s", media.type);
    for (size_t i = 0; i < media.count; i++) {
        n += (size_t)snprintf(written + n, sizeof written - n, ";%s=\"", media.parameters[i].name);
        for (const char *at = media.parameters[i].value; *at != '\0'; at++)
            n += (size_t)snprintf(written + n, sizeof written - n, "\\%c", *at);
        n += (size_t)snprintf(written + n, sizeof written - n, "\"");
    }
    if (n > MEDIA_TEXT_MAX)
        return; /* longer only by the escapes */
    if (!media_parse(written, &again, &rule) || !media_equal(&media, &again))
        abort();
}

static void check_accept(const char *text)
{
    char with[2048];
    bool ok = false;

    if (!accept_takes(text, "application/x+json", &ok))
        return;
    /* Who accepts anything besides accepts this, unless it is excluded by name. */
    if (!ok || snprintf(with, sizeof with, "%s, application/x+json", text) >= (int)sizeof with)
        return;
    if (!accept_takes(with, "application/x+json", &ok) || !ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *lines[3] = {text, text, text};
    struct text json = {0};

    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    for (size_t i = 1; i < 3; i++) {
        char *end = strchr(lines[i - 1], '\n');

        lines[i] = end != NULL ? end + 1 : lines[i - 1] + strlen(lines[i - 1]);
        if (end != NULL)
            *end = '\0';
    }
    check_target(lines[0]);
    check_type(lines[1]);
    check_accept(lines[2]);
    text_string_of(&json, (const char *)data, size);
    text_clear(&json);
    (void)uuid_is(lines[0]);
    free(text);
    return 0;
}
