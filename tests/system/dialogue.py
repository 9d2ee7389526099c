# SPDX-License-Identifier: MIT
"""A raw SMTP client: says exactly what a test wants said, byte by byte."""

import base64
import socket
import ssl


class Reply:
    def __init__(self, lines):
        self.lines = lines
        self.code = int(lines[-1][:3])
        self.texts = [line[4:] for line in lines]
        self.text = " ".join(self.texts)

    @property
    def enhanced(self):
        first = self.texts[-1].split(" ")[0]
        parts = first.split(".")
        return first if len(parts) == 3 and all(p.isdigit() for p in parts) else ""

    def __repr__(self):
        return "\n".join(self.lines)


class Closed(Exception):
    """The server closed the connection."""


class Dialogue:
    def __init__(self, address, timeout=30, implicit_tls=False, greet=True):
        self.socket = socket.create_connection(address, timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        if implicit_tls:
            self.wrap()
        if greet:
            self.banner = self.expect(220)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def wrap(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket)

    def send(self, data):
        if isinstance(data, str):
            data = data.encode()
        self.socket.sendall(data)

    def line(self):
        while b"\n" not in self.buffer:
            try:
                piece = self.socket.recv(65536)
            except (ConnectionError, ssl.SSLError):
                piece = b""
            if not piece:
                raise Closed(self.buffer)
            self.buffer += piece
        line, self.buffer = self.buffer.split(b"\n", 1)
        assert line.endswith(b"\r"), line
        return line[:-1].decode("utf-8")

    def reply(self):
        lines = [self.line()]
        while lines[-1][3:4] == "-":
            lines.append(self.line())
        return Reply(lines)

    def expect(self, code):
        reply = self.reply()
        assert reply.code == code, f"expected {code}, got:\n{reply}"
        return reply

    def command(self, line, code=None):
        self.send(line + "\r\n" if isinstance(line, str) else line + b"\r\n")
        return self.reply() if code is None else self.expect(code)

    def is_closed(self):
        """Read to the end; whatever came is left in the buffer."""
        try:
            while True:
                self.line()
        except Closed:
            return True

    def ehlo(self, name="client.example"):
        reply = self.command("EHLO " + name, 250)
        self.extensions = {}
        for text in reply.texts[1:]:
            word, _, rest = text.partition(" ")
            self.extensions[word.upper()] = rest
        return reply

    def starttls(self):
        self.command("STARTTLS", 220)
        assert self.buffer == b"", "bytes behind the reply to STARTTLS"
        self.wrap()

    def login(self, user, password, code=235):
        token = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        return self.command("AUTH PLAIN " + token, code)

    def enter(self, user, password):
        """EHLO, STARTTLS, EHLO, AUTH."""
        self.ehlo()
        if "STARTTLS" in self.extensions:
            self.starttls()
            self.ehlo()
        self.login(user, password)
        return self

    def envelope(self, sender, *recipients):
        self.command(f"MAIL FROM:<{sender}>", 250)
        for recipient in recipients:
            self.command(f"RCPT TO:<{recipient}>", 250)

    def data(self, message, code=250):
        """Send a message as DATA, dots stuffed; message has CRLF line ends."""
        self.command("DATA", 354)
        if isinstance(message, str):
            message = message.encode()
        lines = message.split(b"\r\n")
        if lines[-1] == b"":
            lines.pop()
        stuffed = [b"." + line if line.startswith(b".") else line
                   for line in lines]
        self.send(b"\r\n".join(stuffed + [b".", b""]))
        return self.reply() if code is None else self.expect(code)


def message(subject="test", body="Hello\r\n", sender="a@sender.example",
            recipient="b@rcpt.example", fields=""):
    return (f"From: <{sender}>\r\nTo: <{recipient}>\r\nSubject: {subject}\r\n"
            f"{fields}\r\n{body}")
