# SPDX-License-Identifier: MIT
"""Memory stays within its budget under idle sessions and large messages at
once, and a client with small messages is served meanwhile.

The budget is the formula of docs/operator.md ("Memory")."""

import base64
import os
import subprocess
import threading

import instance
from dialogue import Dialogue
from load import LoadGenerator, LoadSink, new_file, percentile
from scale import scale
from waiting import wait_until

MB = 1024 * 1024
KB = 1024

SESSIONS = scale(400, 5000)
LARGE_CLIENTS = scale(4, 20)
LARGE_BYTES = scale(20, 50) * 1000 * 1000
SESSIONS_PER_WORKER = scale(300, 3000)
MESSAGE_MEMORY = 64 * MB
IN_HAND = 1000
BATCH_SIZE = 4 * MB
DEADLINE = 240
MAX_MILLISECONDS = scale(5000, 1000)


def budget_of_worker():
    """The formula of docs/operator.md."""
    return (20 * MB + MESSAGE_MEMORY + SESSIONS_PER_WORKER * 20 * KB
            + IN_HAND * 4 * KB + 4 * BATCH_SIZE)


def figures_of(process):
    """Bytes: resident now, its peak, and the proportional share; {} if gone."""
    found = {}
    if not os.path.exists(f"/proc/{process}"):
        return found
    for name in ("status", "smaps_rollup"):
        with open(f"/proc/{process}/{name}", encoding="ascii") as file:
            for line in file:
                word, _, rest = line.partition(":")
                if word in ("VmRSS", "VmHWM", "Pss"):
                    found[word] = int(rest.split()[0]) * KB
    return found


class Watch:
    """Looks at processes until it is stopped; peaks of each."""

    def __init__(self, processes):
        self.peaks = {process: {"rss": 0, "pss": 0} for process in processes}
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.is_over.wait(0.1):
            self.look()

    def look(self):
        for process, peak in self.peaks.items():
            figures = figures_of(process)
            peak["rss"] = max(peak["rss"], figures.get("VmHWM", 0))
            peak["pss"] = max(peak["pss"], figures.get("Pss", 0))

    def stop(self):
        self.is_over.set()
        self.thread.join()
        self.look()
        return self.peaks


def open_sessions(baton, count):
    """Idle ones, every second in TLS; from several addresses."""
    made = []
    for i in range(count):
        is_tls = i % 2 == 1
        session = Dialogue(baton.address("smtp" if is_tls else "clear"))
        session.ehlo()
        if is_tls:
            session.starttls()
            session.ehlo()
        made.append(session)
    return made


def attachment(size):
    """A message with one in base64, which no compression makes smaller."""
    path = new_file()
    with open(path, "wb") as file:
        file.write(b"MIME-Version: 1.0\r\n"
                   b"Content-Type: application/octet-stream\r\n"
                   b"Content-Transfer-Encoding: base64\r\n\r\n")
        while file.tell() < size:
            lines = base64.encodebytes(os.urandom(57 * 10000))
            file.write(lines.replace(b"\n", b"\r\n"))
    return path


def times_of(ledger):
    return [(acked - sent) / 1e6 for sent, acked in ledger.values()]


def test_memory_stays_within_its_budget(make_baton):
    login = f"{instance.USER}:{instance.PASSWORD}"
    sink = LoadSink()
    baton = make_baton(
        {"limits": {"message_memory": f"{MESSAGE_MEMORY // MB} MB",
                    "message_size": "52 MB",
                    "sessions_per_worker": SESSIONS_PER_WORKER,
                    "sessions_per_address": SESSIONS_PER_WORKER},
         "delivery": {"in_hand": IN_HAND}, "log": {"level": "info"}},
        routes={"*": f"smtp://127.0.0.1:{sink.port}"})
    watch = Watch(baton.workers())
    idle = []
    try:
        def normal(prefix, seconds):
            return LoadGenerator(baton.address("clear"), connections=2, rate=20,
                                 seconds=seconds, size=1000, prefix=prefix,
                                 login=login, keeps_going=True)
        quiet = normal("quiet", scale(2, 10))
        quiet.wait()
        idle = open_sessions(baton, SESSIONS)
        beside = normal("beside", DEADLINE)
        large = LoadGenerator(baton.address("clear"),
                              connections=LARGE_CLIENTS, number=LARGE_CLIENTS,
                              file=attachment(LARGE_BYTES), prefix="large",
                              login=login)
        taken = large.wait(DEADLINE)
        wait_until(lambda: sum(row[0].startswith("large")
                               for row in sink.arrivals()) >= LARGE_CLIENTS,
                   "the large messages", DEADLINE)
        beside.stop()
        baton.wait_for_empty_queue()
        peaks = watch.stop()
        for session in idle:
            session.command("NOOP", 250)
    finally:
        sink.kill()
        for session in idle:
            session.close()
    before = times_of(quiet.acknowledged())
    during = times_of(beside.acknowledged())
    budget = budget_of_worker()
    print(f"\nmemory: {SESSIONS} idle sessions, {LARGE_CLIENTS} x "
          f"{LARGE_BYTES // 1000000} MB at once taken in "
          f"{max(times_of(large.acknowledged())) / 1000:.1f} s; a small "
          f"message every 50 ms: {show(before)} idle, {show(during)} beside, "
          f"refused {beside.figures.get('refused', 0)}")
    for process, peak in peaks.items():
        print(f"memory: worker {process}: peak RSS {peak['rss'] / MB:.0f} MB, "
              f"PSS {peak['pss'] / MB:.0f} MB of {budget / MB:.0f} MB")
    assert taken["acknowledged"] == LARGE_CLIENTS
    assert instance.has_sanitizer() or all(peak["rss"] < budget
                                  for peak in peaks.values()), peaks
    assert max(during) < MAX_MILLISECONDS, sorted(during)[-10:]


def show(times):
    return (f"p50 {percentile(times, 0.5):.1f} p99 {percentile(times, 0.99):.1f} "
            f"max {max(times):.1f} ms of {len(times)}")


def test_too_few_files_are_told(make_baton):
    """Not even root may raise the limit without the capability."""
    baton = make_baton({"server": {"workers": "1"},
                        "limits": {"sessions_per_worker": 500,
                                   "sessions_per_address": 500}}, start=False)
    with open(baton.log_path, "ab") as log:
        baton.process = subprocess.Popen(
            ["prlimit", "--nofile=400:400", "setpriv",
             "--bounding-set=-sys_resource", "--inh-caps=-sys_resource",
             instance.BINARY, "serve", "--config", baton.config], stdout=log,
            stderr=subprocess.STDOUT, env=instance.environment(), cwd="/")
    wait_until(baton.is_ready, "/readyz")
    assert "too few open files are allowed" in baton.log()
    assert "allowed=400 needed=1200" in baton.log()
    sessions = [baton.dialogue(greet=False) for _ in range(450)]
    try:
        wait_until(lambda: "cannot accept connections" in baton.log(),
                   "the worker to run out of files")
    finally:
        for session in sessions:
            session.close()
    baton.submit("From: <a@sender.example>\r\nSubject: after\r\n\r\n")
