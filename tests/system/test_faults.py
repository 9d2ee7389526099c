# SPDX-License-Identifier: MIT
"""The n-th allocation, libpq call or socket call of a worker fails, for each n.

tests/fault/fault.c makes it fail. For each n: a message in clear to a recipient
who takes it and one who is refused for good (the sender gets a report), a
message by STARTTLS to one who is put off once. Whatever fails, what was
acknowledged comes to its end, the queue drains and, unless memory was what
failed, no process dies. Each kind goes on until its fault no longer fires.
"""

import collections
import contextlib
import mmap
import os
import re
import signal
import ssl
import struct
import subprocess
import tempfile
import time

import pytest

from conftest import close_all
from dialogue import Closed, message
from instance import PASSWORD, ROOT, USER, environment
from scale import IS_FULL, scale
from sink import Sink
from waiting import wait_until

KINDS = {"memory": 1, "libpq": 2, "write": 3, "read": 4}
MODES = {"fail": 0, "bad result": 1, "reset": 2, "pipe": 3, "short": 4,
         "interrupted": 5, "again": 6}
VERBOSE = os.environ.get("FAULTS_VERBOSE") == "1"
NEVER = 1 << 60
END_SECONDS = 60
DEATHS_BEFORE_RESTART = 4  # the supervisor takes longer over each

# kind, mode, calls that fail in a row, stride of `make prove-faults`
FAULTS = [
    ("libpq", "fail", 1, 1),
    ("libpq", "fail", 4, 3),
    ("libpq", "bad result", 1, 1),
    ("write", "reset", 1, 1),
    ("write", "reset", 4, 3),
    ("write", "pipe", 1, 1),
    ("write", "short", 1, 1),
    ("write", "short", 1000, 50),
    ("write", "interrupted", 1, 1),
    ("write", "again", 1, 1),
    ("read", "reset", 1, 1),
    ("read", "short", 1000, 50),
    ("read", "interrupted", 1, 1),
    ("read", "again", 1, 1),
    ("memory", "fail", 1, 1),
]


class Control:
    """The file that fault.c maps: struct control."""

    LAYOUT = struct.Struct("=IIqqQQ32s")

    def __init__(self, folder):
        self.path = os.path.join(folder, "control")
        with open(self.path, "wb") as file:
            file.write(bytes(self.LAYOUT.size))
        with open(self.path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), self.LAYOUT.size)

    def arm(self, kind, mode, number, length):
        self.disarm()
        armed = self.LAYOUT.pack(0, MODES[mode], number, length, 0, 0, b"")
        self.map[4:] = armed[4:]
        self.map[:4] = struct.pack("=I", KINDS[kind])

    def disarm(self):
        """(calls counted, calls that failed, name of the first of them)"""
        self.map[:4] = bytes(4)
        *_, calls, fired, where = self.LAYOUT.unpack(self.map[:])
        return calls, fired, where.rstrip(b"\0").decode()


@pytest.fixture(scope="session")
def library():
    with tempfile.TemporaryDirectory(prefix="baton-test-") as folder:
        os.chmod(folder, 0o755)
        path = os.path.join(folder, "fault.so")
        include = subprocess.run(["pg_config", "--includedir"], check=True,
                                 capture_output=True, text=True).stdout.strip()
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-I" + include, "-o",
                        path, ROOT + "/tests/fault/fault.c"], check=True)
        yield path


class Answers:
    """What the sink says: to refused- never, to deferred- the second time."""

    def __init__(self):
        self.seen = set()

    def __call__(self, session, argument):
        address = argument.partition("<")[2].partition(">")[0]
        if address.startswith("refused-"):
            return "550 5.1.1 Nobody"
        if address.startswith("deferred-") and address not in self.seen:
            self.seen.add(address)
            return "451 4.2.0 Later"
        return None


class Scenario:
    """One Baton, armed again and again, and the ledger of its messages."""

    def __init__(self, baton, sink, control):
        self.baton = baton
        self.sink = sink
        self.control = control
        self.names = 0
        self.usual_calls = {}  # of a kind, when nothing fails
        self.deaths_since_start = 0
        self.forget()

    def forget(self):
        """Count from zero."""
        self.deaths = 0
        self.lost = []
        self.twice = 0
        self.slowest = 0
        self.where = collections.Counter()

    def try_to_submit(self, listener, kinds):
        """The name that was acknowledged, or None."""
        self.names += 1
        name = str(self.names)
        try:
            with self.baton.dialogue(listener, timeout=20) as d:
                d.enter(USER, PASSWORD)
                d.envelope(f"sender-{name}@sender.example",
                           *[f"{kind}-{name}@rcpt.example" for kind in kinds])
                d.data(message(subject=name))
                return name
        except (Closed, OSError, AssertionError):  # ssl.SSLError is an OSError
            return None

    def submit(self, listener, *kinds):
        """Try under new names until acknowledged; the name that was."""
        return wait_until(lambda: self.try_to_submit(listener, kinds),
                          "an acknowledgement", END_SECONDS)

    def is_over(self, expected):
        states = {row["recipient"]: row["state"] for row in self.baton.sql(
            "SELECT recipient, state FROM baton.delivery WHERE recipient = "
            "ANY(%s)", list(expected))}
        return states == expected and self.baton.queue_is_empty()

    def run(self, kind, mode, number, length):
        """Whether the fault fired."""
        mail_before = len(self.sink.messages)
        started = time.monotonic()
        before = self.baton.workers()
        self.control.arm(kind, mode, number, length)
        both = self.submit("clear", "good", "refused")
        late = self.submit("smtp", "deferred")
        expected = {f"good-{both}@rcpt.example": "delivered",
                    f"refused-{both}@rcpt.example": "failed",
                    f"deferred-{late}@rcpt.example": "delivered"}
        what = f"the end after {kind} {mode} {number}"
        try:
            wait_until(lambda: self.is_over(expected), what, END_SECONDS)
        finally:
            calls, fired, where = self.control.disarm()
        if fired:
            self.where[where] += 1
            took = time.monotonic() - started
            self.slowest = max(self.slowest, took)
            if VERBOSE:
                print(f"{kind} {mode} {number}: {where} {calls} calls "
                      f"{took:.2f} s", flush=True)
        arrived = collections.Counter(
            recipient for one in self.sink.messages[mail_before:]
            for recipient in one.recipients)
        wanted = {name for name, state in expected.items()
                  if state == "delivered"} | {f"sender-{both}@sender.example"}
        self.lost += [(number, name) for name in wanted - set(arrived)]
        self.twice += sum(count - 1 for count in arrived.values())
        self.count_deaths(before)
        return calls, fired

    def restart_worker(self, number):
        """Memory fails in the worker that comes after the one killed here.
        Whether it did."""
        for worker in self.baton.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        self.control.arm("memory", "fail", number, 1)
        name = self.submit("smtp", "good")
        wait_until(lambda: self.is_over(
            {f"good-{name}@rcpt.example": "delivered"}), f"{number}")
        calls, fired, _ = self.control.disarm()
        self.note_deaths(1 + fired)
        return calls, fired

    def count_deaths(self, before):
        gone = set(before) - set(self.baton.workers())
        self.note_deaths(len(gone))

    def note_deaths(self, count):
        self.deaths += count
        self.deaths_since_start += count
        if self.deaths_since_start >= DEATHS_BEFORE_RESTART:
            self.deaths_since_start = 0
            self.baton.stop()
            self.baton.start()


@pytest.fixture(scope="module")
def scenario(factory, postgres, certificate, library):
    """One for all kinds; memory, where processes die, is the last of them."""
    with tempfile.TemporaryDirectory(prefix="baton-test-") as folder:
        os.chmod(folder, 0o755)
        control = Control(folder)

        def prepare(baton):
            options = environment()["ASAN_OPTIONS"]
            baton.environment = {
                "LD_PRELOAD": library, "FAULT_CONTROL": control.path,
                "ASAN_OPTIONS": options + ":verify_asan_link_order=0"}

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        sink = Sink(on={"RCPT": Answers()}, tls=context)
        baton = factory(
            {"server": {"workers": "1", "clock_rate": "10"},
             "database": {"query_timeout": "1 s", "commit_timeout": "3 s"},
             "delivery": {"retry": "50 ms", "host_penalty": "1 ms"}},
            routes={"*": f"smtp://127.0.0.1:{sink.port}"}, prepare=prepare)
        yield Scenario(baton, sink, control)
        close_all([baton], postgres)
        sink.close()


def check_log(log, kind, killed=()):
    """Nobody touched what is not theirs; out of memory ends in abort()."""
    found = re.search(r"\w+Sanitizer:|runtime error:|Segmentation fault", log)
    assert not found, log[max(0, found.start() - 500):found.end() + 3000]
    signals = re.findall(r'"a worker died and is replaced" .*signal=(\d+)', log)
    allowed = {signal.SIGABRT, *killed} if kind == "memory" else set()
    assert {int(number) for number in signals} <= allowed, signals


def numbers(scenario, kind, mode, length, stride):
    """Each n, and in short some of them."""
    if IS_FULL:
        number = 1
        while True:
            yield number
            number += stride
    counted = (kind, mode == "bad result")
    if counted not in scenario.usual_calls:
        scenario.usual_calls[counted], _ = scenario.run(kind, mode, NEVER,
                                                        length)
    calls = scenario.usual_calls[counted]
    count = 2
    yield from (1 + calls * i // count for i in range(count))


@pytest.mark.timeout(scale(180, 36000))
@pytest.mark.parametrize("kind, mode, length, stride", FAULTS,
                         ids=["-".join(map(str, row[:3])) for row in FAULTS])
def test_r5_the_nth_call_fails(scenario, kind, mode, length, stride):
    scenario.forget()
    scenario.baton.crashes_expected = kind == "memory"
    last = fired_count = 0
    started = time.monotonic()
    for last in numbers(scenario, kind, mode, length, stride):
        calls, fired = scenario.run(kind, mode, last, length)
        fired_count += fired
        if not fired and calls < last:
            break
    sites = ", ".join(f"{name} {count}" for name, count
                      in scenario.where.most_common())
    print(f"\nfaults {kind} {mode} x{length}: n 1..{last} by {stride}, "
          f"{fired_count} fired ({sites}), {scenario.deaths} workers died, "
          f"{len(scenario.lost)} lost, {scenario.twice} delivered again, "
          f"slowest {scenario.slowest:.1f} s, "
          f"{time.monotonic() - started:.0f} s")
    assert fired_count > 0
    check_log(scenario.baton.log(), kind)
    assert not scenario.lost, scenario.lost[:10]
    if kind == "memory":
        assert scenario.twice <= scenario.deaths * 4
    else:
        assert scenario.deaths == 0
        # A next hop's 250 that was not read is a doubt, and tried again.
        assert scenario.twice <= (fired_count if kind == "read" else 0)


@pytest.mark.timeout(scale(180, 36000))
def test_r5_memory_fails_while_a_worker_starts(scenario):
    """Most of what it allocates is the system's trusted roots."""
    scenario.baton.crashes_expected = True
    calls, _ = scenario.restart_worker(NEVER)
    count = scale(2, 200)
    fired_count = sum(scenario.restart_worker(1 + calls * i // count)[1]
                      for i in range(count))
    print(f"\nfaults memory at start: {count} of 1..{calls}, {fired_count} fired")
    assert fired_count >= count - 1
    check_log(scenario.baton.log(), "memory", killed=[signal.SIGKILL])
