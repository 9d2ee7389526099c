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
    return re.findall(r"^  ([a-z][a-z-]*(?: (?:add|list|remove|rename|rotate|set|show|"
                      r"diff|import|export|retry|cancel|suspended|suspend|resume|"
                      r"reference))?)(?=\s|$)", text, re.M)


def test_help_lists_the_subcommands():
    result = baton_alone("--help")
    assert result.returncode == 0
    names = subcommands()
    for name in ("serve", "migrate", "config", "account add", "credential add",
                 "network add", "domain add", "set", "route set", "message show",
                 "message list", "queue", "queue retry", "queue cancel",
                 "queue suspend", "queue resume", "sandbox list", "health",
                 "group list", "group rename", "group set", "counters",
                 "suppression list", "suppression add", "suppression remove",
                 "suppression import", "suppression export", "key list",
                 "tracking-host add", "key rotate", "message diff"):
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


@pytest.mark.parametrize("arguments,word", [
    (("counters",), "ACCOUNT is missing\nusage: baton counters ACCOUNT"),
    (("group", "set", "demo", "News"), "KEY is missing\nusage: baton group set"),
    (("set",), "ACCOUNT is missing"),
    (("queue", "reset"), 'no command "queue reset"; did you mean'),
    (("help", "quue"), 'no command "quue"'),
    (("counters", "a", "b"), "too many arguments")])
def test_wrong_usage_is_named(arguments, word):
    result = baton_alone(*arguments)
    assert result.returncode == 2 and word in result.stderr, result.stderr


def test_help_of_one_command_is_about_that_one():
    helped = baton_alone("help", "counters")
    assert helped.returncode == 0
    assert helped.stdout == baton_alone("counters", "--help").stdout
    assert "--hourly" in helped.stdout and "suppression" not in helped.stdout
    family = baton_alone("help", "key").stdout
    assert "key rotate" in family and "counters" not in family
    assert "queue retry" in baton_alone("queue", "--help").stdout


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


def test_an_account_goes_with_what_it_has(baton):
    baton.cli("account", "add", "closing")
    assert baton.cli("account", "remove", "closing").stdout == (
        "account closing removed\n")
    baton.cli("account", "add", "closing")
    for user in ("web", "mail"):
        baton.cli("credential", "add", "closing", user + "-of-closing")
    baton.cli("domain", "add", "closing", "closing.example")
    baton.cli("group", "add", "closing", "News")
    baton.cli("suppression", "add", "closing", "a@rcpt.example")
    baton.cli("suppression", "add", "closing", "b@rcpt.example")
    baton.cli("untracked", "add", "closing", "c@rcpt.example")
    refused = baton.cli("account", "remove", "closing", check=False)
    assert refused.returncode == 1
    for words in ("has 2 suppressions, 1 objection to being tracked, which",
                  "baton suppression export closing", "--yes"):
        assert words in refused.stderr, refused.stderr
    assert len(baton.cli_json("suppression", "list", "closing")) == 2
    removed = baton.cli("account", "remove", "closing", "--yes").stdout
    assert ("account closing removed, with 2 user names, 1 domain, 1 group, 2"
            " suppressions, 1 objection to being tracked\n") == removed
    assert not [row for row in baton.cli_json("account", "list")
                if row["name"] == "closing"]


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
    (("set", "demo", "track_clicks", "perhaps"), "text, both"),
    (("set", "demo", "privcy", "full"), "did you mean privacy"),
    (("group", "list", "nobody-knows"), "nobody-knows"),
    (("group", "set", "demo", "No group", "track_opens", "off"), "No group"),
    (("group", "set", "demo", "X", "any_sender", "on"), "any_sender"),
    (("group", "add", "demo", "x" * 101), "100 bytes"),
    (("counters", "demo", "--since", "teatime"), "teatime"),
    (("counters", "demo", "--group", "No group"), "No group"),
    (("suppression", "add", "demo", "no-address"), "no-address"),
    (("suppression", "add", "demo", "a@b.c", "--reason", "mood"), "mood"),
    (("suppression", "add", "demo", "a@b.c", "--expires", "soon"), "soon"),
    (("suppression", "remove", "demo", "a@b.c"), "a@b.c"),
    (("suppression", "import", "demo", "/nowhere.csv"), "/nowhere.csv"),
    (("tracking-host", "add", "demo", "no host"), "no host"),
    (("tracking-host", "remove", "demo", "x.example"), "x.example"),
    (("pass-through", "perhaps"), "perhaps"),
    (("untracked", "add", "demo", "no-address"), "no-address"),
    (("untracked", "remove", "demo", "a@b.c"), "a@b.c"),
    (("credential", "add", "demo", "y", "--group", "{y}"), "without its braces"),
    (("group", "add", "demo", "{News}"), "give the name without its braces"),
    (("group", "rename", "demo", "x", "{News}"), "give the name without its braces"),
    (("group", "set", "demo", "X", "trackopens", "off"), "did you mean track_opens"),
    (("suppression", "add", "demo", "*@example.org"),
     "name one address; domains cannot be suppressed"),
    (("suppression", "add", "demo", "example.org"), "domains cannot be suppressed"),
    (("tracking-host", "add", "demo", "https://click.shop.example/x"),
     "give the host alone: click.shop.example\n"),
    (("tracking-host", "add", "demo", "click.shop.example:8443"),
     "has no port, only [server] public_url can have one"),
    (("tracking-host", "add", "demo", "click.shop.example/c"),
     "give the host alone: click.shop.example\n"),
    (("tracking-host", "add", "demo", "links"), "has no dot"),
    (("credential", "add", "demo", "y", "--group", " "), "empty"),
    (("message", "diff", "12345", "a@b"), "12345"),
    (("message", "diff", "x", "a@b"), "no message id"),
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


def test_queue_cancel_and_retry_of_nothing_say_so(waiting):
    baton, _, ids = waiting
    for verb in ("cancel", "retry"):
        result = baton.cli("queue", verb, "--message", "12345", check=False)
        assert result.returncode == 1
        assert "there is no message 12345" in result.stderr
    one = baton.cli("queue", "cancel", "--message", str(ids[0])).stdout
    assert "1 delivery cancelled;" in one
    again = baton.cli("queue", "cancel", "--message", str(ids[0])).stdout
    assert "0 deliveries cancelled: nothing of that waits" in again
    assert "1 delivery is due at once\n" in baton.cli(
        "queue", "retry", "--domain", "d1.example").stdout


def test_queue_retry_leaves_what_its_sender_wants_later(waiting):
    baton, sink, _ = waiting
    later = "X-Baton-Send-At: in 3 h\r\n" + HELLO
    message_id = baton.submit(later, ["b@later.example", "c@later.example"])

    def why():
        return baton.cli_json("queue", "--domain", "later.example")[0]["why"]
    assert re.fullmatch(r"its sender wants it sent at 20\d\d-\d\d-\d\d "
                        r"\d\d:\d\d:\d\d UTC", why())
    instant = "SELECT due_at FROM baton.queue WHERE message_id = %s"
    due_at = baton.value(instant, message_id)
    groups = baton.cli_json("queue", "--why")["queue"]
    assert [(row["delivery_count"], row["why"]) for row in groups
            if row["domain"] == "later.example"] == [
        (2, "its sender wants it sent later")]

    said = baton.cli("queue", "retry", "--all").stdout
    assert said == ("3 deliveries are due at once; 2 more wait for the time that"
                    " their sender wants\n")
    assert len(sink.wait_for(3)) == 3
    assert baton.cli_json("queue", "retry", "--message", str(message_id)) == {
        "retried_count": 0, "later_count": 2}
    assert baton.value(instant, message_id) == due_at
    assert not [m for m in sink.messages if "b@later.example" in m.recipients]

    # When it is due it is a delivery like any other.
    sink.on["RCPT"] = b"451 4.2.0 Mailbox is busy\r\n"
    baton.sql("UPDATE baton.queue SET due_at = now() WHERE message_id = %s",
              message_id)
    wait_until(lambda: baton.value(
        "SELECT count(*) FROM baton.queue WHERE message_id = %s"
        " AND attempt_count = 1 AND due_at > now()", message_id) == 2,
        "two that were deferred", 30)
    sink.on.clear()
    assert "2 deliveries are due at once\n" in baton.cli(
        "queue", "retry", "--message", str(message_id)).stdout


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


# Groups and what is done to their messages


def test_set_knows_what_is_done_to_messages(baton):
    settings = {row["key"]: row for row in baton.cli_json("set", "demo")}
    assert settings["track_opens"]["value"] == "on"
    assert settings["any_sender"]["value"] == "on"
    baton.cli("set", "demo", "privacy", "pseudonymous")
    settings = {row["key"]: row for row in baton.cli_json("set", "demo")}
    assert settings["privacy"]["value"] == "pseudonymous"
    assert not settings["privacy"]["is_default"]
    baton.cli("set", "demo", "privacy", "--default")
    helped = baton_alone("set", "--help").stdout
    for word in ("any_sender", "recipients_per_day", "privacy", "pseudonymous"):
        assert word in helped
    assert list(settings).count("expires_after") == 1


def test_groups(baton):
    baton.cli("group", "add", "demo", "Alerts")
    again = baton.cli("group", "add", "demo", "ALERTS", check=False)
    assert again.returncode == 1 and "already" in again.stderr
    baton.cli("group", "set", "demo", "Alerts", "kind", "marketing")
    baton.cli("group", "set", "demo", "alerts", "track_opens", "off")
    baton.cli("group", "set", "demo", "Alerts", "expires_after", "10 min")
    baton.cli("group", "set", "demo", "Alerts", "track_opens", "default")
    row, = [row for row in baton.cli_json("group", "list", "demo")
            if row["group_name"] == "Alerts"]
    assert row["kind"] == "marketing" and row["outbound"] == 0
    assert row["settings"] == {"expires_after": "10 min"}
    baton.cli("group", "rename", "demo", "alerts", "Daily alert")
    names = [row["group_name"] for row in baton.cli_json("group", "list", "demo")]
    assert "Daily alert" in names and "Alerts" not in names
    assert "Daily alert" in baton.cli("group", "list", "demo").stdout


def test_a_group_that_is_there_is_named_as_it_is(baton):
    baton.cli("group", "add", "demo", "News Letter")
    baton.cli("group", "add", "demo", "Other")
    for line in (("add", "demo", "NEWS letter"),
                 ("rename", "demo", "Other", "news LETTER")):
        result = baton.cli("group", *line, check=False)
        assert result.returncode == 1
        assert 'has a group "News Letter" already' in result.stderr


def test_values_and_names_of_settings_are_taken_in_any_case(baton):
    def setting(name):
        return {row["key"]: row["value"] for row in baton.cli_json("set", "demo")}[name]
    for written, name, value in (
            ("FULL", "privacy", "full"), ("Pseudonymous", "PRIVACY", "pseudonymous"),
            ("ACCEPT", "On_Refusal", "accept"), ("OFF", "analytics", "off"),
            ("Autumn Sale", "utm_campaign", "Autumn Sale"),
            ("Unlimited", "recipients_per_day", "unlimited")):
        baton.cli("set", "demo", name, written)
        assert setting(name.lower()) == value
        baton.cli("set", "demo", name, "--default")
    baton.cli("group", "add", "demo", "Cases", "--kind", "Marketing")
    baton.cli("group", "set", "demo", "Cases", "Track_Opens", "OFF")
    row, = [row for row in baton.cli_json("group", "list", "demo")
            if row["group_name"] == "Cases"]
    assert row["kind"] == "marketing" and row["settings"] == {"track_opens": "off"}
    baton.cli("group", "set", "demo", "Cases", "KIND", "Transactional")
    assert baton.cli_json("pass-through", "Off") == {"pass_through": "off"}
    baton.cli("suppression", "add", "demo", "x@rcpt.example", "--reason",
              "Unsubscribe")
    row, = baton.cli_json("suppression", "list", "demo", "--reason", "UNSUBSCRIBE")
    assert row["reason"] == "unsubscribe"
    baton.cli("suppression", "remove", "demo", "x@rcpt.example")
    baton.cli("message", "list", "--state", "Queued")


def test_a_credential_has_a_group(baton):
    baton.cli("credential", "add", "demo", "grouped", "--group", "Receipts")
    row, = [row for row in baton.cli_json("credential", "list", "demo")
            if row["user_name"] == "grouped"]
    assert row["group_name"] == "Receipts"
    baton.cli("credential", "remove", "demo", "grouped")


def test_counters(baton):
    group = baton.value("INSERT INTO baton.message_group (account_id, name)"
                        " VALUES (1, 'Counted') RETURNING group_id")
    for shard in (8, 16):
        baton.sql("INSERT INTO baton.counter (account_id, group_id, hour, shard,"
                  " outbound, sent, failed_expired, opens_human, bytes) VALUES"
                  " (1, %s, date_trunc('hour', now()), %s, 3, 2, 1, 1, 900),"
                  " (1, %s, date_trunc('hour', now() - interval '90 days'), %s, 7,"
                  " 7, 0, 0, 1)", group, shard, group, shard)
    day, = baton.cli_json("counters", "demo", "--group", "counted")
    assert (day["outbound"], day["sent"], day["failed"], day["bytes"]) == (
        6, 4, 2, 1800)
    hours = baton.cli_json("counters", "demo", "--group", "Counted", "--hourly",
                           "--since", "100d")
    assert [row["outbound"] for row in hours] == [6, 14]
    text = baton.cli("counters", "demo", "--group", "Counted").stdout
    assert re.search(r"day +outbound .*opens_human", text) and " 6 " in text
    assert "cancelled" not in text and "resubscribes" not in text
    baton.sql("UPDATE baton.counter SET cancelled = 5, resubscribes = 2 WHERE"
              " group_id = %s AND shard = 8", group)
    text = baton.cli("counters", "demo", "--group", "Counted").stdout
    assert re.search(r"failed +cancelled +complaints .*unsubscribes +resubscribes",
                     text) and re.search(r" 5 .* 2\n", text)
    everything = baton.cli_json("counters", "demo")
    assert sum(row["outbound"] for row in everything) >= 6
    result = baton.cli("counters", "demo", "--daily", "--hourly", check=False)
    assert result.returncode == 2


# Suppressions


def test_a_suppression_from_beginning_to_end(baton):
    baton.cli("group", "add", "demo", "Letters")
    baton.cli("suppression", "add", "demo", "Ann@Rcpt.example", "--evidence",
              "by phone")
    baton.cli("suppression", "add", "demo", "ann@rcpt.example", "--group",
              "letters", "--reason", "complaint", "--expires", "90 d")
    baton.cli("suppression", "add", "demo", "ann@rcpt.example", "--group", "{}")
    found = baton.cli_json("suppression", "list", "demo", "--address",
                           "ANN@rcpt.example")
    assert {(row["group_name"], row["reason"], row["evidence"]) for row in found} \
        == {(None, "manual", "by phone"), ("Letters", "complaint", ""),
            ("{}", "manual", "")}
    expiring, = [row for row in found if row["expires_at"]]
    assert expiring["group_name"] == "Letters" and expiring["is_active"]
    one, = baton.cli_json("suppression", "list", "demo", "--group", "Letters")
    assert one["address"] == "ann@rcpt.example"
    again = baton.cli_json("suppression", "add", "demo", "ann@rcpt.example",
                           "--reason", "hard_bounce")
    assert again["is_new"] is False
    baton.cli("suppression", "remove", "demo", "ann@rcpt.example", "--group", "{}")
    baton.cli("suppression", "remove", "demo", "ANN@rcpt.example", "--all")
    assert baton.cli_json("suppression", "list", "demo") == []
    assert baton.cli("suppression", "list", "demo").stdout == "Nobody is suppressed.\n"
    assert "No such address" in baton.cli("suppression", "list", "demo", "--reason",
                                          "manual").stdout


def test_a_suppression_stops_what_is_queued(waiting):
    baton, _, ids = waiting
    result = baton.cli_json("suppression", "add", "demo", "b@d0.example",
                            "--evidence", "asked by phone")
    assert result["suppressed_count"] == 1
    event, = baton.sql("SELECT * FROM report.event WHERE kind = 'suppressed'"
                       " AND message_id = %s", ids[0])
    assert event["detail"] == {"reason": "manual", "evidence": "asked by phone",
                               "by": "operator"}
    shown = baton.cli("message", "show", str(ids[0])).stdout
    assert "suppressed: manual (asked by phone)" in shown
    assert baton.value("SELECT sum(failed_suppressed) FROM"
                       " report.counters_hourly") == result["suppressed_count"]
    states = baton.sql("SELECT recipient, state FROM baton.delivery"
                       " WHERE message_id = ANY (%s)", list(ids))
    assert sorted(row["state"] for row in states) == ["queued", "queued",
                                                      "suppressed"]


def test_a_suppression_reaches_what_a_worker_has_in_hand(waiting):
    baton, _, ids = waiting
    baton.sql("UPDATE baton.queue SET due_at = NULL, worker_id = (SELECT"
              " max(worker_id) FROM baton.worker) WHERE message_id = %s", ids[0])
    delivery = baton.value("SELECT delivery_id FROM baton.queue"
                           " WHERE message_id = %s", ids[0])
    baton.sql("LISTEN baton_queue")
    baton.cli("suppression", "add", "demo", "b@d0.example")

    def told():
        baton.connection.poll()
        return [notice.payload for notice in baton.connection.notifies]
    assert wait_until(told, "the workers to be told") == [
        f"cancel delivery {delivery} {ids[0]}"]


def test_a_suppression_of_a_group_leaves_the_others_alone(waiting):
    baton, _, ids = waiting
    baton.cli("group", "add", "demo", "Elsewhere")
    result = baton.cli_json("suppression", "add", "demo", "b@d1.example",
                            "--group", "Elsewhere")
    assert result["suppressed_count"] == 0
    assert baton.value("SELECT state FROM baton.delivery WHERE message_id = %s",
                       ids[1]) == "queued"


LIST = """\
group,address,reason,evidence,created_at,expires_at\r
,Bob@rcpt.example,hard_bounce,"550 5.1.1 ""no such user"", sorry",2026-01-02T03:04:05Z,\r
\r
"News, weekly",cat@rcpt.example,unsubscribe,"two
lines",,2099-01-01 00:00+01\r
{},dan@rcpt.example,,,,\r
,no-address,,,,\r
,eve@rcpt.example,mood,,,\r
,fay@rcpt.example,,,the day before,\r
,gus@rcpt.example,,\r
,"""


def test_import_names_bad_lines_and_takes_the_others(baton, tmp_path):
    path = tmp_path / "list.csv"
    path.write_bytes(b"\xef\xbb\xbf" + LIST.encode() + b"\xff@rcpt.example,,,,\n")
    result = baton.cli("suppression", "import", "demo", str(path), check=False)
    assert result.returncode == 1
    for line, word in ((7, "no-address"), (8, "mood"), (9, "the day before"),
                       (10, "4 fields"), (11, "UTF-8")):
        assert re.search(rf"line {line}: .*{word}", result.stderr), result.stderr
    assert "3 imported, 0 known already, 5 bad; 1 group made" in result.stdout
    found = {row["address"]: row for row in
             baton.cli_json("suppression", "list", "demo")}
    bob, cat = found["bob@rcpt.example"], found["cat@rcpt.example"]
    assert bob["evidence"] == '550 5.1.1 "no such user", sorry'
    assert bob["created_at"] == "2026-01-02T03:04:05Z" and not bob["expires_at"]
    assert cat["group_name"] == "News, weekly" and cat["evidence"] == "two\nlines"
    assert cat["expires_at"] == "2098-12-31T23:00:00Z"
    assert found["dan@rcpt.example"]["group_name"] == "{}"

    again = baton.cli("suppression", "import", "demo", str(path), check=False)
    assert "0 imported, 3 known already" in again.stdout
    exported = baton.cli("suppression", "export", "demo").stdout
    baton.sql("DELETE FROM baton.suppression")
    back = baton.cli("suppression", "import", "demo", input=exported)
    assert "3 imported" in back.stdout
    assert baton.cli("suppression", "export", "demo").stdout == exported
    assert len(baton.cli_json("suppression", "export", "demo")) == 3
    baton.sql("DELETE FROM baton.suppression")


def test_import_with_a_wrong_quote_loses_that_line_alone(baton):
    text = ("address,evidence\n" 'a1@x.example,"a""b"\n' 'b1@x.example,"a"b"\n'
            'c1@x.example,a"b\n' 'd1@x.example,"open\n' "e1@x.example,z\n")
    result = baton.cli("suppression", "import", "demo", input=text, check=False)
    assert result.returncode == 1 and "2 imported" in result.stdout
    for line in (3, 4, 5):
        assert f"line {line}: " in result.stderr
    assert {row["address"] for row in baton.cli_json("suppression", "list", "demo")
            } == {"a1@x.example", "e1@x.example"}
    baton.sql("DELETE FROM baton.suppression")


@pytest.mark.parametrize("at", ["now", "infinity", "yesterday", "epoch"])
def test_import_takes_instants_only(baton, at):
    text = f"address,expires_at\na1@x.example,{at}\n"
    result = baton.cli("suppression", "import", "demo", input=text, check=False)
    assert result.returncode == 1 and "is no time" in result.stderr


def test_an_id_that_no_message_can_have(baton):
    for command in ("diff", "show"):
        result = baton.cli("message", command, "9223372036854775807",
                           *(["a@b.example"] if command == "diff" else []),
                           check=False)
        assert result.returncode == 1 and "PostgreSQL" not in result.stderr


@pytest.mark.parametrize("text,word", [
    ("", "header"), ("email,reason\n", "email"), ("reason\n", "address"),
    ("address,address\n", "twice"), ('"address\n', "header")])
def test_import_says_what_a_header_has_to_be(baton, text, word):
    result = baton.cli("suppression", "import", "demo", input=text, check=False)
    assert result.returncode == 1 and word in result.stderr


def test_import_says_where_a_quote_does_not_end(baton):
    text = "address\na@rcpt.example\n\"b@rcpt.example\n"
    result = baton.cli("suppression", "import", "demo", input=text, check=False)
    assert "line 3: a quote does not end" in result.stderr
    assert "1 imported" in result.stdout
    baton.sql("DELETE FROM baton.suppression")


def test_import_of_many_is_quick_and_later_expiry_wins(baton):
    count = 20000
    rows = "".join(f"u{i}@many.example,2026-01-01T00:00:00Z\n" for i in range(count))
    baton.cli("suppression", "import", "demo",
              input="address,expires_at\n" + rows)
    assert baton.value("SELECT count(*) FROM report.suppression"
                       " WHERE NOT is_active") == count
    result = baton.cli("suppression", "import", "demo",
                       input="address,expires_at\nU1@many.example,\n"
                             "u2@many.example,2020-01-01T00:00:00Z\n")
    assert "1 imported, 1 known already" in result.stdout
    assert baton.value("SELECT address FROM report.suppression WHERE is_active") \
        == "u1@many.example"
    baton.sql("DELETE FROM baton.suppression")


# Hosts, keys and the emergency switch


def test_tracking_hosts(baton):
    first = baton.cli("tracking-host", "add", "demo", "Links.Demo.example").stdout
    assert ("new links of account demo are under https://links.demo.example/ from"
            " now on; its DNS must") in first
    second = baton.cli("tracking-host", "add", "demo", "plain.demo.example",
                       "--http").stdout
    assert "new ones stay under links.demo.example until" in second
    listed = baton.cli_json("tracking-host", "list", "demo")
    assert [(row["host"], row["scheme"], row["is_used"]) for row in listed] == [
        ("links.demo.example", "https", True),
        ("plain.demo.example", "http", False)]
    taken = baton.cli("tracking-host", "add", "demo", "links.demo.example",
                      check=False)
    assert taken.returncode == 1 and "demo has the host" in taken.stderr
    for row in listed:
        baton.cli("tracking-host", "remove", "demo", row["host"])
    assert baton.cli_json("tracking-host", "list") == []


def test_a_new_key_is_used_only_when_everybody_has_it(baton):
    before = baton.cli_json("key", "list")
    made = baton.cli_json("key", "rotate")
    after = baton.cli_json("key", "list")
    assert len(after) == len(before) + 1
    assert after[0]["key_id"] == made["key_id"] and after[0]["state"] == "coming"
    assert [row["state"] for row in after].count("current") == 1
    assert 50 < baton.value("SELECT extract(epoch FROM max(active_from) - now())"
                            "::int FROM baton.token_key") <= 60
    assert "secret" not in after[0]


def test_the_emergency_switch(baton):
    assert baton.cli_json("pass-through") == {"pass_through": "off"}
    assert baton.cli_json("pass-through", "ON") == {"pass_through": "on"}
    assert baton.value("SELECT value FROM baton.server_setting") == "on"

    def is_rewritten():
        message_id = str(baton.submit(HTML, ["b@rcpt.example"]))
        return "link" in {edit["what"] for edit in baton.cli_json(
            "message", "diff", message_id, "b@rcpt.example")["edits"]}
    wait_until(lambda: not is_rewritten(), "copies that are left alone")
    baton.cli("pass-through", "off")
    wait_until(is_rewritten, "copies that are rewritten")


# What a copy has that the message had not

HTML = (b"From: a@sender.example\r\nTo: b@rcpt.example\r\n"
        b"Subject: An offer {Offers}\r\nMIME-Version: 1.0\r\n"
        b"X-Baton-Tag: october\r\nX-Baton-Metadata: {\"order\": 4711}\r\n"
        b"Content-Type: text/html; charset=utf-8\r\n\r\n"
        b"<p>See <a href=\"https://shop.example/offer\">this</a></p>\r\n")


@pytest.fixture
def offer(baton):
    """The id of a message that is rewritten."""
    message_id = baton.submit(HTML, ["Ann@rcpt.example", "bob@rcpt.example"])
    baton.wait_for_empty_queue()
    return str(message_id)


def test_message_diff_shows_what_was_changed(baton, offer):
    text = baton.cli("message", "diff", offer, "ann@rcpt.example").stdout
    assert "\x1b" not in text  # it is no terminal
    assert re.search(r"link.*: https://shop\.example/offer → http://\S+/c/", text)
    assert all(re.match(r"[a-z-]+[ :]|    ", line) for line in text.splitlines()), text
    assert "X-Baton-Tag" in text and "/o/" in text
    edits = baton.cli_json("message", "diff", offer, "ann@rcpt.example")["edits"]
    link, = [edit for edit in edits if edit["what"] == "link"]
    assert link["before"] == "https://shop.example/offer"
    assert "/c/" in link["after"]


def test_message_diff_is_the_copy_that_left(baton, offer, sink):
    """Without what was removed, the marked text is what the sink got; without
    what was added, what was submitted."""
    shown = baton.cli_json("message", "diff", offer, "bob@rcpt.example", "--full")

    def text(*kinds):
        return "".join(part["text"] for part in shown["segments"]
                       if part["kind"] in kinds)
    received, = [m.data for m in sink.messages
                 if m.recipients == ["bob@rcpt.example"]]
    # The end of the dialogue needs a line end where the copy has none.
    assert received.decode() in (text("same", "added"),
                                 text("same", "added") + "\r\n")
    assert text("same", "removed") == HTML.decode()
    marked = baton.cli("message", "diff", offer, "bob@rcpt.example",
                       "--full").stdout
    assert "[-X-Baton-Tag: october" in marked and marked.endswith("\n")
    assert re.search(r'href="(?:\[-.*?-\])?\{\+http\S+/c/', marked), marked


def test_message_diff_of_a_recipient_who_objects(baton):
    baton.cli("untracked", "add", "demo", "Cat@rcpt.example")
    try:
        assert [row["address"] for row in
                baton.cli_json("untracked", "list", "demo")] == ["cat@rcpt.example"]

        def is_untracked():
            message_id = str(baton.submit(HTML, ["cat@rcpt.example"]))
            edits = baton.cli_json("message", "diff", message_id,
                                   "cat@rcpt.example")["edits"]
            return not {"link", "pixel"} & {edit["what"] for edit in edits}
        wait_until(is_untracked, "an objection that is known")
    finally:
        baton.cli("untracked", "remove", "demo", "cat@rcpt.example")


def test_message_diff_names_the_recipients_there_are(baton, offer):
    result = baton.cli("message", "diff", offer, "eve@rcpt.example", check=False)
    assert result.returncode == 1
    assert "Ann@rcpt.example, bob@rcpt.example" in result.stderr


def test_message_diff_says_that_the_bytes_are_gone(baton, offer):
    baton.sql("DELETE FROM baton.body WHERE message_id = %s", offer)
    result = baton.cli("message", "diff", offer, "ann@rcpt.example", check=False)
    assert result.returncode == 1 and "no longer kept" in result.stderr


def test_message_show_tells_opens_clicks_group_and_tags(baton, offer):
    baton.sql("INSERT INTO baton.event (account_id, event_id, occurred_at, kind,"
              " message_id, delivery_id, link_number, url, verdict,"
              " verdict_reason, user_agent) SELECT account_id, baton.make_id(),"
              " now(), 'clicked', message_id, delivery_id, 1,"
              " 'https://shop.example/offer', 'machine', 'scanner', 'curl/8'"
              " FROM baton.delivery WHERE message_id = %s"
              " AND recipient LIKE 'bob@%%'", offer)
    baton.sql("UPDATE baton.delivery SET click_count = 2, human_click_count = 1,"
              " first_clicked_at = now() WHERE message_id = %s"
              " AND recipient LIKE 'bob@%%'", offer)
    text = baton.cli("message", "show", offer).stdout
    assert re.search(r"group +Offers", text) and re.search(r"tags +october", text)
    assert "4711" in text
    assert re.search(r"clicks +2 \(1 without machines\), first at 20", text)
    assert re.search(r"clicked +link 1 https://shop.example/offer by machine: "
                     r"scanner with curl/8", text)
    events = baton.cli_json("message", "show", offer)["events"]
    assert [e["verdict"] for e in events if e["kind"] == "clicked"] == ["machine"]


def test_message_show_gives_programs_lists(baton, offer):
    baton.sql("UPDATE baton.delivery SET clicked_links = '{1}',"
              " clicked_at = ARRAY[now()] WHERE message_id = %s"
              " AND recipient LIKE 'bob@%%'", offer)
    shown = baton.cli_json("message", "show", offer)
    assert shown["tags"] == ["october"] and shown["metadata"] == {"order": 4711}
    assert [(row["clicked_links"], row["human_clicked_links"])
            for row in shown["deliveries"]] == [([], []), ([1], [])]
    keys = [*shown, *shown["deliveries"][0]]
    assert not [key for key in keys if key.endswith(("_text", "_json"))]


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
    assert shown.endswith("\n") and "-----" not in shown
    message_id = str(baton.submit(message(subject="no end", body="none"),
                                  ["b@sand.example", "c@sand.example"]))
    baton.wait_for_empty_queue()
    both = baton.cli("sandbox", "show", message_id).stdout
    assert both.count("Subject: no end") == 2 and both.endswith("\n")
    assert both.startswith("----- to b@sand.example -----\n")
    assert "\n----- to c@sand.example -----\n" in both
    one = baton.cli("sandbox", "show", message_id, "C@sand.example").stdout
    assert one.count("Subject: no end") == 1 and "-----" not in one
    row, = baton.cli_json("sandbox", "show", message_id, "c@sand.example")
    assert row["recipient"] == "c@sand.example"
    none = baton.cli("sandbox", "show", message_id, "d@sand.example", check=False)
    assert none.returncode == 1
    assert "those to b@sand.example, c@sand.example" in none.stderr
    baton.cli("route", "remove", "sand.example")


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
