# SPDX-License-Identifier: MIT
"""S4, T1, T2: a ledger of what was acknowledged, and a hand that kills.

CHAOS_KILLS (4) kills are spread over CHAOS_MESSAGES (400) acknowledged messages:
a worker, the supervisor with all workers, a backend of PostgreSQL, all of
PostgreSQL at once. `make chaos` runs it at full size. CHAOS_SEED repeats a run.
"""

import collections
import os
import random
import signal
import threading

from dialogue import Closed, message
from instance import PASSWORD, USER
from waiting import wait_until

KILLS = int(os.environ.get("CHAOS_KILLS", "4"))
MESSAGES = int(os.environ.get("CHAOS_MESSAGES", "400"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
CLIENTS = 8


class Ledger:
    """Clients that submit until told to stop; what was answered 250."""

    def __init__(self, baton):
        self.baton = baton
        self.acknowledged = set()
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self.submit, args=(i,))
                        for i in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def submit(self, number):
        count = 0
        while not self.is_over.is_set():
            try:
                with self.baton.dialogue("clear", timeout=60) as d:
                    d.enter(USER, PASSWORD)
                    while not self.is_over.is_set():
                        # A name is used once: a message that was not
                        # acknowledged may have arrived all the same.
                        count += 1
                        name = f"m{number}-{count}"
                        d.envelope("a@sender.example", f"{name}@rcpt.example")
                        d.data(message(subject=name))
                        self.acknowledged.add(name)
            except (Closed, OSError, AssertionError):
                self.is_over.wait(0.05)  # the program may be down

    def close(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join(120)


def kill_worker(baton, postgres, chance):
    workers = baton.workers()
    if workers:
        os.kill(chance.choice(workers), signal.SIGKILL)


def kill_everything(baton, postgres, chance):
    baton.kill_everything()
    baton.start()


def kill_backend(baton, postgres, chance):
    rows = baton.sql("SELECT pid FROM pg_stat_activity WHERE backend_type = "
                     "'client backend' AND application_name LIKE 'baton%%'")
    if rows:
        os.kill(chance.choice(rows)["pid"], signal.SIGKILL)
    reconnect(baton)


def kill_postgresql(baton, postgres, chance):
    postgres.control("stop", "-m", "immediate")
    postgres.start()
    reconnect(baton)


def reconnect(baton):
    def answers():
        if baton.connection:
            baton.connection.close()
            baton.connection = None
        try:
            return baton.value("SELECT 1") == 1
        except Exception:  # of every kind while it recovers
            return False
    wait_until(answers, "PostgreSQL again", 60)


HANDS = [kill_worker, kill_everything, kill_backend, kill_postgresql]


def test_t1_t2_nothing_acknowledged_is_lost(make_baton, make_sink, postgres):
    chance = random.Random(SEED)
    sink = make_sink()
    baton = make_baton({"server": {"workers": "2", "lease": "2 s"},
                        "delivery": {"retry": "1 s", "host_penalty": "1 s"}},
                       routes={"*": f"smtp://127.0.0.1:{sink.port}"})
    baton.crashes_expected = True
    hands = [HANDS[i % len(HANDS)] for i in range(KILLS)]
    chance.shuffle(hands)
    ledger = Ledger(baton)
    try:
        for number, hand in enumerate(hands, 1):
            wanted = MESSAGES * number // (KILLS + 1)
            wait_until(lambda wanted=wanted: len(ledger.acknowledged) >= wanted,
                       f"{wanted} messages", 300)
            hand(baton, postgres, chance)
        wait_until(lambda: len(ledger.acknowledged) >= MESSAGES,
                   f"{MESSAGES} messages", 300)
    finally:
        ledger.close()
    reconnect(baton)
    wait_until(baton.queue_is_empty, "an empty queue", 120)
    arrived = collections.Counter(one.recipients[0].split("@")[0]
                                  for one in list(sink.messages))
    lost = ledger.acknowledged - set(arrived)
    twice = sum(count - 1 for count in arrived.values())
    print(f"seed {SEED}: {len(ledger.acknowledged)} acknowledged, {KILLS} kills "
          f"({', '.join(hand.__name__ for hand in hands)}), {len(lost)} lost, "
          f"{twice} delivered again, {twice / KILLS:.1f} a kill")
    assert not lost, sorted(lost)[:10]
    # In flight, or not committed yet, at a kill: a few for each client.
    assert twice <= KILLS * CLIENTS * 4
