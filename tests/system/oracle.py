# SPDX-License-Identifier: MIT
"""Which messages are lawful, and what of them must arrive: written from the
standards (RFC 5321, 5322, 2045), without a look at the program."""

import email
import email.policy
import email.utils
import re

LONGEST_LINE = 998
HEADER_BYTES = 256 * 1024
HEADER_FIELDS = 1000
PARTS = 1000
DEPTH = 100

# RFC 5322, 3.6: at most one of each; From exactly one.
SINGLE = ("date", "from", "sender", "reply-to", "to", "cc", "bcc", "message-id",
          "in-reply-to", "references", "subject", "mime-version", "content-type",
          "content-transfer-encoding")
REMOVED = ("bcc", "resent-bcc", "return-path")


def prepare(raw):
    """A message of a corpus as a client sends it: CRLF, no mbox line."""
    if raw.startswith(b"From "):
        raw = raw.partition(b"\n")[2]
    data = re.sub(rb"\r?\n", b"\r\n", raw)
    return data if data.endswith(b"\r\n") else data + b"\r\n"


def split(data):
    """(fields as [name in lower case, whole], body or None, faulty line)"""
    fields = []
    rest = data
    while rest:
        line, _, after = rest.partition(b"\r\n")
        line += b"\r\n"
        if line == b"\r\n":
            return fields, after, None
        if line[:1] in b" \t":
            if not fields:
                return fields, None, line
            fields[-1][1] += line
        else:
            match = re.match(rb"([!-9;-~]+)[ \t]*:", line)
            if not match:
                return fields, None, line
            fields.append([match.group(1).decode().lower(), line])
        rest = after
    return fields, None, None


def depth_and_parts(data):
    message = email.message_from_bytes(data)

    def walk(part, depth):
        count, deepest = 1, depth
        if part.is_multipart():
            for inner in part.get_payload():
                inner_count, inner_depth = walk(inner, depth + 1)
                count += inner_count
                deepest = max(deepest, inner_depth)
        return count, deepest
    count, depth = walk(message, 1)
    return depth, count


def addresses_are_clean(value):
    """Whether nobody can object to this list of addresses."""
    text = re.sub(r"\r\n(?=[ \t])", "", value.decode("ascii", "replace")).strip()
    pairs = email.utils.getaddresses([text])
    simple = re.fullmatch(r'(?:(?:"[^"\\]*"|[\w!#$%&\'*+/=?^`{|}~ .-]*)\s*<[\w.+-]+@'
                          r'[\w-]+(?:\.[\w-]+)*>|[\w.+-]+@[\w-]+(?:\.[\w-]+)*)',
                          text)
    return bool(simple) and len(pairs) == 1 and ".." not in text


def judge(data):
    """("accept" | "refuse" | "either", reason)"""
    fields, body, faulty = split(data)
    bare = data.replace(b"\r\n", b"")
    if b"\r" in bare or b"\n" in bare:
        return "refuse", "a bare CR or LF"
    if b"\0" in data:
        return "refuse", "a NUL"
    if faulty is not None:
        return "refuse", f"a line of the header that is no field: {faulty[:60]!r}"
    header = b"".join(whole for _, whole in fields)
    if len(header) > HEADER_BYTES or len(fields) > HEADER_FIELDS:
        return "refuse", "too large a header"
    if any(len(line) > LONGEST_LINE for line in header.split(b"\r\n")):
        return "refuse", "a line of the header is too long"
    if any(byte > 127 for byte in header):
        return "refuse", "8-bit bytes in the header"
    names = [name for name, _ in fields]
    for name in SINGLE:
        if names.count(name) > 1:
            return "refuse", f"{names.count(name)} {name} fields"
    if "from" not in names:
        return "refuse", "no From field"
    if names.count("received") > 100:
        return "refuse", "a loop"
    for name, whole in fields:
        if name in ("from", "sender") and not addresses_are_clean(
                whole.partition(b":")[2]):
            return "either", f"an unusual {name}"
    depth, parts = depth_and_parts(data)
    if depth > DEPTH // 2 or parts > PARTS // 2:
        return "either", "deep or many parts"
    long = body is not None and any(len(line) > LONGEST_LINE for line
                                    in body.split(b"\r\n"))
    if long and (depth > 1 or b"encoded-word" in data):
        return "either", "long lines in parts"
    if long:
        return "either", "long lines"
    return "accept", ""


def check_copy(sent, received):
    """What arrived is what was sent, save what is documented."""
    sent_fields, sent_body, _ = split(sent)
    got_fields, got_body, faulty = split(received)
    assert faulty is None, faulty
    long = sent_body is not None and any(
        len(line) > LONGEST_LINE for line in sent_body.split(b"\r\n"))
    # A part that is encoded anew has to say so (RFC 2045, 6).
    changed = ("mime-version", "content-type", "content-transfer-encoding")
    kept = [field for field in sent_fields if field[0] not in REMOVED
            and not (long and field[0] in changed)]
    got_fields = [field for field in got_fields
                  if not (long and field[0] in changed)]
    added = got_fields[:len(got_fields) - len(kept)]
    sent_names = {name for name, _ in sent_fields}
    assert [name for name, _ in added if name == "received"] == ["received"], added
    for name, _ in added:
        assert name == "received" or name in ("date", "message-id") \
            and name not in sent_names, f"{name} was added"
    assert got_fields[len(added):] == kept
    if long:
        assert leaves(sent) == leaves(received)
    else:
        assert (got_body or b"") == (sent_body or b"")


def leaves(data):
    """The decoded bytes of every leaf: what a re-encoding may not change."""
    found = []
    for part in email.message_from_bytes(data).walk():
        if not part.is_multipart():
            payload = part.get_payload(decode=True) or b""
            found.append((part.get_content_type(),
                          re.sub(rb"\r?\n", b"\n", payload).rstrip(b"\n")))
    return found


def check_wire(raw):
    """S2, S7: what was written to the socket, dots stuffed."""
    bare = raw.replace(b"\r\n", b"")
    assert b"\r" not in bare and b"\n" not in bare, "bare CR or LF on the wire"
    assert b"\0" not in raw
    longest = max(len(line) for line in raw.split(b"\r\n"))
    # A stuffed dot does not count (RFC 5321, 4.5.3.1.6).
    assert longest <= LONGEST_LINE + 1, longest
