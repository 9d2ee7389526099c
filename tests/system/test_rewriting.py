# SPDX-License-Identifier: MIT
"""Links, pixels and opt-outs in the documents of the corpora: an independent
reader sees the same document, and every link leads to exactly where it led."""

import csv
import functools
import glob
import html
import json
import os
import re

import pytest

import rewriting_mail as mail
import rewriting_oracle as oracle
from instance import corpora
from rewriting_oracle import (Difference, check_links, compare_bytes,
                              compare_documents, decode_body, first, is_on,
                              read_html, require, split_message, target_of)

CORPORA = corpora()
MISSING = ("the corpora are not beside the checkout (../shared/corpora); "
           "BATON_CORPORA names another place")
needs_corpora = pytest.mark.skipif(CORPORA is None, reason=MISSING)

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def mailing(module_baton, module_sink):
    return mail.Mailing(module_baton, module_sink)


@pytest.fixture(autouse=True)
def empty_sink(module_sink):
    module_sink.messages.clear()
    module_sink.tried.clear()


def table(path):
    """Rows of a .tsv as dicts, escapes undone."""
    with open(os.path.join(CORPORA, path), encoding="utf-8", newline="\n") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [{name: unescape(value) for name, value in row.items()}
                for row in rows]


def unescape(value):
    return re.sub(r"\\(.)", lambda match: {"t": "\t", "n": "\n", "r": "\r"}.get(
        match.group(1), match.group(1)), value)


def read(path):
    with open(os.path.join(CORPORA, path), "rb") as file:
        return file.read()


def leaves(message):
    """The bodies of a message, each with its part."""
    return [piece for piece in split_message(message) if piece.kind == "body"]


@functools.lru_cache(maxsize=None)
def expected_links(corpus, name):
    """[(element, href)] by the corpus's own table, or None where it has none."""
    rows = [row for row in table(f"{corpus}/links.tsv") if row["file"] == name]
    return [(row["element"], row["href"]) for row in rows]


def links_of(tokens):
    return [(token[1], first(token[3], "href")) for token in tokens
            if token[0] == "start" and first(token[3], "href") is not None]


def compare_bodies(mailing, sent, got, with_tree=True):
    return oracle.compare_bodies(sent, got, mailing.tracking, with_tree)


# The html corpora

def documents():
    """(corpus, file, bytes, charset)"""
    found = []
    for path in sorted(glob.glob(os.path.join(CORPORA, "html-*", "*html"))):
        corpus, name = path.split(os.sep)[-2:]
        data = read(f"{corpus}/{name}")
        if data.startswith(b"\xff\xfe\0\0"):
            charset = "utf-32"
        elif data.startswith((b"\xff\xfe", b"\xfe\xff")):
            charset = "utf-16"
        else:
            try:
                data.decode("utf-8")
                charset = "utf-8"
            except ValueError:
                charset = "iso-8859-1"
        found.append((corpus, name, data, charset))
    return found


def encodings_for(data, charset):
    """Those in which the document can be sent as it is."""
    encodings = ["quoted-printable", "base64"]
    if charset.startswith("utf-") and charset != "utf-8":
        encodings = ["base64"]
    elif mail.is_lined(data):
        encodings.append("8bit")
        if max(data) < 128:
            encodings.append("7bit")
    return encodings


@needs_corpora
def test_h1_html_corpora(mailing):
    """Every document, in the encodings in turn: 7bit, 8bit, quoted-printable,
    base64."""
    cases = {}
    for index, (corpus, name, data, charset) in enumerate(documents()):
        if b"\n" in data and charset in ("utf-8", "iso-8859-1"):
            data = mail.crlf(data)
        encodings = encodings_for(data, charset)
        encoding = encodings[index % len(encodings)]
        recipient = f"d{index}@rcpt.example"
        cases[recipient] = (corpus, name, mail.message(
            recipient, mail.part(data, charset, encoding)))
    copies, _ = mailing.send([((recipient,), data) for recipient, (_, _, data)
                              in cases.items()])
    links = []
    pixels = 0
    faults = []
    for recipient, (corpus, name, data) in cases.items():
        try:
            sent = leaves(data)[0]
            got = leaves(copies[recipient].data)[0]
            found = compare_bodies(mailing, sent, got)
            check_against_table(corpus, name, sent, found)
        except (Difference, UnicodeError) as fault:
            faults.append(f"{corpus}/{name} as {sent.part.encoding}: {fault!r}")
            continue
        links += found.links
        pixels += len(found.pixels)
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults[:10])
    exact = check_links(mailing.follower, mailing.tracking.base, links)
    print(f"\n{len(cases)} documents: {len(links)} links, {exact} exact, "
          f"{pixels} pixels")
    assert pixels == len(cases)
    assert exact == len(links) >= 450


def check_against_table(corpus, name, sent, found):
    """What html5lib saw when the corpus was made, it sees now."""
    expected = expected_links(corpus, name)
    if not expected or sent.part.codec().startswith(("utf-16", "utf-32")):
        return
    tracked = [target_of(href) for element, href in expected
               if element in ("a", "area") and target_of(href) is not None]
    require([target for _, target in found.links] == tracked,
            "other links than in links.tsv:",
            set(tracked) ^ {target for _, target in found.links})


# Whole messages

UNTOUCHED = re.compile(rb"https?://(?:[\w-]+\.)*(?:attached|ical|inner)\.example")
PLAIN = re.compile(r"https?://[^\s<>\"]*[^\s<>\".,;:!?)]")


@needs_corpora
@pytest.mark.parametrize("mode", ["html", "text", "both"])
def test_f8_whole_messages(mailing, mode):
    """Attached, forwarded and calendar parts never change; plain text by
    track_clicks."""
    rows = table("html-eml/manifest.tsv")
    items = []
    for index, row in enumerate(rows):
        data = read(f"html-eml/{row['file']}")
        field = f"X-Baton-Track-Clicks: {mode}\r\n" if mode != "html" else ""
        items.append(((f"m{index}@rcpt.example",), field.encode() + data))
    copies, _ = mailing.send(items)
    links = {"text/html": [], "text/plain": []}
    faults = []
    for row, ((recipient,), data) in zip(rows, items):
        try:
            found = compare_messages(mailing, row, data, copies[recipient].data,
                                     mode)
        except Difference as fault:
            faults.append(f"{row['file']} ({row['variant']}): {fault}")
            continue
        for kind, some in found.items():
            links[kind] += some
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults[:10])
    exact = {kind: check_links(mailing.follower, mailing.tracking.base, some)
             for kind, some in links.items()}
    print(f"\n{len(items)} messages, {mode}: {exact} links exact")
    assert bool(exact["text/html"]) == (mode != "text")
    assert bool(exact["text/plain"]) == (mode != "html")


def compare_messages(mailing, row, data, copy, mode):
    """{type: links} of a message, all pieces of which were compared."""
    before = [piece for piece in split_message(data)]
    after = [piece for piece in split_message(copy)]
    require([piece.kind for piece in before] == [piece.kind for piece in after],
            "another structure")
    links = {"text/html": [], "text/plain": []}
    pixels = 0
    for sent, got in zip(before[1:], after[1:]):
        kind = sent.part.type if sent.kind == "body" else None
        if UNTOUCHED.search(sent.data):
            require(sent.data == got.data, "what never changes was changed")
        if kind == "text/html" and not sent.part.is_frozen():
            if mode == "text":
                pixels += compare_but_for_pixel(mailing, sent, got)
                continue
            found = compare_bodies(mailing, sent, got)
            check_against_table(row["source_corpus"], row["source_html"], sent,
                                found)
            links[kind] += found.links
            pixels += len(found.pixels)
        elif kind == "text/plain" and not sent.part.is_frozen() and mode != "html":
            links[kind] += compare_texts(mailing, sent, got)
        else:
            require(sent.data == got.data, f"a {sent.kind} was changed:",
                    sent.data[:200], "is", got.data[:200])
    require(pixels == 1, pixels, "pixels")
    return links


def compare_but_for_pixel(mailing, sent, got):
    before, after = (decode_body(body).decode("latin-1") for body in (sent, got))
    rest, count = mailing.tracking.pixel.subn("", after)
    require(rest == before, "more than the pixel")
    return count


def compare_texts(mailing, sent, got):
    """Plain text but for its links, which are returned."""
    before, after = (decode_body(body).decode("utf-8") for body in (sent, got))
    targets = PLAIN.findall(before)
    found = mailing.tracking.click.findall(after)
    require(len(found) == len(targets), len(targets), "links became", len(found))
    require(PLAIN.split(before) == mailing.tracking.click.split(after),
            "text around links was changed:", repr(after))
    return list(zip(found, targets))


# URLs of the web platform tests

def as_quoted(value):
    return '"' + value.replace("&", "&amp;").replace('"', "&quot;") + '"'


def as_single_quoted(value):
    return "'" + value.replace("&", "&#38;").replace("'", "&#x27;") + "'"


def as_bare(value):
    return re.sub("[\\x01-\\x20\"'=<>`&]", lambda match: f"&#{ord(match[0])};",
                  value) or '""'


def as_numbers(value):
    return '"' + "".join(f"&#x{ord(one):X};" for one in value) + '"'


@needs_corpora
@pytest.mark.parametrize("write", [as_quoted, as_single_quoted, as_bare,
                                   as_numbers])
def test_h1_urls_of_web_platform_tests(mailing, write):
    cases = [case for case in json.loads(read("url-wpt/urltestdata.json"))
             if isinstance(case, dict)]
    inputs = [case["input"].encode("utf-8", "replace").decode() for case in cases]
    size = 20
    items = []
    for at in range(0, len(inputs), size):
        text = "<html><body>\r\n" + "".join(
            f"<p><a id=n{at + index} href={write(value)}>x</a>\r\n"
            for index, value in enumerate(inputs[at:at + size])) + "</body></html>"
        encoding = ["base64", "quoted-printable"][at // size % 2]
        if re.search("[\r\n\0]", text.replace("\r\n", "")):
            encoding = "base64"
        recipient = f"u{at}@rcpt.example"
        items.append(((recipient,), mail.message(recipient, mail.part(
            text.encode(), "utf-8", encoding))))
    copies, _ = mailing.send(items)
    links = []
    hrefs = 0
    for (recipient,), data in items:
        sent = leaves(data)[0]
        tokens, _ = read_html(decode_body(sent).decode("utf-8"))
        hrefs += len(links_of(tokens))
        links += compare_bodies(mailing, sent,
                                leaves(copies[recipient].data)[0]).links
    exact = check_links(mailing.follower, mailing.tracking.base, links)
    print(f"\n{len(inputs)} URLs as {write.__name__}: {len(links)} links, "
          f"{exact} exact")
    assert hrefs == len(inputs)
    assert exact == len(links) >= 190


# The tokenizer's cases

def wrap(case, state):
    """The input, wrapped so that it is read in that state."""
    text = case["input"]
    if case.get("doubleEscaped"):
        text = re.sub(r"\\u([0-9A-Fa-f]{4})",
                      lambda match: chr(int(match[1], 16)), text)
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    front = {"Data state": "", "PLAINTEXT state": "<plaintext>",
             "RCDATA state": "<textarea>", "RAWTEXT state": "<xmp>",
             "Script data state": "<script>",
             "CDATA section state": "<svg><![CDATA["}[state]
    if "lastStartTag" in case and state != "PLAINTEXT state":
        name = front.strip("<>")
        text = re.sub("(?i)(</)" + case["lastStartTag"], lambda match:
                      match[1] + name, text)
    return front + text


def tokenizer_cases():
    found = []
    for path in sorted(glob.glob(os.path.join(CORPORA, "html5lib-tokenizer",
                                              "*.test"))):
        with open(path, encoding="utf-8") as file:
            tests = json.load(file)
        for case in tests.get("tests") or tests["xmlViolationTests"]:
            for state in case.get("initialStates", ["Data state"]):
                found.append((f"{os.path.basename(path)}: {case['description']} "
                              f"({state})", wrap(case, state)))
    return found


def send_documents(mailing, documents, per_message, letter):
    """documents: (name, text). Sends that many in each message, as parts;
    [(name, sent body, body of the copy)]"""
    items = []
    for at in range(0, len(documents), per_message):
        parts = [mail.part(text.encode(), "utf-8", "base64")
                 for _, text in documents[at:at + per_message]]
        recipient = f"{letter}{at}@rcpt.example"
        items.append(((recipient,), mail.message(
            recipient, mail.multipart(parts) if per_message > 1 else parts[0])))
    copies, _ = mailing.send(items, seconds=150)
    pairs = []
    for index, ((recipient,), data) in enumerate(items):
        some = documents[index * per_message:(index + 1) * per_message]
        pairs += zip((name for name, _ in some), leaves(data),
                     leaves(copies[recipient].data), strict=True)
    return pairs


@needs_corpora
@pytest.mark.parametrize("per_message", [1, 20])
def test_h2_tokenizer_cases(mailing, per_message):
    """Each case as a document of its own; then between links, so that it shows
    in which state a reader is left."""
    documents = tokenizer_cases()
    if per_message > 1:
        documents = [
            (name, f'<a href="http://before.example/{index}">x</a>{text}'
             f'<A HREF=http://after.example/{index}&amp;x>y</A>')
            for index, (name, text) in enumerate(documents)]
    links = []
    pixels = 0
    faults = []
    for name, sent, got in send_documents(mailing, documents, per_message, "t"):
        try:
            found = compare_bodies(mailing, sent, got, with_tree=False)
        except Difference as fault:
            faults.append(f"{name}: {fault}")
            continue
        links += found.links
        pixels += len(found.pixels)
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults[:20])
    exact = check_links(mailing.follower, mailing.tracking.base, links)
    print(f"\n{len(documents)} tokenizer cases, {per_message} a message: "
          f"{len(links)} links, {exact} exact, {pixels} pixels")
    assert exact == len(links) >= (len(documents) if per_message > 1 else 0)


# Rules of their own

def copy_of(mailing, text, charset="utf-8", encoding="quoted-printable",
            fields=""):
    """The document that arrives; in a part of its own, so that no line end of
    the message's belongs to it."""
    data = mail.message("b@rcpt.example", mail.multipart([mail.part(
        text.encode(charset, "surrogateescape"), charset, encoding)]), fields)
    mailing.sinks[0].messages.clear()
    copy = mailing.send_one(data)
    return decode_body(leaves(copy.data)[0]).decode(charset, "surrogateescape")


LEFT_ALONE = [
    "mailto:x@y.example?subject=http://a.example/", "tel:+1555", "sms:+1555;body=x",
    "#top", "#http://a.example/", "", " ", "cid:part1@x", "data:text/html,<a>",
    "javascript:location='http://a.example/'", "myapp://open?x=http://a.example",
    "intent://x#Intent;scheme=https;end", "{{link}}", "%%link%%", "*|LINK|*",
    "//a.example/x", "/x", "x?y=http://a.example/", "?http://a.example", "ftp://a/",
    "httpx://a.example/", "http", "https", "\u00a0http://a.example/", "file:///x"]


def test_h3_what_is_left_alone(mailing):
    base = mailing.tracking.base
    hrefs = LEFT_ALONE + [base, base + "/", base + "/c/abc", base + "?x",
                          base + "/u/x#y"]
    text = "<html><body>" + "".join(
        f'<a href="{html.escape(href)}">x</a>\r\n' for href in hrefs)
    got = copy_of(mailing, text + "</body></html>")
    assert mailing.tracking.pixel.sub("", got) == text + "</body></html>"
    assert mailing.tracking.click.findall(got) == [base + "/c/abc"]


def test_h3_hosts_that_only_look_like_ours_are_followed(mailing):
    base = mailing.tracking.base
    targets = [base + ".example/x", base + "0/x", base.replace("//", "//x."),
               "http://127.0.0.1/x", "http://x.example/" + base,
               base.replace("//", "//x.example\\@"), base + "@x.example/"]
    text = "".join(f'<a href="{target}">x</a>' for target in targets)
    found = compare_documents(text, copy_of(mailing, text), mailing.tracking)
    assert [target for _, target in found.links] == targets
    check_links(mailing.follower, base, found.links)


def test_h3_a_copy_that_is_sent_again_keeps_its_links(mailing):
    text = '<p><a href="http://a.example/">x</a><a href="/c/x">y</a></p>'
    once = copy_of(mailing, text)
    found = compare_documents(text, once, mailing.tracking)
    twice = copy_of(mailing, once)
    assert mailing.tracking.click.findall(twice) == [
        link for link, _ in found.links]


H2 = r"""<!DOCTYPE html><HTML><head><base href="http://base.example/">
<title><a href="http://no.example/1">x</a></title>
<style>a{} <a href="http://no.example/2">x</a></style>
<script>if (a<b) "<a href='http://no.example/3'>"; <!-- <script> "</script>
<a href=http://no.example/4>" --> </script>
<link href="http://no.example/5"></head><BODY>
<!-- <a href="http://no.example/6">x</a> --><!--[if mso]>
<v:roundrect href="http://no.example/7"><a href="http://no.example/8">x</a>
</v:roundrect><![endif]--><!--[if !mso]><!--><a href="http://yes.example/1">x</a>
<!--<![endif]--><v:roundrect xmlns:v="urn:x" href="http://no.example/9">
</v:roundrect><textarea><a href="http://no.example/10">x</a></textarea>
<A
  HREF
  =
  "http://yes.example/2"
  >x</A><a href='http://yes.example/3?a="b"'>x</a><a href=http://yes.example/4>x</a
><a href=http://yes.example/5/ title=x>x</a><a title=">" href=http://yes.example/6
class=x>x</a><a href="http://yes.example/7" href="http://no.example/11">x</a><a
href="mailto:x@y.example" href="http://no.example/12">x</a><map name="m"><AREA
shape=rect hReF="http://yes.example/8" coords="0,0,1,1"/></map><a
/href="http://yes.example/9"/class="x">x</a><a href="http://yes.example/10"title="y"
>x</a><abbr href="http://no.example/13">x</abbr><p title="<a href='http://no.example/14'>"
>x</p><xmp><a href="http://no.example/15"></xmp><iframe><a href="http://no.example/16">
</iframe><noembed><a href="http://no.example/17"></noembed><svg><a
href="http://yes.example/11"><title><a href="http://yes.example/12">x</a></title></a
></svg></a href="http://no.example/18"><? <a href="http://no.example/19" ?><!<a
href="http://no.example/20"><a href="HTTPS://yes.example/13">x</a><a href="
http://yes.example/14/
a b">x</a><a href="http&#58;//yes.example/15?a&amp;b&copy=1&copy;&lt&notit;&nosuch;"
>x</a></BODY></HTML>
"""


@pytest.mark.parametrize("encoding", ["7bit", "quoted-printable", "base64"])
def test_h2_every_way_to_write_a_link(mailing, encoding):
    text = mail.crlf(H2.encode()).decode()
    found = compare_documents(text, copy_of(mailing, text, encoding=encoding),
                              mailing.tracking)
    assert [re.search(r"yes\.example/(\d+)", target)[1] for _, target
            in found.links] == [str(number) for number in range(1, 16)]
    assert found.links[-1][1] == (
        "http://yes.example/15?a&b&copy=1\u00a9<\u00acit;&nosuch;".replace(
            "\u00acit;", "&notit;"))
    check_links(mailing.follower, mailing.tracking.base, found.links)


def test_h4_addresses_hold_nothing_that_can_be_bitten(mailing):
    text = '<a href="http://a.example/?a=b&amp;c=d&timestamp=5&e=\u20ac">x</a>'
    got = copy_of(mailing, text)
    for address in re.findall(r"(?:href|src)=\"([^\"]+)\"", got):
        assert is_on(address, mailing.tracking.base)
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[co]/[A-Za-z0-9_-]+", address)


@pytest.mark.parametrize("attribute", [
    "data-baton-no-track", 'data-baton-no-track=""', "ses:no-track",
    'SES:No-Track="x"', "data-pm-no-track", "clicktracking=off",
    'clicktracking="off"', "ClickTracking='OFF'", "disable-tracking=true",
    'disable-tracking="true"', 'data-msys-clicktrack="0"', "data-msys-clicktrack=0",
    "data-no-track", "no-track", 'no-track=""', "mc:disable-tracking"])
def test_h5_opt_out_attributes_are_honoured_and_removed(mailing, attribute):
    """Each in front of the href, behind it, last in a tag that ends with "/"."""
    target = "http://a.example/?x=1&amp;y"
    sent = (f'<p><a {attribute} href="{target}">x</a><a href="{target}" '
            f'{attribute} class=z>x</a><a class="z" href="{target}" {attribute} />'
            f'</a><a class="z" href="http://b.example/">x</a></p>')
    got = copy_of(mailing, sent)
    kept = mailing.tracking.pixel.sub("", got)
    found = compare_documents(sent, got, mailing.tracking)
    assert [target for _, target in found.links] == ["http://b.example/"]
    front, _, rest = kept.partition(found.links[0][0])
    assert rest == '">x</a></p>'
    assert attribute not in kept
    assert re.sub(" +", " ", front).replace(" >", ">") == (
        f'<p><a href="{target}">x</a><a href="{target}" class=z>x</a>'
        f'<a class="z" href="{target}" /></a><a class="z" href="')


@pytest.mark.parametrize("attribute", [
    "clicktracking=on", "disable-tracking=false", 'data-msys-clicktrack="1"',
    "clicktracking", 'x-no-track=""', 'title="no-track"'])
def test_h5_what_is_no_opt_out_stays(mailing, attribute):
    sent = f'<a {attribute} href="http://a.example/">x</a>'
    found = compare_documents(sent, got := copy_of(mailing, sent),
                              mailing.tracking)
    assert len(found.links) == 1 and attribute in got


def test_h5_an_opt_out_covers_the_text_part(mailing):
    text = ("see http://a.example/kept?x=1&y and http://b.example/tracked\r\n")
    document = ('<a no-track href="http://a.example/kept?x=1&amp;y">x</a>'
                '<a href="http://b.example/tracked">y</a>')
    data = mail.message("b@rcpt.example", mail.multipart(
        [mail.part(text.encode(), kind="text/plain"),
         mail.part(document.encode())], "alternative"),
        "X-Baton-Track-Clicks: both\r\n")
    plain, rich = leaves(mailing.send_one(data).data)
    links = [one for body in (plain, rich)
             for one in mailing.tracking.click.findall(
                 decode_body(body).decode())]
    assert b"http://a.example/kept?x=1&y and " in decode_body(plain)
    assert b'href="http://a.example/kept?x=1&amp;y"' in decode_body(rich)
    assert check_links(mailing.follower, mailing.tracking.base,
                       [(link, "http://b.example/tracked") for link in links]) == 2


PIXEL_PLACES = [
    # What is in front of the pixel, and behind it.
    ("<html><body><p>x</p>", "</body></html>\r\n"),
    ("<p>x</p></body><p>y</p>", "</BODY ></HTML>"),
    ("<p>x</p>", ""),
    ("just text", ""),
    ("<body><p>x</p>", "</body><!-- </body> -->"),
    ("<p>x</p><!-- </body> -->", ""),
    ("<body><script>'</body>'</script>", ""),
    ("<body><textarea></body></textarea>", "</body>"),
    ("<p title='</body>'>x", ""),
    ("<p>x</p>", "<!-- never ended"),
    ("<p>x</p>", "<textarea>never ended"),
    ("<p>x</p>", "<style>never ended </body>"),
    ("<p>x</p>", "<a href='never ended"),
    ("<p>x</p>", "<plaintext></body>"),
]


@pytest.mark.parametrize("front, rest", PIXEL_PLACES)
@pytest.mark.parametrize("encoding", ["7bit", "quoted-printable", "base64"])
def test_h6_where_the_pixel_goes(mailing, front, rest, encoding):
    data = mail.message("b@rcpt.example", mail.multipart(
        [mail.part((front + rest).encode(), encoding=encoding)], "mixed"))
    body = leaves(mailing.send_one(data).data)[0]
    got = decode_body(body).decode().removesuffix("\r\n")
    parts = mailing.tracking.pixel.split(got)
    assert [part.strip("\r\n") for part in parts] == [
        front.strip("\r\n"), rest.strip("\r\n")]
    pixels = [token for token in read_html(got)[0]
              if mailing.tracking.is_pixel(token)]
    assert len(pixels) == 1
    path = first(pixels[0][3], "src")[len(mailing.tracking.base):]
    assert mailing.follower.follow([path])[path] == (200, None)


TOPS = [
    # What is in front of the pixel, and behind it.
    ("<!DOCTYPE html><html><head><title>x</title></head><body class='x>y'>",
     "<p>x</p></body></html>"),
    ("", "<p>x</p>"),
    ("<!DOCTYPE html><html><head><style>x</style></head>", "<p>x"),
    ("<!-- <body> -->", "<p>x</p>")]


def test_h6_the_pixel_at_the_top(make_baton, module_sink):
    baton = make_baton(
        routes={"*": f"smtp://127.0.0.1:{module_sink.port}"},
        prepare=lambda baton: baton.sql(
            "UPDATE baton.account SET settings = settings || '{\"pixel\": \"top\"}'"))
    mailing = mail.Mailing(baton, module_sink)
    for front, rest in TOPS:
        got = copy_of(mailing, front + rest)
        assert mailing.tracking.pixel.split(got) == [front, rest]


def test_opens_and_clicks_can_be_switched_off(mailing):
    text = '<body><a href="http://a.example/">x</a></body>'
    field = "X-Baton-Track-{}: off\r\n"
    opens = copy_of(mailing, text, fields=field.format("Clicks"))
    assert mailing.tracking.pixel.sub("", opens) == text != opens
    clicks = copy_of(mailing, text, fields=field.format("Opens"))
    assert not mailing.tracking.pixel.search(clicks)
    assert len(mailing.tracking.click.findall(clicks)) == 1
    assert copy_of(mailing, text, fields=field.format("Opens")
                   + field.format("Clicks")) == text
    assert copy_of(mailing, text, fields="X-Baton-Privacy: off\r\n") == text


# The oracle itself

MUTATIONS = {
    "a byte": lambda text, link: text.replace("<p>", "<P>", 1),
    "a character of text": lambda text, link: text.replace("Hello", "Hullo", 1),
    "an entity": lambda text, link: text.replace("&nbsp;", "\u00a0", 1),
    "a quote": lambda text, link: text.replace(f'"{link}"', f"'{link}'", 1),
    "an attribute": lambda text, link: text.replace("class=", "klass=", 1),
    "a link left out": lambda text, link: text.replace(
        link, "http://a.example/?a=1&amp;b=2", 1),
    "a link too many": lambda text, link: text.replace(
        "mailto:x@y.example", link, 1),
    "another element": lambda text, link: text.replace("<b>", "<i>", 1),
    "a second pixel": lambda text, link: text.replace(
        "</p>", "</p><img src='x'>", 1),
    "an end": lambda text, link: text[:-8],
    "a comment": lambda text, link: text.replace("<!-- c", "<!--  c", 1),
    "a line end": lambda text, link: text.replace("\r\n", "\n", 1),
}
SOUND = ('<html><body><p>Hello&nbsp;\r\n<b>there</b></p><!-- c -->'
         '<a class="x" href="http://a.example/?a=1&amp;b=2">1</a>'
         '<a href=http://a.example/2>2</a><a href="mailto:x@y.example">3</a>\r\n'
         '</body></html>')


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_oracle_sees(mailing, name):
    """Each kind of fault, put into a copy that is right."""
    right = copy_of(mailing, SOUND)
    found = compare_documents(SOUND, right, mailing.tracking)
    compare_bytes(SOUND, right, mailing.tracking, found.links, None)
    wrong = MUTATIONS[name](right, found.links[0][0])
    assert wrong != right
    with pytest.raises(Difference):
        found = compare_documents(SOUND, wrong, mailing.tracking)
        compare_bytes(SOUND, wrong, mailing.tracking, found.links, None)


def test_the_oracle_sees_where_links_lead(mailing):
    got = copy_of(mailing, SOUND)
    (one, first_target), (two, second_target) = compare_documents(
        SOUND, got, mailing.tracking).links
    base = mailing.tracking.base
    assert check_links(mailing.follower, base,
                       [(one, first_target), (two, second_target)]) == 2
    for wrong in ([(one, second_target)], [(one, first_target + "/")],
                  [(one[:-1] + ("A" if one[-1] != "A" else "Q"), first_target)]):
        with pytest.raises(Difference):
            check_links(mailing.follower, base, wrong)
