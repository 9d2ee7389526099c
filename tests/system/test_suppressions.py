# SPDX-License-Identifier: MIT
"""Addresses that get no more mail: known to every worker of every node within
a second, whoever wrote them; met before each try; made by hard bounces."""

import concurrent.futures
import re
import time

import psycopg2
import pytest

import instance
from dialogue import message
from instance import Baton
from waiting import wait_until

TRACKING = False
RECIPIENT = "b@rcpt.example"
HELLO = message()
# What is promised, and what a program with sanitizers on a busy machine needs.
SECONDS = 5 if instance.has_sanitizer() else 1


def suppress(baton, address, group_id=None, reason="manual", expires_at=None):
    """As an operator does with psql."""
    baton.sql("INSERT INTO baton.suppression (account_id, address, group_id,"
              " reason, evidence, expires_at) SELECT account_id, %s, %s, %s,"
              " 'by SQL', %s FROM baton.account", address, group_id, reason,
              expires_at)


def try_to_submit(session, text=HELLO, recipient=RECIPIENT):
    """The reply to the final dot."""
    session.envelope("a@sender.example", recipient)
    return session.data(text, code=None)


def answer_of(baton, text=HELLO, recipient=RECIPIENT):
    with baton.session() as session:
        return try_to_submit(session, text, recipient)


def await_answer(baton, code, text=HELLO, recipient=RECIPIENT):
    """Of every worker, as far as one can ask: each knows within a second."""
    wait_until(lambda: all(answer_of(baton, text, recipient).code == code
                           for _ in range(20)), f"{code} for {recipient}")


def with_header(line):
    return message(fields=line + "\r\n")


def route_to(sink):
    return {"*": f"smtp://127.0.0.1:{sink.port}"}


# Everywhere

@pytest.fixture
def nodes(make_baton, make_sink, nameserver, certificate):
    """Two nodes of two workers each, and sessions with all four of them."""
    sink = make_sink()
    settings = {"limits": {"messages_per_session": "1000000"}}
    first = make_baton(settings, routes=route_to(sink))
    second = Baton(first.url, settings, None, certificate, nameserver).start()
    yield first, second
    second.close()


def sessions_with_everybody(nodes):
    """A worker takes no more than its share: of twelve sessions each has some."""
    return [node.session() for node in nodes for _ in range(12)]


def await_answers(sessions, code):
    """Until every worker answers so; how long that took."""
    begin = time.monotonic()
    for session in sessions:
        while try_to_submit(session).code != code:
            assert time.monotonic() < begin + SECONDS, f"no {code}"
            time.sleep(0.02)  # many sessions ask again and again
    return time.monotonic() - begin


def test_u5_every_worker_of_every_node_knows_within_a_second(nodes):
    first, second = nodes
    sessions = sessions_with_everybody(nodes)
    await_answers(sessions, 250)
    ways = [
        (lambda: first.cli("suppression", "add", "demo", RECIPIENT), 550),
        (lambda: second.cli("suppression", "remove", "demo", RECIPIENT), 250),
        (lambda: suppress(second, "B@RCPT.example"), 550),
        (lambda: first.sql("UPDATE baton.suppression SET expires_at = now()"), 250),
        (lambda: first.sql("UPDATE baton.suppression SET expires_at = NULL"), 550),
        (lambda: first.sql("DELETE FROM baton.suppression"), 250),
        (lambda: first.sql(
            "INSERT INTO baton.suppression (account_id, address, reason)"
            " SELECT 1, 'x' || n || '@rcpt.example', 'manual'"
            " FROM generate_series(1, 5000) n"
            " UNION SELECT 1, 'b@rcpt.example', 'manual'"), 550),
        (lambda: first.sql("TRUNCATE baton.suppression"), 250),
    ]
    for change, code in ways:
        change()
        await_answers(sessions, code)
    for session in sessions:
        session.close()


def test_what_commits_late_is_not_missed(nodes):
    """Others commit while a transaction that wrote before them is still open."""
    first, second = nodes
    sessions = sessions_with_everybody(nodes)
    await_answers(sessions, 250)
    slow = psycopg2.connect(first.url)
    with slow.cursor() as cursor:
        cursor.execute("INSERT INTO baton.suppression (account_id, address,"
                       " reason) VALUES (1, 'b@rcpt.example', 'manual')")
    suppress(second, "other@rcpt.example")
    for node in nodes:
        await_answer(node, 550, recipient="other@rcpt.example")
    await_answers(sessions, 250)
    slow.commit()
    slow.close()
    await_answers(sessions, 550)
    for session in sessions:
        session.close()


WORKERS = 2


def is_answered(baton, codes):
    """The code of an answer that is not "try again later"."""
    try:
        codes.add(answer_of(baton).code)
    except AssertionError as later:
        if "451 4.3.0" not in str(later):
            raise
        return False
    return True


def test_a_worker_that_lost_postgresql_believes_nothing_old(make_baton, make_sink):
    baton = make_baton(routes=route_to(make_sink()))
    assert answer_of(baton).code == 250
    baton.sql("BEGIN; INSERT INTO baton.suppression (account_id, address, reason)"
              " VALUES (1, 'b@rcpt.example', 'manual');"
              " DELETE FROM baton.suppression_change; COMMIT")
    baton.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
              " WHERE datname = current_database() AND pid <> pg_backend_pid()")
    wait_until(lambda: baton.log().count("database up") >= 2 * WORKERS,
               "the workers to have noticed")
    wait_until(baton.are_all_ready, "the workers to be back")
    codes = set()
    for _ in range(8):
        wait_until(lambda: is_answered(baton, codes), "an answer")
    assert codes == {550}


# Who may still be sent to

def test_u6_another_group_is_not_concerned(baton):
    news = message(subject="x {News}")
    assert answer_of(baton, news).code == 250
    suppress(baton, RECIPIENT, baton.value(
        "SELECT group_id FROM baton.message_group WHERE name = 'News'"),
        "unsubscribe")
    await_answer(baton, 550, news)
    assert answer_of(baton).code == 250
    assert answer_of(baton, message(subject="x {Reset}")).code == 250
    said = answer_of(baton, news).text
    assert "in the group News: unsubscribe on 20" in said and "by SQL" in said
    baton.sql("UPDATE baton.message_group SET name = 'Offers'"
              " WHERE name = 'News'")
    wait_until(lambda: "in the group Offers: " in answer_of(
        baton, message(subject="x {Offers}")).text, "its new name")
    await_answer(baton, 550, message(subject="x {Offers}"))
    baton.sql("DELETE FROM baton.suppression")


def test_a_suppression_ends(make_baton, make_sink):
    baton = make_baton({"server": {"clock_rate": "60", "lease": "10 min"}},
                       routes=route_to(make_sink()))
    assert answer_of(baton).code == 250
    now = baton.value("SELECT max(accepted_at) FROM baton.message")
    suppress(baton, RECIPIENT, expires_at=baton.value(
        "SELECT %s + interval '10 min'", now))
    wait_until(lambda: answer_of(baton).code == 550, "the suppression")
    wait_until(lambda: answer_of(baton).code == 250, "its end")


def test_a_bypass_is_recorded(baton, sink):
    suppress(baton, RECIPIENT)
    await_answer(baton, 550)
    baton.wait_for_empty_queue()
    sink.messages.clear()
    baton.submit(with_header("X-Baton-Bypass-Suppression: on"))
    sink.wait_for(1)
    baton.wait_for_empty_queue()
    detail = baton.value("SELECT detail FROM baton.event WHERE kind ="
                         " 'delivered' ORDER BY event_id DESC LIMIT 1")
    assert detail["bypassed"].startswith("b@rcpt.example is suppressed: manual on")
    baton.submit(with_header("X-Baton-Bypass-Suppression: on"),
                 ["free@rcpt.example"])
    baton.wait_for_empty_queue()
    detail = baton.value("SELECT detail FROM baton.event WHERE kind ="
                         " 'delivered' ORDER BY event_id DESC LIMIT 1")
    assert "bypassed" not in detail
    baton.sql("DELETE FROM baton.suppression")


# Before each try

@pytest.fixture
def deferring(make_baton, make_sink):
    """A Baton on a fast clock, with a delivery that was deferred once."""
    sink = make_sink(on={"RCPT": "451 4.2.0 Later"})
    baton = make_baton({"server": {"clock_rate": "60", "lease": "10 min"},
                        "delivery": {"retry": "5 min", "host_penalty": "1 ms"}},
                       routes=route_to(sink))
    return baton, sink


def test_u5_what_waits_for_its_next_try_is_not_tried(deferring):
    baton, sink = deferring
    baton.submit(HELLO, [RECIPIENT, "c@rcpt.example"])
    wait_until(lambda: baton.value("SELECT count(*) FROM baton.attempt") == 2,
               "the first tries")
    suppress(baton, RECIPIENT, reason="complaint")
    sink.on.clear()
    wait_until(lambda: baton.deliveries() == {RECIPIENT: "suppressed",
                                              "c@rcpt.example": "delivered"},
               "both ends")
    baton.wait_for_empty_queue()
    assert sink.wait_for(1)[0].recipients == ["c@rcpt.example"]
    row, = baton.sql("SELECT last_reply, attempt_count, finished_at IS NOT NULL"
                     " AS ended FROM baton.delivery WHERE recipient = %s",
                     RECIPIENT)
    assert row["attempt_count"] == 1 and row["ended"]
    assert "is suppressed: complaint on 20" in row["last_reply"]
    event, = baton.sql("SELECT detail FROM baton.event WHERE kind = 'suppressed'")
    assert event["detail"] == {"reason": "complaint", "evidence": "by SQL"}
    assert baton.sql("SELECT sum(failed_suppressed)::int AS suppressed, sum(sent)"
                     "::int AS sent FROM baton.counter") == [
        {"suppressed": 1, "sent": 1}]


def test_what_bypasses_is_tried_again(deferring):
    baton, sink = deferring
    baton.submit(with_header("X-Baton-Bypass-Suppression: on"))
    wait_until(lambda: baton.value("SELECT count(*) FROM baton.attempt"),
               "the first try")
    suppress(baton, RECIPIENT)
    sink.on.clear()
    wait_until(lambda: baton.deliveries() == {RECIPIENT: "delivered"}, "its end")
    assert baton.value("SELECT detail ? 'bypassed' FROM baton.event"
                       " WHERE kind = 'delivered'")


def test_what_is_to_be_sent_later_is_not_sent(make_baton, make_sink):
    sink = make_sink()
    baton = make_baton({"server": {"workers": "1"}}, routes=route_to(sink))
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
    baton.submit(with_header(f"X-Baton-Send-At: {at}"))
    suppress(baton, RECIPIENT)
    wait_until(lambda: baton.deliveries() == {RECIPIENT: "suppressed"}, "its end")
    assert not sink.messages


# By themselves

def unknown(session, argument):
    return "550 5.1.1 No such user" if "gone" in argument.lower() else None


def suppress_bounces(baton):
    baton.sql("UPDATE baton.account SET settings = settings ||"
              """ '{"suppress_hard_bounces": "on"}'""")


@pytest.fixture
def make_bouncing(make_baton, make_sink):
    def make(step, rule):
        sink = make_sink(on={step: rule})
        return make_baton(routes=route_to(sink), prepare=suppress_bounces)
    return make


@pytest.fixture
def bouncing(make_bouncing):
    return make_bouncing("RCPT", unknown)


def suppressions(baton):
    return baton.sql("SELECT s.address, s.group_id, s.reason, s.evidence,"
                     " d.recipient FROM baton.suppression s LEFT JOIN"
                     " baton.delivery d USING (account_id, delivery_id)"
                     " ORDER BY address")


def test_b1_a_reply_that_names_the_address_suppresses_it(bouncing):
    baton = bouncing
    baton.submit(HELLO, ["Gone@rcpt.example", RECIPIENT])
    baton.wait_for_empty_queue()
    assert suppressions(baton) == [{
        "address": "gone@rcpt.example", "group_id": None,
        "reason": "hard_bounce", "evidence": "550 5.1.1 No such user",
        "recipient": "Gone@rcpt.example"}]
    await_answer(baton, 550, recipient="gone@rcpt.example")
    said = answer_of(baton, recipient="GONE@rcpt.example")
    assert said.enhanced == "5.7.1"
    assert re.search(r"hard_bounce on 20\d\d-\d\d-\d\d \(550 5\.1\.1 No such user\)",
                     said.text)
    detail = baton.value("SELECT detail FROM baton.event WHERE kind = 'bounced'")
    assert detail["class"] == "invalid_address" and detail["suppresses"] is True


def test_an_account_may_not_want_that(bouncing):
    baton = bouncing
    loaded = baton.log().count("the directory was loaded")
    baton.cli("set", "demo", "suppress_hard_bounces", "off")
    wait_until(lambda: baton.log().count("the directory was loaded") >= loaded + 2,
               "both workers to know")
    baton.submit(HELLO, ["gone@rcpt.example"])
    baton.wait_for_empty_queue()
    assert suppressions(baton) == []


def test_b3_a_message_that_is_refused_suppresses_nobody(make_bouncing):
    baton = make_bouncing("message", "550 5.1.1 No such user here")
    baton.submit(HELLO, [f"r{i}@rcpt.example" for i in range(5)])
    baton.wait_for_empty_queue()
    assert set(baton.deliveries().values()) == {"failed"}
    # The report to the sender, which has one recipient, is refused as well.
    assert [row["address"] for row in suppressions(baton)] == ["a@sender.example"]


def test_a_suppression_by_hand_is_not_overwritten(bouncing):
    baton = bouncing
    baton.sql("INSERT INTO baton.suppression (account_id, address, reason,"
              " expires_at) VALUES (1, 'gone@rcpt.example', 'manual', NULL),"
              " (1, 'gone2@rcpt.example', 'manual', now() - interval '1 s')")
    baton.submit(with_header("X-Baton-Bypass-Suppression: on"),
                 ["gone@rcpt.example", "gone2@rcpt.example"])
    baton.wait_for_empty_queue()
    assert [(row["address"], row["reason"]) for row in suppressions(baton)] == [
        ("gone2@rcpt.example", "hard_bounce"), ("gone@rcpt.example", "manual")]


def test_who_is_killed_suppresses_all_the_same(bouncing):
    baton = bouncing
    recipients = [f"gone{i}@rcpt.example" for i in range(300)]
    for i in range(0, 300, 50):
        baton.submit(HELLO, recipients[i:i + 50])
    wait_until(lambda: baton.value("SELECT count(*) FROM baton.suppression") > 20,
               "the first of them")
    baton.kill_everything()
    baton.crashes_expected = True
    baton.start()
    baton.wait_for_empty_queue(60)
    # A try that was made, but not recorded, is made again; unless the address
    # is suppressed by then.
    assert baton.value("SELECT count(*) FROM baton.suppression") == 300
    assert baton.value("SELECT count(DISTINCT delivery_id) FROM baton.event"
                       " WHERE kind IN ('bounced', 'suppressed')") == 300
    assert baton.value("SELECT count(*) FROM baton.event"
                       " WHERE kind IN ('bounced', 'suppressed')") == 300
    assert baton.value("SELECT sum(failed_permanent + failed_suppressed)::int"
                       " FROM baton.counter") == 300


# At RCPT

def test_an_account_may_want_to_hear_it_at_rcpt(make_baton, make_sink):
    sink = make_sink()
    baton = make_baton(routes=route_to(sink))
    baton.cli("set", "demo", "suppression_check", "rcpt")
    suppress(baton, RECIPIENT)
    suppress(baton, "news@rcpt.example", 0)

    def refused_at_rcpt():
        with baton.session() as session:
            session.command("MAIL FROM:<a@sender.example>", 250)
            return session.command(f"RCPT TO:<{RECIPIENT}>").code == 550
    wait_until(lambda: all(refused_at_rcpt() for _ in range(20)),
               "the setting and the suppression")
    with baton.session() as session:
        session.send("MAIL FROM:<last@sender.example>\r\n"
                     "RCPT TO:<c@rcpt.example>\r\n"
                     f"RCPT TO:<{RECIPIENT}>\r\n"
                     "RCPT TO:<news@rcpt.example>\r\n"
                     "RCPT TO:<d@rcpt.example>\r\n")
        codes = [session.reply() for _ in range(5)]
        assert [reply.code for reply in codes] == [250, 250, 550, 250, 250]
        assert codes[2].enhanced == "5.7.1"
        assert "b@rcpt.example is suppressed: manual on" in codes[2].text
        session.data(HELLO)
    baton.wait_for_empty_queue()
    assert baton.deliveries() == {"c@rcpt.example": "delivered",
                                  "d@rcpt.example": "delivered",
                                  "news@rcpt.example": "suppressed"}
    row, = wait_until(lambda: baton.sql(
        "SELECT recipient, detail->>'kind' AS kind FROM baton.event"
        " WHERE kind = 'rejected' AND detail->>'sender' ="
        " 'last@sender.example'"), "the refusal to be recorded")
    assert row == {"recipient": RECIPIENT, "kind": "suppression"}


def test_clients_that_leave_while_they_are_asked_about(make_baton, make_sink):
    """Nobody waits for an answer to a session that is gone."""
    baton = make_baton(routes=route_to(make_sink()))
    baton.cli("set", "demo", "suppression_check", "rcpt")
    baton.sql("INSERT INTO baton.suppression (account_id, address, reason)"
              " SELECT 1, 'x' || n || '@rcpt.example', 'manual'"
              " FROM generate_series(1, 20000) n")

    def leave(number):
        session = baton.session()
        session.send("MAIL FROM:<a@sender.example>\r\n" + "".join(
            f"RCPT TO:<x{number * 100 + n}@rcpt.example>\r\n"
            for n in range(100)))
        session.close()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(leave, range(100)))
    assert baton.is_ready()
    assert answer_of(baton, recipient="y@rcpt.example").code == 250


@pytest.mark.parametrize("written, said", [
    ("x@bücher.example", "x@xn--bcher-kva.example"),
    ("x@XN--bcher-kva.example", "x@BÜCHER.example"),
    ("ä@bücher.example", "Ä@xn--BCHER-kva.example")])
def test_t10_a_domain_has_one_name(baton, written, said):
    """However the domain is written, the mailbox that is not sent to is the one
    that was suppressed: by the command line, from a file and as a recipient."""
    def answer(address):
        with baton.session() as session:
            session.command("MAIL FROM:<a@sender.example> SMTPUTF8", 250)
            session.command(f"RCPT TO:<{address}>", 250)
            return session.data(HELLO, code=None).code

    def is_answered(code):
        return all(answer(address) == code for address in (written, said)
                   for _ in range(6))

    baton.cli("suppression", "add", "demo", written)
    wait_until(lambda: is_answered(550), "the suppression")
    assert baton.cli_json("suppression", "list", "demo", "--address", said)
    baton.cli("suppression", "remove", "demo", said)
    wait_until(lambda: is_answered(250), "its end")
    path = baton.folder + "/suppressions.csv"
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"address,reason\n{said},unsubscribe\n")
    baton.cli("suppression", "import", "demo", path)
    wait_until(lambda: is_answered(550), "the import")
    baton.cli("suppression", "remove", "demo", written)
