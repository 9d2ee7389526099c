/* SPDX-License-Identifier: MIT */
/*
 * A configuration file of any bytes: all or nothing, every value within its
 * bounds, and what is printed can be loaded again. Then as the program's own
 * tables see it.
 */
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/config.h"
#include "core/memory.h"
#include "relay/relay_settings.h"
#include "smtp/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *text;
static int64_t number;
static int64_t bytes;
static int64_t span;
static bool flag;
static int choice;
static const char *list;
static const char *rows;

static const struct setting settings[] = {
    { "a", "text", SETTING_TEXT, &text, "x", "t", 0, 0, NULL, false, NULL },
    { "a", "number", SETTING_NUMBER, &number, "5", "n", 1, 100, NULL, false,
      NULL },
    { "a", "size", SETTING_SIZE, &bytes, "1 KB", "s", 0, 0, NULL, false, NULL },
    { "a", "span", SETTING_SPAN, &span, "1 s", "d", 1, 3600000, NULL, false,
      NULL },
    { "b", "flag", SETTING_BOOLEAN, &flag, "off", "b", 0, 0, NULL, false,
      NULL },
    { "b", "choice", SETTING_CHOICE, &choice, "one", "c", 0, 0, "one|two|six",
      false, NULL },
    { "b", "list", SETTING_LIST, &list, "", "l", 0, 0, NULL, false, NULL },
    { "c", "*", SETTING_LIST, &rows, "k=v", "r", 0, 0, NULL, false, NULL },
};

struct values {
    char *strings[3];
    int64_t numbers[5];
};

static struct values take_values(void)
{
    return (struct values){
        .strings = { memory_copy_string(text), memory_copy_string(list),
                     memory_copy_string(rows) },
        .numbers = { number, bytes, span, flag, choice },
    };
}

static void free_values(struct values *values)
{
    for (size_t i = 0; i < ARRAY_LENGTH(values->strings); i++) {
        memory_free(values->strings[i]);
    }
}

static void check_same(const struct values *a, const struct values *b)
{
    for (size_t i = 0; i < ARRAY_LENGTH(a->strings); i++) {
        check(strcmp(a->strings[i], b->strings[i]) == 0);
    }
    check(memcmp(a->numbers, b->numbers, sizeof(a->numbers)) == 0);
}

static void check_bounds(void)
{
    check(number >= 1 && number <= 100);
    check(bytes >= 0);
    check(span >= 1 && span <= 3600000);
    check(choice >= 0 && choice <= 2);
    check(text != NULL && list != NULL && rows != NULL);
}

/* A file without a name; its path is out_path. */
static int open_file(const void *content, size_t size, char out_path[32])
{
    int descriptor = memfd_create("config", MFD_CLOEXEC);
    check(descriptor >= 0);
    check(size == 0 || write(descriptor, content, size) == (ssize_t)size);
    snprintf(out_path, 32, "/proc/self/fd/%d", descriptor);
    return descriptor;
}

static char *print(const struct config *config, bool as_json, size_t *out_size)
{
    char *printed = NULL;
    FILE *out = open_memstream(&printed, out_size);
    check(out != NULL);
    config_print(config, out, as_json);
    check(fclose(out) == 0);
    return printed;
}

static void check_json(const struct config *config)
{
    size_t size = 0;
    char *printed = print(config, true, &size);
    json_error_t error;
    json_t *value = json_loadb(printed, size, 0, &error);
    check(json_is_array(value));
    json_decref(value);
    memory_free(printed);
}

static void check_print(const struct config *config)
{
    size_t size = 0;
    char *printed = print(config, false, &size);
    char path[32];
    int descriptor = open_file(printed, size, path);
    struct values before = take_values();
    struct config *again = config_create();
    struct error error = { "" };
    config_add(again, settings, ARRAY_LENGTH(settings));
    if (!config_load(again, path, &error)) {
        fprintf(stderr, "%s\n%s", error.text, printed);
        check(false); /* what was printed can be loaded */
    }
    struct values after = take_values();
    check_same(&before, &after);
    free_values(&before);
    free_values(&after);
    config_free(&again);
    close(descriptor);
    memory_free(printed);
}

static void try_own(const char *path)
{
    struct config *config = config_create();
    struct error error = { "" };
    config_add(config, settings, ARRAY_LENGTH(settings));
    check(config_load(config, NULL, &error));
    struct values before = take_values();
    if (config_load(config, path, &error)) {
        check_bounds();
        check_json(config);
        check_print(config);
    } else {
        struct values after = take_values();
        check_same(&before, &after);
        check(error.text[0] != '\0');
        free_values(&after);
    }
    free_values(&before);
    config_free(&config);
}

static void try_program(const char *path)
{
    struct config *config = config_create();
    struct error error = { "" };
    config_add(config, smtp_settings, smtp_setting_count);
    config_add(config, relay_settings, relay_setting_count);
    if (config_load(config, path, &error)) {
        check_json(config);
    } else {
        check(error.text[0] != '\0');
    }
    config_free(&config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32];
    int descriptor = open_file(data, size, path);
    try_own(path);
    try_program(path);
    close(descriptor);
    return 0;
}
