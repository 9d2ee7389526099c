# SPDX-License-Identifier: MIT
"""Any link, written in any way, in any encoding and charset: a click gives back
the original, and nothing around it changes.

Each case is a message that knows where its links are and what they mean, so the
verdict does not depend on any reader of HTML.
"""

import html.entities
import random
import re

import pytest

import rewriting_mail as mail
from rewriting_oracle import (Difference, check_links, compare_bytes,
                              compare_documents, decode_body, decoded_href,
                              require, split_message, target_of)
from scale import scale

CASES = scale(600, 10000)
SOUPS = scale(500, 10000)
BATCH = 200

# Python's name, labels in mail, letters outside ASCII that every converter
# agrees on.
ASCII_SUPERSETS = [
    ("ascii", ["us-ascii", "US-ASCII", "ascii"], ""),
    ("utf-8", ["utf-8", '"UTF-8"', "utf8", ""], "äßéßΩЖ漢字😀€\u00a0\u200b‮"),
    ("iso-8859-1", ["iso-8859-1", "ISO-8859-1", "latin1"], "äöüßéñ¿£\u00a0"),
    ("iso-8859-2", ["iso-8859-2"], "łőűžŠčě"),
    ("iso-8859-5", ["ISO-8859-5"], "ЖдляПри"),
    ("iso-8859-15", ["iso-8859-15"], "äö€šžœŸ"),
    ("cp1250", ["windows-1250"], "łőűžŠ„”…"),
    ("cp1251", ["windows-1251"], "Приветё«»№"),
    ("cp1252", ["windows-1252", "Windows-1252", "cp1252"], "äö€“”…–™"),
    ("cp1255", ["windows-1255"], "שלוםבגּ"),
    ("cp1258", ["windows-1258"], "đơưêă"),
    ("koi8-r", ["koi8-r"], "Привет"),
    ("shift_jis", ["shift_jis", "Shift_JIS"], "日本語表ソ十能予テスト"),
    ("euc-jp", ["euc-jp"], "日本語表ソ十能予"),
    ("euc-kr", ["euc-kr"], "한국어테스트"),
    ("gb18030", ["gb18030", "GB18030"], "汉字乗俓ä中文😀"),
    ("gbk", ["gbk", "gb2312"], "汉字中文测试"),
    ("big5hkscs", ["big5", "Big5"], "功許蓋繁體中文"),
]
SHIFTED = [
    ("utf-16", ["utf-16"], "äß漢😀"), ("utf-16-le", ["utf-16le"], "äß漢😀"),
    ("utf-16-be", ["utf-16be"], "äß漢😀"), ("utf-32", ["utf-32"], "äß漢😀"),
    ("utf-7", ["utf-7"], "äß漢"), ("iso2022_jp", ["iso-2022-jp"], "日本語テスト"),
    ("hz", ["hz-gb-2312"], "汉字中文"),
]
NAMES = {}
for _name, _text in html.entities.html5.items():
    if _name.endswith(";") and len(_text) == 1:
        NAMES.setdefault(_text, []).append(_name)

WORDS = ["copy", "lt", "gt", "amp", "not", "notit", "times", "timestamp", "reg",
         "quot", "para", "sect", "yen", "utm_source", "a", "b", "x1", "#38", "#x26"]
HOSTS = ["example.com", "EXAMPLE.com", "bücher.example", "例え.example",
         "[2001:db8::1]", "192.0.2.1:8080", "user:pa%40ss@mail.example.com",
         "xn--bcher-kva.example", "a_b.example", "x.example.", "сайт.example"]
PATH = ("abcXYZ0189-._~!$&'()*+,;=:@/%[]{}|\\^`<>\" \u00e4\u00df\u20ac\u6f22"
        "\U0001f600\u0416\u00a0")


def random_target(chance, letters):
    scheme = chance.choice(["http", "https", "HTTP", "hTTpS"])
    slashes = "//" if chance.random() < 0.97 else chance.choice(["", "/", "///"])
    target = f"{scheme}:{slashes}{chance.choice(HOSTS)}"
    for _ in range(chance.randrange(5)):
        kind = chance.randrange(6)
        if kind == 0:
            target += "/" + "".join(chance.choices(PATH + letters,
                                                   k=chance.randrange(12)))
        elif kind == 1:
            target += chance.choice("?&;") + chance.choice(WORDS) + chance.choice(
                ["", "=", ";", "=1"])
        elif kind == 2:
            target += "/" + "".join(f"%{chance.randrange(256):02{chance.choice('xX')}}"
                                    for _ in range(chance.randrange(1, 5)))
        elif kind == 3:
            target += "#" + chance.choice(["", "x", "#", "a&b", "%"])
        elif kind == 4:
            target += "/" + chance.choice(["a+b", "%2F", "..", "a;b=c", "%", "%zz",
                                           "=3D", "=", "--boundary", "%%", "{x}"])
        elif chance.random() < 0.1:
            target += "/" + "long" * chance.randrange(20, 1500)
    target = target.strip(" ")
    # What the relay leaves alone on purpose.
    return target if not re.search(
        r"\*\*\*uniqueid|%%Unsubscribe|reset|verify|magic|otp", target, re.I) else (
        "http://example.com/")


def pad(chance, target):
    """With what a browser drops."""
    if chance.random() < 0.2:
        target = (chance.choice([" ", "\t", "\r\n", " \t "]) + target
                  + chance.choice(["", " ", "\r\n ", "\t"]))
    if chance.random() < 0.1:
        at = chance.randrange(len(target) + 1)
        target = target[:at] + chance.choice(["\t", "\r\n", "\r\n\t"]) + target[at:]
    return target


def write_character(chance, one, quote, codec):
    """One character of a value, raw or as some reference."""
    raw = True
    try:
        one.encode(codec)
    except UnicodeEncodeError:
        raw = False
    if one == quote or one == "&" or not quote and one in "\t\r\n \"'=<>`":
        raw = False
    if raw and chance.random() < 0.93:
        return one
    forms = [f"&#{ord(one)};", f"&#x{ord(one):x};", f"&#X{ord(one):06X};",
             f"&#0{ord(one)};"]
    forms += ["&" + name for name in NAMES.get(one, [])]
    return chance.choice(forms)


def write_value(chance, value, quote, codec):
    """The value of an attribute, checked with an independent reader."""
    text = "".join(write_character(chance, one, quote, codec) for one in
                   value.replace("\r\n", "\n"))
    text = text.replace("\n", "\r\n")
    if chance.random() < 0.5:  # as people write it: "&" as it is
        people = re.sub("&(?:amp|#38|#038|#x26);", "&", text)
        if decoded_href(people, None) == value.replace("\r\n", "\n"):
            return people
    return text


class Document:
    """Literals and links in turn."""

    def __init__(self, chance, codec, letters):
        self.chance = chance
        self.codec = codec
        self.letters = letters
        self.pieces = [""]
        self.targets = []

    def add(self, text):
        self.pieces[-1] += text

    def noise(self):
        chance = self.chance
        self.add(chance.choice([
            "<p>text</p>", "\r\n", "\r\n\r\n..\r\n", "<!-- <a href='http://no/'> -->",
            "<style>a { x: url(http://no/) }</style>", "<img src='http://no/x.png'>",
            "<a name=x>", "<a href='mailto:a@b.example'>m</a>", "a &amp; b = c &lt; d",
            "<script>if (a < b) '<a href=\"http://no/\">'</script>", "<br/>",
            "http://in.text.example/x", "<a href=\"#top\">", "--=_a.boundary--x ",
            "<title>t</title>", "<textarea><a href=http://no/></textarea>",
            "<!--[if mso]><a href='http://no/'><![endif]-->", "From the start ",
            "<td title='<a href=http://no/>'>", "x" * chance.randrange(200),
            "".join(chance.choices(self.letters or "xyz", k=chance.randrange(30)))]))

    def link(self):
        chance = self.chance
        quote = chance.choice(['"', '"', "'", ""])
        space = chance.choice([" ", "\r\n", "\t", "  ", "/"])
        equals = chance.choice(["=", "=", " = ", "=\r\n"])
        self.add("<" + chance.choice(["a", "A", "area", "aReA"]) + space
                 + chance.choice(["", "class=x ", "title='>' ", "id=\"<\" ",
                                  "data-href=http://no/ "])
                 + chance.choice(["href", "HREF", "hReF"]) + equals + quote)
        target = random_target(chance, self.letters)
        value = write_value(chance, pad(chance, target), quote, self.codec)
        self.pieces += [value, ""]
        self.targets.append(target_of(target))
        self.add(quote + (chance.choice([">", " >", " class=x>", " href=http://no/>"])
                          if not quote else
                          chance.choice([">", " />", " class=x>", "class=y>"]))
                 + chance.choice(["x", "</a>", "text</a>"]))

    def text(self):
        return "".join(self.pieces)

    def literals(self):
        return self.pieces[::2]


def make_document(chance, codec, letters):
    document = Document(chance, codec, letters)
    document.add(chance.choice(["", "<html><body>", "<!DOCTYPE html>\r\n<html>"]))
    for _ in range(chance.randrange(1, 7)):
        for _ in range(chance.randrange(4)):
            document.noise()
        document.link()
    document.add(chance.choice(["", "</body></html>", "\r\n</BODY>\r\n"]))
    return document


def make_case(number):
    chance = random.Random(number)
    is_shifted = chance.random() < 0.12
    codec, labels, letters = chance.choice(SHIFTED if is_shifted
                                           else ASCII_SUPERSETS)
    document = make_document(chance, codec, letters)
    data = document.text().encode(codec)
    encodings = ["base64"]
    if not codec.startswith(("utf-16", "utf-32")):
        encodings.append("quoted-printable")
        if mail.is_lined(data):
            encodings += ["7bit"] if max(data) < 128 else ["8bit"]
    recipient = f"p{number}@rcpt.example"
    part = mail.part(data, chance.choice(labels), chance.choice(encodings),
                     chance=chance if chance.random() < 0.7 else None)
    plain = mail.part(b"plain http://plain.example/\r\n", kind="text/plain")
    boundary = chance.choice(["=_a.boundary", "===============12==", "a'()+_,-./:=?b"])
    shape = chance.randrange(4)
    if shape == 1:
        part = mail.multipart([plain, part], "alternative", boundary)
    elif shape == 2:
        part = mail.multipart([mail.multipart([part], "related", boundary + "x"),
                               plain], "mixed", boundary)
    return recipient, mail.message(recipient, part), document, is_shifted


def html_body(message):
    return next(piece for piece in split_message(message)
                if piece.kind == "body" and piece.part.type == "text/html")


def judge(mailing, case, copy):
    """The links of the copy, or None if it was left alone."""
    recipient, data, document, is_shifted = case
    before = html_body(data)
    after = html_body(copy)
    text = decode_body(after)
    if is_shifted and decode_body(before) == text:
        return None
    if is_shifted:
        text = text.decode(document.codec)
        literals = document.literals()
    else:
        text = text.decode("latin-1")
        literals = [piece.encode(document.codec).decode("latin-1")
                    for piece in document.literals()]
    if document.codec == "utf-16" or document.codec == "utf-32":
        require(decode_body(after)[:2] == decode_body(before)[:2], "another BOM")
    rest, pixels = mailing.tracking.pixel.subn("", text)
    links = mailing.tracking.click.findall(rest)
    found = mailing.tracking.click.split(rest)
    # The message's last line end, behind the document or behind the pixel.
    found[-1] = found[-1].rstrip("\r\n")
    literals[-1] = literals[-1].rstrip("\r\n")
    require(found == literals, "around the links:",
            [pair for pair in zip(literals, found) if pair[0] != pair[1]][:2],
            len(links), "of", len(document.targets), "links rewritten")
    require(pixels == 1, pixels, "pixels")
    return list(zip(links, document.targets))


@pytest.mark.timeout(3600)
def test_h1_any_link_in_any_encoding(module_baton, module_sink):
    mailing = mail.Mailing(module_baton, module_sink)
    links = []
    alone = {}
    shifted = 0
    faults = []
    for at in range(0, CASES, BATCH):
        module_sink.messages.clear()
        module_sink.tried.clear()
        cases = [make_case(number) for number in range(at, min(at + BATCH, CASES))]
        copies, _ = mailing.send([((case[0],), case[1]) for case in cases])
        batch = []
        for number, case in enumerate(cases, at):
            shifted += case[3]
            try:
                found = judge(mailing, case, copies[case[0]].data)
            except (AssertionError, UnicodeError) as fault:
                faults.append(f"case {number} ({case[2].codec}): {fault}")
                continue
            if found is None:
                alone[case[2].codec] = alone.get(case[2].codec, 0) + 1
            else:
                batch += found
        try:
            check_links(mailing.follower, mailing.tracking.base, batch)
        except AssertionError as fault:
            faults.append(str(fault))
        links += batch
    print(f"\n{CASES} cases, {len(links)} links exact, {shifted} in charsets with "
          f"shifts or wide units, left alone: {alone or 'none'}")
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults[:10])
    assert len(links) > 2 * CASES


# Markup of any kind

TAGS = ("a area p div span table tr td th tbody caption option title style script "
        "textarea xmp iframe noembed noframes noscript plaintext head body html form "
        "button b i font template ul li dl dt h1 pre listing br hr img image input "
        "col base link meta object marquee nobr rp ruby video").split()
SCRAPS = ["text", "\r\n", " ", "<!-- c -->", "<!--", "-->", "<!doctype html>",
          "<![CDATA[", "]]>", "<?x?>", "</", "<", "&amp;", "<!-->", "--!>", "</>",
          "<!x>", '"', "'", "=", "<a ", "<a href=", "<a href='", "<!--->", "<! -- >",
          "<svg><path d='x'/><title><a href=http://l.example/svg></title></svg>",
          "<svg><a href='http://l.example/in'><script/><![CDATA[<a href=x>]]></a></svg>",
          "<math><mi>x</mi><xmp/><![CDATA[<a href=http://n.example/>]]></math>"]


def make_soup(number):
    """Tags that open and close as they like, with links in between."""
    chance = random.Random(number)
    soup = ""
    for index in range(chance.choice([5, 10, 30, 80])):
        kind = chance.random()
        if kind < 0.25:
            soup += chance.choice([
                '<a href="http://l.example/{}">', "<A HREF='https://l.example/{}'>",
                "<area href=http://l.example/{}>", "<a x=y href=http://l.example/{} />"
            ]).format(index)
        elif kind < 0.55:
            tag = chance.choice(TAGS)
            if tag == "plaintext" and chance.random() < 0.8:
                tag = "p"
            soup += f"<{tag}" + chance.choice(
                ["", "", " class=x", "/", " href='http://n.example/'"]) + ">"
        elif kind < 0.8:
            soup += f"</{chance.choice(TAGS)}" + chance.choice(
                ["", " ", "/", " x='>'"]) + ">"
        else:
            soup += chance.choice(SCRAPS)
    return soup


@pytest.mark.timeout(3600)
def test_h2_any_markup(module_baton, module_sink):
    """html5lib, in the states that its tree asks for, sees the same. No select or
    frameset: what tags do in them was changed in the standard."""
    mailing = mail.Mailing(module_baton, module_sink)
    count = 0
    for at in range(0, SOUPS, BATCH):
        module_sink.messages.clear()
        module_sink.tried.clear()
        items = []
        for number in range(at, min(at + BATCH, SOUPS), 10):
            recipient = f"s{number}@rcpt.example"
            parts = [mail.part(make_soup(number + index).encode(),
                               encoding=["base64", "quoted-printable"][index % 2])
                     for index in range(10)]
            items.append(((recipient,), mail.message(recipient,
                                                     mail.multipart(parts))))
        copies, _ = mailing.send(items)
        links = []
        for (recipient,), data in items:
            pieces = [[decode_body(piece) for piece in split_message(one)
                       if piece.kind == "body"]
                      for one in (data, copies[recipient].data)]
            for index, (sent, got) in enumerate(zip(*pieces, strict=True)):
                try:
                    found = compare_documents(sent.decode(), got.decode(),
                                              mailing.tracking, with_tree=False)
                    compare_bytes(sent.decode("latin-1"), got.decode("latin-1"),
                                  mailing.tracking, found.links, "utf-8")
                except Difference as fault:
                    raise Difference(f"part {index} of {recipient}: {fault}\n"
                                     f"{sent}") from None
                links += found.links
        count += check_links(mailing.follower, mailing.tracking.base, links)
    print(f"\n{SOUPS} documents of any markup, {count} links exact")
    assert count > SOUPS


# Plain text

def make_text(number):
    """(Python's name of the charset, label, text, the targets of its links)"""
    chance = random.Random(number)
    codec, labels, letters = chance.choice(ASCII_SUPERSETS)
    words = ["word", "x", "a.b", "--", "....", "http", "http:", "www.example.com",
             "a@b.example", "mailto:x@y.example", "ftp://f.example/x", "&amp;",
             "httpx://no.example/", "<", ">", "\r\n", "\r\n", "\r\n.", "\r\n..",
             "\r\nFrom here", "\r\n> quoted", "=3D", "=", "\t"]
    text = ""
    targets = []
    for _ in range(chance.randrange(1, 25)):
        if chance.random() < 0.25:
            target = (chance.choice(["http", "https", "HTTP"]) + "://"
                      + chance.choice(["a.example", "A.example:8080", "192.0.2.1"]))
            target += chance.choice(["", "/"]) if chance.random() < 0.3 else (
                "/" + "".join(chance.choices(
                    "abcXYZ019-_~%/?&=+#.", k=chance.randrange(60))) + "z")
            before, after = chance.choice(
                [("", ""), ("<", ">"), ("(", ")"), ("", "."), ("", ","), ('"', '"'),
                 ("see:", ";"), ("'", "'"), ("", "!"), ("<URL:", ">"), ("[", "]")])
            text += before + target + after
            targets.append(target)
        elif letters and chance.random() < 0.5:
            text += "".join(chance.choices(letters, k=chance.randrange(1, 20)))
        else:
            text += chance.choice(words)
        text += chance.choice([" ", " ", "\r\n", "\t"])
    return codec, chance.choice(labels), text.strip(" \t\r\n"), targets


@pytest.mark.timeout(3600)
def test_links_in_plain_text(module_baton, module_sink):
    """What the links lead to, put back where they are, gives back the text."""
    mailing = mail.Mailing(module_baton, module_sink)
    base = mailing.tracking.base
    count = 0
    for at in range(0, SOUPS, BATCH):
        module_sink.messages.clear()
        module_sink.tried.clear()
        cases = {}
        for number in range(at, min(at + BATCH, SOUPS)):
            codec, label, text, targets = make_text(number)
            data = text.encode(codec)
            chance = random.Random(number)
            encoding = chance.choice(["quoted-printable", "base64",
                                      "7bit" if data.isascii() else "8bit"])
            recipient = f"x{number}@rcpt.example"
            cases[recipient] = (data, targets, mail.message(
                recipient, mail.multipart([mail.part(
                    data, label, encoding, "text/plain", chance)]),
                "X-Baton-Track-Clicks: text\r\n"))
        copies, _ = mailing.send([((recipient,), message) for recipient,
                                  (_, _, message) in cases.items()])
        links = []
        for recipient, (data, targets, message) in cases.items():
            body = next(piece for piece in split_message(copies[recipient].data)
                        if piece.kind == "body")
            got = decode_body(body).decode("latin-1")
            found = mailing.tracking.click.findall(got)
            rest = iter(targets)
            back = mailing.tracking.click.sub(
                lambda match: next(rest, "none"), got).encode("latin-1")
            require(back == data and len(found) == len(targets),
                    recipient, data, "became", got)
            links += zip(found, targets)
        count += check_links(mailing.follower, base, links)
    print(f"\n{SOUPS} texts, {count} links exact")
    assert count > SOUPS
