# SPDX-License-Identifier: MIT
"""Real mail, and mail made to hurt: lawful messages arrive as they were, the
others get one reply that says why, and nothing ever crashes."""

import csv
import os
import random
import re

import pytest

import oracle
from dialogue import Closed
from instance import corpora

TRACKING = False  # what is not tracked leaves as it came

CORPORA = corpora()
MISSING = ("the corpora are not beside the checkout (../shared/corpora); "
           "BATON_CORPORA names another place")


def files():
    if CORPORA is None:
        return [pytest.param(None, marks=pytest.mark.skip(reason=MISSING))]
    found = []
    for folder in sorted(os.listdir(CORPORA)):
        index = os.path.join(CORPORA, folder, "index.tsv")
        if folder.startswith("mime-") and os.path.exists(index):
            with open(index, encoding="utf-8") as file:
                for row in csv.DictReader(file, delimiter="\t"):
                    found.append(f"{folder}/{row['file']}")
    return found


def read(name):
    with open(os.path.join(CORPORA, name), "rb") as file:
        return oracle.prepare(file.read())


def submit(d, data, recipient, eight_bit=True):
    parameters = " BODY=8BITMIME" if eight_bit else ""
    d.command(f"MAIL FROM:<a@sender.example>{parameters}", 250)
    d.command(f"RCPT TO:<{recipient}>", 250)
    return d.data(data, None)


@pytest.mark.parametrize("name", files())
def test_every_message_of_the_corpora(baton, sink, name):
    data = read(name)
    verdict, reason = oracle.judge(data)
    with baton.session() as d:
        reply = submit(d, data, "b@rcpt.example")
        d.command("NOOP", 250)
    if reply.code == 250:
        assert verdict != "refuse", f"should have been refused: {reason}"
        one = sink.wait_for(1)[0]
        oracle.check_wire(one.raw)
        oracle.check_copy(data, one.data)
    else:
        assert verdict != "accept", f"should have been accepted: {reply}"
        assert 500 <= reply.code < 560, reply
        assert re.match(r"5\.\d+\.\d+", reply.enhanced), reply
        assert len(reply.text) > 25, f"no reason: {reply}"
        assert not sink.tried


def mutate(data, chance):
    data = bytearray(data)
    for _ in range(chance.randrange(1, 8)):
        at = chance.randrange(len(data))
        kind = chance.randrange(4)
        if kind == 0:
            data[at] = chance.randrange(256)
        elif kind == 1:
            del data[at:at + chance.randrange(1, 200)]
        elif kind == 2:
            other = chance.randrange(len(data))
            data[at:at] = data[other:other + chance.randrange(1, 400)]
        else:
            data[at:at] = chance.choice(
                [b"\r\n", b"\r\n\r\n", b"--", b"\r\n--", b"=", b"\xff\xfe", b"\0",
                 b"(" * 50, b'"', b"<", b";", b"boundary=", b"\r\n\t" * 30])
        if not data:
            data = bytearray(b"x")
    return bytes(data)


@pytest.mark.skipif(CORPORA is None, reason=MISSING)
@pytest.mark.parametrize("seed", range(4))
def test_t11_mutated_messages_get_one_reply_each(baton, sink, seed):
    chance = random.Random(seed)
    names = files()
    codes = []
    d = baton.session()
    for name in chance.sample(names, len(names) // 2):
        data = mutate(read(name), chance)
        try:
            reply = submit(d, data, "b@rcpt.example", eight_bit=False)
        except (Closed, OSError):
            reply = None
        assert reply is None or reply.code in (250, 421, 452, 500, 501, 550, 552,
                                               554), (name, reply)
        if reply is None or reply.code == 421:
            d.close()
            d = baton.session()
        codes.append(reply.code if reply else 0)
    d.close()
    assert codes.count(250) >= 20 and codes.count(550) >= 20, codes
    baton.wait_for_empty_queue(60)
    for one in sink.messages:
        oracle.check_wire(one.raw)
