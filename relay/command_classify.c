/* SPDX-License-Identifier: MIT */
/* What Baton makes of a message that came back, or of a reply: for people who
 * wonder why an address was suppressed, or was not. */
#include <jansson.h>
#include <stdio.h>

#include "core/memory.h"
#include "relay/command_internal.h"
#include "tracking/arf.h"
#include "tracking/dsn.h"
#include "tracking/phrase.h"
#include "tracking/returned_mail.h"

/* Octets of a message that are read: as many as of one that comes back. */
#define READ_MAX ((size_t)RETURNED_BYTES_READ)
#define LINE_BYTES_MAX 65536U

static void add_text(json_t *json, const char *key, const char *value)
{
    if (value != NULL && value[0] != '\0') {
        json_object_set_new(json, key, output_text_json(text_of(value)));
    }
}

static void add_verdict(json_t *json, const struct bounce_verdict *verdict)
{
    add_text(json, "class", bounce_class_name(verdict->class));
    add_text(json, "severity", bounce_severity_name(verdict->severity));
    json_object_set_new(json, "suppresses", json_boolean(verdict->suppresses));
    add_text(json, "rule", verdict->rule);
    if (verdict->code != 0) {
        json_object_set_new(json, "code", json_integer(verdict->code));
    }
}

/* -- messages -- */

static json_t *recipient_json(const struct dsn_recipient *recipient)
{
    json_t *json = json_object();
    add_text(json, "recipient", recipient->address);
    add_text(json, "original_recipient", recipient->original);
    add_text(json, "action", dsn_action_name(recipient->action));
    add_verdict(json, &recipient->verdict);
    add_text(json, "step", bounce_step_name(recipient->step));
    add_text(json, "status", recipient->status);
    add_text(json, "diagnostic", recipient->diagnostic);
    add_text(json, "remote_host", recipient->remote_host);
    return json;
}

static void add_returned(json_t *json, const struct incoming_returned *returned)
{
    add_text(json, "message_id", returned->message_id);
    add_text(json, "envelope_sender", returned->envelope_sender);
}

static json_t *dsn_json(const struct dsn *dsn)
{
    json_t *json = json_object();
    json_t *recipients = json_array();
    add_text(json, "kind", dsn_kind_name(dsn->kind));
    for (size_t i = 0; i < dsn->recipient_count; i++) {
        json_array_append_new(recipients, recipient_json(&dsn->recipients[i]));
    }
    json_object_set_new(json, "recipients", recipients);
    add_text(json, "from", dsn->from);
    add_text(json, "reporting_host", dsn->reporting_host);
    add_text(json, "envelope_id", dsn->envelope_id);
    add_returned(json, &dsn->returned);
    return json;
}

static json_t *complaint_json(const struct arf *arf)
{
    json_t *json = json_object();
    json_t *recipients = json_array();
    add_text(json, "kind", "complaint");
    add_text(json, "feedback_type", arf_type_name(arf->type));
    json_object_set_new(json, "suppresses", json_boolean(arf->suppresses));
    for (size_t i = 0; i < arf->recipient_count; i++) {
        json_t *recipient = json_object();
        add_text(recipient, "recipient", arf->recipients[i]);
        json_array_append_new(recipients, recipient);
    }
    json_object_set_new(json, "recipients", recipients);
    add_text(json, "user_agent", arf->user_agent);
    add_text(json, "original_mail_from", arf->mail_from);
    add_text(json, "original_envelope_id", arf->envelope_id);
    add_text(json, "reported_domain", arf->reported_domain);
    add_text(json, "source_ip", arf->source_ip);
    add_text(json, "arrival_date", arf->arrival_date);
    if (arf->incidents > 1) {
        json_object_set_new(json, "incidents",
                            json_integer((json_int_t)arf->incidents));
    }
    add_returned(json, &arf->returned);
    return json;
}

static json_t *message_json(struct text message)
{
    struct arena *arena = arena_create();
    struct arf arf;
    struct dsn dsn;
    json_t *json = NULL;
    if (arf_read(message, arena, &arf)) {
        json = complaint_json(&arf);
    } else {
        dsn_read(message, arena, &dsn);
        json = dsn_json(&dsn);
    }
    arena_free(&arena);
    return json;
}

/* A stream's bytes, as many as are looked at. */
static bool read_all(FILE *file, struct buffer *out_bytes)
{
    char piece[65536];
    size_t length = 0;
    while (out_bytes->length < READ_MAX &&
           (length = fread(piece, 1, sizeof(piece), file)) > 0) {
        buffer_append(out_bytes, piece, length);
    }
    return ferror(file) == 0;
}

static void print_line(json_t *json)
{
    json_dumpf(json, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(json);
}

static int classify_stream(FILE *file, const char *name)
{
    struct buffer bytes = { 0 };
    if (!read_all(file, &bytes)) {
        buffer_free(&bytes);
        return command_fail("%s cannot be read",
                            name != NULL ? name : "the standard input");
    }
    json_t *json = message_json(buffer_text(&bytes));
    buffer_free(&bytes);
    if (name == NULL) {
        output_json(json);
        return COMMAND_DONE;
    }
    json_object_set_new(json, "file", output_text_json(text_of(name)));
    print_line(json);
    return COMMAND_DONE;
}

static int classify_file(const char *name)
{
    FILE *file = fopen(name, "rb");
    if (file == NULL) {
        return command_fail("%s cannot be opened: give the names of files with "
                            "one message each",
                            name);
    }
    int status = classify_stream(file, name);
    fclose(file);
    return status;
}

/* The next line without its line end; what is beyond LINE_BYTES_MAX of it is
 * dropped. False: the end. */
static bool read_line(FILE *file, struct buffer *line)
{
    buffer_clear(line);
    int byte = getc(file);
    if (byte == EOF) {
        return false;
    }
    for (; byte != EOF && byte != '\n'; byte = getc(file)) {
        if (line->length < LINE_BYTES_MAX) {
            buffer_append_byte(line, (char)byte);
        }
    }
    if (line->length > 0 && line->data[line->length - 1] == '\r') {
        line->length--;
    }
    return true;
}

/* Names of files, one a line. */
static int classify_list(void)
{
    int status = COMMAND_DONE;
    struct buffer name = { 0 };
    while (read_line(stdin, &name)) {
        if (name.length > 0) {
            buffer_append_byte(&name, '\0');
            status = classify_file(name.data) == COMMAND_DONE ? status
                                                              : COMMAND_FAILED;
        }
    }
    buffer_free(&name);
    return status;
}

/* -- replies -- */

static json_t *reply_json(struct text line, enum bounce_step step)
{
    struct bounce_reply reply = { .text = line, .step = step };
    struct bounce_verdict verdict;
    bounce_class_decide(&reply, &verdict);
    json_t *json = json_object();
    json_object_set_new(json, "text", output_text_json(line));
    add_verdict(json, &verdict);
    add_text(json, "status", verdict.status);
    return json;
}

static int classify_replies(const struct command_call *call)
{
    const char *written = command_option(call, "--step");
    enum bounce_step step = written != NULL ? bounce_step_of(text_of(written))
                                            : BOUNCE_STEP_UNKNOWN;
    if (written != NULL && step == BOUNCE_STEP_UNKNOWN) {
        return command_misuse(call,
                              "--step %s is no step of a dialogue: connect, "
                              "MAIL, RCPT or DATA",
                              written);
    }
    struct buffer line = { 0 };
    while (read_line(stdin, &line)) {
        print_line(reply_json(buffer_text(&line), step));
    }
    buffer_free(&line);
    return COMMAND_DONE;
}

static int classify(struct command_call *call)
{
    bool is_reply = command_option(call, "--reply") != NULL;
    bool is_list = command_option(call, "--list") != NULL;
    if (command_option(call, "--step") != NULL && !is_reply) {
        return command_misuse(call, "--step belongs to --reply");
    }
    if ((is_reply || is_list) && call->argument_count > 0) {
        return command_misuse(call,
                              "with %s everything comes from the "
                              "standard input: give no file",
                              is_reply ? "--reply" : "--list");
    }
    if (is_reply) {
        return classify_replies(call);
    }
    if (is_list) {
        return classify_list();
    }
    int status =
        call->argument_count == 0 ? classify_stream(stdin, NULL) : COMMAND_DONE;
    for (size_t i = 0; i < call->argument_count; i++) {
        if (classify_file(call->arguments[i]) != COMMAND_DONE) {
            status = COMMAND_FAILED;
        }
    }
    return status;
}

/* -- the table -- */

static const struct command_option classify_options[] = {
    { "--reply", NULL, "read SMTP replies instead, one a line" },
    { "--step", "STEP", "what they answered: connect, MAIL, RCPT, DATA" },
    { "--list", NULL, "read the names of files, one a line" },
    { 0 },
};

const struct command classify_commands[] = {
    { "classify", "[FILE ...]",
      "say what a bounce, a complaint or a reply means", 0,
      COMMAND_ARGUMENTS_MAX, classify_options, NEEDS_NOTHING, classify },
};
const size_t classify_command_count = ARRAY_LENGTH(classify_commands);
