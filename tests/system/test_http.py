# SPDX-License-Identifier: MIT
"""What the HTTP listener answers."""

import re
import socket

from dialogue import message
from waiting import wait_until


def test_healthz(baton):
    assert baton.http("/healthz")[0] == 200
    assert baton.http("/healthz", "HEAD") == (200, "")


def test_readyz(baton):
    assert baton.http("/readyz")[0] == 200


def test_unknown_paths_name_nobody(baton):
    status, body = baton.http("/nothing/here?x=1")
    assert status == 404
    assert "relay.example" not in body and "demo" not in body


def test_methods(baton):
    assert baton.http("/healthz", "POST")[0] in (404, 405)


def test_metrics_are_prometheus_text_with_help_and_type(baton, sink):
    status, body = baton.http("/metrics")
    assert status == 200
    for line in body.splitlines():
        assert re.match(r"(# (HELP|TYPE) baton_\w+ .+|baton_\w+(\{[^}]*\})? "
                        r"[0-9.eE+-]+)$", line), line
    for name in set(re.findall(r"^(baton_\w+?)(?:_bucket|_sum|_count)?[ {]", body,
                               re.M)):
        assert f"# TYPE {name} " in body, name


def test_metrics_count_messages(baton, sink):
    before = baton.metric("baton_messages_accepted_total")
    baton.submit(message())
    sink.wait_for(1)
    wait_until(lambda: baton.metric("baton_messages_accepted_total")
               == before + 1, "the count of accepted messages")


def test_t29_a_client_that_says_nothing_blocks_nobody(baton):
    silent = [socket.create_connection(baton.address("http")) for _ in range(50)]
    try:
        for connection in silent:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ")
        assert baton.http("/healthz")[0] == 200
    finally:
        for connection in silent:
            connection.close()


def test_readyz_is_503_without_a_database(make_baton, postgres):
    baton = make_baton(routes={"*": "discard:"})
    postgres.stop()
    try:
        wait_until(lambda: baton.http("/readyz")[0] == 503, "503")
        assert baton.http("/healthz")[0] == 200
        assert baton.http("/readyz")[1].strip()
    finally:
        postgres.start()
    wait_until(lambda: baton.http("/readyz")[0] == 200, "200 again")
