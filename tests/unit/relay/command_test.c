/* SPDX-License-Identifier: MIT */
/* The command line without a database: rows of its own, whose function only
 * notes how it was called. */
#include "relay/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/memory.h"
#include "core/text.h"
#include "relay/command_internal.h"

/* What the last call was like, as text: "NAME|argument|…|option=value". */
static char noted[400];
static char printed[20000]; /* stdout, then stderr */

static int note(struct command_call *call)
{
    static const char *const options[] = { "--count", "--loud" };
    size_t length =
        (size_t)snprintf(noted, sizeof(noted), "%s%s", call->command->name,
                         call->is_json ? "|json" : "");
    for (size_t i = 0; i < call->argument_count; i++) {
        length += (size_t)snprintf(noted + length, sizeof(noted) - length,
                                   "|%s", call->arguments[i]);
    }
    for (size_t i = 0; call->command->options != NULL && i < 2; i++) {
        const char *value = command_option(call, options[i]);
        if (value != NULL) {
            length += (size_t)snprintf(noted + length, sizeof(noted) - length,
                                       "|%s=%s", options[i], value);
        }
    }
    return COMMAND_DONE;
}

static int write_hostile(struct command_call *call)
{
    (void)call;
    output_lines("one\r\ntwo \x1b[31m\x7f \xc2\x9b"
                 "31m \xe2\x80\xae"
                 "abc "
                 "gr\xc3\xbc\xc3\x9f\xe2\x82\xac\n",
                 "  ");
    return COMMAND_DONE;
}

static const struct command_option options[] = {
    { "--count", "N", "so many" },
    { "--loud", NULL, "as loud as can be" },
    { 0 },
};

static const struct command rows[] = {
    { "march", "[WHERE]", "go", 0, 1, options, NEEDS_NOTHING, note },
    { "march back", "FROM TO", "return", 2, 2, NULL, NEEDS_NOTHING, note },
    { "march slowly", "", "do not hurry", 0, 0, NULL, NEEDS_NOTHING, note },
    { "configured", "", "needs settings", 0, 0, NULL, NEEDS_SETTINGS, note },
    { "hostile", "", "what strangers wrote", 0, 0, NULL, NEEDS_NOTHING,
      write_hostile },
};

/* Run `baton LINE` with its output in `printed`. */
static int run(const char *line)
{
    char copy[300];
    char *arguments[20] = { (char *)"baton" };
    int count = 1;
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *word = copy; *word != '\0' && count < 20;) {
        size_t length = strcspn(word, " ");
        arguments[count++] = word;
        word += length;
        if (*word == ' ') {
            *word++ = '\0';
        }
    }
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(NULL);
    int out = dup(STDOUT_FILENO);
    int err = dup(STDERR_FILENO);
    dup2(fileno(file), STDOUT_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    noted[0] = '\0';
    int status = command_main(count, arguments, rows, ARRAY_LENGTH(rows));
    fflush(NULL);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    close(out);
    close(err);
    rewind(file);
    size_t length = fread(printed, 1, sizeof(printed) - 1, file);
    printed[length] = '\0';
    fclose(file);
    return status;
}

static void a_line_is_taken_apart(void **state)
{
    static const struct {
        const char *line;
        int status;
        const char *noted; /* or what is printed, if it is no call */
    } lines[] = {
        { "march", 0, "march" },
        { "march home", 0, "march|home" },
        { "march home --loud --count 3", 0, "march|home|--count=3|--loud=" },
        { "--count=4 march --json", 0, "march|json|--count=4" },
        { "march -- --loud", 0, "march|--loud" },
        { "march back a b", 0, "march back|a|b" },
        { "march slowly", 0, "march slowly" },
        { "march -", 0, "march|-" },
        { "march a b", 2, "too many arguments" },
        { "march back a", 2, "TO is missing" },
        { "march a b c d e f g h", 2, "too many arguments" },
        { "march back a b --loud", 2, "--loud is no option" },
        { "march --count", 2, "--count needs a value" },
        { "march --count --loud", 2, "--count needs a value" },
        { "march --loud=very", 2, "--loud takes no value" },
        { "march --lout", 2, "no option \"--lout\"" },
        { "march -x", 2, "no option \"-x\"" },
        { "mrach", 2, "did you mean \"march\"" },
        { "marsh slowly", 2, "did you mean \"march slowly\"" },
        { "something else", 2, "baton --help" },
        { "", 2, "usage: baton" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(lines); i++) {
        int status = run(lines[i].line);
        bool is_right =
            status == lines[i].status &&
            (status == 0
                 ? strcmp(noted, lines[i].noted) == 0
                 : noted[0] == '\0' && strstr(printed, lines[i].noted) != NULL);
        if (!is_right) {
            fail_msg("\"%s\": %d, \"%s\", \"%s\"", lines[i].line, status, noted,
                     printed);
        }
    }
}

static void help_is_given_everywhere(void **state)
{
    static const struct {
        const char *line;
        const char *word;
    } lines[] = {
        { "--help", "account add NAME" },
        { "--help", "march back FROM TO" },
        { "help", "--config FILE" },
        { "-h", "usage: baton" },
        { "march --help", "--count N" },
        { "march back a b c --help", "usage: baton march back FROM TO" },
        { "account --help", "account remove" },
        { "queue cancel --help", "--message ID" },
        { "help march back", "usage: baton march back FROM TO" },
        { "help account", "account remove" },
        { "--version", "baton " },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(lines); i++) {
        if (run(lines[i].line) != 0 || strstr(printed, lines[i].word) == NULL) {
            fail_msg("\"%s\": %s", lines[i].line, printed);
        }
        assert_string_equal(noted, "");
    }
}

static void settings_are_loaded_from_the_file_that_is_named(void **state)
{
    (void)state;
    char path[] = "/tmp/baton-command-test-XXXXXX";
    char line[100];
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    assert_true(write(descriptor, "[nonsense]\nx = 1\n", 17) == 17);
    close(descriptor);
    assert_int_equal(run("configured --config /dev/null"), 0);
    assert_string_equal(noted, "configured");
    snprintf(line, sizeof(line), "configured --config %s", path);
    assert_int_equal(run(line), 1);
    assert_non_null(strstr(printed, "nonsense"));
    setenv("BATON_CONFIG", path, 1);
    assert_int_equal(run("configured"), 1);
    assert_int_equal(run("configured --config /dev/null"), 0);
    assert_int_equal(run("march"), 0); /* needs none */
    unsetenv("BATON_CONFIG");
    assert_int_equal(run("configured --config /nonexistent/file"), 1);
    assert_non_null(strstr(printed, "/nonexistent/file"));
    unlink(path);
}

static void config_and_reference_are_printed(void **state)
{
    (void)state;
    assert_int_equal(run("config --config /dev/null"), 0);
    assert_non_null(strstr(printed, "[database]"));
    assert_int_equal(run("config --json --config /dev/null"), 0);
    json_t *json = json_loads(printed, 0, NULL);
    assert_true(json_is_array(json) && json_array_size(json) > 20);
    json_decref(json);
    assert_int_equal(run("config reference"), 0);
    assert_non_null(strstr(printed, "allow_unsafe_durability"));
    assert_non_null(strstr(printed, "mime_depth"));
    assert_non_null(strstr(printed, "recipients_per_message"));
    assert_non_null(strstr(printed, "clock_rate"));
}

static void a_database_that_is_away_is_named(void **state)
{
    (void)state;
    setenv("BATON_DATABASE_URL", "postgresql:///x?host=/nonexistent", 1);
    assert_int_equal(run("account list --config /dev/null"), 1);
    assert_non_null(strstr(printed, "PostgreSQL"));
    unsetenv("BATON_DATABASE_URL");
}

static void control_characters_are_not_printed(void **state)
{
    (void)state;
    assert_int_equal(run("hostile"), 0);
    assert_string_equal(printed, "  one\n  two ?[31m? ?31m ?abc "
                                 "gr\xc3\xbc\xc3\x9f\xe2\x82\xac\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_taken_apart),
        cmocka_unit_test(help_is_given_everywhere),
        cmocka_unit_test(settings_are_loaded_from_the_file_that_is_named),
        cmocka_unit_test(config_and_reference_are_printed),
        cmocka_unit_test(a_database_that_is_away_is_named),
        cmocka_unit_test(control_characters_are_not_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
