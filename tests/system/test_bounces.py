# SPDX-License-Identifier: MIT
"""What comes back, read by `baton classify`: the corpora of bounces, replies
and complaints, with the bars of libraries.md for the largest of them. Figures
are printed (`pytest -s`), for two halves of the files as well, so that a table
that fits one half only shows."""

import csv
import email
import email.policy
import hashlib
import json
import os
import subprocess

import pytest

from instance import BINARY, corpora

CORPORA = corpora()

pytestmark = pytest.mark.skipif(
    CORPORA is None,
    reason="the corpora are not beside the checkout (../shared/corpora); "
           "BATON_CORPORA names another place")


def folder(name):
    path = os.path.join(CORPORA, name)
    if not os.path.isdir(path):
        pytest.skip(f"the corpora have no {name}")
    return path


def table(*path):
    with open(os.path.join(*path), encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t",
                                   quoting=csv.QUOTE_NONE))


def run(*arguments, text=None):
    done = subprocess.run([BINARY, "classify", *arguments], input=text,
                          capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    assert not done.stderr, done.stderr.decode()
    return done.stdout.decode("utf-8")


def classify(path, names):
    """What Baton makes of the files, by name."""
    lines = run(*[os.path.join(path, name) for name in names]).splitlines()
    read = [json.loads(line) for line in lines]
    assert len(read) == len(names)
    return {os.path.basename(one["file"]): one for one in read}


def recipients(message):
    """By each address that stands for a recipient."""
    found = {}
    for one in message["recipients"]:
        for key in ("original_recipient", "recipient"):
            if key in one:
                found[one[key].lower()] = one
    return found


def suppressed(message):
    return [one["recipient"] for one in message["recipients"]
            if one.get("suppresses")]


class Figures:
    def __init__(self):
        self.counts = {}

    def add(self, name, is_good):
        good, total = self.counts.get(name, (0, 0))
        self.counts[name] = (good + bool(is_good), total + 1)

    def share(self, name):
        good, total = self.counts.get(name, (0, 0))
        return good / total if total else 0

    def __str__(self):
        return ", ".join(f"{name} {good}/{total} = {good / total:.1%}"
                         for name, (good, total) in self.counts.items())


def half_of(name):
    return hashlib.sha256(name.encode()).digest()[0] & 1


def judge(figures, row, message):
    """One row of an expectation of Sisimai's."""
    found = recipients(message).get(row["recipient"].lower())
    if not row["recipient"]:
        figures.add("wrongly suppressed", suppressed(message))
        return
    figures.add("recipients found", found)
    if row["hardbounce"] == "1":
        figures.add("hard recognised", found and found.get("suppresses"))
    else:
        figures.add("wrongly suppressed", found and found.get("suppresses"))


def test_bounces_of_many_servers(capsys):
    """B3, B4, B6: the bars of libraries.md."""
    path = folder("bounce-sisimai")
    rows = table(path, "expected.tsv")
    read = classify(path, sorted({row["file"] for row in rows}))
    figures = {"all": Figures(), 0: Figures(), 1: Figures()}
    for row in rows:
        for key in ("all", half_of(row["file"])):
            judge(figures[key], row, read[row["file"]])
    with capsys.disabled():
        print(f"\nbounce-sisimai, first half: {figures[0]}"
              f"\nbounce-sisimai, second half: {figures[1]}"
              f"\nbounce-sisimai: {figures['all']}")
    assert figures["all"].share("recipients found") >= 0.95
    assert figures["all"].share("hard recognised") >= 0.90
    assert figures["all"].share("wrongly suppressed") <= 0.01


def test_bounces_that_are_no_reports(capsys):
    """B6: text that no standard describes still names who failed."""
    path = folder("bounce-flufl")
    rows = table(path, "expected.tsv")
    read = classify(path, [row["file"] for row in rows])
    figures = Figures()
    for row in rows:
        found = recipients(read[row["file"]])
        permanent = [one for one in row["permanent"].split() if "@" in one]
        for address in permanent:
            one = found.get(address.lower())
            figures.add("permanent found", one)
            figures.add("permanent told so", one and one["action"] == "failed")
        for address in row["temporary"].split():
            one = found.get(address.lower())
            figures.add("temporary found", one)
            figures.add("temporary suppressed", one and one["suppresses"])
        if not row["permanent"] and not row["temporary"]:
            figures.add("nobody named, suppressed",
                        suppressed(read[row["file"]]))
    with capsys.disabled():
        print(f"\nbounce-flufl: {figures}")
    assert figures.share("permanent found") >= 0.95
    assert figures.share("permanent told so") >= 0.9
    assert figures.share("temporary found") >= 0.9
    assert figures.share("temporary suppressed") == 0
    assert figures.share("nobody named, suppressed") == 0


def status_groups(path):
    """Recipients as the message/delivery-status part of a file states them, by
    a reader of another make."""
    with open(path, "rb") as file:
        message = email.message_from_binary_file(file,
                                                 policy=email.policy.compat32)
    for part in message.walk():
        if part.get_content_type() == "message/delivery-status" \
                and part.is_multipart():
            for group in part.get_payload():
                if group["Final-Recipient"] and group["Action"]:
                    yield group


def test_reports_are_read_as_they_say(capsys):
    """RFC 3464: recipient, action and status are those of the fields, and what
    is delayed never suppresses."""
    path = folder("bounce-misc")
    names = sorted(name for name in os.listdir(path) if name.endswith(".eml"))
    read = classify(path, names)
    figures = Figures()
    for name in names:
        found = recipients(read[name])
        for group in status_groups(os.path.join(path, name)):
            address = group["Final-Recipient"].split(";")[-1].strip(" <>\r\n")
            one = found.get(address.lower())
            action = group["Action"].split()[0].lower()
            figures.add("recipients", one)
            figures.add("actions", one and one["action"] == action)
            status = (group["Status"] or "").split()
            figures.add("statuses", one and
                        one.get("status", "") == (status[0] if status else ""))
            assert not one or action == "failed" or not one["suppresses"]
    with capsys.disabled():
        print(f"\nbounce-misc: {figures}")
    assert figures.share("recipients") == 1
    assert figures.share("actions") == 1
    assert figures.share("statuses") == 1


def test_replies(capsys):
    """B1, B2, B4: the text of a reply alone, its step unknown. Some of the
    texts stand in the corpus with both verdicts: whoever made it knew more."""
    rows = table(folder("smtp-replies"), "replies.tsv")
    text = "".join(row["text"] + "\n" for row in rows).encode()
    verdicts = [json.loads(line) for line in run("--reply", text=text)
                .splitlines()]
    assert len(verdicts) == len(rows)
    figures = Figures()
    for row, verdict in zip(rows, verdicts):
        name = ("hard recognised" if row["hardbounce"] == "1"
                else "wrongly suppressed")
        figures.add(name, verdict["suppresses"])
        if row["reason"] in ("mailboxfull", "authfailure", "spamdetected",
                             "badreputation", "toomanyconn"):
            assert not verdict["suppresses"], row
    with capsys.disabled():
        print(f"\nsmtp-replies: {figures}")
    assert figures.share("hard recognised") >= 0.90
    assert figures.share("wrongly suppressed") <= 0.15


def check_complaint(name, message, expected_types):
    assert message["kind"] == "complaint", name
    if name in expected_types:
        assert message["feedback_type"] == expected_types[name], name
    harmless = message["feedback_type"] in ("auth-failure", "not-spam", "other")
    assert not (harmless and message["suppresses"]), name


def test_complaints(capsys):
    """B9: reports of RFC 5965 and of older loops, redacted ones included."""
    path = folder("complaints")
    names = sorted(name for name in os.listdir(path) if name.endswith(".eml"))
    read = classify(path, names)
    rows = table(path, "expected-sisimai.tsv")
    types = {row["file"]: row["feedbacktype"] for row in rows
             if row["feedbacktype"]}
    figures = Figures()
    for row in rows:
        hidden = row["recipient"].endswith(".invalid")
        if row["recipient"] and not hidden:
            figures.add("recipients found",
                        row["recipient"] in recipients(read[row["file"]]))
    for name in names:
        check_complaint(name, read[name], types)
        figures.add("told apart", True)
    for name in os.listdir(path):
        if name.endswith(".json"):
            with open(os.path.join(path, name), encoding="utf-8") as file:
                check_parse(json.load(file), read[name[:-5] + ".eml"], figures)
    with capsys.disabled():
        print(f"\ncomplaints: {figures}")
    assert figures.share("recipients found") == 1
    assert figures.share("fields") == 1


def check_parse(expected, message, figures):
    """Another project's parse of the same report."""
    written = expected["feedback_type"].replace("-", "").lower()
    assert message["feedback_type"].replace("-", "") == written
    for theirs, ours in (("user_agent", "user_agent"),
                         ("original_mail_from", "original_mail_from"),
                         ("original_envelope_id", "original_envelope_id"),
                         ("source_ip", "source_ip")):
        if expected.get(theirs):
            figures.add("fields", message.get(ours, "") ==
                        expected[theirs].strip("<>"))
    if expected.get("reported_domain"):
        figures.add("fields", message.get("reported_domain") in
                    expected["reported_domain"])


def test_mail_of_people_is_none(capsys):
    """Ordinary mail is no bounce: nothing of it suppresses anybody (T23)."""
    read = {}
    for name in sorted(os.listdir(CORPORA)):
        if name.startswith("mime-"):
            path = os.path.join(CORPORA, name)
            files = sorted(one for one in os.listdir(path)
                           if one.endswith((".eml", ".txt", ".msg", ".msgin")))
            if files:
                read.update({f"{name}/{key}": one for key, one
                             in classify(path, files).items()})
    if not read:
        pytest.skip("the corpora have no mime-* folders")
    wrong = [name for name, one in read.items() if suppressed(one)]
    with capsys.disabled():
        print(f"\nmime-*: {len(read)} messages, {len(wrong)} suppress")
    assert len(wrong) <= len(read) / 100, wrong
