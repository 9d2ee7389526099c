#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a long history and a long queue cost: one table.

    tests/bench/growth.py [FINISHED] [QUEUED ...]   (10000000 1000000 10000000)

Measured with nothing, then with FINISHED finished messages spread over 29 days,
then with so many queued deliveries besides. One session has kept its plans from
the time when everything was empty, as a worker does. BATON_BINARY names another
program than build/release/baton.
"""

import os
import statistics
import sys
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tests/system"))
os.environ.setdefault("BATON_BINARY", ROOT + "/build/release/baton")

import psycopg2  # noqa: E402

from instance import Baton, add_account, add_route  # noqa: E402
from load import LoadGenerator, LoadSink  # noqa: E402
from postgres import Postgres  # noqa: E402
from waiting import wait_until  # noqa: E402

DAYS = 29
ACCOUNTS = 10
CLAIMS = 15  # each given back, of up to CLAIM_ROWS of the DUE rows
CLAIM_ROWS = 500
DUE = 2000
TRIES = 5
LIKE_A_WORKER = """
    SET plan_cache_mode = force_generic_plan; SET jit = off;
    SET enable_seqscan = off; SET enable_bitmapscan = off;
    SET enable_mergejoin = off; SET enable_hashjoin = off"""

# Row i of a day: ids as core/id.h makes them, in the order of time.
IDS = """
    SELECT i, 1 + i %% %(accounts)s AS account_id,
           baton.id_lowest_at(%(day)s) +
               ((i::bigint * 86400000 / %(count)s) << 22) + (i %% 4096) AS id
    FROM generate_series(0, %(count)s - 1) AS i"""

FILL = {
    "message": """
        INSERT INTO baton.message SELECT account_id, id, baton.id_instant(id),
            baton.id_instant(id) + interval '4 days', 'a@sender.example',
            'a@sender.example', 'Message ' || i, i || '@sender.example', 4096,
            1, false, false, 0, NULL, 0, '127.0.0.1', 'client.example', 'ESMTP',
            NULL, NULL, 'Received: from client.example', '+0.001 > 250 Ok'
        FROM ({ids}) AS ids""",
    "delivery": """
        INSERT INTO baton.delivery SELECT account_id, id, id,
            'r' || id || '@rcpt.example', 'rcpt.example', 0, NULL, 'delivered',
            baton.id_instant(id), 1, '250 2.0.0 Ok' FROM ({ids}) AS ids""",
    "attempt": """
        INSERT INTO baton.attempt SELECT account_id, id, id, id, 1,
            baton.id_instant(id), baton.id_instant(id), 1, 'mx.example',
            '127.0.0.1:25', 'delivered', 'recipient', 'content', 250, '2.0.0',
            '250 2.0.0 Ok', NULL, 1, 1, 1, '+0.001 < 250 Ok'
        FROM ({ids}) AS ids""",
    "event": """
        INSERT INTO baton.event SELECT account_id, id, baton.id_instant(id),
            'delivered', id, id, 'r' || id || '@rcpt.example', '{{}}'
        FROM ({ids}) AS ids""",
}


def median_ms(action, tries=TRIES):
    times = []
    for _ in range(tries):
        begun = time.monotonic()
        action()
        times.append((time.monotonic() - begun) * 1000)
    return statistics.median(times)


class Growth:
    def __init__(self):
        self.postgres = Postgres()
        self.postgres.execute("CREATE DATABASE growth")
        self.sink = LoadSink()
        self.baton = Baton(
            self.postgres.url_of("growth"),
            {"log": {"level": "warning"},
             "limits": {"messages_per_session": "1000000"},
             "retention": {"body": "90 d", "message": "90 d", "event": "90 d"}},
            {"bench": "tls=none"})
        self.baton.cli("migrate")
        for number in range(ACCOUNTS):
            account = add_account(self.baton.sql, f"account{number}")
        self.baton.sql("INSERT INTO baton.network (range, account_id) VALUES "
                       "('127.0.0.0/8', %s)", account)
        add_route(self.baton.sql, "*", f"smtp://127.0.0.1:{self.sink.port}")
        self.old = self.session()
        self.rows = []

    def session(self):
        """One that claims, with the plans of now."""
        connection = psycopg2.connect(self.baton.url)
        path = ROOT + "/sql/statements/queue_claim.sql"
        with connection.cursor() as cursor, open(path, encoding="utf-8") as file:
            cursor.execute(LIKE_A_WORKER)
            cursor.execute("PREPARE claim AS " + file.read())
        connection.commit()
        self.claim(connection)
        return connection

    @staticmethod
    def claim(connection):
        with connection.cursor() as cursor:
            cursor.execute(f"EXECUTE claim(0, now(), {CLAIM_ROWS}, 0, '', '{{}}')")
            cursor.fetchall()
        connection.rollback()

    # Filling

    def fill_day(self, day, count):
        midnight = f"(current_date - {day})::timestamp AT TIME ZONE 'UTC'"
        for table, statement in FILL.items():
            self.baton.sql(f"SELECT baton.create_partition('{table}', "
                           f"current_date - {day}) WHERE {day} > 1")
            ids = IDS.replace("%(day)s", midnight).replace(
                "%(count)s", str(count)).replace("%(accounts)s", str(ACCOUNTS))
            self.baton.sql(statement.format(ids=ids))
        self.baton.sql(f"SELECT baton.create_partition('body', current_date - "
                       f"{day}) WHERE {day} > 1")

    def fill(self, finished):
        for day in range(1, DAYS + 1):
            self.fill_day(day, finished // DAYS)
        self.vacuum()

    def fill_queue(self, total):
        """Deliveries that wait for a later try, and bodies of a few."""
        self.baton.sql("""
            INSERT INTO baton.queue SELECT account_id, delivery_id, message_id,
                domain, 0, now() + interval '1 day', NULL,
                now() + interval '2 days', 1, 4096, '451 4.7.1 Later'
            FROM baton.delivery ORDER BY delivery_id LIMIT %s
            ON CONFLICT DO NOTHING""", total)
        self.vacuum()

    def make_due(self):
        """A few of the queue are due, with bytes."""
        self.baton.sql("""
            WITH due AS (
                UPDATE baton.queue SET due_at = now()
                WHERE (account_id, delivery_id) IN (
                    SELECT account_id, delivery_id FROM baton.queue
                    WHERE worker_id IS NULL AND domain = 'rcpt.example'
                    ORDER BY account_id, delivery_id DESC LIMIT %s)
                RETURNING account_id, message_id)
            INSERT INTO baton.body
            SELECT account_id, message_id, 0,
                convert_to(E'From: a@sender.example\\r\\nDate: Fri, 20 Nov 2026 '
                           '10:00:00 +0000\\r\\n\\r\\nHello\\r\\n', 'UTF8')
            FROM due ON CONFLICT DO NOTHING""", DUE)

    def due(self):
        return self.baton.value("SELECT count(*) FROM baton.queue WHERE "
                                "account_id > 0 AND due_at < now()")

    def vacuum(self):
        self.baton.sql("VACUUM ANALYZE")
        self.baton.sql("CHECKPOINT")

    # Measuring

    def start(self):
        begun = time.monotonic()
        self.baton.start()
        return (time.monotonic() - begun) * 1000

    def accept(self):
        found = LoadGenerator(self.baton.address("bench"), connections=4,
                              number=200, rate=50).wait()
        return found["ack_p50_ms"], found["ack_p99_ms"]

    def flat_out(self):
        before = self.sink.count()
        begun = time.monotonic()
        LoadGenerator(self.baton.address("bench"), number=5000).wait()
        self.sink.wait_for(before + 5000)
        return 5000 / (time.monotonic() - begun)

    def drain(self):
        """Deliveries a second from the queue, with the reading of the bytes."""
        wait_until(lambda: self.due() == 0, "what was due before", 60)
        before = self.sink.count()
        self.make_due()
        begun = time.monotonic()
        self.baton.cli("queue", "retry", "--domain", "none.example", check=False)
        self.sink.wait_for(before + DUE)
        return DUE / (time.monotonic() - begun)

    def newest(self):
        return self.baton.value("SELECT recipient FROM baton.delivery ORDER BY "
                                "delivery_id DESC LIMIT 1")

    def measure(self, title):
        row = {"": title}
        queued = self.baton.value("SELECT count(*) FROM baton.queue")
        if queued:
            self.make_due()
        fresh = self.session()
        row["claim, old plan, ms"] = median_ms(lambda: self.claim(self.old),
                                               CLAIMS)
        row["claim, new plan, ms"] = median_ms(lambda: self.claim(fresh), CLAIMS)
        fresh.close()
        row["start-up, ms"] = self.start()
        row["accept p50, ms"], row["accept p99, ms"] = self.accept()
        row["flat out, msg/s"] = self.flat_out()
        if queued:
            row["from the queue, msg/s"] = self.drain()
        commands = {"message list": ["message", "list"],
                    "message list --account": ["message", "list", "--account",
                                               "account3"],
                    "message list --recipient": ["message", "list",
                                                 "--recipient", self.newest()],
                    "queue": ["queue"], "queue --why": ["queue", "--why"]}
        for name, words in commands.items():
            row[f"{name}, ms"] = median_ms(lambda words=words:
                                           self.baton.cli(*words), 3)
        self.baton.stop()
        row["size of it all, GB"] = self.baton.value(
            "SELECT pg_database_size(current_database()) / 1e9")
        self.rows.append(row)
        print(f"{title}: " + ", ".join(f"{name} {value:.2f}" for name, value
                                       in row.items() if name), flush=True)

    def retention(self):
        """Drop the oldest day of the history, with its four tables."""
        def drop():
            return self.baton.value(
                "SELECT baton.maintain(now(), NULL, %s, %s, NULL)",
                *[f"{DAYS - 1} days"] * 2)
        begun = time.monotonic()
        dropped = drop()
        taken = (time.monotonic() - begun) * 1000
        print(f"retention: {dropped} partitions of the oldest day dropped in "
              f"{taken:.0f} ms; nothing to do: {median_ms(drop):.1f} ms")

    def print_table(self):
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        for name in names:
            cells = [row.get(name, "-") for row in self.rows]
            print(f"{name:28}" + "".join(
                f"{cell if isinstance(cell, str) else format(float(cell), '.2f'):>24}"
                for cell in cells))

    def close(self):
        self.sink.kill()
        self.old.close()
        self.baton.close()
        self.postgres.close()


def main():
    sizes = [int(word) for word in sys.argv[1:]]
    finished, *queues = sizes or [10_000_000, 1_000_000, 10_000_000]
    growth = Growth()
    try:
        growth.measure("nothing")
        growth.fill(finished)
        growth.measure(f"{finished} finished")
        growth.retention()
        for queued in queues:
            growth.fill_queue(queued)
            growth.measure(f"and {queued} queued")
        growth.print_table()
    finally:
        growth.close()


if __name__ == "__main__":
    main()
