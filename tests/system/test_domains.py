# SPDX-License-Identifier: MIT
"""Sender domains: keys, the records to publish, what DNS is found to say, and
what follows from it for mail."""

import json
import re
import threading

import psycopg2
import pytest

from conftest import close_all
from instance import add_account
from nameserver import Nameserver
from sink import Sink
from tokens import Tokens
from waiting import wait_until
from web import Web

SECRET = "5e" * 32
RETURN = "return.relay.example"
LINKS = "links.relay.example"
OURS = {
    RETURN: ["MX 10 relay.example", 'TXT "v=spf1 ip4:192.0.2.7 -all"'],
    LINKS: ["A 192.0.2.7"],
    "relay.example": ["A 192.0.2.7"],
}
SETTINGS = {
    "server": {"public_url": f"https://{LINKS}", "return_path_host": RETURN,
               "sending_addresses": "192.0.2.7", "feedback_sender": "baton7test"},
    "dkim": {"key_encryption": SECRET},
}


@pytest.fixture
def names():
    """A DNS whose records the test changes: names.publish, names.remove."""
    server = Nameserver(dict(OURS), ttl=1)
    yield server
    server.close()


@pytest.fixture
def baton(factory, names, postgres):
    made = factory(SETTINGS, nameserver_of_test=names, start=False)
    yield made
    close_all([made], postgres)


def add(baton, domain="shop.example", *options):
    return baton.cli_json("domain", "add", "demo", domain, *options)["records"]


def publish(names, records, alternative=False, without=()):
    """As a sender would: the first form of each record, or the other one."""
    has_other = {record["purpose"] for record in records if record["alternative"]}
    for record in records:
        if record["purpose"] in without:
            continue
        if record["purpose"] in has_other and record["alternative"] != alternative:
            continue
        names.publish(record["name"], record["type"], record["value"])


def verify(baton, domain="shop.example", check=True):
    """{(subject, name): finding}; the exit status says whether all is right."""
    result = baton.cli("domain", "verify", "demo", domain, "--json", check=False)
    report = json.loads(result.stdout)
    assert (result.returncode == 0) == report["right"], result.stderr
    if check:
        assert report["right"], [found for found in report["findings"]
                                  if found["state"] != "right"]
    return {(found["subject"], found["name"]): found
            for found in report["findings"]}


def values(message, name):
    return [whole.partition(b":")[2].strip() for other, whole in message.fields()
            if other.lower() == name.lower()]


def state(baton, domain="shop.example"):
    row = baton.sql("SELECT dkim_is_right, return_is_right, link_is_right,"
                    " checked_at IS NOT NULL AS checked, broken_at IS NOT NULL"
                    " AS broken FROM report.domain WHERE domain = %s", domain)[0]
    return [name for name in ("dkim_is_right", "return_is_right",
                              "link_is_right", "broken") if row[name]]


def test_adding_a_domain_prints_what_to_publish(baton):
    records = add(baton)
    by_purpose = {}
    for record in records:
        by_purpose.setdefault(record["purpose"], []).append(record)
    keys = [record["value"] for record in by_purpose["dkim"]]
    assert sorted(value.split(";")[:2] for value in keys) == [
        ["v=DKIM1", " k=ed25519"], ["v=DKIM1", " k=rsa"]]
    assert [(r["name"], r["type"], r["value"]) for r in by_purpose["return_path"]] \
        == [("bounce.shop.example", "CNAME", RETURN),
            ("bounce.shop.example", "MX", f"10 {RETURN}"),
            ("bounce.shop.example", "TXT", f"v=spf1 include:{RETURN} -all")]
    assert [(r["name"], r["type"], r["value"]) for r in by_purpose["link"]] == [
        ("click.shop.example", "CNAME", LINKS)]
    assert by_purpose["dmarc"][0]["name"] == "_dmarc.shop.example"
    # The same again, and in words.
    assert baton.cli_json("domain", "records", "demo",
                          "shop.example")["records"] == records
    words = baton.cli("domain", "records", "demo", "shop.example").stdout
    for record in records:
        assert record["name"] in words and record["value"] in words


def test_private_keys_are_encrypted_and_open_under_their_own_row_only(baton):
    add(baton)
    keys = baton.sql("SELECT selector, encode(private_key, 'escape') AS key FROM"
                     " baton.dkim_key")
    assert len(keys) == 2
    for key in keys:
        assert "PRIVATE" not in key["key"]
    assert baton.sql("SELECT * FROM report.dkim_key")
    assert "private_key" not in baton.sql("SELECT * FROM report.dkim_key")[0]


def test_without_a_secret_there_is_no_key_and_that_is_said(factory, names,
                                                          postgres):
    baton = factory({"server": SETTINGS["server"]}, nameserver_of_test=names,
                    start=False)
    try:
        said = baton.cli("domain", "add", "demo", "shop.example").stdout
        assert "key_encryption" in said and "not signed" in said
        assert baton.value("SELECT count(*) FROM baton.dkim_key") == 0
        refused = baton.cli("domain", "rotate", "demo", "shop.example",
                            check=False)
        assert refused.returncode != 0 and "openssl rand" in refused.stderr
    finally:
        close_all([baton], postgres)


@pytest.mark.parametrize("alternative", [False, True])
def test_d9_what_is_right_is_found_right(baton, names, alternative):
    publish(names, add(baton), alternative)
    assert {found["state"] for found in verify(baton).values()} == {"right"}
    assert state(baton) == ["dkim_is_right", "return_is_right", "link_is_right"]


def test_d9_what_is_missing_is_named_with_what_to_do(baton):
    records = add(baton)
    found = verify(baton, check=False)
    for record in records:
        if record["purpose"] == "dkim":
            finding = found["dkim", record["name"]]
            assert finding["state"] == "missing"
            assert record["value"] in finding["expected"] + finding["advice"]
    assert found["return_path", "bounce.shop.example"]["state"] == "missing"
    assert found["link", "click.shop.example"]["state"] == "missing"
    assert all(finding["advice"] for finding in found.values())
    assert state(baton) == []


def test_d9_what_is_wrong_is_told_apart(baton, names):
    records = add(baton)
    publish(names, records)
    key = next(r for r in records if "k=rsa" in r["value"])
    names.remove(key["name"])
    names.publish(key["name"], "TXT", key["value"][:-8] + "AAAAAAAA")
    names.remove("click.shop.example")
    names.publish("click.shop.example", "CNAME", "elsewhere.example")
    found = verify(baton, check=False)
    assert found["dkim", key["name"]]["state"] == "wrong"
    assert "AAAAAAAA" in found["dkim", key["name"]]["found"]
    assert found["link", "click.shop.example"]["state"] == "wrong"
    assert found["return_path", "bounce.shop.example"]["state"] == "right"
    assert state(baton) == ["return_is_right"]


def test_a_name_that_was_doubled_is_recognised(baton, names):
    records = add(baton)
    for record in records:
        if record["purpose"] == "dkim":
            names.publish(record["name"] + ".shop.example", "TXT",
                          record["value"])
        elif not record["alternative"]:
            names.publish(record["name"], record["type"], record["value"])
    found = verify(baton, check=False)
    key = next(r for r in records if r["purpose"] == "dkim")
    assert "shop.example.shop.example" in " ".join(
        [found["dkim", key["name"]]["found"], found["dkim", key["name"]]["advice"]])


def test_d9_a_domain_that_breaks_later_is_noticed_by_the_check(factory, names,
                                                              postgres):
    baton = factory({**SETTINGS, "server": {**SETTINGS["server"],
                                            "clock_rate": "600", "lease": "10 min"}},
                    nameserver_of_test=names, start=False)
    try:
        publish(names, add(baton))
        baton.start()
        wait_until(lambda: state(baton) == ["dkim_is_right", "return_is_right",
                                            "link_is_right"], "the check", 60)
        names.remove("click.shop.example")
        wait_until(lambda: state(baton) == ["dkim_is_right", "return_is_right",
                                            "broken"], "the next one", 60)
        assert "no longer right" in baton.log()
        names.publish("click.shop.example", "CNAME", LINKS)
        wait_until(lambda: "broken" not in state(baton), "the last one", 60)
    finally:
        close_all([baton], postgres)


def test_a_verified_domain_has_its_own_links_and_return_path(factory, names,
                                                             postgres):
    sink = Sink()
    baton = factory(SETTINGS, nameserver_of_test=names,
                    routes={"*": f"smtp://127.0.0.1:{sink.port}"})
    try:
        baton.cli("set", "demo", "any_sender", "off")
        publish(names, add(baton))
        message = (b"From: a@shop.example\r\nTo: b@rcpt.example\r\n"
                   b"Subject: s\r\nMIME-Version: 1.0\r\n"
                   b"Content-Type: text/html\r\n\r\n"
                   b"<a href=\"https://target.example/\">t</a>\r\n")

        def send(number):
            baton.submit(message, sender="a@shop.example")
            wait_until(lambda: len(sink.messages) == number, "the message")
            return sink.messages[-1]

        before = send(1)
        assert f"https://{LINKS}/c/".encode() in before.data
        assert before.sender.endswith("@" + RETURN)
        verify(baton)
        wait_until(lambda: b"https://click.shop.example/c/" in send(
            len(sink.messages) + 1).data, "links of the domain's own")
        last = sink.messages[-1]
        assert last.sender.endswith("@bounce.shop.example")
        # B11: once, signed; B10: an address of the domain's own, when it is wanted.
        assert values(last, "Feedback-ID") == [b":demo:transactional:baton7test"]
        assert values(last, "CFBL-Address") == []
        baton.cli("set", "demo", "cfbl", "on")
        wait_until(lambda: values(send(len(sink.messages) + 1), "CFBL-Address"),
                   "the address for complaints")
        last = sink.messages[-1]
        assert re.fullmatch(rb"f\+[a-z2-7]{48}@bounce\.shop\.example; report=arf",
                            values(last, "CFBL-Address")[0])
        signed = values(last, "DKIM-Signature")
        assert len(signed) == 2
        for value in signed:
            named = re.sub(rb"\s", b"", value.split(b"h=")[1].split(b";")[0])
            assert {b"Feedback-ID", b"CFBL-Address"} <= set(named.split(b":"))
    finally:
        close_all([baton], postgres)
        sink.close()


def test_d6_new_keys_sign_once_dns_has_them(baton, names):
    publish(names, add(baton))
    verify(baton)
    old = {row["selector"] for row in baton.sql(
        "SELECT selector FROM baton.dkim_key WHERE state = 'signing'")}
    records = baton.cli_json("domain", "rotate", "demo", "shop.example")["records"]
    assert len([r for r in records if r["purpose"] == "dkim"]) == 4

    def signing():
        return {row["selector"] for row in baton.sql(
            "SELECT selector FROM baton.dkim_key WHERE state = 'signing'")}

    verify(baton, check=False)
    assert signing() == old  # DNS does not have the new ones yet
    publish(names, [r for r in records if r["purpose"] == "dkim"
                    and r["name"].split(".")[0] not in old])
    verify(baton)
    assert signing().isdisjoint(old) and len(signing()) == 2
    assert {row["state"] for row in baton.sql(
        "SELECT state FROM baton.dkim_key WHERE selector = ANY(%s)",
        list(old))} == {"retired"}
    assert {found["state"] for found in verify(baton).values()} == {"right"}


def test_d5_mail_of_a_domain_that_is_not_right_can_be_refused(factory, names,
                                                             postgres):
    baton = factory(SETTINGS, nameserver_of_test=names,
                    routes={"*": "sandbox:"})
    try:
        baton.cli("set", "demo", "any_sender", "off")
        baton.cli("set", "demo", "unverified_domain", "refuse")
        records = add(baton)
        message = (b"From: a@shop.example\r\nTo: b@rcpt.example\r\n"
                   b"Subject: s\r\n\r\nhello\r\n")

        def answer():
            try:
                baton.submit(message, sender="a@shop.example")
            except Exception as refusal:  # smtplib's, of several kinds
                return str(refusal)
            return "taken"

        wait_until(lambda: "domain verify demo shop.example" in answer(), "a refusal")
        publish(names, records)
        verify(baton)
        wait_until(lambda: answer() == "taken", "the directory")
    finally:
        close_all([baton], postgres)


def test_d6_two_checks_at_once_switch_keys_once(baton, names):
    """What one of them switched is not retired by the other: both found the new
    keys published, and both write it down."""
    publish(names, add(baton))
    verify(baton)
    old = {row["selector"] for row in baton.sql(
        "SELECT selector FROM baton.dkim_key WHERE state = 'signing'")}
    records = baton.cli_json("domain", "rotate", "demo", "shop.example")["records"]
    publish(names, [r for r in records if r["purpose"] == "dkim"
                    and r["name"].split(".")[0] not in old])
    holder = psycopg2.connect(baton.url)
    with holder.cursor() as cursor:
        cursor.execute("SELECT FROM baton.domain FOR UPDATE")
    checks = [threading.Thread(target=verify, args=(baton,)) for _ in range(2)]
    for check in checks:
        check.start()
    wait_until(lambda: baton.value(
        "SELECT count(*) FROM pg_stat_activity WHERE datname ="
        " current_database() AND wait_event_type = 'Lock'") == 2, "both checks")
    holder.close()
    for check in checks:
        check.join(30)
    states = baton.sql("SELECT selector, state FROM baton.dkim_key")
    assert len(states) == 4
    assert {row["selector"] for row in states if row["state"] == "retired"} == old
    assert {row["state"] for row in states} == {"signing", "retired"}


def test_the_common_link_host_stays_everybodys(factory, names, postgres):
    """A domain's link host is that of [server] public_url when public_url lies
    under it: links of other accounts are followed there all the same, and under
    a host of the domain's own they are not."""
    baton = factory({**SETTINGS, "server": {
        **SETTINGS["server"], "public_url": "https://click.shop.example",
        "workers": "1"}}, nameserver_of_test=names)
    try:
        other = add_account(baton.sql, "other")
        add(baton)
        add(baton, "own.example")
        demo = baton.value("SELECT account_id FROM baton.account"
                           " WHERE name = 'demo'")
        tokens = Tokens(baton.sql)

        def status(account, host):
            token = tokens.click(account, 1, 1, "https://target.example/")
            with Web(baton.address("http")) as web:
                return web.ask("/c/" + token, host=host).status

        wait_until(lambda: status(other, "click.own.example") == 404,
                   "the directory")
        assert status(demo, "click.own.example") == 302
        assert status(demo, "click.shop.example") == 302
        assert status(other, "Click.Shop.Example:443") == 302
    finally:
        close_all([baton], postgres)
