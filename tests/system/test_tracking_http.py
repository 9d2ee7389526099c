# SPDX-License-Identifier: MIT
"""Clicks, opens and unsubscribes over HTTP. Tokens are made by tokens.py, so
that what Baton takes is checked against the layout, not against itself."""

import base64
import os
import re
import signal
import socket
import threading
import time

import pytest

from instance import PASSWORD, USER, add_account
from tokens import Tokens, base64url, from_base64url
from waiting import wait_until
from web import Web, ask, raw

BROWSER = ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 "
           "Firefox/145.0")
URL = "https://shop.example/a?b=1&c=2"
ONE_CLICK = b"List-Unsubscribe=One-Click"
FORM = "application/x-www-form-urlencoded"


def prepare(baton):
    """Account demo with two groups, and another with a host of its own."""
    demo = baton.value("SELECT account_id FROM baton.account WHERE name = %s",
                       USER)
    other = add_account(baton.sql, "<i>Other & \"Co\"</i>", PASSWORD)
    for account, name in ((demo, "News"), (demo, "Receipts"), (other, "Offers")):
        baton.sql("INSERT INTO baton.message_group (account_id, name)"
                  " VALUES (%s, %s)", account, name)
    for account, host in ((demo, "links.demo.example"),
                          (other, "links.other.example")):
        baton.sql("INSERT INTO baton.tracking_host (account_id, host)"
                  " VALUES (%s, %s)", account, host)


class Links:
    """Links of one account's own delivery."""

    def __init__(self, baton, account_name=USER):
        self.baton = baton
        self.tokens = Tokens(baton.sql)
        self.account = baton.value("SELECT account_id FROM baton.account"
                                   " WHERE name = %s", account_name)
        self.delivery = None

    def deliver(self, message_id):
        self.delivery = self.baton.value(
            "SELECT delivery_id FROM baton.delivery WHERE message_id = %s",
            message_id)
        return self

    def group(self, name):
        return self.baton.value("SELECT group_id FROM baton.message_group"
                                " WHERE account_id = %s AND name = %s",
                                self.account, name)

    def click(self, url=URL, link=1, **keywords):
        return "/c/" + self.tokens.click(self.account, self.delivery or 1, link,
                                         url, **keywords)

    def open(self, **keywords):
        return "/o/" + self.tokens.open(self.account, self.delivery or 1,
                                        **keywords)

    def unsubscribe(self, address, group="News", **keywords):
        return "/u/" + self.tokens.unsubscribe(
            self.account, self.delivery or 1,
            self.group(group) if group else 0, address, **keywords)

    def hits(self, kind="clicked"):
        return self.baton.sql(
            "SELECT * FROM baton.event WHERE account_id = %s AND kind = %s"
            " AND delivery_id = %s ORDER BY event_id", self.account, kind,
            self.delivery)

    def suppressions(self, address):
        return self.baton.sql(
            "SELECT * FROM baton.suppression WHERE account_id = %s"
            " AND address = %s", self.account, address)


def submit(baton, recipient="b@rcpt.example"):
    from dialogue import message
    message_id = baton.submit(message(recipient=recipient), [recipient])
    baton.wait_for_empty_queue()
    return message_id


@pytest.fixture(scope="module")
def relay(factory, postgres):
    from conftest import close_all
    baton = factory(settings={"http": {"hit_deadline": "5 s",
                                       "wrong_tokens": "100000",
                                       "request_timeout": "2 s"}},
                    routes={"*": "discard:"}, prepare=prepare)
    yield baton
    close_all([baton], postgres)


@pytest.fixture
def links(relay):
    """Links of a delivery of the test's own."""
    return Links(relay).deliver(submit(relay))


@pytest.fixture
def web(relay):
    with Web(relay.address("http")) as connection:
        yield connection


# Clicks

TARGETS = [
    URL,
    "http://shop.example",
    "http://",
    "http:shop.example",
    "HTTPS://Shop.Example/%2F%2f+;[x]{y}|z\\^`'\"<>",
    "https://shop.example/ünï/日本?q=ß#frägment",
    "https://shop.example/a b  c",
    "https://shop.example/" + "x" * 8000,
    "https://user:pass@shop.example:8443/?u=https://evil.example/",
]


@pytest.mark.parametrize("url", TARGETS, ids=lambda url: url[:30])
def test_p1_t16_a_click_goes_to_exactly_its_target(links, web, url):
    answer = web.ask(links.click(url), fields={"User-Agent": BROWSER})
    assert answer.status == 302
    assert answer.location == url.encode()
    assert answer.field("Cache-Control") == "no-store"
    assert answer.field("Referrer-Policy") == "no-referrer"
    assert answer.field("X-Content-Type-Options") == "nosniff"
    assert answer.field("Set-Cookie") is None
    assert answer.body == b""
    hit, = links.hits()
    assert hit["url"] == url
    assert hit["link_number"] == 1


def test_p1_head_is_the_same_and_not_counted(links, web):
    path = links.click()
    head = web.ask(path, "HEAD", fields={"User-Agent": BROWSER})
    assert links.hits() == []
    get = web.ask(path, fields={"User-Agent": BROWSER})
    assert head.without_date() == get.without_date()
    assert len(links.hits()) == 1


def test_an_answered_click_is_stored(links, web):
    """Without waiting for it: the answer came after the commit."""
    for number in range(1, 20):
        assert web.ask(links.click(link=number)).status == 302
        assert len(links.hits()) == number


@pytest.mark.parametrize("suffix", ["?utm_source=x", "?url=http://evil.example/",
                                    "?", "#x"])
def test_a_query_behind_a_token_is_ignored(links, web, suffix):
    answer = web.ask(links.click() + suffix)
    assert (answer.status, answer.location) == (302, URL.encode())


def test_percent_encoded_letters_are_letters(links, web):
    path = links.click().replace("-", "%2D").replace("_", "%5f")
    path = path[:3] + f"%{ord(path[3]):02x}" + path[4:]
    assert web.ask(path).location == URL.encode()


@pytest.mark.parametrize("suffix", ["/", ".", "/x", "%20", "%00", "=", "A", "&a"])
def test_what_is_no_token_is_404(links, web, suffix):
    answer = web.ask(links.click() + suffix)
    assert answer.status == 404 and answer.location is None
    assert links.hits() == []


def test_t18_each_flipped_bit_is_404(relay, links):
    path = links.click("https://shop.example/")
    token = from_base64url(path[3:])
    answers = set()
    with Web(relay.address("http")) as web:
        for i in range(len(token) * 8):
            forged = bytearray(token)
            forged[i // 8] ^= 1 << i % 8
            answer = web.ask("/c/" + base64url(bytes(forged)))
            answers.add((answer.status, answer.location, answer.body))
        for cut in range(len(path) - 3):
            answer = web.ask(path[:len(path) - cut - 1])
            answers.add((answer.status, answer.location, answer.body))
    assert len(answers) == 1, answers
    status, location, body = answers.pop()
    assert (status, location) == (404, None)
    assert USER.encode() not in body
    assert links.hits() == []


def test_t18_kinds_do_not_mix(links, web):
    paths = [links.click(), links.open(), links.unsubscribe("b@rcpt.example")]
    for path in paths:
        for kind in "cu":
            if path[1] != kind:
                assert web.ask(f"/{kind}/" + path[3:]).status == 404
    web.ask("/o/" + links.click()[3:])
    assert links.hits("opened") == []


def test_t18_a_host_of_an_account_honours_its_own_tokens_only(relay, links, web):
    other = Links(relay, "<i>Other & \"Co\"</i>")
    cases = [("links.demo.example", 302), ("LINKS.demo.example.:8080", 302),
             ("relay.example", 302), ("unknown.example", 302),
             ("links.other.example", 404), ("links.Other.example:443", 404)]
    for host, status in cases:
        assert web.ask(links.click(), host=host).status == status, host
    assert web.ask(other.click(), host="links.demo.example").status == 404
    page = web.ask(other.unsubscribe("x@y.example", "Offers"),
                   host="links.demo.example")
    assert page.status == 404 and b"Other" not in page.body
    before = len(links.hits("opened"))
    web.ask(links.open(), host="links.other.example")
    assert len(links.hits("opened")) == before


def test_t17_nothing_in_a_request_chooses_the_target(links, web):
    evil = "http://evil.example/"
    path = links.click()
    fields = {name: evil for name in (
        "Referer", "Origin", "X-Original-URL", "X-Rewrite-URL", "Location",
        "X-Forwarded-Proto", "Forwarded", "Cookie", "X-HTTP-Method-Override")}
    fields["X-Forwarded-Host"] = "evil.example"
    for target in (path, path + "?url=" + evil, path + "?" + evil,
                   "http://evil.example" + path, path + "#" + evil):
        answer = web.ask(target, host="evil.example", fields=fields)
        assert (answer.status, answer.location) == (302, URL.encode()), target
    for target in ("/c/" + evil, "/c/?url=" + evil, "//evil.example/c/",
                   "/c//evil.example", "/c/..//evil.example", "/c/%2f%2fevil",
                   "/c/" + base64url(evil.encode()), "/?url=" + evil, "/c/", "/c",
                   "/c/" + "A" * 48 + base64url(evil.encode()),
                   "/c/%0d%0aLocation:%20" + evil):
        for method in ("GET", "HEAD", "POST"):
            answer = web.ask(target, method, fields=fields,
                             body=b"" if method == "POST" else None)
            assert answer.status in (404, 405), (target, answer)
            assert answer.location is None, (target, answer)
            assert b"evil" not in answer.body


@pytest.mark.parametrize("url", [
    b"javascript:alert(1)", b"data:text/html,x", b"//evil.example", b"/a", b"",
    b"ftp://shop.example/", b"httpx://a", b"https://x/\r\nSet-Cookie: a=b",
    b"https://x/\nX: y", b"https://x/\0y", b" https://x/"])
def test_t17_t20_even_signed_only_http_is_followed(relay, links, url):
    """Nobody signs these; if somebody did, they would still lead nowhere."""
    with Web(relay.address("http")) as web:
        answer = web.ask(links.click(url))
    assert answer.status == 404 and answer.location is None, answer
    assert answer.field("X") is None and answer.field("Set-Cookie") is None


def test_p2_r6_purged_mail_still_redirects(relay):
    links = Links(relay)
    links.delivery = 1
    answer = ask(relay.address("http"), links.click())
    assert (answer.status, answer.location) == (302, URL.encode())


def test_a_click_that_is_no_utf8_is_stored_nevertheless(relay, links):
    answer = ask(relay.address("http"), links.click(b"https://x.example/\xff\xfe"))
    assert answer.location == b"https://x.example/\xff\xfe"
    hit, = links.hits()
    assert hit["url"] == "https://x.example/??"


# Opens

@pytest.mark.parametrize("suffix", ["", ".gif", ".GIF", "?x=1", ".gif?x"])
def test_p3_the_pixel(links, web, suffix):
    answer = web.ask(links.open() + suffix, fields={"User-Agent": BROWSER})
    assert answer.status == 200
    assert answer.field("Content-Type") == "image/gif"
    assert answer.field("Cache-Control") == "no-store"
    assert answer.field("Set-Cookie") is None
    assert len(answer.body) == 43 and answer.body.startswith(b"GIF89a")
    hit, = links.hits("opened")
    assert hit["url"] is None and hit["verdict"] == "human"


def test_p3_unknown_pixels_are_pixels_too(links, web):
    known = web.ask(links.open())
    forged = links.open()
    forged = forged[:-1] + ("A" if forged[-1] != "A" else "B")
    for path in ("/o/", "/o/x", "/o/x.gif", forged, "/o/" + "A" * 48):
        answer = web.ask(path)
        assert (answer.status, answer.body) == (200, known.body), path
    assert len(links.hits("opened")) == 1


def test_p1_head_of_a_pixel_is_not_counted(links, web):
    assert web.ask(links.open(), "HEAD").status == 200
    assert links.hits("opened") == []


# Privacy and verdicts

def test_p8_privacy_comes_from_the_token(relay, web):
    for privacy, is_kept in (("full", True), ("pseudonymous", False)):
        links = Links(relay).deliver(submit(relay))
        web.ask(links.click(privacy=privacy),
                fields={"User-Agent": "curl/8.0"})
        hit, = links.hits()
        assert (hit["client_address"] is not None) == is_kept
        assert (hit["user_agent"] == "curl/8.0") == is_kept
        assert (hit["verdict"], hit["verdict_reason"]) == ("machine", "scanner")


def test_p8_anonymous_hits_only_count(relay, web):
    links = Links(relay)
    links.delivery = links.group("News")
    events = "SELECT count(*) FROM baton.event WHERE kind IN ('clicked', 'opened')"
    counted = ("SELECT coalesce(sum(clicks), 0) + coalesce(sum(opens), 0)"
               " FROM baton.counter WHERE account_id = %s AND group_id = %s")
    before = relay.value(events), relay.value(counted, links.account,
                                              links.delivery)
    assert web.ask(links.click(privacy="anonymous")).status == 302
    assert web.ask(links.open(privacy="anonymous")).status == 200
    assert relay.value(events) == before[0]
    assert relay.value(counted, links.account, links.delivery) == before[1] + 2


@pytest.mark.parametrize("field, value", [
    ("Sec-Purpose", "prefetch;prerender"), ("Purpose", "prefetch"),
    ("X-Moz", "prefetch"), ("X-Purpose", "preview")])
def test_r6_a_prefetch_is_a_machine(links, web, field, value):
    web.ask(links.click(), fields={"User-Agent": BROWSER, field: value})
    hit, = links.hits()
    assert (hit["verdict"], hit["verdict_reason"]) == ("machine", "prefetch")


def test_user_agents_are_cut_and_kept_as_text(links, web):
    path = links.click().encode()
    web.send(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nUser-Agent: \xff"
             + "ä".encode() * 4000 + b"\r\n\r\n")
    assert web.answer().status == 302
    hit, = links.hits()
    assert len(hit["user_agent"].encode()) <= 512


# Behind a proxy

def test_r6_x_forwarded_for_of_strangers_means_nothing(links, web):
    web.ask(links.click(), host="relay.example",
            fields={"User-Agent": BROWSER, "X-Forwarded-For": "203.0.113.9",
                    "X-Forwarded-Host": "links.other.example"})
    hit, = links.hits()
    assert hit["client_address"] == "127.0.0.1"


def test_r6_behind_a_proxy(make_baton):
    baton = make_baton(settings={"http": {"proxies": "127.0.0.1, 10.0.0.0/8"}},
                       routes={"*": "discard:"}, prepare=prepare)
    links = Links(baton).deliver(submit(baton))
    with Web(baton.address("http")) as web:
        for said in (["203.0.113.9"], ["198.51.100.1, 203.0.113.9, 10.1.1.1"],
                     ["198.51.100.1", "203.0.113.9"], ["nonsense, 203.0.113.9"]):
            web.ask(links.click(), fields=[("X-Forwarded-For", line)
                                           for line in said])
        assert [hit["client_address"] for hit in links.hits()] == \
            ["203.0.113.9"] * 4
        for host, status in (("links.demo.example", 302),
                             ("links.other.example", 404),
                             ("links.other.example, links.demo.example", 302),
                             ("links.demo.example,links.other.example", 404)):
            assert web.ask(links.click(), host="127.0.0.1", fields={
                "X-Forwarded-Host": host}).status == status
        # The TLS front asks before it gets a certificate.
        for host, status in (("links.demo.example", 200), ("demo.example", 404),
                             ("", 404), ("LINKS.other.example", 200)):
            assert web.ask("/tls-host?domain=" + host).status == status, host


def test_only_the_front_may_ask_for_hosts(web):
    assert web.ask("/tls-host?domain=links.demo.example").status == 404


# Unsubscribes

def multipart(name="List-Unsubscribe", value="One-Click"):
    boundary = "------------------------d74496d66958873e"
    body = (f"--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\""
            f"\r\n\r\n{value}\r\n--{boundary}--\r\n").encode()
    return {"Content-Type": "multipart/form-data; boundary=" + boundary}, body


def test_u2_r7_get_and_head_never_unsubscribe(links, web):
    path = links.unsubscribe("u2@rcpt.example")
    for method in ("GET", "HEAD"):
        for suffix in ("", "?List-Unsubscribe=One-Click", "?unsubscribe=1"):
            for fields in ({}, {"X-HTTP-Method-Override": "POST"}):
                answer = web.ask(path + suffix, method, fields=fields)
                assert answer.status == 200
    assert links.suppressions("u2@rcpt.example") == []
    assert web.ask(path, "PUT", body=ONE_CLICK).status == 405
    assert web.ask(path, "DELETE").status == 405
    assert links.suppressions("u2@rcpt.example") == []


def test_u2_the_page(links, web):
    answer = web.ask(links.unsubscribe("secret@rcpt.example"))
    page = answer.body.decode()
    assert answer.field("Content-Type") == "text/html; charset=utf-8"
    assert answer.field("Cache-Control") == "no-store"
    assert answer.field("Referrer-Policy") == "no-referrer"
    policy = answer.field("Content-Security-Policy")
    for rule in ("default-src 'none'", "form-action 'self'",
                 "frame-ancestors 'none'"):
        assert rule in policy
    assert "secret" not in page
    assert USER in page and "News" in page
    assert 'lang="en"' in page and 'name="viewport"' in page
    assert not re.search(r"https?://|<script|<img|<link|src=|url\(", page)
    assert re.search(r'<button type="submit" name="unsubscribe"', page)


def test_the_style_is_the_one_the_policy_names(links, web):
    import hashlib
    answer = web.ask(links.unsubscribe("a@b.example"))
    style = re.search(rb"<style>(.*?)</style>", answer.body, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
    assert f"'sha256-{digest}'" in answer.field("Content-Security-Policy")


def test_t20_names_are_escaped(relay, web):
    other = Links(relay, "<i>Other & \"Co\"</i>")
    page = web.ask(other.unsubscribe("a@b.example", "Offers")).body
    assert b"<i>" not in page
    assert b"&lt;i&gt;Other &amp; &quot;Co&quot;&lt;/i&gt;" in page


@pytest.mark.parametrize("form", [
    ({"Content-Type": FORM}, ONE_CLICK), ({}, ONE_CLICK), multipart(),
    ({"Content-Type": FORM, "Expect": "100-continue"}, ONE_CLICK)],
    ids=["urlencoded", "untyped", "multipart", "expect"])
def test_u3_one_click(links, relay, form):
    fields, body = form
    address = f"u3-{abs(hash(str(form)))}@rcpt.example"
    path = links.unsubscribe(address)
    for _ in range(3):  # idempotent
        with Web(relay.address("http")) as web:
            answer = web.ask(path, "POST", fields=fields, body=body)
            if answer.status == 100:
                answer = web.answer()
        assert answer.status == 200 and answer.location is None
    row, = links.suppressions(address)
    assert (row["reason"], row["group_id"]) == ("unsubscribe",
                                                links.group("News"))
    events = links.hits("unsubscribed")
    assert len(events) == 1


def test_what_waits_is_given_up_but_for_what_goes_to_anybody(links, relay, web):
    address = "waits@rcpt.example"

    def submit_later(*fields):
        lines = ["From: a@sender.example", f"To: {address}",
                 "Subject: Late {News}", "X-Baton-Send-At: in 2 h", *fields]
        return relay.submit(("\r\n".join(lines) + "\r\n\r\nHello\r\n").encode(),
                            [address])

    usual = submit_later()
    bypassing = submit_later("X-Baton-Bypass-Suppression: on")
    report = submit_later()
    relay.sql("UPDATE baton.message SET policy = policy || '{\"notice\": true}'"
              " WHERE message_id = %s", report)
    answer = web.ask(links.unsubscribe(address), "POST",
                     fields={"Content-Type": FORM}, body=ONE_CLICK)
    assert answer.status == 200
    states = {row["message_id"]: row["state"] for row in relay.sql(
        "SELECT message_id, state FROM baton.delivery WHERE recipient = %s",
        address)}
    assert states == {usual: "suppressed", bypassing: "queued", report: "queued"}
    relay.cli("queue", "cancel", "--domain", "rcpt.example")


def test_r7_the_page_unsubscribes_and_takes_it_back(links, web):
    address = "r7@rcpt.example"
    path = links.unsubscribe(address)
    form = {"Content-Type": FORM}

    def button():
        return re.search(rb'name="(\w+)" value="1"', web.ask(path).body)[1]

    assert button() == b"unsubscribe"
    answer = web.ask(path, "POST", fields=form, body=b"unsubscribe=1")
    assert answer.status == 200 and b"resubscribe" in answer.body
    assert button() == b"resubscribe"
    assert len(links.suppressions(address)) == 1
    for _ in range(2):
        answer = web.ask(path, "POST", fields=form, body=b"resubscribe=1")
        assert answer.status == 200 and b'name="unsubscribe"' in answer.body
    assert button() == b"unsubscribe"
    assert links.suppressions(address) == []
    assert len(links.hits("unsubscribed")) == 1
    assert len(links.hits("resubscribed")) == 1


@pytest.mark.parametrize("expires", [(), ("--expires", "90 d")],
                         ids=["for_good", "for_a_while"])
def test_an_unsubscribe_outlives_what_an_operator_said(links, relay, web,
                                                       expires):
    address = f"operator{len(expires)}@rcpt.example"
    path = links.unsubscribe(address)
    relay.cli("suppression", "add", USER, address, "--group", "News",
              "--evidence", "by phone", *expires)
    assert web.ask(path, "POST", body=ONE_CLICK).status == 200
    row, = links.suppressions(address)
    assert (row["reason"], row["expires_at"]) == ("unsubscribe", None)
    assert row["evidence"].endswith("; before: manual (by phone)")
    assert b'name="resubscribe"' in web.ask(path).body
    assert len(links.hits("unsubscribed")) == 1


def test_an_operator_does_not_shorten_an_unsubscribe(links, relay, web):
    address = "shorten@rcpt.example"
    assert web.ask(links.unsubscribe(address), "POST",
                   body=ONE_CLICK).status == 200
    said = relay.cli("suppression", "add", USER, address, "--group", "News",
                     "--expires", "3 s")
    assert "already, by an unsubscribe" in said.stdout
    row, = links.suppressions(address)
    assert (row["reason"], row["expires_at"]) == ("unsubscribe", None)


def test_an_unsubscribe_shows_though_the_account_suppresses_too(links, relay,
                                                                web):
    address = "both@rcpt.example"
    path = links.unsubscribe(address)
    assert web.ask(path, "POST", body=ONE_CLICK).status == 200
    relay.cli("suppression", "add", USER, address)
    assert b'name="resubscribe"' in web.ask(path).body
    other = links.unsubscribe(address, "Receipts")
    assert b'name="unsubscribe"' in web.ask(other).body


def test_links_of_an_account_that_is_gone(relay, web):
    account = add_account(relay.sql, "short-lived", PASSWORD)
    path = "/u/" + Tokens(relay.sql).unsubscribe(account, 1, 0, "a@b.example")
    relay.sql("NOTIFY baton_directory")
    wait_until(lambda: web.ask(path).status == 200, "the account to be known")
    relay.sql("DELETE FROM baton.account WHERE account_id = %s", account)
    relay.sql("NOTIFY baton_directory")
    wait_until(lambda: web.ask(path).status == 404, "it to be forgotten")
    assert web.ask(path, "POST", body=ONE_CLICK).status == 404


def test_u6_the_scope_is_the_group(links, web):
    address = "u6@rcpt.example"
    web.ask(links.unsubscribe(address, "News"), "POST", body=ONE_CLICK)
    page = web.ask(links.unsubscribe(address, "Receipts")).body
    assert b'name="unsubscribe"' in page and b"Receipts" in page
    assert b'name="unsubscribe"' in web.ask(links.unsubscribe(address, None)).body
    assert {row["group_id"] for row in links.suppressions(address)} == \
        {links.group("News")}
    web.ask(links.unsubscribe(address, None), "POST", body=ONE_CLICK)
    assert {row["group_id"] for row in links.suppressions(address)} == \
        {links.group("News"), 0}


@pytest.mark.parametrize("fields, body", [
    ({"Content-Type": FORM}, b""),
    ({"Content-Type": FORM}, b"List-Unsubscribe=No"),
    ({"Content-Type": FORM}, b"unsubscribe=0"),
    ({"Content-Type": FORM}, b"a=1&b=2"),
    ({"Content-Type": FORM}, b"unsubscribe=1&resubscribe=1"),
    ({"Content-Type": "application/json"}, b'{"List-Unsubscribe":"One-Click"}'),
    ({"Content-Type": "text/plain"}, ONE_CLICK),
    ({"Content-Type": "multipart/form-data; boundary=x"}, ONE_CLICK),
    ({"Content-Type": "multipart/form-data"}, ONE_CLICK),
    ({"Content-Type": FORM}, b"&".join([b"a=1"] * 100) + b"&" + ONE_CLICK)])
def test_other_forms_change_nothing(links, web, fields, body):
    address = "forms@rcpt.example"
    answer = web.ask(links.unsubscribe(address), "POST", fields=fields, body=body)
    assert answer.status == 400
    assert links.suppressions(address) == []


def test_forged_unsubscribes_are_404(links, web):
    path = links.unsubscribe("forged@rcpt.example")
    token = from_base64url(path[3:])
    for i in range(len(token) * 8):
        forged = bytearray(token)
        forged[i // 8] ^= 1 << i % 8
        answer = web.ask("/u/" + base64url(bytes(forged)), "POST", body=ONE_CLICK)
        assert answer.status == 404 and USER.encode() not in answer.body
    assert links.suppressions("forged@rcpt.example") == []


# Hostile clients

@pytest.mark.parametrize("head", [
    b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 26\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n1a\r\n" + ONE_CLICK + b"\r\n0\r\n\r\n",
    b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 26\r\n"
    b"Content-Length: 5\r\n\r\n" + ONE_CLICK,
    b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 26\r\n"
    b"Content-Length: 26\r\n\r\n" + ONE_CLICK,
    b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    b"1a\r\n" + ONE_CLICK + b"\r\n0\r\n\r\n",
    b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: +26\r\n\r\n" + ONE_CLICK,
    b"POST %s HTTP/1.1\r\nContent-Length: 26\r\n\r\n" + ONE_CLICK,
    b"POST %s HTTP/1.1\r\nHost: x\r\nHost: y\r\nContent-Length: 26\r\n\r\n"
    + ONE_CLICK,
    b"POST %s HTTP/1.1\r\nHost: a b\r\nContent-Length: 26\r\n\r\n" + ONE_CLICK,
    b"GET %s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /",
    b"GET %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"0\r\n\r\n",
], ids=["cl+te", "cl,cl", "cl=cl", "te list", "cl sign", "no host", "two hosts",
        "bad host", "get with body", "get chunked"])
def test_what_two_readers_read_differently_is_refused(relay, links, head):
    address = "smuggled@rcpt.example"
    data = head.replace(b"%s", links.unsubscribe(address).encode())
    with Web(relay.address("http")) as web:
        web.send(data + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = web.answer()
        assert answer.status == 400, answer
        assert (answer.field("Connection") or "").lower() == "close"
        web.is_closed()
        assert b"HTTP/1.1" not in web.buffer, "the rest was answered as well"
    assert links.suppressions(address) == []


def test_bodies_are_bounded(links, web, relay):
    path = links.unsubscribe("large@rcpt.example")
    answer = ask(relay.address("http"), path, "POST",
                 fields={"Content-Type": FORM},
                 body=ONE_CLICK + b"&a=" + b"x" * 16000)
    assert answer.status == 200
    web.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n"
             .encode())
    assert web.answer().status == 413
    with Web(relay.address("http")) as chunked:
        chunked.send(f"POST {path} HTTP/1.1\r\nHost: x\r\n"
                     "Transfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(20):
            chunked.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
        chunked.send(b"0\r\n\r\n")
        assert chunked.answer().status == 413
    with Web(relay.address("http")) as endless:
        endless.send(f"POST {path} HTTP/1.1\r\nHost: x\r\n"
                     "Transfer-Encoding: chunked\r\n\r\n".encode())
        with pytest.raises(OSError):
            for _ in range(100000):
                endless.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")


def test_chunked_forms_are_read(links, web):
    address = "chunked@rcpt.example"
    web.send(f"POST {links.unsubscribe(address)} HTTP/1.1\r\nHost: x\r\n"
             "Transfer-Encoding: chunked\r\n\r\n".encode())
    for byte in ONE_CLICK:
        web.send(b"1\r\n" + bytes([byte]) + b"\r\n")
    web.send(b"0\r\n\r\n")
    assert web.answer().status == 200
    assert len(links.suppressions(address)) == 1


def test_long_targets_and_heads(relay):
    address = relay.address("http")
    assert ask(address, "/c/" + "A" * 16000).status == 404
    assert ask(address, "/c/" + "A" * 60000).status in (404, 414)
    assert ask(address, "/healthz", fields={"X": "y" * 60000}).status in (413, 431)
    assert ask(address, "/healthz").status == 200


def test_the_longest_link_is_followed(relay, links):
    url = "https://shop.example/" + "x" * 12200
    path = links.click(url)
    assert len(path) - 3 <= 16 * 1024
    answer = ask(relay.address("http"), path, fields={"User-Agent": BROWSER * 8,
                                                      "Cookie": "a=" + "b" * 800})
    assert (answer.status, answer.location) == (302, url.encode())


def test_pipelined_requests_are_answered_in_order(relay, links):
    urls = [f"https://shop.example/{i}" for i in range(10)]
    with Web(relay.address("http")) as web:
        web.send(b"".join(f"GET {links.click(url)} HTTP/1.1\r\nHost: x\r\n\r\n"
                          .encode() for url in urls))
        assert [web.answer().location for _ in urls] == \
            [url.encode() for url in urls]
    assert [hit["url"] for hit in links.hits()] == urls


def test_http_1_0_needs_no_host(relay, links):
    answer = raw(relay.address("http"),
                 f"GET {links.click()} HTTP/1.0\r\n\r\n".encode())
    assert answer.status == 302


def test_a_client_that_leaves_is_no_loss(relay, links):
    for _ in range(20):
        with Web(relay.address("http")) as web:
            web.send(f"GET {links.click()} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    wait_until(lambda: len(links.hits()) == 20, "20 clicks")


def test_t29_slow_clients_are_cut_off_and_bother_nobody(relay, links):
    """A head, and a body, of one byte every 100 ms: request_timeout is 2 s."""
    begins = [b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ",
              f"POST {links.unsubscribe('slow@x.example')} HTTP/1.1\r\nHost: x\r\n"
              "Content-Length: 5000\r\n\r\n".encode()]
    slow = []
    for i in range(40):
        web = Web(relay.address("http"))
        web.send(begins[i % 2])
        slow.append(web)
    began = time.monotonic()
    left = list(slow)
    worst = 0
    while left and time.monotonic() - began < 15:
        for web in list(left):
            try:
                web.send(b"x")
            except OSError:
                left.remove(web)
        worst = max(worst, ask(relay.address("http"), links.click()).seconds)
        time.sleep(0.1)
    for web in slow:
        web.socket.close()
    assert not left, f"{len(left)} slow connections were never closed"
    assert time.monotonic() - began < 8
    assert worst < 1, f"others waited {worst:.2f} s"


def test_t29_one_address_has_a_share_of_the_connections(make_baton):
    baton = make_baton(settings={"server": {"workers": "1"},
                                 "http": {"connections_per_address": "10"}},
                       routes={"*": "discard:"})
    held = [Web(baton.address("http")) for _ in range(10)]
    for web in held:
        assert web.ask("/healthz").status == 200
    with Web(baton.address("http")) as web:
        assert web.is_closed() and web.buffer == b""
    for web in held:
        web.socket.close()
    wait_until(lambda: baton.http("/healthz")[0] == 200, "a place")
    assert baton.metric("baton_http_connections_refused_total") >= 1


def test_t18_who_guesses_hears_429(make_baton):
    baton = make_baton(settings={"server": {"workers": "1"},
                                 "http": {"wrong_tokens": "50"}},
                       routes={"*": "discard:"})
    links = Links(baton)
    with Web(baton.address("http")) as web:
        statuses = [web.ask("/c/" + "A" * 60).status for _ in range(60)]
        assert statuses == [404] * 50 + [429] * 10
        # A right link is honoured whoever shares the address.
        assert web.ask(links.click()).status == 302


# PostgreSQL

def test_p2_redirects_go_on_without_postgresql(make_baton, postgres):
    baton = make_baton(settings={"http": {"hit_deadline": "250 ms"}},
                       routes={"*": "discard:"}, prepare=prepare)
    links = Links(baton).deliver(submit(baton))
    wish = links.unsubscribe("away@rcpt.example")
    paths = [(links.click(f"https://shop.example/{i}"), links.open())
             for i in range(100)]
    baton.connection.close()
    postgres.stop()
    try:
        worst = 0
        for click, pixel in paths:
            for path, status in ((click, 302), (pixel, 200)):
                answer = ask(baton.address("http"), path)
                assert answer.status == status
                worst = max(worst, answer.seconds)
        assert worst < 0.3, f"an answer took {worst:.3f} s"
        answer = ask(baton.address("http"), wish, "POST", body=ONE_CLICK)
        assert answer.status == 503 and answer.field("Retry-After")
        assert b"unsubscribed" not in answer.body
        answer = ask(baton.address("http"), wish)
        assert answer.status == 200 and b'name="unsubscribe"' in answer.body
    finally:
        postgres.start()
    wait_until(lambda: len(links.hits()) == 100
               and len(links.hits("opened")) == 100, "the hits of the outage")
    assert {hit["url"] for hit in links.hits()} == \
        {f"https://shop.example/{i}" for i in range(100)}
    assert baton.metric("baton_hits_answered_early_total") >= 200
    assert baton.metric("baton_hits_dropped_total") == 0
    wait_until(lambda: ask(baton.address("http"), wish, "POST",
                           body=ONE_CLICK).status == 200, "an unsubscribe")
    assert len(links.suppressions("away@rcpt.example")) == 1


def test_a_worker_that_knows_no_keys_leaves_recipients_to_one_that_does(
        make_baton, postgres):
    baton = make_baton(settings={"server": {"workers": "2"},
                                 "http": {"hit_deadline": "250 ms"}},
                       routes={"*": "discard:"}, prepare=prepare)
    baton.crashes_expected = True
    links = Links(baton).deliver(submit(baton))
    paths = [(links.click(f"https://shop.example/{i}"), links.open())
             for i in range(100)]
    baton.connection.close()
    postgres.stop()
    try:
        killed = baton.workers()[0]
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: len(baton.workers()) == 2
                   and killed not in baton.workers(), "a new worker")
        wait_until(lambda: 'event="HTTP is left to other workers"' in baton.log(),
                   "a worker's patience to end")
        for click, pixel in paths:
            assert ask(baton.address("http"), click).status == 302
            assert ask(baton.address("http"), pixel).status == 200
    finally:
        postgres.start()
    wait_until(lambda: len(links.hits()) == 100
               and len(links.hits("opened")) == 100, "the hits of the outage")


def test_a_stuck_postgresql_delays_nobody_for_long(make_baton, postgres):
    """It is there and says nothing: the deadline answers."""
    baton = make_baton(settings={"http": {"hit_deadline": "250 ms"}},
                       routes={"*": "discard:"}, prepare=prepare)
    links = Links(baton).deliver(submit(baton))
    path = links.click()
    processes = postgres.processes()
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        for _ in range(5):
            began = time.monotonic()
            assert ask(baton.address("http"), path).status == 302
            assert 0.2 < time.monotonic() - began < 0.4
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)
    wait_until(lambda: len(links.hits()) == 5, "the clicks")


class Clicker(threading.Thread):
    """Clicks until told to stop; `answered` are the URLs whose 302 came."""

    def __init__(self, links, name):
        super().__init__()
        self.links = links
        self.name = name
        self.answered = []
        self.is_ending = False

    def run(self):
        count = 0
        while not self.is_ending:
            try:
                with Web(self.links.baton.address("http"), 5) as web:
                    while not self.is_ending:
                        count += 1
                        url = f"https://shop.example/{self.name}/{count}"
                        if web.ask(self.links.click(url)).status == 302:
                            self.answered.append(url)
            except (OSError, AssertionError):
                time.sleep(0.01)


def test_answered_clicks_survive_killed_workers(make_baton):
    # The deadline is out of the way: this is about normal operation.
    baton = make_baton(settings={"http": {"hit_deadline": "10 s"}},
                       routes={"*": "discard:"}, prepare=prepare)
    baton.crashes_expected = True
    links = Links(baton).deliver(submit(baton))
    clickers = [Clicker(links, f"c{i}") for i in range(8)]
    for clicker in clickers:
        clicker.start()
    for _ in range(6):
        time.sleep(0.5)
        workers = baton.workers()
        os.kill(workers[0], signal.SIGKILL)
        wait_until(lambda: len(baton.workers()) == 2
                   and workers[0] not in baton.workers(), "a new worker")
    for clicker in clickers:
        clicker.is_ending = True
    for clicker in clickers:
        clicker.join()
    answered = {url for clicker in clickers for url in clicker.answered}
    assert len(answered) > 500
    stored = {hit["url"] for hit in links.hits()}
    assert not answered - stored, f"{len(answered - stored)} clicks are lost"


def test_clicks_on_their_way_survive_an_orderly_end(make_baton):
    baton = make_baton(routes={"*": "discard:"}, prepare=prepare)
    links = Links(baton).deliver(submit(baton))
    clickers = [Clicker(links, f"d{i}") for i in range(4)]
    for clicker in clickers:
        clicker.start()
    time.sleep(1)
    baton.stop()
    for clicker in clickers:
        clicker.is_ending = True
    for clicker in clickers:
        clicker.join()
    answered = {url for clicker in clickers for url in clicker.answered}
    stored = {hit["url"] for hit in links.hits()}
    lost = answered - stored
    assert answered and not lost, f"{len(lost)} of {len(answered)} are lost"


def test_before_the_keys_are_known_a_click_is_asked_to_wait(make_baton, postgres):
    baton = make_baton(routes={"*": "discard:"}, prepare=prepare)
    path = Links(baton).click()
    baton.stop()
    baton.connection.close()
    postgres.stop()
    try:
        baton.launch()
        wait_until(lambda: baton.http("/healthz")[0] == 200, "HTTP")
        answer = ask(baton.address("http"), path)
        assert answer.status == 503 and answer.field("Retry-After")
        assert ask(baton.address("http"), "/o/x").status == 200
    finally:
        postgres.start()
    wait_until(lambda: ask(baton.address("http"), path).status == 302, "302", 60)
