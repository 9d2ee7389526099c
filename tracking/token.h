/* SPDX-License-Identifier: MIT */
/*
 * Tokens of recipients' URLs: base64url (RFC 4648, 5; no padding) of
 *
 *   1 version (high 4 bits) and privacy (low 4) | 2 key id | 5 account |
 *   8 delivery, or the group when privacy is anonymous | 4 number | 16 tag
 *   then, of a click: the target URL; of an unsubscribe: the sealed address
 *
 * number is the link's, or the group's of an unsubscribe. The tag covers kind,
 * fields and target, so nothing of it can be changed, and no token is honoured
 * under the path of another kind. An unsubscribe is sealed (mac_seal): it names
 * its recipient for ever, also after the message was purged, and shows nobody.
 */
#ifndef BATON_TRACKING_TOKEN_H
#define BATON_TRACKING_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/mac.h"
#include "core/text.h"
#include "tracking/policy.h"

#define TOKEN_HEAD_BYTES 36
#define TOKEN_HEAD_CHARACTERS 48 /* the same for every recipient */
/* Longer ones are not read: links whose token would be are left as they are.
 * Token, target and the client's fields have 32 KB in http/. */
#define TOKEN_CHARACTERS_MAX (16 * 1024)
#define TOKEN_TARGET_BYTES_MAX \
    ((TOKEN_CHARACTERS_MAX - TOKEN_HEAD_CHARACTERS) / 4 * 3)

enum token_kind {
    TOKEN_CLICK = 'c',
    TOKEN_OPEN = 'o',
    TOKEN_UNSUBSCRIBE = 'u'
};

struct token {
    enum token_kind kind;
    enum privacy privacy;
    int64_t account_id;
    int64_t delivery_id; /* 0 when anonymous */
    int64_t group_id; /* of an anonymous one and of an unsubscribe */
    uint32_t link; /* of a click, counted from 1 */
};

/* All keys that were ever used, and which of them signs. */
struct token_keys;
struct token_keys *token_keys_create(void);
void token_keys_free(struct token_keys **keys);
/* A key that is there already stays as it is. */
void token_keys_add(struct token_keys *keys, int key_id,
                    const uint8_t secret[MAC_SECRET_BYTES]);
/* The key that signs from now on; it must have been added. */
void token_keys_use(struct token_keys *keys, int key_id);
bool token_keys_can_sign(const struct token_keys *keys);

/* For what else these keys sign (return_path.h): the id of the key that signs,
 * and the tag that the key of an id gives bytes. They begin with a byte that is
 * no enum token_kind. False: there is no such key; the tag is then nobody's and
 * took as long. */
int token_keys_signing_id(const struct token_keys *keys);
bool token_keys_tag(const struct token_keys *keys, int key_id,
                    struct text bytes, uint8_t out_tag[MAC_TAG_BYTES]) MUST_USE;

/* A target, prepared once per message: its characters, which lie in the buffer
 * they were appended to (and move when that grows), and its digest. */
struct token_target {
    struct text encoded; /* base64url of the URL: what follows the head */
    uint8_t digest[32];
};
void token_target_prepare(struct text url, struct buffer *out_encoded,
                          struct token_target *out_target);

/* The 48 characters of the head: the whole token of an open, the front of a
 * click's. `target` is NULL but for a click. */
void token_write_head(const struct token_keys *keys, const struct token *token,
                      const struct token_target *target,
                      char out_characters[TOKEN_HEAD_CHARACTERS]);
/* A whole unsubscribe token, appended. The address is not empty. */
void token_write_unsubscribe(const struct token_keys *keys,
                             const struct token *token, struct text address,
                             struct buffer *out_characters);

/* Read a token that came under the path of this kind. To out_payload is
 * appended the target URL or the address. False: not ours, whatever the reason;
 * takes the same way for all of them. */
bool token_read(const struct token_keys *keys, enum token_kind kind,
                struct text characters, struct token *out_token,
                struct buffer *out_payload) MUST_USE;

#endif
