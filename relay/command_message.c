/* SPDX-License-Identifier: MIT */
/* One message with everything known about it; and the search for one. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/memory.h"
#include "relay/command_internal.h"

/* What a message consists of. */
struct message_story {
    struct admin_table *message;
    struct admin_table *deliveries;
    struct admin_table *attempts;
    struct admin_table *events;
};

static void free_story(struct message_story *story)
{
    admin_table_free(&story->message);
    admin_table_free(&story->deliveries);
    admin_table_free(&story->attempts);
    admin_table_free(&story->events);
}

static bool read_story(struct command_call *call, const char *message_id,
                       struct message_story *story)
{
    story->message = command_query(call, "admin_message_show", &message_id, 1);
    if (story->message == NULL) {
        return false;
    }
    if (admin_row_count(story->message) == 0) {
        command_fail("there is no message %s: it was never accepted here, or "
                     "its time of keeping ([retention] message) is over",
                     message_id);
        return false;
    }
    const char *key[] = { admin_value(story->message, 0, "account_id"),
                          message_id };
    story->deliveries = command_query(call, "admin_message_deliveries", key, 2);
    story->attempts =
        story->deliveries == NULL
            ? NULL
            : command_query(call, "admin_message_attempts", key, 2);
    story->events = story->attempts == NULL
                        ? NULL
                        : command_query(call, "admin_message_events", key, 2);
    return story->events != NULL;
}

/* -- for people -- */

static void print_fact(const char *name, const char *value)
{
    if (value[0] != '\0') {
        printf("  %-12s ", name);
        output_text(value);
        putchar('\n');
    }
}

static void print_client(const struct admin_table *message)
{
    struct buffer text = { 0 };
    buffer_printf(&text, "%s [%s], %s", admin_value(message, 0, "client_name"),
                  admin_value(message, 0, "client_address"),
                  admin_value(message, 0, "protocol"));
    const char *tls = admin_value(message, 0, "tls");
    const char *user = admin_value(message, 0, "user_name");
    buffer_printf(&text, "%s%s%s%s", tls[0] != '\0' ? ", " : "", tls,
                  user[0] != '\0' ? ", user " : "", user);
    print_fact("client", text.data);
    buffer_free(&text);
}

static void print_message(const struct admin_table *message)
{
    static const struct {
        const char *name;
        const char *column;
    } facts[] = {
        { "account", "account" },
        { "accepted", "accepted_at" },
        { "expires", "expires_at" },
        { "from", "from_address" },
        { "subject", "subject" },
        { "message-id", "internet_message_id" },
        { "octets", "size_bytes" },
        { "priority", "priority" },
        { "group", "group_name" },
        { "tags", "tags_text" },
        { "metadata", "metadata_text" },
        { "envelope id", "envelope_id" },
    };
    const char *sender = admin_value(message, 0, "sender");
    printf("message %s\n", admin_value(message, 0, "message_id"));
    for (size_t i = 0; i < ARRAY_LENGTH(facts); i++) {
        print_fact(facts[i].name, admin_value(message, 0, facts[i].column));
    }
    print_fact("sender", sender[0] != '\0' ? sender : "<>");
    print_client(message);
    output_lines(admin_value(message, 0, "transcript"), "      ");
}

static void print_attempt(const struct admin_table *attempts, size_t row)
{
    printf("  attempt %s, %s: ", admin_value(attempts, row, "number"),
           admin_value(attempts, row, "started_at"));
    output_text(admin_value(attempts, row, "outcome"));
    fputs(" by ", stdout);
    output_text(admin_value(attempts, row, "host"));
    if (admin_value(attempts, row, "address")[0] != '\0') {
        fputs(" [", stdout);
        output_text(admin_value(attempts, row, "address"));
        putchar(']');
    }
    printf(" at %s, %s/%s/%s ms queue/connect/transfer\n",
           admin_value(attempts, row, "step"),
           admin_value(attempts, row, "queue_milliseconds"),
           admin_value(attempts, row, "connect_milliseconds"),
           admin_value(attempts, row, "transfer_milliseconds"));
    print_fact("  tls", admin_value(attempts, row, "tls"));
    print_fact("  reply", admin_value(attempts, row, "reply"));
    output_lines(admin_value(attempts, row, "transcript"), "      ");
}

/* "3 opens (2 without machines), first at …" */
static void print_hits(const struct admin_table *deliveries, size_t row,
                       const char *noun, const char *count_column,
                       const char *human_column, const char *first_column)
{
    const char *count = admin_value(deliveries, row, count_column);
    if (strcmp(count, "0") == 0) {
        return;
    }
    struct buffer text = { 0 };
    buffer_printf(&text, "%s (%s without machines), first at %s", count,
                  admin_value(deliveries, row, human_column),
                  admin_value(deliveries, row, first_column));
    print_fact(noun, text.data);
    buffer_free(&text);
}

static void print_delivery(const struct message_story *story, size_t row)
{
    const struct admin_table *deliveries = story->deliveries;
    const char *id = admin_value(deliveries, row, "delivery_id");
    printf("\ndelivery %s to ", id);
    output_text(admin_value(deliveries, row, "recipient"));
    printf(": %s\n", admin_value(deliveries, row, "state"));
    print_fact("finished", admin_value(deliveries, row, "finished_at"));
    print_fact("attempts", admin_value(deliveries, row, "attempt_count"));
    print_fact("last reply", admin_value(deliveries, row, "last_reply"));
    print_fact("in queue", admin_value(deliveries, row, "queue_state"));
    print_fact("why", admin_value(deliveries, row, "why"));
    print_fact("next try", admin_value(deliveries, row, "next_try_at"));
    print_hits(deliveries, row, "opens", "open_count", "human_open_count",
               "first_opened_at");
    print_hits(deliveries, row, "clicks", "click_count", "human_click_count",
               "first_clicked_at");
    for (size_t i = 0; i < admin_row_count(story->attempts); i++) {
        if (strcmp(admin_value(story->attempts, i, "delivery_id"), id) == 0) {
            print_attempt(story->attempts, i);
        }
    }
}

static void print_event_fact(const struct admin_table *events, size_t row,
                             const char *before, const char *column)
{
    if (!admin_is_null(events, row, column)) {
        fputs(before, stdout);
        output_text(admin_value(events, row, column));
    }
}

static void print_event(const struct admin_table *events, size_t row)
{
    const char *detail = admin_value(events, row, "detail");
    printf("  %s  %-12s ", admin_value(events, row, "occurred_at"),
           admin_value(events, row, "kind"));
    output_text(admin_value(events, row, "recipient"));
    print_event_fact(events, row, " link ", "link_number");
    print_event_fact(events, row, " ", "url");
    print_event_fact(events, row, " by ", "verdict");
    print_event_fact(events, row, ": ", "verdict_reason");
    print_event_fact(events, row, " from ", "client_address");
    print_event_fact(events, row, " with ", "user_agent");
    if (strcmp(detail, "{}") != 0) {
        putchar(' ');
        output_text(detail);
    }
    putchar('\n');
}

static void print_story(const struct message_story *story)
{
    print_message(story->message);
    for (size_t i = 0; i < admin_row_count(story->deliveries); i++) {
        print_delivery(story, i);
    }
    printf("\nevents\n");
    for (size_t i = 0; i < admin_row_count(story->events); i++) {
        print_event(story->events, i);
    }
}

/* -- for programs: message {…, deliveries: [{…, attempts: […]}], events} -- */

/* For programs a list is one, and what is for people only goes. */
static void mend_columns(json_t *row)
{
    static const struct {
        const char *name;
        const char *instead; /* NULL: it only goes */
    } columns[] = {
        { "tags_json", "tags" },
        { "clicked_links_json", "clicked_links" },
        { "human_clicked_links_json", "human_clicked_links" },
        { "tags_text", NULL },
        { "metadata_text", NULL },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(columns); i++) {
        json_t *value = json_object_get(row, columns[i].name);
        if (value != NULL && columns[i].instead != NULL) {
            json_object_set(row, columns[i].instead, value);
        }
        json_object_del(row, columns[i].name);
    }
}

static json_t *story_json(const struct message_story *story)
{
    json_t *messages = admin_table_json(story->message);
    json_t *message = json_incref(json_array_get(messages, 0));
    json_t *deliveries = admin_table_json(story->deliveries);
    json_t *attempts = admin_table_json(story->attempts);
    size_t d;
    size_t a;
    json_t *delivery;
    json_t *attempt;
    json_array_foreach(deliveries, d, delivery)
    {
        json_t *own = json_array();
        json_array_foreach(attempts, a, attempt)
        {
            if (json_equal(json_object_get(attempt, "delivery_id"),
                           json_object_get(delivery, "delivery_id"))) {
                json_array_append(own, attempt);
            }
        }
        mend_columns(delivery);
        json_object_set_new(delivery, "attempts", own);
    }
    mend_columns(message);
    json_object_set_new(message, "deliveries", deliveries);
    json_object_set_new(message, "events", admin_table_json(story->events));
    json_decref(attempts);
    json_decref(messages);
    return message;
}

static int message_show(struct command_call *call)
{
    struct message_story story = { 0 };
    int64_t id = 0;
    if (!id_parse(text_of(call->arguments[0]), &id)) {
        return command_fail("\"%s\" is no message id: it is the number in "
                            "\"250 2.0.0 Ok: queued as …\"",
                            call->arguments[0]);
    }
    bool is_read = read_story(call, call->arguments[0], &story);
    if (is_read && call->is_json) {
        output_json(story_json(&story));
    } else if (is_read) {
        print_story(&story);
    }
    free_story(&story);
    return is_read ? COMMAND_DONE : COMMAND_FAILED;
}

/* -- list -- */

static const char *const states[] = { "queued",   "delivered", "failed",
                                      "expired",  "cancelled", "withdrawn",
                                      "rejected", "suppressed" };

static int message_list(struct command_call *call)
{
    struct id_text account;
    struct id_text limit;
    char since_at[CLOCK_TEXT_SIZE];
    const char *account_parameter = NULL;
    const char *written = command_option(call, "--state");
    const char *state =
        written == NULL
            ? NULL
            : command_read_word(written, states, ARRAY_LENGTH(states));
    const char *since = command_option(call, "--since");
    struct error error;
    if (written != NULL && state == NULL) {
        return command_misuse(call,
                              "--state expects queued, delivered, failed, "
                              "expired, cancelled, rejected, suppressed or "
                              "withdrawn, not \"%s\"",
                              written);
    }
    if (!command_read_limit(call, "50", &limit)) {
        return COMMAND_MISUSED;
    }
    if (!command_find_account_option(call, &account, &account_parameter)) {
        return COMMAND_FAILED;
    }
    const char *parameters[] = {
        account_parameter,
        command_option(call, "--recipient"),
        command_option(call, "--sender"),
        state,
        since == NULL ? NULL : command_read_since(since, since_at),
        limit.text,
    };
    struct admin_table *table =
        admin_run(call->admin, "admin_message_list", parameters,
                  ARRAY_LENGTH(parameters), &error);
    if (table == NULL) {
        return command_fail_since(call, since, &error);
    }
    output_table(call, table, "There is no such message.");
    admin_table_free(&table);
    return COMMAND_DONE;
}

static const struct command_option message_list_options[] = {
    { "--account", "ACCOUNT", "of this account only" },
    { "--recipient", "ADDRESS", "to this recipient only" },
    { "--sender", "ADDRESS", "from this envelope sender only" },
    { "--state", "STATE",
      "queued, delivered, failed, expired, cancelled, rejected, suppressed or "
      "withdrawn" },
    { "--since", "TIME", "accepted since then; 2h is two hours ago" },
    { "--limit", "N", "at most so many, the newest (50)" },
    { 0 },
};

static const struct command_option message_diff_options[] = {
    { "--full", NULL, "the whole text, with [-removed-] and {+added+}" },
    { "--7bit", NULL, "as for a host that takes no 8-bit text" },
    { 0 },
};

const struct command message_commands[] = {
    { "message list", "", "find messages, one line a recipient", 0, 0,
      message_list_options, NEEDS_SCHEMA, message_list },
    { "message show", "ID",
      "everything known about a message, with its SMTP dialogues", 1, 1, NULL,
      NEEDS_SCHEMA, message_show },
    { "message diff", "ID RECIPIENT",
      "what a recipient's copy has that the message had not", 2, 2,
      message_diff_options, NEEDS_SCHEMA, command_message_diff },
};
const size_t message_command_count = ARRAY_LENGTH(message_commands);
