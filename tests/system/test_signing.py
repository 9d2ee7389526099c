# SPDX-License-Identifier: MIT
"""Every copy that leaves verifies, in four programs that know nothing of Baton
(verifiers.py); nothing that readers act on can be changed after it was signed."""

import base64
import os
import re
import secrets

import pytest

import oracle
import rewriting_mail as mail
import test_rewriting as html_corpora
from conftest import close_all
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from instance import USER, add_account
from nameserver import Nameserver
from sink import Sink
from test_corpus import CORPORA, MISSING, files, read
from verifiers import (ED25519, RSA, algorithms, count_passes, faults_of,
                       opendkim_reads, verify)
from waiting import wait_until

pytestmark = pytest.mark.timeout(300)

DOMAIN = "sender.example"
SECRET = secrets.token_hex(32)
HTML = b'<p>Hello, <a href="http://shop.example/?a=1&amp;b=2">look</a></p>\r\n'


# Keys, and who publishes them

def publish(nameserver, records):
    """What `baton domain add --json` says about keys, in DNS; the signatures to
    be expected: [(domain, selector, algorithm)]."""
    wanted = []
    for record in records["records"]:
        if record["purpose"] == "dkim":
            assert record["type"] == "TXT", record
            nameserver.add({record["name"]: [f'TXT "{record["value"]}"']})
            kind = re.search("k=([a-z0-9]+)", record["value"])[1]
            selector = record["name"].partition("._domainkey.")[0]
            wanted.append((records["domain"], selector, f"{kind}-sha256"))
    assert sorted(one[2] for one in wanted[:2]) == [ED25519, RSA]
    return wanted


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
            "domain", "add", USER, DOMAIN))
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
def sinks():
    """A next hop with 8BITMIME, and one without."""
    both = [Sink(name="eight.example"),
            Sink(name="seven.example", extensions=("PIPELINING", "SMTPUTF8"))]
    yield both
    for sink in both:
        sink.close()


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
