# SPDX-License-Identifier: MIT
"""What next hops see, and what becomes of it."""

import email
import re

import pytest

import certificates
import instance
import sink as sinks
from dialogue import message
from nameserver import Nameserver
from waiting import wait_until

HELLO = message()


def attempts(baton):
    return baton.sql("SELECT * FROM baton.attempt ORDER BY attempt_id")


def wait_for_attempts(baton, count=1):
    return wait_until(lambda: len(attempts(baton)) >= count and attempts(baton),
                      f"{count} attempts")


def wait_for_states(baton, expected):
    """Of these recipients; reports to the sender are deliveries as well."""
    try:
        wait_until(lambda: expected.items() <= baton.deliveries().items(),
                   f"the states {expected}")
    except AssertionError as failure:
        raise AssertionError(f"{failure}, they are {baton.deliveries()}") from None


@pytest.fixture
def fresh(make_baton, make_sink):
    """make(sink arguments, settings=…): a sink and a Baton delivering to it."""
    def make(settings=None, target=None, **arguments):
        sink = make_sink(**arguments)
        target = (target or "smtp://127.0.0.1:{port}").format(port=sink.port)
        return make_baton(settings, routes={"*": target}), sink
    return make


def test_f11_the_body_is_untouched(baton, sink):
    body = ("text with = signs, trailing blanks   \r\n\t\r\n" * 50
            + "no line end at the very end")
    baton.submit(message(body=body, fields="X-Kept:  as  it is \r\n\tfolded\r\n"))
    one = sink.wait_for(1)[0]
    assert one.body == body.encode() + b"\r\n"
    assert b"X-Kept:  as  it is \r\n\tfolded\r\n" in one.header


def test_s17_one_refused_recipient_does_not_fail_the_others(fresh):
    baton, sink = fresh(on={"RCPT": lambda session, argument:
                            "550 5.1.1 No such user" if "bad" in argument
                            else None})
    message_id = baton.submit(HELLO, ["good1@rcpt.example", "bad@rcpt.example",
                                      "good2@rcpt.example"])
    wait_until(lambda: baton.value("SELECT count(*) FROM baton.delivery WHERE "
                                   "message_id = %s AND state <> 'queued'",
                                   message_id) == 3, "three ends")
    states = {row["recipient"]: row["state"] for row in baton.sql(
        "SELECT * FROM baton.delivery WHERE message_id = %s", message_id)}
    assert states == {"good1@rcpt.example": "delivered",
                      "good2@rcpt.example": "delivered",
                      "bad@rcpt.example": "failed"}
    failed = [a for a in attempts(baton) if a["outcome"] == "failed"]
    assert failed[0]["reply_code"] == 550
    assert failed[0]["enhanced_code"] == "5.1.1"
    assert "No such user" in failed[0]["reply"]


def test_s18_4yz_to_one_recipient_is_a_deferral_of_that_one(fresh):
    baton, sink = fresh(on={"RCPT": lambda session, argument:
                            "451 4.2.0 Later" if "slow" in argument else None})
    baton.submit(HELLO, ["good@rcpt.example", "slow@rcpt.example"])
    wait_for_states(baton, {"good@rcpt.example": "delivered",
                            "slow@rcpt.example": "queued"})
    why = wait_until(lambda: baton.value("SELECT why FROM baton.queue"),
                     "a reason")
    assert "Later" in why or "451" in why


def test_s8_552_to_rcpt_is_temporary(fresh):
    baton, sink = fresh(on={"RCPT": "552 5.5.3 Too many"})
    baton.submit(HELLO)
    assert wait_for_attempts(baton)[0]["outcome"] == "deferred"


@pytest.mark.parametrize("step,reply,outcome", [
    ("MAIL", "550 5.7.1 Not from you", "failed"),
    ("MAIL", "451 4.7.1 Greylisted", "deferred"),
    ("MAIL", "552 5.3.4 Too large", "failed"),
    ("DATA", "554 5.5.1 No", "failed"),
    ("DATA", "421 4.3.2 Closing", "deferred"),
    ("message", "554 5.7.1 Spam", "failed"),
    ("message", "552 5.2.2 Full", "failed"),
    ("message", "451 4.3.0 Later", "deferred"),
    ("connect", "554 5.3.2 No service", "deferred"),
    ("connect", "421 4.3.2 Busy", "deferred"),
    ("connect", b"nonsense without a code\r\n", "deferred"),
    ("EHLO", "421 4.3.2 Busy", "deferred"),
    ("RCPT", "999 what", "deferred"),
    ("MAIL", b"250-never\r\n250-", None),
])
def test_s15_s18_replies_and_their_outcomes(fresh, step, reply, outcome):
    baton, sink = fresh(on={step: reply}, settings={
        "delivery": {"retry": "1 h"}})
    baton.submit(HELLO)
    if outcome is None:
        wait_until(lambda: sink.sessions, "a session")
        return
    attempt = wait_for_attempts(baton)[0]
    assert attempt["outcome"] == outcome, attempt


@pytest.mark.parametrize("reply", [
    b"250-first\r\n250-second\r\n250 third\r\n", b"250\r\n", b"250 \r\n",
    b"250-\r\n250\r\n"])
def test_s15_many_forms_of_a_reply(fresh, reply):
    baton, sink = fresh(on={"MAIL": reply, "RCPT": reply, "message": reply})
    baton.submit(HELLO)
    wait_for_states(baton, {"b@rcpt.example": "delivered"})


def test_s15_a_reply_split_over_packets(fresh):
    def slowly(session, argument):
        for byte in b"250-2.1.0 sl\r\n":
            session.connection.sendall(bytes([byte]))
        return "250 2.1.0 ow"
    baton, sink = fresh(on={"MAIL": slowly, "RCPT": slowly})
    baton.submit(HELLO)
    wait_for_states(baton, {"b@rcpt.example": "delivered"})


def test_t31_an_endless_reply_does_not_wedge(fresh):
    def endless(session, argument):
        for _ in range(200):
            session.connection.sendall(b"250-" + b"x" * 50000 + b"\r\n")
        return b"250 done\r\n"
    baton, sink = fresh(on={"RCPT": endless}, settings={
        "delivery": {"retry": "1 h"}})
    baton.submit(HELLO)
    attempt = wait_for_attempts(baton)[0]
    assert len(attempt["reply"]) < 10000


def test_t31_escapes_in_replies_do_not_reach_the_log(fresh):
    baton, sink = fresh(on={"RCPT": b"550 5.1.1 \x1b[31mred\x07\xff\r\n"})
    baton.submit(HELLO)
    attempt = wait_for_attempts(baton)[0]
    assert attempt["outcome"] == "failed"
    assert "\x1b" not in baton.log() and "\x07" not in baton.log()


def test_s12_lost_after_the_final_dot_is_uncertain_and_tried_again(fresh):
    tries = []

    def lose_the_first(session, argument):
        tries.append(argument)
        return sinks.CLOSE if len(tries) == 1 else None
    baton, sink = fresh(on={"message": lose_the_first},
                        settings={"delivery": {"retry": "1 s",
                                               "host_penalty": "10 ms"}})
    baton.submit(HELLO)
    wait_for_states(baton, {"b@rcpt.example": "delivered"})
    assert [a["outcome"] for a in attempts(baton)][:2] == ["uncertain",
                                                           "delivered"]


def test_e1_without_pipelining_one_command_at_a_time(fresh):
    baton, sink = fresh(extensions=("8BITMIME",))
    baton.submit(HELLO, [f"b{i}@rcpt.example" for i in range(5)])
    wait_until(lambda: sum(len(m.recipients) for m in sink.messages) == 5,
               "all recipients")


def test_e1_data_when_all_recipients_were_refused(fresh):
    """354 in spite of all: the body that follows is empty (RFC 2920)."""
    baton, sink = fresh(on={"RCPT": "550 5.1.1 no", "DATA": "354 go",
                            "message": "554 5.5.1 no recipients"})
    baton.submit(HELLO)
    wait_for_states(baton, {"b@rcpt.example": "failed"})
    assert all(m.data.strip() == b"" for m in sink.tried)


def test_helo_only_server(fresh):
    baton, sink = fresh(on={"EHLO": "502 5.5.1 what"})
    baton.submit(HELLO)
    assert any(c.startswith("HELO") for c in sink.wait_for(1)[0].session.commands)


def test_connections_are_reused(fresh):
    baton, sink = fresh({"server": {"workers": "1"},
                         "delivery": {"connections_per_site": "1"}})
    with baton.session() as d:
        for i in range(10):
            d.envelope("a@sender.example", f"b{i}@rcpt.example")
            d.data(HELLO)
    sink.wait_for(10)
    assert len(sink.sessions) == 1


def test_messages_per_connection(fresh):
    baton, sink = fresh({"server": {"workers": "1"},
                         "delivery": {"connections_per_site": "1",
                                      "messages_per_connection": "3"}})
    with baton.session() as d:
        for i in range(9):
            d.envelope("a@sender.example", f"b{i}@rcpt.example")
            d.data(HELLO)
    sink.wait_for(9)
    assert max(s.message_count for s in sink.sessions) <= 3


def test_connections_per_site_is_kept(fresh):
    baton, sink = fresh({"server": {"workers": "1"},
                         "delivery": {"connections_per_site": "3"}})
    with baton.session() as d:
        for i in range(60):
            d.envelope("a@sender.example", f"b{i}@rcpt.example")
            d.data(HELLO)
    sink.wait_for(60)
    assert len(sink.sessions) <= 3


def test_t6_starttls_is_used_when_it_is_offered(fresh, certificate):
    baton, sink = fresh(tls=certificates.server_context(*certificate))
    baton.submit(HELLO)
    one = sink.wait_for(1)[0]
    assert one.session.is_tls
    assert wait_for_attempts(baton)[0]["tls"].startswith("TLSv1")
    ehlos = [c for c in one.session.commands if c.startswith("EHLO")]
    assert len(ehlos) == 2  # A2


def test_t6_a_failed_handshake_falls_back_on_a_new_connection(fresh):
    def refuse(session, argument):
        session.say("220 go")
        return sinks.CLOSE
    import ssl
    baton, sink = fresh(tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
                        on={"STARTTLS": refuse},
                        settings={"delivery": {"retry": "1 s"}})
    baton.submit(HELLO)
    assert not sink.wait_for(1)[0].session.is_tls


def test_smarthost_with_credentials_and_implicit_tls(fresh, certificate):
    baton, sink = fresh(tls=certificates.server_context(*certificate),
                        implicit_tls=True, users={"me": "se:c@ret"},
                        target="smtps://me:se%3Ac%40ret@127.0.0.1:{port}")
    baton.submit(HELLO)
    outcome = wait_for_attempts(baton)[0]
    if outcome["outcome"] != "delivered":
        # A self-signed certificate does not do where credentials are sent.
        assert "certificate" in outcome["reply"], outcome
        assert not sink.messages
    else:
        assert sink.messages[0].session.user == "me"
    assert "se:c@ret" not in baton.log()


def test_e4_8bit_to_a_hop_without_8bitmime(fresh):
    baton, sink = fresh(extensions=("PIPELINING",))
    baton.submit(message(body="gr\u00fc\u00dfe\r\n", fields="MIME-Version: 1.0\r\n"
                 "Content-Type: text/plain; charset=utf-8\r\n"
                 "Content-Transfer-Encoding: 8bit\r\n"))
    one = sink.wait_for(1)[0]
    assert one.data.isascii() and "8BITMIME" not in one.arguments[0]
    arrived = email.message_from_bytes(one.data)
    assert arrived["Content-Transfer-Encoding"] == "quoted-printable"
    assert arrived.get_payload(decode=True) == "gr\u00fc\u00dfe\r\n".encode()
    wait_for_states(baton, {"b@rcpt.example": "delivered"})


def test_e4_8bit_that_cannot_become_7_bit_fails(fresh):
    """In a signed part not a byte may change."""
    baton, sink = fresh(extensions=("PIPELINING",))
    baton.submit(message(
        body="--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
        "gr\u00fc\u00dfe\r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\n"
        "x\r\n--b--\r\n",
        fields="MIME-Version: 1.0\r\nContent-Type: multipart/signed; "
        'protocol="application/pgp-signature"; boundary=b\r\n'))
    wait_for_states(baton, {"b@rcpt.example": "failed"})
    assert wait_for_attempts(baton)[0]["enhanced_code"] == "5.6.3"
    assert not any(b"gr\xc3\xbc" in one.data and one.sender
                   for one in sink.messages)


def test_e4_8bit_is_declared_where_it_is_offered(fresh):
    baton, sink = fresh()
    baton.submit(message(body="gr\u00fcn\r\n", fields="MIME-Version: 1.0\r\n"
                 "Content-Type: text/plain; charset=utf-8\r\n"
                 "Content-Transfer-Encoding: 8bit\r\n"))
    one = sink.wait_for(1)[0]
    assert "BODY=8BITMIME" in one.arguments[0]
    assert one.body == "gr\u00fcn\r\n".encode()


def test_e5_the_size_of_the_next_hop(fresh):
    baton, sink = fresh(extensions=("SIZE 1000", "8BITMIME"))
    baton.submit(message(body="x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * 50))
    attempt = wait_for_attempts(baton)[0]
    assert attempt["outcome"] == "failed"
    assert attempt["enhanced_code"] == "5.3.4"
    assert not sink.tried


def test_e6_smtputf8_to_a_hop_without_it(fresh):
    baton, sink = fresh(extensions=("PIPELINING", "8BITMIME"))
    with baton.session() as d:
        d.command("MAIL FROM:<a@sender.example> SMTPUTF8", 250)
        d.command("RCPT TO:<gr\u00fcn@rcpt.example>", 250)
        d.data(HELLO)
    attempt = wait_for_attempts(baton)[0]
    assert attempt["outcome"] == "failed"
    assert attempt["enhanced_code"] == "5.6.7"
    assert not sink.tried


def test_e8_dsn_parameters_are_repeated(fresh):
    baton, sink = fresh()
    with baton.session() as d:
        d.command("MAIL FROM:<a@sender.example> RET=HDRS ENVID=Qq+2B314159", 250)
        d.command("RCPT TO:<b@rcpt.example> NOTIFY=SUCCESS,FAILURE "
                  "ORCPT=rfc822;Bob@Rcpt.Example", 250)
        d.data(HELLO)
    arguments = sink.wait_for(1)[0].arguments
    assert "RET=HDRS" in arguments[0] and "ENVID=Qq+2B314159" in arguments[0]
    assert "ORCPT=rfc822;Bob@Rcpt.Example" in arguments[1]
    assert re.search(r"NOTIFY=(SUCCESS,FAILURE|FAILURE,SUCCESS)", arguments[1])


def test_e8_dsn_parameters_are_not_sent_to_others(fresh):
    baton, sink = fresh(extensions=("PIPELINING",))
    with baton.session() as d:
        d.command("MAIL FROM:<a@sender.example> RET=HDRS ENVID=QQ314159", 250)
        d.command("RCPT TO:<b@rcpt.example> NOTIFY=NEVER", 250)
        d.data(HELLO)
    arguments = sink.wait_for(1)[0].arguments
    assert "ENVID" not in arguments[0] and "NOTIFY" not in arguments[1]


def test_e10_rcptmax_of_the_next_hop_is_obeyed(fresh):
    baton, sink = fresh(extensions=("PIPELINING", "LIMITS RCPTMAX=2"))
    baton.submit(HELLO, [f"b{i}@rcpt.example" for i in range(7)])
    wait_until(lambda: sum(len(m.recipients) for m in sink.messages) == 7,
               "all recipients")
    assert max(len(m.recipients) for m in sink.messages) <= 2


def test_s7_long_lines_are_encoded_not_cut(fresh):
    baton, sink = fresh()
    text = "word " * 1000
    baton.submit(message(body=text + "\r\n", fields="MIME-Version: 1.0\r\n"
                         "Content-Type: text/plain; charset=us-ascii\r\n"))
    one = sink.wait_for(1)[0]
    assert max(len(line) for line in one.raw.split(b"\r\n")) <= 998
    import email
    parsed = email.message_from_bytes(one.data)
    assert parsed.get_payload(decode=True).strip() == text.strip().encode()


def test_transcripts_and_phases_are_kept(fresh):
    baton, sink = fresh()
    baton.submit(HELLO)
    attempt = wait_for_attempts(baton)[0]
    assert attempt["outcome"] == "delivered"
    for word in ("EHLO relay.example", "MAIL FROM:<a@sender.example>",
                 "RCPT TO:<b@rcpt.example>", "250 2.0.0 kept"):
        assert word in attempt["transcript"], attempt["transcript"]
    assert attempt["number"] == 1 and attempt["connect_milliseconds"] >= 0
    assert attempt["address"].startswith("127.0.0.1")


def test_discard_and_sandbox_routes(make_baton):
    baton = make_baton(routes={"sand.example": "sandbox:", "*": "discard:"})
    baton.submit(HELLO, ["b@sand.example", "b@elsewhere.example"])
    wait_for_states(baton, {"b@sand.example": "delivered",
                            "b@elsewhere.example": "delivered"})
    kept = baton.sql("SELECT recipient, message FROM baton.sandbox")
    assert [row["recipient"] for row in kept] == ["b@sand.example"]
    assert b"Received:" in bytes(kept[0]["message"])


# Finding the way: a DNS of our own


@pytest.fixture
def mail_exchangers(make_baton, make_sink):
    """make(records, sinks={address: arguments}): a Baton with that DNS, and the
    sinks, all on one port."""
    servers = []

    def make(records, sinks, settings=None):
        port = 0
        made = {}
        for address, arguments in sinks.items():
            made[address] = make_sink(host=address, port=port, **arguments)
            port = made[address].port
        server = Nameserver({"sender.example": ["A 127.0.0.1"], **records})
        servers.append(server)
        delivery = {"mx_port": str(port or 2), "allow_special_addresses": "on",
                    "retry": "1 h", "connect_timeout": "3 s"}
        delivery.update((settings or {}).get("delivery", {}))
        baton = make_baton({**(settings or {}), "delivery": delivery},
                           nameserver_of_test=server)
        return baton, made

    yield make
    for server in servers:
        server.close()


def test_s10_mx_in_order_of_preference(mail_exchangers):
    baton, sinks = mail_exchangers(
        {"rcpt.example": ["MX 20 b.example", "MX 10 a.example"],
         "a.example": ["A 127.0.0.11"], "b.example": ["A 127.0.0.12"]},
        {"127.0.0.11": {}, "127.0.0.12": {}})
    baton.submit(HELLO)
    sinks["127.0.0.11"].wait_for(1)
    assert not sinks["127.0.0.12"].sessions


def test_s10_a_dead_first_mx(mail_exchangers):
    baton, sinks = mail_exchangers(
        {"rcpt.example": ["MX 10 dead.example", "MX 20 b.example"],
         "dead.example": ["A 127.0.0.13"], "b.example": ["A 127.0.0.12"]},
        {"127.0.0.12": {}})
    baton.submit(HELLO)
    sinks["127.0.0.12"].wait_for(1)


@pytest.mark.parametrize("banner", ["554 5.3.2 no", "421 4.3.2 busy", sinks.CLOSE],
                         ids=["554", "421", "closed"])
def test_s18_a_first_mx_that_refuses(mail_exchangers, banner):
    baton, sinks = mail_exchangers(
        {"rcpt.example": ["MX 10 a.example", "MX 20 b.example"],
         "a.example": ["A 127.0.0.11"], "b.example": ["A 127.0.0.12"]},
        {"127.0.0.11": {"on": {"connect": banner}}, "127.0.0.12": {}})
    baton.submit(HELLO)
    sinks["127.0.0.12"].wait_for(1)


def test_s10_equal_preferences_are_shuffled(mail_exchangers):
    baton, sinks = mail_exchangers(
        {f"d{i}.example": [f"MX 10 a{i}.example", f"MX 10 b{i}.example"]
         for i in range(30)} |
        {f"a{i}.example": ["A 127.0.0.11"] for i in range(30)} |
        {f"b{i}.example": ["A 127.0.0.12"] for i in range(30)},
        {"127.0.0.11": {}, "127.0.0.12": {}})
    with baton.session() as d:
        for i in range(30):
            d.envelope("a@sender.example", f"b@d{i}.example")
            d.data(HELLO)
    wait_until(lambda: sum(len(s.messages) for s in sinks.values()) == 30,
               "30 messages")
    assert all(len(s.messages) >= 3 for s in sinks.values()), (
        {a: len(s.messages) for a, s in sinks.items()})


def test_s10_no_mx_means_the_address(mail_exchangers):
    baton, sinks = mail_exchangers({"rcpt.example": ["A 127.0.0.11"]},
                                   {"127.0.0.11": {}})
    baton.submit(HELLO)
    sinks["127.0.0.11"].wait_for(1)


def test_s10_an_mx_without_address_is_no_reason_to_use_the_a_record(
        mail_exchangers):
    baton, sinks = mail_exchangers(
        {"rcpt.example": ["MX 10 nowhere.example", "A 127.0.0.11"]},
        {"127.0.0.11": {}})
    baton.submit(HELLO)
    attempt_or_state = wait_until(
        lambda: attempts(baton) or baton.deliveries().get("b@rcpt.example")
        != "queued" or baton.value("SELECT why FROM baton.queue WHERE due_at "
                                   "IS NOT NULL"), "a decision")
    assert attempt_or_state
    assert not sinks["127.0.0.11"].sessions


def test_e12_null_mx_fails_at_once(mail_exchangers):
    baton, sinks = mail_exchangers(
        {"rcpt.example": ["MX 0 .", "A 127.0.0.11"]}, {"127.0.0.11": {}})
    baton.submit(HELLO)
    wait_for_states(baton, {"b@rcpt.example": "failed"})
    reply = baton.value("SELECT last_reply FROM baton.delivery")
    codes = {a["enhanced_code"] for a in attempts(baton)}
    assert "5.1.10" in codes or "5.1.10" in (reply or "")
    assert not sinks["127.0.0.11"].sessions


def test_a_domain_that_does_not_exist_fails_at_once(mail_exchangers):
    baton, _ = mail_exchangers({}, {})
    baton.submit(HELLO)
    wait_for_states(baton, {"b@rcpt.example": "failed"})
    # The first attempt: the report to the sender is tried as well.
    assert attempts(baton)[0]["enhanced_code"] == "5.1.2"


def test_dns_that_fails_for_now_is_a_deferral(mail_exchangers):
    baton, _ = mail_exchangers({"rcpt.example": ["SERVFAIL"]}, {})
    baton.submit(HELLO)
    why = wait_until(lambda: baton.value(
        "SELECT why FROM baton.queue WHERE due_at IS NOT NULL"), "a deferral")
    assert "rcpt.example" in why and "just now" in why


@pytest.mark.parametrize("record", [
    "A 127.0.0.11", "A 0.0.0.0", "AAAA ::1", "AAAA ::ffff:7f00:b",
    "A 10.0.0.1", "A 192.168.1.1", "A 169.254.169.254", "AAAA fe80::1",
    "A 224.0.0.1"])
def test_t25_an_mx_on_a_special_address_is_no_host(mail_exchangers, record):
    baton, sinks = mail_exchangers(
        {"rcpt.example": ["MX 10 a.example"], "a.example": [record]},
        {"127.0.0.11": {}},
        {"delivery": {"allow_special_addresses": "off"}})
    baton.submit(HELLO)
    wait_until(lambda: baton.deliveries()["b@rcpt.example"] == "failed"
               or baton.value("SELECT why FROM baton.queue WHERE due_at IS NOT "
                              "NULL"), "a decision")
    assert not sinks["127.0.0.11"].sessions
    assert all(a["address"] == "" for a in attempts(baton))


def test_s10_we_are_in_the_list_of_exchangers(mail_exchangers):
    baton, sinks = mail_exchangers(
        {"rcpt.example": ["MX 10 a.example", "MX 20 relay.example",
                          "MX 30 c.example"],
         "a.example": ["A 127.0.0.13"], "relay.example": ["A 127.0.0.11"],
         "c.example": ["A 127.0.0.12"]},
        {"127.0.0.11": {}, "127.0.0.12": {}})
    baton.submit(HELLO)
    wait_for_attempts(baton)
    assert not sinks["127.0.0.11"].sessions and not sinks["127.0.0.12"].sessions


def test_domains_of_one_site_share_its_connections(mail_exchangers):
    baton, sinks = mail_exchangers(
        {f"d{i}.example": ["MX 10 mx.example"] for i in range(10)} |
        {"mx.example": ["A 127.0.0.11"]}, {"127.0.0.11": {}},
        {"server": {"workers": "1"}, "delivery": {"connections_per_site": "1"}})
    baton.submit(HELLO, [f"b@d{i}.example" for i in range(10)])
    wait_until(lambda: sum(len(m.recipients) for m
                           in sinks["127.0.0.11"].messages) == 10, "all ten")
    assert len(sinks["127.0.0.11"].sessions) == 1


def test_what_waits_follows_route_and_suspension(make_baton, make_sink):
    """It waits in memory, for a host that is passed over for an hour."""
    good = make_sink()
    baton = make_baton(
        {"server": {"workers": "1"},
         "delivery": {"host_penalty": "1 h", "retry": "1 h"}},
        routes={"*": f"smtp://127.0.0.1:{instance.free_port()}"})

    def waits(domain, count=1):
        return baton.value("SELECT count(*) FROM baton.queue WHERE domain = %s "
                           "AND worker_id IS NOT NULL", domain) == count
    baton.submit(message(), ["a@one.example"])
    wait_until(lambda: waits("one.example", 0), "the host to have failed")
    baton.submit(message(), ["b@one.example"])
    baton.submit(message(), ["c@two.example"])
    assert waits("one.example") and waits("two.example")

    baton.cli("queue", "suspend", "--domain", "two.example")
    wait_until(lambda: waits("two.example", 0), "the suspended one to go back")
    why = baton.value("SELECT why FROM baton.queue WHERE domain = 'two.example'")
    assert why.startswith("suspended by an operator")

    baton.cli("route", "set", "one.example", f"smtp://127.0.0.1:{good.port}")
    assert good.wait_for(1, 10)[0].recipients == ["b@one.example"]


def test_deliveries_are_found_by_their_key(make_baton):
    """PostgreSQL knows nothing of a day that has just begun: its guess must not
    be an index that leads through all of the account's deliveries."""
    baton = make_baton(routes={"*": "discard:"})
    with baton.session() as session:
        for _ in range(30):
            session.envelope("a@sender.example", "b@rcpt.example")
            session.data(message())
    baton.wait_for_empty_queue()

    def scans(index):
        return baton.value("SELECT sum(idx_scan) FROM pg_stat_user_indexes"
                           " WHERE relname LIKE 'delivery_2%%'"
                           " AND indexrelname LIKE %s", index)

    def is_counted():
        baton.submit(message())  # PostgreSQL counts at the end of a transaction
        return scans("%_pkey") >= 30

    wait_until(is_counted, "PostgreSQL's own count")
    assert scans("%lower%") == 0
