# SPDX-License-Identifier: MIT
"""S4, T1, T2: a ledger of what was acknowledged, and a hand that kills.

Kills of nine kinds are spread at random over the acknowledged messages; at the
end what was acknowledged is compared with what arrived, and each arrival that
was followed by another of the same message has to be explained by a kill.
`make chaos` runs it at full size; CHAOS_KILLS, CHAOS_MESSAGES,
CHAOS_RATE and CHAOS_SEED repeat a run.

What may arrive twice: a delivery whose final reply was on its way when a
connection broke or a worker died, and one whose reply was there but not yet
committed when its worker died. The program keeps that small by itself: it starts
no delivery while a batch of results is not committed, while the oldest of them
is older than half a second, or while PostgreSQL is away. So a worker that dies
leaves at most one batch and one delivery a connection behind, all of them
taken by the next hop less than WINDOW before (not counting the time while
PostgreSQL was away: nothing new was begun in it); a next hop or a connection that
dies at most one delivery a connection; and a dead supervisor, client connection
or PostgreSQL none at all, for its workers keep what they have to commit.
"""

import collections
import os
import random
import shutil
import signal
import socket
import subprocess
import time

import psycopg2
import pytest

from dialogue import message
from instance import PASSWORD, USER, threads_of
from load import LoadGenerator, LoadSink
from scale import scale
from waiting import wait_until

KILLS = int(os.environ.get("CHAOS_KILLS", scale(7, 54)))
MESSAGES = int(os.environ.get("CHAOS_MESSAGES", scale(500, 10000)))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
# A second; what is due while the program is down comes at once when it is back.
RATE = int(os.environ.get("CHAOS_RATE", scale(200, 400)))
CLIENTS = 16
LARGE = 600_000  # bytes
LEASE = scale("2 s", "8 s")
WORKERS = 2
CONNECTIONS = 8  # to the next hop, of all workers
BATCH = 32
# The first arrival of what came twice lies so long before a kill at most: the
# time of a commit, for which the program's patience is half a second. What was
# the oldest is printed.
WINDOW_NS = 500_000_000
# Until the program is connected again (back-off 1 s) and has committed.
BACK_NS = 2_000_000_000
# What was written before its writer died is still read by the next hop.
AFTER_NS = 250_000_000


# How many deliveries a kill can double, by what is in flight.
IN_FLIGHT = CONNECTIONS  # one unanswered dot each: nothing follows it unasked
MOST = {
    "worker": IN_FLIGHT + BATCH,
    "program": IN_FLIGHT + WORKERS * BATCH,
    "next hop": IN_FLIGHT,
    "delivery connections": IN_FLIGHT,
}
# Twice as many while workers drain whose supervisor was killed.
BOTH_GENERATIONS = ["next hop", "delivery connections"]
Kill = collections.namedtuple("Kill", "kind begin end most")


@pytest.fixture
def make_load_sink():
    made = []

    def make(**options):
        made.append(LoadSink(**options))
        return made[-1]
    yield make
    for sink in made:
        if sink.figures is None:  # runs
            sink.kill()


class World:
    """Everything that can be killed, and a list of when it was."""

    def __init__(self, baton, postgres, sink, make_sink, chance):
        self.baton = baton
        self.postgres = postgres
        self.chance = chance
        self.sinks = [sink]
        self.make_sink = make_sink
        self.orphans = []
        self.kills = []
        self.outages = []  # of PostgreSQL: [(begin_ns, end_ns)]

    def kill(self, kind, victim):
        self.record(kind, lambda: os.kill(victim, signal.SIGKILL))

    def record(self, kind, act):
        most = MOST.get(kind, 0)
        if kind in BOTH_GENERATIONS and any(map(threads_of, self.orphans)):
            most *= 2
        begin = time.time_ns()
        act()
        self.kills.append(Kill(kind, begin, time.time_ns(), most))

    def end_outage(self):
        reconnect(self.baton)
        self.outages.append((self.kills[-1].begin, time.time_ns() + BACK_NS))

    def begin_of_window(self, kill):
        """While PostgreSQL is away, what is not committed waits: that time does
        not count."""
        start = kill.begin - WINDOW_NS
        if kill.kind in BOTH_GENERATIONS:  # there the reply was on its way
            return start
        for begin, end in reversed(self.outages):
            if begin <= kill.begin and end >= start:
                start = min(start, begin - WINDOW_NS)
        return start

    def processes(self):
        """Whoever delivers."""
        return [*self.baton.workers(), *filter(threads_of, self.orphans)]

    def arrivals(self):
        """{id: [nanoseconds]} of all sinks; a line that was cut off by a kill is
        of a message that was not answered."""
        found = collections.defaultdict(list)
        for sink in self.sinks:
            with open(sink.log, encoding="ascii") as file:
                for line in file:
                    if line.endswith("\n"):
                        name, received, _ = line.split()
                        found[name].append(int(received))
        return found


def worker(world):
    baton = world.baton
    workers = wait_until(baton.workers, "a worker")
    world.kill("worker", world.chance.choice(workers))


def program(world):
    """The supervisor and all workers at once; started again."""
    world.record("program", world.baton.kill_everything)
    world.baton.launch()


def supervisor(world):
    """Alone; started again at once. Its workers let go of the ports and end what
    they have begun."""
    baton = world.baton
    world.orphans += baton.workers()
    world.kill("supervisor", baton.process.pid)
    baton.process.wait()
    baton.launch()


def backend(world):
    def ask():
        reconnect(world.baton)
        try:
            return world.baton.sql(
                "SELECT pid FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' "
                "AND application_name LIKE 'baton%%'")
        except psycopg2.Error:  # of the last kill
            return None
    rows = wait_until(ask, "a backend of Baton")
    world.kill("backend", world.chance.choice(rows)["pid"])
    world.end_outage()


def postgresql_stop(world):
    world.record("PostgreSQL, stop", world.postgres.stop)
    world.postgres.start()
    world.end_outage()


def postgresql_kill(world):
    world.record("PostgreSQL, kill", world.postgres.kill)
    world.postgres.start()
    world.end_outage()


def next_hop(world):
    last = world.sinks[-1]
    world.kill("next hop", last.process.pid)
    last.kill()
    world.sinks.append(world.make_sink(port=last.port, delay_ms=5))


def client_connections(world):
    world.record("client connections",
                 lambda: cut(world.baton.ports["clear"]))


def delivery_connections(world):
    """They hold still meanwhile: each connection is cut once."""
    processes = world.processes()

    def act():
        signal_all(processes, signal.SIGSTOP)
        cut(world.sinks[-1].port)
        signal_all(processes, signal.SIGCONT)
    world.record("delivery connections", act)


def signal_all(processes, number):
    for process in processes:
        try:
            os.kill(process, number)
        except ProcessLookupError:
            pass  # an orphan that has ended


def cut(port):
    """All connections to a port break at once."""
    subprocess.run(["ss", "-K", "-t", "-n", "state", "established", "dport", "=",
                    f":{port}"], capture_output=True, check=False)


def can_cut():
    """Needs root and a kernel that destroys sockets (INET_DIAG_DESTROY)."""
    if not shutil.which("ss"):
        return False
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as connection:
            cut(port)
            try:
                connection.send(b"x")
            except OSError:
                return True
    return False


def reconnect(baton):
    def answers():
        if baton.connection:
            baton.connection.close()
            baton.connection = None
        try:
            return baton.value("SELECT 1") == 1
        except psycopg2.Error:  # while it recovers
            return False
    wait_until(answers, "PostgreSQL again", 60)


HANDS = [worker, program, supervisor, backend, next_hop, client_connections,
         delivery_connections, postgresql_stop, postgresql_kill]
CUTS = [client_connections, delivery_connections]

class Ledger:
    """How many lines the generator's ledger has, read as it grows."""

    def __init__(self, path):
        self.file = open(path, "rb")
        self.count = 0

    def __call__(self):
        self.count += self.file.read().count(b"\n")
        return self.count


def explain(world, arrivals):
    """{kill: [how long before it, ms]} of each arrival that was followed by
    another; and those that no kill explains."""
    by_kill = collections.defaultdict(list)
    unexplained = []
    for name, instants in arrivals.items():
        for instant in sorted(instants)[:-1]:
            causes = [kill for kill in world.kills if kill.most > 0 and
                      world.begin_of_window(kill) <= instant
                      and instant <= kill.end + AFTER_NS]
            if causes:
                cause = min(causes, key=lambda kill: abs(kill.begin - instant))
                by_kill[cause].append((cause.begin - instant) / 1e6)
            else:
                unexplained.append((name, instants, nearest(world, instant)))
    return by_kill, unexplained


def nearest(world, instant):
    kill = min(world.kills, key=lambda kill: abs(kill.begin - instant))
    return f"{(kill.begin - instant) / 1e9:.3f} s before: {kill.kind}"


def print_table(world, by_kill, seconds, arrived):
    print(f"\n{'kind of kill':22}kills  twice  a kill  most  bound  oldest ms")
    for kind in sorted({kill.kind for kill in world.kills}):
        kills = [kill for kill in world.kills if kill.kind == kind]
        ages = [by_kill.get(kill, []) for kill in kills]
        total = sum(map(len, ages))
        oldest = max((age for one in ages for age in one), default=0)
        print(f"{kind:22}{len(kills):5}  {total:5}  {total / len(kills):6.1f}"
              f"  {max(map(len, ages)):4}  {max(kill.most for kill in kills):5}"
              f"  {oldest:9.0f}")
    print(f"delivered {arrived / seconds:.0f} a second over {seconds:.0f} s, "
          f"outages included")


def check_story(baton, acknowledged, arrivals):
    """Baton's own books: what was acknowledged is delivered, and no worker has
    delivered the same twice. Returns of what arrived again how much it knows as
    uncertain (the reply was on its way), as delivered (a batch that a dead
    worker had sent was committed after its deliveries were taken over), and not
    at all (not committed)."""
    rows = baton.sql(
        "SELECT split_part(delivery.recipient, '@', 1) AS name, state, "
        "count(attempt_id) FILTER (WHERE outcome = 'delivered') AS delivered, "
        "count(DISTINCT worker_id) FILTER (WHERE outcome = 'delivered') "
        "AS workers, "
        "count(attempt_id) FILTER (WHERE outcome = 'uncertain') AS uncertain "
        "FROM baton.delivery LEFT JOIN baton.attempt "
        "USING (account_id, delivery_id) GROUP BY 1, 2, delivery_id")
    books = {row["name"]: row for row in rows}
    assert not acknowledged - set(books), "acknowledged, and not in the books"
    for name, row in books.items():  # withdrawn: its client left meanwhile
        assert row["state"] == "delivered" or (
            row["state"] == "withdrawn" and name not in acknowledged
            and name not in arrivals), row
    repeated = [row for row in rows if row["delivered"] > row["workers"]]
    assert not repeated, repeated[:5]
    found = collections.Counter()
    for name, instants in arrivals.items():
        again = len(instants) - 1
        uncertain = min(again, books[name]["uncertain"])
        late = min(again - uncertain, max(0, books[name]["delivered"] - 1))
        found.update(uncertain=uncertain, late=late,
                     unknown=again - uncertain - late)
    return found


def test_t1_t2_nothing_acknowledged_is_lost(make_baton, make_load_sink,
                                            postgres):
    chance = random.Random(SEED)
    sink = make_load_sink(delay_ms=5)
    baton = make_baton({"server": {"workers": str(WORKERS), "lease": LEASE},
                        "database": {"batch_rows": str(BATCH)},
                        "log": {"level": "info"},
                        "delivery": {"retry": "1 s", "host_penalty": "1 s",
                                     "connections_per_site": str(CONNECTIONS)}},
                       routes={"*": f"smtp://127.0.0.1:{sink.port}"})
    baton.crashes_expected = True
    world = World(baton, postgres, sink, make_load_sink, chance)
    possible = HANDS
    if not can_cut():
        possible = [hand for hand in HANDS if hand not in CUTS]
        print("connections cannot be cut here: ss -K needs root and a kernel "
              "with INET_DIAG_DESTROY")
    hands = [possible[i % len(possible)] for i in range(KILLS)]
    chance.shuffle(hands)
    load = LoadGenerator(baton.address("clear"), connections=CLIENTS, rate=RATE,
                         login=f"{USER}:{PASSWORD}", size=2000, keeps_going=True)
    # Large ones go to PostgreSQL and are read back by another way.
    large = LoadGenerator(baton.address("clear"), connections=2, rate=RATE / 40,
                          login=f"{USER}:{PASSWORD}", size=LARGE,
                          keeps_going=True, prefix="large")
    try:
        kill_them(world, load, large, hands)
    finally:
        load.kill()
        large.kill()
    acknowledged = {**load.acknowledged(), **large.acknowledged()}
    arrivals = world.arrivals()
    lost = set(acknowledged) - set(arrivals)
    by_kill, unexplained = explain(world, arrivals)
    instants = [one for all_of_it in arrivals.values() for one in all_of_it]
    print_table(world, by_kill, (max(instants) - min(instants)) / 1e9,
                len(arrivals))
    twice = len(instants) - len(arrivals)
    print(f"seed {SEED}: {len(acknowledged)} acknowledged ("
          f"{len(large.acknowledged())} of {LARGE} bytes), {len(world.kills)} "
          f"kills, {len(lost)} lost, {twice} delivered again, "
          f"{twice / len(world.kills):.2f} a kill; "
          f"{len(set(arrivals) - set(acknowledged))} delivered whose 250 did not "
          "arrive")
    assert not [name for name in arrivals if name.startswith("mixed-up:")]
    assert not lost, sorted(lost)[:10]
    assert not unexplained, unexplained[:10]
    for kill, ages in by_kill.items():
        assert len(ages) <= kill.most, (kill, len(ages))
    print(f"leases lost: {baton.log().count('lease lost')}")
    found = check_story(baton, set(acknowledged), arrivals)
    print(f"of those delivered again, Baton knows {found['uncertain']} as uncertain "
          f"(the reply was lost), {found['unknown']} not at all (not committed), "
          f"{found['late']} as delivered (committed after the takeover)")


def kill_them(world, load, large, hands):
    count = Ledger(load.ledger)

    def wait_for(wanted):
        wait_until(lambda: count() >= wanted, f"{wanted} messages", 300)
    pause = MESSAGES / (len(hands) + 1)
    for hand in hands:
        wait_for(count() + int(world.chance.uniform(0, 2) * pause))
        hand(world)
    wait_for(max(MESSAGES, count() + 1))
    signal_all([load.process.pid, large.process.pid], signal.SIGTERM)
    reconnect(world.baton)
    wait_until(world.baton.queue_is_empty, "an empty queue", 120)
    load.wait()
    large.wait()
    wait_until(world.baton.queue_is_empty, "an empty queue", 120)
    wait_until(lambda: not any(map(threads_of, world.orphans)),
               "the end of workers without supervisor", 60)


@pytest.mark.parametrize("dies", scale([False], [False, True]),
                         ids=lambda dies: "dies" if dies else "goes on")
def test_deliveries_wait_for_results(make_baton, make_load_sink, postgres, dies):
    """PostgreSQL hangs while there is a lot to deliver: what is delivered and
    cannot be committed stays a batch and a delivery a connection, for all of it
    comes twice if the program dies now; and nothing does if it does not."""
    batch, number = 8, 400
    sink = make_load_sink(delay_ms=20)
    baton = make_baton({"server": {"workers": str(WORKERS), "lease": "3 s"},
                        "database": {"batch_rows": str(batch)},
                        "delivery": {"connections_per_site": str(CONNECTIONS)}},
                       routes={"*": f"smtp://127.0.0.1:{sink.port}"})
    load = LoadGenerator(baton.address("clear"), connections=CLIENTS,
                         number=number, login=f"{USER}:{PASSWORD}", size=500)
    load.wait()
    processes = postgres.processes()
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        before = sink.count()
        wait_until_still(sink)
        uncommitted = sink.count() - before
        if dies:
            baton.crashes_expected = True
            baton.kill_everything()
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)
    most = WORKERS * batch + IN_FLIGHT
    print(f"{uncommitted} delivered after PostgreSQL hung, of at most {most}; "
          f"{number - before - uncommitted} waited")
    assert number - before > 2 * most, "nothing was left to deliver"
    assert uncommitted <= most
    if dies:
        baton.launch()
    wait_until(lambda: len({row[0] for row in sink.arrivals()}) == number,
               f"{number} messages", 60)
    baton.wait_for_empty_queue()
    twice = sink.count() - number
    print(f"{twice} delivered again")
    assert twice <= most if dies else twice == 0, twice


def wait_until_still(sink, seconds=1):
    """Until nothing has arrived for so long."""
    last = [sink.count(), time.monotonic()]

    def is_still():
        if sink.count() != last[0]:
            last[:] = [sink.count(), time.monotonic()]
        return time.monotonic() - last[1] > seconds
    wait_until(is_still, "nothing to arrive any more")


def test_r5_the_supervisor_alone_is_killed(make_baton, make_load_sink):
    """And started again at once, with no manual step, while a client of the old
    worker is in the middle of a message: the new one has the ports, the old one
    ends what it has begun."""
    sink = make_load_sink()
    baton = make_baton({"server": {"workers": "1"}},
                       routes={"*": f"smtp://127.0.0.1:{sink.port}"})
    old = baton.workers()
    with baton.session() as d:
        d.envelope("a@sender.example", "old@rcpt.example")
        d.command("DATA", 354)
        baton.process.kill()
        baton.process.wait()
        baton.start()
        assert not set(old) & set(baton.workers())
        assert any(map(threads_of, old)), "the client lost its worker"
        baton.submit(message(), ["new@rcpt.example"])
        d.send("From: a@sender.example\r\n\r\nthe end\r\n.\r\n")
        assert d.reply().code == 250
    sink.wait_for(2)
    wait_until(lambda: not any(map(threads_of, old)), "the end of the old worker")
    baton.wait_for_empty_queue()
    assert sink.count() == 2
