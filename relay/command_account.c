/* SPDX-License-Identifier: MIT */
/* Accounts and what belongs to them: user names, networks, domains, settings.
 */
#include <crypt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/address.h"
#include "core/encoding.h"
#include "core/memory.h"
#include "core/network.h"
#include "relay/command_internal.h"

#define NAME_LENGTH_MAX 64
#define USER_NAME_LENGTH_MAX 128
#define PASSWORD_LENGTH_MIN 12
#define PASSWORD_LENGTH_MAX 256
/* 26 characters of 5 bits: 130 random bits. */
#define GENERATED_LENGTH 26

/* -- accounts -- */

static bool is_all_digits(const char *name)
{
    return strspn(name, "0123456789") == strlen(name);
}

static int account_add(struct command_call *call)
{
    static const char name_bytes[] = "abcdefghijklmnopqrstuvwxyz"
                                     "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    const char *name = call->arguments[0];
    const char *manager = command_option(call, "--manager");
    struct address address;
    struct error error;
    if (name[0] == '\0' || strlen(name) > NAME_LENGTH_MAX ||
        strspn(name, name_bytes) != strlen(name) || is_all_digits(name)) {
        return command_fail("\"%s\" is no name for an account: up to %d "
                            "letters, digits, \"-\", \".\" and \"_\", not "
                            "digits alone",
                            name, NAME_LENGTH_MAX);
    }
    if (manager != NULL &&
        !address_parse(text_of(manager), true, &address, &error)) {
        return command_fail("--manager \"%s\" is no mail address: %s", manager,
                            error.text);
    }
    const char *parameters[] = { name, manager };
    struct admin_table *table =
        command_change(call, "admin_account_add", parameters, 2,
                       CHANNEL_DIRECTORY, "", &error);
    if (table == NULL) {
        return command_is_duplicate(call)
                   ? command_fail("there is an account \"%s\" already", name)
                   : command_fail("%s", error.text);
    }
    const char *id = admin_value(table, 0, "account_id");
    output_done(call, json_pack("{ssss}", "account_id", id, "name", name),
                "account %s added, id %s; next: baton credential add %s USER, "
                "baton domain add %s DOMAIN",
                name, id, name, name);
    admin_table_free(&table);
    return COMMAND_DONE;
}

static int account_list(struct command_call *call)
{
    struct admin_table *table =
        command_query(call, "admin_account_list", NULL, 0);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    output_table(call, table, "There is no account: baton account add NAME.");
    admin_table_free(&table);
    return COMMAND_DONE;
}

static int refuse_while_queued(struct command_call *call, const char *id)
{
    struct admin_table *table =
        command_query(call, "admin_account_queue_count", &id, 1);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    const char *count = admin_value(table, 0, "queued_count");
    int status = COMMAND_DONE;
    if (strcmp(count, "0") != 0) {
        bool is_one = strcmp(count, "1") == 0;
        status = command_fail("account %s has %s unfinished %s: wait for %s, "
                              "or run baton queue cancel --account %s",
                              call->arguments[0], count,
                              is_one ? "delivery" : "deliveries",
                              is_one ? "it" : "them", call->arguments[0]);
    }
    admin_table_free(&table);
    return status;
}

/* What goes with an account. */
struct belonging {
    const char *column;
    const char *one;
    const char *many;
    bool is_precious; /* it cannot be had again */
};

static const struct belonging belongings[] = {
    { "user_count", "user name", "user names", false },
    { "network_count", "network", "networks", false },
    { "domain_count", "domain", "domains", false },
    { "tracking_host_count", "tracking host", "tracking hosts", false },
    { "group_count", "group", "groups", false },
    { "suppression_count", "suppression", "suppressions", true },
    { "untracked_count", "objection to being tracked",
      "objections to being tracked", true },
};

/* "3 user names, 1 domain" */
static void count_belongings(const struct admin_table *table,
                             bool only_precious, struct buffer *out_list,
                             json_t *out_json)
{
    for (size_t i = 0; i < ARRAY_LENGTH(belongings); i++) {
        const struct belonging *belonging = &belongings[i];
        uint64_t count = 0;
        check(text_to_uint64(text_of(admin_value(table, 0, belonging->column)),
                             &count));
        json_object_set_new(out_json, belonging->column,
                            json_integer((json_int_t)count));
        if (count > 0 && (belonging->is_precious || !only_precious)) {
            buffer_printf(
                out_list, "%s%" PRIu64 " %s", out_list->length > 0 ? ", " : "",
                count,
                output_noun((long long)count, belonging->one, belonging->many));
        }
    }
}

/* Remove it, unless what cannot be had again would be lost by mistake. */
static int remove_with(struct command_call *call, const char *id,
                       const struct admin_table *table)
{
    const char *name = call->arguments[0];
    struct buffer precious = { 0 };
    struct buffer all = { 0 };
    json_t *json = json_pack("{ss}", "removed", name);
    int status = COMMAND_FAILED;
    count_belongings(table, true, &precious, json);
    count_belongings(table, false, &all, json);
    if (precious.length > 0 && command_option(call, "--yes") == NULL) {
        command_fail("account %s has %s, which would be lost: export them "
                     "first (baton suppression export %s, baton untracked list "
                     "%s), then add --yes",
                     name, precious.data, name, name);
    } else {
        struct admin_table *removed =
            command_change_directory(call, "admin_account_remove", &id, 1);
        if (removed != NULL) {
            output_done(call, json_incref(json), "account %s removed%s%s", name,
                        all.length > 0 ? ", with " : "",
                        all.length > 0 ? all.data : "");
            status = COMMAND_DONE;
        }
        admin_table_free(&removed);
    }
    json_decref(json);
    buffer_free(&precious);
    buffer_free(&all);
    return status;
}

static int account_remove(struct command_call *call)
{
    struct id_text id;
    if (!command_find_account(call, call->arguments[0], &id)) {
        return COMMAND_FAILED;
    }
    const char *parameter = id.text;
    int status = refuse_while_queued(call, parameter);
    if (status != COMMAND_DONE) {
        return status;
    }
    struct admin_table *table =
        command_query(call, "admin_account_belongings", &parameter, 1);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    status = remove_with(call, parameter, table);
    admin_table_free(&table);
    return status;
}

/* -- lists of what belongs to one account or to all -- */

/* -- credentials -- */

/* No letter that looks like another, nothing that a shell would take. */
static void generate_password(char out_password[GENERATED_LENGTH + 1])
{
    static const char letters[33] = "abcdefghijkmnpqrstuvwxyz23456789";
    uint8_t bytes[GENERATED_LENGTH];
    random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < GENERATED_LENGTH; i++) {
        out_password[i] = letters[bytes[i] & 31];
    }
    out_password[GENERATED_LENGTH] = '\0';
}

static void hash_generated(const char *password, struct buffer *out_secret)
{
    uint8_t digest[SHA256_SIZE];
    sha256(text_of(password), digest);
    hex_encode((struct text){ (const char *)digest, sizeof(digest) },
               out_secret);
}

static bool hash_chosen(const char *password, struct buffer *out_secret)
{
    void *data = NULL;
    int size = 0;
    char *setting = crypt_gensalt_ra("$y$", 0, NULL, 0);
    const char *hashed =
        setting == NULL ? NULL : crypt_ra(password, setting, &data, &size);
    bool is_done = hashed != NULL && hashed[0] != '*';
    if (is_done) {
        buffer_append_string(out_secret, hashed);
    } else {
        command_fail("the password could not be hashed: libcrypt knows no "
                     "yescrypt");
    }
    if (data != NULL) {
        explicit_bzero(data, (size_t)size);
    }
    /* Allocated by libcrypt: memory_free is free. */
    memory_free(data);
    memory_free(setting);
    return is_done;
}

static size_t character_count(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++) {
        count += ((unsigned char)*text & 0xc0) != 0x80 ? 1 : 0;
    }
    return count;
}

/* One line from the standard input. */
static bool read_password(char out_password[PASSWORD_LENGTH_MAX + 3])
{
    if (fgets(out_password, PASSWORD_LENGTH_MAX + 3, stdin) == NULL) {
        command_fail("--password-stdin: the standard input is empty");
        return false;
    }
    size_t length = strcspn(out_password, "\r\n");
    out_password[length] = '\0';
    if (length > PASSWORD_LENGTH_MAX) {
        command_fail("the password has more than %d octets",
                     PASSWORD_LENGTH_MAX);
        return false;
    }
    if (character_count(out_password) < PASSWORD_LENGTH_MIN) {
        command_fail("the password has fewer than %d characters: take a "
                     "longer one, or leave --password-stdin away to have one "
                     "generated",
                     PASSWORD_LENGTH_MIN);
        return false;
    }
    return true;
}

static bool is_user_name(const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < length; i++) {
        if (name[i] <= ' ' || name[i] >= 0x7f) {
            return false;
        }
    }
    return length > 0 && length <= USER_NAME_LENGTH_MAX;
}

/* Store it and say so; `shown` is the password that was generated, or NULL. */
static int store_credential(struct command_call *call, const char *account_id,
                            const char *secret, const char *shown)
{
    char user[USER_NAME_LENGTH_MAX + 1];
    struct error error;
    snprintf(user, sizeof(user), "%s", call->arguments[1]);
    for (char *c = user; *c != '\0'; c++) {
        *c = ascii_lower(*c);
    }
    const char *parameters[] = { account_id, user,
                                 shown != NULL ? "generated" : "chosen", secret,
                                 command_option(call, "--group") };
    struct admin_table *table =
        command_change(call, "admin_credential_add", parameters, 5,
                       CHANNEL_DIRECTORY, "", &error);
    if (table == NULL) {
        return command_is_duplicate(call)
                   ? command_fail("the user name \"%s\" is taken: user names "
                                  "are unique over all accounts",
                                  user)
                   : command_fail("%s", error.text);
    }
    admin_table_free(&table);
    if (shown != NULL) {
        output_done(call,
                    json_pack("{ssssss}", "account", call->arguments[0],
                              "user_name", user, "password", shown),
                    "user      %s\npassword  %s\nIt is shown this once: only "
                    "its hash is kept.",
                    user, shown);
    } else {
        output_done(call,
                    json_pack("{ssss}", "account", call->arguments[0],
                              "user_name", user),
                    "user %s added, with the password given", user);
    }
    return COMMAND_DONE;
}

static int credential_add(struct command_call *call)
{
    struct id_text id;
    struct buffer secret = { 0 };
    char chosen[PASSWORD_LENGTH_MAX + 3];
    char generated[GENERATED_LENGTH + 1];
    bool is_chosen = command_option(call, "--password-stdin") != NULL;
    if (!is_user_name(call->arguments[1])) {
        return command_fail("\"%s\" is no user name: up to %d printable ASCII "
                            "characters without blanks",
                            call->arguments[1], USER_NAME_LENGTH_MAX);
    }
    const char *group = command_option(call, "--group");
    if ((group != NULL && !command_check_group_name("--group ", group)) ||
        !command_find_account(call, call->arguments[0], &id)) {
        return COMMAND_FAILED;
    }
    bool is_hashed = true;
    if (is_chosen) {
        is_hashed = read_password(chosen) && hash_chosen(chosen, &secret);
        explicit_bzero(chosen, sizeof(chosen));
    } else {
        generate_password(generated);
        hash_generated(generated, &secret);
    }
    int status = !is_hashed ? COMMAND_FAILED
                            : store_credential(call, id.text, secret.data,
                                               is_chosen ? NULL : generated);
    buffer_free(&secret);
    return status;
}

static int credential_list(struct command_call *call)
{
    return command_list_of_account(
        call, "admin_credential_list",
        "There is no user name: baton credential add ACCOUNT USER.");
}

static int credential_remove(struct command_call *call)
{
    return command_remove_from_account(call, "admin_credential_remove", "user",
                                       call->arguments[1]);
}

/* -- networks -- */

static bool read_range(const char *written, char out_range[NETWORK_TEXT_SIZE])
{
    struct network_range range;
    struct error error;
    if (!network_range_parse(text_of(written), &range, &error)) {
        command_fail("%s", error.text);
        return false;
    }
    if (range.prefix_bits == 0) {
        command_fail("%s is everybody: whoever connects could send as this "
                     "account; name the clients' own range",
                     written);
        return false;
    }
    network_range_text(&range, out_range);
    return true;
}

/* The longest range decides, so two accounts cannot have the same. */
static bool is_range_free(struct command_call *call, const char *range)
{
    struct admin_table *table =
        command_query(call, "admin_network_owner", &range, 1);
    if (table == NULL) {
        return false;
    }
    bool is_free = admin_row_count(table) == 0;
    if (!is_free) {
        command_fail("account %s has the network %s already",
                     admin_value(table, 0, "account"), range);
    }
    admin_table_free(&table);
    return is_free;
}

static int network_add(struct command_call *call)
{
    struct id_text id;
    char range[NETWORK_TEXT_SIZE];
    if (!read_range(call->arguments[1], range) ||
        !command_find_account(call, call->arguments[0], &id) ||
        !is_range_free(call, range)) {
        return COMMAND_FAILED;
    }
    const char *parameters[] = { id.text, range };
    struct admin_table *table =
        command_change_directory(call, "admin_network_add", parameters, 2);
    if (table == NULL) {
        return COMMAND_FAILED;
    }
    admin_table_free(&table);
    output_done(
        call,
        json_pack("{ssss}", "account", call->arguments[0], "range", range),
        "clients in %s send as account %s, without a password", range,
        call->arguments[0]);
    return COMMAND_DONE;
}

static int network_list(struct command_call *call)
{
    return command_list_of_account(
        call, "admin_network_list",
        "There is no network: baton network add ACCOUNT "
        "RANGE.");
}

static int network_remove(struct command_call *call)
{
    char range[NETWORK_TEXT_SIZE];
    struct network_range parsed;
    struct error error;
    if (!network_range_parse(text_of(call->arguments[1]), &parsed, &error)) {
        return command_fail("%s", error.text);
    }
    network_range_text(&parsed, range);
    return command_remove_from_account(call, "admin_network_remove", "network",
                                       range);
}

/* -- the table -- */

static const struct command_option account_add_options[] = {
    { "--manager", "ADDRESS", "mail address of who manages it" },
    { 0 },
};

static const struct command_option account_remove_options[] = {
    { "--yes", NULL, "its suppressions and objections as well" },
    { 0 },
};

static const struct command_option credential_add_options[] = {
    { "--password-stdin", NULL,
      "read a chosen password from the standard input" },
    { "--group", "NAME", "the group of messages that name none" },
    { 0 },
};

const struct command account_commands[] = {
    { "account add", "NAME", "make an account", 1, 1, account_add_options,
      NEEDS_SCHEMA, account_add },
    { "account list", "", "list accounts", 0, 0, NULL, NEEDS_SCHEMA,
      account_list },
    { "account remove", "ACCOUNT", "remove an account and what belongs to it",
      1, 1, account_remove_options, NEEDS_SCHEMA, account_remove },
    { "credential add", "ACCOUNT USER",
      "add a user name for SMTP AUTH; prints a new password", 2, 2,
      credential_add_options, NEEDS_SCHEMA, credential_add },
    { "credential list", "[ACCOUNT]", "list user names", 0, 1, NULL,
      NEEDS_SCHEMA, credential_list },
    { "credential remove", "ACCOUNT USER", "remove a user name", 2, 2, NULL,
      NEEDS_SCHEMA, credential_remove },
    { "network add", "ACCOUNT RANGE",
      "let an address range send without a password", 2, 2, NULL, NEEDS_SCHEMA,
      network_add },
    { "network list", "[ACCOUNT]", "list networks", 0, 1, NULL, NEEDS_SCHEMA,
      network_list },
    { "network remove", "ACCOUNT RANGE", "remove a network", 2, 2, NULL,
      NEEDS_SCHEMA, network_remove },
};
const size_t account_command_count = ARRAY_LENGTH(account_commands);
