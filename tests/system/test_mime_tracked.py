# SPDX-License-Identifier: MIT
"""Messages of every kind with tracking on: all but the edited spans is as it was
sent, and two independent readers of MIME see the same structure."""

import email
import email.header
import random
import re

import gi
import pytest

import oracle
import rewriting_mail as mail
import rewriting_oracle
from conftest import close_all
from rewriting_oracle import (Difference, check_links, compare_bytes,
                              compare_documents, decode_body, read_html, require,
                              split_message, target_of)
from scale import scale
from test_corpus import CORPORA, MISSING, files, read

gi.require_version("GMime", "3.0")
from gi.repository import GMime  # noqa: E402

GMime.init()

pytestmark = pytest.mark.timeout(3600)

STRUCTURES = scale(200, 5000)

# Removed with what they say (the tables of control headers).
CONTROL = re.compile(
    "x-baton-.*|idempotency-key|x-transgroupid|x-smtpusername|x-pm-(?:message-stream|"
    "tag|metadata-.*|trackopens|tracklinks)|x-mc-.*|x-mailgun-.*|x-smtpapi|x-ses-("
    "?:configuration-set|message-tags|list-management-options)|x-msys-api|x-xs(?:"
    "mailingid|messageid|data)")
OF_A_PART = ("mime-version", "content-type", "content-transfer-encoding")


@pytest.fixture(scope="module")
def mailing(factory, sinks, postgres):
    baton = factory(routes={
        "*": f"smtp://127.0.0.1:{sinks[0].port}",
        "seven.example": f"smtp://127.0.0.1:{sinks[1].port}"}, prepare=make_group)
    yield mail.Mailing(baton, *sinks)
    close_all([baton], postgres)


def make_group(baton):
    baton.sql("INSERT INTO baton.message_group (account_id, name, settings) SELECT"
              " account_id, 'News', '{\"own_unsubscribe\": \"replace\"}'"
              " FROM baton.account")


@pytest.fixture(autouse=True)
def empty_sinks(sinks):
    for sink in sinks:
        sink.messages.clear()
        sink.tried.clear()


# Two independent readers

def normal(payload):
    return re.sub(rb"\r?\n", b"\n", payload).strip(b"\n")


def python_structure(data):
    """[(depth, type, parameters, file name, content)]; content is None where it
    may be rewritten."""
    found = []

    def walk(part, depth):
        kind = part.get_content_type()
        row = [depth, kind, part.get_content_charset(), part.get_boundary(),
               part.get_filename(), str(part.get("Content-Disposition")),
               str(part.get("Content-ID"))]
        if part.is_multipart():
            found.append(row + [normal((part.preamble or "").encode(
                "ascii", "surrogateescape")), normal((part.epilogue or "").encode(
                    "ascii", "surrogateescape"))])
            for inner in part.get_payload():
                walk(inner, depth + 1)
        else:
            payload = part.get_payload(decode=True) or b""
            found.append(row + [None if kind == "text/html" else normal(payload)])

    walk(email.message_from_bytes(data), 0)
    return found


def file_name(part):
    try:
        return part.get_filename() if isinstance(part, GMime.Part) else None
    except UnicodeDecodeError as fault:
        return fault.object


def gmime_structure(data):
    """The same, seen by GMime."""
    found = []

    def walk(part, depth):
        kind = part.get_content_type()
        row = [depth, kind and kind.get_mime_type(),
               kind and kind.get_parameter("charset"), part.get_content_id(),
               part.get_disposition() and part.get_disposition().lower()]
        if isinstance(part, GMime.Multipart):
            found.append(row + [kind.get_parameter("boundary"),
                                part.get_prologue(),
                                (part.get_epilogue() or "").strip("\r\n")])
            for index in range(part.get_count()):
                walk(part.get_part(index), depth + 1)
        elif isinstance(part, GMime.MessagePart):
            found.append(row)
            inner = part.get_message()
            if inner and inner.get_mime_part():
                walk(inner.get_mime_part(), depth + 1)
        else:
            content = part.get_content()
            payload = b""
            if content:
                stream = GMime.StreamMem.new()
                content.write_to_stream(stream)
                payload = bytes(stream.get_byte_array() or b"")
            is_html = row[1] and row[1].lower() == "text/html"
            found.append(row + [file_name(part),
                                None if is_html else normal(payload)])

    stream = GMime.StreamMem.new_with_buffer(data)
    one = GMime.Parser.new_with_stream(stream).construct_message(None)
    if one and one.get_mime_part():
        walk(one.get_mime_part(), 0)
    return found


def compare_structures(sent, got):
    for read_structure in (python_structure, gmime_structure):
        before, after = read_structure(sent), read_structure(got)
        require(before == after, f"{read_structure.__name__} sees another one:",
                [pair for pair in zip(before, after) if pair[0] != pair[1]][:1],
                len(before), "parts,", len(after))


# A copy and what was sent

def fields_of(header):
    fields = []
    for line in header.splitlines(keepends=True):
        if line[:1] in b" \t" and fields:
            fields[-1][1] += line
        else:
            fields.append([line.partition(b":")[0].strip().lower().decode(
                "latin-1"), line])
    return fields


def has_group(whole):
    value = str(email.header.make_header(email.header.decode_header(
        re.sub(r"\r?\n(?=[ \t])", "", whole.decode("latin-1").partition(":")[2]))))
    return value.rstrip().endswith("}")


def compare_headers(sent, got, is_encoded_anew, is_top):
    """The fields that stay stay as they are, in their order."""
    skipped = OF_A_PART if is_encoded_anew else ()
    before = [field for field in fields_of(sent) if field[0] not in skipped]
    after = [field for field in fields_of(got) if field[0] not in skipped]
    if is_top:
        before = [field for field in before if field[0] not in oracle.REMOVED
                  and not CONTROL.fullmatch(field[0])]
        names = {name for name, _ in before}
        added = after[:len(after) - len(before)]
        after = after[len(added):]
        for name, _ in added:
            require(name == "received" or name in ("date", "message-id")
                    and name not in names, "was added:", name)
        require([name for name, _ in added].count("received") == 1, added)
        for field in before:
            if field[0] == "subject" and has_group(field[1]):
                at = before.index(field)
                require(after[at][0] == "subject" and not has_group(after[at][1]),
                        after[at])
                after[at] = field
    require(before == after, "the header was changed:",
            [pair for pair in zip(before, after) if pair[0] != pair[1]][:2])


SOUND_ENCODINGS = ("7bit", "8bit", "binary", "quoted-printable", "base64", "")


def may_be_rewritten(piece):
    part = piece.part
    return (piece.kind == "body" and part.type == "text/html"
            and not part.is_frozen() and part.encoding in SOUND_ENCODINGS
            and part.codec() is not None)


def compare_copy(mailing, sent, got, to_7bit):
    """Every piece of a copy; (links, pixels) of it."""
    before = split_message(sent)
    after = split_message(got)
    require([(piece.kind, piece.part and piece.part.type) for piece in before]
            == [(piece.kind, piece.part and piece.part.type) for piece in after],
            "another sequence of parts")
    links = []
    pixels = []
    for index, (old, new) in enumerate(zip(before, after)):
        if old.kind == "glue":
            require(old.data == new.data, "between parts:", old.data, "is", new.data)
        elif old.kind == "header":
            body = next((piece for piece in before[index:] if piece.kind == "body"
                         and piece.part is old.part), None)
            encoded_anew = old.part.encoding != new.part.encoding
            require(not encoded_anew or body is not None and (
                must_be_encoded(body, to_7bit) or may_be_rewritten(body)),
                "encoded anew without need")
            compare_headers(old.data, new.data, encoded_anew, index == 0)
        elif may_be_rewritten(old):
            found = compare_bodies(mailing, old, new)
            links += found[0]
            pixels += found[1]
        elif old.data != new.data:
            require(must_be_encoded(old, to_7bit) and not old.part.is_sealed(),
                    f"a part was changed ({old.part.type}, {old.part.encoding}):",
                    *first_difference(old.data, new.data))
            require(normal(decode_body(old)) == normal(decode_body(new)),
                    "not the same when decoded")
    require(len(pixels) <= 1, len(pixels), "pixels")
    return links, pixels


def first_difference(one, other):
    at = next((index for index, (a, b) in enumerate(zip(one, other)) if a != b),
              min(len(one), len(other)))
    return one[at - 40:at + 40], "is", other[at - 40:at + 40]


def must_be_encoded(piece, to_7bit):
    """S7, E4"""
    return any(len(line) > oracle.LONGEST_LINE
               for line in piece.data.split(b"\r\n")) or (
        to_7bit and any(byte > 127 for byte in piece.data))


def compare_bodies(mailing, old, new):
    """Of HTML, by documents and bytes."""
    before = decode_body(old)
    if before is None or old.data == new.data:
        require(old.data == new.data, "not understood, but changed")
        # Left alone: then there was nothing to do, or it cannot be done.
        text = (before or b"").decode(old.part.codec(), "surrogateescape")
        left = [token for token in read_html(text)[0] if token[0] == "start"
                and mailing.tracking.tracks(token)]
        require(not left, "was left as it is:", left[:1])
        return [], []
    found = rewriting_oracle.compare_bodies(old, new, mailing.tracking, False)
    return found.links, found.pixels


def check_wire(one, to_7bit):
    oracle.check_wire(one.raw)
    if to_7bit:
        require(not any(byte > 127 for byte in one.raw), "8-bit bytes on the wire")


def has_8bit_where_none_may_change(data):
    return any(piece.part is not None and any(byte > 127 for byte in piece.data)
               and (piece.part.is_sealed()
                    or piece.part.encoding not in SOUND_ENCODINGS)
               for piece in split_message(data))


@pytest.mark.skipif(CORPORA is None, reason=MISSING)
def test_e4_every_message_of_the_corpora_tracked(mailing, sinks):
    """Each to two recipients: behind a hop with 8BITMIME and one without."""
    names = files()
    items = [((f"m{index}@eight.example", f"m{index}@seven.example"), read(name))
             for index, name in enumerate(names)]
    replies = mail.submit_all(mailing.baton, items)
    mailing.baton.wait_for_empty_queue(90)
    copies = mailing.arrived()
    links = []
    count = {"copies": 0, "refused": 0, "identical": 0, "pixels": 0, "cannot": 0}
    faults = []
    for name, (recipients, data), reply in zip(names, items, replies):
        verdict, reason = oracle.judge(data)
        if reply.code != 250:
            count["refused"] += 1
            if verdict == "accept" and not any(
                    CONTROL.fullmatch(field) for field, _ in oracle.split(data)[0]):
                faults.append(f"{name}: refused: {reply}")
            continue
        for recipient, to_7bit in zip(recipients, (False, True)):
            if recipient not in copies:
                count["cannot"] += 1
                if not (to_7bit and has_8bit_where_none_may_change(data)):
                    faults.append(f"{name}: nothing came for {recipient}")
                continue
            count["copies"] += 1
            try:
                one = copies[recipient]
                check_wire(one, to_7bit)
                found, pixels = compare_copy(mailing, data, one.data, to_7bit)
                compare_structures(data, one.data)
            except Difference as fault:
                faults.append(f"{name} for {recipient}: {fault}")
                continue
            links += found
            count["pixels"] += len(pixels)
            count["identical"] += oracle.split(data)[1] == one.body
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults[:20])
    exact = check_links(mailing.follower, mailing.tracking.base, links)
    print(f"\n{len(names)} messages: {count}, {len(links)} links, {exact} exact")
    assert count["copies"] > 300 and count["pixels"] > 60 and exact > 20


def with_targets(mailing, text, codec):
    """A text whose links are replaced by what they lead to."""
    base = mailing.tracking.base
    found = mailing.tracking.click.findall(text.decode("latin-1"))
    answers = mailing.follower.follow([link[len(base):] for link in found])

    def target(match):
        status, location = answers[match[0][len(base):]]
        require(status == 302, match[0], status)
        return location.decode("utf-8", "surrogateescape").encode(
            codec, "surrogateescape").decode("latin-1")

    return mailing.tracking.click.sub(target, text.decode("latin-1")).encode(
        "latin-1"), len(found)


@pytest.mark.skipif(CORPORA is None, reason=MISSING)
def test_links_in_plain_text_of_the_corpora(mailing, sinks):
    """track_clicks both: what the links of a text lead to is what stood there,
    and nothing else of it was changed. No other part but HTML is touched."""
    names = [name for name in files() if oracle.judge(read(name))[0] == "accept"]
    items = [((f"t{index}@eight.example",), b"X-Baton-Track-Clicks: both\r\n"
              b"X-Baton-Track-Opens: off\r\n" + read(name))
             for index, name in enumerate(names)]
    copies, replies = mailing.send(items, may_refuse=True)
    count = 0
    faults = []
    for name, ((recipient,), data), reply in zip(names, items, replies):
        if reply.code != 250:
            continue
        try:
            check_wire(copies[recipient], False)
            count += compare_texts(mailing, data, copies[recipient].data)
        except Difference as fault:
            faults.append(f"{name}: {fault}")
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults[:20])
    print(f"\n{len(names)} messages, {count} links in plain text exact")
    assert count >= 15


def compare_texts(mailing, sent, got):
    before, after = split_message(sent), split_message(got)
    require([piece.kind for piece in before] == [piece.kind for piece in after],
            "another sequence of parts")
    count = 0
    for old, new in zip(before, after):
        if (old.kind != "body" or old.data == new.data
                or may_be_rewritten(old) or must_be_encoded(old, False)):
            continue
        require(old.part.type == "text/plain" and not old.part.is_frozen(),
                "was changed:", old.part.type)
        text, links = with_targets(mailing, decode_body(new), old.part.codec())
        require(text == decode_body(old), "another text:",
                *first_difference(decode_body(old), text))
        count += links
    return count


# Boundaries (F7)

HTML = b'<p>x</p><a href="http://a.example/?a=1&amp;b=2">y</a>\r\n<p>z'
BOUNDARIES = {
    "python's, ending in =": ('"===============7330845974216740156=="',
                              "===============7330845974216740156=="),
    "not quoted": ("simple_boundary", "simple_boundary"),
    "not quoted, ending in =": ("abc==", "abc=="),
    "characters of expressions": ('"a.b+c?d(e)f/g"', "a.b+c?d(e)f/g"),
    "a dot only": ('"."', "."),
    "with spaces": ('"a b  c"', "a b  c"),
    "escaped in quotes": ('"a\\"b"', 'a"b'),
    "dashes": ('"----=_Part_1.2"', "----=_Part_1.2"),
    "two dashes only": ('"--"', "--"),
    "seventy": ('"' + "x" * 70 + '"', "x" * 70),
    "on a line of its own": ('\r\n\t"folded_boundary"', "folded_boundary"),
}


def two_parts(boundary, end="--", preamble="", epilogue="", encoding="7bit"):
    plain = mail.part(b"plain", kind="text/plain", encoding="7bit")
    rich = mail.part(HTML, encoding=encoding)
    return (preamble.encode() + b"".join(
        b"--" + boundary.encode() + b"\r\n" + one + b"\r\n"
        for one in (plain, rich)) + (
        b"--" + boundary.encode() + end.encode() + b"\r\n" if end is not None
        else b"") + epilogue.encode())


def check(mailing, data, link_count=1, pixel_count=1, fields=b""):
    """Submit it; compare the copy, follow its links. The copy."""
    for sink in mailing.sinks:
        sink.messages.clear()
    one = mailing.send_one(fields + data, "b@eight.example")
    check_wire(one, False)
    links, pixels = compare_copy(mailing, data, one.data, False)
    compare_structures(data, one.data)
    assert (len(links), len(pixels)) == (link_count, pixel_count), one.data
    check_links(mailing.follower, mailing.tracking.base, links)
    return one


def with_type(parameter, content, subtype="mixed"):
    return mail.message("b@eight.example", (
        f"Content-Type: multipart/{subtype}; boundary={parameter}\r\n\r\n").encode()
        + content)


@pytest.mark.parametrize("encoding", ["7bit", "quoted-printable", "base64"])
@pytest.mark.parametrize("name", BOUNDARIES)
def test_f7_boundaries(mailing, name, encoding):
    written, boundary = BOUNDARIES[name]
    check(mailing, with_type(written, two_parts(boundary, encoding=encoding)))


@pytest.mark.parametrize("name", [name for name, (written, _) in BOUNDARIES.items()
                                  if name != "escaped in quotes"])
def test_f7_a_boundary_that_is_the_prefix_of_another(mailing, name):
    _, boundary = BOUNDARIES[name]
    if len(boundary) > 68:
        boundary = boundary[:68]
    for outer, inner in ((boundary, boundary + "1"), (boundary + "1", boundary),
                         (boundary, boundary + "--")):
        nested = (f'Content-Type: multipart/alternative; boundary="{inner}"\r\n\r\n'
                  ).encode() + two_parts(inner)
        if (outer, inner) == (boundary, boundary + "--"):
            continue  # its delimiter is the outer one's end
        content = (b"--" + outer.encode() + b"\r\n" + nested + b"\r\n--"
                   + outer.encode() + b"\r\n" + mail.part(b"x", kind="image/png")
                   + b"\r\n--" + outer.encode() + b"--\r\n")
        check(mailing, with_type(f'"{outer}"', content))


@pytest.mark.parametrize("encoding", ["7bit", "quoted-printable", "base64"])
def test_f7_the_final_boundary_is_missing(mailing, encoding):
    check(mailing, with_type('"x=="', two_parts("x==", end=None,
                                                encoding=encoding)))


def test_f7_the_inner_final_boundary_is_missing(mailing):
    nested = (b'Content-Type: multipart/alternative; boundary="in"\r\n\r\n'
              + two_parts("in", end=None))
    check(mailing, with_type("out", b"--out\r\n" + nested + b"\r\n--out--\r\n"))


@pytest.mark.parametrize("encoding", ["7bit", "quoted-printable", "base64"])
def test_f7_preamble_and_epilogue(mailing, encoding):
    text = ('preamble <a href="http://no.example/">x</a>\r\n\r\n--no boundary\r\n'
            "--x=\r\n")
    check(mailing, with_type('"x=="', two_parts(
        "x==", preamble=text, epilogue=text.replace("pre", "epi") + "</body>\r\n",
        encoding=encoding)))


def test_f7_lines_that_only_look_like_a_boundary(mailing):
    document = (b"<p>\r\n--x\r\n--x=\r\n--x===\r\n --x==\r\n--X==\r\n--x==.\r\n-- x=="
                b"\r\n" + HTML)
    content = mail.multipart([mail.part(document, encoding="7bit")], boundary="x==")
    check(mailing, mail.message("b@eight.example", content))


@pytest.mark.parametrize("body", [b"", b"\r\n", b"\r\n\r\n"])
def test_f7_an_empty_document(mailing, body):
    """The empty line behind the header can be the delimiter's line end."""
    data = with_type("b", b"--b\r\nContent-Type: text/html\r\n\r\n" + body
                     + b"--b\r\nContent-Type: text/html\r\n\r\n" + HTML
                     + b"\r\n--b--\r\n")
    mailing.sinks[0].messages.clear()
    one = mailing.send_one(data, "b@eight.example")
    compare_structures(data, one.data)
    assert one.data.count(b"\r\n--b\r\n") == 2
    assert one.data.endswith(b"\r\n--b--\r\n")


def test_f7_white_space_behind_a_boundary(mailing):
    content = two_parts("x==").replace(b"--x==\r\n", b"--x== \t\r\n").replace(
        b"--x==--\r\n", b"--x==-- \r\n")
    check(mailing, with_type('"x=="', content))


ODD = ["x==", "=", "==", "a.b*c+", "--", "-", "0", "a b", "'", "()", "x--", "--x--",
       ":", "=_", "a=3D", "From", "."]


def random_part(chance, depth, used):
    """Any part, whose boundaries are no prefix of "--" of one around it."""
    kind = chance.random()
    if depth < 5 and kind < 0.4:
        return random_multipart(chance, depth, used)
    if kind < 0.5:
        return b"Content-Type: message/rfc822\r\n\r\n" + mail.message(
            "x@y.example", random_part(chance, 5, used))
    charset, codec, letters = chance.choice(CHARSETS + DECODED_OR_ALONE)
    encoding = chance.choice(encodings_of(codec))
    data = document_in(letters).encode(codec)
    if chance.random() < 0.3:
        data = chance.choice([b"", b"\r\n", b"--x==\r\n--\r\n", HTML, b"x" * 997])
        encoding = chance.choice(["7bit", "quoted-printable", "base64"])
        charset = "us-ascii"
    fields = chance.choice(["", "", "Content-Disposition: inline\r\n",
                            "Content-ID: <x@y>\r\n", "X-Folded: a\r\n\tb\r\n",
                            'Content-Disposition: attachment; filename="a.html"\r\n'])
    return mail.part(data, charset, encoding, chance.choice(
        ["text/html", "text/html", "TEXT/HTML", "text/plain", "image/png",
         "text/calendar", "application/pdf"]), chance, fields)


def random_multipart(chance, depth=0, used=()):
    boundary = chance.choice(ODD) + chance.choice(["", "x", "=", "1"])
    if chance.random() < 0.2 and used:
        boundary = used[-1] + chance.choice("ab=1")
    while boundary in used or any(
            boundary in (other + "--", other + " --") or other == boundary + "--"
            for other in used):
        boundary += chance.choice("ab=-")
    parts = [random_part(chance, depth + 1, (*used, boundary))
             for _ in range(chance.randrange(1, 4))]
    text = chance.choice(["", "", "preamble\r\n", "\r\n", '<a href="http://x/">\r\n'])
    subtype = chance.choice(["mixed", "alternative", "related", "signed", "x-other",
                             "mixed", "mixed", "report"])
    content = text.encode() + b"".join(
        b"--" + boundary.encode() + chance.choice([b"", b"", b" ", b"\t "]) + b"\r\n"
        + part + b"\r\n" for part in parts)
    if chance.random() < 0.9:
        content += b"--" + boundary.encode() + b"--" + chance.choice(
            [b"", b"\r\n", b"\r\nepilogue", b" \r\n\r\n"])
    return (f"Content-Type: multipart/{subtype};"
            + chance.choice(["", " ", "\r\n "]) + f'boundary="{boundary}"\r\n\r\n').encode() + content


def test_f7_structures_at_random(mailing, sinks):
    """To a hop with 8BITMIME and one without."""
    count = {"copies": 0, "links": 0, "cannot": 0}
    faults = []
    for at in range(0, STRUCTURES, 100):
        for sink in sinks:
            sink.messages.clear()
        items = []
        for number in range(at, min(at + 100, STRUCTURES)):
            data = mail.message(f"g{number}@eight.example", random_multipart(
                random.Random(number)))
            items.append(((f"g{number}@eight.example", f"g{number}@seven.example"),
                          data))
        replies = mail.submit_all(mailing.baton, items)
        require(all(reply.code == 250 for reply in replies), replies)
        mailing.baton.wait_for_empty_queue(90)
        copies = mailing.arrived()
        links = []
        for recipients, data in items:
            for recipient, to_7bit in zip(recipients, (False, True)):
                if recipient not in copies:
                    count["cannot"] += 1
                    if not (to_7bit and has_8bit_where_none_may_change(data)):
                        faults.append(f"{recipient}: nothing came\n{data}")
                    continue
                try:
                    check_wire(copies[recipient], to_7bit)
                    links += compare_copy(mailing, data, copies[recipient].data,
                                          to_7bit)[0]
                    compare_structures(data, copies[recipient].data)
                except Difference as fault:
                    faults.append(f"{recipient}: {fault}\n{data}")
                count["copies"] += 1
        count["links"] += check_links(mailing.follower, mailing.tracking.base, links)
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults[:3])
    print(f"\n{STRUCTURES} messages of any structure: {count}")
    assert count["links"] > STRUCTURES


# What is never edited (F8)

def frozen_messages():
    html = mail.part(HTML, encoding="7bit")
    inner = (b"From: c@inner.example\r\nSubject: inner {Group}\r\nX-Baton-Tag: x\r\n"
             b"Bcc: d@inner.example\r\n" + html)
    signature = (b"Content-Type: application/pgp-signature; name=s.asc\r\n\r\n"
                 b"-----BEGIN PGP SIGNATURE-----\r\n")
    yield "attached html", mail.multipart([mail.part(
        HTML, fields='Content-Disposition: attachment; filename="x.html"\r\n')])
    yield "attached, folded and upper case", mail.multipart([mail.part(
        HTML, fields="Content-DISPOSITION:\r\n\tATTACHMENT;\r\n filename=x\r\n")])
    yield "message/rfc822", mail.multipart(
        [b"Content-Type: message/rfc822\r\n\r\n" + inner])
    yield "message/rfc822 at the top", (
        b"Content-Type: message/rfc822\r\n\r\n" + inner)
    yield "digest", mail.multipart([b"\r\n" + inner], "digest")
    yield "signed", (
        b"Content-Type: multipart/signed; protocol=\"application/pgp-signature\";"
        b" micalg=pgp-sha256; boundary=\"s==\"\r\n\r\n"
        b"--s==\r\n" + html + b"\r\n--s==\r\n" + signature + b"--s==--\r\n")
    yield "signed, within mixed", mail.multipart([
        mail.multipart([html, signature], "signed", "inner=")])
    yield "encrypted", mail.multipart([
        b"Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n",
        mail.part(HTML, kind="text/html", encoding="7bit")], "encrypted")
    for kind in ("application/pkcs7-mime", "text/calendar", "text/x-amp-html",
                 "application/octet-stream", "text/plain", "text/css"):
        yield kind, mail.multipart([mail.part(HTML, kind=kind, encoding="7bit")])
        yield kind + " at the top", mail.part(HTML, kind=kind, encoding="7bit")


FROZEN = dict(frozen_messages())


@pytest.mark.parametrize("name", FROZEN)
def test_f8_what_is_never_edited(mailing, name):
    data = mail.message("b@eight.example", FROZEN[name])
    one = check(mailing, data, 0, 0)
    assert oracle.split(data)[1] == one.body


def test_f8_beside_what_is_edited(mailing):
    """All of them in one message with a document that is edited."""
    parts = [mail.part(HTML, encoding="7bit")] + [
        part.replace(b"=_a.boundary", b"=%d.boundary" % index)
        for index, part in enumerate(FROZEN.values())]
    data = mail.message("b@eight.example", mail.multipart(parts))
    check(mailing, data)


# Where HTML is found (F9)

def shapes():
    def html(encoding):
        return mail.part(HTML, encoding=encoding)

    plain = mail.part(b"plain\r\n", kind="text/plain", encoding="7bit")
    image = (b"Content-Type: image/png\r\nContent-ID: <i>\r\n"
             b"Content-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n")
    for encoding in ("7bit", "quoted-printable", "base64"):
        yield f"top, {encoding}", html(encoding)
        yield f"alternative, {encoding}", mail.multipart(
            [plain, html(encoding)], "alternative")
        yield f"related, {encoding}", mail.multipart(
            [html(encoding), image], "related")
        nested = mail.multipart([html(encoding), image], "related", "1")
        nested = mail.multipart([plain, nested], "alternative", "2")
        for depth in range(3, 20):
            nested = mail.multipart([nested], "mixed", f"{depth}=")
        yield f"deep, {encoding}", nested
        yield f"inline, {encoding}", mail.multipart([mail.part(
            HTML, encoding=encoding, fields="Content-Disposition: inline\r\n")])
        yield f"case, {encoding}", html(encoding).replace(
            b"text/html", b"TEXT/Html").replace(
            encoding.encode(), encoding.upper().encode())


SHAPES = dict(shapes())


@pytest.mark.parametrize("name", SHAPES)
def test_f9_where_html_is_found(mailing, name):
    check(mailing, mail.message("b@eight.example", SHAPES[name]))


def test_f9_several_documents(mailing):
    """Each has its links, the message one pixel, in the last of them."""
    parts = [mail.part(HTML.replace(b"a.example", b"%d.example" % index),
                       encoding=encoding)
             for index, encoding in enumerate(("7bit", "quoted-printable",
                                               "base64"))]
    one = check(mailing, mail.message("b@eight.example", mail.multipart(parts)), 3)
    assert mailing.tracking.pixel.search(decode_body([
        piece for piece in split_message(one.data) if piece.kind == "body"][2]
    ).decode())


# Charsets (F10)

CHARSETS = [
    ("us-ascii", "ascii", ""), ("utf-8", "utf-8", "äßЖ漢😀"),
    ("UTF-8", "utf-8", "äßЖ漢😀"), ("iso-8859-1", "iso-8859-1", "äößé¿"),
    ("iso-8859-15", "iso-8859-15", "ä€šž"), ("windows-1250", "cp1250", "łőű"),
    ("windows-1251", "cp1251", "Привет"), ("windows-1252", "cp1252", "ä€“”"),
    ("windows-1253", "cp1253", "αβγ"), ("windows-1254", "cp1254", "ğışİ"),
    ("windows-1255", "cp1255", "שלום"), ("windows-1256", "cp1256", "سلام"),
    ("windows-1257", "cp1257", "āčē"), ("windows-1258", "cp1258", "đơư"),
    ("Shift_JIS", "shift_jis", "日本語表ソ十能予"),
    ("EUC-JP", "euc-jp", "日本語表ソ"), ("GB18030", "gb18030", "汉字乗俓😀"),
    ("Big5", "big5", "功許蓋繁體"), ("EUC-KR", "euc-kr", "한국어"),
    ("koi8-r", "koi8-r", "Привет"),
]
DECODED_OR_ALONE = [
    ("utf-16", "utf-16", "äß漢😀"), ("utf-16le", "utf-16-le", "äß漢"),
    ("utf-16be", "utf-16-be", "äß漢"), ("utf-32", "utf-32", "äß漢😀"),
    ("utf-7", "utf-7", "äß漢"), ("iso-2022-jp", "iso2022_jp", "日本語テスト"),
    ("hz-gb-2312", "hz", "汉字中文"),
]


def document_in(letters):
    """Letters in text, in attributes beside and in links, around markup."""
    return (f"<html><body><p title='{letters}'>{letters}&amp;{letters}</p>\r\n"
            f"<a title=\"{letters}\" href=\"http://a.example/{letters}?x=1&amp;y={letters}\""
            f">{letters}</a>{letters}<a href=http://b.example/>{letters}</a>\r\n"
            f"<a href='http://c.example/~x\\y^{{|}}'>x</a>{letters}</body></html>")


def encodings_of(codec):
    if codec.startswith(("utf-16", "utf-32")):
        return ["base64"]
    return ["8bit" if codec not in ("ascii", "utf-7", "iso2022_jp", "hz") else
            "7bit", "quoted-printable", "base64"]


@pytest.mark.parametrize("label, codec, letters", CHARSETS)
def test_f10_charsets_are_respected(mailing, label, codec, letters):
    text = document_in(letters).encode(codec)
    for encoding in encodings_of(codec):
        data = mail.message("b@eight.example", mail.part(text, label, encoding))
        for recipient in ("b@eight.example", "b@seven.example"):
            for sink in mailing.sinks:
                sink.messages.clear()
            one = mailing.send_one(data, recipient)
            to_7bit = "seven" in recipient
            check_wire(one, to_7bit)
            links, pixels = compare_copy(mailing, data, one.data, to_7bit)
            assert (len(links), len(pixels)) == (3, 1)
            check_links(mailing.follower, mailing.tracking.base, links)
            assert links[0][1] == target_of(
                f"http://a.example/{letters}?x=1&y={letters}")


@pytest.mark.parametrize("label, codec, letters", DECODED_OR_ALONE)
def test_f10_charsets_with_shifts_or_wide_units(mailing, label, codec, letters):
    """Links decoded correctly, or the part untouched."""
    text = document_in(letters)
    done = {}
    for encoding in encodings_of(codec):
        data = mail.message("b@eight.example", mail.part(
            text.encode(codec), label, encoding))
        mailing.sinks[0].messages.clear()
        one = mailing.send_one(data, "b@eight.example")
        body = [piece for piece in split_message(one.data)
                if piece.kind == "body"][0]
        if oracle.split(data)[1] == one.body:
            done[encoding] = "untouched"
            continue
        got = decode_body(body).decode(codec).removesuffix("\r\n")
        found = compare_documents(text, got, mailing.tracking)
        compare_bytes(text, got, mailing.tracking, found.links, None)
        assert len(found.links) == 3 and len(found.pixels) == 1
        check_links(mailing.follower, mailing.tracking.base, found.links)
        done[encoding] = "3 links exact"
    print(f"\n{label}: {done}")


def test_f10_an_unknown_charset_is_left_alone_or_taken_as_ascii(mailing):
    data = mail.message("b@eight.example", mail.part(HTML, "x-nobody-knows",
                                                     "7bit"))
    one = mailing.send_one(data, "b@eight.example")
    rest = mailing.tracking.click.sub("LINK", mailing.tracking.pixel.sub(
        "", one.body.decode()))
    original = oracle.split(data)[1].decode()
    assert rest in (original, original.replace(
        "http://a.example/?a=1&amp;b=2", "LINK"))


def test_r1_8bit_without_a_charset(mailing):
    """Bytes that are no UTF-8: the link leads to exactly those."""
    document = (b'<p>\xe4\xf6</p><a href="http://a.example/\xe4?x=1&amp;y">\xff</a>')
    data = mail.message("b@eight.example", mail.part(document, None, "8bit"))
    one = mailing.send_one(data, "b@eight.example")
    links, _ = compare_copy(mailing, data, one.data, False)
    answer = mailing.follower.follow([links[0][0][len(mailing.tracking.base):]])
    assert list(answer.values()) == [(302, b"http://a.example/\xe4?x=1&y")]


def test_r1_a_soft_break_within_a_link(mailing):
    body = (b'<a href=3D"http://a.exa=\r\nmple/?x=3D=\r\n1&am=\r\np;y=3D%C3=C3=A4">x'
            b"</a>\r\n<A\r\nHREF=3Dhttp://b.example/=\r\n>y</A>   =20\r\n")
    data = mail.message("b@eight.example", (
        b"Content-Type: text/html; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + body))
    check(mailing, data, 2)


# Nothing to do (F11), long lines (S7)

NOTHING = {
    "plain text": b"Content-Type: text/plain\r\n\r\n.dot\r\n..\r\nFrom x \t \r\n\r\n",
    "no MIME": b"\r\nhello <a href='http://a.example/'>x</a>\r\n\r\n\r\n",
    "quoted-printable": b"Content-Type: text/plain\r\nContent-Transfer-Encoding: "
                        b"quoted-printable\r\n\r\n=41=\r\n=42 =0a=\r\n",
    "strange base64": b"Content-Type: image/png\r\nContent-Transfer-Encoding: "
                      b"base64\r\n\r\nQ U\r\nI=\r\n\r\nxx\r\n",
    "no body": b"",
}


@pytest.mark.parametrize("name", NOTHING)
def test_f11_nothing_to_rewrite(mailing, name):
    data = mail.message("b@eight.example", NOTHING[name]) if NOTHING[name] else (
        b"From: <a@sender.example>\r\nSubject: x\r\n")
    one = check(mailing, data, 0, 0)
    assert one.body == (oracle.split(data)[1] or b"")


def test_f11_html_with_everything_off(mailing):
    data = mail.message("b@eight.example", mail.part(HTML))
    one = check_off(mailing, data)
    assert one.body == oracle.split(data)[1]


def check_off(mailing, data):
    mailing.sinks[0].messages.clear()
    return mailing.send_one(b"X-Baton-Track-Opens: off\r\nX-Baton-Track-Clicks: off"
                            b"\r\n" + data, "b@eight.example")


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "quoted-printable", "base64"])
def test_s7_links_that_make_a_line_too_long(mailing, encoding):
    """900 characters of a line, half of them a link that grows by a third."""
    letters = "ä" if encoding == "8bit" else "a"
    document = (f"<p>{'x' * 300}<a href=\"http://a.example/{'long/' * 100}\">"
                f"{letters}</a>\r\n.dot\r\n<a href=\"http://b.example/"
                f"{'l' * 8000 if encoding != '7bit' and encoding != '8bit' else ''}"
                f"\">x</a>").encode()
    data = mail.message("b@eight.example", mail.part(document, encoding=encoding))
    check(mailing, data, 2)


# Recipients of one transaction (H7), header fields

def test_h7_each_recipient_has_links_of_its_own(mailing):
    recipients = [f"r{index}@{host}.example" for index in range(10)
                  for host in ("eight", "seven")]
    data = mail.message("all@eight.example", mail.part(HTML))
    copies, _ = mailing.send([(recipients, data)])
    seen = set()
    for recipient in recipients:
        one = copies[recipient]
        assert one.recipients == [recipient]
        links, pixels = compare_copy(mailing, data, one.data, False)
        check_links(mailing.follower, mailing.tracking.base, links)
        mine = {link for link, _ in links} | set(pixels)
        assert len(mine) == 2 and not mine & seen
        seen |= mine
        others = [other.encode() for other in recipients if other != recipient]
        assert not any(other in one.data for other in others)
        for link, target in links:
            name = mailing.baton.value(
                "SELECT d.recipient FROM baton.event e JOIN baton.delivery d"
                " USING (delivery_id) WHERE e.kind = 'clicked' AND d.recipient = %s",
                recipient)
            assert name == recipient, (link, target)


SUBJECTS = [
    # As sent, as received, the group.
    ("Your order {Receipts}", "Your order", "Receipts"),
    ("Your order{Receipts} ", "Your order", "Receipts"),
    ("=?utf-8?Q?Savings_For_Today{Daily_Alert}?=", "=?utf-8?Q?Savings_For_Today?=",
     "Daily Alert"),
    ("=?utf-8?B?U2F2aW5ncyBGb3IgVG9kYXl7RGFpbHkgQWxlcnR9?=",
     "=?utf-8?B?U2F2aW5ncyBGb3IgVG9kYXk=?=", "Daily Alert"),
    ("=?iso-8859-1?q?Gr=FC=DFe_{T=E4glich}?=", "=?iso-8859-1?q?Gr=FC=DFe?=",
     "Täglich"),
    ("=?UTF-8?Q?Hallo_Welt?= {Two words}", "=?UTF-8?Q?Hallo_Welt?=", "Two words"),
    ("=?utf-8?Q?one?=\r\n =?utf-8?Q?_two_{Da?=\r\n =?utf-8?Q?ily}?=",
     None, "Daily"),
    ("a very long subject " + "x" * 60 + "\r\n that is folded {Long\r\n Group}",
     "a very long subject " + "x" * 60 + "\r\n that is folded", "Long Group"),
]


def text_of_subject(value):
    unfolded = re.sub(r"\r\n(?=[ \t])", "", value)
    return str(email.header.make_header(email.header.decode_header(unfolded)))


@pytest.mark.parametrize("sent, expected, group", SUBJECTS)
def test_r8_the_group_of_the_subject(mailing, sent, expected, group):
    data = mail.message("b@eight.example", mail.part(b"x", kind="text/plain"),
                        subject=sent, fields="Sender: <s@sender.example>\r\n")
    one = mailing.send_one(data, "b@eight.example")
    whole = next(whole for name, whole in one.fields() if name == "Subject")
    value = whole.decode("latin-1").partition(":")[2]
    if expected is not None:
        assert value.strip() == expected
    assert text_of_subject(value).strip() == re.sub(
        r"\s*\{.*\}\s*$", "", text_of_subject(sent))
    assert one.field("Sender") == "<s@sender.example>"
    assert mailing.baton.value(
        "SELECT g.name FROM baton.message m JOIN baton.message_group g"
        " USING (account_id, group_id) ORDER BY m.message_id DESC LIMIT 1") == group
    before = [field for field in fields_of(oracle_header(data))
              if field[0] != "subject"]
    after = [[name.lower(), field] for name, field in one.fields()
             if name.lower() not in ("subject", "received")]
    assert before == after


def oracle_header(data):
    return data.partition(b"\r\n\r\n")[0] + b"\r\n"


@pytest.mark.parametrize("subject", [
    "no group", "{ }", "braces {in the} middle", "{open", "close}", "a {b} c",
    "=?utf-8?Q?b=C3=BCcher?=", "  two  spaces ", "=?broken?Q?x{y}?", "a\r\n b\r\n c",
    "=?utf-8?Q?a_{b?= c", "x" * 70 + "\r\n\t" + "y" * 900])
def test_r8_subjects_without_a_group_stay(mailing, subject):
    data = mail.message("b@eight.example", mail.part(b"x", kind="text/plain"),
                        subject=subject)
    one = mailing.send_one(data, "b@eight.example")
    whole = next(whole for name, whole in one.fields() if name == "Subject")
    assert whole == f"Subject: {subject}\r\n".encode()


def test_headers_long_and_folded_stay(mailing):
    fields = ("X-Long: " + "\r\n ".join("word" * 20 for _ in range(50)) + "\r\n"
              "X-Tab:\r\n\tx \r\n \t y\r\nx-EMPTY:\r\nX-Twice: 1\r\nX-Twice: 2\r\n"
              "Reply-To: =?utf-8?Q?B=C3=BCcher?=\r\n <r@sender.example>\r\n")
    data = mail.message("b@eight.example", mail.part(HTML), fields)
    check(mailing, data)


def unsubscribes(one):
    return [whole for name, whole in one.fields()
            if name.lower().startswith("list-unsubscribe")]


def test_u1_unsubscribe_fields(mailing):
    data = mail.message("b@eight.example", mail.part(HTML))
    mailing.sinks[0].messages.clear()
    one = mailing.send_one(b"X-Baton-Unsubscribe: header\r\n" + data,
                           "b@eight.example")
    names = sorted(name.lower() for name, _ in one.fields()
                   if name.lower().startswith("list-"))
    assert names == ["list-unsubscribe", "list-unsubscribe-post"]
    assert one.field("List-Unsubscribe-Post") == "List-Unsubscribe=One-Click"
    value = re.sub(r"\r\n(?=[ \t])", "", one.field("List-Unsubscribe"))
    addresses = re.findall("<([^<>]*)>", value)
    assert re.sub("<[^<>]*>", "<>", value) in ("<>", "<>, <>", "<>,<>")
    web = [address for address in addresses if address.startswith("http")]
    assert len(web) == 1 and all(address.startswith(("http", "mailto:"))
                                 for address in addresses)
    assert re.fullmatch(re.escape(mailing.tracking.base) + "/u/[A-Za-z0-9_-]+",
                        web[0])
    assert b"b@eight.example" not in web[0].encode()
    path = web[0][len(mailing.tracking.base):]
    assert mailing.follower.follow([path])[path] == (200, None)
    assert all(len(line) <= 998 for line in one.header.split(b"\r\n"))


def test_u1_only_where_it_is_wanted(mailing):
    one = mailing.send_one(mail.message("b@eight.example", mail.part(HTML)),
                           "b@eight.example")
    assert not unsubscribes(one)


OWN = ("List-Unsubscribe: <https://own.example/u?x=1>,\r\n <mailto:u@own.example>\r\n"
       "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n")


def test_u7_the_callers_own_unsubscribe_is_kept(mailing):
    """Never two of them."""
    data = mail.message("b@eight.example", mail.part(HTML), OWN)
    mailing.sinks[0].messages.clear()
    one = mailing.send_one(b"X-Baton-Unsubscribe: header\r\n" + data,
                           "b@eight.example")
    assert b"".join(unsubscribes(one)) == OWN.encode()


def test_u7_unless_the_group_replaces_it(mailing):
    data = mail.message("b@eight.example", mail.part(HTML), OWN,
                        subject="News {News}")
    mailing.sinks[0].messages.clear()
    one = mailing.send_one(b"X-Baton-Unsubscribe: header\r\n" + data,
                           "b@eight.example")
    assert len(unsubscribes(one)) == 2
    assert b"own.example" not in b"".join(unsubscribes(one))
    assert "/u/" in one.field("List-Unsubscribe")


# The oracle itself

MUTATIONS = {
    "a byte of the preamble": lambda data: data.replace(b"preamble", b"Preamble"),
    "a byte of the epilogue": lambda data: data.replace(b"epilogue", b"Epilogue"),
    "a boundary": lambda data: data.replace(b"--x==--", b"--x==-- "),
    "a part's header": lambda data: data.replace(
        b"Content-Type: text/plain", b"Content-type: text/plain"),
    "a field": lambda data: data.replace(b"\r\nTo: ", b"\r\nTo:  "),
    "a field's place": lambda data: data.replace(
        b"Subject: Something happened\r\n", b"", 1).replace(
        b"MIME-Version: 1.0\r\n", b"MIME-Version: 1.0\r\n"
        b"Subject: Something happened\r\n", 1),
    "another part": lambda data: data.replace(b"plain\r\n", b"plane\r\n"),
    "the encoding's letters": lambda data: data.replace(b"=3D", b"=3d", 1),
    "a part's encoding": lambda data: data.replace(
        b"quoted-printable", b"binary", 1),
    "the document": lambda data: data.replace(b"<p>z", b"<p>Z"),
    "a line end": lambda data: data.replace(b"\r\n<p>z", b"<p>z"),
    "the end": lambda data: data[:-20],
    "an added field": lambda data: b"X-New: 1\r\n" + data,
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_oracle_sees(mailing, name):
    data = with_type('"x=="', two_parts("x==", preamble="preamble\r\n",
                                        epilogue="the epilogue\r\n",
                                        encoding="quoted-printable"))
    mailing.sinks[0].messages.clear()
    one = mailing.send_one(data, "b@eight.example")
    compare_copy(mailing, data, one.data, False)
    wrong = MUTATIONS[name](one.data)
    assert wrong != one.data
    with pytest.raises(Difference):
        compare_copy(mailing, data, wrong, False)
        compare_structures(data, wrong)


@pytest.mark.parametrize("change", [
    lambda data: data.replace(b"x==", b"y==", 1),
    lambda data: data.replace(b"text/plain", b"text/plane", 1),
    lambda data: data.replace(b"\r\n--x==\r\n", b"\r\n--x= =\r\n", 2),
    lambda data: data.replace(b"plain\r\n", b"plane\r\n", 1)])
def test_both_readers_see_another_structure(change):
    data = with_type('"x=="', two_parts("x=="))
    for read_structure in (python_structure, gmime_structure):
        assert read_structure(data) == read_structure(data)
        assert read_structure(data) != read_structure(change(data))
