# SPDX-License-Identifier: MIT
"""`baton verify`: D1, D2, D4, D8, D9 as a receiver sees them, with a DNS of our
own, on mail that an independent implementation (dkimpy) has signed."""

import base64
import glob
import json
import os
import re
import subprocess

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

import instance
from nameserver import Nameserver

CORPORA = instance.corpora()
NEEDS_CORPORA = pytest.mark.skipif(
    CORPORA is None, reason="the corpora are not beside the checkout "
    "(../shared/corpora); BATON_CORPORA names another place")

BODY = ("\r\nHello,\r\n\r\n\tyour  order has left. \r\n.\r\n"
        "Grüße\r\n\r\n\r\n").encode()
HEADER = (b"From: Shop <shop@shop.example>\r\n"
          b"To: you@elsewhere.example\r\n"
          b"Subject: Your\r\n order\r\n"
          b"Date: Sat, 21 Nov 2026 10:00:00 +0000\r\n"
          b"Message-ID: <1@shop.example>\r\n")


def public_text(key):
    if isinstance(key, ed25519.Ed25519PrivateKey):
        raw = key.public_key().public_bytes(serialization.Encoding.Raw,
                                            serialization.PublicFormat.Raw)
        return "k=ed25519; p=" + base64.b64encode(raw).decode()
    der = key.public_key().public_bytes(
        serialization.Encoding.DER,
        serialization.PublicFormat.SubjectPublicKeyInfo)
    return "k=rsa; p=" + base64.b64encode(der).decode()


def txt(text):
    """A TXT record; more than 255 octets are several strings."""
    pieces = [text[i:i + 200] for i in range(0, len(text), 200)] or [""]
    return "TXT " + " ".join('"%s"' % piece.replace('"', '\\"')
                             for piece in pieces)


RSA = rsa.generate_private_key(65537, 2048)
SMALL = rsa.generate_private_key(65537, 1024)
ED25519 = ed25519.Ed25519PrivateKey.generate()
OTHER = rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def dns():
    key = "v=DKIM1; " + public_text(RSA)
    records = {
        # Right.
        "r1._domainkey.shop.example": [txt(key)],
        "e1._domainkey.shop.example": [txt("v=DKIM1; " + public_text(ED25519))],
        "small._domainkey.shop.example": [txt(public_text(SMALL))],
        "alias._domainkey.shop.example": ["CNAME key.relay.example"],
        "key.relay.example": [txt(key)],
        "r1._domainkey.mail.shop.example": [txt(key)],
        "r1._domainkey.relay.example": [txt(key)],
        "r1._domainkey.strict.example": [txt(key)],
        "r1._domainkey.sub.strict.example": [txt(key)],
        "_dmarc.shop.example": [txt("v=DMARC1; p=reject; sp=quarantine")],
        "_dmarc.relay.example": [txt("v=DMARC1; p=none")],
        "_dmarc.strict.example": [txt("v=DMARC1; p=reject; adkim=s; aspf=s")],
        "bounce.shop.example": ["CNAME return.relay.example"],
        "return.relay.example": [
            txt("v=spf1 include:out.relay.example -all"), "MX 10 in.relay.example"],
        "out.relay.example": [txt("v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 ~all")],
        "helo.relay.example": [txt("v=spf1 a -all"), "A 192.0.2.77"],
        # Wrong.
        "other._domainkey.shop.example": [txt("v=DKIM1; " + public_text(OTHER))],
        "revoked._domainkey.shop.example": [txt("v=DKIM1; p=")],
        "text._domainkey.shop.example": [txt("hello")],
        "broken._domainkey.shop.example": ["SERVFAIL"],
        "_dmarc.two.example": [txt("v=DMARC1; p=none"), txt("v=DMARC1; p=reject")],
        "r1._domainkey.two.example": [txt(key)],
        # Half right: two records, one of them old; only in test.
        "half._domainkey.shop.example": [txt("v=DKIM1; " + public_text(OTHER)),
                                         txt(key)],
        "test._domainkey.shop.example": [txt("v=DKIM1; t=y; " + public_text(OTHER))],
    }
    server = Nameserver(records)
    yield server
    server.close()


def sign(message=HEADER + BODY, key=RSA, selector="r1", domain="shop.example",
         forms=("relaxed", "relaxed"), **more):
    if isinstance(key, ed25519.Ed25519PrivateKey):
        raw = key.private_bytes(serialization.Encoding.Raw,
                                serialization.PrivateFormat.Raw,
                                serialization.NoEncryption())
        pem, algorithm = base64.b64encode(raw), b"ed25519-sha256"
    else:
        pem = key.private_bytes(serialization.Encoding.PEM,
                                serialization.PrivateFormat.TraditionalOpenSSL,
                                serialization.NoEncryption())
        algorithm = b"rsa-sha256"
    field = dkim.sign(message, selector.encode(), domain.encode(), pem,
                      canonicalize=tuple(form.encode() for form in forms),
                      signature_algorithm=algorithm, **more)
    return field + message


def verify(dns, message, *options):
    result = subprocess.run(
        [instance.BINARY, "verify", "--resolver", dns.setting, *options],
        input=message, capture_output=True, timeout=60, cwd="/",
        env=instance.environment())
    result.text = result.stdout.decode()
    complaint = result.stderr.decode()
    assert not instance.CRASH.search(complaint), complaint
    return result


@pytest.mark.parametrize("key,selector", [(RSA, "r1"), (ED25519, "e1"),
                                          (SMALL, "small")])
@pytest.mark.parametrize("head", ["simple", "relaxed"])
@pytest.mark.parametrize("body", ["simple", "relaxed"])
def test_what_another_signer_made_is_right(dns, key, selector, head, body):
    """D2, D4"""
    signed = sign(key=key, selector=selector, forms=(head, body))
    result = verify(dns, signed)
    assert result.returncode == 0, result
    assert re.match(rf"dkim=pass d=shop\.example s={selector} a=\S+ key=\d+ "
                    "aligned: the signature is right\n", result.text)
    # Any change of what is signed is seen.
    for change in ((b"Shop <", b"Shup <"), (b"has left", b"was lost"),
                   (b"Subject: Your", b"Subject: My"),
                   (b"From: ", b"From: x@y.example\r\nFrom: ")):
        changed = signed.replace(*change)
        assert changed != signed
        result = verify(dns, changed)
        assert result.returncode == 1, change
        assert result.text.startswith("dkim=fail "), result.text


BODIES = {
    "none": b"", "empty": b"\r\n", "no-end": b"\r\nno end",
    "empty-lines": b"\r\n\r\n\r\n", "blanks": b"\r\n \t\r\n",
    "long-line": b"\r\n" + b"x" * 3000 + b"\r\n",
    "many-lines": b"\r\n" + b"line\r\n" * 20000}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("form", ["simple", "relaxed"])
def test_bodies_of_every_form(dns, body, form):
    """D4"""
    result = verify(dns, sign(HEADER + BODIES[body], forms=(form, form)))
    assert result.returncode == 0, result.text


def test_lines_may_end_in_lf(dns):
    result = verify(dns, sign().replace(b"\r\n", b"\n"))
    assert result.returncode == 0, result.text


@pytest.mark.parametrize("selector,key,expected,reason", [
    ("alias", RSA, "pass", "the signature is right"),
    ("half", RSA, "pass", "the signature is right"),
    ("other", RSA, "fail", "does not match"),
    ("revoked", RSA, "permerror", "revoked"),
    ("text", RSA, "permerror", "no key"),
    ("e1", RSA, "permerror", "not for the algorithm"),
    ("broken", RSA, "temperror", "does not answer"),
    ("missing", RSA, "permerror", "there is no key at missing._domainkey."),
    ("test", RSA, "neutral", "only testing")])
def test_key_records(dns, selector, key, expected, reason):
    result = verify(dns, sign(key=key, selector=selector))
    assert result.text.startswith(f"dkim={expected} "), result.text
    assert reason in result.text.split("\n")[0]
    assert result.returncode == (0 if expected == "pass" else 1)


def test_a_signature_of_a_part_is_reported(dns):
    """l= is accepted when reading, and said (8.2)."""
    signed = sign(length=True)
    assert b"l=" in signed
    result = verify(dns, signed + b"PS: pay here\r\n")
    assert result.returncode == 0
    assert re.search(r"unsigned=\d\d aligned: .* is not signed \(l=\)",
                     result.text), result.text


def test_alignment(dns):
    """D5, D9: a signature of another domain is right, and not enough."""
    foreign = sign(domain="relay.example")
    result = verify(dns, foreign)
    assert result.returncode == 1
    assert "dkim=pass d=relay.example s=r1 a=rsa-sha256 key=2048 not-aligned:" \
        in result.text
    assert "dmarc=fail from=shop.example organization=shop.example " \
        "policy=reject record=_dmarc.shop.example:" in result.text
    both = sign(foreign, domain="mail.shop.example")
    result = verify(dns, both)
    assert result.returncode == 0
    assert result.text.count("dkim=pass") == 2
    assert "dmarc=pass" in result.text


def test_strict_alignment(dns):
    message = HEADER.replace(b"shop.example>\r\nTo", b"strict.example>\r\nTo") + BODY
    result = verify(dns, sign(message, domain="sub.strict.example"))
    assert result.returncode == 1
    assert "dkim=pass" in result.text and "dmarc=fail" in result.text
    result = verify(dns, sign(message, domain="strict.example"))
    assert result.returncode == 0


@pytest.mark.parametrize("author,expected", [
    ("shop@shop.example", "dmarc=pass from=shop.example .* policy=reject"),
    ("shop@a.mail.shop.example", "dmarc=pass from=a.mail.shop.example "
     "organization=shop.example policy=quarantine record=_dmarc.shop.example"),
    ("shop@two.example", "dmarc=none from=two.example .*2 records"),
    ("shop@nothing.example", "dmarc=none from=nothing.example .*neither"),
    ("a@shop.example, b@relay.example", "dmarc=none: From has addresses of"),
    ("nobody", "dmarc=none: ")])
def test_policies_by_tree_walk(dns, author, expected):
    message = HEADER.replace(b"Shop <shop@shop.example>", author.encode()) + BODY
    result = verify(dns, sign(message))
    assert re.search("^" + expected, result.text, re.M), result.text


@pytest.mark.parametrize("ip,sender,expected", [
    ("192.0.2.9", "b@bounce.shop.example", "pass"),
    ("2001:db8::9", "<b@bounce.shop.example>", "pass"),
    ("198.51.100.9", "b@bounce.shop.example", "fail"),
    ("192.0.2.9", "b@nothing.example", "none")])
def test_spf(dns, ip, sender, expected):
    """D8"""
    result = verify(dns, HEADER + BODY, "--ip", ip, "--from", sender)
    lines = result.text.split("\n")
    assert lines[0] == "dkim=none: the message is not signed"
    assert lines[1].startswith(f"spf={expected} domain="), lines
    assert result.returncode == 1  # no signature
    # SPF passes, and the return path is aligned: DMARC passes.
    assert ("dmarc=pass" in lines[2]) == (expected == "pass")
    assert ("aligned: " in lines[1] and "not-aligned" not in lines[1]) == \
        ("shop" in sender)


def test_spf_of_the_null_sender(dns):
    result = verify(dns, HEADER + BODY, "--ip", "192.0.2.77", "--from", "",
                    "--helo", "helo.relay.example")
    assert "spf=pass domain=helo.relay.example ip=192.0.2.77 lookups=1 " \
        "not-aligned:" in result.text


def test_json(dns):
    result = verify(dns, sign(sign(selector="missing")), "--json", "--ip",
                    "192.0.2.9", "--from", "b@bounce.shop.example")
    assert result.returncode == 0
    answer = json.loads(result.text)
    assert [row["result"] for row in answer["dkim"]] == ["pass", "permerror"]
    first = answer["dkim"][0]
    assert first["domain"] == "shop.example" and first["key_bits"] == 2048
    assert first["aligned"] and not first["has_length"]
    assert answer["spf"]["result"] == "pass" and answer["spf"]["lookups"] == 1
    assert answer["spf"]["mechanism"] == "include:out.relay.example"
    assert answer["dmarc"]["result"] == "pass"
    assert answer["dmarc"]["policy"] == "reject"
    assert answer["aligned_signature"] is True


def test_strangers_write_no_control_characters(dns):
    hostile = (b"DKIM-Signature: v=1; a=rsa-\x1b[31m; d=shop.example; s=s; "
               b"h=from; bh=\xff; b=\x07\r\n")
    for options in ((), ("--json",)):
        result = verify(dns, hostile + HEADER + BODY, *options)
        assert result.returncode == 1
        assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", result.stdout)
    json.loads(result.text)


@pytest.mark.parametrize("options,word", [
    (("--ip", "192.0.2.9"), "SPF needs both --ip and --from"),
    (("--ip", "x", "--from", "a@b.example"), "is no IP address"),
    (("--ip", "192.0.2.9", "--from", ""), "name the client with --helo"),
    (("--ip", "192.0.2.9", "--from", "a@b c"), "--from: ")])
def test_wrong_options(dns, options, word):
    result = verify(dns, HEADER + BODY, *options)
    assert result.returncode == 2
    assert word in result.stderr.decode()


def test_nothing_to_verify(dns):
    result = verify(dns, b"")
    assert result.returncode == 1
    assert "standard input is empty" in result.stderr.decode()


def test_a_resolver_that_is_none(dns):
    result = verify(dns, HEADER, "--resolver", "nonsense")
    assert result.returncode == 1
    assert "is not a DNS server" in result.stderr.decode()


@NEEDS_CORPORA
def test_the_corpora_verify():
    paths = sorted(glob.glob(os.path.join(CORPORA, "dkim-vectors", "mailauth-*.txt")))
    assert paths
    for path in paths:
        with open(path, "rb") as file:
            head, message = file.read().split(b"\n\n", 1)
        records = {}
        for line in head.decode().split("\n"):
            name, record = line.split(" ", 1)
            records[name] = [txt(record)]
        server = Nameserver(records)
        try:
            answer = json.loads(verify(server, message, "--json").text)
            assert [row["result"] for row in answer["dkim"]] == \
                ["pass"] * len(answer["dkim"]), path
            assert answer["dkim"]
        finally:
            server.close()
