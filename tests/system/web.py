# SPDX-License-Identifier: MIT
"""A raw HTTP client: says exactly what a test wants said, follows nothing."""

import socket
import time


class Answer:
    def __init__(self, status, fields, body, seconds):
        self.status = status
        self.fields = fields  # [(name in lower case, value as bytes)]
        self.body = body
        self.seconds = seconds

    def all(self, name):
        return [value for key, value in self.fields if key == name.lower()]

    def field(self, name):
        values = self.all(name)
        assert len(values) <= 1, (name, values)
        return values[0].decode("utf-8", "replace") if values else None

    @property
    def location(self):
        values = self.all("location")
        assert len(values) <= 1, values
        return values[0] if values else None

    def without_date(self):
        return (self.status, [field for field in self.fields
                              if field[0] != "date"])

    def __repr__(self):
        return f"{self.status} {self.fields} {self.body[:300]!r}"


class Web:
    """A connection that is kept."""

    def __init__(self, address, timeout=20):
        self.socket = socket.create_connection(address, timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def more(self):
        try:
            piece = self.socket.recv(65536)
        except ConnectionError:
            piece = b""
        self.buffer += piece
        return bool(piece)

    def is_closed(self):
        """Read to the end; whatever came is left in the buffer."""
        while self.more():
            pass
        return True

    def answer(self, method="GET"):
        began = time.monotonic()
        while b"\r\n\r\n" not in self.buffer:
            assert self.more(), f"closed after {self.buffer!r}"
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.split(b"\r\n")
        fields = []
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            fields.append((name.decode().lower(), value.strip()))
        status = int(lines[0].split(b" ")[1])
        answer = Answer(status, fields, b"", 0)
        length = int(answer.field("content-length") or 0)
        if method != "HEAD":
            while len(self.buffer) < length:
                assert self.more(), f"closed within {self.buffer!r}"
            answer.body, self.buffer = self.buffer[:length], self.buffer[length:]
        answer.seconds = time.monotonic() - began
        return answer

    def ask(self, path, method="GET", host="relay.example", fields=(), body=None):
        path = path.encode() if isinstance(path, str) else path
        lines = [method.encode() + b" " + path + b" HTTP/1.1"]
        if host is not None:
            lines.append(b"Host: " + host.encode())
        fields = list(fields.items() if isinstance(fields, dict) else fields)
        if body is not None:
            fields.append(("Content-Length", str(len(body))))
        lines += [f"{name}: {value}".encode() for name, value in fields]
        self.send(b"\r\n".join(lines) + b"\r\n\r\n" + (body or b""))
        return self.answer(method)


def ask(address, path, *arguments, **keywords):
    """One request on a connection of its own."""
    with Web(address) as web:
        return web.ask(path, *arguments, **keywords)


def raw(address, data):
    """Send bytes, read until the end or the first answer's end."""
    with Web(address) as web:
        web.send(data)
        return web.answer()
