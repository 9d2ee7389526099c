# SPDX-License-Identifier: MIT
"""What moves each counter and what never does: the table of features.md section
4 line by line, one test a cell. Every step says all that moved by it, so that
what it must not move is seen to stand still as well."""


import pytest

import inbound
from conftest import close_all
from dialogue import message
from inbound import HOST, Sent, bring
from instance import USER
from returned import ReturnPaths, arf, auto_reply, dsn, person
from tokens import Tokens
from waiting import wait_until
from web import Web

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
SCANNER = "curl/8.5.0"
URL = "https://shop.example/offer"
REPLIES = {
    "never@rcpt.example": "550 5.1.1 No such user",
    "later@rcpt.example": "451 4.2.0 Mailbox busy",
    "blocked@rcpt.example": "550 5.7.1 Service unavailable; client host "
                            "[192.0.2.1] blocked using Spamhaus",
}


def answer(session, argument):
    for address, reply in REPLIES.items():
        if address in argument:
            return reply
    return None


@pytest.fixture(scope="module")
def module_baton(factory, module_sink, postgres):
    def prepare(baton):
        inbound.prepare(baton)
        baton.sql("INSERT INTO baton.inbound_route (account_id, address, target)"
                  " SELECT account_id, 'help@sender.example', %s"
                  " FROM baton.account WHERE name = 'demo'",
                  f"smtp://127.0.0.1:{module_sink.port}")
    baton = inbound.make(factory, module_sink, prepare=prepare, settings={
        "server": {"workers": "2"}, "delivery": {"retry": "1 h"}})
    yield baton
    close_all([baton], postgres)


def counters_of(baton):
    row = baton.sql(
        "SELECT sum(outbound) AS outbound, sum(bytes) AS bytes,"
        " sum(refused) AS refused, sum(sent) AS sent,"
        " sum(deferred) AS deferred, sum(failed) AS failed,"
        " sum(failed_permanent) AS permanent,"
        " sum(failed_expired) AS expired,"
        " sum(failed_suppressed) AS suppressed, sum(blocked) AS blocked,"
        " sum(cancelled) AS cancelled, sum(complaints) AS complaints,"
        " sum(opens) AS opens, sum(opens_unique) AS opens_unique,"
        " sum(opens_human) AS opens_human, sum(clicks) AS clicks,"
        " sum(clicks_unique) AS clicks_unique,"
        " sum(clicks_human) AS clicks_human,"
        " sum(unsubscribes) AS unsubscribes,"
        " sum(resubscribes) AS resubscribes, sum(inbound) AS inbound"
        " FROM report.counters_hourly WHERE account = %s", USER)[0]
    return {name: int(value or 0) for name, value in row.items()}


@pytest.fixture
def counted(baton):
    """How much each counter of demo moved since the test began, those that did."""
    before = counters_of(baton)

    def moved():
        return {name: value - before[name]
                for name, value in counters_of(baton).items()
                if value != before[name]}
    return moved


@pytest.fixture(autouse=True)
def clean(baton, sink):
    sink.on["RCPT"] = answer
    baton.sql("DELETE FROM baton.suppression")
    baton.sql("UPDATE baton.account SET settings = settings - 'on_refusal'"
              " - 'suppression_check' WHERE name = 'demo'")
    baton.sql("NOTIFY baton_directory")
    yield
    baton.cli("queue", "cancel", "--account", USER, check=False)
    baton.wait_for_empty_queue()


def events(baton, kind):
    return baton.value("SELECT count(*) FROM baton.event WHERE kind = %s", kind)


def send(baton, *recipients, fields="", sender="a@sender.example",
         ends=True):
    """A message and the first end of all its deliveries; returns its id and size."""
    message_id = baton.submit(message(fields=fields), list(recipients), sender)
    if ends:
        wait_until(lambda: baton.value(
            "SELECT count(*) FROM baton.delivery WHERE message_id = %s"
            " AND (state <> 'queued' OR attempt_count > 0)", message_id)
            == len(recipients), "the first tries")
    return message_id, baton.value("SELECT size_bytes FROM baton.message"
                                   " WHERE message_id = %s", message_id)


def suppress(baton, address):
    baton.cli("suppression", "add", USER, address)


# --- outbound, sent, bytes ---

def test_outbound_sent_and_bytes_move_for_each_recipient(baton, counted):
    _, size = send(baton, "one@rcpt.example", "two@rcpt.example",
                   "three@rcpt.example")
    assert counted() == {"outbound": 3, "sent": 3, "bytes": 3 * size}


def test_sent_does_not_move_for_our_own_reports(baton, sink, counted):
    _, size = send(baton, "never@rcpt.example")
    sink.wait_for(1, where=lambda one: one.recipients == ["a@sender.example"])
    baton.wait_for_empty_queue()
    assert counted() == {"outbound": 1, "bytes": size, "failed": 1,
                         "permanent": 1}


def test_sent_moves_once_whatever_the_retries(baton, counted):
    _, size = send(baton, "later@rcpt.example")
    REPLIES.pop("later@rcpt.example")
    try:
        baton.cli("queue", "retry", "--account", USER)
        baton.wait_for_empty_queue()
    finally:
        REPLIES["later@rcpt.example"] = "451 4.2.0 Mailbox busy"
    assert counted() == {"outbound": 1, "bytes": size, "deferred": 1, "sent": 1}


@pytest.mark.parametrize("step", ["data", "rcpt"])
def test_a_recipient_refused_in_the_dialogue_is_refused_only(baton, counted,
                                                              step):
    baton.cli("set", USER, "suppression_check", step)
    suppress(baton, "gone@rcpt.example")
    refused = events(baton, "rejected")

    taken = []

    def is_refused():
        """Workers hear of a suppression within a second."""
        with baton.session() as dialogue:
            dialogue.command("MAIL FROM:<a@sender.example>", 250)
            reply = dialogue.command("RCPT TO:<gone@rcpt.example>")
            if reply.code == 250:
                reply = dialogue.data(message(), None)
            taken.extend([1] if reply.code == 250 else [])
            return reply.code == 550
    wait_until(is_refused, "the refusal")
    wait_until(lambda: events(baton, "rejected") > refused, "the event")
    baton.wait_for_empty_queue()
    moved = counted()
    assert moved.pop("refused") == 1
    assert moved.get("outbound", 0) == moved.get("sent", 0) == len(taken)
    assert set(moved) <= {"outbound", "sent", "bytes"}


def test_a_refused_message_counts_all_its_recipients_as_refused(baton, counted):
    refused = events(baton, "rejected")
    with baton.session() as dialogue:
        dialogue.envelope("a@sender.example", "one@rcpt.example",
                          "two@rcpt.example")
        assert dialogue.data("Subject: no author\r\n\r\nx\r\n", None).code == 550
    wait_until(lambda: events(baton, "rejected") > refused, "the event")
    assert counted() == {"refused": 2}


# --- overage ---

@pytest.fixture
def limited(make_baton, make_sink):
    """A Baton whose account may have one recipient a day, and what moved."""
    def make(**settings):
        sink = make_sink()

        def prepare(baton):
            for key, value in dict(settings, recipients_per_day="1").items():
                baton.cli("set", USER, key, value)
        baton = make_baton(prepare=prepare, routes={
            "*": f"smtp://127.0.0.1:{sink.port}"})
        return baton, lambda: {name: value for name, value
                               in counters_of(baton).items() if value}
    return make


@pytest.mark.parametrize("step", ["RCPT", "end of data"])
def test_a_recipient_over_the_limit_is_refused_only(limited, step):
    baton, moved = limited()
    _, size = send(baton, "one@rcpt.example")
    with baton.session() as dialogue:
        dialogue.command("MAIL FROM:<a@sender.example>", 250)
        if step == "RCPT":
            wait_until(lambda: dialogue.command(
                "RCPT TO:<two@rcpt.example>").code == 452, "the limit")
        else:
            replies = [dialogue.command(f"RCPT TO:<r{i}@rcpt.example>").code
                       for i in range(3)]
            if 250 in replies:
                assert dialogue.data(message(), None).code == 452
            assert 452 in replies or 250 in replies
    wait_until(lambda: moved().get("refused"), "the refusal")
    assert dict(moved(), refused=0) == {"outbound": 1, "sent": 1, "bytes": size,
                                        "refused": 0}


def test_refusals_over_the_limit_are_counted_one_by_one(limited):
    """But not with an event each: who is told 452 comes again and again."""
    baton, moved = limited()
    _, size = send(baton, "one@rcpt.example")
    with baton.session() as dialogue:
        dialogue.command("MAIL FROM:<a@sender.example>", 250)
        wait_until(lambda: dialogue.command(
            "RCPT TO:<two@rcpt.example>").code == 452, "the limit")
        wait_until(lambda: moved().get("refused"), "the first refusals")
        before = moved()["refused"]
        for _ in range(50):
            dialogue.command("RCPT TO:<two@rcpt.example>", 452)
    wait_until(lambda: moved()["refused"] == before + 50, "all of them")
    assert events(baton, "rejected") < 30


def test_over_the_limit_but_taken_is_refused_and_not_outbound(limited):
    baton, moved = limited(on_refusal="accept")
    _, size = send(baton, "one@rcpt.example", "two@rcpt.example")
    assert moved() == {"outbound": 1, "sent": 1, "bytes": size, "refused": 1}


@pytest.mark.parametrize("overage", ["allow", "record"])
def test_overage_is_outbound_like_all_else(limited, overage):
    baton, moved = limited(overage=overage)
    _, size = send(baton, "one@rcpt.example", "two@rcpt.example")
    assert moved() == {"outbound": 2, "sent": 2, "bytes": 2 * size}


# --- failed ---

def test_a_deferral_is_no_failure(baton, counted):
    _, size = send(baton, "later@rcpt.example")
    assert counted() == {"outbound": 1, "bytes": size, "deferred": 1}


def test_a_block_of_our_own_address_is_no_failure(baton, counted):
    message_id, size = send(baton, "blocked@rcpt.example")
    assert baton.value("SELECT detail ->> 'class' FROM baton.event WHERE"
                       " kind = 'bounced' AND message_id = %s",
                       message_id) == "reputation_block"
    assert counted() == {"outbound": 1, "bytes": size, "blocked": 1}


def test_an_expired_delivery_is_failed_as_that(make_baton, make_sink):
    sink = make_sink(on={"RCPT": "451 4.2.0 later"})
    baton = make_baton({"server": {"clock_rate": "60"}},
                       routes={"*": f"smtp://127.0.0.1:{sink.port}"})
    baton.submit(message(fields="X-Baton-Expires-After: 2 min\r\n"))
    wait_until(lambda: baton.deliveries().get("b@rcpt.example") == "expired",
               "the end")
    row, = baton.sql("SELECT sum(failed) AS failed, sum(failed_expired) AS expired,"
                     " sum(failed_permanent) AS permanent, sum(sent) AS sent"
                     " FROM report.counters_hourly")
    assert {k: int(v) for k, v in row.items()} == {
        "failed": 1, "expired": 1, "permanent": 0, "sent": 0}


@pytest.mark.parametrize("when", ["at acceptance", "while it waits"])
def test_a_suppression_after_acceptance_is_failed_as_that(baton, counted, when):
    if when == "at acceptance":
        suppress(baton, "gone@rcpt.example")
        baton.cli("set", USER, "on_refusal", "accept")
        _, size = send(baton, "gone@rcpt.example", "one@rcpt.example")
        assert counted() == {"outbound": 2, "sent": 1, "bytes": 2 * size,
                             "failed": 1, "suppressed": 1}
    else:
        _, size = send(baton, "later@rcpt.example")
        suppress(baton, "later@rcpt.example")
        baton.cli("queue", "retry", "--account", USER)
        baton.wait_for_empty_queue()
        assert counted() == {"outbound": 1, "bytes": size, "deferred": 1,
                             "failed": 1, "suppressed": 1}


def test_a_cancelled_delivery_is_no_failure(baton, counted):
    _, size = send(baton, "later@rcpt.example")
    baton.cli("queue", "cancel", "--account", USER)
    baton.wait_for_empty_queue()
    assert counted() == {"outbound": 1, "bytes": size, "deferred": 1,
                         "cancelled": 1}


def test_an_asynchronous_bounce_moves_sent_to_failed_once(baton, sink, counted):
    """B7"""
    sent = Sent(baton, sink)
    size = baton.value("SELECT size_bytes FROM baton.message"
                       " WHERE message_id = %s", sent.message_id)
    assert counted() == {"outbound": 1, "sent": 1, "bytes": size}
    for _ in range(3):
        bring(baton, sent.address(), dsn())
        assert counted() == {"outbound": 1, "bytes": size, "failed": 1,
                             "permanent": 1}


def test_an_asynchronous_block_moves_sent_to_blocked(baton, sink, counted):
    sent = Sent(baton, sink)
    size = baton.value("SELECT size_bytes FROM baton.message"
                       " WHERE message_id = %s", sent.message_id)
    bring(baton, sent.address(), dsn(
        status="5.7.1", diagnostic="smtp; 550 5.7.1 Service unavailable; client"
        " host [192.0.2.1] blocked using Spamhaus"))
    assert counted() == {"outbound": 1, "bytes": size, "blocked": 1}


def test_a_bounce_of_what_failed_already_moves_nothing(baton, sink, counted):
    message_id, size = send(baton, "never@rcpt.example")
    expected = {"outbound": 1, "bytes": size, "failed": 1, "permanent": 1}
    assert counted() == expected
    row = baton.sql("SELECT account_id, delivery_id FROM baton.delivery"
                    " WHERE message_id = %s", message_id)[0]
    local = ReturnPaths(baton.sql).local(row["account_id"], row["delivery_id"])
    bring(baton, f"{local}@{HOST}", dsn(recipient="never@rcpt.example"))
    assert counted() == expected


def test_an_answer_or_a_delay_moves_nothing(baton, sink, counted):
    sent = Sent(baton, sink)
    before = counted()
    bring(baton, sent.address(), auto_reply())
    bring(baton, sent.address(), dsn(action="delayed", status="4.4.1"))
    assert counted() == before


# --- complaints ---

def test_the_first_complaint_of_a_delivery_counts(baton, sink, counted):
    """B9"""
    sent = Sent(baton, sink)
    before = counted()
    bring(baton, sent.address(), arf("not-spam"))
    assert counted() == before
    for _ in range(3):
        bring(baton, sent.address(), arf("abuse"))
        assert counted() == dict(before, complaints=1)


# --- opens and clicks ---

class Hits:
    def __init__(self, baton, sink):
        self.sent = Sent(baton, sink)
        self.baton = baton
        self.tokens = Tokens(baton.sql)

    def ask(self, path, agent=BROWSER, method="GET", **keywords):
        with Web(("127.0.0.1", self.baton.ports["http"])) as web:
            return web.ask(path, method, fields={"User-Agent": agent},
                           **keywords).status

    def open(self, **keywords):
        token = self.tokens.open(self.sent.account, self.sent.delivery)
        return self.ask(f"/o/{token}", **keywords)

    def click(self, link=1, **keywords):
        token = self.tokens.click(self.sent.account, self.sent.delivery, link, URL)
        return self.ask(f"/c/{token}", **keywords)


@pytest.fixture
def hits(baton, sink):
    return Hits(baton, sink)


def test_opens(hits, counted, baton):
    before = counted()
    hits.open(agent=SCANNER)
    assert counted() == dict(before, opens=1, opens_unique=1)
    hits.open()
    assert counted() == dict(before, opens=2, opens_unique=1, opens_human=1)
    hits.open()
    assert counted() == dict(before, opens=3, opens_unique=1, opens_human=1)


def test_clicks_per_link_and_delivery(hits, counted):
    before = counted()
    hits.click(1, agent=SCANNER)
    assert counted() == dict(before, clicks=1, clicks_unique=1)
    hits.click(1)
    hits.click(1)
    assert counted() == dict(before, clicks=3, clicks_unique=1, clicks_human=1)
    hits.click(2)
    assert counted() == dict(before, clicks=4, clicks_unique=2, clicks_human=2)


def test_what_is_no_hit_moves_nothing(hits, counted):
    before = counted()
    hits.open(method="HEAD")
    hits.click(method="HEAD")
    token = hits.tokens.open(hits.sent.account, hits.sent.delivery)
    hits.ask("/o/" + ("A" if token[-1] != "A" else "B") + token[1:])
    token = hits.tokens.click(hits.sent.account, hits.sent.delivery, 1, URL)
    hits.ask(f"/c/{token[:30]}{'A' if token[30] != 'A' else 'B'}{token[31:]}")
    # Behind all of these on the same connection to PostgreSQL:
    hits.open()
    assert counted() == dict(before, opens=1, opens_unique=1, opens_human=1)


# --- unsubscribes ---

def test_an_unsubscribe_is_a_change_of_state(baton, sink, hits, counted):
    group = baton.value("SELECT group_id FROM baton.message_group"
                        " WHERE name = 'News'")
    token = hits.tokens.unsubscribe(hits.sent.account, hits.sent.delivery, group,
                                    "b@rcpt.example")
    before = counted()

    def post(body):
        with Web(("127.0.0.1", baton.ports["http"])) as web:
            assert web.ask(f"/u/{token}", "POST", body=body, fields={
                "Content-Type": "application/x-www-form-urlencoded"}).status == 200
    assert hits.ask(f"/u/{token}") == 200
    assert counted() == before
    for _ in range(2):
        post(b"List-Unsubscribe=One-Click")
        assert counted() == dict(before, unsubscribes=1)
    for _ in range(2):
        post(b"resubscribe=1")
        assert counted() == dict(before, unsubscribes=1, resubscribes=1)


def test_an_unsubscribe_by_mail_counts_once(baton, sink, counted):
    sent = Sent(baton, sink, fields="X-Baton-Group: News\r\n")
    before = counted()
    for _ in range(2):
        bring(baton, sent.address("u"), person("unsubscribe", ""),
              "b@rcpt.example")
        assert counted() == dict(before, unsubscribes=1)


# --- inbound ---

def test_inbound_is_messages_for_inbound_routes_alone(baton, sink, counted):
    bring(baton, "help@sender.example", person(), "c@customer.example")
    baton.wait_for_empty_queue()
    assert counted() == {"inbound": 1}


# --- views ---

def test_the_day_is_the_sum_of_its_hours(baton):
    names = [row["column_name"] for row in baton.sql(
        "SELECT column_name FROM information_schema.columns WHERE table_schema ="
        " 'report' AND table_name = 'counters_daily' AND data_type = 'bigint'"
        " AND column_name NOT IN ('account_id', 'group_id')")]
    assert {"outbound", "blocked", "failed", "inbound"} <= set(names)
    sums = ", ".join(f"coalesce(sum({name}), 0)::text AS {name}" for name in names)
    day, = baton.sql(f"SELECT {sums} FROM report.counters_daily")
    hour, = baton.sql(f"SELECT {sums} FROM report.counters_hourly")
    raw, = baton.sql("SELECT " + sums.replace(
        "sum(failed)", "sum(failed_permanent + failed_expired + failed_suppressed)")
        + " FROM baton.counter")
    assert day == hour == raw
