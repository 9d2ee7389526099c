/* SPDX-License-Identifier: MIT */
/* See template.h. Tokens of links are made in one go, the others when a place
 * asks for them. */
#include "tracking/template.h"

#include <string.h>

#include "core/memory.h"
#include "tracking/link.h"
#include "tracking/return_path.h"
#include "tracking/transfer.h"

#define QUOTED_COLUMNS 75 /* and the "=" behind them: RFC 2045, 6.7 */

static bool touches(struct text before, struct text behind)
{
    return before.data + before.length == behind.data;
}

void template_add(struct template *template, const struct template_piece *piece)
{
    if (template->piece_count == template->capacity) {
        size_t capacity = template->capacity ? template->capacity * 2 : 16;
        struct template_piece *grown =
            arena_alloc(template->arena, capacity * sizeof(*grown));
        if (template->piece_count > 0) {
            memcpy(grown, template->pieces,
                   template->piece_count * sizeof(*grown));
        }
        template->pieces = grown;
        template->capacity = capacity;
    }
    template->pieces[template->piece_count++] = *piece;
    template->is_personal |= piece->place != PLACE_NONE;
}

void template_add_text(struct template *template, struct text text)
{
    if (text.length == 0) {
        return;
    }
    if (template->piece_count > 0) {
        struct template_piece *last =
            &template->pieces[template->piece_count - 1];
        if (last->place == PLACE_NONE && touches(last->text, text)) {
            last->text.length += text.length;
            return;
        }
    }
    struct template_piece piece = { .place = PLACE_NONE, .text = text };
    template_add(template, &piece);
}

struct template_filler {
    const struct template_source *source;
    const struct compose_recipient *recipient;
    struct arena *arena;
    char *heads; /* of all links, one behind the other */
    bool has_open;
    char open[TOKEN_HEAD_CHARACTERS];
    struct text unsubscribe;
};

static struct token make_token(const struct template_filler *filler,
                               enum token_kind kind)
{
    const struct policy *policy = filler->source->policy;
    bool is_anonymous = policy->privacy == PRIVACY_ANONYMOUS;
    return (struct token){
        .kind = kind,
        .privacy = policy->privacy,
        .account_id = filler->source->account_id,
        .delivery_id = is_anonymous ? 0 : filler->recipient->delivery_id,
        .group_id = policy->group_id,
    };
}

static void make_heads(struct template_filler *filler)
{
    const struct template_source *source = filler->source;
    struct token token = make_token(filler, TOKEN_CLICK);
    filler->heads =
        arena_alloc(filler->arena, source->link_count * TOKEN_HEAD_CHARACTERS);
    for (size_t i = 0; i < source->link_count; i++) {
        if (!source->links[i].is_personal) {
            token.link = (uint32_t)i + 1;
            token_write_head(source->keys, &token, &source->links[i].target,
                             filler->heads + i * TOKEN_HEAD_CHARACTERS);
        }
    }
}

struct template_filler *template_filler_create(
    const struct template_source *borrowed_source,
    const struct compose_recipient *recipient, struct arena *arena)
{
    struct template_filler *filler = arena_alloc(arena, sizeof(*filler));
    filler->source = borrowed_source;
    filler->recipient = recipient;
    filler->arena = arena;
    if (borrowed_source->link_count > 0) {
        make_heads(filler);
    }
    return filler;
}

static struct text open_token(struct template_filler *filler)
{
    if (!filler->has_open) {
        struct token token = make_token(filler, TOKEN_OPEN);
        token_write_head(filler->source->keys, &token, NULL, filler->open);
        filler->has_open = true;
    }
    return (struct text){ filler->open, TOKEN_HEAD_CHARACTERS };
}

static struct text unsubscribe_token(struct template_filler *filler)
{
    if (filler->unsubscribe.length == 0) {
        struct token token = make_token(filler, TOKEN_UNSUBSCRIBE);
        struct text address = text_of(filler->recipient->address);
        struct buffer characters = { 0 };
        if (address.length == 0) {
            address = TEXT_LITERAL("-"); /* nobody: nothing to unsubscribe */
        }
        token_write_unsubscribe(filler->source->keys, &token, address,
                                &characters);
        filler->unsubscribe =
            (struct text){ arena_copy_text(filler->arena,
                                           buffer_text(&characters)),
                           characters.length };
        buffer_free(&characters);
    }
    return filler->unsubscribe;
}

/* Its recipient is the delivery's: unlike the URL it tells nothing else. */
static struct text mail_local(struct template_filler *filler,
                              enum return_path_kind kind)
{
    struct return_path path = {
        .kind = kind,
        .account_id = filler->source->account_id,
        .delivery_id = filler->recipient->delivery_id,
    };
    char *local = arena_alloc(filler->arena, RETURN_PATH_LOCAL_CHARACTERS + 1);
    return_path_write(filler->source->keys, &path, local);
    return text_of(local);
}

static struct text personal_token(struct template_filler *filler, size_t link)
{
    const struct template_source *source = filler->source;
    struct token token = make_token(filler, TOKEN_CLICK);
    struct token_target target;
    struct buffer url = { 0 };
    struct buffer characters = { 0 };
    token.link = (uint32_t)link + 1;
    link_add_analytics(source->links[link].url, source->policy,
                       filler->recipient->address, &url);
    buffer_reserve(&characters, TOKEN_HEAD_CHARACTERS);
    characters.length = TOKEN_HEAD_CHARACTERS;
    token_target_prepare(buffer_text(&url), &characters, &target);
    token_write_head(source->keys, &token, &target, characters.data);
    struct text whole = { arena_copy_text(filler->arena,
                                          buffer_text(&characters)),
                          characters.length };
    buffer_free(&characters);
    buffer_free(&url);
    return whole;
}

static struct text token_of(struct template_filler *filler,
                            const struct template_piece *piece)
{
    switch (piece->place) {
    case PLACE_CLICK:
        return (struct text){ filler->heads +
                                  piece->link * TOKEN_HEAD_CHARACTERS,
                              TOKEN_HEAD_CHARACTERS };
    case PLACE_PERSONAL_CLICK:
        return personal_token(filler, piece->link);
    case PLACE_OPEN:
        return open_token(filler);
    case PLACE_UNSUBSCRIBE:
        return unsubscribe_token(filler);
    case PLACE_MAIL_UNSUBSCRIBE:
        return mail_local(filler, RETURN_UNSUBSCRIBE);
    case PLACE_MAIL_FEEDBACK:
        return mail_local(filler, RETURN_FEEDBACK);
    default:
        return piece->text;
    }
}

static struct text keep(struct template_filler *filler, struct buffer *buffer)
{
    struct text kept = { arena_copy_text(filler->arena, buffer_text(buffer)),
                         buffer->length };
    buffer_free(buffer);
    return kept;
}

static struct text in_charset(struct template_filler *filler,
                              const struct charset *charset, struct text ascii)
{
    struct buffer bytes = { 0 };
    charset_from_ascii(charset, ascii, &bytes);
    return keep(filler, &bytes);
}

/* Lines of their own, each ended by a soft break: whatever stands around them,
 * and however long they are, keeps its place. */
static struct text in_quoted_lines(struct template_filler *filler,
                                   struct text bytes)
{
    static const char digits[] = "0123456789ABCDEF";
    struct buffer lines = { 0 };
    size_t column = 0;
    for (size_t i = 0; i < bytes.length; i++) {
        unsigned char byte = (unsigned char)bytes.data[i];
        bool is_plain = byte > 32 && byte < 127 && byte != '=' &&
                        !(byte == '-' && column == 0);
        char code[3] = { '=', digits[byte >> 4], digits[byte & 15] };
        size_t width = is_plain ? 1 : 3;
        if (column + width > QUOTED_COLUMNS) {
            buffer_append_string(&lines, "=\r\n");
            column = 0;
            i--;
            continue;
        }
        buffer_append(&lines, is_plain ? &bytes.data[i] : code, width);
        column += width;
    }
    buffer_append_string(&lines, "=\r\n");
    return keep(filler, &lines);
}

static struct text encode_content(struct template_filler *filler,
                                  const struct template_piece *piece)
{
    struct buffer bytes = { 0 };
    struct buffer lines = { 0 };
    template_write(filler, piece->content->pieces, piece->content->piece_count,
                   &bytes);
    base64_encode_columns(buffer_text(&bytes), piece->columns, &lines);
    buffer_free(&bytes);
    return keep(filler, &lines);
}

static struct text fill_piece(struct template_filler *filler,
                              const struct template_piece *piece)
{
    if (piece->place == PLACE_NONE) {
        return piece->text;
    }
    if (piece->place == PLACE_BASE64) {
        return encode_content(filler, piece);
    }
    struct text characters =
        text_slice(token_of(filler, piece), piece->from, piece->to);
    if (piece->charset) {
        characters = in_charset(filler, piece->charset, characters);
    }
    return piece->is_quoted ? in_quoted_lines(filler, characters) : characters;
}

void template_fill(struct template_filler *filler,
                   const struct template *template, struct text **out_pieces,
                   size_t *out_piece_count)
{
    struct text *pieces =
        arena_alloc(filler->arena, template->piece_count * sizeof(*pieces));
    for (size_t i = 0; i < template->piece_count; i++) {
        pieces[i] = fill_piece(filler, &template->pieces[i]);
    }
    *out_pieces = pieces;
    *out_piece_count = template->piece_count;
}

void template_write(struct template_filler *filler,
                    const struct template_piece *pieces, size_t piece_count,
                    struct buffer *out_bytes)
{
    size_t length = 0;
    for (size_t i = 0; i < piece_count; i++) {
        length += pieces[i].text.length + TOKEN_HEAD_CHARACTERS;
    }
    buffer_reserve(out_bytes, length);
    for (size_t i = 0; i < piece_count; i++) {
        buffer_append_text(out_bytes, fill_piece(filler, &pieces[i]));
    }
}
