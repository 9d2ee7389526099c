# SPDX-License-Identifier: MIT
"""A DNS server on loopback that knows what a test tells it.

    Nameserver({"a.example": ["MX 10 mx.a.example"],
                "mx.a.example": ["A 127.0.0.2"]})

A name that is not listed does not exist; "SERVFAIL" as a record is answered so;
"." in "MX 0 ." is the root (RFC 7505). A TXT over 255 octets is written in one
string, and served in several (RFC 6376, 3.6.2.2).
"""

import re

import dnslib
import dnslib.server


class Resolver(dnslib.server.BaseResolver):
    def __init__(self, records, ttl):
        self.records = records
        self.ttl = ttl
        self.questions = []
        for name, values in records.items():
            self.check(name, values)

    def check(self, name, values):
        """A record that cannot be served is the test's mistake: say so now."""
        for value in values:
            if value != "SERVFAIL":
                dnslib.RR.fromZone(f"{name}. 60 IN {self.absolute(value)}")

    def resolve(self, request, handler):
        reply = request.reply()
        name = str(request.q.qname).rstrip(".").lower()
        kind = dnslib.QTYPE[request.q.qtype]
        self.questions.append((name, kind))
        records = self.records.get(name)
        if records is None:
            exists = any(other.endswith("." + name) for other in self.records)
            reply.header.rcode = 0 if exists else dnslib.RCODE.NXDOMAIN
            self.add_authority(reply)
            return reply
        if "SERVFAIL" in records:
            reply.header.rcode = dnslib.RCODE.SERVFAIL
            return reply
        found = [record for record in records
                 if record.split()[0] in (kind, "CNAME")]
        for record in found:
            reply.add_answer(*dnslib.RR.fromZone(
                f"{name}. {self.ttl} IN {self.absolute(record)}"))
            if record.startswith("CNAME"):
                self.add_target(reply, record, kind)
        if not found:
            self.add_authority(reply)
        return reply

    def add_target(self, reply, alias, kind):
        """As a resolver does that looked it up: stubs ask no second time."""
        target = alias.split()[1].rstrip(".").lower()
        for record in self.records.get(target, []):
            if record.split()[0] == kind:
                reply.add_answer(*dnslib.RR.fromZone(
                    f"{target}. {self.ttl} IN {self.absolute(record)}"))

    @staticmethod
    def absolute(record):
        words = record.split()
        if words[0] == "TXT":
            return re.sub('"([^"]{256,})"', lambda long: " ".join(
                f'"{piece}"' for piece in re.findall(".{1,255}", long[1])), record)
        if words[0] in ("MX", "CNAME") and not words[-1].endswith("."):
            words[-1] += "."
        return " ".join(words)

    def add_authority(self, reply):
        reply.add_auth(*dnslib.RR.fromZone(
            f"example. {self.ttl} IN SOA ns.example. host.example. 1 60 60 60 1"))


class Nameserver:
    def __init__(self, records, ttl=60):
        self.resolver = Resolver({name.lower(): list(values)
                                  for name, values in records.items()}, ttl)
        quiet = dnslib.server.DNSLogger(log="-request,-reply,-truncated,-error,"
                                        "-recv,-send,-data", prefix=False)
        for _ in range(20):
            udp = dnslib.server.DNSServer(self.resolver, address="127.0.0.1",
                                          port=0, logger=quiet)
            self.port = udp.server.server_address[1]
            try:
                tcp = dnslib.server.DNSServer(self.resolver, tcp=True,
                                              address="127.0.0.1",
                                              port=self.port, logger=quiet)
            except OSError:
                udp.server.server_close()
                continue
            break
        self.servers = [udp, tcp]
        for server in self.servers:
            server.start_thread()

    def add(self, records):
        """More of them, from now on; those of a name take the place of others."""
        for name, values in records.items():
            self.resolver.check(name, values)
            self.resolver.records[name.lower()] = list(values)

    @property
    def setting(self):
        return f"127.0.0.1@{self.port}"

    @property
    def questions(self):
        return self.resolver.questions

    def publish(self, name, kind, value):
        """One more record of a name."""
        if kind == "TXT":
            value = " ".join(f'"{value[at:at + 255]}"'
                             for at in range(0, len(value), 255))
        record = f"{kind} {value}"
        dnslib.RR.fromZone(f"{name}. 60 IN {self.resolver.absolute(record)}")
        self.resolver.records.setdefault(name.lower(), []).append(record)

    def remove(self, name):
        del self.resolver.records[name.lower()]

    def close(self):
        for server in self.servers:
            server.stop()
            server.server.server_close()
