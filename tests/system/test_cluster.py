# SPDX-License-Identifier: MIT
"""R5, T1, T2: several nodes with one PostgreSQL. One of them dies or is cut off
and the others take over; the limits per site are those of all of them together.

`make prove-cluster` uses the lease that is set by default.
"""

import collections
import os
import signal
import time

import pytest

import namespaces
from audit import Audit
from cluster import SINK_PORT, Cluster
from scale import IS_FULL, scale
from waiting import wait_until

LEASE_SECONDS = scale(2, 8)  # 8: the default
BACKLOG = scale(300, 1500)
RESULT_PATIENCE_SECONDS = 0.5  # as in relay/scheduler.c

pytestmark = pytest.mark.skipif(
    not namespaces.are_permitted(),
    reason="network namespaces are not permitted here")


@pytest.fixture(scope="module")
def machine():
    cluster = Cluster()
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(machine):
    machine.begin()
    yield machine
    machine.end()


def start(cluster, number, workers=2, **delivery):
    return cluster.node(number, {
        "server": {"workers": str(workers), "lease": f"{LEASE_SECONDS} s"},
        "database": {"commit_timeout": scale("2 s", "30 s")},
        "delivery": {"retry": "1 s", **delivery}})


def test_nothing_is_doubled_by_four_workers_of_two_nodes(cluster):
    sink = cluster.sink()
    nodes = [start(cluster, 0), start(cluster, 1)]
    loads = [node.load(number=scale(500, 20000), connections=16, prefix=f"n{i}",
                       domains=50, per_connection=500)
             for i, node in enumerate(nodes)]
    figures = [load.wait(600) for load in loads]
    wait_until(nodes[0].queue_is_empty, "an empty queue", 120)
    audit = Audit(sink, *loads)
    print(f"\ntwo nodes, four workers, "
          f"{sum(one['rate'] for one in figures):.0f}/s: {audit}")
    audit.check()


def backlog(node, number):
    """So many messages accepted by a node, most of them still in its hand."""
    load = node.load(number=number, connections=16, prefix="a",
                     per_connection=500)
    load.wait(300)
    return load


def take_over(cluster, strike):
    """The backlog of node A outlives what strike(A) does to it: the sink, the
    load, when it struck, and B."""
    sink = cluster.sink(delay_ms=100)
    a, b = start(cluster, 0), start(cluster, 1)
    load = backlog(a, BACKLOG)
    assert sink.count() < BACKLOG * 0.8, "the backlog is gone already"
    # Others' mail goes on meanwhile.
    beside = b.load(rate=10, seconds=600, connections=4, prefix="b")
    wait_until(lambda: any(row[0].startswith("b-") for row in sink.arrivals()),
               "B's mail", 60)
    struck = time.time()
    strike(a)
    taken = wait_until(lambda: b.said("deliveries of dead workers are due"),
                       "the take-over", 30)
    return sink, a, b, load, beside, struck, taken


def arrivals_of(sink, prefix, since, until=float("inf")):
    return [row[1] / 1e9 for row in sink.arrivals()
            if row[0].startswith(prefix) and since < row[1] / 1e9 < until]


def check_doubled(sink, audit, struck):
    """Once each, and only what was on the wire or not committed yet."""
    first = {}
    for name, received, _ in sink.arrivals():
        first.setdefault(name, received / 1e9)
    early = {name: struck - first[name] for name in audit.again
             if first[name] < struck - RESULT_PATIENCE_SECONDS}
    assert not early, early
    assert all(count == 1 for count in audit.again.values()), audit.again


def finish(cluster, sink, b, load, beside, seconds=300):
    beside.stop()
    wait_until(b.queue_is_empty, "an empty queue", seconds)
    return Audit(sink, load, beside)


def test_r5_a_dead_node_is_taken_over(cluster):
    def kill(a):
        a.kill_everything()
    sink, a, b, load, beside, struck, taken = take_over(cluster, kill)
    a.crashes_expected = True
    wait_until(lambda: arrivals_of(sink, "a-", taken[0]), "A's mail from B", 30)
    first = arrivals_of(sink, "a-", taken[0])[0] - struck
    audit = finish(cluster, sink, b, load, beside)
    last = max(arrivals_of(sink, "a-", taken[0])) - struck
    print(f"\nnode killed (lease {LEASE_SECONDS} s): taken over after "
          f"{taken[0] - struck:.1f} s, its first message arrives after "
          f"{first:.1f} s, the last one after {last:.1f} s; {audit}")
    audit.check(may_be_doubled=True)
    assert first < LEASE_SECONDS + 2
    assert first < 10
    check_doubled(sink, audit, struck)


def test_r5_a_node_that_is_cut_off_stops_by_itself(cluster):
    sink, a, b, load, beside, struck, taken = take_over(
        cluster, lambda a: cluster.network.cut(a.namespace))
    wait_until(lambda: arrivals_of(sink, "a-", taken[0]), "A's mail from B", 30)
    first = arrivals_of(sink, "a-", taken[0])[0] - struck
    # From here on B delivers what was A's; before, only A itself did.
    own = arrivals_of(sink, "a-", struck, taken[0])
    stopped = max(own, default=struck) - struck
    while_cut = a.load(number=0, seconds=scale(2, 10), connections=4,
                       prefix="c", keeps_going=True)
    refused = while_cut.wait(60)
    assert not while_cut.acknowledged()
    cluster.network.mend(a.namespace)
    wait_until(a.are_all_ready, "A again", 60)
    audit = finish(cluster, sink, b, load, beside)
    after = a.load(number=50, connections=4, prefix="d")
    after.wait(60)
    wait_until(b.queue_is_empty, "an empty queue", 60)
    Audit(sink, after).check(may_be_doubled=True)
    print(f"\nnode cut off (lease {LEASE_SECONDS} s): delivers for another "
          f"{stopped:.1f} s, taken over after {taken[0] - struck:.1f} s, its "
          f"first message arrives after {first:.1f} s; {audit}; replies of the "
          f"cut node: {refused['refused']}")
    audit.check(may_be_doubled=True)
    assert first < 10 and first < LEASE_SECONDS + 2
    assert stopped < taken[0] - struck
    assert stopped < 2
    # 421: RCPT and DATA that were sent along with a refused MAIL are mistakes,
    # and after so many a session is closed.
    assert "451" in refused["refused"]
    assert set(refused["refused"]) <= {"451", "421"}
    check_doubled(sink, audit, struck)


def most_connections(cluster, seconds):
    """The most that were open at once to the sink, looked at all the time. One
    look is no instant: one connection may end and another begin while it
    lasts. So what counts is what three looks in a row agree on; a connection
    lives for much longer."""
    end = time.monotonic() + seconds
    looks = collections.deque([0, 0, 0], 3)
    most = 0
    while time.monotonic() < end:
        looks.append(cluster.network.hub.connections_to(SINK_PORT))
        most = max(most, min(looks))
    return most


def test_the_limit_per_site_is_that_of_all_workers(cluster):
    limit = 6
    cluster.sink(delay_ms=20)
    settings = {"connections_per_site": str(limit),
                "messages_per_connection": "20"}
    found = {}

    def measure(name, live):
        """After every worker has heard of the others."""
        wait_until(lambda: cluster.live_workers() == live, f"{live} workers", 60)
        renewed = time.time()
        wait_until(lambda: time.time() > renewed + LEASE_SECONDS / 3 + 0.3,
                   "a renewal", 30)
        found[name] = most_connections(cluster, scale(1, 5))

    a = start(cluster, 0, workers=1, **settings)
    loads = [a.load(seconds=600, connections=20, rate=250, prefix="a",
                    keeps_going=True)]
    measure("1", 1)
    b = start(cluster, 1, workers=1, **settings)
    loads.append(b.load(seconds=600, connections=20, rate=250, prefix="b",
                        keeps_going=True))
    measure("2", 2)
    c = start(cluster, 2, workers=2, **settings)
    loads.append(c.load(seconds=600, connections=40, rate=400, prefix="c",
                        keeps_going=True))
    measure("4", 4)
    if IS_FULL:
        loads.pop().kill()
        c.stop()
        measure("2 again", 2)
    os.kill(b.process.pid, signal.SIGSTOP)  # nobody comes in its stead
    os.kill(b.workers()[0], signal.SIGKILL)
    measure("one less by a kill", cluster.live_workers() - 1)
    os.kill(b.process.pid, signal.SIGCONT)
    b.crashes_expected = True
    for load in loads:
        load.kill()
    print(f"\nconnections_per_site {limit}, most at once with so many workers "
          f"of three nodes: {found}")
    assert all(most <= limit for most in found.values()), found
    assert all(most >= limit - 1 for most in found.values()), found
