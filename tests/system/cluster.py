# SPDX-License-Identifier: MIT
"""Nodes in networks of their own that share one PostgreSQL and one sink."""

import datetime
import re

import instance
import namespaces
from instance import Baton, add_account, add_route
from load import LoadGenerator, LoadSink
from namespaces import DATA, MAIL
from postgres import Postgres
from waiting import wait_until

LOGIN = f"{instance.USER}:{instance.PASSWORD}"
SINK_PORT = 2525


class Node(Baton):
    """A Baton in a network of its own; sql() goes past that network."""

    def __init__(self, namespace, url, data_url, settings):
        self.namespace = namespace
        super().__init__(url, settings, listeners={
            "clear": "tls=none auth_in_clear=on"})
        self.settings["database"]["url"] = data_url
        self.write_config()

    def launch(self):
        with self.namespace:
            super().launch()

    def http(self, *arguments, **keywords):
        with self.namespace:
            return super().http(*arguments, **keywords)

    def dialogue(self, *arguments, **keywords):
        with self.namespace:
            return super().dialogue(*arguments, **keywords)

    def load(self, **options):
        with self.namespace:
            return LoadGenerator(self.address("clear"), login=LOGIN, **options)

    def said(self, what):
        """When (seconds of the wall clock) the log said so, each time."""
        return [time_of(line) for line in self.log().splitlines() if what in line]


def time_of(line):
    stamp = re.search(r"\d{4}-\d\d-\d\dT[\d:.]+Z", line).group(0)
    return datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


class Cluster:
    def __init__(self, node_count=3):
        self.network = namespaces.Network(node_count)
        self.nodes = []
        self.sinks = []
        with self.network.hub:
            self.postgres = Postgres(listen=DATA + ".1")
        self.postgres.execute("CREATE DATABASE baton_template")
        baton = Baton(self.postgres.url_of("baton_template"))
        baton.cli("migrate")
        add_account(baton.sql, instance.USER, instance.PASSWORD)
        add_route(baton.sql, "*", f"smtp://{MAIL}.1:{SINK_PORT}")
        baton.close()

    def begin(self):
        """An empty database for the nodes to come."""
        self.url = self.postgres.create("baton_template")

    def node(self, number, settings):
        url = re.sub(r"@/(\w+)\?.*", rf"@{DATA}.1:5432/\1", self.url)
        self.nodes.append(Node(self.network.nodes[number], self.url, url,
                               settings))
        return self.nodes[-1].start()

    def sink(self, delay_ms=0):
        with self.network.hub:
            self.sinks.append(LoadSink(delay_ms, SINK_PORT, (MAIL + ".1",)))
        wait_until(self.sink_listens, "the sink")
        return self.sinks[-1]

    def sink_listens(self):
        with self.network.hub, \
                open("/proc/thread-self/net/tcp", encoding="ascii") as file:
            return f":{SINK_PORT:04X} 00000000:0000 0A" in file.read()

    def live_workers(self):
        return self.nodes[0].value("SELECT count(*) FROM baton.worker "
                                   "WHERE alive_until > now()")

    def end(self):
        failures = []
        for node in self.nodes:
            self.network.mend(node.namespace)
            try:
                node.close()
            except AssertionError as failure:
                failures.append(str(failure))
        for sink in self.sinks:
            sink.close()
        self.postgres.drop(self.url)
        self.nodes, self.sinks = [], []
        assert not failures, "\n".join(failures)

    def close(self):
        self.postgres.close()
        self.network.close()
