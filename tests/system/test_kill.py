# SPDX-License-Identifier: MIT
"""R5, T1, T2: a worker dies in the middle; what was acknowledged arrives, and
nobody has to do anything."""

import os
import re
import signal
import threading

import pytest

from dialogue import Closed, message
from instance import PASSWORD, USER
from waiting import wait_until

CLIENTS = 4
EACH = 50


def submit_all(baton, number, acknowledged):
    """Submit EACH messages, connecting anew when the connection is lost."""
    subject = iter(range(EACH))
    current = next(subject)
    while current is not None:
        try:
            with baton.dialogue("clear", timeout=60) as d:
                d.enter(USER, PASSWORD)
                while current is not None:
                    name = f"m{number}-{current}"
                    d.envelope("a@sender.example", f"{name}@rcpt.example")
                    d.data(message(subject=name))
                    acknowledged.add(name)
                    current = next(subject, None)
        except (Closed, OSError, AssertionError):
            # Not acknowledged: a client would try again; so do we.
            continue


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV],
                         ids=["kill", "segv"])
def test_r5_a_worker_is_killed_in_the_middle(make_baton, make_sink, number):
    sink = make_sink()
    baton = make_baton({"server": {"workers": "2", "lease": "2 s"},
                        "delivery": {"retry": "1 s"}},
                       routes={"*": f"smtp://127.0.0.1:{sink.port}"})
    baton.crashes_expected = True
    acknowledged = set()
    threads = [threading.Thread(target=submit_all, args=(baton, i, acknowledged))
               for i in range(CLIENTS)]
    before = baton.workers()
    assert len(before) == 2
    for thread in threads:
        thread.start()
    wait_until(lambda: len(acknowledged) >= 50, "50 messages", 60)
    os.kill(before[0], number)
    for thread in threads:
        thread.join(120)
    assert len(acknowledged) == CLIENTS * EACH

    def arrived():
        return {m.recipients[0].split("@")[0] for m in list(sink.messages)}
    wait_until(lambda: arrived() >= acknowledged,
               f"{len(acknowledged)} messages", 90)
    baton.wait_for_empty_queue(60)
    wait_until(lambda: len(baton.workers()) == 2, "a new worker", 30)
    assert before[0] not in baton.workers()
    assert set(baton.deliveries().values()) == {"delivered"}


def test_r5_the_whole_program_is_killed_and_started_again(make_baton, make_sink):
    sink = make_sink(on={"RCPT": "451 4.2.0 Later"})
    baton = make_baton({"server": {"lease": "2 s"}, "delivery": {"retry": "1 s"}},
                       routes={"*": f"smtp://127.0.0.1:{sink.port}"})
    for i in range(20):
        baton.submit(message(subject=f"m{i}"), [f"m{i}@rcpt.example"])
    baton.kill_everything()
    sink.on.clear()
    baton.start()
    wait_until(lambda: len({m.recipients[0] for m in sink.messages}) == 20,
               "20 messages", 60)
    baton.wait_for_empty_queue(30)


def test_r5_postgresql_is_restarted_in_the_middle(make_baton, make_sink,
                                                  postgres):
    sink = make_sink()
    baton = make_baton({"server": {"lease": "4 s"}, "delivery": {"retry": "1 s"}},
                       routes={"*": f"smtp://127.0.0.1:{sink.port}"})
    acknowledged = set()
    threads = [threading.Thread(target=submit_all, args=(baton, i, acknowledged))
               for i in range(CLIENTS)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(acknowledged) >= 40, "40 messages", 60)
    postgres.stop()
    postgres.start()
    for thread in threads:
        thread.join(120)
    if baton.connection:
        baton.connection.close()
    assert len(acknowledged) == CLIENTS * EACH
    wait_until(lambda: {m.recipients[0].split("@")[0] for m
                        in list(sink.messages)} >= acknowledged,
               "all the messages", 90)
    baton.wait_for_empty_queue(60)


def test_sigterm_drains_what_is_on_the_wire(make_baton, make_sink):
    """A message that is being said when the end comes is still answered."""
    sink = make_sink()
    baton = make_baton({"server": {"workers": "1"}},
                       routes={"*": f"smtp://127.0.0.1:{sink.port}"})
    with baton.session() as d, baton.session() as idle:
        d.envelope("a@sender.example", "b@rcpt.example")
        d.command("DATA", 354)
        d.send("From: a@sender.example\r\nSubject: x\r\n")
        baton.process.send_signal(signal.SIGTERM)
        assert idle.reply().code == 421
        d.send("\r\nthe rest\r\n.\r\n")
        reply = d.reply()
        assert reply.code == 250
        message_id = int(re.search(r"queued as (\d+)", reply.text).group(1))
    baton.stop()
    state = baton.value("SELECT state FROM baton.delivery WHERE message_id = %s",
                        message_id)
    assert state in ("queued", "delivered")
    if state == "queued":
        row = baton.sql("SELECT * FROM baton.queue")[0]
        assert row["worker_id"] is None, "not given back"
        baton.start()
        sink.wait_for(1)


def test_sigterm_lets_a_delivery_finish(make_baton, make_sink):
    """The next hop is slow and has not got the final dot yet."""
    asked, go = threading.Event(), threading.Event()

    def answer_slowly(session, argument):
        asked.set()
        go.wait(20)
    sink = make_sink(on={"RCPT": answer_slowly})
    baton = make_baton(routes={"*": f"smtp://127.0.0.1:{sink.port}"})
    with baton.session() as d:
        d.envelope("a@sender.example", "b@rcpt.example")
        d.data(message())
        assert asked.wait(10)
        baton.process.send_signal(signal.SIGTERM)
        # Draining goes on to the deliveries when the sessions are over.
        assert d.reply().code == 421
        assert d.is_closed()
    wait_until(lambda: not baton.http("/readyz")[0] == 200, "the draining")
    go.set()
    baton.stop()
    assert baton.deliveries() == {"b@rcpt.example": "delivered"}


def test_sighup_reloads_the_certificate_and_drops_nobody(make_baton, tmp_path):
    """A8"""
    import certificates
    import ssl
    baton = make_baton(routes={"*": "discard:"})

    def subject():
        context = ssl.create_default_context(cafile=None)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        import socket
        with socket.create_connection(baton.address("smtps")) as plain:
            with context.wrap_socket(plain) as wrapped:
                return wrapped.getpeercert(binary_form=True)
    old = subject()
    with baton.session("smtps") as d:
        new = certificates.make(baton.folder, "renewed.example")
        baton.settings["tls"] = {"certificate": new[0], "key": new[1]}
        baton.write_config()
        baton.process.send_signal(signal.SIGHUP)
        wait_until(lambda: subject() != old, "the new certificate")
        d.envelope("a@sender.example", "b@rcpt.example")
        d.data(message())
