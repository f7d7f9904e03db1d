/* Times as text (RFC 3339), in UTC without fractions. */
#include "store/db.h"

/* Days from 1970-01-01 to a date of the Gregorian calendar. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year; /* years begin in March: leap days come last */
    int64_t m = month <= 2 ? month + 9 : month - 3;

    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static bool get_digits(const char **text, size_t count, int64_t *out)
{
    *out = 0;
    for (; count > 0; count--, (*text)++) {
        if (**text < '0' || **text > '9')
            return false;
        *out = *out * 10 + (**text - '0');
    }
    return true;
}

static bool get_mark(const char **text, char mark)
{
    if (**text != mark)
        return false;
    (*text)++;
    return true;
}

static int64_t days_in(int64_t year, int64_t month)
{
    return month == 12 ? 31 : days_of(year, month + 1, 1) - days_of(year, month, 1);
}

bool store_time_parse(const char *text, int64_t *out)
{
    int64_t year, month, day, hour, minute, second;

    if (!get_digits(&text, 4, &year) || !get_mark(&text, '-') || !get_digits(&text, 2, &month) ||
        !get_mark(&text, '-') || !get_digits(&text, 2, &day) || !get_mark(&text, 'T') ||
        !get_digits(&text, 2, &hour) || !get_mark(&text, ':') || !get_digits(&text, 2, &minute) ||
        !get_mark(&text, ':') || !get_digits(&text, 2, &second) || !get_mark(&text, 'Z') ||
        *text != '\0')
        return false;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_in(year, month) ||
        hour > 23 || minute > 59 || second > 59)
        return false;
    *out = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    return true;
}
