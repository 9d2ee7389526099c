/* SPDX-License-Identifier: MIT */
/* Times to send at, as applications write them. */
#include "core/clock.h"
#include "core/config.h"
#include "core/memory.h"
#include "tracking/control_internal.h"

#define DAY_SECONDS 86400

struct moment {
    int64_t year;
    int64_t month; /* 1 to 12 */
    int64_t day;
    int64_t hour;
    int64_t minute;
    int64_t second;
    int64_t zone_minutes; /* east of Greenwich */
};

/* --- pieces --- */

static bool take_byte(struct text *rest, char byte)
{
    if (rest->length == 0 || rest->data[0] != byte) {
        return false;
    }
    *rest = text_slice(*rest, 1, rest->length);
    return true;
}

static void skip_blanks(struct text *rest)
{
    while (take_byte(rest, ' ') || take_byte(rest, '\t')) {
    }
}

static bool take_number(struct text *rest, size_t digits_min, size_t digits_max,
                        int64_t *out_number)
{
    size_t length = 0;
    int64_t number = 0;
    while (length < rest->length && length < digits_max &&
           ascii_is_digit(rest->data[length])) {
        number = number * 10 + (rest->data[length] - '0');
        length++;
    }
    if (length < digits_min) {
        return false;
    }
    *out_number = number;
    *rest = text_slice(*rest, length, rest->length);
    return true;
}

static struct text take_letters(struct text *rest)
{
    size_t length = 0;
    while (length < rest->length && ascii_is_alnum(rest->data[length]) &&
           !ascii_is_digit(rest->data[length])) {
        length++;
    }
    struct text letters = text_slice(*rest, 0, length);
    *rest = text_slice(*rest, length, rest->length);
    return letters;
}

/* "+0200", "+02:00", "+02" */
static bool take_offset(struct text *rest, struct moment *moment)
{
    bool is_west = take_byte(rest, '-');
    int64_t hours;
    int64_t minutes = 0;
    if ((!is_west && !take_byte(rest, '+')) ||
        !take_number(rest, 2, 2, &hours)) {
        return false;
    }
    if ((take_byte(rest, ':') || rest->length > 0) &&
        !take_number(rest, 2, 2, &minutes)) {
        return false;
    }
    moment->zone_minutes = (hours * 60 + minutes) * (is_west ? -1 : 1);
    return hours < 24 && minutes < 60;
}

static bool take_named_zone(struct text *rest, struct moment *moment)
{
    /* RFC 5322, 4.3, and UTC. */
    static const struct {
        const char *name;
        int hours;
    } zones[] = {
        { "GMT", 0 },  { "UT", 0 },   { "UTC", 0 },  { "Z", 0 },
        { "EST", -5 }, { "EDT", -4 }, { "CST", -6 }, { "CDT", -5 },
        { "MST", -7 }, { "MDT", -6 }, { "PST", -8 }, { "PDT", -7 },
    };
    struct text name = take_letters(rest);
    for (size_t i = 0; i < ARRAY_LENGTH(zones); i++) {
        if (text_is_ignoring_case(name, zones[i].name)) {
            moment->zone_minutes = zones[i].hours * 60;
            return true;
        }
    }
    return false;
}

/* --- a moment as an instant --- */

static int64_t days_of_month(int64_t year, int64_t month)
{
    static const int days[] = {
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
    };
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && is_leap ? 1 : 0);
}

/* Days since 1970-01-01, counted from March, so that a leap day is a year's
 * last. */
static int64_t count_days(const struct moment *moment)
{
    int64_t year = moment->month > 2 ? moment->year : moment->year - 1;
    int64_t month = moment->month > 2 ? moment->month - 3 : moment->month + 9;
    int64_t day_of_year = (153 * month + 2) / 5 + moment->day - 1;
    return year * 365 + year / 4 - year / 100 + year / 400 + day_of_year -
           719468;
}

static bool to_instant(const struct moment *moment, int64_t *out_at)
{
    if (moment->year < 1970 || moment->month < 1 || moment->month > 12 ||
        moment->day < 1 ||
        moment->day > days_of_month(moment->year, moment->month) ||
        moment->hour > 23 || moment->minute > 59 || moment->second > 60) {
        return false;
    }
    int64_t seconds = count_days(moment) * DAY_SECONDS + moment->hour * 3600 +
                      moment->minute * 60 + moment->second -
                      moment->zone_minutes * 60;
    *out_at = seconds * CLOCK_SECOND;
    return true;
}

/* --- the three ways to write it --- */

static bool take_time_of_day(struct text *rest, struct moment *moment)
{
    if (!take_number(rest, 1, 2, &moment->hour) || !take_byte(rest, ':') ||
        !take_number(rest, 2, 2, &moment->minute)) {
        return false;
    }
    return !take_byte(rest, ':') || take_number(rest, 2, 2, &moment->second);
}

static bool take_fraction(struct text *rest)
{
    int64_t ignored;
    return !take_byte(rest, '.') || take_number(rest, 1, 9, &ignored);
}

/* "2026-11-21T02:13:02.5+01:00", "2026-11-21 02:13:02" */
static bool parse_iso8601(struct text rest, int64_t *out_at)
{
    struct moment moment = { 0 };
    if (!take_number(&rest, 4, 4, &moment.year) || !take_byte(&rest, '-') ||
        !take_number(&rest, 2, 2, &moment.month) || !take_byte(&rest, '-') ||
        !take_number(&rest, 2, 2, &moment.day) ||
        !(take_byte(&rest, 'T') || take_byte(&rest, 't') ||
          take_byte(&rest, ' ')) ||
        !take_time_of_day(&rest, &moment) || !take_fraction(&rest)) {
        return false;
    }
    skip_blanks(&rest);
    return (rest.length == 0 || take_offset(&rest, &moment) ||
            take_named_zone(&rest, &moment)) &&
           rest.length == 0 && to_instant(&moment, out_at);
}

static bool take_month(struct text *rest, struct moment *moment)
{
    static const char *const names[] = { "Jan", "Feb", "Mar", "Apr",
                                         "May", "Jun", "Jul", "Aug",
                                         "Sep", "Oct", "Nov", "Dec" };
    struct text name = take_letters(rest);
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        if (text_is_ignoring_case(name, names[i])) {
            moment->month = (int64_t)i + 1;
        }
    }
    return moment->month != 0;
}

/* "Sat, 21 Nov 2026 02:13:02 +0100 (CET)": RFC 5322, 3.3 */
static bool parse_rfc5322(struct text rest, int64_t *out_at)
{
    struct moment moment = { 0 };
    rest = text_slice(rest, 0, text_find_byte(rest, '('));
    rest = text_trim(rest);
    if (take_letters(&rest).length > 0 && !take_byte(&rest, ',')) {
        return false;
    }
    skip_blanks(&rest);
    if (!take_number(&rest, 1, 2, &moment.day)) {
        return false;
    }
    skip_blanks(&rest);
    if (!take_month(&rest, &moment)) {
        return false;
    }
    skip_blanks(&rest);
    if (!take_number(&rest, 4, 4, &moment.year)) {
        return false;
    }
    skip_blanks(&rest);
    if (!take_time_of_day(&rest, &moment)) {
        return false;
    }
    skip_blanks(&rest);
    return (take_offset(&rest, &moment) || take_named_zone(&rest, &moment)) &&
           rest.length == 0 && to_instant(&moment, out_at);
}

static bool parse_span(struct text value, int64_t now, int64_t *out_at)
{
    int64_t milliseconds;
    if (!text_starts_with_ignoring_case(value, "in ") ||
        !config_parse_span(text_trim(text_slice(value, 3, value.length)),
                           &milliseconds) ||
        milliseconds > INT64_MAX / CLOCK_MILLISECOND / 4) {
        return false;
    }
    *out_at = now + milliseconds * CLOCK_MILLISECOND;
    return true;
}

bool control_parse_time(struct text value, int64_t now, int64_t *out_at)
{
    struct text trimmed = text_trim(value);
    return parse_span(trimmed, now, out_at) || parse_iso8601(trimmed, out_at) ||
           parse_rfc5322(trimmed, out_at);
}
