# SPDX-License-Identifier: MIT
"""The command line: what it changes takes effect at once, what is wrong is said
in one sentence."""

import json
import re
import subprocess

import pytest

import instance
from dialogue import message
from waiting import wait_until

HELLO = message()


def baton_alone(*arguments):
    result = subprocess.run([instance.BINARY, *arguments], capture_output=True,
                            text=True, timeout=30, cwd="/",
                            env=instance.environment())
    assert not instance.CRASH.search(result.stderr), result.stderr
    return result


def subcommands():
    """The names that `baton --help` lists."""
    text = baton_alone("--help").stdout
    return re.findall(r"^  ([a-z]+(?: (?:add|list|remove|set|show|retry|cancel|"
                      r"suspended|suspend|resume|reference))?)(?=\s|$)", text, re.M)


def test_help_lists_the_subcommands():
    result = baton_alone("--help")
    assert result.returncode == 0
    names = subcommands()
    for name in ("serve", "migrate", "config", "account add", "credential add",
                 "network add", "domain add", "set", "route set", "message show",
                 "message list", "queue", "queue retry", "queue cancel",
                 "queue suspend", "queue resume", "sandbox list", "health"):
        assert name in names, name


def test_the_manual_page_names_every_subcommand():
    with open(instance.ROOT + "/docs/baton.1", encoding="utf-8") as file:
        page = file.read().replace("\\-", "-")
    for name in subcommands():
        assert re.search(rf"^\.(?:It|Ic|Cm|B|TP).*\b{name}\b|\\fB(?:baton )?{name}\b",
                         page, re.M), name


def test_the_manual_page_is_well_formed():
    result = subprocess.run(["mandoc", "-T", "lint", "-W", "error",
                             instance.ROOT + "/docs/baton.1"],
                            capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("arguments", [
    (), ("what",), ("account",), ("account", "what"), ("account", "add"),
    ("message", "show"), ("message", "show", "x", "y", "z"),
    ("queue", "--what"), ("migrate", "too", "many", "words")])
def test_wrong_usage_is_2_and_says_what_is_right(arguments):
    result = baton_alone(*arguments)
    assert result.returncode == 2
    assert len(result.stderr) > 10


def test_version():
    assert re.search(r"\d+\.\d+\.\d+", baton_alone("--version").stdout)


def test_a_database_that_is_away_is_named():
    result = baton_alone("account", "list", "--config", "/dev/null")
    assert result.returncode == 1
    assert "database" in result.stderr.lower() or "PostgreSQL" in result.stderr


# Accounts, credentials, networks, domains


def test_an_account_from_beginning_to_end(baton, sink):
    baton.cli("account", "add", "shop")
    assert any(row["name"] == "shop" for row in baton.cli_json("account", "list"))
    again = baton.cli("account", "add", "shop", check=False)
    assert again.returncode == 1 and "shop" in again.stderr

    password = baton.cli_json("credential", "add", "shop", "Shop-Web")["password"]
    assert len(password) >= 22  # 128 bits
    baton.cli("domain", "add", "shop", "shop.example")

    def logged_in():
        with baton.dialogue("clear") as d:
            d.ehlo()
            import base64
            token = base64.b64encode(f"\0shop-web\0{password}".encode()).decode()
            return d.command("AUTH PLAIN " + token).code == 235
    wait_until(logged_in, "the new password to be accepted")

    with baton.dialogue("clear") as d:
        d.ehlo()
        d.login("shop-web", password)
        reply = d.command("MAIL FROM:<a@foreign.example>")
        assert reply.code == 550 and "any_sender" in reply.text
        d.envelope("a@shop.example", "b@rcpt.example")
        d.data(message(sender="a@shop.example"))
    sink.wait_for(1)

    baton.cli("credential", "remove", "shop", "shop-web")
    wait_until(lambda: not logged_in(), "the password to be refused")
    baton.cli("domain", "remove", "shop", "shop.example")


def test_networks(baton, sink):
    baton.cli("account", "add", "lan")
    baton.cli("set", "lan", "any_sender", "on")
    baton.cli("network", "add", "lan", "127.0.0.0/30")
    assert baton.cli_json("network", "list")[0]["range"] == "127.0.0.0/30"

    def may_send():
        with baton.dialogue("clear") as d:
            d.ehlo()
            if d.command("MAIL FROM:<a@sender.example>").code != 250:
                return False
            return d.command("RCPT TO:<b@rcpt.example>").code == 250
    wait_until(may_send, "the network to be known")
    baton.cli("network", "remove", "lan", "127.0.0.0/30")
    wait_until(lambda: not may_send(), "the network to be forgotten")


@pytest.mark.parametrize("arguments,word", [
    (("credential", "add", "nobody-knows", "x"), "nobody-knows"),
    (("domain", "add", "demo", "no domain"), "no domain"),
    (("network", "add", "demo", "10.0.0.0/99"), "10.0.0.0/99"),
    (("set", "demo", "no_such_setting", "on"), "no_such_setting"),
    (("set", "demo", "any_sender", "perhaps"), "perhaps"),
    (("route", "set", "x.example", "ftp://y"), "ftp"),
    (("message", "show", "12345"), "12345"),
    (("account", "remove", "nobody-knows"), "nobody-knows"),
    (("route", "remove", "nowhere.example"), "nowhere.example")])
def test_mistakes_are_named(baton, arguments, word):
    result = baton.cli(*arguments, check=False)
    assert result.returncode in (1, 2)
    assert word in result.stderr, result.stderr


def test_set_shows_and_changes(baton):
    baton.cli("set", "demo", "expires_after", "2 h")
    assert "2 h" in baton.cli("set", "demo").stdout
    message_id = None

    def expiry():
        nonlocal message_id
        message_id = baton.submit(HELLO)
        return baton.value(
            "SELECT extract(epoch FROM expires_at - accepted_at)::int FROM "
            "baton.message WHERE message_id = %s", message_id) == 7200
    wait_until(expiry, "the new time to live")
    baton.cli("set", "demo", "expires_after", "4 d")


# Messages


def test_message_show_and_list(baton, sink):
    message_id = baton.submit(message(subject="shown here"),
                              ["one@rcpt.example", "two@rcpt.example"])
    wait_until(lambda: "queued" not in baton.deliveries().values(), "delivered")
    text = baton.cli("message", "show", str(message_id)).stdout
    for word in ("one@rcpt.example", "two@rcpt.example", "delivered",
                 "a@sender.example", "250 2.0.0 kept"):
        assert word in text, text
    shown = baton.cli_json("message", "show", str(message_id))
    assert str(message_id) in json.dumps(shown)
    rows = baton.cli_json("message", "list")
    mine = [row for row in rows if row["message_id"] == str(message_id)]
    assert {row["recipient"] for row in mine} == {"one@rcpt.example",
                                                  "two@rcpt.example"}
    assert baton.cli_json("message", "list", "--recipient",
                          "nobody@rcpt.example") == []


def test_control_characters_do_not_reach_the_terminal(baton, sink):
    sink.on["RCPT"] = b"550 5.1.1 \x1b[31mred\r\n"
    message_id = baton.submit(HELLO)
    wait_until(lambda: baton.value("SELECT state FROM baton.delivery WHERE "
                                   "message_id = %s", message_id) == "failed",
               "failed")
    text = baton.cli("message", "show", str(message_id)).stdout
    assert "\x1b" not in text and "red" in text


# The queue


@pytest.fixture
def waiting(make_baton, make_sink):
    """A Baton with three deliveries that were deferred, its sink and their
    message ids."""
    sink = make_sink(on={"RCPT": "451 4.2.0 Mailbox is busy"})
    baton = make_baton({"delivery": {"retry": "4 h"}},
                       routes={"*": f"smtp://127.0.0.1:{sink.port}"})
    ids = [baton.submit(HELLO, [f"b@d{i}.example"]) for i in range(3)]
    wait_until(lambda: baton.value("SELECT count(*) FROM baton.attempt") == 3,
               "three tries")
    sink.on.clear()
    return baton, sink, ids


def test_queue_says_what_waits_and_why(waiting):
    baton, _, ids = waiting
    rows = wait_until(lambda: len(baton.cli_json("queue")) == 3
                      and baton.cli_json("queue"), "three rows")
    assert {row["message_id"] for row in rows} == {str(i) for i in ids}
    why = baton.cli("queue", "--why").stdout
    assert "Mailbox is busy" in why


def test_queue_retry_of_one_domain(waiting):
    baton, sink, _ = waiting
    baton.cli("queue", "retry", "--domain", "d1.example")
    assert sink.wait_for(1)[0].recipients == ["b@d1.example"]
    wait_until(lambda: baton.value("SELECT count(*) FROM baton.queue") == 2,
               "two that wait")


def test_queue_cancel_of_one_message(waiting):
    baton, sink, ids = waiting
    baton.cli("queue", "cancel", "--message", str(ids[0]))
    wait_until(lambda: baton.deliveries()["b@d0.example"] == "cancelled",
               "cancelled")
    assert baton.value("SELECT count(*) FROM baton.event WHERE kind = "
                       "'cancelled'") == 1
    assert not sink.messages


def test_queue_suspend_and_resume(waiting):
    baton, sink, _ = waiting
    baton.cli("queue", "suspend", "--domain", "later.example")
    baton.cli("route", "list")

    def is_suspended():
        baton.submit(HELLO, ["b@later.example"])
        return "suspended" in baton.cli("queue", "--why").stdout
    wait_until(is_suspended, "a suspended delivery")
    taken = [m for m in sink.messages if m.recipients == ["b@later.example"]]
    count = len(taken)
    baton.cli("queue", "resume", "--domain", "later.example")
    wait_until(lambda: baton.value("SELECT count(*) FROM baton.queue WHERE "
                                   "domain = 'later.example'") == 0,
               "the suspended ones to be delivered")
    assert len([m for m in sink.messages
                if m.recipients == ["b@later.example"]]) > count


# Routes and the sandbox


def test_routes_take_effect_at_once(baton, make_sink):
    other = make_sink()
    baton.cli("route", "set", "elsewhere.example",
              f"smtp://127.0.0.1:{other.port}")

    def goes_there():
        baton.submit(HELLO, ["b@elsewhere.example"])
        return other.messages
    wait_until(goes_there, "the new route")
    listed = baton.cli_json("route", "list")
    assert any(row["destination"] == "elsewhere.example" for row in listed)
    baton.cli("route", "remove", "elsewhere.example")


def test_a_route_does_not_show_its_password(baton):
    baton.cli("route", "set", "secret.example", "smtps://me:c4n4ry@127.0.0.1:1")
    assert "c4n4ry" not in baton.cli("route", "list").stdout
    baton.cli("route", "remove", "secret.example")


def test_the_sandbox(baton):
    baton.cli("route", "set", "sand.example", "sandbox:")

    def kept():
        baton.submit(message(subject="in the sand"), ["b@sand.example"])
        return baton.cli_json("sandbox", "list")
    rows = wait_until(kept, "a delivery in the sandbox")
    shown = baton.cli("sandbox", "show", str(rows[0]["delivery_id"])).stdout
    assert "Subject: in the sand" in shown and "Received:" in shown


# Migration and health


def test_migrate_twice_and_at_once(postgres):
    postgres.execute("CREATE DATABASE migrated")
    baton = instance.Baton(postgres.url_of("migrated"))
    try:
        running = [subprocess.Popen([instance.BINARY, "migrate", "--config",
                                     baton.config], env=instance.environment(),
                                    stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT)
                   for _ in range(4)]
        for one in running:
            output = one.communicate(timeout=60)[0]
            assert one.returncode == 0, output
        baton.cli("migrate")
    finally:
        baton.close()
        postgres.execute("DROP DATABASE migrated")


def test_health(baton, make_baton):
    assert baton.cli("health").returncode == 0
    stopped = make_baton(start=False)
    result = stopped.cli("health", check=False)
    assert result.returncode == 1 and result.stderr


def test_durability_that_is_off_stops_the_start(make_baton, postgres):
    """T1: the control."""
    def unsafe(baton):
        name = baton.value("SELECT current_database()")
        baton.sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
    baton = make_baton(prepare=unsafe, start=False)
    assert "synchronous_commit" in baton.fail_to_start()
    baton.settings["database"]["allow_unsafe_durability"] = "on"
    baton.write_config()
    baton.start()
