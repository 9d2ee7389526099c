/* SPDX-License-Identifier: MIT */
#include "relay/notice.h"

#include "core/memory.h"
#include "relay/attempt.h"
#include "relay/held_message.h"
#include "sql/directory.h"

/* T24: mail with the null sender, our own notices and what a program sent by
 * itself are told to nobody. */
static bool may_be_told(const struct held_message *message)
{
    return message->sender[0] != '\0' && !message->policy->is_notice &&
           !message->policy->is_automatic;
}

/* Whoever writes to an account's inbound address has not asked us anything. */
static bool may_tell_author(const struct held_message *message)
{
    return !message->policy->is_bulk && !message->policy->is_inbound;
}

/* NULL: nobody is to be told. */
static struct new_notice *address_notice(
    struct arena *arena, const struct directory_account *account,
    const struct held_message *message)
{
    if (account == NULL || !may_be_told(message)) {
        return NULL;
    }
    bool tells_manager =
        account->notices_to_manager && account->manager_email[0] != '\0';
    bool tells_author = account->notices_to_author && may_tell_author(message);
    if (!tells_manager && !tells_author) {
        return NULL;
    }
    struct new_notice *notice = arena_alloc(arena, sizeof(*notice));
    notice->tells_author = tells_author;
    notice->manager =
        tells_manager ? arena_copy_string(arena, account->manager_email) : NULL;
    return notice;
}

const struct new_notice *notice_of_failure(
    struct arena *arena, const struct directory_account *account,
    const struct delivery *delivery, const char *class,
    const struct attempt_facts *facts, const struct smtp_outcome *outcome,
    bool is_sender_told)
{
    const struct held_message *message = delivery->message;
    struct new_notice *notice = address_notice(arena, account, message);
    struct buffer reply = { 0 };
    if (notice == NULL) {
        return NULL;
    }
    if (outcome->reply.code != 0) {
        smtp_reply_print(&outcome->reply, &reply);
    }
    notice->sender =
        is_sender_told ? arena_copy_string(arena, message->sender) : NULL;
    notice->class = class != NULL ? class : "expired";
    notice->status = arena_copy_string(arena, outcome->enhanced);
    notice->reply = arena_copy_text(arena, buffer_text(&reply));
    notice->host = facts != NULL ? arena_copy_string(arena, facts->host) : "";
    notice->explanation = arena_copy_string(arena, outcome->text);
    buffer_free(&reply);
    return notice;
}

const struct new_notice *notice_of_refusal(
    struct arena *arena, const struct directory_account *account,
    const struct delivery *delivery, const char *class, const char *reply)
{
    struct new_notice *notice =
        address_notice(arena, account, delivery->message);
    if (notice == NULL) {
        return NULL;
    }
    notice->class = class;
    notice->status = "5.7.1";
    notice->reply = "";
    notice->host = "";
    notice->explanation =
        arena_printf(arena,
                     "the message was accepted, but this recipient is "
                     "not sent to: %s",
                     reply);
    return notice;
}
