# SPDX-License-Identifier: MIT
"""Next hops that do wrong, and what becomes of mail to them."""

import socket
import struct

import certificates
from sink import CLOSE, HANG

MEGABYTE = 1000 * 1000
GARBAGE = bytes(range(256)) * 8


def reset(session, _):
    """Close so that the other side gets RST."""
    session.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                  struct.pack("ii", 1, 0))
    return CLOSE


def tarpit(session, _):
    """A byte a second: every deadline of Baton's fast clock passes."""
    for byte in b"220-" + b"slow " * 20:
        session.connection.sendall(bytes([byte]))
        if session.sink.stopping.wait(1):
            break
    return CLOSE


def say_and_close(reply):
    def rule(session, _):
        session.say(reply)
        return CLOSE
    return rule


def read_some(then):
    """354, some of the content, and then this."""
    def rule(session, _):
        session.say("354 go")
        session.connection.recv(10000)
        return then
    return rule


def long_line(code):
    def rule(session, _):
        session.connection.sendall(b"%d " % code)
        for _ in range(100):
            session.connection.sendall(b"x" * (MEGABYTE // 10))
        return b"\r\n"
    return rule


def many_lines(code):
    def rule(session, _):
        line = b"%d-" % code + b"y" * 94 + b"\r\n"
        for _ in range(100):
            session.connection.sendall(line * 1000)
        return b"%d end\r\n" % code
    return rule


def garbage_instead_of_tls(session, _):
    session.say("220 go")
    session.connection.recv(10000)
    session.connection.sendall(GARBAGE)
    return CLOSE


def part_of_handshake(session, _):
    """The first bytes of a ServerHello that never goes on."""
    session.say("220 go")
    session.connection.recv(10000)
    session.connection.sendall(b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03")
    return CLOSE


def forget_what_was_pipelined(session, _):
    """PIPELINING was announced; what came with MAIL is thrown away."""
    session.buffer = b""
    return "250 2.1.0 ok"


def refuse_where(word, reply):
    return lambda session, argument: reply if word in argument else None


COLOURS = b"550 5.1.1 \x1b[31mred\x1b]0;title\x07 \x00 \xc3\xa9\xff \x9b2J\r\n"
STEPS = ("connect", "EHLO", "MAIL", "RCPT", "DATA", "message")
UNCERTAIN_AT = "message"


def hops(certificate):
    """name -> (outcome of the first attempt, query of the route, arguments of
    the Sink). The outcome is None where only some recipients suffer."""
    tls = certificates.server_context(*certificate)
    made = {}

    def add(name, outcome, query="", **arguments):
        made[name] = (outcome, query, arguments)

    for step in STEPS:
        lost = "uncertain" if step == UNCERTAIN_AT else "deferred"
        add(f"closes-at-{step}", lost, on={step: CLOSE})
        add(f"resets-at-{step}", lost, on={step: reset})
        add(f"hangs-at-{step}", lost, on={step: HANG})
        add(f"tarpit-at-{step}", lost, on={step: tarpit})
        add(f"421-at-{step}", "deferred", on={step: "421 4.3.2 busy"})
        add(f"421-and-close-at-{step}", "deferred",
            on={step: say_and_close("421 4.3.2 busy")})
        add(f"garbage-at-{step}", lost, on={step: GARBAGE + b"\r\n"})
        add(f"599-at-{step}", lost, on={step: "599 5.9.9 what"})
        add(f"199-at-{step}", lost, on={step: "199 what"})
        add(f"two-digits-at-{step}", lost, on={step: "25 ok"})
        add(f"codes-change-at-{step}", lost, on={step: b"250-a\r\n550 b\r\n"})
        add(f"long-line-at-{step}", lost, on={step: long_line(250)})
        add(f"many-lines-at-{step}", lost, on={step: many_lines(250)})
    add("closes-after-banner", "deferred",
        on={"connect": say_and_close("220 hello")})
    add("closes-within-content", "deferred", on={"DATA": read_some(CLOSE)})
    add("hangs-within-content", "deferred", on={"DATA": read_some(HANG)})
    add("354-and-close", "uncertain", on={"DATA": say_and_close("354 go")})
    add("354-to-mail", "deferred", on={"MAIL": "354 go"})
    add("354-to-rcpt", "deferred", on={"RCPT": "354 go"})
    add("250-to-data", "deferred", on={"DATA": "250 2.0.0 kept"})
    add("250-with-354", "deferred", on={"DATA": b"354 go\r\n250 2.0.0 kept\r\n"})
    add("two-replies-to-mail", "deferred",
        on={"MAIL": b"250 ok\r\n250 2.0.0 kept\r\n"})
    add("two-replies-to-ehlo", "deferred",
        on={"EHLO": b"250 a\r\n250 2.0.0 kept\r\n"})
    add("354-to-dot", "uncertain", on={"message": "354 go"})
    add("no-pipelining-in-truth", "deferred",
        on={"MAIL": forget_what_was_pipelined})
    add("escapes", "failed", on={"RCPT": COLOURS})
    add("550-to-dot", "failed", on={"message": "550 5.7.1 no"})
    add("one-refused-for-good", None,
        on={"RCPT": refuse_where("<x", "550 5.1.1 unknown")})
    add("one-refused-for-now", None,
        on={"RCPT": refuse_where("<x", "450 4.2.1 later")})
    add("garbage-for-tls", "delivered", tls=tls,
        on={"STARTTLS": garbage_instead_of_tls})
    add("breaks-off-tls", "delivered", tls=tls,
        on={"STARTTLS": part_of_handshake})
    add("closes-at-tls", "delivered", tls=tls,
        on={"STARTTLS": say_and_close("220 go")})
    add("hangs-at-tls", "delivered", tls=tls, on={"STARTTLS": lambda session, _:
                                                  session.say("220 go") and HANG})
    add("garbage-for-required-tls", "deferred", "?tls=required", tls=tls,
        on={"STARTTLS": garbage_instead_of_tls})
    add("bytes-before-tls", "deferred", tls=tls,
        on={"STARTTLS": say_and_close(b"220 go\r\n250 ok\r\n")})
    add("bad-certificate", "deferred", "?tls=verified", tls=tls)
    add("no-tls-where-required", "deferred", "?tls=required")
    return made
