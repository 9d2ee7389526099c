# SPDX-License-Identifier: MIT
"""Verifies the messages whose paths come on standard input, a line each, with
dkimpy; keys come from the DNS server on the loopback port that is given. Prints a
JSON object for each signature: file, domain, selector, algorithm, result."""

import functools
import json
import sys

import dkim
import dns.resolver
from dkim.util import parse_tag_value

server = dns.resolver.Resolver(configure=False)
server.nameservers = ["127.0.0.1"]
server.port = int(sys.argv[1])


@functools.lru_cache(maxsize=None)
def look_up(name, timeout=5):
    try:
        answer = server.resolve(name.decode(), "TXT", lifetime=timeout)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return None
    return b"".join(answer[0].strings)


for path in sys.stdin.read().splitlines():
    with open(path, "rb") as file:
        message = dkim.DKIM(file.read(), minkey=2048, timeout=5)
    fields = [value for name, value in message.headers
              if name.lower() == b"dkim-signature"]
    for index, field in enumerate(fields):
        tags = {name.decode(): value.decode("latin-1")
                for name, value in parse_tag_value(field).items()}
        reason = ""
        try:
            result = message.verify(idx=index, dnsfunc=look_up)
        except dkim.DKIMException as fault:
            result, reason = False, f"{type(fault).__name__}: {fault}"
        print(json.dumps({"file": path, "domain": tags.get("d", ""),
                          "selector": tags.get("s", ""),
                          "algorithm": tags.get("a", ""),
                          "result": "pass" if result else "fail",
                          "reason": reason}))
