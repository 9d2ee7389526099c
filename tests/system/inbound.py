# SPDX-License-Identifier: MIT
"""A Baton that takes in what comes back, and a message whose return path is
known."""

from dialogue import message
from instance import PASSWORD, USER, add_account
from returned import ReturnPaths
from waiting import wait_until

HOST = "bounce.relay.example"
LISTENERS = {"smtp": "tls=optional", "clear": "tls=none auth_in_clear=on",
             "inbound": "tls=optional"}
POSTMASTER = "operator@office.example"


def make(factory, sink, settings=None, **keywords):
    server = {"return_path_host": HOST, "postmaster": POSTMASTER}
    server.update((settings or {}).pop("server", {}))
    return factory(settings={"server": server, **(settings or {})},
                   listeners=LISTENERS,
                   routes={"*": f"smtp://127.0.0.1:{sink.port}"}, **keywords)


def prepare(baton):
    demo = account_of(baton, USER)
    baton.sql("UPDATE baton.account"
              " SET settings = settings - 'suppress_hard_bounces'")
    baton.sql("INSERT INTO baton.domain (account_id, name)"
              " VALUES (%s, 'sender.example')", demo)
    baton.sql("INSERT INTO baton.message_group (account_id, name, kind)"
              " VALUES (%s, 'News', 'marketing')", demo)
    add_account(baton.sql, "other", PASSWORD)


def account_of(baton, name):
    return baton.value("SELECT account_id FROM baton.account WHERE name = %s",
                       name)


class Sent:
    """A message to one recipient that was handed over to the sink."""

    def __init__(self, baton, sink, recipient="b@rcpt.example", fields="",
                 sender="a@sender.example"):
        self.baton = baton
        self.paths = ReturnPaths(baton.sql)
        before = len(sink.messages)
        self.message_id = baton.submit(
            message(fields=fields, recipient=recipient, sender=sender),
            [recipient], sender)
        wait_until(lambda: len(sink.messages) > before, "the message")
        self.wire = sink.messages[-1]
        row = baton.sql("SELECT * FROM baton.delivery WHERE message_id = %s",
                        self.message_id)[0]
        self.account = row["account_id"]
        self.delivery = row["delivery_id"]
        wait_until(lambda: self.state() == "delivered", "the delivery's end")

    def row(self):
        return self.baton.sql("SELECT * FROM baton.delivery"
                              " WHERE account_id = %s AND delivery_id = %s",
                              self.account, self.delivery)[0]

    def state(self):
        return self.row()["state"]

    def events(self, kind=None):
        rows = self.baton.sql("SELECT * FROM baton.event WHERE account_id = %s"
                              " AND delivery_id = %s ORDER BY event_id",
                              self.account, self.delivery)
        return [row for row in rows if kind in (None, row["kind"])]

    def kinds(self):
        return [row["kind"] for row in self.events()]

    def address(self, letter="b"):
        return f"{self.paths.local(self.account, self.delivery, letter)}@{HOST}"


def bring(baton, recipient, content, sender="", code=250):
    """Hand a message in at the inbound listener; its last reply."""
    with baton.dialogue("inbound") as dialogue:
        dialogue.ehlo("mx.rcpt.example")
        dialogue.envelope(sender, recipient)
        reply = dialogue.data(content, code)
        dialogue.command("QUIT", 221)
        return reply


def counters(baton):
    return baton.sql(
        "SELECT coalesce(sum(outbound), 0)::int AS outbound,"
        " coalesce(sum(sent), 0)::int AS sent,"
        " coalesce(sum(deferred), 0)::int AS deferred,"
        " coalesce(sum(failed_permanent), 0)::int AS failed,"
        " coalesce(sum(complaints), 0)::int AS complaints,"
        " coalesce(sum(unsubscribes), 0)::int AS unsubscribes,"
        " coalesce(sum(inbound), 0)::int AS inbound FROM baton.counter")[0]


def suppressions(baton):
    return baton.sql("SELECT address, reason, evidence, group_id, delivery_id"
                     " FROM baton.suppression ORDER BY address")


def reports(sink, of):
    return [m for m in sink.messages if m.sender == ""
            and m.recipients == [of]]
