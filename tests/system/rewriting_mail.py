# SPDX-License-Identifier: MIT
"""Messages to be rewritten: made with every encoding, sent many at a time over
a few connections; and links to be followed, thousands over a few connections."""

import binascii
import queue
import re
import socket
import threading

from dialogue import Dialogue
from instance import PASSWORD, USER
from rewriting_oracle import Tracking, require
from waiting import wait_until

MESSAGES_PER_SESSION = 500

# Making

def crlf(data):
    return re.sub(rb"\r\n|\r|\n", b"\r\n", data)


def is_lined(data):
    """Can it stand in a message without an encoding?"""
    bare = data.replace(b"\r\n", b"")
    return not re.search(rb"[\r\n\0]", bare) and all(
        len(line) <= 998 for line in data.split(b"\r\n"))


def quoted_printable(data, chance=None, limit=76):
    """CRLF stays a line end, all else that must be is encoded; with chance, soft
    breaks anywhere, superfluous codes, lower-case hexadecimals."""
    lines = []
    for line in data.split(b"\r\n"):
        current = b""
        for index, byte in enumerate(line):
            is_plain = 33 <= byte <= 126 and byte != 61 or (
                byte in b" \t" and index + 1 < len(line))
            if is_plain and not (chance and chance.random() < 0.03):
                code = bytes([byte])
            elif chance and chance.random() < 0.3:
                code = b"=%02x" % byte
            else:
                code = b"=%02X" % byte
            if len(current) + len(code) > limit - 1 or (
                    chance and current and chance.random() < 0.01):
                lines.append(current + b"=")
                current = b""
            current += code
        lines.append(current)
    return b"\r\n".join(lines)


def base64(data, chance=None):
    width = 76 if not chance else 4 * chance.randrange(1, 20)
    text = binascii.b2a_base64(data, newline=False)
    return b"".join(text[at:at + width] + b"\r\n"
                    for at in range(0, len(text), width))


def encode(data, encoding, chance=None):
    """As the body of a part with this Content-Transfer-Encoding."""
    if encoding == "quoted-printable":
        return quoted_printable(data, chance)
    if encoding == "base64":
        return base64(data, chance)
    require(is_lined(data), "cannot stand in a message as", encoding)
    return data


def part(document, charset="utf-8", encoding="quoted-printable",
         kind="text/html", chance=None, fields=""):
    """A MIME part: header, empty line, body."""
    parameter = f"; charset={charset}" if charset else ""
    body = encode(document, encoding, chance)
    return (f"Content-Type: {kind}{parameter}\r\n"
            f"Content-Transfer-Encoding: {encoding}\r\n{fields}\r\n"
            ).encode() + body


def multipart(parts, subtype="mixed", boundary="=_a.boundary"):
    """A MIME part of parts."""
    inner = b"".join(b"--" + boundary.encode() + b"\r\n" + one + b"\r\n"
                     for one in parts)
    return (f"Content-Type: multipart/{subtype}; boundary=\"{boundary}\"\r\n"
            "\r\n").encode() + inner + b"--" + boundary.encode() + b"--\r\n"


def message(recipient, content, fields="", subject="Something happened"):
    """content: a MIME part."""
    data = (f"From: Sender <a@sender.example>\r\nTo: <{recipient}>\r\n"
            f"Subject: {subject}\r\nDate: Fri, 20 Nov 2026 12:00:00 +0000\r\n"
            f"Message-ID: <{recipient}>\r\n{fields}MIME-Version: 1.0\r\n"
            ).encode() + content
    return data if data.endswith(b"\r\n") else data + b"\r\n"


# Sending

def stuff(data):
    data = re.sub(rb"(?m)^\.", b"..", data)
    return (data if data.endswith(b"\r\n") else data + b"\r\n") + b".\r\n"


def submit_all(baton, items, connections=4):
    """items: (recipients, data). Submit all; the reply to each one's final dot
    (or to what failed before), in order."""
    replies = [None] * len(items)
    waiting = queue.SimpleQueue()
    for index, item in enumerate(items):
        waiting.put((index, item))
    faults = []

    def work():
        try:
            while not waiting.empty():
                with Dialogue(baton.address("clear"), timeout=60) as d:
                    d.enter(USER, PASSWORD)
                    for _ in range(MESSAGES_PER_SESSION):
                        index, (recipients, data) = waiting.get_nowait()
                        replies[index] = submit_one(d, recipients, data)
        except queue.Empty:
            pass
        except Exception as fault:  # reported by the caller's thread
            faults.append(fault)

    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return replies


def submit_one(d, recipients, data):
    lines = ["MAIL FROM:<a@sender.example> BODY=8BITMIME",
             *(f"RCPT TO:<{recipient}>" for recipient in recipients), "DATA"]
    d.send("".join(line + "\r\n" for line in lines))
    answers = [d.reply() for _ in lines]
    if answers[-1].code != 354:
        return next(answer for answer in answers if answer.code >= 300)
    d.send(stuff(data))
    return d.reply()


# Following

class Follower:
    """Follows many links over a few connections that are kept open."""

    def __init__(self, address, connections=16):
        self.address = address
        self.connections = connections

    def follow(self, paths):
        """{path: (status, Location as bytes or None)}"""
        answers = {}
        waiting = queue.SimpleQueue()
        for path in dict.fromkeys(paths):
            waiting.put(path)
        faults = []

        def work():
            try:
                self.work(waiting, answers)
            except Exception as fault:  # reported by the caller's thread
                faults.append(fault)

        threads = [threading.Thread(target=work)
                   for _ in range(min(self.connections, waiting.qsize()))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if faults:
            raise faults[0]
        return answers

    def work(self, waiting, answers):
        connection = None
        buffer = b""
        while True:
            try:
                path = waiting.get_nowait()
            except queue.Empty:
                break
            if connection is None:
                connection = socket.create_connection(self.address, 60)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                buffer = b""
            connection.sendall(b"GET " + path.encode("ascii")
                               + b" HTTP/1.1\r\nHost: %s:%d\r\n\r\n"
                               % (self.address[0].encode(), self.address[1]))
            while b"\r\n\r\n" not in buffer:
                buffer += self.receive(connection, path)
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            fields = head.split(b"\r\n")
            values = {name.lower(): value.strip(b" ") for name, _, value
                      in (field.partition(b":") for field in fields[1:])}
            length = int(values.get(b"content-length", b"0"))
            while len(buffer) < length:
                buffer += self.receive(connection, path)
            buffer = buffer[length:]
            locations = [field for field in fields
                         if field.lower().startswith(b"location:")]
            require(len(locations) <= 1, "several Location fields:", head)
            answers[path] = (int(fields[0].split()[1]), values.get(b"location"))
            if values.get(b"connection", b"").lower() == b"close":
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    @staticmethod
    def receive(connection, path):
        piece = connection.recv(65536)
        require(piece, "the connection was closed at", path)
        return piece


class Mailing:
    """A Baton, the sink it delivers to, and what its copies are judged with."""

    def __init__(self, baton, *sinks):
        self.baton = baton
        self.sinks = sinks
        self.tracking = Tracking(f"http://127.0.0.1:{baton.ports['http']}")
        self.follower = Follower(("127.0.0.1", baton.ports["http"]))

    def arrived(self):
        return {recipient: one for sink in self.sinks for one in sink.messages
                for recipient in one.recipients}

    def send(self, items, seconds=60, may_refuse=False):
        """items: (recipients, data). ({recipient: Message of the sink},
        replies), once everything is delivered."""
        replies = submit_all(self.baton, items)
        refused = [reply for reply in replies if reply.code != 250]
        require(may_refuse or not refused, "refused:", refused[:3])
        wanted = {recipient for (recipients, _), reply in zip(items, replies)
                  if reply.code == 250 for recipient in recipients}
        wait_until(lambda: wanted <= set(self.arrived()),
                   f"{len(wanted)} copies at the sink", seconds)
        for sink in self.sinks:
            require(not sink.faults, sink.faults)
        return self.arrived(), replies

    def send_one(self, data, recipient="b@rcpt.example"):
        return self.send([((recipient,), data)])[0][recipient]
