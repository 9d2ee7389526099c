# SPDX-License-Identifier: MIT
"""Mail that comes back: return paths, the listener named inbound, what reports
do to the ledger, and inbound routes. Return paths are made by returned.py, so
that what Baton takes is checked against the layout, not against itself."""

import base64
import re
import threading

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from conftest import close_all
from dialogue import message
from inbound import (HOST, POSTMASTER, Sent, account_of, bring, counters, make,
                     prepare, reports, suppressions)
from instance import USER
from nameserver import Nameserver
from returned import ReturnPaths, arf, auto_reply, dsn, person, qmail
from waiting import wait_until

@pytest.fixture(scope="module")
def module_baton(factory, module_sink, postgres):
    baton = make(factory, module_sink, prepare=prepare)
    yield baton
    close_all([baton], postgres)


@pytest.fixture(autouse=True)
def clean(request):
    if "baton" in request.fixturenames:
        baton = request.getfixturevalue("baton")
        baton.wait_for_empty_queue()
        baton.sql("DELETE FROM baton.suppression")
        baton.sql("TRUNCATE baton.counter")


# --- the return path on the wire ---

def test_each_recipient_has_a_return_path(baton, sink):
    """B5: the envelope sender is ours, its token the delivery's, and everything
    that is kept has the sender as it was given."""
    sent = Sent(baton, sink)
    assert sent.wire.sender == sent.address()
    assert len(sent.wire.sender.partition("@")[0]) <= 64
    assert b"Return-Path" not in sent.wire.data
    assert baton.value("SELECT sender FROM baton.message WHERE message_id = %s",
                       sent.message_id) == "a@sender.example"


def test_recipients_do_not_share_a_transaction(baton, sink):
    recipients = [f"r{i}@rcpt.example" for i in range(5)]
    message_id = baton.submit(message(), recipients)
    wait_until(lambda: len(sink.messages) == 5, "five messages")
    paths = ReturnPaths(baton.sql)
    rows = baton.sql("SELECT * FROM baton.delivery WHERE message_id = %s",
                     message_id)
    assert {m.recipients[0]: m.sender for m in sink.messages} == {
        row["recipient"]:
            f"{paths.local(row['account_id'], row['delivery_id'])}@{HOST}"
        for row in rows}


def test_the_null_sender_stays_null(baton, sink):
    baton.submit(message(), sender="")
    wait_until(lambda: sink.messages, "the message")
    assert sink.messages[0].sender == ""


def test_the_sandbox_records_the_return_path(baton, sink):
    message_id = baton.submit(message(fields="X-Baton-Sandbox: on\r\n"))
    baton.wait_for_empty_queue()
    row = baton.sql("SELECT * FROM baton.sandbox WHERE message_id = %s",
                    message_id)[0]
    local = ReturnPaths(baton.sql).local(row["account_id"], row["delivery_id"])
    assert row["sender"] == f"{local}@{HOST}"


def test_without_a_host_the_sender_stays(factory, sink, postgres):
    plain = make(factory, sink, {"server": {"return_path_host": ""}})
    try:
        plain.submit(message(), ["c@rcpt.example", "d@rcpt.example"])
        wait_until(lambda: sink.messages, "the message")
        assert sink.messages[0].sender == "a@sender.example"
        assert len(sink.messages[0].recipients) == 2
        with plain.dialogue("inbound") as dialogue:
            dialogue.ehlo()
            dialogue.command("MAIL FROM:<>", 250)
            local = ReturnPaths(plain.sql).local(1, 1)
            assert dialogue.command(f"RCPT TO:<{local}@{HOST}>").code == 550
    finally:
        close_all([plain], postgres)


# --- the door ---

def test_no_auth_is_offered(baton):
    with baton.dialogue("inbound") as dialogue:
        dialogue.ehlo()
        assert "AUTH" not in dialogue.extensions
        assert "STARTTLS" in dialogue.extensions
        dialogue.starttls()
        dialogue.ehlo()
        assert "AUTH" not in dialogue.extensions
        assert dialogue.command("AUTH PLAIN AGRlbW8AeA==").code == 502


def test_nothing_is_relayed(baton, sink):
    """No open relay, whatever is tried, and logged in users neither."""
    sent = Sent(baton, sink)
    local = sent.address().partition("@")[0]
    taken = len(sink.messages)
    tricks = {
        "victim@rcpt.example": 550,
        "<@bounce.relay.example:victim@rcpt.example>": 501,
        f"victim%rcpt.example@{HOST}": 550,
        f"victim@rcpt.example@{HOST}": 501,
        f'"victim@rcpt.example"@{HOST}': 550,
        f"rcpt.example!victim@{HOST}": 550,
        "victim@[127.0.0.1]": 550,
        "victim@localhost": 550,
        "victim@relay.example": 550,
        f"victim@{HOST}": 550,
        f"victim@x.{HOST}": 550,
        f"{local}@rcpt.example": 550,
        f"{local}@x.{HOST}": 550,
        "victim@sender.example": 550,
        "postmaster@rcpt.example": 550,
        "feedback@rcpt.example": 550,
    }
    with baton.dialogue("inbound") as dialogue:
        dialogue.ehlo()
        dialogue.command("MAIL FROM:<a@sender.example>", 250)
        for address, code in tricks.items():
            path = address if address.startswith("<") else f"<{address}>"
            reply = dialogue.command(f"RCPT TO:{path}")
            assert reply.code == code, f"{address}: {reply}"
            if len(tricks) > 10 and dialogue.command("NOOP").code != 250:
                break
    assert len(sink.messages) == taken


def test_forged_paths_are_refused(baton, sink):
    """T23: none of them is ours, and nobody learns why."""
    sent = Sent(baton, sink)
    paths = sent.paths
    local = sent.address().partition("@")[0]
    swapped = {"b": "f", "f": "u", "u": "b"}
    forged = [
        local[:-1] + ("a" if local[-1] != "a" else "b"),
        local[:10] + ("a" if local[10] != "a" else "b") + local[11:],
        swapped[local[0]] + local[1:],
        local[:-1], local + "a", local.replace("+", "-"),
        "b+" + "a" * 48,
        "x" + local[1:],
    ]
    other = ReturnPaths(baton.sql)
    other.secret = bytes(32)
    forged.append(other.local(sent.account, sent.delivery))
    other = ReturnPaths(baton.sql)
    other.key_id = 999
    forged.append(other.local(sent.account, sent.delivery))
    replies = set()
    for one in forged:
        with baton.dialogue("inbound") as dialogue:
            dialogue.ehlo()
            dialogue.command("MAIL FROM:<>", 250)
            reply = dialogue.command(f"RCPT TO:<{one}@{HOST}>")
            assert reply.code == 550, one
            replies.add(str(reply))
    assert len(replies) == 1, replies
    assert paths.local(sent.account, sent.delivery) == local
    assert sent.state() == "delivered" and suppressions(baton) == []


def test_case_does_not_matter(baton, sink):
    """B5."""
    sent = Sent(baton, sink)
    bring(baton, sent.address().upper(), dsn())
    assert sent.state() == "failed"


def test_one_return_path_a_message(baton, sink):
    first = Sent(baton, sink)
    second = Sent(baton, sink)
    with baton.dialogue("inbound") as dialogue:
        dialogue.ehlo()
        dialogue.envelope("", first.address())
        assert dialogue.command(f"RCPT TO:<{second.address()}>").code == 452
        dialogue.data(dsn())
    assert (first.state(), second.state()) == ("failed", "delivered")


def test_a_loop_is_refused(baton, sink):
    """S14."""
    sent = Sent(baton, sink)
    hops = "Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n" * 101
    reply = bring(baton, sent.address(), hops + dsn(), code=554)
    assert "5.4.6" in str(reply)
    assert sent.state() == "delivered"


# --- what reports do ---

def test_bounce(baton, sink):
    """B7: delivered, then failed; the delivered event stays, the counters move
    once; B1: suppressed as if it had been said in the dialogue."""
    sent = Sent(baton, sink)
    assert counters(baton)["sent"] == 1
    bring(baton, sent.address(), dsn())
    assert sent.state() == "failed"
    assert sent.kinds() == ["delivered", "bounced"]
    detail = sent.events("bounced")[0]["detail"]
    assert detail["asynchronous"] is True
    assert detail["class"] == "invalid_address"
    assert detail["severity"] == "hard"
    assert detail["status"] == "5.1.1"
    assert "User unknown" in detail["diagnostic"]
    assert detail["remote_host"] == "mx.rcpt.example"
    moved = counters(baton)
    assert (moved["sent"], moved["failed"], moved["outbound"]) == (0, 1, 1)
    assert moved["inbound"] == 0
    found = suppressions(baton)
    assert [(s["address"], s["reason"], s["group_id"]) for s in found] == [
        (sent.recipient, "hard_bounce", None)]
    assert "User unknown" in found[0]["evidence"]
    assert found[0]["delivery_id"] == sent.delivery


def test_the_token_decides_whom_it_is_about(baton, sink):
    """T23: a report that names somebody else changes nothing for him."""
    sent = Sent(baton, sink, recipient="Forwarder@rcpt.example")
    bring(baton, sent.address(), dsn(recipient="victim@elsewhere.example"))
    assert [s["address"] for s in suppressions(baton)] == [
        "forwarder@rcpt.example"]
    assert sent.events("bounced")[0]["detail"]["address"] == \
        "victim@elsewhere.example"


@pytest.mark.parametrize("again", ["the same", "another"])
def test_a_replay_is_once(baton, sink, again):
    """T23, B7."""
    sent = Sent(baton, sink)
    bring(baton, sent.address(), dsn())
    before = counters(baton)
    baton.sql("DELETE FROM baton.suppression")
    content = dsn() if again == "the same" else qmail()
    for _ in range(3):
        bring(baton, sent.address(), content)
    assert sent.kinds() == ["delivered", "bounced"]
    assert counters(baton) == before
    assert suppressions(baton) == []  # an operator took it back
    assert sent.state() == "failed"


def test_replays_at_once_are_once(baton, sink):
    sent = Sent(baton, sink)
    threads = [threading.Thread(target=bring,
                                args=(baton, sent.address(), dsn()))
               for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sent.kinds() == ["delivered", "bounced"]
    moved = counters(baton)
    assert (moved["sent"], moved["failed"]) == (0, 1)


def test_bounce_of_another_form(baton, sink):
    """B6: qmail's is no report of RFC 3464."""
    sent = Sent(baton, sink)
    bring(baton, sent.address(), qmail())
    assert sent.state() == "failed"
    assert [s["reason"] for s in suppressions(baton)] == ["hard_bounce"]


@pytest.mark.parametrize("status, diagnostic", [
    ("5.2.2", "smtp; 552 5.2.2 Mailbox full"),
    ("5.7.1", "smtp; 554 5.7.1 Service unavailable; Client host [192.0.2.1] "
     "blocked using zen.spamhaus.org"),
    ("5.7.27", "smtp; 550 5.7.27 SPF did not pass, the sender is "
     "unauthenticated"),
])
def test_soft_and_block_do_not_suppress(baton, sink, status, diagnostic):
    """B2, B3."""
    sent = Sent(baton, sink)
    bring(baton, sent.address(), dsn(status=status, diagnostic=diagnostic))
    assert sent.state() == "failed"
    assert sent.events("bounced")[0]["detail"]["severity"] in ("soft", "block")
    assert suppressions(baton) == []


def test_delay(baton, sink):
    sent = Sent(baton, sink)
    bring(baton, sent.address(), dsn(action="delayed", status="4.4.1",
                                     diagnostic="smtp; 421 try later"))
    assert sent.state() == "delivered"
    assert sent.kinds() == ["delivered", "deferred"]
    assert sent.events("deferred")[0]["detail"]["asynchronous"] is True
    assert counters(baton)["deferred"] == 0 and suppressions(baton) == []
    bring(baton, sent.address(), dsn())  # and then it fails
    assert sent.state() == "failed"


def test_success_is_nothing(baton, sink):
    sent = Sent(baton, sink)
    bring(baton, sent.address(), dsn(action="delivered", status="2.0.0",
                                     diagnostic="smtp; 250 ok"))
    assert sent.kinds() == ["delivered"] and sent.state() == "delivered"


@pytest.mark.parametrize("letter", ["b", "f", "u"])
def test_auto_reply(baton, sink, letter):
    """B8: no bounce, no unsubscribe, and never answered."""
    sent = Sent(baton, sink, fields="X-Baton-Group: News\r\n")
    taken = len(sink.messages)
    for sender in ("", "b@rcpt.example"):
        bring(baton, sent.address(letter), auto_reply(), sender)
    assert sent.state() == "delivered"
    assert sent.kinds() == ["delivered"] + (["autoreplied"] if letter != "u"
                                            else [])
    assert suppressions(baton) == []
    baton.wait_for_empty_queue()
    assert len(sink.messages) == taken


def test_a_person_is_refused(baton, sink):
    """Nobody reads a return path; who writes to it hears that."""
    sent = Sent(baton, sink)
    bring(baton, sent.address(), person(), "b@rcpt.example", 550)
    assert sent.kinds() == ["delivered"]


@pytest.mark.parametrize("letter", ["b", "f"])
def test_complaint(baton, sink, letter):
    """B9: by the token, though the recipient is redacted; once."""
    sent = Sent(baton, sink)
    for _ in range(3):
        bring(baton, sent.address(letter), arf(), "feedback@rcpt.example")
    assert sent.kinds() == ["delivered", "complained"]
    assert sent.events("complained")[0]["detail"]["feedback_type"] == "abuse"
    assert counters(baton)["complaints"] == 1
    assert [(s["address"], s["reason"], s["group_id"])
            for s in suppressions(baton)] == [
        (sent.recipient, "complaint", None)]
    assert sent.state() == "delivered"


def test_the_signature_of_a_complaint_is_told(factory, sink, postgres):
    """Whether the provider itself speaks stands in the event."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(serialization.Encoding.PEM,
                            serialization.PrivateFormat.PKCS8,
                            serialization.NoEncryption())
    public = base64.b64encode(key.public_key().public_bytes(
        serialization.Encoding.DER,
        serialization.PublicFormat.SubjectPublicKeyInfo)).decode()
    names = Nameserver({"sender.example": ["A 127.0.0.1"]})
    names.publish("s1._domainkey.isp.example", "TXT", f"v=DKIM1; k=rsa; p={public}")
    baton = make(factory, sink, prepare=prepare, nameserver_of_test=names)
    try:
        report = arf().replace("rcpt.example", "isp.example").encode()
        field = dkim.sign(report, b"s1", b"isp.example", pem,
                          include_headers=[b"from", b"subject"])
        broken = (field + report).replace(b"Subject: ", b"Subject: x", 1)
        for data, told in ((field + report, "pass d=isp.example"),
                           (broken, "fail d=isp.example"), (report, "none")):
            sent = Sent(baton, sink)
            bring(baton, sent.address(), data.decode(), "feedback@isp.example")
            assert sent.events("complained")[0]["detail"]["dkim"] == told
            baton.sql("DELETE FROM baton.suppression")
    finally:
        close_all([baton], postgres)
        names.close()


@pytest.mark.parametrize("returned", [
    "Return-Path: <{b}>\r\nSubject: test\r\n",
    "Subject: test\r\nCFBL-Address: {f}; report=arf\r\n",
    "Subject: test\r\nList-Unsubscribe: <https://x.example/u/1>,\r\n"
    " <mailto:{u}?subject=unsubscribe>\r\n",
])
def test_complaint_by_the_returned_message(baton, sink, returned):
    """B9: at the fixed address the report has to bring the token."""
    sent = Sent(baton, sink)
    header = returned.format(**{letter: sent.address(letter)
                                for letter in "bfu"})
    bring(baton, f"feedback@{HOST}", arf(returned=header),
          "feedback@rcpt.example")
    assert sent.kinds() == ["delivered", "complained"]
    assert counters(baton)["complaints"] == 1


def test_complaints_without_a_token_are_nothing(baton, sink):
    """T23: forged ones for a victim."""
    sent = Sent(baton, sink)
    for returned in ("From: a@sender.example\r\nTo: b@rcpt.example\r\n",
                     f"Return-Path: <b+{'a' * 48}@{HOST}>\r\n"):
        bring(baton, f"feedback@{HOST}",
              arf(returned=returned, recipient="b@rcpt.example"))
    bring(baton, f"feedback@{HOST}", person(), "b@rcpt.example", 550)
    assert sent.kinds() == ["delivered"] and suppressions(baton) == []
    assert counters(baton)["complaints"] == 0


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure"])
def test_feedback_that_is_no_complaint(baton, sink, kind):
    """B9; and a complaint that follows counts."""
    sent = Sent(baton, sink)
    bring(baton, sent.address("f"), arf(kind), "feedback@rcpt.example")
    assert sent.kinds() == ["delivered", "feedback"]
    assert sent.events("feedback")[0]["detail"]["feedback_type"] == kind
    assert counters(baton)["complaints"] == 0 and suppressions(baton) == []
    bring(baton, sent.address("f"), arf(), "feedback@rcpt.example")
    assert counters(baton)["complaints"] == 1


# --- unsubscribing ---

def test_unsubscribe_by_mail(baton, sink):
    """U8: the mailto of the header has the same result as the POST, once."""
    sent = Sent(baton, sink, fields="X-Baton-Group: News\r\n")
    field = sent.wire.field("List-Unsubscribe")
    uris = re.findall(r"<([^>]+)>", field)
    assert len(uris) == 2 and uris[0].startswith("http")
    assert uris[1] == f"mailto:{sent.address('u')}?subject=unsubscribe"
    for _ in range(2):
        bring(baton, sent.address("u"), person("unsubscribe", ""),
              "b@rcpt.example")
    found = suppressions(baton)
    group = baton.value("SELECT group_id FROM baton.message_group"
                        " WHERE name = 'News'")
    assert [(s["address"], s["reason"], s["group_id"]) for s in found] == [
        (sent.recipient, "unsubscribe", group)]
    events = sent.events("unsubscribed")
    assert len(events) == 1 and events[0]["detail"]["how"] == "mailto"
    assert counters(baton)["unsubscribes"] == 1


@pytest.mark.parametrize("content, sender", [
    (dsn(), ""), (auto_reply(), ""), (arf(), "feedback@rcpt.example"),
    (person("unsubscribe"), "")])
def test_no_machine_unsubscribes(baton, sink, content, sender):
    sent = Sent(baton, sink, fields="X-Baton-Group: News\r\n")
    bring(baton, sent.address("u"), content, sender)
    assert suppressions(baton) == [] and sent.kinds() == ["delivered"]


def test_opt_out_report_unsubscribes(baton, sink):
    sent = Sent(baton, sink, fields="X-Baton-Group: News\r\n")
    bring(baton, sent.address("f"), arf("opt-out"), "feedback@rcpt.example")
    assert [s["reason"] for s in suppressions(baton)] == ["unsubscribe"]
    assert counters(baton)["complaints"] == 0


# --- what is not there any more ---

def test_an_unknown_delivery_is_counted(baton, sink):
    before = baton.metric('baton_returned_mail_total')
    local = ReturnPaths(baton.sql).local(1, 1 << 50)
    bring(baton, f"{local}@{HOST}", dsn())
    assert baton.metric("baton_returned_mail_total") == before + 1
    assert 'baton_returned_mail_total{result="unknown"} ' in \
        baton.http("/metrics")[1]


# --- told to the sender ---

def test_the_sender_is_told_once(baton, sink):
    """As of a failure in the dialogue: null sender, auto-generated (B8)."""
    sent = Sent(baton, sink)
    bring(baton, sent.address(), dsn())
    wait_until(lambda: reports(sink, "a@sender.example"), "the report")
    report = reports(sink, "a@sender.example")[0]
    assert report.field("Auto-Submitted") == "auto-generated"
    assert b"User unknown" in report.data
    assert f"Final-Recipient: rfc822;{sent.recipient}".encode() in \
        report.data.replace(b"; ", b";")
    assert b"Hello" in report.data  # the message comes back
    for _ in range(3):
        bring(baton, sent.address(), dsn())
    baton.wait_for_empty_queue()
    assert len(reports(sink, "a@sender.example")) == 1


def test_success_is_told_by_us(baton, sink):
    """RFC 3461: the next hop has DSN, but its report would come to the return
    path, so the sender hears it from here."""
    with baton.session() as session:
        session.command("MAIL FROM:<a@sender.example>", 250)
        session.command("RCPT TO:<b@rcpt.example> NOTIFY=SUCCESS", 250)
        session.data(message())
    wait_until(lambda: reports(sink, "a@sender.example"), "the report")
    assert b"Action: relayed" in reports(sink, "a@sender.example")[0].data


def test_a_large_message_comes_back_as_its_header(baton, sink):
    """Nothing of 2 MB is read back to tell which message it was."""
    body = "x" * 70 + "\r\n"
    baton.submit(message(subject="large", body=body * 30000),
                 ["large@rcpt.example"])
    wait_until(lambda: sink.messages, "the message")
    baton.wait_for_empty_queue()
    bring(baton, sink.messages[0].sender, dsn())
    wait_until(lambda: reports(sink, "a@sender.example"), "the report")
    report = reports(sink, "a@sender.example")[0]
    assert b"Subject: large" in report.data and len(report.data) < 10000


def test_never_means_never(baton, sink):
    with baton.session() as session:
        session.command("MAIL FROM:<a@sender.example>", 250)
        session.command("RCPT TO:<never@rcpt.example> NOTIFY=NEVER", 250)
        session.data(message())
    wait_until(lambda: sink.messages, "the message")
    baton.wait_for_empty_queue()
    bring(baton, sink.messages[0].sender, dsn())
    baton.wait_for_empty_queue()
    assert reports(sink, "a@sender.example") == []


# --- inbound routes and the postmaster ---

@pytest.fixture
def routed(baton, make_sink):
    office = make_sink()
    baton.cli("inbound", "add", USER, "@sender.example",
              f"smtp://127.0.0.1:{office.port}")
    listing = baton.cli_json("inbound", "list")
    assert [row["address"] for row in listing] == ["@sender.example"]

    def is_known():
        with baton.dialogue("inbound") as dialogue:
            dialogue.ehlo()
            dialogue.command("MAIL FROM:<>", 250)
            return dialogue.command("RCPT TO:<x@sender.example>").code == 250
    wait_until(lambda: all(is_known() for _ in range(6)), "the route")
    yield office
    baton.cli("inbound", "remove", USER, "@sender.example")


def test_inbound_route(baton, sink, routed):
    """Unchanged, with its own sender and recipient, and counted as inbound."""
    content = ("Return-Path: <x@y.example>\r\nFrom: <c@customer.example>\r\n"
               "To: <Help@sender.example>\r\nX-Baton-Group: News\r\n"
               "Subject: Help {News}\r\n"
               "Content-Type: text/html\r\n\r\n<a href=\"http://x.example\">x"
               "</a> %%UnsubscribeUrl%%\r\n")
    bring(baton, "Help@sender.example", content, "c@customer.example")
    wait_until(lambda: routed.messages, "the message")
    taken = routed.messages[0]
    assert taken.sender == "c@customer.example"
    assert taken.recipients == ["Help@sender.example"]
    received, _, rest = taken.data.partition(b"\r\nFrom:")
    assert received.startswith(b"Received: from ")
    assert b"From:" + rest == content.partition("\r\n")[2].encode()
    baton.wait_for_empty_queue()
    moved = counters(baton)
    assert moved["inbound"] == 1
    assert (moved["outbound"], moved["sent"]) == (0, 0)
    row = baton.sql("SELECT * FROM baton.message WHERE sender ="
                    " 'c@customer.example'")[0]
    assert row["account_id"] == account_of(baton, USER)
    assert row["policy"]["inbound"] is True
    kinds = [e["kind"] for e in baton.sql(
        "SELECT kind FROM baton.event WHERE message_id = %s"
        " ORDER BY event_id", row["message_id"])]
    assert kinds == ["inbound", "delivered"]


def test_inbound_route_that_fails_tells_the_sender(baton, sink, routed):
    routed.on["RCPT"] = "550 5.1.1 No such user"
    bring(baton, "nobody@sender.example", person(), "c@customer.example")
    wait_until(lambda: reports(sink, "c@customer.example"), "the report")
    bring(baton, "nobody@sender.example", person(), "")
    baton.wait_for_empty_queue()
    assert len(reports(sink, "c@customer.example")) == 1
    moved = counters(baton)
    assert moved["failed"] == 0 and moved["inbound"] == 2


def test_inbound_loop_ends(baton, sink, routed):
    """A route that leads back to the listener ends by the Received count."""
    hops = "Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n" * 95
    baton.cli("inbound", "add", USER, "loop@sender.example",
              f"smtp://127.0.0.1:{baton.ports['inbound']}")
    try:
        bring(baton, "loop@sender.example", hops + person(),
              "c@customer.example")
        baton.wait_for_empty_queue(60)
        wait_until(lambda: reports(sink, "c@customer.example"), "the report")
        assert b"5.4.6" in reports(sink, "c@customer.example")[0].data
        count = baton.value("SELECT count(*) FROM baton.message WHERE"
                            " sender = 'c@customer.example' AND"
                            " policy ? 'inbound' AND accepted_at >"
                            " now() - interval '1 minute'")
        assert count <= 10
    finally:
        baton.cli("inbound", "remove", USER, "loop@sender.example")


def test_inbound_routes_belong_to_accounts(baton):
    refused = baton.cli("inbound", "add", "other", "@sender.example",
                        "smtp://127.0.0.1:25", check=False)
    assert refused.returncode != 0
    assert "no domain of account other" in refused.stderr
    for wrong in ("sender.example", "a b@sender.example", "@", "@-x-"):
        assert baton.cli("inbound", "add", USER, wrong, "smtp://127.0.0.1:25",
                         check=False).returncode != 0
    assert baton.cli("inbound", "add", USER, "@sender.example", "ftp://x",
                     check=False).returncode != 0
    assert baton.cli("inbound", "remove", USER, "@sender.example",
                     check=False).returncode != 0


def test_postmaster(baton, sink):
    for name in (f"postmaster@{HOST}", f"Abuse@{HOST.upper()}",
                 "postmaster@relay.example"):
        sink.messages.clear()
        bring(baton, name, person("Something is wrong"), "c@customer.example")
        wait_until(lambda: sink.messages, "the postmaster's mail")
        assert sink.messages[0].recipients == [POSTMASTER]
        assert sink.messages[0].sender == "c@customer.example"
    assert counters(baton)["outbound"] == 0


def test_settings_are_checked(factory, sink):
    for key, value in (("return_path_host", "not a host"),
                       ("postmaster", "nobody")):
        baton = make(factory, sink, {"server": {key: value}}, start=False)
        assert key in baton.fail_to_start()
        baton.close()
