# SPDX-License-Identifier: MIT
"""T1, T2: four workers flat out for ten minutes, alone and with PostgreSQL
restarted once a minute: nothing is lost, nothing is doubled, no worker grows,
the tables that are written all the time do not slow it down.

`make prove-endurance` takes half an hour; here it is some seconds.
"""

import collections
import time

from audit import MB, Audit, megabytes, processor_seconds, resident
from instance import PASSWORD, USER
from load import LoadGenerator, LoadSink
from scale import IS_FULL, scale
from waiting import wait_until

MINUTE = scale(2, 60)  # seconds
MINUTES = scale(3, 10)
CLIENTS = 32
RESTARTS = ["fast", "immediate"]

TABLES = """
    SELECT pg_total_relation_size('baton.queue') AS queue,
           (SELECT n_dead_tup FROM pg_stat_user_tables
            WHERE relid = 'baton.queue'::regclass) AS dead_rows,
           (SELECT autovacuum_count FROM pg_stat_user_tables
            WHERE relid = 'baton.queue'::regclass) AS vacuums,
           (SELECT count(*) FROM baton.queue) AS waiting,
           pg_database_size(current_database()) AS database,
           (SELECT sum(size)::bigint FROM pg_ls_waldir()) AS wal,
           (SELECT count(*) FROM baton.partition) AS partitions"""


class Run:
    """The load, and what is looked at once a minute."""

    def __init__(self, make_baton, postgres):
        self.postgres = postgres
        self.sink = LoadSink()
        self.baton = make_baton(
            {"server": {"workers": "4"}, "log": {"level": "info"}},
            routes={"*": f"smtp://127.0.0.1:{self.sink.port}"})
        self.workers = self.baton.workers()
        self.load = LoadGenerator(
            self.baton.address("clear"), login=f"{USER}:{PASSWORD}",
            connections=CLIENTS, seconds=7200, size=2000, domains=100,
            per_connection=500, prefix="e", keeps_going=True)
        self.began = time.time()
        self.residents = []  # of each worker, minute by minute
        self.tables = []
        self.processor = [self.used()]  # seconds, after each minute

    def used(self):
        return processor_seconds([*self.workers, *self.postgres.processes()])

    def wait_minutes(self, count):
        end = self.began + count * MINUTE
        wait_until(lambda: time.time() > end, f"{count} minutes", MINUTE * count)

    def look(self):
        self.residents.append([resident(worker) for worker in self.workers])
        self.tables.append(self.baton.sql(TABLES)[0])
        self.processor.append(self.used())

    def finish(self):
        self.figures = self.load.stop()
        self.baton.wait_for_empty_queue(scale(60, 600))
        self.audit = Audit(self.sink, self.load)

    def rates(self, instants):
        """A second, minute by minute of the load."""
        counts = collections.Counter(
            int((instant / 1e9 - self.began) / MINUTE) for instant in instants)
        return [round(counts[minute] / MINUTE) for minute in range(MINUTES)]

    def taken(self):
        return self.rates(row[1] for row in self.load.acknowledged().values())

    def delivered(self):
        return self.rates(row[1] for row in self.sink.arrivals())

    def costs(self):
        """Milliseconds of processor time a message, minute by minute, of the
        workers and PostgreSQL: unlike the rate it does not depend on what else
        the machine does."""
        return [round((after - before) * 1000 / max(rate * MINUTE, 1), 3)
                for before, after, rate in zip(
                    self.processor, self.processor[1:], self.delivered())]

    def close(self):
        self.load.close()
        self.sink.close()

    def print(self, title):
        print(f"\n{title}, {MINUTES} times {MINUTE} s, 4 workers: {self.audit}, "
              f"{len(self.audit.unasked)} delivered without a 250\n"
              f"  accepted a second, minute by minute: {self.taken()}\n"
              f"  delivered a second: {self.delivered()}")
        for minute in sorted({1, (MINUTES + 1) // 2, MINUTES}):
            table = self.tables[minute - 1]
            print(f"  minute {minute}: workers "
                  f"{megabytes(self.residents[minute - 1])}; baton.queue "
                  f"{table['queue'] / MB:.1f} MB with {table['waiting']} rows "
                  f"and {table['dead_rows']} dead ones, vacuumed "
                  f"{table['vacuums']} times; database "
                  f"{table['database'] / MB:.0f} MB in {table['partitions']} "
                  f"partitions, WAL {table['wal'] / MB:.0f} MB")

    def check(self):
        self.audit.check()
        assert not self.audit.unasked, sorted(self.audit.unasked)[:10]
        assert self.baton.workers() == self.workers, "a worker died"


def test_t2_ten_minutes_flat_out(make_baton, postgres):
    run = Run(make_baton, postgres)
    try:
        for minute in range(MINUTES):
            run.wait_minutes(minute + 1)
            run.look()
        run.finish()
        run.print("flat out")
        delivered, costs = run.delivered(), run.costs()
        print(f"  first minute {delivered[0]}/s, last minute "
              f"{delivered[-1]}/s; processor time of a message, minute by "
              f"minute: {costs} ms")
    finally:
        run.close()
    run.check()
    assert run.figures["refused"].keys() <= {"421"}, run.figures
    if IS_FULL:
        assert costs[-1] < 1.25 * costs[0]
        for early, late in zip(run.residents[0], run.residents[-1]):
            assert late < early * 1.25 + 16 * MB, run.residents


def test_t1_t2_postgresql_is_restarted_every_minute(make_baton, postgres):
    run = Run(make_baton, postgres)
    try:
        for minute in range(MINUTES):
            run.wait_minutes(minute + 0.5)
            postgres.stop(RESTARTS[minute % len(RESTARTS)])
            postgres.start()
            if run.baton.connection:
                run.baton.connection.close()
            run.wait_minutes(minute + 1)
            run.look()
        run.finish()
        run.print("PostgreSQL restarted every minute")
        print(f"  replies to the load {run.figures['refused']}, "
              f"{run.figures['errors']} connections lost, batches sent again "
              f"{run.baton.metric('baton_database_batches_resent_total'):.0f}")
    finally:
        run.close()
    run.check()
