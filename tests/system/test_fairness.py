# SPDX-License-Identifier: MIT
"""Fairness: what one account has queued is not felt by another.

The account heavy queues BACKLOG messages; the account light sends RATE messages
a second, alone first and then while the backlog is delivered. Time-to-delivery
is from when a message is handed in to when its next hop has it.
"""

import pytest

from instance import PASSWORD, add_account
from load import LoadGenerator, LoadSink, percentile
from scale import IS_FULL, scale
from waiting import wait_until

BACKLOG = scale(2000, 50000)
SECONDS = scale(3, 20)
RATE = 50
# In short form: not behind the backlog, on whatever machine.
FLOOR_MS = scale(1000, 2)


def prepare(baton):
    add_account(baton.sql, "heavy", PASSWORD)
    add_account(baton.sql, "light", PASSWORD)


def times_to_delivery(baton, prefix, seconds, sink):
    """[milliseconds] of each message of the account light."""
    generator = LoadGenerator(baton.address("clear"), connections=4,
                              seconds=seconds, rate=RATE, prefix=prefix,
                              suffix="light.example", login=f"light:{PASSWORD}")
    sent = generator.wait()["acknowledged"]
    assert sent >= RATE * seconds * 0.9

    def arrived():
        found = [(received - begun) / 1e6 for name, received, begun
                 in sink.arrivals() if name.startswith(prefix)]
        return found if len(found) >= sent else None

    return wait_until(arrived, f"the {sent} messages of {prefix}", 60)


def queued(baton):
    return baton.value("SELECT count(*) FROM baton.queue")


def fill_queue(baton, domains):
    """The backlog: accepted, suspended."""
    baton.cli("queue", "suspend", "--account", "heavy")
    LoadGenerator(baton.address("clear"), number=BACKLOG, prefix="heavy",
                  domains=domains, login=f"heavy:{PASSWORD}").wait()
    assert queued(baton) >= BACKLOG


# How the heavy account's next hop takes its backlog: the delay of its reply,
# and over how many domains it is spread, each a site of its own.
BACKLOGS = {
    "fast": (0, 1),
    "slow": (200, 1),
    "hanging, 100 domains": (20000, 100),
}


@pytest.mark.parametrize("name", BACKLOGS)
def test_a_backlog_of_one_account_does_not_delay_another(make_baton, name):
    delay, domains = BACKLOGS[name]
    hosts = [f"127.0.2.{number}" for number in range(1, domains + 1)]
    heavy_sink = LoadSink(delay_ms=delay, hosts=hosts)
    light_sink = LoadSink()
    baton = make_baton({"server": {"workers": "2"}, "log": {"level": "warning"},
                        "limits": {"messages_per_session": "1000000"}},
                       routes={f"d{number}.rcpt.example":
                               f"smtp://{host}:{heavy_sink.port}"
                               for number, host in enumerate(hosts)} |
                       {"d0.light.example":
                        f"smtp://127.0.0.1:{light_sink.port}"},
                       prepare=prepare)
    try:
        idle = times_to_delivery(baton, "idle", SECONDS, light_sink)
        fill_queue(baton, domains)
        baton.cli("queue", "resume", "--account", "heavy")
        wait_until(lambda: heavy_sink.count() > 0, "the first of the backlog")
        before = queued(baton)
        beside = times_to_delivery(baton, "beside", SECONDS, light_sink)
        after = queued(baton)
    finally:
        heavy_sink.kill()
        light_sink.kill()
    p99_idle, p99_beside = percentile(idle, 0.99), percentile(beside, 0.99)
    print(f"\nfairness, {name}: backlog {before} to {after}; the other's "
          f"time-to-delivery idle p50 {percentile(idle, 0.5):.1f} "
          f"p99 {p99_idle:.1f} ms, beside p50 {percentile(beside, 0.5):.1f} "
          f"p99 {p99_beside:.1f} ms, ratio {p99_beside / p99_idle:.2f}")
    assert not IS_FULL or before > BACKLOG * 0.9
    assert p99_beside <= max(2 * p99_idle, FLOOR_MS)
