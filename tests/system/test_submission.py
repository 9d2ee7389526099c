# SPDX-License-Identifier: MIT
"""The submission server as a client sees it: rows S, A, E and F of the
standards, said byte by byte to the real program."""

import base64
import re
import time

import pytest

from dialogue import Closed, message
from instance import PASSWORD, USER, add_account
from waiting import wait_until

HELLO = message()


def plain(user, password, authzid=""):
    return base64.b64encode(f"{authzid}\0{user}\0{password}".encode()).decode()


def encoded(text):
    return base64.b64encode(text.encode()).decode()


# Greeting and the verbs that work at any time


def test_s16_banner_and_ehlo_name_the_server(baton):
    with baton.dialogue() as d:
        assert d.banner.texts[0].startswith("relay.example ESMTP")
        assert d.ehlo().texts[0].startswith("relay.example")


def test_s16_extensions_are_offered(baton):
    with baton.dialogue() as d:
        d.ehlo()
        for word in ("PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "DSN",
                     "ENHANCEDSTATUSCODES", "CHUNKING", "STARTTLS", "LIMITS"):
            assert word in d.extensions, word
        assert d.extensions["SIZE"] == str(50 * 1024 * 1024)
        assert "BINARYMIME" not in d.extensions  # E3
        assert "REQUIRETLS" not in d.extensions  # E11


@pytest.mark.parametrize("command,code", [
    ("NOOP", 250), ("NOOP with words", 250), ("RSET", 250), ("HELP", 214),
    ("VRFY postmaster", 252), ("QUIT", 221)])
def test_s16_works_at_any_time(baton, command, code):
    with baton.dialogue() as d:
        d.command(command, code)
    with baton.session() as d:
        d.envelope("a@sender.example", "b@rcpt.example")
        d.command(command, code)


@pytest.mark.parametrize("command,codes", [
    ("EXPN list", (502, 550, 252)), ("TURN", (500, 502)), ("WHAT", (500,)),
    ("", (500,)), ("MAIL FROM:<a@sender.example>", (503,)),
    ("RCPT TO:<b@rcpt.example>", (503,)), ("DATA", (503,)),
    ("EHLO", (501,)), ("HELO", (501,))])
def test_s16_is_refused_in_the_beginning(baton, command, codes):
    with baton.dialogue() as d:
        reply = d.command(command)
        assert reply.code in codes
        d.ehlo()


def test_s16_helo_has_no_extensions(baton):
    with baton.dialogue("clear") as d:
        assert len(d.command("HELO client.example", 250).lines) == 1


def test_s16_a_second_ehlo_resets(baton):
    with baton.session() as d:
        d.envelope("a@sender.example", "b@rcpt.example")
        d.ehlo()
        d.command("RCPT TO:<b@rcpt.example>", 503)
        d.command("DATA", 503)


def test_s16_verbs_in_any_case(baton):
    with baton.session() as d:
        d.command("mAiL fRoM:<a@sender.example>", 250)
        d.command("rcpt to:<b@rcpt.example>", 250)


def test_r4_a_space_after_the_colon_is_tolerated(baton):
    with baton.session() as d:
        d.command("MAIL FROM: <a@sender.example>", 250)
        d.command("RCPT TO: <b@rcpt.example>", 250)


@pytest.mark.parametrize("command", [
    "MAIL FROM:a@sender.example SIZE", "MAIL FROM:<a@@sender.example>",
    "MAIL FROM:<a@sender.example", "MAIL TO:<a@sender.example>", "MAIL",
    "MAIL FROM:<a@sender.example> SIZE=x", "MAIL FROM:<a@sender.example> SIZE=1"
    " SIZE=1", "MAIL FROM:<a@sender.example> BODY=WHAT"])
def test_malformed_mail_is_refused(baton, command):
    with baton.session() as d:
        reply = d.command(command)
        assert 500 <= reply.code <= 555 and reply.enhanced.startswith("5.")
        d.command("MAIL FROM:<a@sender.example>", 250)


def test_unknown_parameters_are_555(baton):
    with baton.session() as d:
        d.command("MAIL FROM:<a@sender.example> WHAT=1", 555)


@pytest.mark.parametrize("recipient", [
    "", "b", "b@", "@rcpt.example", "b@rcpt..example", "b@-rcpt.example",
    "b c@rcpt.example", "b@rcpt.example>x", "b@[300.1.1.1]",
    "x" * 65 + "@rcpt.example", "b@" + "x" * 64 + ".example"])
def test_malformed_recipients_are_refused(baton, recipient):
    with baton.session() as d:
        d.command("MAIL FROM:<a@sender.example>", 250)
        reply = d.command(f"RCPT TO:<{recipient}>")
        assert 500 <= reply.code < 560, reply
        d.command("RCPT TO:<b@rcpt.example>", 250)


def test_s6_an_over_long_line_is_refused_and_the_parser_goes_on(baton):
    with baton.dialogue() as d:
        d.ehlo()
        d.command("NOOP " + "x" * 500, 250)
        reply = d.command("NOOP " + "x" * 20000, 500)
        assert reply.enhanced == "5.5.2"
        d.command("NOOP", 250)
        d.send(b"NOOP " + b"x" * 300000 + b"\r\nNOOP\r\n")
        d.expect(500)
        d.expect(250)


def test_s8_at_least_100_recipients_then_452(make_baton):
    baton = make_baton({"limits": {"recipients_per_message": "100"}})
    with baton.session() as d:
        limits = d.extensions["LIMITS"]
        assert "RCPTMAX=100" in limits  # E10
        d.command("MAIL FROM:<a@sender.example>", 250)
        for i in range(100):
            d.command(f"RCPT TO:<b{i}@rcpt.example>", 250)
        reply = d.command("RCPT TO:<b100@rcpt.example>", 452)
        assert reply.enhanced == "4.5.3"


def test_e10_mailmax_is_what_is_enforced(make_baton, make_sink):
    sink = make_sink()
    baton = make_baton({"limits": {"messages_per_session": "2"}},
                       routes={"*": f"smtp://127.0.0.1:{sink.port}"})
    with baton.session() as d:
        assert "MAILMAX=2" in d.extensions["LIMITS"]
        for _ in range(2):
            d.envelope("a@sender.example", "b@rcpt.example")
            d.data(HELLO)
        assert d.command("MAIL FROM:<a@sender.example>").code in (421, 451, 452)


def test_s9_the_null_sender_is_accepted(baton, sink):
    with baton.session() as d:
        d.envelope("", "b@rcpt.example")
        d.data(HELLO)
    assert sink.wait_for(1)[0].sender == ""


def test_e7_every_reply_has_an_enhanced_code(baton):
    with baton.dialogue() as d:
        assert d.banner.enhanced == ""
        assert d.ehlo().enhanced == ""
        for command in ("NOOP", "RSET", "VRFY a", "WHAT", "MAIL FROM:<a@b.example>",
                        "DATA", "RCPT TO:<x>", "AUTH PLAIN", "BDAT x"):
            reply = d.command(command)
            assert reply.enhanced[:1] == str(reply.code)[0], reply
    with baton.session() as d:
        d.envelope("a@sender.example", "b@rcpt.example")
        assert d.command("DATA").enhanced == ""
        d.send(HELLO + ".\r\n")
        assert d.reply().enhanced.startswith("2.")


# STARTTLS and AUTH


def test_a1_what_is_sent_behind_starttls_is_not_acted_on(baton):
    with baton.dialogue() as d:
        d.ehlo()
        d.send(b"STARTTLS\r\nMAIL FROM:<evil@evil.example>\r\n")
        try:
            reply = d.reply()
        except Closed:
            return
        if reply.code == 220:
            try:
                d.wrap()
                reply = d.command("NOOP")
            except (Closed, OSError):
                return
            assert reply.code == 250 and "2.1.0" not in reply.text
            d.command("RCPT TO:<b@rcpt.example>", 503)
        else:
            assert reply.code >= 500


def test_a3_tls_makes_the_server_forget(baton):
    with baton.dialogue() as d:
        d.ehlo()
        d.starttls()
        reply = d.command("MAIL FROM:<a@sender.example>")
        assert reply.code in (503, 530)
        d.ehlo()
        assert "STARTTLS" not in d.extensions
        d.command("STARTTLS", 503)


def test_a4_auth_needs_tls(baton):
    with baton.dialogue() as d:
        d.ehlo()
        assert "AUTH" not in d.extensions
        assert d.command("AUTH PLAIN " + plain(USER, PASSWORD)).code in (530, 538)
        d.starttls()
        d.ehlo()
        assert d.extensions["AUTH"].split() == ["PLAIN", "LOGIN"]


def test_a4_auth_in_clear_only_where_it_is_configured(baton):
    with baton.dialogue("clear") as d:
        d.ehlo()
        assert "STARTTLS" not in d.extensions
        d.login(USER, PASSWORD)


def test_a4_tls_required_before_mail(make_baton):
    baton = make_baton(listeners={"strict": "tls=required"})
    with baton.dialogue("strict") as d:
        d.ehlo()
        reply = d.command("MAIL FROM:<a@sender.example>", 530)
        assert reply.enhanced == "5.7.0"
        d.starttls()
        d.ehlo()
        d.login(USER, PASSWORD)
        d.command("MAIL FROM:<a@sender.example>", 250)


def test_a7_implicit_tls(baton, sink):
    with baton.session("smtps") as d:
        assert "STARTTLS" not in d.extensions
        assert d.socket.version() in ("TLSv1.2", "TLSv1.3")
        d.envelope("a@sender.example", "b@rcpt.example")
        d.data(HELLO)
    assert "ESMTPSA" in sink.wait_for(1)[0].field("Received")


@pytest.mark.parametrize("lines,codes", [
    (["AUTH PLAIN " + plain(USER, PASSWORD)], [235]),
    (["AUTH PLAIN", plain(USER, PASSWORD)], [334, 235]),
    (["auth plain " + plain(USER, PASSWORD)], [235]),
    (["AUTH LOGIN", encoded(USER), encoded(PASSWORD)], [334, 334, 235]),
    (["AUTH LOGIN " + encoded(USER), encoded(PASSWORD)], [334, 235]),
    (["AUTH PLAIN", "*"], [334, 501]),
    (["AUTH LOGIN", "*"], [334, 501]),
    (["AUTH PLAIN !!!"], [501]),
    (["AUTH PLAIN", "a"], [334, 501]),
    (["AUTH PLAIN ="], [(501, 535)]),
    (["AUTH PLAIN " + encoded("no zeros")], [501]),
    (["AUTH PLAIN " + plain(USER, PASSWORD, USER)], [235]),
    (["AUTH PLAIN " + plain(USER, PASSWORD, "other")], [535]),
    (["AUTH PLAIN " + plain(USER, "wrong")], [535]),
    (["AUTH PLAIN " + plain("nobody", "wrong")], [535]),
    (["AUTH CRAM-MD5"], [504]),
    (["AUTH"], [(501, 504)]),
    (["AUTH PLAIN " + plain(USER, PASSWORD), "AUTH PLAIN "
      + plain(USER, PASSWORD)], [235, 503]),
])
def test_a5_auth(baton, lines, codes):
    with baton.dialogue("clear") as d:
        d.ehlo()
        for line, code in zip(lines, codes):
            reply = d.command(line)
            assert reply.code in (code if isinstance(code, tuple) else (code,)), \
                reply
        if reply.code == 535:
            assert reply.enhanced == "5.7.8"
        d.command("NOOP", 250)


def test_a5_auth_inside_a_transaction_is_503(make_baton):
    def network(baton):
        account = baton.value("SELECT account_id FROM baton.account")
        baton.sql("INSERT INTO baton.network (account_id, range) VALUES "
                  "(%s, '127.0.0.0/8')", account)
    baton = make_baton(prepare=network)
    with baton.dialogue("clear") as d:
        d.ehlo()
        d.command("MAIL FROM:<a@sender.example>", 250)
        d.command("AUTH PLAIN " + plain(USER, PASSWORD), 503)


def test_a6_long_auth_lines_are_accepted(baton):
    with baton.dialogue("clear") as d:
        d.ehlo()
        token = plain(USER, "x" * 8000)
        assert 10000 < len(token) < 12288 - 12
        d.command("AUTH PLAIN " + token, 535)
        d.command("NOOP", 250)


def test_t8_many_wrong_guesses_are_throttled(make_baton):
    baton = make_baton({"server": {"workers": "1"},
                        "limits": {"auth_failures_per_user": "3"}})
    codes = []
    for _ in range(6):
        with baton.dialogue("clear") as d:
            d.ehlo()
            codes.append(d.command("AUTH PLAIN " + plain(USER, "wrong")).code)
    assert codes[:3] == [535] * 3
    assert 454 in codes[3:], codes


# Who may send what


def test_f12_relaying_denied_without_an_account(baton):
    with baton.dialogue() as d:
        d.ehlo()
        d.starttls()
        d.ehlo()
        reply = d.command("MAIL FROM:<a@sender.example>")
        if reply.code == 250:
            reply = d.command("RCPT TO:<b@rcpt.example>", 550)
            assert reply.enhanced == "5.7.1"
            assert "Relaying denied for [127.0.0.1]" in reply.text
        else:
            assert reply.code == 530 and reply.enhanced == "5.7.0"


def test_f12_auth_required_by_the_listener(make_baton):
    baton = make_baton(listeners={"closed": "tls=optional auth=required"})
    with baton.dialogue("closed") as d:
        d.ehlo()
        d.starttls()
        d.ehlo()
        reply = d.command("MAIL FROM:<a@sender.example>", 530)
        assert reply.enhanced == "5.7.0"


@pytest.fixture(scope="module")
def strict_baton(factory, postgres):
    """Accounts that may not send from everywhere; one known by its network."""
    def prepare(baton):
        for name in ("alpha", "beta"):
            account = add_account(baton.sql, name, PASSWORD, any_sender=False)
            baton.sql("INSERT INTO baton.domain (account_id, name) VALUES "
                      "(%s, %s)", account, name + ".example")
        baton.sql("INSERT INTO baton.network (account_id, range) VALUES "
                  "(%s, '127.0.0.0/8')", account)
    baton = factory(prepare=prepare, routes={"*": "discard:"})
    yield baton
    baton.close()
    postgres.drop(baton.url)


@pytest.mark.parametrize("user,sender,header,code", [
    ("alpha", "a@alpha.example", "From: a@alpha.example", 250),
    ("alpha", "a@ALPHA.example", "From: A <a@Alpha.Example>", 250),
    ("alpha", "", "From: a@alpha.example", 250),
    ("alpha", "a@beta.example", None, 550),
    ("alpha", "a@foreign.example", None, 550),
    ("alpha", "a@alpha.example", "From: a@beta.example", 550),
    ("alpha", "a@alpha.example", "From: a@foreign.example", 550),
    ("alpha", "a@alpha.example",
     "From: \"a@alpha.example\" <x@foreign.example>", 550),
    ("alpha", "a@alpha.example",
     "From: a@alpha.example, b@beta.example\r\nSender: a@alpha.example", 550),
    ("alpha", "a@alpha.example",
     "From: a@alpha.example\r\nSender: b@beta.example", 550),
    (None, "b@beta.example", "From: b@beta.example", 250),
    (None, "b@alpha.example", None, 550),
])
def test_t7_sender_rights(strict_baton, user, sender, header, code):
    with strict_baton.dialogue("clear") as d:
        d.ehlo()
        if user:
            d.login(user, PASSWORD)
        reply = d.command(f"MAIL FROM:<{sender}>")
        if header is None and reply.code == 550:
            assert reply.enhanced == "5.7.1"
            return
        assert reply.code == 250
        reply = d.command("RCPT TO:<b@rcpt.example>")
        if reply.code == 250:
            reply = d.data(f"{header or 'From: a@alpha.example'}\r\nSubject: x"
                           "\r\n\r\nx\r\n", None)
        assert reply.code == code, reply
        if code == 550:
            assert reply.enhanced == "5.7.1"


def test_e12_a_sender_domain_with_null_mx_is_refused(baton):
    with baton.session() as d:
        reply = d.command("MAIL FROM:<a@nullmx.example>")
        if reply.code == 250:
            d.command("RCPT TO:<b@rcpt.example>", 250)
            reply = d.data(message(sender="a@nullmx.example"), None)
        assert reply.code == 550 and reply.enhanced == "5.7.27"


# Pipelining and chunking


def test_e1_pipelined_commands_are_answered_in_order(baton, sink):
    with baton.session() as d:
        d.send(b"MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@rcpt.example>\r\n"
               b"RCPT TO:<bad@@rcpt.example>\r\nRCPT TO:<c@rcpt.example>\r\n"
               b"DATA\r\n")
        assert [d.reply().code for _ in range(5)][:2] == [250, 250]
        d.send(HELLO + ".\r\nNOOP\r\nQUIT\r\n")
        assert [d.reply().code for _ in range(3)] == [250, 250, 221]
    recipients = sorted(r for m in sink.wait_for(2) for r in m.recipients) \
        if len(sink.wait_for(1)[0].recipients) == 1 else \
        sorted(sink.wait_for(1)[0].recipients)
    assert recipients == ["b@rcpt.example", "c@rcpt.example"]


def test_e1_data_after_no_good_recipient_leaves_commands(baton):
    with baton.session() as d:
        d.send(b"MAIL FROM:<a@sender.example>\r\nRCPT TO:<bad@@x>\r\nDATA\r\n"
               b"NOOP\r\nRSET\r\n")
        codes = [d.reply().code for _ in range(5)]
        assert codes[0] == 250 and codes[1] >= 500
        assert codes[2] in (503, 554)
        assert codes[3:] == [250, 250]


def test_e2_bdat(baton, sink):
    data = HELLO.encode()
    with baton.session() as d:
        d.envelope("a@sender.example", "b@rcpt.example")
        d.send(b"BDAT 10\r\n" + data[:10])
        d.expect(250)
        d.send(b"BDAT %d LAST\r\n" % len(data[10:]) + data[10:])
        d.expect(250)
    assert sink.wait_for(1)[0].body == b"Hello\r\n"


def test_e2_bdat_zero_last(baton, sink):
    data = HELLO.encode()
    with baton.session() as d:
        d.envelope("a@sender.example", "b@rcpt.example")
        d.send(b"BDAT %d\r\n" % len(data) + data + b"BDAT 0 LAST\r\n")
        d.expect(250)
        d.expect(250)
    assert sink.wait_for(1)[0].body == b"Hello\r\n"


def test_e2_bdat_without_recipients_swallows_its_octets(baton):
    with baton.session() as d:
        d.command("MAIL FROM:<a@sender.example>", 250)
        d.send(b"BDAT 12 LAST\r\nNOOP\r\nNOOP\r\nNOOP\r\n")
        assert d.reply().code in (503, 554)
        d.expect(250)


def test_e2_bdat_out_of_order(baton):
    with baton.session() as d:
        d.envelope("a@sender.example", "b@rcpt.example")
        d.send(b"BDAT 4\r\nA: b")
        d.expect(250)
        d.command("DATA", 503)
        d.command("RSET", 250)
        d.send(b"BDAT 4\r\nNOOP")
        assert d.reply().code == 503
        for bad in ("BDAT", "BDAT x", "BDAT -1", "BDAT 99999999999999999999",
                    "BDAT 1 WHAT"):
            try:
                assert d.command(bad).code in (501, 552)
            except Closed:
                break


def test_e2_too_large_a_chunk_is_refused_without_keeping_it(make_baton):
    baton = make_baton({"limits": {"message_size": "64 KB"}})
    with baton.session() as d:
        d.envelope("a@sender.example", "b@rcpt.example")
        d.send(b"BDAT 3000000 LAST\r\n" + b"x" * 3000000)
        reply = d.expect(552)
        assert reply.enhanced == "5.3.4"
        d.command("NOOP", 250)


def test_e5_size_declared_and_size_lied_about(make_baton):
    baton = make_baton({"limits": {"message_size": "64 KB"}})
    with baton.session() as d:
        assert d.extensions["SIZE"] == "65536"
        reply = d.command("MAIL FROM:<a@sender.example> SIZE=65537", 552)
        assert reply.enhanced == "5.3.4"
        d.command("MAIL FROM:<a@sender.example> SIZE=10", 250)
        d.command("RCPT TO:<b@rcpt.example>", 250)
        reply = d.data(HELLO + ("x" * 70 + "\r\n") * 2000, 552)
        assert reply.enhanced == "5.3.4"
        d.command("NOOP", 250)


def test_e5_stuffed_dots_do_not_count(make_baton):
    baton = make_baton({"limits": {"message_size": "64 KB"}},
                       routes={"*": "discard:"})
    body = ".\r\n" * 21000
    with baton.session() as d:
        assert len(HELLO) + len(body) < 65536 < len(HELLO) + 4 * 21000
        d.envelope("a@sender.example", "b@rcpt.example")
        d.data(HELLO + body)


# The content


def test_s4_the_250_names_the_message(baton, sink):
    message_id = baton.submit(HELLO)
    sink.wait_for(1)
    row = baton.sql("SELECT * FROM baton.message WHERE message_id = %s",
                    message_id)[0]
    assert row["sender"] == "a@sender.example"
    assert row["subject"] == "test"
    assert row["user_name"] == USER
    assert row["recipient_count"] == 1


def test_f1_date_and_message_id_are_added_or_kept(baton, sink):
    baton.submit(HELLO)
    baton.submit(message(fields="Date: Mon, 5 Jan 2026 10:00:00 +0000\r\n"
                                "Message-ID: <mine@sender.example>\r\n"))
    found = sink.wait_for(2)
    for one in found:
        names = [name.lower() for name, _ in one.fields()]
        assert names.count("date") == names.count("message-id") == 1
    kept = [m for m in found if m.field("Message-ID") == "<mine@sender.example>"]
    assert len(kept) == 1
    assert kept[0].field("Date") == "Mon, 5 Jan 2026 10:00:00 +0000"


@pytest.mark.parametrize("header", [
    "Subject: no from\r\n",
    "From: a@sender.example\r\nFrom: b@sender.example\r\nSubject: x\r\n",
    "From: a@sender.example\r\nSubject: x\r\nSubject: y\r\n",
    "From: a@sender.example\r\nMessage-ID: <a@b>\r\nMessage-ID: <c@d>\r\n",
    "From: a@sender.example\r\nTo: b@rcpt.example\r\nTo: c@rcpt.example\r\n",
    "From:\r\nSubject: x\r\n",
    "From: not an address\r\n",
    "From: a@sender.example\r\nthis is no field\r\n",
    "From: a@sender.example\r\nS\u00fcbject: x\r\n",
    "From: a@sender.example\r\nSubject: gr\u00fcn\r\n"])
def test_f2_f4_malformed_headers_are_550(baton, header):
    with baton.session() as d:
        d.envelope("a@sender.example", "b@rcpt.example")
        reply = d.data(header + "\r\nbody\r\n", 550)
        assert reply.enhanced == "5.6.0"
        assert len(reply.text) > 20, "a reason, please"


def test_f4_8bit_headers_with_smtputf8(baton, sink):
    with baton.session() as d:
        d.command("MAIL FROM:<a@sender.example> SMTPUTF8", 250)
        d.command("RCPT TO:<b@rcpt.example>", 250)
        d.data(message(subject="gr\u00fcn"))
    one = sink.wait_for(1)[0]
    assert "SMTPUTF8" in one.arguments[0]
    assert "gr\u00fcn".encode() in one.header


def test_f3_bcc_and_return_path_are_removed(baton, sink):
    baton.submit(message(fields="Bcc: hidden@rcpt.example,\r\n\tmore@x.example"
                                "\r\nReturn-Path: <x@y.example>\r\n"))
    data = sink.wait_for(1)[0].data
    for word in (b"hidden", b"more@x", b"Return-Path", b"x@y.example"):
        assert word not in data


def test_s14_received_is_added(baton, sink):
    with baton.dialogue() as d:
        d.ehlo("my.client.example")
        d.starttls()
        d.ehlo("my.client.example")
        d.login(USER, PASSWORD)
        d.envelope("a@sender.example", "b@rcpt.example")
        d.data(HELLO)
    received = sink.wait_for(1)[0].field("Received")
    assert re.match(r"from my\.client\.example \(.*\[127\.0\.0\.1\].*\)\s+by "
                    r"relay\.example.*\bwith ESMTPSA\b", received, re.S), received


def test_s14_a_loop_is_554(baton):
    fields = "".join(f"Received: from h{i} by h{i + 1}; Mon, 5 Jan 2026 "
                     "10:00:00 +0000\r\n" for i in range(150))
    with baton.session() as d:
        d.envelope("a@sender.example", "b@rcpt.example")
        reply = d.data(fields + HELLO, 554)
        assert reply.enhanced == "5.4.6"


def test_f13_bounds(baton):
    def nest(depth):
        parts = [f"Content-Type: multipart/mixed; boundary=b{i}\r\n\r\n--b{i}\r\n"
                 for i in range(depth)]
        return "".join(parts)
    cases = ["X-Filler: " + "\r\n ".join(["x" * 70] * 5000) + "\r\n",
             "".join(f"X-{i}: x\r\n" for i in range(5000)),
             "MIME-Version: 1.0\r\n" + nest(5000),
             "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n"
             "\r\n" + "--b\r\n\r\nx\r\n" * 20000]
    with baton.session() as d:
        for fields in cases:
            d.envelope("a@sender.example", "b@rcpt.example")
            reply = d.data("From: a@sender.example\r\n" + fields + "\r\nx\r\n", None)
            assert (reply.code, reply.enhanced) in ((552, "5.3.4"), (550, "5.6.0"))


def test_s11_a_silent_client_is_sent_away(make_baton):
    baton = make_baton({"limits": {"idle_timeout": "300 ms"}})
    with baton.dialogue("clear") as d:
        d.ehlo()
        reply = d.reply()
        assert reply.code == 421 and reply.enhanced == "4.4.2"
        assert d.is_closed()


def test_a_client_that_errs_too_often_is_sent_away(baton):
    with baton.dialogue() as d:
        codes = []
        try:
            for _ in range(100):
                codes.append(d.command("WHAT").code)
        except (Closed, OSError):
            pass
        assert codes[-1] == 421 and len(codes) < 60


def test_t29_sessions_per_address_are_bounded(make_baton):
    baton = make_baton({"server": {"workers": "1"},
                        "limits": {"sessions_per_address": "5"}})
    sessions = [baton.dialogue("clear") for _ in range(5)]
    with baton.dialogue("clear", greet=False) as d:
        reply = d.reply()
        assert reply.code in (421, 554)
    sessions.pop().command("QUIT", 221)

    def accepted():
        with baton.dialogue("clear", greet=False) as d:
            return d.reply().code == 220
    wait_until(accepted, "a place for another session")


def test_r2_envelope_and_header_may_differ(baton, sink):
    baton.submit(message(recipient="header@rcpt.example"),
                 ["secret1@rcpt.example", "secret2@rcpt.example"])
    wait_until(lambda: sum(len(m.recipients) for m in sink.messages) == 2,
               "both recipients")
    for one in sink.messages:
        assert b"secret" not in one.data


def test_s5_dots_come_through(baton, sink):
    body = ".\r\n..\r\n...\r\n.x\r\nx.\r\n. \r\n.\t\r\n\r\n.\r\nend.\r\n"
    baton.submit(message(body=body))
    assert sink.wait_for(1)[0].body == body.encode()


def test_s5_dots_at_the_edges_of_reads(baton, sink):
    body = ("x" * 61 + "\r\n" + "." * 3 + "\r\n") * 400
    data = message(body=body).encode()
    stuffed = data.replace(b"\r\n.", b"\r\n..") + b".\r\n"
    with baton.session() as d:
        for size in (1021, 4093, 4096, 4097):
            d.envelope("a@sender.example", "b@rcpt.example")
            d.command("DATA", 354)
            for at in range(0, len(stuffed), size):
                d.send(stuffed[at:at + size])
            d.expect(250)
    for one in sink.wait_for(4):
        assert one.body == body.encode()


def test_proxy_protocol_tells_the_real_address(make_baton, make_sink):
    sink = make_sink()
    baton = make_baton(listeners={"proxied": "tls=none auth_in_clear=on proxy=on",
                                  "clear": "tls=none auth_in_clear=on"},
                       routes={"*": f"smtp://127.0.0.1:{sink.port}"})
    with baton.dialogue("proxied", greet=False) as d:
        d.send(b"PROXY TCP4 203.0.113.9 127.0.0.1 40000 25\r\n")
        d.expect(220)
        d.enter(USER, PASSWORD)
        d.envelope("a@sender.example", "b@rcpt.example")
        d.data(HELLO)
    assert "[203.0.113.9]" in sink.wait_for(1)[0].field("Received")
    with baton.dialogue("proxied", greet=False) as d:
        d.send(b"EHLO client.example\r\n")
        assert d.is_closed()


def test_s4_451_when_postgresql_is_away(make_baton, postgres):
    """T35: nothing accepted, nothing crashed, everything resumes."""
    baton = make_baton(routes={"*": "discard:"})
    with baton.session() as d:
        d.envelope("a@sender.example", "b@rcpt.example")
        d.data(HELLO)
        postgres.stop()
        try:
            d.command("MAIL FROM:<a@sender.example>")
            d.command("RSET")
            began = time.monotonic()
            reply = d.command("MAIL FROM:<a@sender.example>")
            if reply.code == 250:
                reply = d.command("RCPT TO:<b@rcpt.example>")
            if reply.code == 250:
                reply = d.data(HELLO, None)
            assert reply.code == 451 and reply.enhanced.startswith("4.3."), reply
            assert time.monotonic() - began < 25
        finally:
            postgres.start()
    if baton.connection:
        baton.connection.close()

    def accepted():
        try:
            return baton.submit(HELLO)
        except AssertionError:
            return False
    wait_until(accepted, "mail to be accepted again", 60)


def test_the_limit_of_recipients_per_day(make_baton):
    baton = make_baton({"server": {"workers": "1"}})
    baton.cli("set", "demo", "recipients_per_day", "3")

    def recipients(d, count):
        d.command("MAIL FROM:<a@sender.example>", 250)
        return [d.command(f"RCPT TO:<r{i}@rcpt.example>") for i in range(count)]

    def limit_is_known():
        with baton.session() as d:
            return recipients(d, 4)[-1].code == 452
    wait_until(limit_is_known, "the limit in force")
    with baton.session() as d:
        replies = recipients(d, 4)
        assert [reply.code for reply in replies] == [250, 250, 250, 452]
        assert "4.3.1" in replies[3].text and "3 recipients/day" in replies[3].text
        d.data(message())
        # What was taken counts at once, and after the directory is read anew.
        assert recipients(d, 1)[0].code == 452
        baton.cli("set", "demo", "priority", "high")
        d.command("RSET", 250)
        assert recipients(d, 1)[0].code == 452
    baton.cli("set", "demo", "recipients_per_day", "unlimited")
    wait_until(lambda: not limit_is_known(), "no limit")


def test_a_recipient_over_the_limit_is_taken_where_that_is_wished(make_baton,
                                                                  make_sink):
    sink = make_sink()
    baton = make_baton({"server": {"workers": "1"}},
                       routes={"*": f"smtp://127.0.0.1:{sink.port}"})
    baton.cli("set", "demo", "on_refusal", "accept")
    baton.cli("set", "demo", "recipients_per_day", "1")

    def submit():
        with baton.session() as d:
            d.command("MAIL FROM:<a@sender.example>", 250)
            for name in ("one", "two"):
                d.command(f"RCPT TO:<{name}@rcpt.example>", 250)
            d.data(message())
        return "rejected" in baton.deliveries().values()
    wait_until(submit, "a recipient over the limit")
    baton.wait_for_empty_queue()
    row = baton.sql("SELECT * FROM baton.delivery WHERE state = 'rejected' "
                    "ORDER BY delivery_id")[0]
    assert row["last_reply"].startswith("452 4.3.1")
    event = baton.sql("SELECT * FROM baton.event WHERE kind = 'rejected'")[0]
    assert event["delivery_id"] and event["detail"] == {"kind": "quota"}
    taken = {m.recipients[0] for m in sink.messages for _ in m.recipients}
    rejected = baton.value("SELECT count(*) FROM baton.delivery "
                           "WHERE state = 'rejected'")
    assert rejected >= 1 and taken
    assert baton.value("SELECT count(*) FROM baton.delivery WHERE state = "
                       "'delivered'") == sum(len(m.recipients) for m in sink.messages)
