# SPDX-License-Identifier: MIT
"""Every copy that leaves verifies, in four programs that know nothing of Baton
(verifiers.py); nothing that readers act on can be changed after it was signed."""

import base64
import re
import secrets
import signal
import threading
import time

import pytest

import oracle
import rewriting_mail as mail
import test_rewriting as html_corpora
from conftest import close_all
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from instance import PASSWORD, USER, add_account
from nameserver import Nameserver
from test_corpus import CORPORA, MISSING, files, read
from verifiers import (ED25519, RSA, algorithms, count_passes, faults_of,
                       opendkim_reads, verify)
from waiting import wait_until

pytestmark = pytest.mark.timeout(300)

DOMAIN = "sender.example"
SECRET = secrets.token_hex(32)
CONNECTIONS = 20  # to one site: the default of connections_per_site
UNTRACKED = b"X-Baton-Track-Clicks: off\r\nX-Baton-Track-Opens: off\r\n"
HTML = b'<p>Hello, <a href="http://shop.example/?a=1&amp;b=2">look</a></p>\r\n'


# Keys, and who publishes them

def publish(nameserver, records, zone=()):
    """What `baton domain add --json` says about keys, in DNS, and what `baton
    domain zone` says if they are CNAMEs; the signatures to be expected:
    [(domain, selector, algorithm)]."""
    wanted = []
    for record in [*records["records"], *zone]:
        if record["purpose"] != "dkim":
            continue
        is_text = record["type"] == "TXT"
        if not record["alternative"]:
            value = f'"{record["value"]}"' if is_text else record["value"]
            nameserver.add({record["name"]: [f"{record['type']} {value}"]})
        selector, found, _ = record["name"].partition("._domainkey.")
        if is_text and found:
            kind = re.search("k=([a-z0-9]+)", record["value"])[1]
            wanted.append((records["domain"], selector, f"{kind}-sha256"))
    assert sorted(one[2] for one in wanted[:2]) == [ED25519, RSA]
    return wanted


def zone_of(baton):
    return baton.cli_json("domain", "zone", USER, DOMAIN)


class Signing:
    """A Baton that signs, hops to deliver to, and the DNS that has its keys."""

    def __init__(self, factory, sinks, routes, prepare=None, settings=None):
        self.nameserver = Nameserver({})
        self.sinks = sinks
        self.prepare = prepare
        self.baton = factory(
            routes=routes, prepare=self.add_domain,
            settings={**(settings or {}),
                      "dkim": {"key_encryption": SECRET,
                               **(settings or {}).get("dkim", {})}})
        self.mailing = mail.Mailing(self.baton, *sinks)

    def add_domain(self, baton):
        self.wanted = publish(self.nameserver, baton.cli_json(
            "domain", "add", USER, DOMAIN), zone_of(baton))
        if self.prepare:
            self.prepare(self, baton)

    def verify(self, folder, messages):
        return verify(folder, messages, self.nameserver.port)

    def check(self, folder, messages, wanted=None):
        """Every signature of every message verifies, everywhere."""
        found = self.verify(folder, messages)
        faults = [fault for name in messages for fault in faults_of(
            found, name, self.wanted if wanted is None else wanted)]
        assert not faults, f"{len(faults)} faults\n" + "\n".join(faults[:20])
        return count_passes(found)

    def close(self, postgres):
        close_all([self.baton], postgres)
        self.nameserver.close()


@pytest.fixture(scope="module")
def signing(factory, sinks, postgres):
    made = Signing(factory, sinks, {
        "*": f"smtp://127.0.0.1:{sinks[0].port}",
        "seven.example": f"smtp://127.0.0.1:{sinks[1].port}"})
    yield made
    made.close(postgres)


@pytest.fixture(autouse=True)
def empty_sinks(sinks):
    for sink in sinks:
        sink.messages.clear()
        sink.tried.clear()


def signatures_of(data):
    """The tags of each DKIM-Signature, from the top."""
    fields, _, _ = oracle.split(data)
    found = []
    for name, whole in fields:
        if name == "dkim-signature":
            value = re.sub(rb"\r\n(?=[ \t])", b"", whole.partition(b":")[2])
            found.append({tag.strip(): text.strip() for tag, _, text in (
                one.partition("=") for one in value.decode().strip().split(";"))})
    return found


# Every copy

def from_our_domain(data):
    """The message as somebody of the account's domain wrote it: the name and
    the folds of its From stay."""
    header, end, body = data.partition(b"\r\n\r\n")
    header = re.sub(rb"(?mi)^From[ \t]*:.*(?:\r\n[ \t].*)*", lambda field: re.sub(
        rb"@[\w.-]+", b"@" + DOMAIN.encode(), field[0]), header)
    return header + end + body


def mime_messages():
    return [from_our_domain(read(name)) for name in files()]


def html_messages():
    found = []
    for index, (_, _, data, charset) in enumerate(html_corpora.documents()):
        if b"\n" in data and charset in ("utf-8", "iso-8859-1"):
            data = mail.crlf(data)
        encodings = html_corpora.encodings_for(data, charset)
        found.append(mail.message("somebody", mail.part(
            data, charset, encodings[index % len(encodings)])))
    return found + [from_our_domain(html_corpora.read(f"html-eml/{row['file']}"))
                    for row in html_corpora.table("html-eml/manifest.tsv")]


@pytest.mark.skipif(CORPORA is None, reason=MISSING)
def test_d1_every_copy_of_the_corpora_verifies(signing, tmp_path):
    """Tracked, with an unsubscribe link, over a hop with 8BITMIME and one without:
    links, pixels, fields, parts that are encoded anew."""
    asked = b"X-Baton-Unsubscribe: header\r\nX-Baton-Track-Clicks: both\r\n"
    items = [((f"m{index}@eight.example", f"m{index}@seven.example"), asked + data)
             for index, data in enumerate(mime_messages() + html_messages())]
    replies = mail.submit_all(signing.baton, items)
    signing.baton.wait_for_empty_queue(90)
    arrived = signing.mailing.arrived()
    copies = {f"{recipient}.eml": one.data for recipient, one in arrived.items()
              if recipient.startswith("m")}  # and no reports
    accepted = sum(2 for reply in replies if reply.code == 250)
    # Sealed parts with 8-bit text cannot go over a hop without 8BITMIME.
    assert accepted - 12 <= len(copies) <= accepted and len(copies) > 600
    kinds = {
        "7-bit": sum("@seven" in name for name in copies),
        "with 8-bit text": sum(max(data) > 127 for data in copies.values()),
        "dots doubled": sum(one.raw != one.data for one in arrived.values()),
        "unsubscribe": sum(b"\r\nList-Unsubscribe-Post:" in data
                           for data in copies.values()),
        "opens": sum(b"/o/" in data for data in copies.values()),
    }
    passes = signing.check(tmp_path, copies)
    print(f"\n{len(items)} messages, {len(copies)} copies {kinds}: {dict(passes)}")
    assert min(kinds.values()) > 10
    assert kinds["unsubscribe"] > 0.9 * len(copies)  # others have one of their own
    unread = sum(not opendkim_reads(data) for data in copies.values())
    assert unread <= 2
    assert passes == {(verifier, algorithm): len(copies)
                      - (unread if verifier == "opendkim" else 0)
                      for verifier, algorithm in algorithms()}


# What can be changed without being seen: nothing

def insert_below(data, field):
    header, end, body = data.partition(b"\r\n\r\n")
    return header + b"\r\n" + field[:-2] + end + body


def change(pattern, replacement):
    def changed(data):
        result, count = re.subn(pattern, replacement, data, count=1)
        assert count == 1 and result != data, pattern
        return result
    return changed


OVERSIGNED = {
    "From": b"From: Else <else@sender.example>\r\n",
    "Subject": b"Subject: Another one\r\n",
    "To": b"To: else@rcpt.example\r\n",
    "Cc": b"Cc: else@rcpt.example\r\n",
    "Reply-To": b"Reply-To: else@rcpt.example\r\n",
    "Date": b"Date: Sat, 21 Nov 2026 12:00:00 +0000\r\n",
    "Message-ID": b"Message-ID: <another@sender.example>\r\n",
    "MIME-Version": b"MIME-Version: 1.0\r\n",
    "Content-Type": b"Content-Type: text/plain\r\n",
    "Content-Transfer-Encoding": b"Content-Transfer-Encoding: 8bit\r\n",
    "List-Unsubscribe": b"List-Unsubscribe: <https://else.example/u>\r\n",
    "List-Unsubscribe-Post": b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
}

CHANGES = {
    "list-unsubscribe": change(rb"(\r\nList-Unsubscribe: <https?://)", rb"\1x."),
    "list-unsubscribe-post": change(rb"=One-Click", b"=Two-Click"),
    "no-list-unsubscribe": change(rb"\r\nList-Unsubscribe: .*(?:\r\n[ \t].*)*", b""),
    "subject": change(rb"\r\nSubject: S", b"\r\nSubject: T"),
    "to": change(rb"\r\nTo: <", b"\r\nTo: <a"),
    "date": change(rb"\r\nDate: Fri", b"\r\nDate: Sat"),
    "body": change(rb"Hello", b"Hallo"),
    "appended": lambda data: data + b"<p>more\r\n",
    "cut": lambda data: data.rpartition(b"\r\n")[0].rpartition(b"\r\n")[0] + b"\r\n",
    **{f"{name}-above": lambda data, field=field: field + data
       for name, field in OVERSIGNED.items()},
    **{f"{name}-below": lambda data, field=field: insert_below(data, field)
       for name, field in OVERSIGNED.items()},
}

# What servers do on the way (RFC 6376, 3.4).
HARMLESS = {
    "received": lambda data: b"Received: from a by b; now\r\n" + data,
    "other": lambda data: insert_below(data, b"X-Spam-Flag: NO\r\n"),
    "blank": change(rb"\r\nSubject: ", b"\r\nSubject:  \t"),
    "end": lambda data: data + b"\r\n\r\n",
}


def test_t30_what_was_changed_verifies_nowhere(signing, tmp_path):
    """On a copy with everything, one over a hop without 8BITMIME, and one that
    has no field more than it needs: neither can any be added there."""
    full = mail.message("full@eight.example", mail.part(HTML, encoding="7bit"),
                        "Reply-To: r@sender.example\r\nCc: c@rcpt.example\r\n")
    bare = mail.message("bare@eight.example", b"\r\n" + HTML)
    copies, _ = signing.mailing.send([
        (("full@eight.example",), b"X-Baton-Unsubscribe: header\r\n" + full),
        (("seven@seven.example",), b"X-Baton-Unsubscribe: header\r\n"
         + mail.message("seven@seven.example", mail.part(
             HTML + "<p>Grüße\r\n".encode(), encoding="8bit"))),
        (("bare@eight.example",), bare)])
    untouched = {f"{name}.eml": one.data for name, one in copies.items()}
    changed = {f"{name.partition('@')[0]}-{how}.eml": act(one.data)
               for name, one in copies.items() for how, act in CHANGES.items()
               if not ("bare" in name and how.endswith(("list-unsubscribe",
                                                        "list-unsubscribe-post")))}
    harmless = {f"{name.partition('@')[0]}-{how}.eml": act(one.data)
                for name, one in copies.items() for how, act in HARMLESS.items()}
    passes = signing.check(tmp_path, {**untouched, **harmless})
    assert passes == {one: 15 for one in algorithms()}
    found = signing.verify(tmp_path, changed)
    faults = [f"{verifier} takes {name}: {one}" for verifier, some in found.items()
              for name in changed for one in some[name] if one.result == "pass"]
    assert not faults, "\n".join(faults)
    assert len(changed) == 3 * len(CHANGES) - 3
    for verifier, some in found.items():
        seen = [name for name in changed if len(some[name]) >= 2]
        # OpenDKIM does not even look at what has two From fields.
        assert len(seen) >= len(changed) - 6, (verifier, set(changed) - set(seen))


# How it is signed

def test_d2_keys_are_strong_enough(signing):
    """RFC 8301: 2048 bits, SHA-256; RFC 8463."""
    rows = signing.baton.sql("SELECT * FROM baton.dkim_key ORDER BY algorithm")
    assert [row["algorithm"] for row in rows] == [ED25519, RSA]
    for row in rows:
        public = base64.b64decode(row["record"].partition("p=")[2], validate=True)
        assert b"PRIVATE" not in bytes(row["private_key"])
        if row["algorithm"] == RSA:
            key = serialization.load_der_public_key(public)
            assert isinstance(key, rsa.RSAPublicKey) and key.key_size == 2048
            assert key.public_numbers().e == 65537
        else:
            ed25519.Ed25519PublicKey.from_public_bytes(public)
    one = signing.mailing.send_one(mail.message("d2@eight.example", mail.part(HTML)),
                                   "d2@eight.example")
    assert sorted(tags["a"] for tags in signatures_of(one.data)) == [ED25519, RSA]


def test_d3_what_is_signed(signing, tmp_path):
    """Repeated fields from the bottom up; each that readers act on once more."""
    fields = ("List-Id: <a.sender.example>\r\nFeedback-ID: a:b:c:sender\r\n"
              "Feedback-ID: d:e:f:sender\r\nfeedback-id: g:h:i:sender\r\n"
              "CFBL-Address: fbl@sender.example; report=arf\r\n"
              "CFBL-Feedback-ID: 1:2\r\nSender: Sender <a@sender.example>\r\n"
              "Reply-To: r@sender.example\r\nCc: c@rcpt.example\r\n"
              "In-Reply-To: <1@x.example>\r\nReferences: <1@x.example>\r\n"
              "Return-Path: <x@sender.example>\r\nContent-Language: en\r\n"
              "Content-Description: letter\r\nContent-ID: <1@sender.example>\r\n"
              "Content-Disposition: inline\r\nX-Other: 1\r\n")
    one = signing.mailing.send_one(
        b"X-Baton-Unsubscribe: header\r\n" + mail.message(
            "d3@eight.example", mail.part(HTML), fields), "d3@eight.example")
    signatures = signatures_of(one.data)
    assert len(signatures) == 2
    for tags in signatures:
        assert tags["v"] == "1" and tags["c"] == "relaxed/relaxed"
        assert tags["d"] == DOMAIN and "l" not in tags and "i" not in tags
        names = [name.strip().lower() for name in tags["h"].split(":")]
        count = {name: names.count(name) for name in names}
        assert all(count.pop(name.lower()) == 2 for name in OVERSIGNED)
        assert count == {"sender": 1, "in-reply-to": 1, "references": 1,
                         "content-id": 1, "content-description": 1,
                         "content-disposition": 1, "content-language": 1,
                         "list-id": 1, "feedback-id": 3, "cfbl-address": 1,
                         "cfbl-feedback-id": 1}  # and not Received, Return-Path
    swapped = one.data.replace(b"a:b:c:sender", b"d:e:f:sender", 1)
    found = signing.verify(tmp_path, {"same.eml": one.data, "swapped.eml": swapped})
    assert not faults_of(found, "same.eml", signing.wanted)
    assert not any(signature.result == "pass" for some in found.values()
                   for signature in some["swapped.eml"])


HEADER = (b"From: Sender <a@sender.example>\r\nTo: b@rcpt.example\r\n"
          b"Subject: Shapes\r\nDate: Fri, 20 Nov 2026 12:00:00 +0000\r\n")
SHAPES = {
    "no-body": HEADER,
    "empty-body": HEADER + b"\r\n",
    "one-empty-line": HEADER + b"\r\n\r\n",
    "blank-lines-alone": HEADER + b"\r\n \r\n\t\r\n\r\n",
    "no-final-line-end": HEADER + b"\r\nHello",
    "trailing-blank-lines": HEADER + b"\r\nHello\r\n\r\n\r\n \t\r\n\r\n",
    "tabs": HEADER + b"X-Tab:\tone\t\ttwo \t\r\n\r\n\tHello\t \tyou \t\r\n \r\nx\t\r\n",
    "blanks-before-empty-lines": HEADER + b"\r\na \r\n \r\nb\t\r\n\t\r\n",
    "long-folds": HEADER + b"References: " + b"\r\n\t ".join(
        b"<%d.%s@sender.example>" % (i, b"x" * 60) for i in range(200))
    + b"\r\n\r\nHello\r\n",
    "empty-values": HEADER.replace(b"Shapes", b"") + b"Cc: \r\n\t\r\n\r\nHello\r\n",
    "dots": HEADER + b"\r\n.\r\n..\r\n.a\r\n...\r\n\r\n.",
    "eight-bit": HEADER + b"MIME-Version: 1.0\r\nContent-Type: text/plain; "
    b"charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    + "Grüße \r\n.punkt \t\r\n\r\n".encode(),
    "long-line": HEADER + b"\r\n" + b"word " * 1000 + b"\r\n.end\r\n",
    "long-html": HEADER + b"MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n"
    b"<p>" + b"a. " * 1000 + b'<a href="http://x.example/">x</a>',
    "boundary-dots": HEADER + b"MIME-Version: 1.0\r\n" + mail.multipart(
        [mail.part(b".a\r\n.", encoding="7bit"), mail.part(HTML)],
        boundary="....."),
}


def send_chunk(session, data):
    """BDAT takes what DATA cannot: a message without a last line end."""
    session.send(b"BDAT %d LAST\r\n" % len(data) + data)
    return session.expect(250)


def test_d1_d4_every_shape_of_a_message(signing, tmp_path):
    """Tracked and passed through, over both hops: what the signature is made of
    is what stands on the wire, before dots are doubled."""
    hops = ("eight", "seven")
    with signing.baton.session() as session:
        for shape, data in SHAPES.items():
            for kind in ("tracked", "plain"):
                session.envelope("a@sender.example", *(
                    f"{shape}.{kind}@{hop}.example" for hop in hops))
                send_chunk(session, data if kind == "tracked" else
                           UNTRACKED + data)
    signing.baton.wait_for_empty_queue(60)
    arrived = signing.mailing.arrived()
    assert len(arrived) == 4 * len(SHAPES)
    for recipient, one in arrived.items():
        oracle.check_wire(one.raw)
        assert b"\r\n" in one.raw and not re.search(rb"[^\r]\n|\r[^\n]", one.raw)
        assert max(map(len, one.raw.split(b"\r\n"))) <= 998
        assert "seven" not in recipient or max(one.raw) < 128
    assert arrived["dots.plain@eight.example"].raw.endswith(
        b"\r\n\r\n..\r\n...\r\n..a\r\n....\r\n\r\n..\r\n")
    assert b"quoted-printable" in arrived["eight-bit.plain@seven.example"].header
    passes = signing.check(tmp_path, {name + ".eml": one.data
                                      for name, one in arrived.items()})
    assert passes == {one: len(arrived) for one in algorithms()}


def test_d4_an_obsolete_blank_before_the_colon(signing, tmp_path):
    """RFC 5322, 4.5.3. OpenDKIM's test mode and dkimpy read no such field."""
    data = mail.message("b@eight.example", mail.part(HTML)).replace(
        b"Subject:", b"Subject \t:")
    one = signing.mailing.send_one(data, "b@eight.example")
    assert b"\r\nSubject \t: " in one.data
    found = verify(str(tmp_path), {"one.eml": one.data}, signing.nameserver.port,
                   ("mailauth", "Mail::DKIM"))
    assert not faults_of(found, "one.eml", signing.wanted)
    assert sum(count_passes(found).values()) == 3


def test_one_copy_for_many_is_signed_once(factory, postgres, make_sink, tmp_path):
    """Not tracked: those whose turn comes seconds later get the same copy, with
    the signature that was made for the first."""
    sink = make_sink()
    signing = Signing(factory, [sink], {"*": f"smtp://127.0.0.1:{sink.port}"},
                      settings={"server": {"workers": "1"},
                                "delivery": {"messages_per_second_per_site": "1"}})
    recipients = [f"many{i}@rcpt.example" for i in range(350)]
    try:
        signing.mailing.send([(tuple(recipients), UNTRACKED + mail.message(
            "many@rcpt.example", mail.part(HTML)))])
        copies = sink.messages
        assert len(copies) == 4 and copies[3].at - copies[0].at > 2
        assert len({one.data for one in copies}) == 1
        passes = signing.check(tmp_path, {"many.eml": copies[0].data})
        assert passes == {one: 1 for one in algorithms()}
    finally:
        signing.close(postgres)


# D5, D7: whose signature, and whether at all

CALLERS = (b"DKIM-Signature: v=1; a=rsa-sha256; c=simple/simple; d=caller.example;\r\n"
           b"\ts=old; h=from; bh=aaaa; b=bbbb\r\n")


def is_kept(data):
    return CALLERS in data


def write_operator_key(folder, key):
    """PEM, readable to the user that workers become."""
    path = folder / "operator.pem"
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM,
                                       serialization.PrivateFormat.PKCS8,
                                       serialization.NoEncryption()))
    path.chmod(0o644)
    for parent in list(path.parents)[:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    return str(path)


def operator_settings(folder, key):
    return {"dkim": {"operator_domain": "relay.example", "operator_selector": "op",
                     "operator_key": write_operator_key(folder, key)}}


def operator_record(key):
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return {"op._domainkey.relay.example": [
        'TXT "v=DKIM1; k=rsa; p=' + base64.b64encode(public).decode() + '"']}


ACCOUNTS = [(wish, state) for wish in ("sign", "operator", "refuse")
            for state in ("unverified", "verified")]


def add_accounts(signing, baton):
    """One for each value of unverified_domain and either state of its domain."""
    signing.wanted_of = {}
    for wish, state in ACCOUNTS:
        name = f"{wish}-{state}"
        add_account(baton.sql, name, PASSWORD, settings={"unverified_domain": wish})
        signing.wanted_of[name] = publish(signing.nameserver, baton.cli_json(
            "domain", "add", name, f"{name}.example"))
        baton.sql("UPDATE baton.domain SET dkim_is_right = %s WHERE name = %s",
                  state == "verified", f"{name}.example")
    add_account(baton.sql, "nobody", PASSWORD)


def try_as(signing, user, sender, recipient):
    data = mail.message(recipient, mail.part(HTML), CALLERS.decode()).replace(
        b"a@sender.example", sender.encode())
    with signing.baton.dialogue("clear") as session:
        session.enter(user, PASSWORD)
        session.envelope(sender, recipient)
        return session.data(data, None)


def send_for_each(signing):
    """{recipient: account's name}; what is refused says why."""
    sent = {}
    for wish, state in ACCOUNTS:
        name = f"{wish}-{state}"
        reply = try_as(signing, name, f"a@sub.{name}.example",
                       f"{name}@rcpt.example")
        if name == "refuse-unverified":
            assert (reply.code, reply.enhanced) == (550, "5.7.1"), reply
            assert f"baton domain verify {name} {name}.example" in reply.text
        else:
            assert reply.code == 250, reply
            sent[f"{name}@rcpt.example"] = name
    for name in ("nobody", "sign-verified"):  # a domain that is nobody's
        reply = try_as(signing, name, "a@else.example", f"else.{name}@rcpt.example")
        assert reply.code == 250, reply
        sent[f"else.{name}@rcpt.example"] = "nobody"
    wait_until(lambda: set(sent) <= set(signing.mailing.arrived()), "all copies")
    return sent


@pytest.mark.parametrize("has_operator", [True, False])
def test_d5_d7_who_signs(factory, postgres, make_sink, tmp_path, has_operator):
    """unverified_domain; the operator's signature beside the domain's, or alone;
    what happens to a signature that the message came with."""
    sink = make_sink()
    key = rsa.generate_private_key(65537, 2048)
    signing = Signing(factory, [sink], {"*": f"smtp://127.0.0.1:{sink.port}"},
                      add_accounts, operator_settings(tmp_path, key)
                      if has_operator else None)
    signing.nameserver.add(operator_record(key))
    by_operator = [("relay.example", "op", RSA)] if has_operator else []
    try:
        sent = send_for_each(signing)
        arrived = signing.mailing.arrived()
        copies = {True: {}, False: {}}
        for recipient, name in sent.items():
            signs = name in signing.wanted_of and name != "operator-unverified"
            data = arrived[recipient].data
            assert is_kept(data) != signs, name
            if not signs and not has_operator:
                assert signatures_of(data) == signatures_of(CALLERS)
            own = signing.wanted_of[name] if signs else []
            copies[signs][f"{recipient}.eml"] = data, own + by_operator
        assert len(copies[True]) == 4 and len(copies[False]) == 3
        kept = [("caller.example", "old", RSA)]
        found = signing.verify(tmp_path, {name: data for some in copies.values()
                                          for name, (data, _) in some.items()})
        faults = [fault for signs, some in copies.items()
                  for name, (_, wanted) in some.items()
                  for fault in faults_of(found, name, wanted + kept * (not signs))
                  if "caller.example" not in fault.partition(": ")[2]
                  or "it carries" in fault]
        assert not faults, "\n".join(faults)
        count = 4 + 7 * has_operator
        assert count_passes(found) == {
            (verifier, algorithm): count if algorithm == RSA else 4
            for verifier, algorithm in algorithms()}
    finally:
        signing.close(postgres)


def test_d5_an_operator_key_that_is_none_stops_the_start(make_baton, tmp_path):
    settings = operator_settings(tmp_path, rsa.generate_private_key(65537, 512))
    said = make_baton(settings=settings, start=False).fail_to_start()
    assert "operator_key" in said and "RSA of at least 1024 bits" in said
    settings["dkim"]["operator_key"] = "/nowhere/key.pem"
    said = make_baton(settings=settings, start=False).fail_to_start()
    assert "/nowhere/key.pem cannot be read: No such file or directory" in said


def test_d7_pass_through_keeps_what_came(signing):
    """And Baton's own signatures stand above it."""
    data = CALLERS + mail.message("pass@eight.example", mail.part(HTML))
    one = signing.mailing.send_one(data, "pass@eight.example")
    assert not is_kept(one.data) and len(signatures_of(one.data)) == 2
    signing.baton.cli("set", USER, "pass_through", "on")
    try:
        def sent():
            signing.sinks[0].messages.clear()
            one = signing.mailing.send_one(data, "pass@eight.example")
            return is_kept(one.data) and one
        one = wait_until(sent, "a copy that was passed through", 30)
        assert [tags["d"] for tags in signatures_of(one.data)] == [
            DOMAIN, DOMAIN, "caller.example"]
        assert mail.quoted_printable(HTML) in one.body
    finally:
        signing.baton.cli("set", USER, "pass_through", "off")


# D6: new keys

def selectors_of(one):
    return {tags["s"] for tags in signatures_of(one.data)}


def loads_of(baton):
    return baton.log().count('event="the directory was loaded"')


HOST = {"host": "keys.relay.example"}


@pytest.fixture
def rotating(factory, postgres, make_sink):
    """Deferred mail is tried again soon. The domain's records are CNAMEs that
    lead to a zone of ours."""
    sink = make_sink()
    made = Signing(factory, [sink], {"*": f"smtp://127.0.0.1:{sink.port}"},
                   settings={"server": {"lease": "2 s"},
                             "delivery": {"retry": "1 s", "host_penalty": "1 s"},
                             "dkim": HOST})
    yield made
    made.close(postgres)


def submit_deferred(signing):
    """Two messages that are tried again until the sink takes them."""
    sink = signing.sinks[0]
    sink.on["message"] = lambda session, message: (
        "451 4.2.0 later" if message.recipients[0].startswith("later") else None)
    for name, front in (("later.tracked", b""), ("later.plain", UNTRACKED)):
        signing.baton.submit(front + mail.message(f"{name}@rcpt.example",
                                                  mail.part(HTML)),
                             [f"{name}@rcpt.example"])
    wait_until(lambda: {one.recipients[0] for one in sink.tried} >= {
        "later.tracked@rcpt.example", "later.plain@rcpt.example"}, "both tries")


def publish_anew(records, zone):
    """A DNS that has what Baton says now, and nothing else."""
    nameserver = Nameserver({})
    publish(nameserver, records, zone)
    return nameserver


def test_d6_new_keys(rotating, tmp_path):
    """They wait; then they sign. What was signed before, delivered or deferred,
    verifies with what is to be published afterwards."""
    baton, mailing, sink = rotating.baton, rotating.mailing, rotating.sinks[0]
    old = {selector for _, selector, _ in rotating.wanted}

    def send(name):
        return mailing.send_one(mail.message(f"{name}@rcpt.example", mail.part(HTML)),
                                f"{name}@rcpt.example")

    before = send("before")
    assert selectors_of(before) == old
    submit_deferred(rotating)

    loads = loads_of(baton)
    records = baton.cli_json("domain", "rotate", USER, DOMAIN)
    both = {name for _, name, _ in publish(rotating.nameserver, records,
                                        zone_of(baton))}
    assert len(both) == 4 and old < both
    wait_until(lambda: loads_of(baton) >= loads + 2, "both workers to know")
    for index in range(6):  # by either worker
        assert selectors_of(send(f"waiting{index}")) == old
    assert {row["state"] for row in baton.sql("SELECT state FROM baton.dkim_key")
            } == {"signing", "next"}

    loads = loads_of(baton)
    records = baton.cli_json("domain", "rotate", USER, DOMAIN, "--now")
    wait_until(lambda: loads_of(baton) >= loads + 2, "both workers to know")
    for index in range(6):
        assert selectors_of(send(f"new{index}")) == both - old
    sink.on.clear()
    sink.wait_for(2, where=lambda one: one.recipients[0].startswith("later"))
    copies = mailing.arrived()
    assert selectors_of(copies["later.tracked@rcpt.example"]) == both - old

    nameserver = publish_anew(records, zone_of(baton))
    try:
        found = verify(str(tmp_path), {f"{name}.eml": one.data
                                       for name, one in copies.items()},
                       nameserver.port)
    finally:
        nameserver.close()
    count = len(copies)
    assert count == 15
    assert count_passes(found) == {one: count for one in algorithms()}
    said = baton.cli("domain", "records", USER, DOMAIN).stdout
    assert all(name in said for name in both)


# The end, in the middle

@pytest.mark.parametrize("end", ["kill", "drain"])
def test_r5_ended_while_it_signs(rotating, tmp_path, end):
    """Nothing is lost, and all that came is signed; nothing comes twice but what
    was on the wire when everything was killed, or had come and was not yet
    written down."""
    baton, sink = rotating.baton, rotating.sinks[0]
    recipients = [f"r{i}@rcpt.example" for i in range(200)]
    baton.cli("queue", "suspend", "--domain", "rcpt.example")
    replies = mail.submit_all(baton, [
        ((one,), mail.message(one, mail.part(HTML))) for one in recipients])
    assert {reply.code for reply in replies} == {250}
    gate = threading.Event()
    sink.on["message"] = lambda session, message: (
        len(sink.messages) >= 20 and not gate.wait(30) and "451 4.2.0 stuck" or None)
    baton.cli("queue", "resume", "--domain", "rcpt.example")
    sink.wait_for(20)  # no more get through: the others wait, or are signed ahead
    if end == "kill":
        baton.kill_everything()
    else:
        baton.process.send_signal(signal.SIGTERM)
        wait_until(lambda: baton.log().count('event="draining"') == 2, "the drain")
    gate.set()
    if end == "drain":
        baton.stop()
    assert len(sink.messages) < 100
    baton.start()
    wait_until(lambda: {one.recipients[0] for one in list(sink.messages)}
               >= set(recipients), "all messages", 60)
    baton.wait_for_empty_queue(30)
    twice = len(sink.messages) - len(recipients)
    assert twice == 0 or end == "kill" and twice <= 20 + CONNECTIONS
    passes = rotating.check(tmp_path, {f"{index}.eml": one.data for index, one
                                       in enumerate(sink.messages)})
    assert passes == {one: len(sink.messages) for one in algorithms()}


# The secret that private keys are kept with

def restart(baton, **secrets_of_dkim):
    baton.stop()
    baton.settings["dkim"] = {**HOST, **secrets_of_dkim}
    baton.write_config()
    baton.start()


def submit_from(baton, domain, recipient):
    baton.submit(mail.message(recipient, mail.part(HTML)).replace(
        b"sender.example", domain.encode()), [recipient], f"a@{domain}")


def wait_for_deferral(baton, recipient):
    """What its last attempt says."""
    return wait_until(lambda: baton.value(
        "SELECT reply FROM report.attempt JOIN baton.delivery USING (delivery_id)"
        " WHERE recipient = %s AND outcome = 'deferred' AND step = 'sign'"
        " AND enhanced_code = '4.7.0' LIMIT 1", recipient), "a deferral")


def test_nothing_leaves_unsigned_without_its_key(rotating, tmp_path):
    """Another key_encryption; the right one again, as key_encryption_before; a
    private key that was moved to another row."""
    baton, mailing, sink = rotating.baton, rotating.mailing, rotating.sinks[0]
    other = secrets.token_hex(32)

    restart(baton, key_encryption=other)
    submit_from(baton, DOMAIN, "first@rcpt.example")
    said = wait_for_deferral(baton, "first@rcpt.example")
    assert "was encrypted with another secret than [dkim] key_encryption" in said
    assert DOMAIN in said and "baton domain rotate" in said
    assert "another secret" in baton.cli("queue", "--why").stdout
    assert not any(line.startswith("MAIL") for session in sink.sessions
                   for line in session.commands)

    restart(baton, key_encryption=other, key_encryption_before=SECRET)
    one = sink.wait_for(1)[0]
    assert one.recipients == ["first@rcpt.example"]
    rotating.check(tmp_path, {"first.eml": one.data})

    records = baton.cli_json("domain", "rotate", USER, DOMAIN, "--now")
    publish(rotating.nameserver, records, zone_of(baton))
    restart(baton, key_encryption=other)
    new = {row["selector"] for row in baton.sql(
        "SELECT selector FROM baton.dkim_key WHERE state = 'signing'")}
    one = mailing.send_one(mail.message("second@rcpt.example", mail.part(HTML)),
                           "second@rcpt.example")
    assert selectors_of(one) == new
    found = rotating.verify(tmp_path, {"second.eml": one.data})
    assert count_passes(found) == {one: 1 for one in algorithms()}

    check_that_keys_cannot_be_moved(baton, sink)


def check_that_keys_cannot_be_moved(baton, sink):
    """Sealed for account, domain and selector: it opens in no other row."""
    baton.cli("domain", "add", USER, "moved.example")
    baton.sql("UPDATE baton.dkim_key AS mine SET private_key = other.private_key"
              " FROM baton.dkim_key AS other WHERE mine.domain = 'moved.example'"
              " AND other.domain = %s AND other.state = 'signing'"
              " AND other.algorithm = mine.algorithm", DOMAIN)
    loads = loads_of(baton)
    baton.sql("NOTIFY baton_directory")
    wait_until(lambda: loads_of(baton) >= loads + 2, "both workers to know")
    count = len(sink.tried)
    submit_from(baton, "moved.example", "moved@rcpt.example")
    assert "moved.example was encrypted with another secret" in wait_for_deferral(
        baton, "moved@rcpt.example")
    assert len(sink.tried) == count
    baton.cli("queue", "cancel", "--domain", "rcpt.example")


# Suppressed, when it was signed already

def test_u5_what_was_signed_ahead_is_not_sent(factory, postgres, make_sink):
    """Signed copies wait for the only connection: who is suppressed meanwhile
    gets nothing, and the others get theirs."""
    gate = threading.Event()
    sink = make_sink(on={"message": lambda session, message: gate.wait(30) and None})
    made = Signing(factory, [sink], {"*": f"smtp://127.0.0.1:{sink.port}"},
                   settings={"server": {"workers": "1"},
                             "delivery": {"connections_per_site": "1"}})
    baton = made.baton
    try:
        recipients = [f"r{i}@rcpt.example" for i in range(6)]
        baton.cli("queue", "suspend", "--domain", "rcpt.example")
        for one in recipients:
            baton.submit(mail.message(one, mail.part(HTML)), [one])
        baton.cli("queue", "resume", "--domain", "rcpt.example")
        wait_until(lambda: sink.tried, "the first one to hang")
        first = sink.tried[0].recipients[0]
        victims = [one for one in recipients if one != first][1:3]
        for one in victims:
            baton.sql("INSERT INTO baton.suppression (account_id, address, reason)"
                      " SELECT account_id, %s, 'manual' FROM baton.account", one)
        with baton.session() as session:  # until the worker knows of it

            def is_known(one):
                session.envelope("a@sender.example", one)
                return session.data(mail.message(one, mail.part(HTML)),
                                    None).code == 550
            began = time.monotonic()
            for one in victims:
                wait_until(lambda: is_known(one), "the suppression")
            wait_until(lambda: time.monotonic() > began + 1.5, "the second that "
                       "suppressions may take (U5)")
        gate.set()
        baton.wait_for_empty_queue(30)
        sent = [one.recipients[0] for one in sink.messages]
        assert sorted(sent) == sorted(set(recipients) - set(victims))
    finally:
        gate.set()
        close_all([baton], postgres)
        made.nameserver.close()
