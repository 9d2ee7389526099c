# SPDX-License-Identifier: MIT
"""Notices of failures to an account's manager and to authors: who is told, how
often, in what form, and never in a loop (T24, B8)."""

import email
import email.policy
import re

import pytest

import inbound
from dialogue import message
from returned import dsn
from waiting import wait_until

BOSS = "boss@manager.example"
AUTHOR = "author@sender.example"
NOBODY = {"RCPT": lambda session, argument:
          "550 5.1.1 Nobody of that name" if "rcpt.example" in argument else None}


def settings_of(baton, settings):
    baton.sql("UPDATE baton.account SET manager_email = %s", BOSS)
    for key, value in dict({"delivery_reports": "off"}, **settings).items():
        baton.cli("set", "demo", key, value)


@pytest.fixture
def relay(make_baton, make_sink):
    """A Baton whose manager is told, and a sink that knows no recipient at
    rcpt.example. Its period does not end by itself."""
    def make(on=None, config=None, routes=None, **settings):
        sink = make_sink(on=on or NOBODY)
        config = config or {}
        config.setdefault("delivery", {}).setdefault("notice_period", "7 d")
        baton = make_baton(config, prepare=lambda b: settings_of(b, settings),
                           routes=routes or {"*": f"smtp://127.0.0.1:{sink.port}"})
        return baton, sink
    return make


def fail(baton, count, content=None, prefix="r"):
    """Deliveries that fail, and are written down."""
    recipients = [f"{prefix}{i}@rcpt.example" for i in range(count)]
    baton.submit(content or message(sender=AUTHOR), recipients)
    settle(baton, recipients)
    return recipients


def settle(baton, recipients):
    wait_until(lambda: baton.value(
        "SELECT count(*) FROM baton.delivery WHERE recipient = ANY (%s)"
        " AND state IN ('failed', 'expired', 'suppressed', 'rejected')",
        list(recipients)) == len(recipients), "the failures", 20)


def waiting(baton):
    return baton.value("SELECT count(*) FROM baton.notice_failure"
                       " WHERE notice_id IS NULL")


def wait_until_told(baton, left=0):
    """All that is due is stored and delivered, `left` failures wait."""
    wait_until(lambda: waiting(baton) == left
               and baton.value("SELECT count(*) FROM baton.notice") == 0
               and baton.queue_is_empty(), f"{left} left to be told", 20)


def end_period(baton):
    baton.sql("UPDATE baton.notice_period SET ends_at = now()")


def to(sink, address):
    return [one for one in sink.messages if one.recipients == [address]]


def parsed(one):
    return email.message_from_bytes(one.data, policy=email.policy.default)


def singles(sink, address=BOSS):
    return [one for one in to(sink, address)
            if parsed(one).get_content_type() == "multipart/report"]


def digests(sink, address=BOSS):
    return [one for one in to(sink, address)
            if parsed(one).get_content_type() == "text/plain"]


def listed(digest):
    return re.findall(r"<([^>]+@rcpt\.example)>", parsed(digest).get_content())


# --- how often, and in what form ---

def test_the_first_are_told_one_by_one_and_the_rest_in_one_digest(relay):
    baton, sink = relay(notices_per_period="3")
    recipients = fail(baton, 8, message(sender=AUTHOR))
    wait_until_told(baton, left=5)
    assert len(singles(sink)) == 3 and not digests(sink)
    end_period(baton)
    wait_until_told(baton)
    assert len(singles(sink)) == 3
    digest, = digests(sink)
    told = [parsed(one).get_payload()[1].get_payload()[1]["Final-Recipient"]
            .split(";")[1].strip() for one in singles(sink)]
    assert sorted(told + listed(digest)) == sorted(recipients)


def test_a_digest_says_who_why_and_which_message(relay):
    baton, sink = relay(notices_per_period="0", on={
        "RCPT": lambda session, argument:
            "550 5.2.2 Mailbox full" if "full" in argument
            else "550 5.1.1 Nobody" if ".example" in argument
            and "manager" not in argument else None})
    baton.submit(message(sender=AUTHOR, subject="Winter sale"),
                 ["a@one.example", "full@one.example", "c@two.example"])
    settle(baton, ["a@one.example", "full@one.example", "c@two.example"])
    wait_until(lambda: waiting(baton) == 3, "three that wait")
    wait_until(lambda: baton.value("SELECT count(*) FROM baton.notice_period"), "a period")
    message_id = baton.value("SELECT message_id FROM baton.message")
    end_period(baton)
    wait_until_told(baton)
    digest = parsed(digests(sink)[0])
    text = digest.get_content()
    assert digest["Auto-Submitted"] == "auto-generated"
    assert digest["Subject"] == "Undelivered mail: 3 deliveries"
    assert digests(sink)[0].sender == ""
    for line in (r"^ +2  invalid_address$", r"^ +1  mailbox_full$",
                 r"^ +2  one\.example$", r"^ +1  two\.example$",
                 r"<full@one\.example>$", r"^    reply:   550 5\.2\.2 Mailbox full$",
                 r"^    reply:   550 5\.1\.1 Nobody$",
                 rf"^    message: {message_id}$", r"^    subject: Winter sale$"):
        assert re.search(line, text.replace("\r", ""), re.M), (line, text)
    assert "more: SQL" not in text


def test_a_long_digest_ends_with_a_query_that_lists_all(relay):
    baton, sink = relay(notices_per_period="0")
    for part in range(3):
        fail(baton, 75, prefix=f"p{part}x")
    wait_until(lambda: waiting(baton) == 225, "all that wait")
    wait_until(lambda: baton.value("SELECT count(*) FROM baton.notice_period"), "a period")
    end_period(baton)
    wait_until_told(baton)
    digest, = digests(sink)
    text = parsed(digest).get_content().replace("\r", "")
    assert len(listed(digest)) == 200 and "and 25 more: SQL" in text
    query = " ".join(text.partition("more: SQL")[2].split())
    assert len({row["recipient"] for row in baton.sql(query)}) == 225
    assert max(len(line) for line in text.split("\n")) < 998


def test_the_limit_holds_for_all_workers_together(relay):
    baton, sink = relay(config={"server": {"workers": "3"}}, notices_per_period="4")
    for part in range(6):
        fail(baton, 4, prefix=f"w{part}x")
    wait_until_told(baton, left=20)
    end_period(baton)
    wait_until_told(baton)
    assert len(singles(sink)) == 4
    assert len(digests(sink)) == 1 and len(listed(digests(sink)[0])) == 20


def test_a_period_ends_by_the_clock_and_loses_nothing(relay):
    """Whatever periods the failures fall into: each is told once."""
    baton, sink = relay(notices_per_period="1", config={
        "server": {"clock_rate": "60"}, "delivery": {"notice_period": "3 min"}})
    recipients = fail(baton, 6)
    wait_until_told(baton)
    told = [parsed(one).get_payload()[1].get_payload()[1]["Final-Recipient"]
            .split(";")[1].strip() for one in singles(sink)]
    for one in digests(sink):
        told += listed(one)
    assert digests(sink) and sorted(told) == sorted(recipients)


def test_the_sender_gets_every_report_whatever_the_limit(relay):
    """E8: the protocol's own reports are not gathered."""
    baton, sink = relay(notices_per_period="0", delivery_reports="on")
    fail(baton, 5)
    sink.wait_for(5, where=lambda one: one.recipients == ["a@sender.example"])
    assert not to(sink, BOSS) and waiting(baton) == 5


def test_every_addressee_has_a_digest_of_his_own(relay):
    baton, sink = relay(notices_per_period="0", notices_to_author="on")
    fail(baton, 2, message(sender="one@sender.example"), "x")
    fail(baton, 1, message(sender="two@sender.example"), "y")
    wait_until(lambda: waiting(baton) == 6, "all that wait")
    wait_until(lambda: baton.value("SELECT count(*) FROM baton.notice_period"), "a period")
    end_period(baton)
    wait_until_told(baton)
    assert [len(listed(one)) for one in digests(sink)] == [3]
    assert [len(listed(one)) for one in digests(sink, "one@sender.example")] == [2]
    assert [len(listed(one)) for one in digests(sink, "two@sender.example")] == [1]


def test_no_notice_is_lost_or_doubled_by_kill_9(relay):
    """Whatever its maker was doing when he was killed."""
    baton, sink = relay(notices_per_period="2")
    recipients = fail(baton, 6)
    wait_until(lambda: baton.value("SELECT count(*) FROM baton.notice_period"),
               "a decision")
    baton.kill_everything()
    end_period(baton)
    # What was in hand is anybody's after CLAIM_MILLISECONDS.
    baton.sql("UPDATE baton.notice SET claimed_until = '-infinity'")
    baton.start()
    wait_until_told(baton)
    stored = baton.value("SELECT count(*) FROM baton.idempotency"
                         " WHERE key LIKE %s", 'notice %')
    told = singles(sink)
    named = [name for one in digests(sink) for name in listed(one)]
    assert len(told) + len(named) == len(recipients)
    assert stored == len(told) + len(digests(sink))


def test_a_notice_that_is_stored_already_is_not_made_again(relay):
    baton, sink = relay(notices_per_period="2")
    # PostgreSQL keeps what the worker wants to forget, as if it had been killed.
    baton.sql("CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS"
              " 'BEGIN RAISE EXCEPTION ''not now''; END'")
    baton.sql("CREATE TRIGGER keep BEFORE DELETE ON baton.notice"
              " EXECUTE FUNCTION keep()")
    fail(baton, 1)
    sink.wait_for(1, where=lambda one: one.recipients == [BOSS])
    baton.sql("DROP TRIGGER keep ON baton.notice")
    baton.sql("UPDATE baton.notice SET claimed_until = '-infinity'")
    wait_until_told(baton)
    assert len(to(sink, BOSS)) == 1


# --- never in loops ---

@pytest.mark.parametrize("fields, told", [
    ("Auto-Submitted: auto-generated\r\n", set()),
    ("Auto-Submitted: auto-replied (vacation)\r\n", set()),
    ("Auto-Submitted: no\r\n", {BOSS, AUTHOR}),
    ("auto-submitted:\r\n No; reason=x\r\n", {BOSS, AUTHOR}),
    ("Precedence: bulk\r\n", {BOSS}),
    ("Precedence: junk\r\n", {BOSS}),
    ("Precedence: List\r\n", {BOSS}),
    ("Precedence: first-class\r\n", {BOSS, AUTHOR}),
])
def test_t24_nobody_is_told_of_automatic_mail(relay, fields, told):
    baton, sink = relay(notices_to_author="on")
    fail(baton, 1, message(sender=AUTHOR, fields=fields))
    wait_until_told(baton)
    assert {one.recipients[0] for one in sink.messages} == told


def test_t24_nobody_is_told_of_mail_with_the_null_sender(relay):
    baton, sink = relay(notices_to_author="on")
    baton.submit(message(sender=AUTHOR), ["b@rcpt.example"], sender="")
    settle(baton, ["b@rcpt.example"])
    assert waiting(baton) == 0
    wait_until_told(baton)
    assert not sink.messages


def test_t24_a_notice_that_fails_is_told_to_nobody(relay):
    """B8: neither a single one nor a digest."""
    baton, sink = relay(notices_per_period="1", delivery_reports="on",
                        on={"RCPT": "550 5.1.1 nobody at all"})
    fail(baton, 3)
    wait_until_told(baton, left=2)
    end_period(baton)
    wait_until_told(baton)
    # Three reports to the sender, one notice, one digest; nothing about them.
    assert baton.value("SELECT count(*) FROM baton.message"
                       " WHERE protocol = 'report'") == 5
    wait_until(lambda: set(baton.deliveries().values()) == {"failed"}, "all failed")
    assert waiting(baton) == 0


def test_notices_have_the_null_sender_and_say_what_they_are(relay):
    """B8"""
    baton, sink = relay(notices_per_period="1")
    fail(baton, 2)
    wait_until_told(baton, left=1)
    end_period(baton)
    wait_until_told(baton)
    assert len(to(sink, BOSS)) == 2
    for one in to(sink, BOSS):
        assert one.sender == ""
        assert parsed(one)["Auto-Submitted"] == "auto-generated"
        assert parsed(one)["From"].addresses[0].username == "MAILER-DAEMON"
    assert baton.value("SELECT count(*) FROM baton.message"
                       " WHERE policy -> 'notice' = 'true'") == 2


def test_a_suppressed_addressee_is_not_sent_to(relay):
    baton, sink = relay()
    baton.sql("INSERT INTO baton.suppression (account_id, address, reason,"
              " evidence, created_at) SELECT account_id, %s, 'complaint',"
              " 'a report', now() FROM baton.account WHERE name = 'demo'", BOSS)
    fail(baton, 1)
    wait_until_told(baton)
    assert not to(sink, BOSS)
    assert baton.metric('baton_notices_total{kind="withheld"}') == 1
    assert "a notice is not sent" in baton.log()


def test_the_recipient_that_fails_is_not_told_so(relay):
    baton, sink = relay(on={"RCPT": "550 5.1.1 nobody"}, notices_to_author="on")
    baton.submit(message(sender=AUTHOR), [BOSS, AUTHOR.upper()])
    settle(baton, [BOSS, AUTHOR.upper()])
    wait_until_told(baton)
    told = baton.sql("SELECT d.recipient FROM baton.message m JOIN baton.delivery d"
                     " USING (account_id, message_id) WHERE m.protocol = 'report'")
    assert sorted(row["recipient"] for row in told) == sorted([AUTHOR, BOSS])


def test_who_is_sender_and_manager_is_told_once(relay):
    baton, sink = relay(delivery_reports="on", notices_to_author="on")
    baton.submit(message(sender=BOSS.upper()), ["b@rcpt.example"], sender=BOSS)
    settle(baton, ["b@rcpt.example"])
    wait_until_told(baton)
    assert len(sink.messages) == 1


# --- what is told ---

def test_what_expires_without_its_bytes_is_told_to_the_author(relay):
    baton, sink = relay(notices_to_author="on",
                        on={"RCPT": lambda session, argument:
                            "451 4.2.0 later" if "rcpt.example" in argument
                            else None},
                        config={"server": {"clock_rate": "60"}})
    baton.submit(message(sender=AUTHOR, fields="X-Baton-Expires-After: 2 min\r\n"),
                 ["b@rcpt.example"])
    settle(baton, ["b@rcpt.example"])
    wait_until_told(baton)
    assert len(to(sink, AUTHOR)) == 1 and len(to(sink, BOSS)) == 1
    status = parsed(to(sink, AUTHOR)[0]).get_payload()[1].get_payload()[1]
    assert status["Status"] == "4.4.7"


def test_refusals_after_acceptance_are_told(relay):
    baton, sink = relay(on_refusal="accept", on={"RCPT": None})
    baton.sql("INSERT INTO baton.suppression (account_id, address, reason,"
              " evidence, created_at) SELECT account_id, 'b@rcpt.example',"
              " 'manual', 'wished', now() FROM baton.account WHERE name = 'demo'")
    baton.submit(message(sender=AUTHOR), ["b@rcpt.example", "c@rcpt.example"])
    settle(baton, ["b@rcpt.example"])
    wait_until_told(baton)
    notice, = singles(sink)
    assert b"b@rcpt.example" in notice.data and b"suppressed" in notice.data


def test_an_asynchronous_bounce_is_told_once(factory, make_sink, postgres, make_baton):
    """B7"""
    sink = make_sink()

    def prepare(baton):
        inbound.prepare(baton)
        settings_of(baton, {"notices_to_author": "on"})
    baton = inbound.make(make_baton, sink, prepare=prepare)
    sent = inbound.Sent(baton, sink)
    for _ in range(2):
        inbound.bring(baton, sent.address(), dsn())
    wait_until_told(baton)
    notice, = singles(sink)
    assert b"reported later" in notice.data
