# SPDX-License-Identifier: MIT
"""S4, T1, T2: PostgreSQL goes away under load and comes back. Clients are told
to try again, at once; no worker dies or grows; then everything arrives, once.

`make prove-outage`: 60 s of outage with the default settings.
"""

import contextlib
import os
import signal
import time

import pytest

import namespaces
from audit import MB, Audit, ResidentWatch
from cluster import Cluster
from dialogue import Closed
from instance import PASSWORD, USER
from load import LoadGenerator, LoadSink, percentile
from scale import IS_FULL, scale
from waiting import wait_until

OUTAGE_SECONDS = scale(3, 60)
RATE = scale(200, 400)
CLIENTS = 16
SETTINGS = {} if IS_FULL else {
    "server": {"lease": "2 s"},
    "database": {"commit_timeout": "2 s", "query_timeout": "2 s"}}


class Stopped:
    """Ended without a word to anybody: every connection breaks."""

    def __init__(self, postgres):
        self.postgres = postgres

    def begin(self):
        self.postgres.stop("immediate")

    def end(self):
        self.postgres.start()


class Hanging:
    """Every process stands still: connections stay, nobody answers, and new
    ones are taken by the kernel alone."""

    def __init__(self, postgres):
        self.postgres = postgres

    def begin(self):
        self.processes = self.postgres.processes()
        os.kill(self.processes[0], signal.SIGSTOP)  # no new backend meanwhile
        self.processes = self.postgres.processes()
        for process in self.processes:
            os.kill(process, signal.SIGSTOP)

    def end(self):
        for process in reversed(self.processes):
            os.kill(process, signal.SIGCONT)


class CutOff:
    """The network between them swallows everything: nobody is told."""

    def __init__(self, cluster):
        self.cluster = cluster

    def begin(self):
        self.cluster.network.cut(self.cluster.network.nodes[0])

    def end(self):
        self.cluster.network.mend(self.cluster.network.nodes[0])


def ask(baton):
    """One session up to MAIL: (code, enhanced code, milliseconds it took)."""
    began = time.monotonic()
    try:
        with baton.dialogue("clear", timeout=60) as d:
            d.ehlo()
            reply = d.login(USER, PASSWORD, code=None)
            if reply.code == 235:
                reply = d.command("MAIL FROM:<a@sender.example>")
            code, enhanced = reply.code, reply.enhanced
    except (Closed, OSError) as failure:
        code, enhanced = repr(failure), ""
    return code, enhanced, (time.monotonic() - began) * 1000


def run_outage(baton, sink, outage):
    workers = baton.workers()
    with getattr(baton, "namespace", contextlib.nullcontext()):
        load = LoadGenerator(baton.address("clear"), login=f"{USER}:{PASSWORD}",
                             keeps_going=True, seconds=3600, rate=RATE,
                             size=2000, connections=CLIENTS, domains=20,
                             prefix="o")
    wait_until(lambda: sink.count() > RATE, "the load to run", 60)
    watch = ResidentWatch(workers)
    asked = []
    began = time.monotonic()
    outage.begin()
    wait_until(lambda: asked.append(ask(baton)) or
               time.monotonic() - began > OUTAGE_SECONDS,
               "the end of the outage", OUTAGE_SECONDS + 60)
    reached = sink.count()
    outage.end()
    ended = time.monotonic()
    wait_until(lambda: sink.count() > reached, "mail to flow", 120)
    recovered = time.monotonic() - ended
    wait_until(lambda: sink.count() > reached + 2 * RATE, "more mail", 120)
    figures = load.stop()
    reconnect(baton)
    wait_until(baton.queue_is_empty, "an empty queue", 60)
    watch.close()
    audit = Audit(sink, load)
    refused = [one for one in asked if one[0] != 250]
    times = [one[2] for one in refused]
    kinds = {}
    for code, enhanced, _ in asked:
        kinds[f"{code} {enhanced}"] = kinds.get(f"{code} {enhanced}", 0) + 1
    print(f"\nPostgreSQL {type(outage).__name__.lower()} for "
          f"{OUTAGE_SECONDS} s at {RATE}/s: {audit}, {len(audit.unasked)} "
          f"delivered without a 250\n"
          f"  replies to the load {figures['refused']}, {figures['errors']} "
          f"connections lost; {len(asked)} clients came meanwhile: {kinds}, "
          f"refused within {percentile(times, 0.5):.0f} ms (median), "
          f"{max(times, default=0):.0f} ms (most)\n"
          f"  mail flows again after {recovered:.1f} s; {watch}")
    assert baton.workers() == workers, "a worker died"
    audit.check()
    assert not audit.unasked, sorted(audit.unasked)[:10]
    assert refused and {one[0] for one in refused} == {451}
    assert percentile(times, 0.9) < 500
    check_growth(watch)


def check_growth(watch):
    """A sanitizer keeps what was freed: then only much is too much."""
    room = (32 if IS_FULL else 300) * MB
    for before, peak in zip(watch.before, watch.peak):
        assert peak < before + room, str(watch)


def reconnect(baton):
    if baton.connection:
        baton.connection.close()


@pytest.mark.parametrize("kind", [Stopped, Hanging],
                         ids=["stopped", "hanging"])
def test_s4_postgresql_goes_away(make_baton, postgres, kind):
    sink = LoadSink()
    try:
        baton = make_baton(SETTINGS,
                           routes={"*": f"smtp://127.0.0.1:{sink.port}"})
        run_outage(baton, sink, kind(postgres))
    finally:
        sink.close()


@pytest.mark.skipif(not namespaces.are_permitted(),
                    reason="network namespaces are not permitted here")
def test_s4_postgresql_cannot_be_reached():
    cluster = Cluster(node_count=1)
    try:
        cluster.begin()
        baton = cluster.node(0, SETTINGS)
        run_outage(baton, cluster.sink(), CutOff(cluster))
        cluster.end()
    finally:
        cluster.close()
