# SPDX-License-Identifier: MIT
"""Limits of accounts and user names: never more than the limit, never fewer,
whatever the workers and nodes are, and whatever dies meanwhile.

A refusal says when its limit resets, which names the period: in each of these
exactly as much must have been accepted as the limit allows.
"""

import collections
import datetime
import hashlib
import itertools
import json
import os
import re
import signal
import threading
import time

import pytest

from dialogue import Closed, Dialogue, message
from instance import Baton, add_account, add_route
from postgres import Postgres
from waiting import wait_until

PASSWORD = "a-password-that-was-generated-0123456789"
CONNECTIONS = 12
ATTEMPTS = 8  # each
LIMIT = 40  # well below CONNECTIONS * ATTEMPTS
MANY = {"messages_per_session": "1000000"}
PERIODS = ["minute", "hour", "day", "month"]
KINDS = ["messages", "recipients"]
OVER = re.compile(r"4\.3\.1 (Account|User) (\S+) (?:of account (\S+) )?is over "
                  r"its limit: (\d+) (messages|recipients)/(minute|hour|day|month)"
                  r", resets (\d{4}-\d\d-\d\d \d\d:\d\d) UTC$")


def add_user(sql, account, name, settings=None):
    row = sql("INSERT INTO baton.credential (account_id, user_name, kind, secret,"
              " settings) SELECT account_id, %s, 'generated', %s, %s "
              "FROM baton.account WHERE name = %s RETURNING account_id",
              name, hashlib.sha256(PASSWORD.encode()).hexdigest(),
              json.dumps(settings or {}), account)[0]
    sql("INSERT INTO baton.user_name VALUES (%s, %s)", name, row["account_id"])


class Load:
    """Clients of one user name, each on a connection of its own, that try to
    send so many messages each. What they heard, whole replies."""

    def __init__(self, batons, user, connections=CONNECTIONS, attempts=ATTEMPTS,
                 recipients=1, until=None):
        self.accepted = []
        self.refused = []
        self.failed = []
        self.lost = 0
        self.latencies = []
        self.user = user
        self.recipients = recipients
        self.until = until or (lambda: False)
        self.start = threading.Barrier(connections)
        self.threads = [
            threading.Thread(target=self.run, args=(
                batons[i % len(batons)].address("clear"), attempts))
            for i in range(connections)]
        for thread in self.threads:
            thread.start()

    def wait(self, seconds=120):
        end = time.monotonic() + seconds
        for thread in self.threads:
            thread.join(max(0, end - time.monotonic()))
            assert not thread.is_alive(), "a client that hangs"
        return self

    def run(self, address, attempts):
        dialogue = Dialogue(address).enter(self.user, PASSWORD)
        self.start.wait(60)  # all at once
        for _ in range(attempts):
            if self.until():
                break
            try:
                dialogue = dialogue or Dialogue(address).enter(self.user, PASSWORD)
                began = time.monotonic()
                self.note(self.send(dialogue))
                self.latencies.append(time.monotonic() - began)
            except (Closed, OSError, AssertionError):
                self.lost += 1
                dialogue = None
                time.sleep(0.02)  # a server that restarts is not run down
        if dialogue:
            dialogue.close()

    def send(self, dialogue):
        reply = dialogue.command("MAIL FROM:<a@sender.example>")
        if reply.code != 250:
            return reply
        for i in range(self.recipients):
            reply = dialogue.command(f"RCPT TO:<r{i}@rcpt.example>")
            if reply.code != 250:
                dialogue.command("RSET", 250)
                return reply
        return dialogue.data(message(), None)

    def note(self, reply):
        kind = {250: self.accepted, 452: self.refused}.get(reply.code, self.failed)
        kind.append(reply.text)


def period_began(resets, period):
    end = datetime.datetime.strptime(resets, "%Y-%m-%d %H:%M").replace(
        tzinfo=datetime.timezone.utc)
    if period == "month":
        return (end - datetime.timedelta(days=1)).replace(day=1)
    return end - datetime.timedelta(**{period + "s": 1})


def used_by_period(baton, account, period, user=None):
    """What is in the database: began -> (messages, recipients)"""
    rows = baton.sql(
        "SELECT date_trunc(%s, m.accepted_at, 'UTC') AS began,"
        " count(DISTINCT m.message_id) AS messages, count(*) AS recipients "
        "FROM baton.message m JOIN baton.account a USING (account_id) "
        "JOIN baton.delivery d USING (account_id, message_id) "
        "WHERE a.name = %s AND d.state NOT IN ('withdrawn', 'rejected') "
        "AND (%s IS NULL OR m.user_name = %s) GROUP BY 1",
        period, account, user, user)
    return {row["began"].astimezone(datetime.timezone.utc):
            {"messages": row["messages"], "recipients": row["recipients"]}
            for row in rows}


def check_exact(baton, load, account, kind, period, limit=LIMIT, user=None,
                slack=0):
    """Never more than the limit in any period, and in those in which something
    was refused exactly so much (less than one more message would have been)."""
    used = used_by_period(baton, account, period, user)
    for began, amounts in used.items():
        assert amounts[kind] <= limit + slack, (began, amounts)
    for text in load.refused:
        found = OVER.search(text)
        assert found, text
        assert found.group(1) == ("User" if user else "Account")
        assert found.group(2) == (user or account)
        assert (int(found.group(4)), found.group(5), found.group(6)) == (
            limit, kind, period)
        began = period_began(found.group(7), period)
        size = load.recipients if kind == "recipients" else 1
        assert used.get(began, {kind: 0})[kind] > limit - size, (
            f"refused with {used.get(began)} used of {limit}: {text}")


# The matrix

def name_of(case):
    return "-".join(case)


MATRIX = list(itertools.product(KINDS, PERIODS, ["account", "user"],
                                ["refuse", "allow", "record"]))


def prepare_matrix(baton):
    for case in MATRIX:
        kind, period, scope, overage = case
        limit = {f"{kind}_per_{period}": str(LIMIT)}
        name = name_of(case)
        add_account(baton.sql, name, settings={
            "overage": overage, **(limit if scope == "account" else {})})
        add_user(baton.sql, name, name + "-u", limit if scope == "user" else None)
        add_user(baton.sql, name, name + "-v")
    add_account(baton.sql, "free", PASSWORD)


@pytest.fixture(scope="module")
def relay(factory, postgres):
    # Ten times as fast, workers tell each other of their sessions in time: each
    # gets its share of every load.
    baton = factory({"server": {"clock_rate": "10"}}, routes={"*": "discard:"},
                    prepare=prepare_matrix)
    yield baton
    baton.close()
    postgres.drop(baton.url)


def counted(baton, account, kind):
    """What is counted in the last period."""
    return baton.value(
        f"SELECT sum({kind}) FROM baton.usage JOIN baton.account USING (account_id) "
        "WHERE name = %s GROUP BY began_at ORDER BY began_at DESC LIMIT 1", account)


@pytest.mark.parametrize("case", MATRIX, ids=name_of)
def test_never_more_and_never_fewer(relay, case):
    kind, period, scope, overage = case
    account = name_of(case)
    user = account + "-u" if scope == "user" else None
    recipients = 2 if kind == "recipients" else 1
    load = Load([relay], account + "-u", recipients=recipients).wait()
    assert load.lost == 0 and not load.failed, (load.lost, load.failed[:3])
    tried = CONNECTIONS * ATTEMPTS
    units = tried * recipients if kind == "recipients" else tried
    if overage == "refuse":
        assert load.refused
        check_exact(relay, load, account, kind, period, user=user)
        assert len(load.accepted) < tried
        assert len(load.accepted) == sum(
            amounts["messages"] for amounts
            in used_by_period(relay, account, period).values())
    else:
        assert len(load.accepted) == tried and not load.refused
    over = relay.sql(
        "SELECT e.detail ->> 'over_limit' AS text FROM report.event e "
        "WHERE e.account = %s AND e.kind = 'accepted' AND e.detail ? 'over_limit'",
        account)
    if overage == "record":
        used = used_by_period(relay, account, period)
        fits = sum(min(amounts[kind], LIMIT) for amounts in used.values())
        assert len(over) == (units - fits) // (units // tried)
        assert all(re.search(r"is over its limit: %d %s/%s, resets" % (
            LIMIT, kind, period), row["text"]) for row in over)
    else:
        assert not over
    workers = relay.value(
        "SELECT count(DISTINCT worker_id) FROM (SELECT account_id, worker_id "
        "FROM baton.usage UNION SELECT account_id, worker_id FROM "
        "baton.usage_grant) AS u JOIN baton.account USING (account_id) "
        "WHERE name = %s AND worker_id <> 0", account)
    assert workers == 2, "both workers were asked"
    used = used_by_period(relay, account, period)
    assert counted(relay, account, kind) == used[max(used)][kind]
    if scope == "user":  # nobody else of the account is limited
        other = Load([relay], account + "-v", connections=2, attempts=2).wait()
        assert len(other.accepted) == 4


# Periods

@pytest.mark.parametrize("period, rate, lease", [
    ("minute", 20, "10 min"), ("hour", 1200, "1 h"), ("day", 4000, "4 h")])
def test_a_period_ends_and_all_is_free_again(make_baton, period, rate, lease):
    def prepare(baton):
        add_account(baton.sql, "acme", PASSWORD, settings={
            f"messages_per_{period}": "20"})
    # What is no matter here takes as long as it does otherwise.
    patience = {"idle_timeout": "1 d", "data_timeout": "1 d"}
    baton = make_baton({"server": {"clock_rate": str(rate), "lease": lease},
                        "limits": MANY | patience},
                       routes={"*": "discard:"}, prepare=prepare)
    ended = threading.Event()
    load = Load([baton], "acme", connections=4, attempts=100000, until=ended.is_set)

    def periods_refused():
        return {OVER.search(text).group(7) for text in list(load.refused)}
    try:
        wait_until(lambda: len(periods_refused()) > 2, "three periods", 120)
    except AssertionError as failure:
        raise AssertionError(f"{failure}: {collections.Counter(load.failed)}, "
                             f"{len(load.accepted)}, {load.lost}") from None
    finally:
        ended.set()
        load.wait()
    # With a day in seconds a hiccup may be longer than a lease.
    assert load.lost == 0 and all(
        text.startswith("4.3.0 Mail cannot be stored just now")
        for text in load.failed), load.failed[:3]
    check_exact(baton, load, "acme", "messages", period, limit=20)


# Nodes, and what dies

def another_node(baton, workers=2):
    """A second Baton with the same database."""
    return Baton(baton.url, {"server": {"workers": str(workers), "lease": "2 s"}},
                 {"clear": baton.listeners["clear"]}).start()


def acme(make_baton, period="day", limit=150, workers=2, routes=None,
         **settings):
    def prepare(baton):
        add_account(baton.sql, "acme", PASSWORD,
                    settings={f"messages_per_{period}": str(limit), **settings})
        add_account(baton.sql, "free", PASSWORD)
    return make_baton({"server": {"workers": str(workers), "lease": "2 s"},
                       "limits": MANY},
                      routes={"*": "discard:"} if routes is None else routes,
                      prepare=prepare)


def test_two_nodes_have_one_limit(make_baton):
    first = acme(make_baton)
    second = another_node(first)
    try:
        load = Load([first, second], "acme", connections=16, attempts=20).wait()
        assert load.lost == 0 and not load.failed
        assert len(load.accepted) == 150
        check_exact(first, load, "acme", "messages", "day", limit=150)
        assert first.value("SELECT count(DISTINCT worker_id) FROM "
                           "baton.usage_grant") == 4
    finally:
        second.close()


def fill_up(baton, user="acme"):
    """Send until it is refused, again and again."""
    loads = []

    def is_full():
        loads.append(Load([baton], user, connections=4, attempts=3).wait())
        return not loads[-1].accepted and loads[-1].refused
    wait_until(is_full, "the limit", 60)
    return loads


def test_a_worker_is_killed_that_holds_allowance(make_baton):
    baton = acme(make_baton, limit=200)
    baton.crashes_expected = True
    load = Load([baton], "acme", connections=16, attempts=60)
    for count in (20, 80, 140):
        wait_until(lambda: len(load.accepted) >= count, "a part of the load")
        os.kill(baton.workers()[0], signal.SIGKILL)
    load.wait()
    assert load.lost > 0
    wait_until(baton.are_all_ready, "both workers")
    fill_up(baton)
    stored = baton.value("SELECT count(*) FROM baton.message")
    # Never fewer, and never more than what was on its way in those killed.
    assert 200 <= stored <= 200 + 16, stored
    assert len(load.accepted) <= stored
    assert baton.value("SELECT used FROM report.usage") == stored


def test_the_whole_node_is_killed_and_another_one_goes_on(make_baton):
    """Nobody retires these workers: their rows run out."""
    first = acme(make_baton, limit=200)
    second = another_node(first)
    try:
        load = Load([first, second], "acme", connections=16, attempts=6)
        wait_until(lambda: len(load.accepted) >= 30, "a part of the load")
        first.crashes_expected = True
        first.kill_everything()
        load.wait()
        wait_until(lambda: second.value("SELECT count(*) FROM baton.worker") == 2,
                   "the leases of the dead to run out", 30)
        fill_up(second)
        stored = second.value("SELECT count(*) FROM baton.message")
        assert 200 <= stored <= 200 + 16, stored
    finally:
        second.close()


@pytest.fixture
def own_postgres():
    server = Postgres()
    yield server
    server.close()


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_postgresql_is_started_anew_in_the_middle(own_postgres, certificate,
                                                  nameserver, mode):
    baton = Baton(own_postgres.url_of("baton"), {"server": {"lease": "2 s"}},
                  certificate=certificate, nameserver=nameserver)
    try:
        baton.cli("migrate")
        add_account(baton.sql, "acme", PASSWORD,
                    settings={"messages_per_day": "200"})
        add_route(baton.sql, "*", "discard:")
        baton.start()
        load = Load([baton], "acme", connections=16, attempts=60)
        wait_until(lambda: len(load.accepted) >= 60, "a part of the load")
        baton.connection.close()
        own_postgres.stop(mode)
        own_postgres.start()
        load.wait()
        wait_until(baton.are_all_ready, "both workers")
        fill_up(baton)
        stored = baton.value("SELECT count(DISTINCT message_id) FROM "
                             "baton.delivery WHERE state <> 'withdrawn'")
        assert stored == 200, stored
        assert baton.value("SELECT used FROM report.usage") == stored
    finally:
        baton.close()


# What is given back

def test_what_is_withdrawn_may_be_sent_again(make_baton):
    """Clients that leave before they hear 250."""
    baton = acme(make_baton, limit=60)
    for i in range(120):
        with Dialogue(baton.address("clear")) as dialogue:
            dialogue.enter("acme", PASSWORD)
            dialogue.command("MAIL FROM:<a@sender.example>", 250)
            if dialogue.command("RCPT TO:<b@rcpt.example>").code != 250:
                break  # those that were stored before they left are as many
            dialogue.command("DATA", 354)
            dialogue.send(message() + ".\r\n")
            if i % 3:  # now and then it takes a while to leave
                threading.Event().wait(i % 3 * 0.004)
    assert baton.value("SELECT count(*) FROM baton.delivery "
                       "WHERE state = 'withdrawn'") > 0
    fill_up(baton)
    stored = baton.value("SELECT count(*) FROM baton.delivery "
                         "WHERE state <> 'withdrawn'")
    assert stored == 60
    assert baton.value("SELECT used FROM report.usage") == 60


# The dialogue

def envelope(dialogue, count):
    dialogue.command("RSET", 250)
    dialogue.command("MAIL FROM:<a@sender.example>", 250)
    return [dialogue.command(f"RCPT TO:<r{i}@rcpt.example>") for i in range(count)]


def codes(replies):
    return [reply.code for reply in replies]


def test_what_is_known_to_be_used_up_is_refused_at_rcpt(make_baton):
    baton = acme(make_baton, limit=10, recipients_per_day="5", workers=1)
    with Dialogue(baton.address("clear")).enter("acme", PASSWORD) as dialogue:
        replies = envelope(dialogue, 7)
        assert codes(replies) == [250] * 5 + [452] * 2
        assert OVER.search(replies[5].text).groups()[:6] == (
            "Account", "acme", None, "5", "recipients", "day")
        dialogue.data(message())
        assert codes(envelope(dialogue, 1)) == [452]
    baton.cli("set", "acme", "recipients_per_day", "none")
    with Dialogue(baton.address("clear")).enter("acme", PASSWORD) as dialogue:
        wait_until(lambda: codes(envelope(dialogue, 1)) == [250], "no limit")


def test_another_worker_knows_it_too(make_baton):
    """What one worker has taken, the other refuses at RCPT, once it looked."""
    first = acme(make_baton, limit=3, workers=1)
    second = another_node(first, 1)
    try:
        assert len(Load([first], "acme", 1, 4).wait().accepted) == 3
        with Dialogue(second.address("clear")).enter("acme", PASSWORD) as dialogue:
            wait_until(lambda: codes(envelope(dialogue, 1)) == [452], "its refusal")
    finally:
        second.close()


def test_a_message_that_does_not_fit_as_a_whole(make_baton):
    """Of a message with more recipients than are left nothing is taken at the
    end of its data; with on_refusal = accept as many as fit."""
    baton = acme(make_baton, limit=0, recipients_per_day="5", workers=1)
    other = another_node(baton, 1)
    try:
        with Dialogue(other.address("clear")).enter("acme", PASSWORD) as late, \
                Dialogue(baton.address("clear")).enter("acme", PASSWORD) as early:
            assert codes(envelope(late, 4)) == [250] * 4
            assert codes(envelope(early, 3)) == [250] * 3
            early.data(message())
            assert OVER.search(late.data(message(), 452).text)
            wait_until(lambda: codes(envelope(late, 4)) == [250] * 2 + [452] * 2,
                       "what is left to be known")
            late.data(message())
        assert baton.value("SELECT used FROM report.usage") == 5
    finally:
        other.close()


def test_taken_but_not_sent(make_baton):
    baton = acme(make_baton, limit=0, recipients_per_day="5", on_refusal="accept")
    with Dialogue(baton.address("clear")).enter("acme", PASSWORD) as dialogue:
        for count in (3, 3, 1):
            assert codes(envelope(dialogue, count)) == [250] * count
            dialogue.data(message())
    baton.wait_for_empty_queue()
    states = collections.Counter(row["state"] for row in baton.sql(
        "SELECT state FROM baton.delivery"))
    assert states == {"delivered": 5, "rejected": 2}
    assert baton.value("SELECT used FROM report.usage") == 5
    reply = baton.value("SELECT last_reply FROM baton.delivery "
                        "WHERE state = 'rejected' LIMIT 1")
    assert OVER.search(reply)


def test_what_baton_makes_itself_is_not_counted(make_baton):
    """C14: the report of a failure is no message of the account."""
    baton = acme(make_baton, limit=3, workers=1, routes={})
    with Dialogue(baton.address("clear")).enter("acme", PASSWORD) as dialogue:
        for _ in range(3):
            dialogue.envelope("a@sender.example", "b@nullmx.example")
            dialogue.data(message())
        wait_until(lambda: baton.value("SELECT count(*) FROM baton.message "
                                       "WHERE protocol = 'report'") >= 3,
                   "the reports")
        assert codes(envelope(dialogue, 1)) == [452]
    assert baton.value("SELECT used FROM report.usage") == 3


# Others

def test_who_is_over_a_limit_slows_nobody(make_baton):
    baton = acme(make_baton, limit=1)

    def median(load):
        times = sorted(load.wait().latencies)
        return times[len(times) // 2]
    alone = median(Load([baton], "free", connections=2, attempts=150))
    ended = threading.Event()
    over = Load([baton], "acme", connections=2, attempts=100000, until=ended.is_set)
    try:
        wait_until(lambda: over.refused, "a refusal")
        beside = Load([baton], "free", connections=2, attempts=150)
        slowed = median(beside)
    finally:
        ended.set()
        over.wait()
    print(f"\nmedian {alone * 1000:.1f} ms alone, {slowed * 1000:.1f} ms beside "
          f"{len(over.refused)} refusals")
    assert len(beside.accepted) == 300 and not over.failed
    # The same two workers also answer those who are refused.
    assert slowed < 3 * alone + 0.05


def test_who_has_no_limit_has_no_rows(make_baton):
    baton = acme(make_baton, limit=0)
    assert len(Load([baton], "acme", 2, 5).wait().accepted) == 10
    assert baton.value("SELECT count(*) FROM baton.usage") == 0
    assert baton.value("SELECT count(*) FROM baton.usage_grant") == 0


# The command line

def test_limits_are_set_listed_and_taken_away(make_baton):
    baton = acme(make_baton, limit=0, workers=1)
    baton.cli("credential", "add", "acme", "App")
    assert len(Load([baton], "acme", 2, 3).wait().accepted) == 6
    assert "There is no limit" in baton.cli("limits").stdout
    baton.cli("set", "acme", "messages_per_day", "7")
    baton.cli("credential", "set", "acme", "APP", "Recipients_Per_Hour", "100")
    rows = baton.cli_json("limits", "acme")
    assert [(row["user_name"], row["kind"], row["period"], row["used"], row["allowed"])
            for row in rows] == [("", "messages", "day", 6, 7),
                                 ("app", "recipients", "hour", 0, 100)]
    assert re.match(r"\d{4}-\d\d-\d\dT00:00:00Z$", rows[0]["resets_at"])
    # What was accepted before there was a limit counts, too.
    assert len(fill_up(baton)) and baton.value(
        "SELECT count(*) FROM baton.message") == 7
    assert baton.cli_json("credential", "set", "acme", "app")[
        "recipients_per_hour"] == "100"
    baton.cli("credential", "set", "acme", "app", "recipients_per_hour", "--default")
    baton.cli("set", "acme", "messages_per_day", "0")
    assert baton.cli_json("limits", "acme") == []
    with Dialogue(baton.address("clear")).enter("acme", PASSWORD) as dialogue:
        wait_until(lambda: codes(envelope(dialogue, 1)) == [250], "no limit")


@pytest.mark.parametrize("arguments, sentence", [
    (["set", "acme", "messages_per_day", "many"], "messages_per_day cannot be"),
    (["set", "acme", "overage", "maybe"], "refuse, allow, record"),
    (["credential", "set", "acme", "acme", "messages_per_year", "1"],
     'a user name has no setting "messages_per_year"; possible are messages_per_'),
    (["credential", "set", "acme", "acme", "messages_per_day", "1.5"],
     "none, or a number"),
    (["credential", "set", "acme", "nobody", "messages_per_day", "1"],
     "account acme has no user nobody"),
    (["credential", "set", "acme", "nobody"], "account acme has no user nobody"),
    (["credential", "set", "acme", "acme", "messages_per_day"], "either a VALUE or"),
])
def test_what_cannot_be_set_is_said(module_acme, arguments, sentence):
    result = module_acme.cli(*arguments, check=False)
    assert result.returncode != 0 and sentence in result.stderr, result.stderr


@pytest.fixture(scope="module")
def module_acme(factory, postgres):
    baton = factory(prepare=lambda b: add_account(b.sql, "acme", PASSWORD),
                    start=False)
    yield baton
    baton.close()
    postgres.drop(baton.url)
