#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Clicks: one worker of Baton, which stores each before it answers 302, against
nginx `return 302`, which stores nothing; one core each, in one sitting.

    tests/bench/click_bench.py [ROUNDS] [SECONDS]          (5 5)

Server on the first core, the asking program on the others, PostgreSQL wherever
there is room. Two
ways of asking, with 64 connections at a time: kept, or one for each request.
Rounds alternate; medians and their ratio are printed. The clicks are those of
people: a link each of 50,000 deliveries, one after the other. At the end the
ledger must hold every click that was answered.
BATON_BINARY names another program than build/release/baton.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(ROOT, "tests/system"))
os.environ.setdefault("BATON_BINARY", ROOT + "/build/release/baton")

from instance import Baton, add_account, free_port  # noqa: E402
from postgres import Postgres  # noqa: E402
from tokens import Tokens  # noqa: E402
from waiting import wait_until  # noqa: E402

DELIVERIES = 50000
CONNECTIONS = 64
BROWSER = ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 "
           "Firefox/145.0")
TARGET = "https://shop.example/orders/{}?item={}"
GOALS = {"kept": (0.3, 0.6), "each": (0.8, 1.0)}


def cores():
    every = sorted(os.sched_getaffinity(0))
    return str(every[0]), ",".join(map(str, every[1:] or every))


def run(*command):
    return subprocess.run(command, check=True, capture_output=True,
                          text=True).stdout


class BatonClicks:
    name = "baton"

    def __init__(self):
        self.postgres = Postgres()
        self.postgres.execute("CREATE DATABASE bench")
        self.baton = Baton(self.postgres.url_of("bench"),
                           {"server": {"workers": "1"},
                            "log": {"level": "warning"},
                            "http": {"hit_deadline": "10 s"}},
                           {"bench": "tls=none"})
        self.port = self.baton.ports["http"]
        self.answered = 0

    def start(self, core):
        self.baton.cli("migrate")
        account = add_account(self.baton.sql, "bench")
        self.baton.start()
        run("taskset", "-a", "-c", "-p", core, str(self.baton.workers()[0]))
        deliveries = self.make_deliveries(account)
        tokens = Tokens(self.baton.sql)
        self.paths = ["/c/" + tokens.click(account, delivery, 1,
                                           TARGET.format(delivery, 1))
                      for delivery in deliveries]

    def make_deliveries(self, account):
        """Rows as they stand after delivery, with ids of this moment."""
        first = self.baton.value(
            "SELECT ((extract(epoch FROM now()) * 1000)::bigint"
            " - 1704067200000) << 22")
        ids = range(first, first + DELIVERIES)
        self.baton.sql(
            "INSERT INTO baton.delivery (account_id, delivery_id, message_id,"
            " recipient, domain, notify, state) SELECT %s, id, id,"
            " 'r' || id || '@rcpt.example', 'rcpt.example', 0, 'delivered'"
            " FROM unnest(%s) AS id", account, list(ids))
        return ids

    def check(self):
        """Every answered click is in the ledger; some more may be, whose
        answers came after the asking program had ended."""
        stored = self.baton.value(
            "SELECT count(*) FROM baton.event WHERE kind = 'clicked'")
        if stored < self.answered:
            raise SystemExit(f"{self.answered} clicks were answered, "
                             f"{stored} are stored")
        print(f"{self.answered} clicks answered, {stored} stored; "
              f"{self.baton.metric('baton_hits_answered_early_total'):.0f} "
              "answered before they were stored")

    def close(self):
        self.baton.close()
        self.postgres.close()


class Nginx:
    name = "nginx"

    def __init__(self, folder, core):
        self.port = free_port()
        self.answered = 0
        config = os.path.join(folder, "nginx.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"""
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{self.port} backlog=4096;
        location /c/ {{
            add_header Cache-Control no-store always;
            add_header Referrer-Policy no-referrer always;
            add_header X-Content-Type-Options nosniff always;
            return 302 {TARGET.format(1, 1)};
        }}
    }}
}}
""")
        self.process = subprocess.Popen(
            ["taskset", "-c", core, "/usr/sbin/nginx", "-e",
             folder + "/error.log", "-c", config], stdin=subprocess.DEVNULL)
        wait_until(lambda: os.path.exists(f"{folder}/nginx.pid"), "nginx")

    def check(self):
        pass

    def close(self):
        self.process.terminate()
        self.process.wait()


def write_script(folder, paths, way):
    """wrk asks for one after the other, and goes on where it ended before."""
    with open(os.path.join(folder, "paths"), "w", encoding="ascii") as file:
        file.write("\n".join(paths) + "\n")
    script = os.path.join(folder, way + ".lua")
    close = '["Connection"] = "close", ' if way == "each" else ""
    with open(script, "w", encoding="ascii") as file:
        file.write(f"""
local requests, count, at = {{}}, 0, 0
function init(arguments)
    local fields = {{ {close}["User-Agent"] = "{BROWSER}" }}
    for path in io.lines("{folder}/paths") do
        count = count + 1
        requests[count] = wrk.format("GET", path, fields)
    end
    math.randomseed(os.time())
    at = math.random(count)
end
function request()
    at = at % count + 1
    return requests[at]
end
""")
    return script


def ask(server, script, seconds, others):
    output = run("taskset", "-c", others, "wrk", "-t", "1", "-c",
                 str(CONNECTIONS), "-d", f"{seconds}s", "-s", script,
                 f"http://127.0.0.1:{server.port}")
    if "Non-2xx or 3xx" in output or "Socket errors" in output:
        raise SystemExit(f"{server.name}:\n{output}")
    server.answered += int(re.search(r"(\d+) requests in", output)[1])
    return float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1])


def print_table(results):
    print(f"{'clicks a second':18}{'baton':>10}{'nginx':>10}{'ratio':>8}"
          f"{'at least':>10}{'goal':>7}")
    is_enough = True
    for way, title in (("kept", "keep-alive"), ("each", "a connection each")):
        baton = statistics.median(results["baton", way])
        nginx = statistics.median(results["nginx", way])
        bar, goal = GOALS[way]
        is_enough &= baton / nginx >= bar
        print(f"{title:18}{baton:>10.0f}{nginx:>10.0f}{baton / nginx:>8.2f}"
              f"{bar:>10.1f}{goal:>7.1f}")
    return is_enough


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    core, others = cores()
    folder = tempfile.mkdtemp(prefix="baton-bench-")
    os.chmod(folder, 0o755)
    servers = []
    results = {}
    try:
        servers.append(BatonClicks())
        servers[0].start(core)
        servers.append(Nginx(folder, core))
        scripts = {way: write_script(folder, servers[0].paths, way)
                   for way in GOALS}
        for number in range(rounds):
            for server in servers:
                for way, script in scripts.items():
                    value = ask(server, script, seconds, others)
                    results.setdefault((server.name, way), []).append(value)
                    print(f"round {number + 1}: {server.name:6}{way:6}"
                          f"{value:>8.0f}/s", flush=True)
        is_enough = print_table(results)
        for server in servers:
            server.check()
    finally:
        for server in servers:
            server.close()
        shutil.rmtree(folder)
    return 0 if is_enough else 1


if __name__ == "__main__":
    sys.exit(main())
