/* SPDX-License-Identifier: MIT */
/*
 * What kind of message it is, by who sends it, its subject and what its text
 * says. Phrases are data; how they are written: phrase.h.
 */
#include <string.h>

#include "core/memory.h"
#include "tracking/dsn_internal.h"
#include "tracking/phrase.h"

/* clang-format off */
static const char *const failure_subjects[] = {
    "undeliver", "non deliver", "nondeliver", "not deliver", "delivery fail",
    "delivery has failed", "delivery error", "failure notice", "returned mail",
    "returned to sender", "returning message to sender",
    "delivery status notification", "delivery notification", "delivery report",
    "mail system error", "mail delivery", "message delivery",
    "delivery problem", "delivery subsystem", "could not be delivered",
    "could not deliver", "couldnt be delivered", "cannot be delivered",
    "unable to deliver", "undelivered", "not be delivered", "failed mail",
    "mail failure", "failure delivery", "delivery unsuccessful", "mail fail",
    "bounced mail", "bounce message", "bounce notification",
    "permanent delivery", "message failure", "failed delivery",
    "error sending your mail", "problem delivering", "message status",
    "delayed mail", "warning message", "user unknown", "unknown user",
    "returned email", "rejected mail", "automatically rejected",
    "message rejected", "mail rejected", "undeliverable", "loop alert", "not member article", "article rejected",
    "user not known", "sending * failed", "nondelivery", "ndr ", "ndn ",
    "status notification", "delivery delay", "mail returned",
    "returned message", "was not delivered", "unzustellbar",
    "nicht zugestellt", "zustellung", "unzustellbare", "non remis", "echec",
    "échec", "remise", "non distribu", "non délivr", "non delivr",
    "no entregado", "no se puede entregar", "no se pudo entregar",
    "error de entrega", "fallo * entrega", "não entregue", "nao entregue",
    "não foi possível", "mancata consegna", "recapito non riuscito",
    "impossibile recapitare", "fehler bei der nachrichtenzustellung",
    "nicht zustellbar", "la remise a échoué", "no se puede",
    "falha na entrega", "não é possível entregar", "det gick inte att",
    "niet bestelbaar", "bezorging", "kan ikke leveres", "mislyktes",
    "nie można dostarczyć", "niedostarczalne", "nedoručitelné", "doručení",
    "配信不能", "未送达", "未送達", "无法传递", "배달되지", "배달할", "teslim edilemeyen",
    "ei voi toimittaa", "toimitus", "kézbesíthetetlen", "не удается доставить",
    "сбой доставки", "undeliverable mail", "non recapitab",
    "impossibile consegnare", "onbestelbaar", "niet afgeleverd", "niet bezorg",
    "niedostarcz", "nie dostarcz", "не доставлен", "недоставлен", "не удалось",
    "возвращ", "ne doruc", "nedoruc", "leverans", "ej levererat",
    "kunne ikke leveres", "teslim edilemedi", "退信", "投递失败", "系统退信", "无法投递",
    "送信", "配信", "配送", "エラー", "届け", "返送", "returned", NULL,
};
/* clang-format on */

/* clang-format off */
static const char *const failure_senders[] = {
    "mailer-daemon", "mailerdaemon", "mail-daemon", "postmaster", "mdaemon",
    "mail.delivery", "maildelivery", "mail-delivery", "bounce", "ndr@",
    "noreply-dmarc", "microsoftexchange", "amazonses.com", "mailer_daemon",
    "mail delivery", "delivery subsystem", "system administrator",
    "mail administrator", "mail deliver system", "mailer", "sysadmin@", "mmsc", NULL,
};
/* clang-format on */

/* clang-format off */
static const char *const failure_phrases[] = {
    "could not be delivered", "couldnt be delivered", "cannot be delivered",
    "can not be delivered", "cant be delivered", "can t be delivered",
    "not be delivered", "wasnt delivered", "was not delivered",
    "has not been delivered", "not delivered", "been undeliverable",
    "could not deliver", "couldnt deliver", "cannot deliver",
    "unable to deliver", "able to deliver", "trouble delivering",
    "problem delivering", "failed to deliver", "delivery to the following",
    "delivery failed", "delivery has failed", "delivery of * failed",
    "delivery error", "delivery attempts", "delivery failure",
    "deliver * failed", "did not reach", "didnt reach",
    "not reach the following", "could not be reached", "could not be sent",
    "couldnt be sent", "cannot be sent", "cant be sent", "not be sent",
    "unable to send", "fatal error", "permanent error", "permanent fatal",
    "permanent failure", "permanently failed", "failed permanently",
    "failed recipient", "delivery notifications", "delivery errors",
    "undeliverable", "undelivered", "rejected by", "was rejected",
    "been rejected", "rejected recipient", "is rejected", "been returned",
    "being returned", "message returned", "is returned", "returned to sender",
    "returned mail", "bounced", "user unknown", "unknown user",
    "unknown recipient", "no such user", "no such person", "not a known user",
    "user not known", "recipient unknown", "invalid recipient",
    "invalid final delivery", "mailbox full", "mailbox is full", "over quota",
    "quota exceeded", "does not exist", "doesnt exist",
    "did not exactly match", "mailbox unavailable", "mailbox not found",
    "host unknown", "unknown host", "host not found", "domain not found",
    "giving up", "has been delayed", "been delayed", "is delayed", "delayed",
    "not yet been delivered", "not yet delivered", "still being retried",
    "message will be retried", "been postponed", "was automatically rejected",
    "error occurred while * deliver", "error has occurred", "address * failed",
    "addresses failed", "smtp error", "rcpt to", "an error message",
    "error message below", "response from the remote",
    "remote server returned", "transcript of session", "duplicated message id", "not a member of this mailing list",
    "message expired", "queue too long", "error occurred",
    "no valid recipients", "following recipients", "following addresses",
    "following address", "following recipient", "nicht zugestellt",
    "konnte nicht", "konnten nicht", "nicht zustellbar", "unzustellbar",
    "na pas pu", "n a pas pu", "n ont pas pu", "nont pas pu", "pas pu etre",
    "impossible de remettre", "non remis", "échec de la remise",
    "no se pudo entregar", "no pudo", "no se ha podido", "no ha podido",
    "não foi possível", "nao foi possivel", "não pôde",
    "não pode ser entregue", "non è stato possibile", "impossibile consegnare",
    "non recapit", "recapito non riuscito", "impossibile recapitare",
    "fehler bei der", "la remise a échoué", "échec de la", "error de entrega",
    "falha na entrega", "a entrega falhou", "não é possível entregar",
    "misslyckades", "bezorging is mislukt", "kan ikke leveres", "mislyktes",
    "nie można dostarczyć", "配信不能", "配信できませんでした", "未送达", "未送達", "无法传递", "배달되지",
    "배달할", "epäonnistui", "kézbesít", "сбой доставки", "не удается",
    "kon niet", "niet worden bezorgd", "niet afgeleverd", "nie mogła",
    "nie można", "nie udało", "не удалось", "не может быть доставлен",
    "не было доставлен", "не доставлено", "kunde inte", "kunne ikke",
    "teslim edilemedi", "nepodařilo", "无法", "投递", "被退回", "退回", "失败", "送信できません",
    "配信できません", "配信", "届け", "送れません", "送信", "エラー", NULL,
};
/* clang-format on */

/* clang-format off */
static const char *const delay_phrases[] = {
    "has been delayed", "been delayed", "is delayed", "message delayed",
    "delivery delay", "delayed mail", "mail delayed",
    "has not yet been delivered", "not yet been delivered",
    "not yet delivered", "still being retried", "warning only",
    "this is a warning", "this is just a warning", "only a warning",
    "will be retried", "will be tried again", "will keep trying",
    "will continue to try", "will continue trying", "continue to attempt",
    "will continue to be made", "attempts will continue",
    "attempts to deliver * will continue", "still trying", "been postponed",
    "not need to resend", "no need to resend", "do not resend",
    "status notification delay", "not be delivered for * hour", "not be delivered for * day",
    "not be delivered for * minute", "keep trying",
    "warning could not send", "deliver * delayed", "temporarily delayed",
    "delay notification", "verzögert", "retardé", "se ha retrasado", "atrasad",
    "ritardat", "vertraagd", "задерж", "延迟", "遅延", NULL,
};
/* clang-format on */

/* clang-format off */
static const char *const final_phrases[] = {
    "giving up", "given up", "ive given up", "permanent error",
    "permanent fatal", "permanent failure", "failed permanently",
    "was aborted", "queue too long", "returned to sender", "returning message",
    "message expired", "retry timeout exceeded", "been removed from the queue",
    "has been removed", "undelivered mail returned", "not be retried",
    "no longer be", NULL,
};
/* clang-format on */

/* clang-format off */
static const char *const auto_reply_subjects[] = {
    "out of office", "out of the office", "out of my office",
    "automatic reply", "auto reply", "autoreply", "automated reply",
    "auto response", "autoresponse", "auto respon", "automatic response",
    "away from * office", "on vacation", "vacation reply", "vacation",
    "on leave", "annual leave", "maternity leave", "holiday", "abwesen",
    "automatische antwort", "nicht im büro", "urlaub", "réponse automatique",
    "reponse automatique", "absence", "absent", "respuesta automática",
    "respuesta automatica", "fuera de", "resposta automática",
    "resposta automatica", "ausência", "risposta automatica", "fuori sede",
    "fuori ufficio", "automatisch antwoord", "afwezig", "autosvar",
    "automatiskt svar", "automaattinen", "nieobecn", "automatyczna odpowiedź",
    "автоответ", "автоматический ответ", "自动回复", "自動返信", "自動応答", "不在", NULL,
};
/* clang-format on */

/* clang-format off */
static const char *const challenge_phrases[] = {
    "challenge/response", "challenge response",
    "confirm * message * delivered", "confirm that you sent",
    "confirm your message", "confirm your email by", "verify that you are",
    "verify you are a", "prove that you are", "prove you are", "are a human",
    "are human", "to deliver your message click", "click * link * deliver",
    "requires verification", "sender verification",
    "awaiting your verification", "on my approved list",
    "approved senders list", "approved sender list", "add you to my",
    "whitelist request", "tmda", "spamarrest", "spam arrest", "boxbe",
    "mail verification", "one time verification", "your email requires",
    "validate your email address", NULL,
};
/* clang-format on */

/* What only a report says, at its top. */
/* clang-format off */
static const char *const plain_phrases[] = {
    "could not be delivered to the following",
    "was not delivered to the following",
    "cannot be delivered to the following",
    "not deliver * to the following recipient",
    "unable to deliver your message", "unable to deliver message to",
    "delivery to the following recipient",
    "delivery has failed to these recipients",
    "did not reach the following recipient", "message could not be delivered",
    "your message was not delivered", "couldnt deliver your message",
    "could not deliver your message", "undeliverable message", NULL,
};
/* clang-format on */
/* Octets of the text that are its top. */
#define TOP 600

/* -- what is looked at -- */

static bool subject_says(const struct dsn_reader *reader,
                         const char *const *phrases)
{
    struct phrase_text folded;
    phrase_fold(text_of(reader->subject), &folded);
    return phrase_find(&folded, phrases) != NULL;
}

static bool text_says(const struct dsn_reader *reader,
                      const char *const *phrases)
{
    struct phrase_text folded;
    phrase_fold(reader->incoming.notification, &folded);
    return phrase_find(&folded, phrases) != NULL;
}

static struct text field_of(const struct dsn_reader *reader, const char *name)
{
    return text_of(
        incoming_field(reader->arena, reader->incoming.header, name));
}

static bool contains(struct text text, const char *word)
{
    size_t length = strlen(word);
    for (size_t at = 0; at + length <= text.length; at++) {
        if (text_starts_with_ignoring_case(text_slice(text, at, text.length),
                                           word)) {
            return true;
        }
    }
    return false;
}

static bool is_from_program(const struct dsn_reader *reader)
{
    struct text from = field_of(reader, "From");
    from = text_slice(from, 0, from.length < 1000 ? from.length : 1000);
    for (size_t i = 0; failure_senders[i] != NULL; i++) {
        if (contains(from, failure_senders[i])) {
            return true;
        }
    }
    return false;
}

static bool has_null_sender(const struct dsn_reader *reader)
{
    return text_is(field_of(reader, "Return-Path"), "<>");
}

static bool is_report(const struct dsn_reader *reader)
{
    struct text type = field_of(reader, "Content-Type");
    return text_starts_with_ignoring_case(type, "multipart/report") ||
           contains(type, "delivery-status");
}

/* "#550 5.1.1" in whatever language. */
static bool has_status(const struct dsn_reader *reader)
{
    struct bounce_reply reply = { .text = reader->incoming.notification };
    struct bounce_verdict verdict;
    bounce_class_decide(&reply, &verdict);
    return verdict.status[0] == '4' || verdict.status[0] == '5';
}

/* -- kinds -- */

bool dsn_kind_is_failure(const struct dsn_reader *reader)
{
    bool is_marked =
        is_report(reader) || field_of(reader, "X-Failed-Recipients").length > 0;
    bool has_subject = subject_says(reader, failure_subjects);
    int signs = is_marked + is_from_program(reader) + has_subject +
                has_null_sender(reader);
    if (signs == 0) {
        struct phrase_text folded;
        phrase_fold(text_slice(reader->incoming.notification, 0,
                               reader->incoming.notification.length < TOP
                                   ? reader->incoming.notification.length
                                   : TOP),
                    &folded);
        return phrase_find(&folded, plain_phrases) != NULL;
    }
    return text_says(reader, failure_phrases) ||
           (is_from_program(reader) && has_status(reader)) ||
           contains(reader->incoming.status, "Action: failed") ||
           text_says(reader, delay_phrases) || (has_subject && signs > 1);
}

bool dsn_kind_is_delay(const struct dsn_reader *reader)
{
    bool is_late =
        text_says(reader, delay_phrases) || subject_says(reader, delay_phrases);
    return is_late && !text_says(reader, final_phrases) &&
           !subject_says(reader, final_phrases);
}

/* RFC 3834, 5 and what stood for it before. */
bool dsn_kind_is_auto_reply(const struct dsn_reader *reader)
{
    static const char *const marks[] = { "X-Autoreply", "X-Autorespond",
                                         "X-Autoresponder", "X-Mail-Autoreply",
                                         "X-AutoReply-From" };
    for (size_t i = 0; i < ARRAY_LENGTH(marks); i++) {
        if (field_of(reader, marks[i]).length > 0) {
            return true;
        }
    }
    struct text precedence = field_of(reader, "Precedence");
    return text_starts_with_ignoring_case(field_of(reader, "Auto-Submitted"),
                                          "auto-replied") ||
           text_starts_with_ignoring_case(precedence, "auto_reply") ||
           text_starts_with_ignoring_case(precedence, "auto-reply") ||
           subject_says(reader, auto_reply_subjects);
}

bool dsn_kind_is_challenge(const struct dsn_reader *reader)
{
    return subject_says(reader, challenge_phrases) &&
           text_says(reader, challenge_phrases);
}
