/* SPDX-License-Identifier: MIT */
/*
 * Whom a failure is told besides the envelope sender: the account's manager and
 * the author, as the account wants it. Never what could go round (T24): no
 * notice of a notice, of a bounce or of what was sent automatically.
 */
#ifndef BATON_RELAY_NOTICE_H
#define BATON_RELAY_NOTICE_H

#include <stdbool.h>

#include "core/arena.h"
#include "sql/notices.h"

struct attempt_facts;
struct delivery;
struct directory_account;
struct smtp_outcome;

/* The notice of a delivery's failure, in the arena with all its texts, to be
 * stored with the failure; NULL: nobody is told. account NULL (removed
 * meanwhile): nobody. facts may be NULL. class: of the bounce; NULL: it is
 * "expired". is_sender_told: a report goes to the envelope sender. */
const struct new_notice *notice_of_failure(
    struct arena *arena, const struct directory_account *account,
    const struct delivery *delivery, const char *class,
    const struct attempt_facts *facts, const struct smtp_outcome *outcome,
    bool is_sender_told);

/* The notice of a recipient who is not sent to, though the message was taken.
 */
const struct new_notice *notice_of_refusal(
    struct arena *arena, const struct directory_account *account,
    const struct delivery *delivery, const char *class, const char *reply);

#endif
