# SPDX-License-Identifier: MIT
"""Network namespaces: several machines' networks on one machine.

    hub ── bridge "data" ── node 1 … n    PostgreSQL, 10.77.0.1
     └──── bridge "mail" ── node 1 … n    next hops, 10.78.0.1

Whatever is opened or launched `with` a namespace lives in it. cut(node) takes
away its way to PostgreSQL, and nothing tells either end.
"""

import contextlib
import ctypes
import os
import subprocess
import threading

CLONE_NEWNET = 0x40000000
DATA = "10.77.0"
MAIL = "10.78.0"

libc = ctypes.CDLL(None, use_errno=True)


def ip(*words, check=True):
    return subprocess.run(["ip", *words], check=check, capture_output=True,
                          text=True)


def are_permitted():
    """Whether this process may make namespaces and links."""
    name = f"baton-{os.getpid()}-try"
    try:
        made = ip("netns", "add", name, check=False).returncode == 0
        linked = made and ip("-n", name, "link", "add", "try", "type", "bridge",
                             check=False).returncode == 0
        ip("netns", "del", name, check=False)
        return linked
    except FileNotFoundError:
        return False


class Namespace:
    """A network of its own; `with` it, this thread is inside."""

    def __init__(self, name):
        self.name = f"baton-{os.getpid()}-{name}"
        self.before = threading.local()
        ip("netns", "add", self.name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *words):
        return ip("-n", self.name, *words)

    def __enter__(self):
        stack = self.before.__dict__.setdefault("stack", [])
        stack.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))
        inside = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        self.enter(inside)
        return self

    def __exit__(self, *failure):
        self.enter(self.before.stack.pop())

    @staticmethod
    def enter(handle):
        try:
            if libc.setns(handle, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(handle)

    def connections_to(self, port):
        """How many connections to that port of ours are established."""
        with self, open("/proc/thread-self/net/tcp", encoding="ascii") as file:
            rows = [line.split() for line in file.readlines()[1:]]
        return sum(row[3] == "01" and int(row[1].split(":")[1], 16) == port
                   for row in rows)

    def close(self):
        ip("netns", "del", self.name, check=False)


class Network:
    """The hub and its nodes."""

    def __init__(self, node_count):
        self.made = contextlib.ExitStack()
        try:
            self.hub = self.make("hub")
            for name, net in (("data", DATA), ("mail", MAIL)):
                self.hub.ip("link", "add", name, "type", "bridge")
                self.hub.ip("address", "add", f"{net}.1/24", "dev", name)
                self.hub.ip("link", "set", name, "up")
            self.nodes = [self.add(number + 1) for number in range(node_count)]
        except BaseException:
            self.close()
            raise

    def make(self, name):
        namespace = Namespace(name)
        self.made.callback(namespace.close)
        return namespace

    def add(self, number):
        node = self.make(f"node{number}")
        for name, net in (("data", DATA), ("mail", MAIL)):
            port = f"{name}{number}"
            self.hub.ip("link", "add", port, "type", "veth", "peer", "name",
                        name, "netns", node.name)
            self.hub.ip("link", "set", port, "master", name, "up")
            node.ip("address", "add", f"{net}.{number + 1}/24", "dev", name)
            node.ip("link", "set", name, "up")
        node.number = number
        return node

    def cut(self, node):
        """PostgreSQL and the node do not reach each other any more."""
        self.hub.ip("link", "set", f"data{node.number}", "down")

    def mend(self, node):
        self.hub.ip("link", "set", f"data{node.number}", "up")

    def close(self):
        self.made.close()
