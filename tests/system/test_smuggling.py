# SPDX-License-Identifier: MIT
"""S1, S2, T3, T4: only CRLF ends a line, whatever a client tries."""

import pytest

import certificates
from dialogue import Closed, message
from waiting import wait_until

ENDINGS = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r",
           b"\n\n.\r\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n.\r\r\n",
           b"\x85.\x85", b"\r\n. \r\n"]
SMUGGLED = (b"MAIL FROM:<evil@evil.example>\r\nRCPT TO:<victim@rcpt.example>\r\n"
            b"DATA\r\nFrom: <evil@evil.example>\r\nSubject: smuggled\r\n\r\nx\r\n")


def attempt(baton, pieces):
    """Send what follows DATA in pieces, then the true end; all the replies."""
    with baton.session() as d:
        d.envelope("a@sender.example", "b@rcpt.example")
        d.command("DATA", 354)
        for piece in pieces:
            d.send(piece)
        d.send(b"\r\n.\r\nNOOP unique\r\nQUIT\r\n")
        replies = []
        try:
            while not replies or replies[-1].code != 221:
                replies.append(d.reply())
        except Closed:
            pass
        return replies


def judge(replies):
    """One reply to the message, then to NOOP and QUIT; no second MAIL."""
    codes = [reply.code for reply in replies]
    assert codes[0] in (250, 500, 501, 503, 550, 554), replies
    assert codes[1:] in ([250, 221], []) or codes[0] == 421, replies


@pytest.mark.parametrize("ending", ENDINGS, ids=repr)
def test_s1_no_second_message(baton, sink, ending):
    judge(attempt(baton, [message().encode() + b"x" + ending + SMUGGLED]))


@pytest.mark.parametrize("ending", ENDINGS, ids=repr)
def test_s1_split_at_every_byte(baton, sink, ending):
    data = message(body="x").encode() + ending + SMUGGLED
    first = len(message(body="x"))
    for at in range(first, first + len(ending) + 1):
        judge(attempt(baton, [data[:at], data[at:]]))


@pytest.mark.parametrize("ending", ENDINGS, ids=repr)
def test_s1_byte_by_byte(baton, sink, ending):
    data = message(body="x").encode() + ending + b"MAIL FROM:<evil@evil.example>"
    judge(attempt(baton, [bytes([byte]) for byte in data]))


@pytest.mark.parametrize("ending", [b"\n", b"\r", b"\0", b"\n.\n", b"a\rb"],
                         ids=repr)
def test_s2_s3_nothing_bare_reaches_the_next_hop(baton, sink, ending):
    bodies = [b"one" + ending + b"two\r\n", ending + b"\r\n", b"x\r\n" + ending]
    for body in bodies:
        data = message(body="").encode() + body
        with baton.session() as d:
            d.envelope("a@sender.example", "b@rcpt.example")
            d.send(b"BDAT %d LAST\r\n" % len(data) + data)
            reply = d.reply()
            assert reply.code in (250, 550, 554), reply
        with baton.session() as d:
            d.envelope("a@sender.example", "b@rcpt.example")
            d.command("DATA", 354)
            d.send(data + b"\r\n.\r\n")
            reply = d.reply()
            assert reply.code in (250, 500, 550, 554), reply
    baton.wait_for_empty_queue()
    for one in sink.messages:
        bare = one.raw.replace(b"\r\n", b"")
        assert b"\r" not in bare and b"\n" not in bare and b"\0" not in bare


def test_s1_nothing_smuggled_was_stored(baton):
    """After all the tests above."""
    assert baton.value("SELECT count(*) FROM baton.message WHERE sender LIKE "
                       "'evil%%'") == 0
    assert baton.value("SELECT count(*) FROM baton.delivery WHERE recipient "
                       "LIKE 'victim%%'") == 0


@pytest.mark.parametrize("line", [
    b"MAIL FROM:<a@sender.example>\nRCPT TO:<x@rcpt.example>\r\n",
    b"MAIL FROM:<a@sender.example>\rRCPT TO:<x@rcpt.example>\r\n",
    b"NOOP\0\r\n", b"NOOP\n", b"MAIL FROM:<a\0b@sender.example>\r\n"])
def test_s1_bare_line_ends_in_commands(baton, line):
    with baton.session() as d:
        d.send(line + b"\r\nNOOP\r\n" if not line.endswith(b"\r\n") else
               line + b"NOOP\r\n")
        try:
            reply = d.reply()
            assert reply.code >= 500, reply
            assert d.reply().code in (250, 421, 500)
        except Closed:
            pass


def test_t5_a_server_that_speaks_before_the_handshake(make_baton, make_sink,
                                                      certificate):
    """A2: what follows the 220 in clear is never taken for a reply."""
    context = certificates.server_context(*certificate)
    sink = make_sink(tls=context, on={
        "STARTTLS": b"220 go\r\n250-injected\r\n250 AUTH PLAIN\r\n"})
    baton = make_baton({"delivery": {"retry": "1 h"}},
                       routes={"*": f"smtp://127.0.0.1:{sink.port}"})
    baton.submit(message())
    wait_until(lambda: baton.sql("SELECT 1 FROM baton.attempt"), "an attempt")
    assert not sink.messages
    for session in sink.sessions:
        assert not any(command.startswith("MAIL") for command
                       in session.commands), session.commands
