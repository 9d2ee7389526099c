# SPDX-License-Identifier: MIT
"""Hostile clients: each gets a clear reply or an end, in bounded time and
memory, and a normal client is served meanwhile."""

import os
import socket
import ssl
import time

import pytest

import instance
from dialogue import Closed
from load import LoadGenerator, percentile
from scale import scale
from waiting import wait_until

KB = 1024
MB = 1024 * KB
PATIENCE = scale(1, 2)  # seconds: the time-outs of this Baton
MANY = scale(50, 1000)
HEADER = b"From: <a@sender.example>\r\nSubject: hostile\r\n"
# An ASan build keeps what was freed for a while.
GROWTH_BYTES = scale(250, 80) * MB
NORMAL_MAX_MILLISECONDS = scale(2000, 1000)


@pytest.fixture(scope="module")
def target(factory, postgres):
    """A Baton of one worker with short patience."""
    baton = factory(
        {"server": {"workers": "1"}, "log": {"level": "info"},
         "limits": {"message_memory": "64 MB",
                    "messages_per_session": 1000000,
                    "sessions_per_worker": 3000, "sessions_per_address": 2500,
                    "idle_timeout": f"{PATIENCE} s",
                    "data_timeout": f"{PATIENCE} s",
                    "message_timeout": f"{2 * PATIENCE} s",
                    "handshake_timeout": f"{PATIENCE} s"}},
        routes={"*": "discard:"})
    yield baton
    baton.close()
    postgres.drop(baton.url)


def resident(process):
    with open(f"/proc/{process}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


@pytest.fixture(scope="module")
def normal_client(target):
    """A small message every 50 ms, all the time."""
    load = LoadGenerator(target.address("clear"), connections=1, rate=20,
                         seconds=3600, size=1000,
                         prefix="normal",
                         login=f"{instance.USER}:{instance.PASSWORD}")
    wait_until(load.acknowledged, "the normal client")
    yield load
    figures = load.stop()
    assert figures["errors"] == 0, figures


@pytest.fixture
def beside(target, normal_client, request):
    """The normal client's figures of this time, and the growth."""
    worker = target.workers()[0]
    before = resident(worker)
    start = time.time_ns()
    yield
    end = time.time_ns()

    def times():
        """Of those that were due meanwhile, and of one more."""
        rows = normal_client.acknowledged().values()
        return any(sent > end for sent, _ in rows) and [
            (acked - sent) / 1e6 for sent, acked in rows
            if acked > start and sent - 50e6 < end]
    found = wait_until(times, "the normal client")
    grown = resident(worker) - before
    name = request.node.name.removeprefix("test_")
    print(f"\nhostile client {name}: {(end - start) / 1e9:.1f} s; a normal "
          f"client p50 {percentile(found, 0.5):.1f} p99 "
          f"{percentile(found, 0.99):.1f} max {max(found):.1f} ms; "
          f"{grown / MB:+.0f} MB")
    assert max(found) < NORMAL_MAX_MILLISECONDS, sorted(found)[-5:]
    assert instance.has_sanitizer() or grown < GROWTH_BYTES, grown
    assert target.workers() == [worker], "the worker ended"


def in_data(target):
    session = target.session()
    session.envelope("a@sender.example", "b@rcpt.example")
    session.command("DATA", 354)
    return session


def send_until_closed(session, piece, seconds):
    """Until the other side takes no more; bytes that it took."""
    session.socket.settimeout(seconds)
    sent = 0
    try:
        while True:
            sent += session.socket.send(piece)
    except OSError:
        return sent


def drip(sessions, data, seconds):
    """A byte to each in turn until that time is over or all are closed."""
    end = time.monotonic() + seconds
    at = 0
    alive = list(sessions)
    while alive and time.monotonic() < end:
        for session in list(alive):
            try:
                session.socket.send(data[at % len(data):][:1])
            except OSError:
                alive.remove(session)
        at += 1
        time.sleep(0.2)  # the pace of the attack
    return alive


def test_slow_commands(target, beside):
    """A byte at a time does not make the time for a command longer."""
    sessions = [target.dialogue("clear") for _ in range(MANY)]
    left = drip(sessions, b"N", 3 * PATIENCE)
    assert not left, f"{len(left)} still there"
    for session in sessions:
        session.expect(421)
        session.close()


def test_slow_content(target, beside):
    """Nor that for a message."""
    sessions = [in_data(target) for _ in range(MANY // 10)]
    left = drip(sessions, b"x\r\n", 5 * PATIENCE)
    assert not left, f"{len(left)} still there"
    for session in sessions:
        session.expect(421)
        session.close()


def test_silence(target, beside):
    """Half-open ones, in every state."""
    sessions = [target.dialogue("clear") for _ in range(MANY)]
    sessions += [target.session() for _ in range(MANY // 10)]
    sessions += [in_data(target) for _ in range(MANY // 10)]
    for session in sessions:
        session.expect(421)
        assert session.is_closed()
        session.close()


def test_long_command_lines(target, beside):
    with target.session() as session:
        for _ in range(5):
            session.send(b"NOOP " + b"x" * MB + b"\r\n")
            reply = session.expect(500)
            assert reply.enhanced == "5.5.2"
        session.command("NOOP", 250)


def test_a_line_without_end(target, beside):
    with target.session() as session:
        start = time.monotonic()
        send_until_closed(session, b"x" * 65536, PATIENCE)
        assert time.monotonic() - start < 2 * PATIENCE


@pytest.mark.parametrize("letter", [b"x", b"\xff", b"."],
                         ids=["text", "8bit", "dots"])
def test_long_lines_of_content(target, beside, letter):
    """They are encoded on their way (S7), or refused."""
    with in_data(target) as session:
        session.send(HEADER + b"\r\n" + letter * MB + b"\r\n.\r\n")
        assert session.reply().code in (250, 550)
        session.command("NOOP", 250)


def nested(depth):
    parts = [HEADER, b"MIME-Version: 1.0\r\n"]
    for i in range(depth):
        parts.append(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n"
                     b"--b%d\r\n" % (i, i))
    return b"".join(parts) + b"\r\nend\r\n"


def many_parts(count):
    return (HEADER + b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; "
            b"boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * count + b"--b--\r\n")


BOMBS = {
    "nesting": lambda: nested(scale(10000, 100000)),
    "parts": lambda: many_parts(scale(100000, 1000000)),
    "header": lambda: HEADER + b"X: y\r\n " + (b"z" * 76 + b"\r\n ") * (
        scale(5, 50) * MB // 80 - 100) + b"\r\n\r\nx\r\n",
    "fields": lambda: HEADER + b"X: y\r\n" * scale(100000, 1000000)
    + b"\r\nx\r\n",
    "field": lambda: HEADER + b"X: " + b"z" * scale(5, 40) * MB
    + b"\r\n\r\nx\r\n",
    "addresses": lambda: b"From: " + b"<a@sender.example>,\r\n "
    * 20000 + b"<a@sender.example>\r\n\r\nx\r\n",
    "parentheses": lambda: b"From: " + (b"(" * 70 + b"\r\n ") * 3000
    + b"<a@sender.example>\r\n\r\nx\r\n",
}


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs(target, beside, kind):
    content = BOMBS[kind]()
    with in_data(target) as session:
        session.send(content)
        start = time.monotonic()
        session.send(b".\r\n")
        reply = session.reply()
        assert reply.code in (550, 552), reply
        assert reply.enhanced in ("5.3.4", "5.6.0"), reply
        assert time.monotonic() - start < 5
        session.command("NOOP", 250)


def test_recipients_without_end(target, beside):
    """Pipelined; beyond the limit each is told to come again (S8)."""
    count = scale(20000, 1000000)
    block = 1000
    with target.session() as session:
        session.command("MAIL FROM:<a@sender.example>", 250)
        codes = set()
        taken = 0
        try:
            for i in range(0, count, block):
                session.send("".join(f"RCPT TO:<r{j}@rcpt.example>\r\n"
                                     for j in range(i, i + block)))
                for _ in range(block):
                    code = session.reply().code
                    codes.add(code)
                    taken += code == 250
        except (Closed, OSError):
            pass
        assert codes <= {250, 452, 421}, codes
        assert taken == 1000


def test_chunks_without_end(target, beside):
    chunk = b"y" * 78 + b"\r\n"
    with target.session() as session:
        session.envelope("a@sender.example", "b@rcpt.example")
        codes = []
        try:
            while len(codes) < 2000:
                size = len(chunk) * 1000
                session.send(b"BDAT %d\r\n" % size + chunk * 1000)
                codes.append(session.reply().code)
                if codes[-1] != 250:
                    break
        except (Closed, OSError):
            pass
        assert codes[-1] in (552, 421), codes[-3:]
    with target.session() as session:
        session.envelope("a@sender.example", "b@rcpt.example")
        session.send(b"BDAT 99999999999999999999\r\n")
        assert session.reply().code == 552
    with target.session() as session:
        session.envelope("a@sender.example", "b@rcpt.example")
        session.send(b"BDAT 1000000000\r\n")
        start = time.monotonic()
        send_until_closed(session, b"y" * 65536, PATIENCE)
        assert time.monotonic() - start < 4 * PATIENCE


@pytest.mark.parametrize("line", [
    b"AUTH PLAIN " + b"=" * 12000, b"AUTH PLAIN " + b"A" * 12000,
    b"AUTH PLAIN \xff\xfe", b"AUTH PLAIN AAAA", b"AUTH " + b"X" * 3000,
    b"AUTH PLAIN " + b"A" * 100000, b"AUTH LOGIN *", b"AUTH"],
    ids=["equals", "long", "8bit", "short", "mechanism", "endless", "cancel",
         "nothing"])
def test_auth_garbage(target, beside, line):
    with target.dialogue("clear") as session:
        session.ehlo()
        for _ in range(30):
            try:
                reply = session.command(line)
            except (Closed, OSError):
                break
            assert reply.code // 100 in (4, 5), reply
            if reply.code == 421:
                break
        else:
            raise AssertionError("it may go on for ever")


HELLO = bytes.fromhex("16030100") + b"\x80\x01\x00\x00\x7c\x03\x03" + b"r" * 20


@pytest.mark.parametrize("data", [
    os.urandom(5000), HELLO, b"GET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\xff\xff" + b"x" * 70000, b"\x80" * 5000],
    ids=["noise", "part", "http", "oversized", "sslv2"])
@pytest.mark.parametrize("listener", scale(["smtps"], ["smtp", "smtps"]))
def test_handshake_garbage(target, beside, listener, data):
    sessions = []
    for _ in range(MANY // 5):
        session = target.dialogue(listener, greet=listener == "smtp")
        if listener == "smtp":
            session.ehlo()
            session.command("STARTTLS", 220)
        try:
            session.send(data)
        except OSError:
            pass
        sessions.append(session)
    for session in sessions:
        session.socket.settimeout(3 * PATIENCE)
        try:
            while session.socket.recv(65536):
                pass
        except ConnectionError:
            pass
        session.close()


def test_leaving_at_each_step(target, beside):
    lines = [b"EHLO x\r\n", b"AUTH LOGIN\r\n", b"STARTTLS\r\n",
             b"MAIL FROM:<a@sender.example>\r\n",
             b"MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@rcpt.example>\r\n",
             b"MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@rcpt.example>\r\n"
             b"DATA\r\n",
             b"MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@rcpt.example>\r\n"
             b"DATA\r\n" + HEADER + b"\r\nx\r\n.\r\n",
             b"MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@rcpt.example>\r\n"
             b"BDAT 1000\r\nabc"]
    for line in lines:
        for how in (socket.SHUT_WR, socket.SHUT_RDWR, None):
            for _ in range(scale(2, 20)):
                session = target.session()
                session.send(line)
                if how is None:
                    session.socket.setsockopt(socket.SOL_SOCKET,
                                              socket.SO_LINGER,
                                              b"\x01\0\0\0\0\0\0\0")
                else:
                    session.socket.shutdown(how)
                session.close()
    wait_until(lambda: target.metric("baton_smtp_sessions") <= 2,
               "the sessions to be gone")


def test_replies_that_nobody_reads(target, beside):
    """Output is bounded; who says nothing but NOOP is sent away."""
    sessions = [target.session() for _ in range(MANY // 5)]
    for session in sessions:
        session.socket.setblocking(False)
    block = b"NOOP\r\n" * 10000
    sent = [0] * len(sessions)
    end = time.monotonic() + 2 * PATIENCE
    while time.monotonic() < end:
        for i, session in enumerate(sessions):
            try:
                sent[i] += session.socket.send(block)
            except OSError:
                pass
        time.sleep(0.05)
    wait_until(lambda: target.metric("baton_smtp_sessions") <= 2,
               "those who never read to be gone")
    assert max(sent) < 30 * MB, max(sent)
    for session in sessions:
        session.close()


def test_slow_http(target, beside):
    """Requests that never end do not keep others from theirs."""
    address = "127.0.0.1", target.ports["http"]
    slow = []
    for i in range(scale(100, 500)):
        connection = socket.create_connection(address, 5)
        connection.send(b"GET /readyz HTTP/1.1\r\nHost: x\r\nX-%d: " % i)
        slow.append(connection)
    try:
        start = time.monotonic()
        status, _ = wait_for_http(target)
        assert status == 200
        print(f"\nhostile client slow_http: /readyz answered after "
              f"{time.monotonic() - start:.2f} s with {len(slow)} slow ones")
        huge = socket.create_connection(address, 5)
        huge.settimeout(10)
        try:
            huge.sendall(b"GET /readyz HTTP/1.1\r\nX: " + b"y" * MB)
            answer = huge.recv(1000)
        except OSError:
            answer = b""
        assert answer == b"" or b" 4" in answer.split(b"\r\n")[0], answer
        huge.close()
    finally:
        for connection in slow:
            connection.close()


def wait_for_http(target):
    def ask():
        try:
            answer = target.http("/readyz")
            return answer if answer[0] == 200 else None
        except (OSError, ValueError):
            return None
    return wait_until(ask, "/readyz beside slow requests", 40)
