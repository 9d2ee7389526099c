/* SPDX-License-Identifier: MIT */
/* B6: notifications that no standard describes, as their programs write them:
 * who failed, why, and whether that suppresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "arena_fixture.h"
#include "core/memory.h"
#include "tracking/dsn.h"

struct sample {
    const char *name;
    enum dsn_kind kind;
    const char *recipient;
    enum bounce_class class;
    bool suppresses;
    const char *message;
};

static void test_texts(void **state)
{
    /* clang-format off */
    static const struct sample samples[] = {
        { "activehunter", DSN_BOUNCE, "kijitora@example.org", BOUNCE_INVALID_ADDRESS, true,
          "From: MAILER-DAEMON@mx.example.com\r\n"
          "To: sironeko@example.jp\r\n"
          "Subject: failure notice\r\n"
          "X-AHMAILID: 200904290000\r\n"
          "\r\n"
          "  ----- The following addresses had permanent fatal errors -----\r\n"
          "\r\n"
          ">>> kijitora@example.org <kijitora@example.org>\r\n"
          "\r\n"
          "  ----- Transcript of session follows -----\r\n"
          "550 sorry, no mailbox here by that name (#5.1.1 - chkusr)\r\n" },
        { "james", DSN_BOUNCE, "kijitora@example.com", BOUNCE_CONTENT, false,
          "From: postmaster@mx.example.jp\r\n"
          "To: shironeko@example.jp\r\n"
          "Subject: [BOUNCE]\r\n"
          "Content-Type: text/plain\r\n"
          "\r\n"
          "Hi. This is the James mail server at mx.example.jp.\r\n"
          "I'm afraid I wasn't able to deliver your message to the following addresses.\r\n"
          "This is a permanent error; I've given up. Sorry it didn't work out.  Below\r\n"
          "I include the list of recipients and the reason why I was unable to deliver\r\n"
          "your message.\r\n"
          "\r\n"
          "Failed recipient(s):\r\n"
          "kijitora@example.com\r\n"
          "\r\n"
          "Error message:\r\n"
          "550-5.7.1 [192.0.2.5 11] Our system has detected that this message is likely unsolicited mail.\r\n"
          "\r\n"
          "Message details:\r\n"
          "  Subject: Nyaan\r\n"
          "  Sent date: Thu Apr 29 01:20:50 JST 2015\r\n"
          "  MAIL FROM: shironeko@example.jp\r\n"
          "  RCPT TO: kijitora@example.com\r\n"
          "  From: Neko <shironeko@example.jp>\r\n"
          "  To: kijitora@example.com\r\n" },
        { "biglobe", DSN_BOUNCE, "kijitora@mta.biglobe.example", BOUNCE_MAILBOX_FULL, false,
          "From: postmaster@biglobe.example\r\n"
          "To: neko@example.jp\r\n"
          "Subject: Returned mail:  mail delivery failed\r\n"
          "Content-Type: multipart/mixed; boundary=\"xx\"\r\n"
          "\r\n"
          "--xx\r\n"
          "Content-Type: text/plain\r\n"
          "\r\n"
          "   ----- The following addresses had delivery problems -----\r\n"
          "kijitora@mta.biglobe.example\r\n"
          "\r\n"
          "   ----- Non-delivered information -----\r\n"
          "The number of messages in recipient's mailbox exceeded the local limit.\r\n"
          "\r\n"
          "--xx\r\n"
          "Content-Type: message/rfc822\r\n"
          "\r\n"
          "Received: from a by b\r\n"
          "From: neko@example.jp\r\n"
          "To: kijitora@mta.biglobe.example\r\n"
          "\r\n"
          "x\r\n"
          "--xx--\r\n" },
        { "imail", DSN_BOUNCE, "kijitora@example.com", BOUNCE_MAILBOX_FULL, false,
          "From: \"Postmaster\" <postmaster@example.net>\r\n"
          "To: neko@example.jp\r\n"
          "Subject: Undeliverable Mail\r\n"
          "X-Mailer: <SMTP32 v8.22>\r\n"
          "\r\n"
          "User mailbox exceeds allowed size: kijitora@example.com\r\n"
          "\r\n"
          "\r\n"
          "Original message follows.\r\n"
          "\r\n"
          "Received: from x by y\r\n" },
        { "exchange2007", DSN_BOUNCE, "kijitora@example.jp", BOUNCE_INVALID_ADDRESS, true,
          "From: Microsoft Exchange Recipient <MicrosoftExchange@example.jp>\r\n"
          "To: neko@example.jp\r\n"
          "Subject: Undeliverable: Nyaan\r\n"
          "Content-Type: text/plain\r\n"
          "\r\n"
          "Delivery has failed to these recipients or distribution lists:\r\n"
          "\r\n"
          "kijitora@example.jp<mailto:kijitora@example.jp>\r\n"
          "The recipient's e-mail address was not found in the recipient's e-mail system. Microsoft Exchange will not try to redeliver this message for you. Please check the e-mail address and try resending this message, or provide the following diagnostic text to your system administrator.\r\n"
          "\r\n"
          "Diagnostic information for administrators:\r\n"
          "\r\n"
          "Generating server: mta2.neko.example.jp\r\n"
          "\r\n"
          "kijitora@example.jp\r\n"
          "#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##\r\n"
          "\r\n"
          "Original message headers:\r\n"
          "\r\n"
          "Received: from mta3.neko.example.jp (10.0.0.1) by mta2.neko.example.jp\r\n"
          "From: neko@example.jp\r\n" },
        { "exchange-it", DSN_BOUNCE, "kijitora@example.it", BOUNCE_INVALID_ADDRESS, true,
          "From: postmaster@example.it\r\n"
          "To: neko@example.jp\r\n"
          "Subject: Recapito non riuscito: Nyaan\r\n"
          "Content-Type: text/plain; charset=utf-8\r\n"
          "\r\n"
          "Recapito non riuscito per i seguenti destinatari o liste di distribuzione:\r\n"
          "\r\n"
          "Kijitora Neko (kijitora@example.it)\r\n"
          "Indirizzo di posta elettronica del destinatario non trovato nel sistema di posta elettronica del destinatario.\r\n"
          "\r\n"
          "Informazioni di diagnostica per gli amministratori:\r\n"
          "\r\n"
          "Server di generazione: mta.example.it\r\n"
          "\r\n"
          "kijitora@example.it\r\n"
          "#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##\r\n"
          "\r\n"
          "Intestazioni originali del messaggio:\r\n"
          "\r\n"
          "Received: from a (10.0.0.1) by b\r\n"
          "From: neko@example.jp\r\n" },
        { "qmail", DSN_BOUNCE, "kijitora@example.com", BOUNCE_INVALID_ADDRESS, true,
          "From: MAILER-DAEMON@mx.example.jp\r\n"
          "To: neko@example.jp\r\n"
          "Subject: failure notice\r\n"
          "\r\n"
          "Hi. This is the qmail-send program at mx.example.jp.\r\n"
          "I'm afraid I wasn't able to deliver your message to the following addresses.\r\n"
          "This is a permanent error; I've given up. Sorry it didn't work out.\r\n"
          "\r\n"
          "<kijitora@example.com>:\r\n"
          "192.0.2.5 does not like recipient.\r\n"
          "Remote host said: 550 No such user here\r\n"
          "Giving up on 192.0.2.5.\r\n"
          "\r\n"
          "--- Below this line is a copy of the message.\r\n"
          "\r\n"
          "Return-Path: <neko@example.jp>\r\n"
          "Received: (qmail 1 invoked by uid 1); 1 Jan 2020 00:00:00 -0000\r\n"
          "Message-ID: <1@example.jp>\r\n"
          "To: other@example.com\r\n" },
        { "qmail-local", DSN_BOUNCE, "kijitora@example.com", BOUNCE_INVALID_ADDRESS, true,
          "From: MAILER-DAEMON@mx.example.jp\r\n"
          "To: neko@example.jp\r\n"
          "Subject: failure notice\r\n"
          "\r\n"
          "Hi. This is the qmail-send program at mx.example.jp.\r\n"
          "I'm afraid I wasn't able to deliver your message to the following addresses.\r\n"
          "This is a permanent error; I've given up. Sorry it didn't work out.\r\n"
          "\r\n"
          "<kijitora@example.com>:\r\n"
          "Sorry, no mailbox here by that name. (#5.1.1)\r\n"
          "\r\n"
          "--- Below this line is a copy of the message.\r\n"
          "\r\n"
          "Return-Path: <neko@example.jp>\r\n" },
        { "exim", DSN_BOUNCE, "kijitora@example.com", BOUNCE_INVALID_ADDRESS, true,
          "From: Mail Delivery System <Mailer-Daemon@mx.example.jp>\r\n"
          "To: neko@example.jp\r\n"
          "Subject: Mail delivery failed: returning message to sender\r\n"
          "Auto-Submitted: auto-replied\r\n"
          "X-Failed-Recipients: kijitora@example.com\r\n"
          "\r\n"
          "This message was created automatically by mail delivery software.\r\n"
          "\r\n"
          "A message that you sent could not be delivered to one or more of its\r\n"
          "recipients. This is a permanent error. The following address(es) failed:\r\n"
          "\r\n"
          "  kijitora@example.com\r\n"
          "    SMTP error from remote mail server after RCPT TO:<kijitora@example.com>:\r\n"
          "    host mx.example.com [192.0.2.1]: 550 <kijitora@example.com>: User unknown\r\n"
          "\r\n"
          "------ This is a copy of the message, including all the headers. ------\r\n"
          "\r\n"
          "Return-path: <neko@example.jp>\r\n" },
        { "office365", DSN_BOUNCE, "kijitora@example.com", BOUNCE_INVALID_ADDRESS, true,
          "From: Microsoft Outlook <MicrosoftExchange329e71ec@example.com>\r\n"
          "To: neko@example.jp\r\n"
          "Subject: Undeliverable: Nyaan\r\n"
          "Auto-Submitted: auto-replied\r\n"
          "Content-Type: text/plain; charset=utf-8\r\n"
          "\r\n"
          "Your message to kijitora@example.com couldn't be delivered.\r\n"
          "\r\n"
          "kijitora wasn't found at example.com.\r\n"
          "\r\n"
          "neko	Office 365	kijitora\r\n"
          "Action Required		Recipient\r\n"
          "\r\n"
          "Unknown To address\r\n"
          "\r\n"
          "How to Fix It\r\n"
          "The address might be misspelled or might not exist. Try one or more of the following:\r\n"
          "\r\n"
          "Original Message Details\r\n"
          "Created Date:	6/1/2018 1:00:00 AM\r\n"
          "Sender Address:	neko@example.jp\r\n"
          "Recipient Address:	kijitora@example.com\r\n"
          "Subject:	Nyaan\r\n"
          "\r\n"
          "Error Details\r\n"
          "Reported error:	550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient kijitora@example.com not found by SMTP address lookup\r\n"
          "DSN generated by:	X.prod.outlook.com\r\n" },
        { "gmail", DSN_BOUNCE, "kijitora@example.com", BOUNCE_INVALID_ADDRESS, true,
          "From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>\r\n"
          "To: neko@gmail.com\r\n"
          "Subject: Delivery Status Notification (Failure)\r\n"
          "Auto-Submitted: auto-replied\r\n"
          "Content-Type: text/plain; charset=UTF-8\r\n"
          "\r\n"
          "** Address not found **\r\n"
          "\r\n"
          "Your message wasn't delivered to kijitora@example.com because the address couldn't be found, or is unable to receive mail.\r\n"
          "\r\n"
          "The response from the remote server was:\r\n"
          "550 5.1.1 <kijitora@example.com>: Recipient address rejected: User unknown in virtual mailbox table\r\n" },
        { "gmail-full", DSN_BOUNCE, "kijitora@gmail.com", BOUNCE_MAILBOX_FULL, false,
          "From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>\r\n"
          "To: neko@example.com\r\n"
          "Subject: Delivery Status Notification (Failure)\r\n"
          "\r\n"
          "Delivery to the following recipient failed permanently:\r\n"
          "\r\n"
          "     kijitora@gmail.com\r\n"
          "\r\n"
          "Technical details of permanent failure:\r\n"
          "Google tried to deliver your message, but it was rejected by the server for the recipient domain gmail.com by gmail-smtp-in.l.google.com. [2a00::1].\r\n"
          "\r\n"
          "The error that the other server returned was:\r\n"
          "552-5.2.2 The email account that you tried to reach is over quota. Please direct\r\n"
          "552-5.2.2 the recipient to\r\n"
          "552 5.2.2  https://support.google.com/mail/?p=OverQuotaPerm x1si7 - gsmtp\r\n"
          "\r\n"
          "----- Original message -----\r\n"
          "\r\n"
          "Received: by 10.0.0.1\r\n"
          "From: neko@example.com\r\n" },
        { "mdaemon", DSN_BOUNCE, "kijitora@example.com", BOUNCE_INVALID_ADDRESS, true,
          "From: MDaemon at example.com <MDaemon@example.com>\r\n"
          "To: neko@example.jp\r\n"
          "Subject: Permanent Delivery Failure\r\n"
          "Content-Type: text/plain\r\n"
          "\r\n"
          "The attached message had PERMANENT fatal delivery errors!\r\n"
          "\r\n"
          "--- Session Transcript ---\r\n"
          " Attempting SMTP connection to [192.0.2.1:25]\r\n"
          " MAIL From:<neko@example.jp> SIZE=1861\r\n"
          " 250 <neko@example.jp>, Sender ok\r\n"
          " RCPT To:<kijitora@example.com>\r\n"
          " 550 5.1.1 <kijitora@example.com>... User unknown\r\n"
          " QUIT\r\n"
          "--- End Transcript ---\r\n" },
        { "zimbra-de", DSN_BOUNCE, "kijitora@example.de", BOUNCE_INVALID_ADDRESS, true,
          "From: MAILER-DAEMON@example.de (Mail Delivery System)\r\n"
          "To: neko@example.jp\r\n"
          "Subject: Unzustellbar: Ihre Nachricht\r\n"
          "Content-Type: text/plain; charset=utf-8\r\n"
          "\r\n"
          "Ihre Nachricht konnte an folgende Empfänger nicht zugestellt werden:\r\n"
          "\r\n"
          "kijitora@example.de\r\n"
          "550 5.1.1 Empfänger unbekannt\r\n" },
        { "163", DSN_BOUNCE, "kijitora@163.com", BOUNCE_INVALID_ADDRESS, false,
          "From: Postmaster@163.com\r\n"
          "To: neko@example.jp\r\n"
          "Subject: =?utf-8?B?57O757uf6YCA5L+h?=\r\n"
          "Content-Type: text/plain; charset=utf-8\r\n"
          "\r\n"
          "抱歉，您的邮件被退回来了……\r\n"
          "原邮件信息：\r\n"
          "时　间 	2016-01-13 10:01:38\r\n"
          "主　题 	Nyaan\r\n"
          "收件人 	kijitora@163.com\r\n"
          "退信原因：\r\n"
          "	User not found: kijitora@163.com\r\n"
          "英文说明: 550 User not found: kijitora@163.com\r\n" },
        { "yandex-ru", DSN_BOUNCE, "kijitora@example.ru", BOUNCE_INVALID_ADDRESS, true,
          "From: mailer-daemon@yandex.ru\r\n"
          "To: neko@example.jp\r\n"
          "Subject: Недоставленное сообщение\r\n"
          "Content-Type: text/plain; charset=utf-8\r\n"
          "\r\n"
          "Это письмо отправлено почтовым сервером yandex.ru.\r\n"
          "\r\n"
          "К сожалению, мы вынуждены сообщить Вам о том, что Ваше письмо не может\r\n"
          "быть отправлено одному или нескольким адресатам.\r\n"
          "\r\n"
          "<kijitora@example.ru>: host mx.example.ru[192.0.2.1] said: 550 5.1.1 нет такого пользователя (in reply to RCPT TO command)\r\n" },
        { "sendmail-old", DSN_BOUNCE, "kijitora@example.com", BOUNCE_INVALID_DOMAIN, true,
          "From: MAILER-DAEMON@mx.example.jp (Mail Delivery Subsystem)\r\n"
          "To: neko@example.jp\r\n"
          "Subject: Returned mail: Host unknown (Name server: example.com: host not found)\r\n"
          "\r\n"
          "The original message was received at Thu, 29 Apr 1999 23:34:45 +0900\r\n"
          "from neko [192.0.2.1]\r\n"
          "\r\n"
          "   ----- The following addresses had permanent fatal errors -----\r\n"
          "<kijitora@example.com>\r\n"
          "\r\n"
          "   ----- Transcript of session follows -----\r\n"
          "550 <kijitora@example.com>... Host unknown (Name server: example.com: host not found)\r\n"
          "\r\n"
          "   ----- Original message follows -----\r\n"
          "\r\n"
          "Return-Path: <neko@example.jp>\r\n"
          "Received: from a by b\r\n" },
        { "lotus", DSN_BOUNCE, "kijitora@example.com", BOUNCE_INVALID_ADDRESS, true,
          "From: Postmaster@example.com\r\n"
          "To: neko@example.jp\r\n"
          "Subject: DELIVERY FAILURE: User kijitora (kijitora@example.com) not listed in public Name & Address Book\r\n"
          "Content-Type: text/plain\r\n"
          "\r\n"
          "Your message\r\n"
          "\r\n"
          "  Subject: Nyaan\r\n"
          "\r\n"
          "was not delivered to:\r\n"
          "\r\n"
          "  kijitora@example.com\r\n"
          "\r\n"
          "because:\r\n"
          "\r\n"
          "  User kijitora (kijitora@example.com) not listed in public Name & Address Book\r\n" },
        { "courier", DSN_BOUNCE, "kijitora@example.com", BOUNCE_INVALID_ADDRESS, true,
          "From: \"Courier mail server at mx.example.jp\" <@>\r\n"
          "To: neko@example.jp\r\n"
          "Subject: NOTICE: mail delivery status.\r\n"
          "Content-Type: text/plain\r\n"
          "\r\n"
          "This is a delivery status notification from mx.example.jp,\r\n"
          "running the Courier mail server, version 0.65.2.\r\n"
          "\r\n"
          "The original message was received on Sat, 11 Dec 2010 12:19:57 +0900\r\n"
          "from [127.0.0.1] (c10920.example.com [192.0.2.20])\r\n"
          "\r\n"
          "---------------------------------------------------------------------------\r\n"
          "\r\n"
          "                           UNDELIVERABLE MAIL\r\n"
          "\r\n"
          "Your message to the following recipients cannot be delivered:\r\n"
          "\r\n"
          "<kijitora@example.com>:\r\n"
          "    mx.example.com [74.207.247.95]:\r\n"
          ">>> RCPT TO:<kijitora@example.com>\r\n"
          "<<< 550 5.1.1 <kijitora@example.com>... User Unknown\r\n"
          "\r\n"
          "---------------------------------------------------------------------------\r\n" },
        { "mimecast", DSN_BOUNCE, "kijitora@example.com", BOUNCE_AUTHENTICATION, false,
          "From: postmaster@example.com\r\n"
          "To: neko@example.jp\r\n"
          "Subject: [Postmaster] Email Delivery Failure\r\n"
          "Content-Type: text/plain\r\n"
          "\r\n"
          "Your message:\r\n"
          "\r\n"
          "Subject: Nyaan\r\n"
          "could not be delivered to:\r\n"
          "\r\n"
          "kijitora@example.com\r\n"
          "\r\n"
          "because: 550 Rejected by header based Anti-Spoofing policy: neko@example.jp - https://community.mimecast.com/docs/DOC-1369#550\r\n" },
        { "docomo", DSN_BOUNCE, "kijitora@docomo.ne.jp", BOUNCE_INVALID_ADDRESS, false,
          "From: <Postmaster@docomo.ne.jp>\r\n"
          "To: neko@example.jp\r\n"
          "Subject: Mail System Error - Returned Mail\r\n"
          "Content-Type: text/plain; charset=iso-2022-jp\r\n"
          "\r\n"
          "   ----- The following addresses had permanent fatal errors -----\r\n"
          "<kijitora@docomo.ne.jp>\r\n"
          "    (reason: 550 Unknown user kijitora@docomo.ne.jp)\r\n"
          "\r\n" },
        { "facebook", DSN_BOUNCE, "kijitora@facebook.com", BOUNCE_UNKNOWN, false,
          "From: Facebook <mailer-daemon@mx.facebook.com>\r\n"
          "To: neko@example.jp\r\n"
          "Subject: Sorry, your message could not be delivered\r\n"
          "Content-Type: text/plain\r\n"
          "\r\n"
          "This message was created automatically by Facebook.\r\n"
          "\r\n"
          "Sorry, your message could not be delivered to the following recipients:\r\n"
          "\r\n"
          "kijitora@facebook.com\r\n" },
        { "postfix-de-delay", DSN_DELAY, "kijitora@example.com", BOUNCE_CONNECTION, false,
          "From: MAILER-DAEMON@example.jp (Mail Delivery System)\r\n"
          "To: neko@example.jp\r\n"
          "Subject: Delayed Mail (still being retried)\r\n"
          "\r\n"
          "This is the mail system at host mx.example.jp.\r\n"
          "\r\n"
          "####################################################################\r\n"
          "# THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE. #\r\n"
          "####################################################################\r\n"
          "\r\n"
          "Your message could not be delivered for more than 4 hour(s).\r\n"
          "It will be retried until it is 5 day(s) old.\r\n"
          "\r\n"
          "<kijitora@example.com>: connect to mx.example.com[192.0.2.1]:25: Connection timed out\r\n" },
    };
    /* clang-format on */
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        const struct sample *sample = &samples[i];
        struct dsn dsn;
        dsn_read(text_of(sample->message), *state, &dsn);
        print_message("%s\n", sample->name);
        assert_int_equal(dsn.kind, sample->kind);
        assert_int_equal(dsn.recipient_count, 1);
        assert_string_equal(dsn.recipients[0].address, sample->recipient);
        const struct bounce_verdict *verdict = &dsn.recipients[0].verdict;
        assert_string_equal(bounce_class_name(verdict->class),
                            bounce_class_name(sample->class));
        assert_int_equal(verdict->suppresses, sample->suppresses);
    }
}

/* T23, B8: mail of people and of their programs names nobody who failed. */
static void test_no_bounces(void **state)
{
    /* clang-format off */
    static const struct {
        enum dsn_kind kind;
        const char *message;
    } samples[] = {
        { DSN_NONE,
          "From: News <news@example.com>\r\n"
          "To: neko@example.jp\r\n"
          "Subject: Your order could not be delivered today\r\n"
          "Content-Type: text/plain\r\n"
          "\r\n"
          "Dear customer, your parcel could not be delivered. Contact shop@example.com.\r\n" },
        { DSN_NONE,
          "From: Bob <bob@example.com>\r\n"
          "To: neko@example.jp\r\n"
          "Subject: Re: hello\r\n"
          "\r\n"
          "My mail to alice@example.com was rejected: user unknown. Her new one?\r\n" },
        { DSN_AUTO_REPLY,
          "From: Bob <bob@example.com>\r\n"
          "To: neko@example.jp\r\n"
          "Auto-Submitted: auto-replied\r\n"
          "Subject: Automatic reply: hello\r\n"
          "\r\n"
          "I am out of the office. In urgent cases contact alice@example.com.\r\n" },
        { DSN_AUTO_REPLY,
          "From: Bob <bob@example.com>\r\n"
          "To: neko@example.jp\r\n"
          "Auto-Submitted: auto-replied\r\n"
          "Subject: Automatic reply: hello\r\n"
          "\r\n"
          "This mailbox is no longer monitored; Bob has left the company. Your message was not delivered to anyone else. Contact alice@example.com.\r\n" },
        { DSN_CHALLENGE,
          "From: Bob <bob@example.com>\r\n"
          "To: neko@example.jp\r\n"
          "Subject: Please confirm your message (verify you are a human)\r\n"
          "\r\n"
          "To deliver your message click the link. Please confirm that you sent this.\r\n" },
    };
    /* clang-format on */
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        struct dsn dsn;
        dsn_read(text_of(samples[i].message), *state, &dsn);
        assert_string_equal(dsn_kind_name(dsn.kind),
                            dsn_kind_name(samples[i].kind));
        assert_int_equal(dsn.recipient_count, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_texts, create_arena, free_arena),
        cmocka_unit_test_setup_teardown(test_no_bounces, create_arena,
                                        free_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
