#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Baton with everything on against Postfix with OpenDKIM, and against Haraka
with DKIM on all cores, in one sitting: the same generator, the same sink, the
same messages of 4 KB in HTML with ten links, runs in turn, medians.

    tests/bench/signed_bench.py [ROUNDS] [MESSAGES] [CONNECTIONS]    (3 4000 32)

Baton tracks opens and clicks, signs with RSA-2048 and Ed25519 ("baton") or with
RSA-2048 alone ("baton-rsa"), and owns a message in PostgreSQL before it answers
250; so does Postfix on disk. The others rewrite nothing and sign with RSA-2048.
BENCH names the folder with generator, sink and peers (../shared/bench), without
which nothing can be measured here; Haraka is left out, saying so, where it cannot
be installed. BATON_BINARY names another program than build/release/baton.
"""

import collections
import json
import os
import re
import signal
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import relay_bench  # noqa: E402
from relay_bench import BENCH, ROOT, RATE, RATE_CONNECTIONS, \
    RATE_MESSAGES  # noqa: E402

DOMAIN = "sender.test"
# Haraka's packages as they were on a day: registries lag.
NPM_BEFORE = os.environ.get("NPM_BEFORE", "2026-06-01")


class SignedBaton(relay_bench.BatonRelay):
    algorithms = ("rsa-sha256", "ed25519-sha256")
    name = "baton"

    def __init__(self, target):
        super().__init__(target)
        self.baton.settings["dkim"] = {"key_encryption": "5e" * 32}
        self.baton.write_config()
        self.baton.cli("domain", "add", "bench", DOMAIN)
        self.baton.sql("DELETE FROM baton.dkim_key WHERE NOT algorithm = ANY(%s)",
                       list(self.algorithms))
        for setting, value in (("track_opens", "on"), ("track_clicks", "on")):
            self.baton.cli("set", "bench", setting, value)


class RsaBaton(SignedBaton):
    algorithms = ("rsa-sha256",)
    name = "baton-rsa"


class SignedPostfix(relay_bench.SharedPostfixRelay):
    def start(self):
        self.script("start", "dkim")

    def parts(self):
        with open(os.environ["WORK"] + "/opendkim/pid", encoding="ascii") as file:
            opendkim = int(file.read())
        return {"postfix": super().parts()["postfix"] + [opendkim]}


class Haraka:
    name = "haraka"

    def __init__(self):
        self.port = relay_bench.free_port()

    def script(self, *arguments):
        with open(os.devnull, "w", encoding="ascii") as nothing:
            return subprocess.run([BENCH + "/peers/haraka.sh", *arguments],
                                  stdout=nothing, stderr=nothing, check=False,
                                  env=dict(os.environ, PORT=str(self.port),
                                           NPM_BEFORE=NPM_BEFORE)
                                  ).returncode == 0

    def install(self):
        return self.script("install")

    def start(self):
        if not self.script("start", "dkim", "cpus"):
            raise RuntimeError("Haraka did not start")

    def stop(self):
        self.script("stop")

    def parts(self):
        with open(os.environ["WORK"] + "/haraka-run/pid",
                  encoding="ascii") as file:
            return {"haraka": [int(file.read())]}

    def wal_flushes(self):
        return None

    def close(self):
        pass


class SignedLoad(relay_bench.SharedLoad):
    NAMES = {**relay_bench.SharedLoad.NAMES, "signed": "dkim"}


def rsa_rate():
    """Signatures a second of all cores together."""
    found = subprocess.run(
        ["openssl", "speed", "-seconds", "2", "-multi", str(os.cpu_count()),
         "rsa2048"], capture_output=True, text=True, check=True).stdout
    return float(re.search(r"^rsa 2048 bits +\S+ +\S+ +([0-9.]+)", found,
                           re.M)[1])


def sit(rounds, messages, connections):
    load = SignedLoad()
    relays = []
    runs = collections.defaultdict(list)
    rates = []
    try:
        relays = [SignedBaton(load.target), SignedPostfix(load.target),
                  RsaBaton(load.target)]
        haraka = Haraka()
        if haraka.install():
            relays.append(haraka)
        else:
            print("Haraka could not be installed here: it is left out")
        for number in range(1, rounds + 1):
            rates.append(rsa_rate())
            turn = relays if number % 2 else relays[::-1]
            for relay in turn:
                relay.start()
                try:
                    flat = relay_bench.measure(relay, load, messages,
                                               connections)
                    slow = relay_bench.measure(relay, load, RATE_MESSAGES,
                                               RATE_CONNECTIONS, RATE)
                finally:
                    relay.stop()
                runs[relay.name, "flat"].append(flat)
                runs[relay.name, "slow"].append(slow)
                print(f"round {number} {relay.name:10}"
                      f" {flat['delivered/s']:6.0f} delivered/s, signed"
                      f" {flat['signed']:.0f}, at {RATE}/s end to end p50"
                      f" {slow['end to end p50 ms']:.2f} ms", flush=True)
    finally:
        for relay in relays:
            relay.close()
        load.close()
    return runs, statistics.median(rates)


def median(runs, relay, kind, name):
    values = [run[name] for run in runs[relay, kind] if name in run]
    return statistics.median(values) if values else None


def cpu(runs, relay):
    """Of all its parts, microseconds a message."""
    return statistics.median(
        sum(value for name, value in run.items()
            if name.startswith("CPU us/message")) for run in runs[relay, "flat"])


def print_table(runs, relays):
    rows = [("flat", "delivered/s"), ("flat", "ack p50 ms"),
            ("flat", "end to end p50 ms"), ("slow", "end to end p50 ms"),
            ("slow", "end to end p99 ms"), ("flat", "twice")]
    print(f"\n{'medians':30}" + "".join(f"{relay:>12}" for relay in relays))
    for kind, name in rows:
        title = name if kind == "flat" else f"at {RATE}/s, {name}"
        print(f"{title:30}" + "".join(
            f"{median(runs, relay, kind, name):12.2f}" for relay in relays))
    print(f"{'CPU us/message, all parts':30}" + "".join(
        f"{cpu(runs, relay):12.0f}" for relay in relays))


def verdicts(runs, rate):
    def ratio(relay, other, name="delivered/s", kind="flat"):
        return median(runs, relay, kind, name) / median(runs, other, kind, name)

    found = []
    for relay in ("baton", "baton-rsa"):
        many = ratio(relay, "postfix")
        found += [(f"{relay}: delivered/s {many:.2f} times Postfix's with "
                   "OpenDKIM, at least 5", many >= 5),
                  (f"{relay}: the goal: at least 10 times", many >= 10)]
        if runs["haraka", "flat"]:
            many = ratio(relay, "haraka")
            found.append((f"{relay}: delivered/s {many:.2f} times Haraka's, at "
                          "least 3", many >= 3))
        used = cpu(runs, relay) / cpu(runs, "postfix")
        found.append((f"{relay}: CPU a message {used:.2f} of Postfix's and "
                      "OpenDKIM's, at most 0.18", used <= 0.18))
        waits = ratio(relay, "postfix", "end to end p50 ms", "slow")
        found.append((f"{relay}: end to end p50 at {RATE}/s {waits:.2f} of "
                      "Postfix's, at most 0.6", waits <= 0.6))
        share = median(runs, relay, "flat", "delivered/s") / rate
        found.append((f"{relay}: {share:.2f} of the cores' RSA-2048 rate "
                      f"({rate:.0f}/s), the goal is 0.6", share >= 0.6))
        every = runs[relay, "flat"] + runs[relay, "slow"]
        found.append((f"{relay}: each message arrived once, and signed", all(
            run["twice"] == 0 and run["unique"] == run["accepted"] and
            run["signed"] >= run["accepted"] for run in every)))
    return found


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    given = [int(value) for value in sys.argv[1:4]]
    rounds, messages, connections = given + [3, 4000, 32][len(given):]
    if not os.path.exists(BENCH + "/load.sh"):
        sys.exit(f"There is no {BENCH}/load.sh: set BENCH to the folder with the "
                 "generator, the sink and the peers.")
    print(f"{rounds} rounds of {messages} messages of 4 KB over {connections} "
          "connections: rewritten (Baton), signed, durable")
    runs, rate = sit(rounds, messages, connections)
    relays = [name for name, kind in runs if kind == "flat"]
    print_table(runs, list(dict.fromkeys(relays)))
    print()
    for wanted, holds in verdicts(runs, rate):
        print(f"{'yes' if holds else 'NO '}  {wanted}")
    with open(os.path.join(ROOT, "build/signed.json"), "w",
              encoding="ascii") as out:
        json.dump({"/".join(key): value for key, value in runs.items()}, out,
                  indent=1)


if __name__ == "__main__":
    main()
