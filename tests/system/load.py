# SPDX-License-Identifier: MIT
"""The load generator and the load sink of tests/load, with their ledgers."""

import atexit
import json
import os
import shutil
import signal
import subprocess
import tempfile

from instance import ROOT, free_port
from waiting import wait_until

_programs = {}


def program(name):
    """The path of a program of tests/load; compiled when it is first asked for."""
    if not _programs:
        _programs["folder"] = tempfile.mkdtemp(prefix="baton-load-")
        atexit.register(shutil.rmtree, _programs["folder"], ignore_errors=True)
    if name not in _programs:
        path = os.path.join(_programs["folder"], name)
        subprocess.run(["cc", "-O2", "-o", path, f"{ROOT}/tests/load/{name}.c"],
                       check=True)
        _programs[name] = path
    return _programs[name]


def new_file():
    """A file of its own that is gone at the end of the run."""
    program("load_sink")
    handle, path = tempfile.mkstemp(dir=_programs["folder"])
    os.close(handle)
    return path


class Program:
    """One that runs until it is ended, and then prints one line of JSON."""

    def __init__(self, *command):
        self.process = subprocess.Popen([str(word) for word in command],
                                        stdout=subprocess.PIPE, text=True)
        self.figures = None

    def is_running(self):
        return self.process.poll() is None

    def wait(self, seconds=300):
        """Until it ends by itself; its figures."""
        if self.figures is None:
            out, _ = self.process.communicate(timeout=seconds)
            assert self.process.returncode == 0, self.process.args
            self.figures = json.loads(out)
        return self.figures

    def stop(self, seconds=150):
        """End it; its figures."""
        if self.is_running():
            self.process.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self):
        """At once, without figures."""
        if self.is_running():
            self.process.kill()
        self.process.communicate()
        self.figures = self.figures or {}

    close = kill


class LoadSink(Program):
    """Takes everything; `LoadSink(delay_ms=…)` delays the reply to the dot.
    hosts: it listens at each, on the same port."""

    def __init__(self, delay_ms=0, port=None, hosts=("127.0.0.1",), log=None,
                 within=()):
        self.port = port or free_port()
        self.log = log or new_file()
        super().__init__(*within, program("load_sink"), "-l", self.log,
                         "-w", delay_ms,
                         *(f"{host}:{self.port}" for host in hosts))

    def count(self):
        """Lines of the log."""
        with open(self.log, "rb") as file:
            return sum(chunk.count(b"\n")
                       for chunk in iter(lambda: file.read(1 << 20), b""))

    def arrivals(self):
        """[(id, received_ns, sent_ns)] in the order of arrival."""
        with open(self.log, encoding="ascii") as file:
            rows = (line.split() for line in file)
            return [(row[0], int(row[1]), int(row[2])) for row in rows]

    def wait_for(self, count, seconds=120):
        wait_until(lambda: self.count() >= count, f"{count} messages", seconds)


class LoadGenerator(Program):
    """Options as of tests/load/load_generator.c: connections, number, seconds,
    rate, size, domains, prefix, suffix, login, per_connection, keeps_going."""

    LETTERS = {"connections": "-c", "number": "-n", "seconds": "-d",
               "rate": "-r", "size": "-s", "file": "-f", "domains": "-D",
               "prefix": "-p", "suffix": "-t", "login": "-u", "per_connection": "-m"}

    def __init__(self, address, keeps_going=False, ledger=None, within=(),
                 **options):
        self.ledger = ledger or new_file()
        words = [*within, program("load_generator"),
                 f"{address[0]}:{address[1]}", "-l", self.ledger]
        for name, value in options.items():
            words += [self.LETTERS[name], value]
        super().__init__(*words, *(["-k"] if keeps_going else []))

    def acknowledged(self):
        """{id: (sent_ns, acknowledged_ns)}"""
        with open(self.ledger, encoding="ascii") as file:
            rows = (line.split() for line in file)
            return {row[0]: (int(row[1]), int(row[2])) for row in rows}


def percentile(values, share):
    """Of a list of numbers; share 0.5 is the median."""
    ordered = sorted(values)
    return ordered[int((len(ordered) - 1) * share)] if ordered else 0
