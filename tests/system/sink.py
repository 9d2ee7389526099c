# SPDX-License-Identifier: MIT
"""An SMTP server for tests to deliver to: records every byte, answers as told.

    Sink(on={"RCPT": lambda session, argument: "550 5.1.1 No such user"})

A rule of `on` is a reply ("250 ok", lines joined by CRLF; or bytes, written as
they are), CLOSE, HANG, None (the usual), or a function of session and argument
that returns one of them. Steps: connect, EHLO, HELO, STARTTLS, AUTH, MAIL, RCPT,
DATA, message (the final dot), RSET, QUIT.
"""

import base64
import socket
import ssl
import threading
import time

CLOSE = object()
HANG = object()


class Message:
    def __init__(self, session, sender, recipients, data, raw, arguments):
        self.session = session
        self.sender = sender
        self.recipients = recipients
        self.data = data  # dots unstuffed
        self.raw = raw  # as on the wire, without the final dot
        self.arguments = arguments  # of MAIL and of each RCPT
        self.at = time.monotonic()

    @property
    def header(self):
        return self.data.partition(b"\r\n\r\n")[0] + b"\r\n"

    @property
    def body(self):
        return self.data.partition(b"\r\n\r\n")[2]

    def fields(self):
        """(name, whole field with folds and CRLF), in order."""
        fields = []
        for line in self.header.splitlines(keepends=True):
            if line[:1] in b" \t" and fields:
                fields[-1][1] += line
            else:
                fields.append([line.partition(b":")[0].strip(), line])
        return [(name.decode("latin-1"), whole) for name, whole in fields]

    def field(self, name):
        found = [whole.partition(b":")[2].strip() for other, whole
                 in self.fields() if other.lower() == name.lower()]
        return found[0].decode("latin-1") if found else None


class Session:
    def __init__(self, sink, connection, address):
        self.sink = sink
        self.connection = connection
        self.address = address
        self.wire = b""  # what we read, in clear
        self.buffer = b""
        self.commands = []
        self.is_tls = False
        self.user = None
        self.message_count = 0
        self.reset()

    def reset(self):
        self.sender = None
        self.recipients = []
        self.arguments = []

    def read(self):
        piece = self.connection.recv(65536)
        if not piece:
            raise ConnectionError("closed")
        self.wire += piece
        self.buffer += piece

    def read_line(self):
        while b"\n" not in self.buffer:
            self.read()
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line + b"\n"

    def say(self, reply):
        if reply is CLOSE:
            raise ConnectionError("closed by rule")
        if reply is HANG:
            self.sink.stopping.wait()
            raise ConnectionError("stopped")
        if isinstance(reply, str):
            reply = reply.encode() + b"\r\n"
        self.connection.sendall(reply)
        return reply

    def act(self, step, argument, usual):
        """Answer by the rule or as usual; the code's first digit."""
        rule = self.sink.on.get(step)
        reply = rule(self, argument) if callable(rule) else rule
        return self.say(usual if reply is None else reply)[:1]

    def run(self):
        self.act("connect", "", f"220 {self.sink.name} ESMTP sink")
        while True:
            line = self.read_line()
            assert line.endswith(b"\r\n"), f"bare LF on the wire: {line!r}"
            text = line[:-2].decode("utf-8", "surrogateescape")
            self.commands.append(text)
            verb, _, argument = text.partition(" ")
            handler = getattr(self, "verb_" + verb.lower(), None)
            if handler is None:
                self.say("502 5.5.1 What?")
            elif handler(argument) is False:
                return

    def verb_ehlo(self, argument):
        self.reset()
        extensions = list(self.sink.extensions)
        if self.sink.tls and not self.is_tls:
            extensions.append("STARTTLS")
        if self.sink.users:
            extensions.append("AUTH PLAIN LOGIN")
        lines = [self.sink.name] + extensions
        self.act("EHLO", argument, "\r\n".join(
            "250" + ("-" if i < len(lines) - 1 else " ") + line
            for i, line in enumerate(lines)))

    def verb_helo(self, argument):
        self.reset()
        self.act("HELO", argument, "250 " + self.sink.name)

    def verb_starttls(self, argument):
        if self.act("STARTTLS", argument, "220 go ahead") == b"2":
            assert self.buffer == b"", "bytes before the handshake"
            self.connection = self.sink.tls.wrap_socket(self.connection,
                                                        server_side=True)
            self.is_tls = True
            self.reset()

    def verb_auth(self, argument):
        kind, _, initial = argument.partition(" ")
        if kind.upper() == "PLAIN":
            if not initial:
                self.say("334 ")
                initial = self.read_line().decode().strip()
            user, password = base64.b64decode(initial).split(b"\0")[1:]
        else:
            self.say("334 VXNlcm5hbWU6")
            user = base64.b64decode(self.read_line())
            self.say("334 UGFzc3dvcmQ6")
            password = base64.b64decode(self.read_line())
        good = self.sink.users.get(user.decode()) == password.decode()
        if self.act("AUTH", argument, "235 2.7.0 ok" if good
                    else "535 5.7.8 wrong") == b"2":
            self.user = user.decode()

    def verb_mail(self, argument):
        if self.act("MAIL", argument, "250 2.1.0 ok") == b"2":
            self.sender = argument.partition("<")[2].partition(">")[0]
            self.arguments.append(argument)

    def verb_rcpt(self, argument):
        if self.act("RCPT", argument, "250 2.1.5 ok") == b"2":
            self.recipients.append(argument.partition("<")[2].partition(">")[0])
            self.arguments.append(argument)

    def verb_data(self, argument):
        usual = "354 go" if self.recipients else "503 5.5.1 no recipients"
        if self.act("DATA", argument, usual) != b"3":
            return
        while not (self.buffer.startswith(b".\r\n")
                   or b"\r\n.\r\n" in self.buffer):
            self.read()
        if self.buffer.startswith(b".\r\n"):
            raw, self.buffer = b"", self.buffer[3:]
        else:
            raw, _, self.buffer = self.buffer.partition(b"\r\n.\r\n")
            raw += b"\r\n"
        data = b"".join(line[1:] if line.startswith(b".") else line
                        for line in raw.splitlines(keepends=True)) \
            if b"\r\n." in raw or raw.startswith(b".") else raw
        self.finish(data, raw)

    def verb_bdat(self, argument):
        size, _, last = argument.partition(" ")
        while len(self.buffer) < int(size):
            self.read()
        chunk, self.buffer = self.buffer[:int(size)], self.buffer[int(size):]
        self.chunks = getattr(self, "chunks", b"") + chunk
        if last.upper() != "LAST":
            self.say("250 2.0.0 ok")
            return
        data, self.chunks = self.chunks, b""
        self.finish(data, data)

    def finish(self, data, raw):
        message = Message(self, self.sender, self.recipients, data, raw,
                          self.arguments)
        with self.sink.changed:
            self.sink.tried.append(message)
        if self.act("message", message, "250 2.0.0 kept") == b"2":
            self.message_count += 1
            with self.sink.changed:
                self.sink.messages.append(message)
                self.sink.changed.notify_all()
        self.reset()

    def verb_rset(self, argument):
        self.reset()
        self.act("RSET", argument, "250 2.0.0 ok")

    def verb_noop(self, argument):
        self.say("250 2.0.0 ok")

    def verb_quit(self, argument):
        self.act("QUIT", argument, "221 2.0.0 bye")
        return False


class Sink:
    def __init__(self, host="127.0.0.1", port=0, on=None, name="sink.example",
                 extensions=("PIPELINING", "8BITMIME", "SIZE 100000000",
                             "ENHANCEDSTATUSCODES", "SMTPUTF8", "DSN"),
                 tls=None, implicit_tls=False, users=None):
        self.on = dict(on or {})
        self.name = name
        self.extensions = extensions
        self.tls = None if implicit_tls else tls
        self.implicit = tls if implicit_tls else None
        self.users = users or {}
        self.messages = []  # taken
        self.tried = []  # and those that were refused at the final dot
        self.sessions = []
        self.faults = []
        self.changed = threading.Condition()
        self.stopping = threading.Event()
        self.listener = socket.create_server((host, port), backlog=256)
        self.host, self.port = self.listener.getsockname()[:2]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                connection, address = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, daemon=True,
                             args=(connection, address)).start()

    def serve(self, connection, address):
        session = Session(self, connection, address)
        with self.changed:
            self.sessions.append(session)
            self.changed.notify_all()
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.implicit:
                session.connection = self.implicit.wrap_socket(
                    connection, server_side=True)
                session.is_tls = True
            session.run()
        except (ConnectionError, ssl.SSLError, OSError):
            pass
        except Exception as fault:  # a wrong client: the test must see it
            self.faults.append(f"{fault!r} in {session.commands[-3:]}")
        finally:
            session.connection.close()

    def wait_for(self, count=1, seconds=30, where=None):
        """The messages taken (that `where` likes), once there are that many."""
        def found():
            return [m for m in self.messages if where is None or where(m)]
        with self.changed:
            self.changed.wait_for(lambda: len(found()) >= count, seconds)
            messages = found()
        assert not self.faults, self.faults
        assert len(messages) >= count, (
            f"{len(messages)} of {count} messages came within {seconds} s")
        return messages

    def close(self):
        self.stopping.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for session in self.sessions:
            try:
                session.connection.close()
            except OSError:
                pass
