# SPDX-License-Identifier: MIT
"""What is done to a message: control header > group > account > default, frozen
at acceptance; groups, idempotency keys, suppressions, the emergency switch."""

import email
import re
import threading
import time
import urllib.request

import psycopg2
import pytest

from dialogue import message
from waiting import wait_until

LINK = "https://shop.example.com/orders/1042?a=1&b=2"
HTML = ('<html><body><p><a href="https://shop.example.com/orders/1042?a=1&amp;'
        'b=2">See it</a></p></body></html>\r\n')


def html(subject="Order", headers=(), body=HTML):
    lines = ["From: a@sender.example", "To: b@rcpt.example",
             f"Subject: {subject}", "MIME-Version: 1.0",
             "Content-Type: text/html; charset=utf-8", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


@pytest.fixture
def sink(make_sink):
    return make_sink()


@pytest.fixture
def relay(make_baton, sink):
    return make_baton(routes={"*": f"smtp://127.0.0.1:{sink.port}"})


def arrived(sink, count=1):
    """The last of so many messages, as bytes."""
    return sink.wait_for(count)[-1].data


def send(relay, sink, raw, recipients=("b@rcpt.example",)):
    before = len(sink.messages)
    relay.submit(raw, recipients)
    return arrived(sink, before + len(recipients))


def is_click_tracked(copy):
    return b"/c/" in copy and LINK.encode() not in copy.replace(b"&amp;", b"&")


def is_open_tracked(copy):
    return re.search(rb'<img[^>]*/o/', copy) is not None


def refusal(relay, raw, recipient="b@rcpt.example"):
    with relay.session() as session:
        session.envelope("a@sender.example", recipient)
        return session.data(raw, None)


# Precedence

def test_links_and_pixel_are_there_by_default(relay, sink):
    copy = send(relay, sink, html())
    assert is_click_tracked(copy) and is_open_tracked(copy)


@pytest.mark.parametrize("value", ["off", "text"])
def test_the_account_decides(relay, sink, value):
    relay.cli("set", "demo", "track_clicks", value)
    relay.cli("set", "demo", "track_opens", "off")
    wait_until(lambda: not is_open_tracked(send(relay, sink, html())),
               "the setting to be known")
    assert not is_click_tracked(send(relay, sink, html()))


def test_a_group_is_above_its_account_and_a_header_above_both(relay, sink):
    send(relay, sink, html("Order {Receipts}"))
    relay.cli("set", "demo", "track_opens", "off")
    relay.cli("group", "set", "demo", "Receipts", "track_opens", "on")
    wait_until(lambda: not is_open_tracked(send(relay, sink, html())),
               "the account's setting to be known")
    wait_until(lambda: is_open_tracked(
        send(relay, sink, html("Order {Receipts}"))), "the group's setting")
    copy = send(relay, sink, html("Order {receipts}",
                                  ["X-Baton-Track-Opens: off"]))
    assert not is_open_tracked(copy) and is_click_tracked(copy)
    assert b"X-Baton" not in copy


def test_what_was_decided_at_acceptance_stays(make_baton, make_sink):
    sink = make_sink()
    relay = make_baton(routes={"*": f"smtp://127.0.0.1:{sink.port}"})
    relay.cli("queue", "suspend", "--all")
    relay.submit(html())
    relay.cli("set", "demo", "track_clicks", "off")
    wait_until(lambda: relay.value(
        "SELECT count(*) FROM baton.queue WHERE worker_id IS NULL") == 1,
        "it to be given back", 30)
    relay.cli("queue", "resume", "--all")
    assert is_click_tracked(arrived(sink))


def test_the_emergency_switch_reaches_what_waits(make_baton, make_sink):
    sink = make_sink()
    relay = make_baton(routes={"*": f"smtp://127.0.0.1:{sink.port}"})
    relay.cli("queue", "suspend", "--all")
    relay.submit(html("Order {Receipts}"))
    wait_until(lambda: relay.value(
        "SELECT count(*) FROM baton.queue WHERE worker_id IS NULL") == 1,
        "it to be given back", 30)
    relay.cli("set", "demo", "pass_through", "on")
    relay.cli("queue", "resume", "--all")
    copy = arrived(sink)
    assert not is_click_tracked(copy) and not is_open_tracked(copy)
    assert copy.split(b"\r\n\r\n", 1)[1] == HTML.encode()


def test_the_emergency_switch_reaches_what_is_planned(make_baton, make_sink):
    switched = threading.Event()

    def wait_for_the_switch(session, _):
        assert switched.wait(30)

    sink = make_sink(on={"message": wait_for_the_switch})
    other = make_sink()
    relay = make_baton(
        settings={"server": {"workers": "1"},
                  "delivery": {"connections_per_site": "1"}},
        routes={"rcpt.example": f"smtp://127.0.0.1:{sink.port}",
                "*": f"smtp://127.0.0.1:{other.port}"})
    relay.submit(html(), [f"{name}@rcpt.example" for name in "abc"])
    wait_until(lambda: any("DATA" in session.commands
                           for session in sink.sessions), "the first copy")
    relay.cli("pass-through", "on")
    wait_until(lambda: not is_click_tracked(
        send(relay, other, html(), ["x@other.example"])),
        "the switch to be known")
    switched.set()
    first, rest = sink.wait_for(2)
    assert is_click_tracked(first.data) and not is_click_tracked(rest.data)
    assert len(rest.recipients) == 2  # theirs is one and the same now


def test_the_emergency_switch_for_everything(relay, sink):
    relay.cli("pass-through", "on")
    wait_until(lambda: not is_click_tracked(send(relay, sink, html())),
               "the switch to be known")
    relay.cli("pass-through", "off")
    wait_until(lambda: is_click_tracked(send(relay, sink, html())),
               "the switch to be known")


# Groups

def test_r8_a_group_is_made_once_and_leaves_the_subject(relay, sink):
    copy = send(relay, sink, html(
        "=?utf-8?Q?Savings_For_Today{Daily_Alert}?="))
    assert email.message_from_bytes(copy)["Subject"] == \
        "=?utf-8?Q?Savings_For_Today?="
    send(relay, sink, html("More {daily alert}"))
    rows = relay.sql("SELECT name, kind FROM baton.message_group")
    assert [dict(row) for row in rows] == \
        [{"name": "Daily Alert", "kind": "transactional"}]
    assert relay.value("SELECT count(DISTINCT group_id) FROM baton.message") == 1
    assert relay.value("SELECT min(group_id) FROM baton.delivery") > 0


def test_many_first_uses_at_once_make_one_group(relay, sink):
    threads = [threading.Thread(target=relay.submit,
                                args=(html("x {New one}"),))
               for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sink.wait_for(8)
    assert relay.value("SELECT count(*) FROM baton.message_group") == 1


def test_a_credential_names_the_group_of_what_names_none(relay, sink):
    relay.sql("UPDATE baton.credential SET group_name = 'From the shop'")
    relay.sql("NOTIFY baton_directory")
    wait_until(lambda: send(relay, sink, html()) and relay.value(
        "SELECT count(*) FROM baton.message_group") == 1, "the default group")
    assert relay.value("SELECT name FROM baton.message_group") == "From the shop"


def test_the_number_of_groups_is_bounded(make_baton, sink):
    relay = make_baton({"limits": {"groups_per_account": "2"}},
                       routes={"*": f"smtp://127.0.0.1:{sink.port}"})
    for name in ("one", "two", "three", "one", "four"):
        send(relay, sink, html(f"x {{{name}}}"))
    assert relay.value("SELECT count(*) FROM baton.message_group") == 2
    assert relay.value(
        "SELECT count(*) FROM baton.message WHERE group_id = 0") == 2
    assert "too many groups" in relay.log()


# Control headers

@pytest.mark.parametrize("field,sentence", [
    ("X-Baton-Metadata: {\"a\": }", "X-Baton-Metadata: not JSON at byte"),
    ("X-Baton-Track-Opens: perhaps", "X-Baton-Track-Opens"),
    ("X-Baton-Expires-After: tomorrow", "X-Baton-Expires-After")])
def test_a_malformed_control_header_is_refused(relay, field, sentence):
    reply = refusal(relay, html(headers=[field]))
    assert reply.code == 550 and reply.enhanced == "5.6.0", reply
    assert sentence in reply.text


def test_tags_and_metadata_are_kept(relay, sink):
    copy = send(relay, sink, html(headers=[
        "X-Baton-Tag: first", "X-Baton-Tag: second",
        "X-Baton-Metadata: {\"order\":\r\n 1042}",
        "X-PM-Metadata-color: blue"]))
    assert b"X-Baton" not in copy and b"X-PM" not in copy
    row = relay.sql("SELECT tags, metadata FROM baton.message")[0]
    assert row["tags"] == ["first", "second"]
    assert row["metadata"]["order"] == 1042


def test_a_sandboxed_message_leaves_nowhere(relay, sink):
    relay.submit(html(headers=["X-Baton-Sandbox: on"]))
    relay.wait_for_empty_queue()
    assert not sink.messages
    assert relay.value("SELECT count(*) FROM baton.sandbox") == 1


def test_a_message_for_later_waits(relay, sink):
    relay.submit(html(headers=["X-Baton-Send-At: in 2 h"]))
    row = relay.sql("SELECT worker_id, due_at - now() AS wait FROM baton.queue")[0]
    assert row["worker_id"] is None
    assert 7100 < row["wait"].total_seconds() < 7300
    assert not sink.messages


class Held:
    """A table that nobody else may write to meanwhile."""

    def __init__(self, relay, table):
        self.relay = relay
        self.connection = psycopg2.connect(relay.url)
        self.connection.cursor().execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")

    def wait_for_somebody(self):
        wait_until(lambda: self.relay.value(
            "SELECT count(*) FROM pg_locks WHERE NOT granted"
            " AND database = (SELECT oid FROM pg_database"
            " WHERE datname = current_database())") > 0, "somebody to wait")

    def release(self):
        self.connection.close()


def test_a_message_for_a_moment_that_passes_meanwhile_is_sent_once(relay, sink):
    held = Held(relay, "baton.message_group")
    thread = threading.Thread(target=relay.submit, args=(
        html("x {New}", ["X-Baton-Send-At: in 1 s"]),))
    thread.start()
    held.wait_for_somebody()
    begun = relay.value("SELECT clock_timestamp()")
    wait_until(lambda: relay.value(
        "SELECT clock_timestamp() - %s > '1100 ms'", begun), "the moment")
    held.release()
    thread.join()
    relay.wait_for_empty_queue()
    assert len(sink.messages) == 1
    assert relay.value("SELECT count(*) FROM baton.attempt") == 1


# Idempotency

def test_the_same_key_and_content_is_the_same_message(relay, sink):
    raw = html(headers=["Idempotency-Key: order-1042"])
    first = relay.submit(raw)
    assert relay.submit(raw) == first
    sink.wait_for(1)
    relay.wait_for_empty_queue()
    assert relay.value("SELECT count(*) FROM baton.message") == 1
    reply = refusal(relay, html("Another", ["Idempotency-Key: order-1042"]))
    assert (reply.code, reply.enhanced) == (550, "5.7.0"), reply
    assert str(first) in reply.text


def test_the_same_key_at_the_same_time_is_one_message(relay, sink):
    raw = html(headers=["Idempotency-Key: together"])
    replies = []

    def submit():
        replies.append(refusal(relay, raw))

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    accepted = {reply.text for reply in replies if reply.code == 250}
    assert len(accepted) == 1
    assert {reply.code for reply in replies} <= {250, 451}, replies
    assert relay.value("SELECT count(*) FROM baton.message m WHERE EXISTS ("
                       "SELECT FROM baton.delivery d WHERE d.message_id = "
                       "m.message_id AND d.state <> 'withdrawn')") == 1


def test_who_left_before_the_answer_hears_the_id_later(relay, sink):
    raw = html(headers=["Idempotency-Key: left"])
    held = Held(relay, "baton.idempotency")
    session = relay.session()
    session.envelope("a@sender.example", "b@rcpt.example")
    session.command("DATA", 354)
    session.send(raw + b".\r\n")
    held.wait_for_somebody()
    session.close()
    wait_until(lambda: relay.metric("baton_smtp_sessions") == 0, "its end")
    held.release()
    wait_until(lambda: refusal(relay, raw).code == 250, "its key to be stored")
    first = relay.submit(raw)
    sink.wait_for(1)
    relay.wait_for_empty_queue()
    assert len(sink.messages) == 1
    assert relay.sql("SELECT m.message_id, d.state FROM baton.message m"
                     " JOIN baton.delivery d USING (account_id, message_id)") \
        == [{"message_id": first, "state": "delivered"}]


# Suppressions

def is_refused_everywhere(relay, raw):
    """By every worker, as far as one can ask: each knows within a second."""
    return all(refusal(relay, raw).code == 550 for _ in range(20))


def test_u5_u6_a_suppressed_recipient_is_refused_with_the_evidence(relay, sink):
    send(relay, sink, html("x {News}"))
    relay.cli("suppression", "add", "demo", "B@rcpt.example", "--group", "News",
              "--evidence", "told us so")
    wait_until(lambda: is_refused_everywhere(relay, html("x {News}")),
               "the suppression to be known")
    reply = refusal(relay, html("x {News}"))
    assert reply.enhanced == "5.7.1"
    for word in ("b@rcpt.example", "suppressed", "News", "manual", "told us so"):
        assert word in reply.text, reply
    row, = wait_until(lambda: relay.sql(
        "SELECT e.recipient, g.name FROM baton.event e JOIN baton.message_group g"
        " USING (account_id, group_id) WHERE e.kind = 'rejected' LIMIT 1"),
        "the refusal to be recorded")
    assert row == {"recipient": "b@rcpt.example", "name": "News"}
    assert is_click_tracked(send(relay, sink, html("x {Receipts}")))
    copy = send(relay, sink, html("x {News}", ["X-Baton-Bypass-Suppression: on"]))
    assert is_click_tracked(copy)


def test_beside_others_a_suppressed_recipient_is_recorded(relay, sink):
    relay.cli("suppression", "add", "demo", "b@rcpt.example")
    wait_until(lambda: is_refused_everywhere(relay, html()), "the suppression")
    relay.submit(html(), ["b@rcpt.example", "c@rcpt.example"])
    relay.wait_for_empty_queue()
    assert relay.deliveries() == {"b@rcpt.example": "suppressed",
                                  "c@rcpt.example": "delivered"}
    assert relay.value("SELECT count(*) FROM baton.event"
                       " WHERE kind = 'suppressed'") == 1


def test_h7_each_recipient_has_links_of_his_own(relay, sink):
    relay.submit(html(), ["b@rcpt.example", "c@rcpt.example"])
    copies = [item.data for item in sink.wait_for(2)]
    urls = [set(re.findall(rb'http[^"]*/[co]/[A-Za-z0-9_-]+', copy))
            for copy in copies]
    assert len(urls[0]) == 2 and not urls[0] & urls[1]


# From the link to the ledger

def visit(url):
    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *arguments):
            return None
    request = urllib.request.Request(url, headers={
        "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0"})
    try:
        return urllib.request.build_opener(Stay).open(request, timeout=10)
    except urllib.error.HTTPError as answer:
        return answer


def test_what_the_recipient_does_comes_home(relay, sink):
    copy = send(relay, sink, html("x {Receipts}")).decode()
    link = re.search(r'href="([^"]*/c/[^"]*)"', copy).group(1)
    pixel = re.search(r'src="([^"]*/o/[^"]*)"', copy).group(1)
    assert visit(pixel).status == 200
    answer = visit(link)
    assert answer.status == 302 and answer.headers["Location"] == LINK
    events = relay.sql("SELECT kind, url, verdict, recipient, group_id > 0 AS g,"
                       " link_number FROM baton.event WHERE kind IN ('opened',"
                       " 'clicked') ORDER BY kind")
    assert [(row["kind"], row["url"], row["verdict"], row["recipient"],
             row["g"], row["link_number"]) for row in events] == [
        ("clicked", LINK, "human", "b@rcpt.example", True, 1),
        ("opened", None, "human", "b@rcpt.example", True, None)]
    row = relay.sql("SELECT sum(outbound) AS outbound, sum(opens) AS opens,"
                    " sum(clicks_unique) AS clicks FROM baton.counter"
                    " WHERE group_id > 0")[0]
    assert row == {"outbound": 1, "opens": 1, "clicks": 1}


def test_p6_p7_who_objects_is_not_tracked_also_backwards(relay, sink):
    relay.submit(html(), ["b@rcpt.example", "c@rcpt.example"])
    copy = next(item.data for item in sink.wait_for(2)
                if "b@rcpt.example" in item.recipients).decode()
    pixel = re.search(r'src="([^"]*/o/[^"]*)"', copy).group(1)
    link = re.search(r'href="([^"]*/c/[^"]*)"', copy).group(1)
    relay.cli("untracked", "add", "demo", "B@rcpt.example")
    assert visit(pixel).status == 200
    assert visit(link).headers["Location"] == LINK
    assert relay.value("SELECT count(*) FROM baton.event"
                       " WHERE kind IN ('opened', 'clicked')") == 0
    assert relay.value("SELECT sum(opens + clicks) FROM baton.counter") == 0

    def untracked():
        before = len(sink.messages)
        relay.submit(html(), ["b@rcpt.example", "c@rcpt.example"])
        copies = {item.recipients[0]: item.data
                  for item in sink.wait_for(before + 2)[before:]}
        assert is_click_tracked(copies["c@rcpt.example"])
        return not is_click_tracked(copies["b@rcpt.example"]) \
            and not is_open_tracked(copies["b@rcpt.example"])

    wait_until(untracked, "the objection to be known")
    relay.cli("untracked", "remove", "demo", "b@rcpt.example")
    visit(pixel)
    assert relay.value("SELECT count(*) FROM baton.event"
                       " WHERE kind = 'opened'") == 1


# One end

@pytest.mark.parametrize("reply", ["250 2.0.0 kept", "550 5.1.1 nobody"])
@pytest.mark.parametrize("end", ["suppressed", "cancelled"])
def test_what_is_on_the_wire_has_one_end(make_baton, make_sink, end, reply):
    given_up = threading.Event()

    def hold(session, _):
        assert given_up.wait(30)
        return reply

    sink = make_sink(on={"message": hold})
    relay = make_baton(routes={"*": f"smtp://127.0.0.1:{sink.port}"})
    message_id = relay.submit(html())
    wait_until(lambda: any("DATA" in session.commands
                           for session in sink.sessions), "the copy")
    if end == "suppressed":
        relay.cli("suppression", "add", "demo", "b@rcpt.example")
    else:
        relay.cli("queue", "cancel", "--message", str(message_id))
    given_up.set()
    wait_until(lambda: relay.value("SELECT count(*) FROM baton.attempt") == 1,
               "the attempt")
    last = "delivered" if reply.startswith("250") else end
    row, = relay.sql("SELECT state, attempt_count FROM baton.delivery"
                     " WHERE message_id = %s", message_id)
    assert row == {"state": last, "attempt_count": 1}
    counts, = relay.sql(
        "SELECT sum(outbound)::int AS outbound, sum(sent)::int AS delivered,"
        " sum(failed_suppressed)::int AS suppressed,"
        " sum(cancelled)::int AS cancelled,"
        " sum(failed_permanent)::int AS bounced FROM baton.counter")
    assert counts == {"outbound": 1, "delivered": 0, "suppressed": 0,
                      "cancelled": 0, "bounced": 0, last: 1}


# The directory

def test_many_changes_are_few_loads(make_baton):
    relay = make_baton(settings={"server": {"workers": "1"}})

    def loads():
        return relay.log().count('event="the directory was loaded"')

    before, begun = loads(), time.monotonic()
    for _ in range(400):
        relay.sql("NOTIFY baton_directory")
    seen = loads() - before
    assert 1 <= seen <= 12 + (time.monotonic() - begun), seen
    seen = loads()
    relay.sql("NOTIFY baton_directory")
    wait_until(lambda: loads() > seen, "the last change")
