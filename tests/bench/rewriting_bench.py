#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What rewriting costs: the relay with it and without it, in turn, in one
sitting; the same messages of 4 KB in HTML with ten links.

    tests/bench/rewriting_bench.py [ROUNDS] [MESSAGES] [CONNECTIONS]  (5 6000 32)

A warm-up run of each goes first and is not counted; then they take turns in
coming first. BATON_BINARY names another program
than build/release/baton.
"""

import os
import signal
import statistics
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tests/system"))
os.environ.setdefault("BATON_BINARY", ROOT + "/build/release/baton")

from instance import Baton, add_account, add_route, free_port  # noqa: E402
from load import LoadGenerator, LoadSink, new_file  # noqa: E402
from postgres import Postgres  # noqa: E402
from waiting import wait_until  # noqa: E402

LINKS = 10
BYTES = 4096


def letter():
    """A file with the message: further header fields, and its content."""
    links = "".join(
        f'<p>Shoes of number {n}, in blue and in red, now in stock: <a href="'
        f'https://shop.example.com/shoes/{n}?colour=blue&amp;size=42">look at '
        "them</a>.</p>\r\n" for n in range(LINKS))
    text = ("<html><body>\r\n" + links)
    filler = "<p>The quick brown fox jumps over the lazy dog.</p>\r\n"
    while len(text) < BYTES - 300:
        text += filler
    path = new_file()
    with open(path, "w", encoding="ascii", newline="") as file:
        file.write("MIME-Version: 1.0\r\n"
                   "Content-Type: text/html; charset=utf-8\r\n\r\n"
                   + text + "</body></html>\r\n")
    return path


def set_tracking(baton, value):
    baton.cli("set", "bench", "track_opens", value)
    baton.cli("set", "bench", "track_clicks", value)


def run(baton, port, path, messages, connections):
    """Delivered a second."""
    sink = LoadSink(port=port, hosts=["127.0.0.2"])
    try:
        generator = LoadGenerator(("127.0.0.1", baton.ports["bench"]),
                                  number=messages, connections=connections,
                                  file=path)
        accepted = generator.wait()["acknowledged"]
        sink.wait_for(accepted)
        arrivals = sink.arrivals()
        begun = min(sent for _, _, sent in arrivals)
        seconds = (max(received for _, received, _ in arrivals) - begun) / 1e9
        return len(arrivals) / seconds
    finally:
        sink.stop()


def is_rewritten(baton):
    """The last delivery's policy says so; what was measured must be so."""
    return baton.value("SELECT coalesce(policy->'settings'->>'track_clicks',"
                       " 'html') <> 'off' FROM baton.message"
                       " ORDER BY message_id DESC LIMIT 1")


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    given = [int(value) for value in sys.argv[1:4]]
    rounds, messages, connections = given + [5, 6000, 32][len(given):]
    port = free_port()
    path = letter()
    postgres = Postgres()
    baton = None
    rates = {"off": [], "on": []}
    try:
        postgres.execute("CREATE DATABASE bench")
        baton = Baton(
            postgres.url_of("bench"),
            {"log": {"level": "warning"},
             "server": {"workers": os.environ.get("BENCH_WORKERS", "0")},
             "limits": {"messages_per_session": "1000000"},
             "delivery": {"connections_per_site": "40"}},
            {"bench": "tls=none"})
        baton.cli("migrate")
        account = add_account(baton.sql, "bench")
        baton.sql("INSERT INTO baton.network (range, account_id) VALUES "
                  "('127.0.0.0/8', %s)", account)
        add_route(baton.sql, "*", f"smtp://127.0.0.2:{port}")
        baton.start()
        print(f"{rounds} rounds of {messages} messages of 4 KB with {LINKS} "
              f"links over {connections} connections", flush=True)
        for number in range(rounds + 1):
            # What comes later in a sitting is slower: in turn, both come first.
            for value in ("off", "on")[::1 if number % 2 else -1]:
                set_tracking(baton, value)

                def is_known():
                    run(baton, port, path, 20, 2)
                    return is_rewritten(baton) == (value == "on")

                wait_until(is_known, "the setting to be known")
                rate = run(baton, port, path, messages, connections)
                assert is_rewritten(baton) == (value == "on")
                if number > 0:
                    rates[value].append(rate)
                    print(f"round {number} rewriting {value:3} "
                          f"{rate:6.0f} delivered/s", flush=True)
    finally:
        if baton is not None:
            baton.close()
        postgres.close()
    ratio = statistics.median(rates["on"]) / statistics.median(rates["off"])
    print(f"medians: on {statistics.median(rates['on']):.0f}, "
          f"off {statistics.median(rates['off']):.0f}, ratio {ratio:.2f}")
    print(f"{'yes' if ratio >= 0.85 else 'NO '}  "
          "with rewriting at least 0.85 of the throughput without")


if __name__ == "__main__":
    main()
