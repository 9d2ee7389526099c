/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/config.h"
#include "core/memory.h"
#include "core/text.h"

static const char *hostname;
static const char *password;
static const char *trusted;
static const char *listeners;
static int64_t workers;
static int64_t offset;
static int64_t memory;
static int64_t timeout;
static bool is_strict;
static int format;

static bool check_hostname(const char *value, struct error *error)
{
    return !strchr(value, ' ') || error_set(error, "a host name has no blanks");
}

static bool check_trusted(const char *value, struct error *error)
{
    return strcmp(value, "bad") != 0 || error_set(error, "bad is no range");
}

static const struct setting server_settings[] = {
    { .section = "server",
      .key = "hostname",
      .type = SETTING_TEXT,
      .value = &hostname,
      .initial = "localhost",
      .description = "Our name",
      .check_value = check_hostname },
    { .section = "server",
      .key = "workers",
      .type = SETTING_NUMBER,
      .value = &workers,
      .initial = "2",
      .description = "Processes",
      .minimum = 1,
      .maximum = 64 },
    { .section = "server",
      .key = "offset",
      .type = SETTING_NUMBER,
      .value = &offset,
      .initial = "0",
      .description = "Any number",
      .minimum = -10 },
    { .section = "server",
      .key = "memory",
      .type = SETTING_SIZE,
      .value = &memory,
      .initial = "64 MB",
      .description = "Memory",
      .minimum = 1024,
      .maximum = INT64_C(1) << 30 },
    { .section = "server",
      .key = "timeout",
      .type = SETTING_SPAN,
      .value = &timeout,
      .initial = "5 min",
      .description = "Patience" },
    { .section = "server",
      .key = "strict",
      .type = SETTING_BOOLEAN,
      .value = &is_strict,
      .initial = "off",
      .description = "Be strict" },
    { .section = "server",
      .key = "trusted",
      .type = SETTING_LIST,
      .value = &trusted,
      .initial = "",
      .description = "Ranges",
      .check_value = check_trusted },
};
static const struct setting other_settings[] = {
    { .section = "log",
      .key = "format",
      .type = SETTING_CHOICE,
      .value = &format,
      .initial = "logfmt",
      .choices = "logfmt|json",
      .description = "How a line looks" },
    { .section = "database",
      .key = "password",
      .type = SETTING_TEXT,
      .value = &password,
      .description = "The password",
      .is_secret = true },
    { .section = "listen",
      .key = "*",
      .type = SETTING_LIST,
      .value = &listeners,
      .initial = "smtp=*:25\nhttp=*:80",
      .description = "NAME = ADDRESS:PORT",
      .check_value = check_trusted },
};

static char path[] = "/tmp/baton-config-test-XXXXXX";

static int set_up(void **state)
{
    struct config *config = config_create();
    config_add(config, server_settings, ARRAY_LENGTH(server_settings));
    config_add(config, other_settings, ARRAY_LENGTH(other_settings));
    *state = config;
    return 0;
}

static int tear_down(void **state)
{
    struct config *config = *state;
    config_free(&config);
    assert_null(config);
    return 0;
}

static void write_file(const char *content)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(content, file);
    fclose(file);
}

static void load(struct config *config, const char *content)
{
    struct error error = { .text = "" };
    write_file(content);
    if (!config_load(config, path, &error)) {
        fail_msg("%s", error.text);
    }
}

static void defaults_hold_without_a_file(void **state)
{
    struct error error;
    assert_true(config_load(*state, NULL, &error));
    assert_string_equal(hostname, "localhost");
    assert_string_equal(password, "");
    assert_string_equal(trusted, "");
    assert_string_equal(listeners, "smtp=*:25\nhttp=*:80");
    assert_int_equal(workers, 2);
    assert_int_equal(memory, 64 * 1024 * 1024);
    assert_int_equal(timeout, 300000);
    assert_false(is_strict);
    assert_int_equal(format, 0);
}

static void a_file_is_read(void **state)
{
    load(*state, "\xef\xbb\xbf; a comment\n# another\n\n"
                 "[Server]\r\n"
                 "HostName = mx.example.com \r\n"
                 "  workers=8\n"
                 "offset = -10\n"
                 "memory = 16 kb\n"
                 "timeout: 250 ms\n"
                 "strict = YES\n"
                 "trusted = 10.0.0.0/8, ::1 ,\t192.0.2.1\n"
                 "[log]\nformat = JSON\n"
                 "[database]\npassword = a;b #c \"d\"\n"
                 "[listen]\nsubmission = *:587 tls=required\nlmtp = [::1]:24");
    assert_string_equal(hostname, "mx.example.com");
    assert_string_equal(password, "a;b #c \"d\"");
    assert_string_equal(trusted, "10.0.0.0/8\n::1\n192.0.2.1");
    assert_string_equal(listeners,
                        "submission=*:587 tls=required\nlmtp=[::1]:24");
    assert_int_equal(workers, 8);
    assert_int_equal(offset, -10);
    assert_int_equal(memory, 16384);
    assert_int_equal(timeout, 250);
    assert_true(is_strict);
    assert_int_equal(format, 1);
}

static void spans_alone(void **state)
{
    static const struct {
        const char *written;
        int64_t expected; /* -1: refused */
    } rows[] = {
        { "250 ms", 250 },
        { "2h", 7200000 },
        { "0", 0 },
        { "0 d", 0 },
        { "5", -1 },
        { "", -1 },
        { "-1 s", -1 },
        { "9223372036854775807 ms", INT64_MAX },
        { "9223372036854775808 ms", -1 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        int64_t span = -1;
        bool is_good = config_parse_span(text_of(rows[i].written), &span);
        if (is_good != (rows[i].expected >= 0) || span != rows[i].expected) {
            fail_msg("%s: %lld", rows[i].written, (long long)span);
        }
    }
}

static void sizes_and_spans(void **state)
{
    static const struct {
        const char *line;
        const int64_t *value;
        int64_t expected; /* -1: refused */
    } rows[] = {
        { "memory = 1024", &memory, 1024 },
        { "memory = 2048 B", &memory, 2048 },
        { "memory = 1GB", &memory, INT64_C(1) << 30 },
        { "memory = 1023", &memory, -1 },
        { "memory = 2 GB", &memory, -1 },
        { "memory = 1.5 MB", &memory, -1 },
        { "memory = -1 MB", &memory, -1 },
        { "memory = 1 MX", &memory, -1 },
        { "memory = 18014398509481984 KB", &memory, -1 },
        { "timeout = 30 s", &timeout, 30000 },
        { "timeout = 4h", &timeout, 4 * 3600000 },
        { "timeout = 4 d", &timeout, INT64_C(4) * 86400000 },
        { "timeout = 0", &timeout, 0 },
        { "timeout = 30", &timeout, -1 },
        { "timeout = 1 month", &timeout, -1 },
        { "timeout = 99999999999999999 d", &timeout, -1 },
        { "timeout =", &timeout, -1 },
        { "workers = 9223372036854775808", &workers, -1 },
        { "workers = 8 s", &workers, -1 },
        { "offset = 9223372036854775807", &offset, INT64_MAX },
        { "offset = -11", &offset, -1 },
        { "offset = --1", &offset, -1 },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char content[100];
        struct error error;
        snprintf(content, sizeof(content), "[server]\n%s\n", rows[i].line);
        write_file(content);
        bool is_right = config_load(*state, path, &error);
        if (is_right != (rows[i].expected >= 0)) {
            fail_msg("%s", rows[i].line);
        }
        if (is_right) {
            assert_true(*rows[i].value == rows[i].expected);
        }
    }
}

static void a_mistake_is_named_with_its_line(void **state)
{
    static const struct {
        const char *content;
        const char *sentence; /* behind "FILE:" */
    } rows[] = {
        { "[server]\nhostnam = x\n",
          "2: there is no setting server.hostnam; did you mean "
          "server.hostname?" },
        { "[server]\nformat = json\n",
          "2: there is no setting server.format; it belongs to section "
          "[log]" },
        { "[server]\nzzzzzzzz = 1\n",
          "2: there is no setting server.zzzzzzzz" },
        { "\n[sever]\n",
          "2: there is no section [sever]; did you mean [server]?" },
        { "hostname = x\n", "1: a setting stands before the first [section]" },
        { "[server]\nworkers = 2\n\nWorkers = 3\n",
          "4: server.workers stands twice, before at FILE:2" },
        { "[listen]\na = 1\nb = 2\na = 3\n",
          "4: listen.a stands twice, before at FILE:2" },
        { "[server]\nworkers = 65\n",
          "2: server.workers: expected a whole number, 1 to 64, found "
          "\"65\"" },
        { "[server]\nworkers = 4 ; four\n",
          "2: server.workers: expected a whole number, 1 to 64, found "
          "\"4 ; four\" (a comment needs a line of its own)" },
        { "[server]\nmemory = 1\n",
          "2: server.memory: expected a size such as 64 KB or 50 MB, 1 KB to "
          "1 GB, found \"1\"" },
        { "[server]\nstrict = maybe\n",
          "2: server.strict: expected a boolean, on or off, found \"maybe\"" },
        { "[log]\nformat = xml\n",
          "2: log.format: expected one of logfmt, json, found \"xml\"" },
        { "[server]\nhostname = a b\n",
          "2: server.hostname: a host name has no blanks" },
        { "[server]\ntrusted = 1, bad\n",
          "2: server.trusted: bad is no range" },
        { "[listen]\nx = bad\n", "2: listen.x: bad is no range" },
        { "[server]\nworkers\n",
          "2: expected \"[section]\", \"key = value\" or a comment that begins "
          "with ; or #" },
        { "[server\n",
          "1: expected \"[section]\", \"key = value\" or a comment that begins "
          "with ; or #" },
    };
    load(*state, "[server]\nworkers = 7\n[log]\nformat = json\n");
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct error error = { .text = "" };
        struct buffer expected = { 0 };
        const char *rest = rows[i].sentence;
        const char *name = strstr(rest, "FILE");
        buffer_printf(&expected, "%s:", path);
        buffer_printf(&expected, "%.*s", name ? (int)(name - rest) : 1000,
                      rest);
        if (name) {
            buffer_printf(&expected, "%s%s", path, name + 4);
        }
        write_file(rows[i].content);
        assert_false(config_load(*state, path, &error));
        assert_string_equal(error.text, expected.data);
        buffer_free(&expected);
        assert_int_equal(workers, 7);
        assert_int_equal(format, 1);
    }
}

static void all_or_nothing(void **state)
{
    load(*state, "[server]\nhostname = before\nworkers = 7\n");
    struct error error;
    write_file("[server]\nhostname = after\n[log]\nformat = xml\n");
    assert_false(config_load(*state, path, &error));
    assert_string_equal(hostname, "before");
    load(*state, "[server]\nhostname = after\n");
    assert_string_equal(hostname, "after");
    assert_int_equal(workers, 2);
}

static void unreadable_files(void **state)
{
    struct error error;
    assert_false(config_load(*state, "/nonexistent/baton.conf", &error));
    assert_string_equal(error.text, "cannot read /nonexistent/baton.conf: No "
                                    "such file or directory");
    assert_false(config_load(*state, "/tmp", &error));
    assert_non_null(strstr(error.text, "cannot read /tmp"));
    FILE *file = fopen(path, "w");
    fprintf(file, "[server]\nhostname = %05000d\n", 1);
    fclose(file);
    assert_false(config_load(*state, path, &error));
    assert_non_null(strstr(error.text, ":2: the line is longer"));
}

static void the_environment_comes_last(void **state)
{
    struct error error;
    setenv("BATON_SERVER_HOSTNAME", " from.env ", 1);
    setenv("BATON_LISTEN_SMTP", "*:2525", 1);
    setenv("BATON_LISTEN_HTTP", "", 1);
    setenv("BATON_LISTEN_EXTRA", "*:26", 1);
    setenv("BATON_UNRELATED", "x", 1);
    setenv("BATONSERVER_X", "x", 1);
    write_file("[server]\nhostname = file\nworkers = 3\n");
    assert_true(config_load(*state, path, &error));
    assert_string_equal(hostname, "from.env");
    assert_int_equal(workers, 3);
    assert_string_equal(listeners, "smtp=*:2525\nextra=*:26");
    setenv("BATON_SERVER_HOSTNAM", "x", 1);
    assert_false(config_load(*state, path, &error));
    assert_string_equal(error.text,
                        "environment BATON_SERVER_HOSTNAM: there is no "
                        "setting server.hostnam; did you mean "
                        "server.hostname?");
    unsetenv("BATON_SERVER_HOSTNAM");
    setenv("BATON_SERVER_WORKERS", "none", 1);
    assert_false(config_load(*state, path, &error));
    assert_memory_equal(error.text,
                        "environment BATON_SERVER_WORKERS: "
                        "server.workers: expected",
                        58);
    setenv("BATON_SERVER_WORKERS", "1\n2", 1);
    assert_false(config_load(*state, path, &error));
    clearenv();
}

/* What config_print wrote; free with memory_free. */
static char *print(const struct config *config, bool as_json)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    config_print(config, out, as_json);
    fclose(out);
    return text;
}

static void what_is_printed_can_be_loaded(void **state)
{
    setenv("BATON_SERVER_WORKERS", "9", 1);
    load(*state, "[server]\nmemory = 2 MB\n[database]\npassword = hush\n"
                 "[listen]\nsmtp = *:25\n");
    clearenv();
    char *printed = print(*state, false);
    assert_non_null(strstr(printed, "[server]\n; default\nhostname = "
                                    "localhost\n; environment "
                                    "BATON_SERVER_WORKERS\nworkers = 9\n"));
    assert_non_null(strstr(printed, ":2\nmemory = 2 MB\n"));
    assert_non_null(strstr(printed, "\n; password = (set)\n"));
    assert_null(strstr(printed, "hush"));
    load(*state, printed);
    memory_free(printed);
    assert_int_equal(workers, 9);
    assert_int_equal(memory, 2 << 20);
    assert_string_equal(listeners, "smtp=*:25");
    assert_string_equal(password, "");

    printed = print(*state, true);
    assert_non_null(strstr(printed, "[\n {\"section\":\"server\",\"key\":"
                                    "\"hostname\",\"value\":\"localhost\","));
    assert_string_equal(printed + strlen(printed) - 4, "}\n]\n");
    memory_free(printed);
}

static void the_reference_has_every_row(void **state)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    config_print_reference(*state, out);
    fclose(out);
    assert_non_null(strstr(text, "## [server]\n"));
    assert_non_null(strstr(text, "| `memory` | size | `64 MB` | 1 KB to 1 GB "
                                 "| Memory |\n"));
    assert_non_null(strstr(text, "| `format` | choice | `logfmt` | logfmt, "
                                 "json | How a line looks |\n"));
    assert_non_null(strstr(text, "| `offset` | number | `0` | at least -10 "
                                 "| Any number |\n"));
    memory_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_hold_without_a_file),
        cmocka_unit_test(a_file_is_read),
        cmocka_unit_test(sizes_and_spans),
        cmocka_unit_test(spans_alone),
        cmocka_unit_test(a_mistake_is_named_with_its_line),
        cmocka_unit_test(all_or_nothing),
        cmocka_unit_test(unreadable_files),
        cmocka_unit_test(the_environment_comes_last),
        cmocka_unit_test(what_is_printed_can_be_loaded),
        cmocka_unit_test(the_reference_has_every_row),
    };
    clearenv();
    int descriptor = mkstemp(path);
    int failed_count = 1;
    if (descriptor >= 0) {
        close(descriptor);
        failed_count = cmocka_run_group_tests(tests, set_up, tear_down);
        unlink(path);
    }
    return failed_count;
}
