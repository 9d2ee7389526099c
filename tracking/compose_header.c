/* SPDX-License-Identifier: MIT */
/* The header of a copy: fields that are left out, changed and added. What is
 * added stands at the end, below the message's own fields. */
#include <string.h>

#include "core/memory.h"
#include "tracking/compose_internal.h"
#include "tracking/control.h"
#include "tracking/group.h"
#include "tracking/header.h"
#include "tracking/unsubscribe.h"

struct header_writer {
    struct planner *planner;
    size_t part;
    enum header_share share;
    const char *encoding;
    bool is_message;
    bool removes_unsubscribe;
    bool adds_unsubscribe;
    bool has_version;
    bool has_subject;
    bool has_feedback_id;
    bool has_cfbl;
    bool is_encoding_written;
};

/* Nobody's business (F3), and the next host's to write (RFC 5321, 4.4). */
static bool is_private(struct text name)
{
    static const char *const names[] = { "Bcc", "Resent-Bcc", "Return-Path" };
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        if (text_is_ignoring_case(name, names[i])) {
            return true;
        }
    }
    return false;
}

static struct text line_of(const struct header_field *field)
{
    struct text line = field->whole;
    while (line.length > 0 && (line.data[line.length - 1] == '\n' ||
                               line.data[line.length - 1] == '\r')) {
        line.length--;
    }
    return line;
}

static void record_field(struct header_writer *writer, const char *what,
                         struct text before, struct text after)
{
    struct compose_record record = {
        .what = what, .part = writer->part, .before = before, .after = after
    };
    planner_record(writer->planner, &record);
}

static void add_line(struct header_writer *writer, const char *line,
                     const char *what, struct text before)
{
    struct text text = text_of(line);
    template_add_text(writer->planner->out, text);
    text.length -= 2;
    record_field(writer, what, before, text);
}

/* --- the caller's fields --- */

static void write_encoding(struct header_writer *writer, const char *what,
                           struct text before)
{
    const char *line =
        arena_printf(writer->planner->arena,
                     "Content-Transfer-Encoding: %s\r\n", writer->encoding);
    add_line(writer, line, what, before);
    writer->is_encoding_written = true;
}

/* Only the value changes; where it is left empty a space stays before nothing
 * (RFC 5322 allows an empty Subject). */
static bool write_subject(struct header_writer *writer,
                          const struct header_field *field)
{
    struct planner *planner = writer->planner;
    struct group_subject subject;
    if (writer->has_subject || planner->source->policy->pass_through ||
        !group_from_subject(field->value, planner->arena, &subject)) {
        writer->has_subject = true;
        return false;
    }
    struct text name = { field->whole.data,
                         (size_t)(field->value.data - field->whole.data) };
    writer->has_subject = true;
    const char *line =
        arena_printf(planner->arena, "%.*s%.*s\r\n", TEXT_ARGUMENTS(name),
                     TEXT_ARGUMENTS(subject.value));
    add_line(writer, line, "header changed", line_of(field));
    return true;
}

static bool is_content(struct text name)
{
    return text_starts_with_ignoring_case(name, "Content-");
}

/* A Content-ID is what others refer to: it stays with the whole. */
static bool is_in_share(const struct header_writer *writer, struct text name)
{
    bool is_inner =
        is_content(name) && !text_is_ignoring_case(name, "Content-ID");
    return writer->share == HEADER_WHOLE ||
           (writer->share == HEADER_INNER) == is_inner;
}

/* D7: a signature of the caller's no longer verifies once the copy was edited,
 * and beside one that does it would say that somebody changed the message. */
static bool is_replaced_signature(const struct header_writer *writer,
                                  struct text name)
{
    const struct policy *policy = writer->planner->source->policy;
    return policy->signing_domain[0] != '\0' && !policy->pass_through &&
           text_is_ignoring_case(name, "DKIM-Signature");
}

static bool is_removed(const struct header_writer *writer, struct text name)
{
    if (!writer->is_message) {
        return false;
    }
    if (writer->planner->source->policy->is_inbound) {
        return text_is_ignoring_case(name, "Return-Path");
    }
    return is_private(name) || control_is_field(name) ||
           is_replaced_signature(writer, name) ||
           (writer->removes_unsubscribe && unsubscribe_is_field(name));
}

static void write_field(struct header_writer *writer,
                        const struct header_field *field)
{
    struct text name = field->name;
    writer->has_version |= text_is_ignoring_case(name, "MIME-Version");
    writer->has_feedback_id |= text_is_ignoring_case(name, "Feedback-ID");
    writer->has_cfbl |= text_is_ignoring_case(name, "CFBL-Address");
    if (!is_in_share(writer, name)) {
        return;
    }
    if (is_removed(writer, name)) {
        record_field(writer, "header removed", line_of(field), text_of(""));
    } else if (writer->encoding &&
               text_is_ignoring_case(name, "Content-Transfer-Encoding")) {
        if (!writer->is_encoding_written) {
            write_encoding(writer, "header changed", line_of(field));
        }
    } else if (!(writer->is_message && text_is_ignoring_case(name, "Subject") &&
                 write_subject(writer, field))) {
        template_add_text(writer->planner->out, field->whole);
    }
}

/* --- ours --- */

/* U7: the caller's own stays, unless the policy says otherwise. */
static void decide_unsubscribe(struct header_writer *writer, struct text header)
{
    const struct policy *policy = writer->planner->source->policy;
    bool has_own = false;
    struct header_field field;
    while (header_next(&header, &field)) {
        has_own |= unsubscribe_is_link_field(field.name);
    }
    writer->adds_unsubscribe = writer->is_message &&
                               writer->planner->rewriter.can_unsubscribe &&
                               policy_unsubscribe(policy) != UNSUBSCRIBE_OFF &&
                               (!has_own || policy->replaces_unsubscribe);
    writer->removes_unsubscribe = writer->adds_unsubscribe;
}

/* A mailto URI of this recipient's, behind what there is. */
static void add_mail_unsubscribe(struct planner *planner,
                                 struct compose_record *record)
{
    struct arena *arena = planner->arena;
    size_t count = record->piece_count;
    struct buffer end = { 0 };
    struct template_piece *pieces =
        arena_alloc(arena, (count + 2) * sizeof(*pieces));
    memcpy(pieces, record->pieces, count * sizeof(*pieces));
    struct text text = unsubscribe_mail_end(planner->source->policy, &end);
    pieces[count].place = PLACE_MAIL_UNSUBSCRIBE;
    pieces[count].to = SIZE_MAX;
    pieces[count + 1].text =
        (struct text){ arena_copy_text(arena, text), text.length };
    buffer_free(&end);
    record->pieces = pieces;
    record->piece_count = count + 2;
}

static void add_unsubscribe(struct header_writer *writer)
{
    struct planner *planner = writer->planner;
    const struct policy *policy = planner->source->policy;
    struct compose_record record = { .what = "header added",
                                     .part = writer->part };
    record.pieces =
        rewriter_frame(&planner->rewriter, "/u/", PLACE_UNSUBSCRIBE,
                       unsubscribe_fields(policy), &record.piece_count);
    if (policy->return_host[0] != '\0') {
        add_mail_unsubscribe(planner, &record);
    }
    for (size_t i = 0; i < record.piece_count; i++) {
        const struct template_piece *piece = &record.pieces[i];
        if (piece->place == PLACE_NONE) {
            template_add_text(planner->out, piece->text);
        } else {
            template_add(planner->out, piece);
        }
    }
    planner_record(planner, &record);
}

/* --- feedback --- */

/* RFC 9477, 3.2: its host has to belong to the domain that signs. */
static bool has_own_return_host(const struct policy *policy)
{
    struct text host = text_of(policy->return_host);
    struct text domain = text_of(policy->signing_domain);
    return domain.length > 0 &&
           text_ends_with_ignoring_case(host, policy->signing_domain) &&
           (host.length == domain.length ||
            host.data[host.length - domain.length - 1] == '.');
}

static bool needs_feedback_id(const struct header_writer *writer)
{
    const struct policy *policy = writer->planner->source->policy;
    return writer->is_message && writer->share != HEADER_INNER &&
           !writer->has_feedback_id && !policy->pass_through &&
           policy->feedback_id[0] != '\0';
}

static bool needs_cfbl(const struct header_writer *writer)
{
    const struct compose_source *source = writer->planner->source;
    const struct policy *policy = source->policy;
    return writer->is_message && writer->share != HEADER_INNER &&
           !writer->has_cfbl && !policy->pass_through && policy->offers_cfbl &&
           source->keys != NULL && token_keys_can_sign(source->keys) &&
           has_own_return_host(policy);
}

static void add_feedback_id(struct header_writer *writer)
{
    struct planner *planner = writer->planner;
    add_line(writer,
             arena_printf(planner->arena, "Feedback-ID: %s\r\n",
                          planner->source->policy->feedback_id),
             "header added", text_of(""));
}

static void add_cfbl(struct header_writer *writer)
{
    struct planner *planner = writer->planner;
    struct template_piece *pieces =
        arena_alloc(planner->arena, 3 * sizeof(*pieces));
    pieces[0].text = TEXT_LITERAL("CFBL-Address: ");
    pieces[1].place = PLACE_MAIL_FEEDBACK;
    pieces[1].to = SIZE_MAX;
    pieces[2].text =
        text_of(arena_printf(planner->arena, "@%s; report=arf\r\n",
                             planner->source->policy->return_host));
    struct compose_record record = { .what = "header added",
                                     .part = writer->part,
                                     .pieces = pieces,
                                     .piece_count = 3 };
    template_add_text(planner->out, pieces[0].text);
    template_add(planner->out, &pieces[1]);
    template_add_text(planner->out, pieces[2].text);
    planner_record(planner, &record);
}

/* The last line of a message without a body may lack its end. */
static void end_last_line(struct header_writer *writer, struct text header)
{
    bool is_ended =
        header.length == 0 || header.data[header.length - 1] == '\n';
    if (!is_ended) {
        template_add_text(writer->planner->out, TEXT_LITERAL("\r\n"));
    }
}

static void add_fields(struct header_writer *writer, struct text header)
{
    bool is_inner = writer->share == HEADER_INNER;
    bool needs_version = writer->is_message && !is_inner &&
                         !writer->has_version &&
                         (writer->encoding || writer->share == HEADER_OUTER);
    bool needs_encoding = writer->encoding && !writer->is_encoding_written &&
                          writer->share != HEADER_OUTER;
    bool needs_unsubscribe = writer->adds_unsubscribe && !is_inner;
    if (needs_version || needs_encoding || needs_unsubscribe ||
        needs_feedback_id(writer) || needs_cfbl(writer)) {
        end_last_line(writer, header);
    }
    if (needs_unsubscribe) {
        add_unsubscribe(writer);
    }
    if (needs_feedback_id(writer)) {
        add_feedback_id(writer);
    }
    if (needs_cfbl(writer)) {
        add_cfbl(writer);
    }
    if (needs_version) {
        /* Without it the encoding means nothing: RFC 2045, 4. */
        add_line(writer, "MIME-Version: 1.0\r\n", "header added", text_of(""));
    }
    if (needs_encoding) {
        write_encoding(writer, "header added", text_of(""));
    }
}

void planner_write_header(struct planner *planner, size_t part,
                          enum header_share share, const char *encoding)
{
    const struct mime_part *read = &planner->mime.parts[part];
    struct text header = text_slice(planner->source->message, read->header_from,
                                    read->header_to);
    struct header_writer writer = {
        .planner = planner,
        .part = part,
        .share = share,
        .encoding = encoding,
        .is_message = read->parent == MIME_NO_PARENT,
    };
    decide_unsubscribe(&writer, header);
    struct text rest = header;
    struct header_field field;
    while (header_next(&rest, &field)) {
        write_field(&writer, &field);
    }
    add_fields(&writer, header);
    planner->cursor = read->header_to;
}
