# SPDX-License-Identifier: MIT
"""What comes back while something goes wrong: nothing is lost, nothing counts
twice, and no two hosts keep each other busy."""

import os
import signal
import threading
import time

import pytest

from conftest import add_route
from dialogue import Closed, message
from inbound import HOST, LISTENERS, Sent, bring, counters, make, prepare
from instance import USER
from returned import ReturnPaths, auto_reply, dsn, person
from waiting import wait_until

DELIVERIES = 40
BRINGERS = 4


def test_database_away(make_baton, module_sink, postgres):
    """451 while PostgreSQL is away; taken when it comes again."""
    baton = make(make_baton, module_sink,
                 {"server": {"lease": "2 s"},
                  "database": {"commit_timeout": "2 s", "query_timeout": "2 s"}},
                 prepare=prepare)
    sent = Sent(baton, module_sink)
    address = sent.address()
    dialogue = baton.dialogue("inbound")
    dialogue.ehlo()
    dialogue.envelope("", address)
    postgres.stop("immediate")
    try:
        wait_until(lambda: baton.metric("baton_database_up") == 0,
                   "PostgreSQL to be away")
        dialogue.data(dsn(), 451)
        assert dialogue.command("MAIL FROM:<>").code == 451
    finally:
        postgres.start()
    wait_until(lambda: baton.metric("baton_database_up") == 2,
               "PostgreSQL to be back", 60)
    baton.connection = None

    def is_taken():
        if dialogue.command("MAIL FROM:<>").code != 250:
            return False
        if dialogue.command(f"RCPT TO:<{address}>").code != 250:
            dialogue.command("RSET", 250)
            return False
        return dialogue.data(dsn(), None).code == 250
    wait_until(is_taken, "the report to be taken", 60)
    dialogue.close()
    assert sent.state() == "failed"
    assert sent.kinds() == ["delivered", "bounced"]


def bring_until_taken(baton, addresses, taken):
    """As a host with a queue does: again, until it hears 250."""
    for address in addresses:
        while address not in taken:
            try:
                bring(baton, address, dsn())
                taken.add(address)
            except (Closed, OSError, AssertionError):
                time.sleep(0.02)  # a pause between tries, as hosts make it


@pytest.mark.parametrize("number", [signal.SIGKILL], ids=["kill"])
def test_workers_are_killed_in_the_middle(make_baton, make_sink, number):
    """B7: before or after the 250, each report counts once; the sender has one
    report of each."""
    sink = make_sink()
    baton = make(make_baton, sink, {"server": {"lease": "2 s"},
                                    "delivery": {"retry": "1 s"}},
                 prepare=prepare)
    baton.crashes_expected = True
    recipients = [f"r{i}@rcpt.example" for i in range(DELIVERIES)]
    message_id = baton.submit(message(), recipients)
    baton.wait_for_empty_queue(60)
    paths = ReturnPaths(baton.sql)
    addresses = [f"{paths.local(r['account_id'], r['delivery_id'])}@{HOST}"
                 for r in baton.sql("SELECT * FROM baton.delivery"
                                    " WHERE message_id = %s", message_id)]
    assert len(addresses) == DELIVERIES
    taken = set()
    threads = [threading.Thread(target=bring_until_taken,
                                args=(baton, addresses[i::BRINGERS], taken))
               for i in range(BRINGERS)]
    for thread in threads:
        thread.start()
    for enough in (DELIVERIES // 4, DELIVERIES // 2, DELIVERIES * 3 // 4):
        wait_until(lambda: len(taken) >= enough, f"{enough} reports", 120)
        os.kill(baton.workers()[0], number)
    for thread in threads:
        thread.join(120)
    assert len(taken) == DELIVERIES
    baton.wait_for_empty_queue(90)
    states = baton.sql("SELECT state, count(*) FROM baton.delivery"
                       " WHERE message_id = %s GROUP BY state", message_id)
    assert [tuple(row.values()) for row in states] == [("failed", DELIVERIES)]
    assert baton.value("SELECT count(*) FROM baton.event"
                       " WHERE kind = 'bounced'") == DELIVERIES
    moved = counters(baton)
    assert (moved["sent"], moved["failed"]) == (0, DELIVERIES)
    assert baton.value("SELECT count(*) FROM baton.suppression") == DELIVERIES
    assert baton.value("SELECT count(*) FROM baton.message"
                       " WHERE sender = ''") == DELIVERIES


def test_a_bounce_before_the_result(make_baton, make_sink):
    """The next hop says 250 and its report is here before that was written
    down: the delivery ends once, as failed."""
    ready = threading.Event()
    box = {}

    def report_first(session, _):
        ready.wait(30)
        bring(box["baton"], session.sender, dsn())
        return None

    sink = make_sink(on={"message": lambda s, m: report_first(s, m)
                         if m.sender else None})
    baton = box["baton"] = make(make_baton, sink, prepare=prepare)
    ready.set()
    message_id = baton.submit(message())
    wait_until(lambda: baton.deliveries().get("b@rcpt.example") == "failed",
               "the end")
    baton.wait_for_empty_queue()
    wait_until(lambda: baton.value(
        "SELECT count(*) FROM baton.attempt WHERE message_id = %s",
        message_id) == 1, "the attempt")
    assert baton.deliveries()["b@rcpt.example"] == "failed"
    moved = counters(baton)
    assert (moved["sent"], moved["failed"]) == (0, 1)
    assert len([m for m in sink.messages
                if m.recipients == ["b@rcpt.example"]]) == 1


# --- two of them ---

class Responder:
    """A program behind an inbound route that answers whatever has a sender, by
    its own host's submission."""

    def __init__(self, make_sink, domain, is_marked):
        self.baton = None
        self.domain = domain
        self.is_marked = is_marked
        self.sink = make_sink(on={"RCPT": self.on_recipient,
                                  "message": self.on_message})

    def on_recipient(self, _, argument):
        return "550 5.1.1 No such user" if "<gone@" in argument else None

    def on_message(self, _, taken):
        if taken.sender and taken.recipients[0].startswith("auto@"):
            content = auto_reply() if self.is_marked else person("Away")
            content = content.replace("b@rcpt.example", "auto@" + self.domain)
            self.baton.submit(content, [taken.sender], "auto@" + self.domain)
        return None


def make_side(make_baton, make_sink, name, is_marked):
    domain = name + ".example"
    responder = Responder(make_sink, domain, is_marked)

    def prepare_side(baton):
        baton.sql("INSERT INTO baton.domain (account_id, name) SELECT account_id,"
                  " %s FROM baton.account WHERE name = %s", domain, USER)
        baton.sql("INSERT INTO baton.inbound_route (account_id, address, target)"
                  " SELECT account_id, %s, %s FROM baton.account"
                  " WHERE name = %s", "@" + domain,
                  f"smtp://127.0.0.1:{responder.sink.port}", USER)

    baton = make_baton(
        {"server": {"hostname": f"relay.{domain}",
                    "return_path_host": f"bounce.{domain}"},
         "delivery": {"retry": "1 s"}},
        listeners=LISTENERS, prepare=prepare_side, start=False)
    responder.baton = baton
    return baton


def lead_to(baton, name, other):
    for host in ("", "bounce.", "relay."):
        add_route(baton.sql, f"{host}{name}.example",
                  f"smtp://127.0.0.1:{other.ports['inbound']}")


def message_count(*batons):
    return sum(baton.value("SELECT count(*) FROM baton.message")
               for baton in batons)


def are_quiet(*batons):
    """Both queues are empty, twice in a row, with nothing taken in between."""
    before = message_count(*batons)
    return all(baton.queue_is_empty() for _ in range(5) for baton in batons) \
        and message_count(*batons) == before


@pytest.mark.parametrize("is_marked", [True, False],
                         ids=["marked", "unmarked"])
@pytest.mark.parametrize("recipient", ["gone", "auto"])
def test_two_settle(make_baton, make_sink, recipient, is_marked):
    """T24: two Batons, each the other's next hop, with addresses that refuse
    and programs that answer on both sides: a message from each to the other
    ends within 10 messages of both."""
    one = make_side(make_baton, make_sink, "one", is_marked)
    two = make_side(make_baton, make_sink, "two", is_marked)
    for baton in (one, two):
        lead_to(baton, "one", one)
        lead_to(baton, "two", two)
        baton.start()
    one.submit(message(sender="auto@one.example",
                       recipient=f"{recipient}@two.example"),
               [f"{recipient}@two.example"], "auto@one.example")
    two.submit(message(sender="auto@two.example",
                       recipient=f"{recipient}@one.example"),
               [f"{recipient}@one.example"], "auto@two.example")
    wait_until(lambda: are_quiet(one, two), "quiet", 60)
    wait_until(lambda: are_quiet(one, two), "quiet", 60)
    count = message_count(one, two)
    print(f"{recipient}, {is_marked}: {count} messages of two")
    assert count <= 10, count
    for baton in (one, two):
        kinds = {row["kind"] for row in baton.sql("SELECT kind FROM baton.event")}
        if recipient == "gone":
            assert "bounced" in kinds
        elif is_marked:
            assert "autoreplied" in kinds
