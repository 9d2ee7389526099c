#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a long list of suppressions costs: the same load by an account with an
empty list and by one with a long list, in turn; and the import and the export
of a file.

    tests/bench/suppression_bench.py [ROWS] [MESSAGES] [CSV_ROWS] [ROUNDS]
                                                 (10000000 30000 1000000 5)

Messages of 1 KB to a recipient each, none of whom is suppressed, over 32
connections; the deliveries are discarded by their route. Of each run: messages
a second until they are taken, queries about suppressions for each recipient and
what a worker has in memory. The first run with the long list begins with nothing
in memory. At the end the medians. ROWS 0 leaves the lists out, CSV_ROWS 0 the
files. BATON_BINARY names another program than
build/release/baton.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tests/system"))
os.environ.setdefault("BATON_BINARY", ROOT + "/build/release/baton")

import instance  # noqa: E402
from instance import Baton, add_account, add_route  # noqa: E402
from load import LoadGenerator  # noqa: E402
from postgres import Postgres  # noqa: E402

CHUNK_ROWS = 1000000


def pss_mib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
        return int(re.search(r"^Pss:\s+(\d+)", file.read(), re.M)[1]) / 1024


class Bench:
    def __init__(self):
        self.postgres = Postgres()
        self.postgres.execute("CREATE DATABASE bench")
        self.baton = Baton(self.postgres.url_of("bench"),
                           {"log": {"level": "warning"},
                            "limits": {"messages_per_session": "1000000"}},
                           {"bench": "tls=none auth_in_clear=on"})
        self.baton.cli("migrate")
        add_account(self.baton.sql, "bench", instance.PASSWORD)
        add_account(self.baton.sql, "empty", instance.PASSWORD)
        add_route(self.baton.sql, "*", "discard:")

    def fill(self, rows):
        begin = time.monotonic()
        for first in range(0, rows, CHUNK_ROWS):
            self.baton.sql(
                "INSERT INTO baton.suppression (account_id, address, reason)"
                " SELECT 1, 'bad' || n || '@list.example', 'manual'"
                " FROM generate_series(%s, %s) n", first + 1,
                min(first + CHUNK_ROWS, rows))
        seconds = time.monotonic() - begin
        self.baton.sql("VACUUM ANALYZE baton.suppression")
        print(f"{rows} rows by SQL: {seconds:.0f} s; with the index of hashes "
              + self.baton.value("SELECT pg_size_pretty(pg_relation_size("
                                 "'baton.suppression_hash'))"), flush=True)

    def load(self, name, account, messages):
        """Messages a second."""
        begin = time.monotonic()
        before = self.counts()
        generator = LoadGenerator(
            self.baton.address("bench"), connections=32, number=messages,
            size=1024, login=f"{account}:{instance.PASSWORD}", prefix=f"r{time.monotonic_ns()}-")
        generator.wait(600)
        seconds = time.monotonic() - begin
        self.baton.wait_for_empty_queue(120)
        loads, queries = (b - a for a, b in zip(before, self.counts()))
        memory = [pss_mib(pid) for pid in self.baton.workers()]
        print(f"{name:26} {messages / seconds:7.0f} messages/s"
              f"  {loads / messages:.4f} loads and {queries / messages:.4f}"
              f" queries a recipient  suppressions"
              f" {self.baton.metric('baton_suppression_memory_bytes') / 1e6:.1f}"
              f" MB  workers {' '.join(f'{mib:.0f}' for mib in memory)} MiB",
              flush=True)
        return messages / seconds

    def counts(self):
        return (self.baton.metric("baton_suppression_loads_total"),
                self.baton.metric("baton_suppression_queries_total"))

    def csv(self, rows):
        self.baton.sql("TRUNCATE baton.suppression")
        with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
            file.write("address,group,reason,evidence,created_at,expires_at\n")
            for n in range(rows):
                file.write(f"person{n}.surname@host{n % 977}.example,,"
                           f"hard_bounce,550 5.1.1 No such user ({n}),"
                           "2026-01-01T10:00:00Z,\n")
            file.flush()
            self.run(f"import of {rows} rows", "import", "bench", file.name)
        self.run(f"export of {rows} rows", "export", "bench")

    def run(self, name, *arguments):
        begin = time.monotonic()
        process = subprocess.Popen(
            [instance.BINARY, "suppression", *arguments, "--config",
             self.baton.config], stdout=subprocess.PIPE,
            env=instance.environment(), cwd="/")
        lines = 0
        last = b""
        for last in process.stdout:
            lines += 1
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begin
        assert status == 0, status
        print(f"{name:26} {seconds:6.1f} s, {usage.ru_maxrss / 1024:.0f} MiB,"
              f" {lines} lines, the last: {last.decode().strip()[:60]}",
              flush=True)

    def close(self):
        self.baton.close()
        self.postgres.close()


def main():
    rows, messages, csv_rows, rounds = (
        int(given) for given in sys.argv[1:]
        + ["10000000", "30000", "1000000", "5"][len(sys.argv) - 1:])
    bench = Bench()
    try:
        if csv_rows:
            bench.csv(csv_rows)
            bench.baton.sql("TRUNCATE baton.suppression")
        bench.fill(rows)
        bench.baton.start()
        bench.load("nothing is warm", "empty", messages)
        speeds = {"empty": [], "bench": []}
        for _ in range(rounds):
            speeds["empty"].append(bench.load("empty list", "empty", messages))
            speeds["bench"].append(bench.load("long list", "bench", messages))
        empty, full = (statistics.median(speeds[name])
                       for name in ("empty", "bench"))
        print(f"medians: {empty:.0f} and {full:.0f}, ratio {full / empty:.2f}")
    finally:
        bench.close()


if __name__ == "__main__":
    main()
