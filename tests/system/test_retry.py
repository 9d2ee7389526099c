# SPDX-License-Identifier: MIT
"""Later, and too late: on a clock that runs fast."""

import email
import re

import pytest

from dialogue import message
from waiting import wait_until

HELLO = message()


@pytest.fixture
def fast(make_baton, make_sink):
    """A Baton whose clock runs `rate` times as fast, delivering to a sink."""
    def make(rate=600, prepare=None, settings=None, **arguments):
        sink = make_sink(**arguments)
        settings = settings or {}
        settings.setdefault("server", {})["clock_rate"] = str(rate)
        baton = make_baton(settings, prepare=prepare, routes={
            "*": f"smtp://127.0.0.1:{sink.port}"})
        return baton, sink
    return make


def reports(sink, recipient="a@sender.example"):
    return sink.wait_for(1, where=lambda m: recipient in m.recipients)


def parse(report):
    parsed = email.message_from_bytes(report.data)
    assert parsed.get_content_type() == "multipart/report"
    assert parsed.get_param("report-type") == "delivery-status"
    return parsed, parsed.get_payload()


def fields_of(status):
    """The groups of fields of a message/delivery-status part."""
    return [dict(group.items()) for group in status.get_payload()]


def test_s13_the_schedule_of_retries(fast):
    baton, sink = fast(on={"RCPT": "451 4.2.0 Later"}, settings={
        "delivery": {"retry": "1 min, 5 min, 15 min", "host_penalty": "1 ms"}})
    baton.submit(HELLO)
    wait_until(lambda: baton.value("SELECT count(*) FROM baton.attempt") >= 4,
               "four tries", 60)
    rows = baton.sql("SELECT number, extract(epoch FROM started_at)::float AS at "
                     "FROM baton.attempt ORDER BY number")
    delays = [b["at"] - a["at"] for a, b in zip(rows, rows[1:])]
    for delay, expected in zip(delays, [60, 300, 900]):
        # A second of ours is ten minutes of theirs.
        assert expected * 0.85 <= delay <= expected * 1.15 + 600, delays
    assert [row["number"] for row in rows][:4] == [1, 2, 3, 4]


def test_deferred_then_delivered(fast):
    count = []

    def later(session, argument):
        count.append(1)
        return "451 4.2.0 Later" if len(count) < 3 else None
    baton, sink = fast(on={"RCPT": later})
    baton.submit(HELLO)
    sink.wait_for(1)
    wait_until(lambda: baton.deliveries() == {"b@rcpt.example": "delivered"},
               "delivered")
    kinds = [row["kind"] for row in
             baton.sql("SELECT kind FROM baton.event ORDER BY event_id")]
    assert kinds[0] == "accepted" and kinds[-1] == "delivered"
    assert "deferred" in kinds


def test_expiry_and_e9_its_report(fast):
    def settings(baton):
        baton.sql("UPDATE baton.account SET settings = settings || "
                  "'{\"expires_after\": \"30 min\"}'")
    baton, sink = fast(prepare=settings, on={
        "RCPT": lambda session, argument:
            "451 4.2.0 Mailbox busy" if "rcpt.example" in argument else None})
    with baton.session() as d:
        d.command("MAIL FROM:<a@sender.example> ENVID=E123 RET=HDRS", 250)
        d.command("RCPT TO:<b@rcpt.example> ORCPT=rfc822;Bob@rcpt.example", 250)
        d.data(message(body="the secret body\r\n"))
    wait_until(lambda: baton.deliveries().get("b@rcpt.example") == "expired",
               "expired", 60)
    report = reports(sink)[0]
    assert report.sender == ""
    parsed, parts = parse(report)
    assert parsed["To"].find("a@sender.example") >= 0
    assert parsed["Auto-Submitted"].startswith("auto-")
    assert parts[1].get_content_type() == "message/delivery-status"
    whole, recipient = fields_of(parts[1])
    assert whole["Reporting-MTA"] == "dns; relay.example"
    assert whole["Original-Envelope-Id"] == "E123"
    assert recipient["Final-Recipient"].replace(" ", "") == "rfc822;b@rcpt.example"
    assert recipient["Original-Recipient"].replace(" ", "") == \
        "rfc822;Bob@rcpt.example"
    assert recipient["Action"] == "failed"
    assert re.match(r"[45]\.\d+\.\d+", recipient["Status"])
    assert "smtp;" in recipient["Diagnostic-Code"]
    assert "451 4.2.0 Mailbox busy" in recipient["Diagnostic-Code"]
    assert parts[2].get_content_type() in ("text/rfc822-headers",
                                           "message/rfc822-headers")
    assert b"the secret body" not in report.data  # RET=HDRS
    assert baton.value("SELECT count(*) FROM baton.event WHERE kind = 'expired'")


def test_e9_a_refused_recipient_is_reported(fast):
    baton, sink = fast(rate=1, on={
        "RCPT": lambda session, argument:
            "550 5.1.1 No such user here" if "bad" in argument else None})
    baton.submit(message(body="kept body\r\n"),
                 ["bad@rcpt.example", "good@rcpt.example"])
    report = reports(sink)[0]
    _, parts = parse(report)
    _, recipient = fields_of(parts[1])
    assert recipient["Status"] == "5.1.1"
    assert "550 5.1.1 No such user here" in recipient["Diagnostic-Code"]
    assert "good@" not in parts[1].as_string()
    assert parts[2].get_content_type() == "message/rfc822"
    assert b"kept body" in report.data
    assert all(ord(c) < 128 for c in parts[0].get_payload())


@pytest.mark.parametrize("parameters,sender", [
    ("NOTIFY=NEVER", "a@sender.example"), ("NOTIFY=SUCCESS", "a@sender.example"),
    ("", "")])
def test_e8_no_report_is_sent(fast, parameters, sender):
    baton, sink = fast(rate=1, on={
        "RCPT": lambda session, argument:
            "550 5.1.1 no" if "rcpt.example" in argument else None})
    with baton.session() as d:
        d.command(f"MAIL FROM:<{sender}>", 250)
        d.command(f"RCPT TO:<b@rcpt.example> {parameters}".strip(), 250)
        d.data(HELLO)
    wait_until(lambda: baton.deliveries() == {"b@rcpt.example": "failed"},
               "failed")
    baton.wait_for_empty_queue()
    assert baton.value("SELECT count(*) FROM baton.message") == 1


def test_e8_success_beyond_a_hop_without_dsn_is_reported_as_relayed(fast):
    baton, sink = fast(rate=1, extensions=("PIPELINING",))
    with baton.session() as d:
        d.command("MAIL FROM:<a@sender.example>", 250)
        d.command("RCPT TO:<b@rcpt.example> NOTIFY=SUCCESS", 250)
        d.data(HELLO)
    _, parts = parse(reports(sink)[0])
    assert fields_of(parts[1])[1]["Action"] == "relayed"


def test_t24_a_report_that_fails_is_not_reported(fast):
    baton, sink = fast(rate=1, on={"RCPT": "550 5.1.1 no"})
    baton.submit(HELLO)
    wait_until(lambda: baton.value("SELECT count(*) FROM baton.message") == 2
               and baton.queue_is_empty(), "the end of the report")
    assert set(baton.deliveries().values()) == {"failed"}
    assert baton.value("SELECT count(*) FROM baton.message") == 2


def test_delivery_reports_can_be_switched_off(fast):
    def settings(baton):
        baton.sql("UPDATE baton.account SET settings = settings || "
                  "'{\"delivery_reports\": \"off\"}'")
    baton, sink = fast(rate=1, prepare=settings, on={"RCPT": "550 5.1.1 no"})
    baton.submit(HELLO)
    wait_until(lambda: baton.deliveries() == {"b@rcpt.example": "failed"},
               "failed")
    baton.wait_for_empty_queue()
    assert baton.value("SELECT count(*) FROM baton.message") == 1


@pytest.mark.parametrize("settings, told", [
    ({}, {"a@sender.example", "boss@manager.example"}),
    ({"notices_to_author": "on"},
     {"a@sender.example", "boss@manager.example", "author@sender.example"}),
    ({"notices_to_manager": "off", "delivery_reports": "off"}, set()),
])
def test_who_is_told_of_a_failure(fast, settings, told):
    def prepare(baton):
        baton.sql("UPDATE baton.account SET manager_email = 'boss@manager.example'")
        for key, value in settings.items():
            baton.cli("set", "demo", key, value)
    baton, sink = fast(prepare=prepare, rate=1, on={
        "RCPT": lambda session, argument:
            "550 5.1.1 Nobody" if "rcpt.example" in argument else None})
    baton.submit(message(sender="author@sender.example"))
    wait_until(lambda: baton.deliveries().get("b@rcpt.example") == "failed", "failed")
    if told:
        sink.wait_for(len(told))
    wait_until(lambda: baton.value("SELECT count(*) FROM baton.queue") == 0, "done")
    assert {one.recipients[0] for one in sink.messages} == told
    assert all(one.sender == "" for one in sink.messages)
