#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Baton against Postfix in one sitting: the same generator, the same sink, the
same messages, runs in turn, medians, one table.

    tests/bench/relay_bench.py [ROUNDS] [MESSAGES] [CONNECTIONS]    (5 6000 32)

Each round runs each relay twice: flat out (MESSAGES of 4 KB over CONNECTIONS
connections that are kept, a recipient of its own each) and at 20 messages a
second. Both relays own a message on disk before they answer 250. Nothing is
signed. BENCH names the folder with the generator, the sink and the tuned
Postfix (../shared/bench); where it is missing those of tests/load and
tests/system/postfix.py are used. BATON_BINARY names another program than
build/release/baton.
"""

import collections
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tests/system"))
os.environ.setdefault("BATON_BINARY", ROOT + "/build/release/baton")

from instance import Baton, add_account, add_route, free_port  # noqa: E402
from load import LoadGenerator, LoadSink, percentile  # noqa: E402
from postfix import Postfix  # noqa: E402
from postgres import Postgres  # noqa: E402

BENCH = os.environ.get("BENCH", os.path.join(ROOT, "../shared/bench"))
RATE = 20
RATE_MESSAGES = 200
RATE_CONNECTIONS = 4
STATISTICS_SECONDS = 11
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


# Who uses what: by /proc, so that it needs no control groups

def processes():
    """pid -> (parent, name, CPU seconds with those of children that ended)"""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8") as file:
                name, rest = file.read().split("(", 1)[1].rsplit(")", 1)
        except OSError:
            continue
        fields = rest.split()
        ticks = sum(int(value) for value in fields[11:15])
        found[int(entry)] = (int(fields[1]), name, ticks / CLOCK_TICKS)
    return found


def family(table, roots):
    """The pids of roots and of all that descend from them."""
    members = {root for root in roots if root in table}
    grown = True
    while grown:
        children = {pid for pid, (parent, _, _) in table.items()
                    if parent in members}
        grown = not children <= members
        members |= children
    return members


def cpu_seconds(roots):
    table = processes()
    return sum(table[pid][2] for pid in family(table, roots))


def pss_mib(roots):
    total = 0
    table = processes()
    for pid in family(table, roots):
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
                total += int(re.search(r"^Pss:\s+(\d+)", file.read(), re.M)[1])
        except (OSError, TypeError):
            continue
    return total / 1024


def disk_flushes():
    """Of all disks of this machine, whoever asked for them."""
    total = 0
    with open("/proc/diskstats", encoding="utf-8") as file:
        for line in file:
            fields = line.split()
            if len(fields) > 18 and not re.match("loop|ram", fields[2]):
                total += int(fields[18])
    return total


# The relays

class BatonRelay:
    name = "baton"

    def __init__(self, target):
        self.postgres = Postgres()
        self.postgres.execute("CREATE DATABASE bench")
        self.baton = Baton(
            self.postgres.url_of("bench"),
            {"server": {"workers": os.environ.get("BENCH_WORKERS", "0")},
             "log": {"level": "warning"},
             "limits": {"messages_per_session": "1000000"},
             "delivery": {"connections_per_site": "40"}},
            {"bench": "tls=none"})
        self.port = self.baton.ports["bench"]
        self.baton.cli("migrate")
        account = add_account(self.baton.sql, "bench")
        self.baton.sql("INSERT INTO baton.network (range, account_id) VALUES "
                       "('127.0.0.0/8', %s)", account)
        add_route(self.baton.sql, "*", f"smtp://{target}")

    def start(self):
        self.baton.start()

    def stop(self):
        self.baton.stop()

    def parts(self):
        """What it is made of: name -> the processes at its root."""
        postmaster = int(self.baton.value(
            "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)"))
        return {"baton": [self.baton.process.pid], "postgresql": [postmaster]}

    def wal_flushes(self):
        """PostgreSQL's processes tell what they counted when they have been
        idle for ten seconds."""
        time.sleep(STATISTICS_SECONDS)
        return self.baton.value("SELECT wal_sync FROM pg_stat_wal")

    def close(self):
        self.baton.close()
        self.postgres.close()


class PostfixRelay:
    """Tuned as a careful operator would for one fast next hop."""
    name = "postfix"

    def __init__(self, target):
        self.folder = None
        host, port = target.rsplit(":", 1)
        self.relayhost = f"[{host}]:{port}"
        self.port = free_port()
        self.postfix = None

    def start(self):
        self.folder = tempfile.mkdtemp(prefix="baton-bench-")
        self.postfix = Postfix(self.folder, {
            "relayhost": self.relayhost, "in_flow_delay": "0",
            "default_process_limit": "200",
            "default_destination_concurrency_limit": "20",
            "initial_destination_concurrency": "20",
            "smtp_connection_cache_destinations": self.relayhost,
            "smtp_connection_reuse_time_limit": "300s",
            "smtpd_client_connection_count_limit": "0",
            "smtpd_recipient_restrictions": "permit_mynetworks, reject",
            "smtpd_peername_lookup": "no",
            "qmgr_message_active_limit": "50000",
            "smtp_tls_security_level": "none"}, smtp_port=self.port)

    def stop(self):
        self.postfix.close()
        shutil.rmtree(self.folder)

    def parts(self):
        return {"postfix": [self.postfix.process.pid]}

    def wal_flushes(self):
        return None

    def close(self):
        pass


class SharedPostfixRelay(PostfixRelay):
    """The one of the folder BENCH."""

    def script(self, *arguments):
        subprocess.run([BENCH + "/peers/postfix.sh", *arguments], check=True,
                       stdout=subprocess.DEVNULL, env=dict(
                           os.environ, PORT=str(self.port), CONC="20"))

    def start(self):
        self.script("start")

    def stop(self):
        self.script("stop")

    def parts(self):
        folder = os.path.join(os.environ["WORK"], "postfix/spool/pid/master.pid")
        with open(folder, encoding="ascii") as file:
            return {"postfix": [int(file.read())]}


# The load

class OwnLoad:
    """tests/load"""
    postfix = PostfixRelay

    def __init__(self):
        self.port = free_port()
        self.target = f"127.0.0.2:{self.port}"

    def run(self, port, messages, connections, rate=None):
        sink = LoadSink(port=self.port, hosts=["127.0.0.2"])
        options = {"rate": rate} if rate else {}
        generator = LoadGenerator(("127.0.0.1", port), number=messages,
                                  connections=connections, **options)
        accepted = generator.wait()
        sink.wait_for(accepted["acknowledged"])
        arrivals = sink.arrivals()
        begun = min(sent for _, _, sent in arrivals)
        seconds = (max(received for _, received, _ in arrivals) - begun) / 1e9
        times = [(received - sent) / 1e6 for _, received, sent in arrivals]
        found = sink.stop()
        return {"accepted/s": accepted["rate"],
                "delivered/s": found["unique"] / seconds,
                "accepted": accepted["acknowledged"],
                "unique": found["unique"], "twice": found["twice"],
                "ack p50 ms": accepted["ack_p50_ms"],
                "ack p99 ms": accepted["ack_p99_ms"],
                "end to end p50 ms": percentile(times, 0.5),
                "end to end p99 ms": percentile(times, 0.99)}

    def close(self):
        pass


class SharedLoad:
    """The scripts of the folder BENCH."""
    postfix = SharedPostfixRelay
    target = "127.0.0.2:2600"
    NAMES = {"accepted/s": "acc/s", "delivered/s": "dlv/s", "accepted": "n",
             "unique": "uniq", "twice": "dup", "ack p50 ms": "ack_p50",
             "ack p99 ms": "ack_p99", "end to end p50 ms": "e2e_p50",
             "end to end p99 ms": "e2e_p99"}

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="baton-bench-")
        os.chmod(self.folder, 0o755)
        os.environ.update(WORK=self.folder + "/peers", BIN=self.folder + "/bin",
                          SINK_PORT="2600")
        os.mkdir(os.environ["WORK"])
        self.script("sink.sh", "start")

    def script(self, name, *arguments):
        """What it prints; into a file, as what it starts holds its output."""
        with tempfile.TemporaryFile("w+") as output:
            subprocess.run([os.path.join(BENCH, name), *map(str, arguments)],
                           check=True, stdout=output)
            output.seek(0)
            return output.read()

    def run(self, port, messages, connections, rate=None):
        options = ["-r", rate] if rate else []
        line = self.script("load.sh", port, messages, connections, *options)
        found = dict(re.findall(r"(\S+)=([0-9.]+)", line))
        return {name: float(found[key]) for name, key in self.NAMES.items()}

    def close(self):
        self.script("sink.sh", "stop")
        shutil.rmtree(self.folder)


# Measuring

def measure(relay, load, messages, connections, rate=None):
    """One run: what the load says, and what the relay used for it."""
    parts = relay.parts()
    wal = relay.wal_flushes()
    before = {name: cpu_seconds(roots) for name, roots in parts.items()}
    disk = disk_flushes()
    found = load.run(relay.port, messages, connections, rate)
    accepted = found["accepted"]
    for name, roots in parts.items():
        found[f"CPU us/message, {name}"] = \
            (cpu_seconds(roots) - before[name]) * 1e6 / accepted
        found[f"PSS MiB, {name}"] = pss_mib(roots)
    found["disk flushes/message"] = (disk_flushes() - disk) / accepted
    if wal is not None:
        found["WAL flushes/message"] = (relay.wal_flushes() - wal) / accepted
    return found


def sit(rounds, messages, connections):
    """All runs, in turn: (relay, kind) -> list of what was found."""
    load = SharedLoad() if os.path.exists(BENCH + "/load.sh") else OwnLoad()
    relays = []
    runs = collections.defaultdict(list)
    try:
        relays = [BatonRelay(load.target), load.postfix(load.target)]
        for number in range(1, rounds + 1):
            for relay in relays:
                relay.start()
                try:
                    flat = measure(relay, load, messages, connections)
                    slow = measure(relay, load, RATE_MESSAGES,
                                   RATE_CONNECTIONS, RATE)
                finally:
                    relay.stop()
                runs[relay.name, "flat"].append(flat)
                runs[relay.name, "slow"].append(slow)
                print(f"round {number} {relay.name:8}"
                      f" {flat['delivered/s']:6.0f} delivered/s,"
                      f" at {RATE}/s end to end p50"
                      f" {slow['end to end p50 ms']:.2f} ms", flush=True)
    finally:
        for relay in relays:
            relay.close()
        load.close()
    return runs, type(load).__name__


def median(runs, name):
    values = [run[name] for run in runs if name in run]
    return statistics.median(values) if values else None


def print_table(runs):
    rows = [("flat", name) for name in runs["baton", "flat"][0]] + \
           [("flat", name) for name in runs["postfix", "flat"][0]] + \
           [("slow", name) for name in ("end to end p50 ms",
                                        "end to end p99 ms", "ack p50 ms")]
    print(f"\n{'medians':34}{'baton':>12}{'postfix':>12}{'ratio':>9}")
    for kind, name in dict.fromkeys(rows):
        ours = median(runs["baton", kind], name)
        theirs = median(runs["postfix", kind], name)
        both = ours is not None and theirs
        title = name if kind == "flat" else f"at {RATE}/s, {name}"
        print(f"{title:34}"
              f"{'-' if ours is None else f'{ours:.2f}':>12}"
              f"{'-' if theirs is None else f'{theirs:.2f}':>12}"
              f"{f'{ours / theirs:.2f}' if both else '-':>9}")


def verdicts(runs):
    """(what is wanted, whether it is so)"""
    def ratio(kind, name):
        return median(runs["baton", kind], name) / \
            median(runs["postfix", kind], name)

    ours = runs["baton", "flat"] + runs["baton", "slow"]
    once = all(run["twice"] == 0 and run["unique"] == run["accepted"]
               for run in ours)
    pss = median(runs["baton", "flat"], "PSS MiB, baton")
    return [
        ("delivered/s at least 4 times Postfix's",
         ratio("flat", "delivered/s") >= 4),
        ("the goal: at least 8 times", ratio("flat", "delivered/s") >= 8),
        (f"end-to-end p50 at {RATE}/s at most Postfix's",
         ratio("slow", "end to end p50 ms") <= 1),
        ("exactly once", once),
        ("WAL flushes per message at most 0.25",
         median(runs["baton", "flat"], "WAL flushes/message") <= 0.25),
        ("PSS of all Baton processes at most Postfix's",
         pss <= median(runs["postfix", "flat"], "PSS MiB, postfix")),
    ]


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    given = [int(value) for value in sys.argv[1:4]]
    rounds, messages, connections = given + [5, 6000, 32][len(given):]
    print(f"{rounds} rounds of {messages} messages of 4 KB over {connections} "
          "connections, not signed, durable")
    runs, load = sit(rounds, messages, connections)
    print_table(runs)
    print(f"\n(load: {load}; CPU and PSS of Postfix's queue are its own, of "
          "Baton's in PostgreSQL; disk flushes are the machine's)")
    for wanted, holds in verdicts(runs):
        print(f"{'yes' if holds else 'NO '}  {wanted}")
    folder = os.path.join(ROOT, "build")
    with open(os.path.join(folder, "bench.json"), "w", encoding="ascii") as out:
        json.dump({"/".join(key): value for key, value in runs.items()}, out,
                  indent=1)


if __name__ == "__main__":
    main()
