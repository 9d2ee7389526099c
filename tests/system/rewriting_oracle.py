# SPDX-License-Identifier: MIT
"""What rewriting may do to a message and what it must: written from the
standards (RFC 2045, 2046, WHATWG HTML), with html5lib as the reader, without a
look at the program.

A copy is compared with what was sent in three ways: html5lib's tokens of both
documents, their trees, and byte by byte around the rewritten values. What the
rewritten links lead to is asked over HTTP, and must be what html5lib says the
original link was.
"""

import binascii
import codecs
import collections
import email
import email.policy
import functools
import itertools
import quopri
import re

import html5lib
from html5lib._tokenizer import HTMLTokenizer

OPT_OUTS = {"data-baton-no-track": None, "ses:no-track": None,
            "data-pm-no-track": None, "clicktracking": "off",
            "disable-tracking": "true", "data-msys-clicktrack": "0",
            "data-no-track": None, "no-track": None,
            "mc:disable-tracking": None}
FORMATTING = ("a b big code em font i nobr s small strike strong tt u").split()


# HTML as html5lib sees it

class RecordingTokenizer(HTMLTokenizer):
    """Keeps each tag's attributes as they stand, repeated ones too."""

    def emitCurrentToken(self):
        self.currentToken["attributes"] = [tuple(pair) for pair
                                           in self.currentToken["data"]]
        super().emitCurrentToken()

    def __iter__(self):
        for token in super().__iter__():
            self.parser.record(token)
            yield token


class Recorder(html5lib.HTMLParser):
    """Keeps the tokens, in the states that the tree asks for."""

    def __init__(self):
        super().__init__(html5lib.getTreeBuilder("etree"),
                         namespaceHTMLElements=False)
        self.tokens = []

    def mainLoop(self):
        self.tokenizer.__class__ = RecordingTokenizer
        super().mainLoop()

    def record(self, token):
        kind = html5lib.constants.tokenTypes
        if token["type"] in (kind["Characters"], kind["SpaceCharacters"]):
            self.tokens.append(("text", token["data"]))
        elif token["type"] in (kind["StartTag"], kind["EmptyTag"]):
            self.tokens.append(("start", token["name"], bool(token["selfClosing"]),
                                token["attributes"]))
        elif token["type"] == kind["EndTag"]:
            self.tokens.append(("end", token["name"]))
        elif token["type"] == kind["Comment"]:
            self.tokens.append(("comment", token["data"]))
        elif token["type"] == kind["Doctype"]:
            self.tokens.append(("doctype", token["name"], token["publicId"],
                                token["systemId"]))


def join_texts(tokens):
    """One text where several follow each other."""
    joined = []
    for kind, some in itertools.groupby(tokens, lambda token: token[0]):
        joined += ([("text", "".join(token[1] for token in some))]
                   if kind == "text" else some)
    return joined


@functools.lru_cache(maxsize=64)
def read_html(text):
    """(tokens, tree) of a document."""
    recorder = Recorder()
    tree = recorder.parse(text)
    return join_texts(recorder.tokens), tree


def flatten(tree):
    """The tree as a list, texts joined."""
    flat = []

    def add_text(text):
        if text:
            flat.append(("text", text))

    stack = [("open", tree)]
    while stack:
        what, element = stack.pop()
        if what == "close":
            flat.append(("close", element))
        elif what == "tail":
            add_text(element)
        elif isinstance(element.tag, str):
            flat.append(["open", element.tag, dict(element.attrib)])
            add_text(element.text)
            stack.append(("close", element.tag))
            for child in reversed(list(element)):
                stack.append(("tail", child.tail))
                stack.append(("open", child))
        else:
            flat.append(("comment", element.text))
    return join_texts(flat)


def target_of(href):
    """Where an href leads, or None if it is none that is tracked: WHATWG URL,
    4.4, without a look behind the scheme."""
    controls = "".join(map(chr, range(33)))
    target = re.sub("[\t\n\r]", "", href.strip(controls))
    return target if re.match("https?:", target, re.I) else None


def first(attributes, name):
    return next((value for key, value in attributes if key == name), None)


def is_opted_out(attributes):
    return any(key in OPT_OUTS and OPT_OUTS[key] in (None, value.lower())
               for key, value in attributes)


class Tracking:
    """The addresses that a Baton writes into copies."""

    def __init__(self, base):
        self.base = base
        self.click = re.compile(re.escape(base) + r"/c/[A-Za-z0-9_-]+")
        self.open = re.compile(re.escape(base) + r"/o/[A-Za-z0-9_-]+")
        self.any_address = re.compile(re.escape(base)
                                      + r"/(?P<kind>[co])/[A-Za-z0-9_-]+")
        self.judged = {}  # what compare_documents has found
        # H4: quoted so that no reader can take anything of it for its own.
        self.pixel = re.compile(r"<img [^<>]*" + re.escape(base)
                                + r"/o/[A-Za-z0-9_-]+\"[^<>]*>")
        self.pixel_at_end = re.compile(self.pixel.pattern + r"(?:\r\n)*$")

    def tracks(self, tag):
        """The target of a start tag that is to be rewritten, or None."""
        _, name, _, attributes = tag
        href = first(attributes, "href")
        if name not in ("a", "area") or href is None:
            return None
        if is_opted_out(attributes):
            return None
        target = target_of(href)
        if target is not None and is_on(target, self.base):
            return None
        return target

    def is_pixel(self, token):
        return token[0] == "start" and token[1] == "img" and (
            first(token[3], "src") or "").startswith(self.base + "/o/")


def is_on(target, base):
    rest = target[len(base):] if target.startswith(base) else None
    return rest is not None and (rest == "" or rest[0] in "/?#")


class Difference(AssertionError):
    pass


def require(condition, *what):
    if not condition:
        raise Difference(" ".join(str(one)[:600] for one in what))


Finding = collections.namedtuple("Finding", "links pixels")


def compare_documents(sent, got, tracking, with_tree=True):
    """Both as html5lib reads them. Returns the links, as (address in the copy,
    target), and the addresses of the pixels."""
    masked = tracking.any_address.sub(r"ours:\g<kind>", got)
    key = (sent, masked, with_tree)
    if key not in tracking.judged:
        found = compare_unseen(sent, got, tracking, with_tree)
        tracking.judged[key] = [target for _, target in found.links]
        return found
    # Another recipient's copy of the same document.
    targets = tracking.judged[key]
    links = tracking.click.findall(got)
    require(len(links) == len(targets), len(targets), "links became", len(links))
    return Finding(list(zip(links, targets)), tracking.open.findall(got))


def compare_unseen(sent, got, tracking, with_tree):
    sent_tokens, sent_tree = read_html(sent)
    got_tokens, got_tree = read_html(got)
    pixels = [first(token[3], "src") for token in got_tokens
              if tracking.is_pixel(token)]
    got_tokens = join_texts(token for token in got_tokens
                            if not tracking.is_pixel(token))
    links = compare_tokens(sent_tokens, got_tokens, tracking)
    if with_tree:
        compare_trees(sent_tree, got_tree, tracking)
    return Finding(links, pixels)




def compare_tokens(sent, got, tracking):
    links = []
    for before, after in zip(sent, got):
        if before[0] != "start":
            require(before == after, "a token was changed:", before, "is", after)
            continue
        target = tracking.tracks(before)
        expected = [(key, value) for key, value in before[3]
                    if before[1] not in ("a", "area") or key not in OPT_OUTS
                    or OPT_OUTS[key] not in (None, value.lower())]
        if target is not None:
            link = first(after[3], "href") if after[0] == "start" else None
            require(link is not None and tracking.click.fullmatch(link),
                    "not rewritten:", before, "is", after)
            links.append((link, target))
            at = next(index for index, (key, _) in enumerate(expected)
                      if key == "href")
            expected[at] = ("href", link)
        require(after == (*before[:3], expected),
                "a tag was changed:", before, "is", after)
    require(len(sent) == len(got), "tokens more or less:",
            sent[len(got):][:3], got[len(sent):][:3])
    return links


def compare_trees(sent, got, tracking):
    """The same elements in the same order, but for the pixel and what the
    parser opens anew around it."""
    before = flatten(sent)
    after = flatten(got)
    for node in before:
        if node[0] == "open" and node[1].rpartition("}")[2] in ("a", "area"):
            node[2].pop("href", None)
            for name, value in OPT_OUTS.items():
                if name in node[2] and value in (None, node[2][name].lower()):
                    del node[2][name]
    for node in after:
        if node[0] == "open" and node[1].rpartition("}")[2] in ("a", "area"):
            node[2].pop("href", None)
    after = without_pixel(after, tracking)
    require(before == after, "another tree:",
            *(pair for pair in zip(before, after) if pair[0] != pair[1]))


def without_pixel(nodes, tracking):
    result = []
    index = 0
    while index < len(nodes):
        node = nodes[index]
        if node[0] == "open" and node[1] == "img" and node[2].get(
                "src", "").startswith(tracking.base + "/o/"):
            index += 2
            while (result and result[-1][0] == "open"
                   and result[-1][1] in FORMATTING and index < len(nodes)
                   and nodes[index] == ("close", result[-1][1])):
                result.pop()
                index += 1
            continue
        result.append(node)
        index += 1
    return join_texts(result)


# Bytes

def decoded_href(value, codec):
    """The raw value of an attribute as html5lib decodes it."""
    if codec:
        value = value.encode("latin-1").decode(codec, "surrogateescape")
    document = '<a href="' + value.replace('"', "&quot;") + '">'
    tokens, _ = read_html(document)
    return first(tokens[0][3], "href")


def compare_bytes(sent, got, tracking, links, codec, unescape=lambda hole: hole):
    """Byte-identical but for the values of the links and the pixel. Both are
    bytes read as Latin-1 (codec says what they mean), or text (codec None)."""
    got = tracking.pixel.sub("", got)
    literals = tracking.click.split(got)
    found = tracking.click.findall(got)
    require(found == [link for link, _ in links],
            "addresses that are in no href:", set(found) ^ {l for l, _ in links})
    require(sent.startswith(literals[0]), "bytes were changed:",
            *around(sent, literals[0]))
    at = len(literals[0])
    for index, (_, target) in enumerate(links):
        literal = literals[index + 1]
        is_last = index + 1 == len(links)
        end = at - 1
        while True:
            end = (len(sent) - len(literal) if is_last and end < at and
                   sent.endswith(literal) else sent.find(literal, end + 1))
            require(end >= at, f"bytes behind link {index} were changed:",
                    repr(sent[at:at + 300]), "became", repr(literal[:300]))
            if target_of(decoded_href(unescape(sent[at:end]), codec)) == target:
                break
            require(not is_last and end - at < 200000,
                    f"bytes around link {index} were changed:",
                    repr(sent[at:end]), target)
        at = end + len(literal)
    require(at == len(sent), "bytes are missing at the end:", repr(sent[at:]))


def around(sent, literal):
    at = next((index for index, (a, b) in enumerate(zip(sent, literal))
               if a != b), min(len(sent), len(literal)))
    return (f"at {at}:", repr(sent[max(0, at - 60):at + 60]), "became",
            repr(literal[max(0, at - 60):at + 60]))


def without_soft_breaks(encoded):
    return re.sub(r"=[ \t]*\r\n", "", encoded)


def compare_quoted_printable(sent, got, tracking, links, codec):
    """Encoded characters stay as they were encoded; soft line breaks may move."""
    before = without_soft_breaks(sent.decode("latin-1"))
    after = without_soft_breaks(got.decode("latin-1"))
    compare_bytes(
        before, with_end_of(before, after, tracking), tracking, links, codec,
        lambda hole: quopri.decodestring(hole.encode("latin-1")).decode("latin-1"))


# MIME (RFC 2046), by spans

class Piece:
    """A span of a message: "glue" (preamble, delimiters, epilogue), "header" or
    "body" of a part."""

    def __init__(self, kind, data, part=None):
        self.kind = kind
        self.data = data
        self.part = part


class Part:
    def __init__(self, header, parent):
        self.header = header
        self.parent = parent
        self.fields = email.message_from_bytes(
            header + b"\r\n", policy=email.policy.compat32)
        default = ("message/rfc822" if parent is not None
                   and parent.type == "multipart/digest" else "text/plain")
        self.fields.set_default_type(default)
        self.type = self.fields.get_content_type()
        self.encoding = str(self.fields.get("Content-Transfer-Encoding", "7bit")
                            ).strip("; \t\r\n").lower()
        disposition = str(self.fields.get("Content-Disposition", ""))
        self.is_attached = disposition.strip().lower().startswith("attachment")
        charset = self.fields.get_content_charset()
        self.charset = charset

    def is_sealed(self):
        """Not even its encoding may change."""
        if self.type.startswith("message/") or self.type in (
                "multipart/signed", "multipart/encrypted"):
            return True
        return self.parent is not None and self.parent.is_sealed()

    def is_frozen(self):
        """F8: what it says may not change."""
        return self.is_sealed() or self.is_attached or (
            self.parent is not None and self.parent.is_frozen())

    def codec(self):
        """Python's name of the charset; UTF-8 if none is stated; None if it is
        not known."""
        try:
            return codecs.lookup(self.charset or "utf-8").name
        except (LookupError, ValueError):
            return None


def delimiter(line, boundaries):
    """(index of the boundary, is it the last) of a line, innermost first."""
    if not line.startswith(b"--"):
        return None
    text = line.rstrip(b" \t\r\n")
    for index in range(len(boundaries) - 1, -1, -1):
        if text == b"--" + boundaries[index]:
            return index, False
        if text == b"--" + boundaries[index] + b"--":
            return index, True
    return None


class Splitter:
    def __init__(self, data):
        self.lines = data.splitlines(keepends=True) if b"\r" not in (
            data.replace(b"\r\n", b"")) and b"\n" not in (
            data.replace(b"\r\n", b"")) else None
        require(self.lines is not None, "bare CR or LF")
        # Only CRLF ends a line.
        self.lines = re.findall(rb"[^\n]*\n|[^\n]+", data)
        self.at = 0
        self.pieces = []
        self.boundaries = []

    def take(self, stops):
        """Lines up to a delimiter; its CRLF belongs to it."""
        begin = self.at
        while self.at < len(self.lines) and not (
                stops and delimiter(self.lines[self.at], self.boundaries)):
            self.at += 1
        text = b"".join(self.lines[begin:self.at])
        at_delimiter = self.at < len(self.lines)
        if at_delimiter and text.endswith(b"\r\n"):
            return text[:-2], b"\r\n"
        return text, b""

    def glue(self, data):
        if data:
            self.pieces.append(Piece("glue", data))

    def read_header(self):
        begin = self.at
        while self.at < len(self.lines) and self.lines[self.at] != b"\r\n":
            if self.boundaries and delimiter(self.lines[self.at], self.boundaries):
                return b"".join(self.lines[begin:self.at]), b""
            self.at += 1
        header = b"".join(self.lines[begin:self.at])
        if self.at < len(self.lines):
            self.at += 1
            return header, b"\r\n"
        return header, b""

    def part(self, parent=None):
        header, end = self.read_header()
        part = Part(header, parent)
        self.pieces.append(Piece("header", header, part))
        self.glue(end)
        boundary = part.fields.get_boundary()
        if part.type.startswith("multipart/") and boundary:
            self.multipart(part, boundary.encode("latin-1", "replace"))
            return
        body, end = self.take(self.boundaries)
        self.pieces.append(Piece("body", body, part))
        self.glue(end)

    def multipart(self, part, boundary):
        self.boundaries.append(boundary)
        depth = len(self.boundaries)
        preamble, end = self.take(True)
        self.glue(preamble + end)
        while self.at < len(self.lines):
            index, is_last = delimiter(self.lines[self.at], self.boundaries)
            if index < depth - 1:
                break
            self.glue(self.lines[self.at])
            self.at += 1
            if is_last:
                self.boundaries.pop()
                epilogue, end = self.take(bool(self.boundaries))
                self.glue(epilogue + end)
                return
            self.part(part)
        self.boundaries.pop()


def split_message(data):
    splitter = Splitter(data)
    splitter.part()
    return splitter.pieces


def decode_body(piece):
    """The decoded bytes of a body, None if its encoding is not known."""
    encoding = piece.part.encoding
    if encoding in ("7bit", "8bit", "binary", ""):
        return piece.data
    if encoding == "quoted-printable":
        return quopri.decodestring(piece.data)
    if encoding == "base64":
        try:
            return binascii.a2b_base64(piece.data)
        except binascii.Error:
            return None
    return None


# Bodies with HTML

def is_wide(codec):
    return codec.startswith(("utf-16", "utf-32"))


def compare_bodies(sent, got, tracking, with_tree=True):
    """Two bodies with HTML, in whatever encoding: as documents, then byte by
    byte. What compare_documents found."""
    codec = sent.part.codec()
    before, after = decode_body(sent), decode_body(got)
    if is_wide(codec):
        before, after = before.decode(codec), after.decode(codec)
        documents = before, after
    else:
        before, after = before.decode("latin-1"), after.decode("latin-1")
        after = with_end_of(before, after, tracking)
        documents = [body.encode("latin-1").decode(codec, "surrogateescape")
                     for body in (before, after)]
    found = compare_documents(*documents, tracking, with_tree)
    compare_bytes(before, after, tracking, found.links,
                  None if is_wide(codec) else codec)
    if (sent.part.encoding == got.part.encoding == "quoted-printable"
            and is_sound_quoted_printable(sent.data)):
        compare_quoted_printable(sent.data, got.data, tracking, found.links, codec)
    if got.part.encoding in ("quoted-printable", "base64") and found.links:
        check_encoded_lines(sent, got)
    return found


def with_end_of(before, after, tracking):
    """A pixel at the very end may stand in front of the last line end or behind
    it, and have one of its own."""
    if not tracking.pixel_at_end.search(after):
        return after
    ends = [len(re.search(r"(?:\r\n)*$", body)[0]) // 2 for body
            in (before, tracking.pixel.sub("", after))]
    if ends[1] == ends[0] + 1:
        return after.removesuffix("\r\n")
    return after + "\r\n" if ends[1] == ends[0] - 1 else after


def is_sound_quoted_printable(data):
    return not re.search(rb"=(?![0-9A-Fa-f]{2}|[ \t]*\r\n|[ \t]*$)", data)


def check_encoded_lines(sent, got):
    """S7: at most 76, but for lines that were longer when they came."""
    known = set(sent.data.split(b"\r\n"))
    for line in got.data.split(b"\r\n"):
        require(len(line) <= 76 or line in known, "a line of", len(line), line)


# Links

def location_of(target):
    """The target as the bytes of a Location field; characters that stand for
    bytes which are no text stay those bytes."""
    return target.encode("utf-8", "surrogateescape")


def check_links(follower, base, links):
    """Each leads to exactly its target; how many did."""
    answers = follower.follow([link[len(base):] for link, _ in links])
    wrong = [(target, answers[link[len(base):]]) for link, target in links
             if answers[link[len(base):]] != (302, location_of(target))]
    require(not wrong, f"{len(wrong)} of {len(links)} links are wrong, the first:",
            wrong[:3])
    return len(links)
