# SPDX-License-Identifier: MIT
"""Schema report: what its views say of a history that was written down by hand,
and of real traffic."""

import datetime
import json
import re

import psycopg2
import pytest

import instance
from conftest import close_all
from dialogue import message
from tokens import Tokens
from waiting import wait_until
from web import Web

UTC = datetime.timezone.utc
TODAY = datetime.datetime.now(UTC).replace(hour=0, minute=0, second=0,
                                           microsecond=0)
NOON = TODAY - datetime.timedelta(hours=12)  # of yesterday: always past
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
URL = "https://shop.example/offer"
OTHER = "https://shop.example/terms"


def minutes(count):
    return NOON + datetime.timedelta(minutes=count)


class History:
    """Three messages of account demo: two in the group News (ids 100 on), one
    without a group; delivered at noon of yesterday."""

    def __init__(self, baton):
        self.baton = baton
        self.sql = baton.sql
        self.account = baton.value("SELECT account_id FROM baton.account"
                                   " WHERE name = 'demo'")
        self.lowest = baton.value("SELECT baton.id_lowest_at(%s)", NOON)
        self.next_event = self.lowest + 1000
        self.news = self.sql(
            "INSERT INTO baton.message_group (account_id, name, kind)"
            " VALUES (%s, 'News', 'marketing') RETURNING group_id",
            self.account)[0]["group_id"]

    def message(self, number, group, tags=(), metadata=None):
        self.sql(
            "INSERT INTO baton.message (account_id, message_id, accepted_at,"
            " expires_at, sender, from_address, subject, internet_message_id,"
            " size_bytes, recipient_count, is_smtputf8, has_8bit, dsn_return,"
            " priority, client_address, client_name, protocol, trace, transcript,"
            " group_id, tags, metadata) VALUES (%s, %s, %s, %s, 'a@shop.example',"
            " 'a@shop.example', 'Hi', '<1@x>', 9, 1, false, false, 0, 0, '::1',"
            " 'c', 'ESMTP', '', '', %s, %s, %s)", self.account,
            self.lowest + number, NOON, NOON, group, list(tags),
            json.dumps(metadata or {}))

    def delivery(self, number, message_number, recipient, group, state="delivered",
                 **columns):
        columns = dict(columns, account_id=self.account,
                       delivery_id=self.lowest + number,
                       message_id=self.lowest + message_number,
                       recipient=recipient, domain=recipient.split("@")[1],
                       notify=0, state=state, group_id=group,
                       finished_at=NOON if state != "queued" else None)
        names = ", ".join(columns)
        places = ", ".join(["%s"] * len(columns))
        self.sql(f"INSERT INTO baton.delivery ({names}) VALUES ({places})",
                 *columns.values())

    def event(self, kind, delivery, message_number, group, at, **columns):
        self.next_event += 1
        columns = dict(columns, account_id=self.account, event_id=self.next_event,
                       occurred_at=at, kind=kind,
                       delivery_id=self.lowest + delivery,
                       message_id=self.lowest + message_number, group_id=group)
        names = ", ".join(columns)
        places = ", ".join(["%s"] * len(columns))
        self.sql(f"INSERT INTO baton.event ({names}) VALUES ({places})",
                 *columns.values())

    def count(self, group, at, shard, **counters):
        columns = dict(counters, account_id=self.account, group_id=group,
                       hour=at, shard=shard)
        names = ", ".join(columns)
        places = ", ".join(["%s"] * len(columns))
        self.sql(f"INSERT INTO baton.counter ({names}) VALUES ({places})",
                 *columns.values())

    def write(self):
        news = self.news
        self.message(1, news, ["october", "shoes"], {"order": 4711})
        self.message(2, 0)
        self.delivery(11, 1, "Ann@one.example", news, open_count=3,
                      human_open_count=2, first_opened_at=minutes(2),
                      first_human_opened_at=minutes(10), click_count=4,
                      human_click_count=2, first_clicked_at=minutes(3),
                      clicked_links=[1, 2], clicked_at=[minutes(3), minutes(90)],
                      human_clicked_links=[1], human_clicked_at=[minutes(12)])
        self.delivery(12, 1, "bob@one.example", news, open_count=1,
                      human_open_count=0, first_opened_at=minutes(0))
        self.delivery(13, 1, "cat@two.example", news, state="failed")
        self.delivery(14, 2, "dan@two.example", 0, state="queued")
        self.delivery(15, 2, "eve@two.example", 0, state="suppressed")
        self.delivery(16, 2, "fay@two.example", 0, state="withdrawn")

        def hit(kind, delivery, at, verdict, link=None, url=None):
            self.event(kind, delivery, 1, news, at, verdict=verdict,
                       verdict_reason=None if verdict == "human" else "scanner",
                       link_number=link, url=url, user_agent="x",
                       client_address="192.0.2.1")
        hit("opened", 11, minutes(2), "machine")
        hit("opened", 11, minutes(10), "human")
        hit("opened", 11, minutes(300), "human")
        hit("opened", 12, minutes(0), "machine")
        hit("clicked", 11, minutes(3), "machine", 1, URL)
        hit("clicked", 11, minutes(12), "human", 1, URL)
        hit("clicked", 11, minutes(13), "human", 1, URL)
        hit("clicked", 11, minutes(90), "machine", 2, OTHER)

        self.count(news, NOON, 8, outbound=2, sent=2, bytes=18, opens=3,
                   opens_unique=2, opens_human=1, clicks=3, clicks_unique=1)
        self.count(news, NOON, 16, outbound=1, failed_permanent=1, bytes=9,
                   clicks=1, clicks_unique=1, clicks_human=1)
        self.count(news, NOON + datetime.timedelta(hours=1), 8, opens=1,
                   unsubscribes=1, failed_expired=1, deferred=2)
        self.count(0, NOON, 8, outbound=2, failed_suppressed=1)


@pytest.fixture(scope="module")
def history(factory, postgres):
    baton = factory(start=False)
    written = History(baton)
    written.write()
    yield written
    close_all([baton], postgres)


def rows(history, query, *parameters):
    """As baton_report, who may read these views and nothing else."""
    history.sql("SET ROLE baton_report")
    try:
        return history.sql(query, *parameters)
    finally:
        history.sql("RESET ROLE")


def some(row, *names):
    return tuple(row[name] for name in names)


def test_a_message_has_its_group_tags_and_metadata(history):
    first, second = rows(history, "SELECT * FROM report.message ORDER BY message_id")
    assert some(first, "group_name", "tags", "metadata") == (
        "News", ["october", "shoes"], {"order": 4711})
    assert some(second, "group_id", "group_name", "tags", "metadata") == (
        0, "", [], {})
    assert second["policy"] == {} and second["is_sandboxed"] is False


def test_a_delivery_says_what_its_recipient_did(history):
    ann, bob, *_, fay = rows(history, "SELECT * FROM report.delivery"
                             " ORDER BY delivery_id")
    assert some(ann, "group_name", "open_count", "human_open_count",
                "first_opened_at", "first_human_opened_at") == (
        "News", 3, 2, minutes(2), minutes(10))
    assert some(ann, "click_count", "human_click_count", "first_clicked_at",
                "clicked_links", "human_clicked_links") == (
        4, 2, minutes(3), [1, 2], [1])
    assert some(bob, "click_count", "clicked_links") == (0, [])
    assert some(fay, "group_name", "state") == ("", "withdrawn")


def test_an_event_has_what_its_message_was_given(history):
    clicks = rows(history, "SELECT * FROM report.event WHERE kind = 'clicked'"
                  " ORDER BY event_id")
    assert [row["verdict"] for row in clicks] == ["machine", "human", "human",
                                                  "machine"]
    assert some(clicks[0], "group_name", "tags", "metadata", "link_number", "url",
                "client_address", "user_agent", "verdict_reason") == (
        "News", ["october", "shoes"], {"order": 4711}, 1, URL, "192.0.2.1", "x",
        "scanner")


def test_counters_hourly_add_the_shards_up(history):
    news = rows(history, "SELECT * FROM report.counters_hourly"
                " WHERE account = 'demo' AND group_name = 'News' ORDER BY hour")
    assert [row["hour"] for row in news] == [NOON, minutes(60)]
    assert some(news[0], "outbound", "sent", "failed", "failed_permanent", "bytes",
                "opens", "opens_unique", "opens_human", "clicks", "clicks_unique",
                "clicks_human") == (3, 2, 1, 1, 27, 3, 2, 1, 4, 2, 1)
    assert some(news[1], "deferred", "failed", "failed_expired",
                "unsubscribes") == (2, 1, 1, 1)
    none, = rows(history, "SELECT * FROM report.counters_hourly WHERE group_id = 0")
    assert some(none, "group_name", "outbound", "failed", "failed_suppressed") == (
        "", 2, 1, 1)


def test_counters_daily_are_the_hours_of_a_day_in_utc(history):
    day, = rows(history, "SELECT * FROM report.counters_daily"
                " WHERE group_name = 'News'")
    assert day["day"] == NOON.date()
    assert some(day, "outbound", "sent", "failed", "opens", "unsubscribes") == (
        3, 2, 2, 4, 1)


def test_group_summary_has_rates_without_machines(history):
    none, news = rows(history, "SELECT * FROM report.group_summary"
                      " ORDER BY group_id")
    assert some(news, "group_name", "kind", "first_hour", "last_hour") == (
        "News", "marketing", NOON, minutes(60))
    rates = [float(news[name]) for name in (
        "sent_rate", "failed_rate", "open_rate", "click_rate",
        "click_to_open_rate", "unsubscribe_rate", "complaint_rate")]
    assert rates == [0.6667, 0.6667, 0.5, 0.5, 1, 0.5, 0]
    assert none["open_rate"] is None and none["kind"] == "transactional"


def test_domain_summary_comes_from_the_deliveries(history):
    one, two = rows(history, "SELECT * FROM report.domain_summary"
                    " WHERE account = 'demo' AND day = %s ORDER BY domain",
                    NOON.date())
    assert some(one, "domain", "outbound", "sent", "opens", "opens_unique",
                "opens_human", "clicks", "clicks_unique", "clicks_human") == (
        "one.example", 2, 2, 4, 2, 1, 4, 2, 1)
    assert float(one["open_rate"]) == 0.5 and float(one["sent_rate"]) == 1
    assert some(two, "domain", "outbound", "queued", "sent", "failed_permanent",
                "failed_suppressed", "failed_expired", "cancelled", "opens") == (
        "two.example", 3, 1, 0, 1, 1, 0, 0, 0)


def test_domain_summary_reads_only_the_days_that_are_asked_for(history):
    plan = "\n".join(row["QUERY PLAN"] for row in history.sql(
        "EXPLAIN (ANALYZE, COSTS off, TIMING off) SELECT *"
        " FROM report.domain_summary WHERE account = 'demo' AND day = %s",
        NOON.date()))
    executed = [line for line in plan.splitlines()
                if re.search(r"on delivery_\d{8}", line)
                and "never executed" not in line]
    assert len(executed) == 1, plan


@pytest.mark.parametrize("view", ["domain_summary", "link_summary", "open_times",
                                  "click_times"])
def test_a_day_can_be_asked_for_in_any_plan(history, view):
    """Conditions on the day may be evaluated for every name of the catalog."""
    history.sql("ANALYZE")
    for setting in ("enable_hashjoin", "enable_nestloop", "enable_mergejoin"):
        history.sql(f"SET {setting} = off")
        try:
            found = rows(history, f"SELECT * FROM report.{view} WHERE day = %s",
                         NOON.date())
            assert found and not rows(
                history, f"SELECT * FROM report.{view} WHERE account = 'demo'"
                " AND day > %s", NOON.date() + datetime.timedelta(days=1))
        finally:
            history.sql(f"RESET {setting}")


def test_link_summary_knows_first_clicks(history):
    offer, terms = rows(history, "SELECT * FROM report.link_summary ORDER BY url")
    assert some(offer, "group_name", "day", "url", "clicks", "clicks_unique",
                "clicks_human") == ("News", NOON.date(), URL, 3, 1, 1)
    assert some(terms, "url", "clicks", "clicks_unique", "clicks_human") == (
        OTHER, 1, 1, 0)


def test_the_views_of_events_agree_with_the_counters(history):
    links, = rows(history, "SELECT sum(clicks) AS clicks,"
                  " sum(clicks_unique) AS clicks_unique,"
                  " sum(clicks_human) AS clicks_human FROM report.link_summary")
    times, = rows(history, "SELECT sum(opens) AS opens,"
                  " sum(opens_unique) AS opens_unique,"
                  " sum(opens_human) AS opens_human FROM report.open_times")
    counted, = rows(history, "SELECT * FROM report.counters_daily"
                    " WHERE group_name = 'News'")
    for name, value in {**links, **times}.items():
        assert counted[name] == value, name


def test_open_and_click_times(history):
    opens = rows(history, "SELECT * FROM report.open_times"
                 " ORDER BY hour, minutes_from")
    assert [some(row, "hour", "minutes_from", "opens", "opens_unique",
                 "opens_human") for row in opens] == [
        (12, 0, 1, 1, 0), (12, 1, 1, 1, 0), (12, 5, 1, 0, 1), (17, 240, 1, 0, 0)]
    assert {row["weekday"] for row in opens} == {NOON.isoweekday()}
    clicks = rows(history, "SELECT * FROM report.click_times"
                  " ORDER BY hour, minutes_from")
    assert [some(row, "hour", "minutes_from", "clicks", "clicks_unique",
                 "clicks_human") for row in clicks] == [
        (12, 1, 1, 1, 0), (12, 5, 2, 0, 1), (13, 60, 1, 1, 0)]


def test_hits_outlive_their_delivery(history):
    history.event("opened", 999, 998, 0, minutes(5), verdict="human")
    try:
        row, = rows(history, "SELECT * FROM report.open_times WHERE group_id = 0")
        assert some(row, "minutes_from", "opens", "opens_unique",
                    "opens_human") == (None, 1, 0, 0)
        event, = rows(history, "SELECT * FROM report.event WHERE group_id = 0")
        assert some(event, "tags", "metadata") == ([], {})
    finally:
        history.sql("DELETE FROM baton.event WHERE group_id = 0")


@pytest.mark.parametrize("minutes_after,bucket", [
    (-1, 0), (0, 0), (0.99, 0), (1, 1), (4.9, 1), (5, 5), (15, 15), (60, 60),
    (240, 240), (1440, 1440), (10079, 1440), (10080, 10080), (99999, 10080)])
def test_buckets_of_minutes(history, minutes_after, bucket):
    assert history.baton.value("SELECT baton.minutes_bucket(%s, %s)",
                               minutes(minutes_after), NOON) == bucket


def test_suppressions_and_groups(history):
    history.sql("INSERT INTO baton.suppression (account_id, address, group_id,"
                " reason, expires_at) VALUES (%s, 'a@x', NULL, 'manual', NULL),"
                " (%s, 'a@x', %s, 'unsubscribe', now() - interval '1 s'),"
                " (%s, 'a@x', 0, 'complaint', now() + interval '1 h')",
                history.account, history.account, history.news, history.account)
    found = rows(history, "SELECT * FROM report.suppression ORDER BY reason")
    assert [some(row, "group_name", "reason", "is_active") for row in found] == [
        ("", "complaint", True), (None, "manual", True),
        ("News", "unsubscribe", False)]
    group, = rows(history, "SELECT * FROM report.message_group")
    assert some(group, "account", "group_name", "kind", "settings") == (
        "demo", "News", "marketing", {})


def test_objections(history):
    history.sql("INSERT INTO baton.untracked (account_id, address) VALUES"
                " (%s, 'a@x')", history.account)
    row, = rows(history, "SELECT * FROM report.untracked")
    assert some(row, "account", "address") == ("demo", "a@x")


def test_a_renamed_group_takes_its_history_along(history):
    history.sql("UPDATE baton.message_group SET name = 'Letters'")
    try:
        assert rows(history, "SELECT DISTINCT group_name FROM report.event"
                    )[0]["group_name"] == "Letters"
    finally:
        history.sql("UPDATE baton.message_group SET name = 'News'")


def test_every_view_and_column_is_explained(history):
    bare = history.sql(
        "SELECT relname, attname FROM pg_class"
        " JOIN pg_attribute ON attrelid = pg_class.oid AND attnum >= 0"
        " WHERE relnamespace = 'report'::regnamespace AND relkind = 'v'"
        " AND (col_description(pg_class.oid, attnum) IS NULL"
        "      OR obj_description(pg_class.oid, 'pg_class') IS NULL)")
    assert bare == []


def test_reporting_md_has_every_view_and_column(history):
    with open(instance.ROOT + "/docs/reporting.md", encoding="utf-8") as file:
        parts = re.split(r"^### ", file.read(), flags=re.M)
    described = {part.split("\n", 1)[0].strip("` "): part for part in parts[1:]}
    for row in history.sql(
            "SELECT relname, array_agg(attname::text) AS columns FROM pg_class"
            " JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0"
            " WHERE relnamespace = 'report'::regnamespace AND relkind = 'v'"
            " GROUP BY relname"):
        part = described.get("report." + row["relname"], "")
        missing = [name for name in row["columns"] if f"`{name}`" not in part]
        assert not missing, (row["relname"], missing)


def test_the_examples_of_reporting_md_run(history):
    with open(instance.ROOT + "/docs/reporting.md", encoding="utf-8") as file:
        examples = re.findall(r"^    (SELECT.*?;)", file.read(), re.M | re.S)
    assert len(examples) >= 8
    for example in examples:
        rows(history, example.replace("%", "%%"))


def test_the_first_example_tells_who_opened_what_was_sent_yesterday(history):
    with open(instance.ROOT + "/docs/reporting.md", encoding="utf-8") as file:
        text = file.read()
    assert "current_date" not in text  # of the session's zone, days are in UTC
    example = re.search(r"newsletter.*?^    (SELECT.*?;)", text, re.M | re.S)[1]
    example = example.replace("'shop'", "'demo'").replace("'Newsletter'", "'News'")
    row, = rows(history, example.replace("%", "%%"))
    assert (row["sent"], row["opened"], row["percent"]) == (2, 1, 50)


@pytest.mark.parametrize("statement", [
    "SELECT * FROM baton.suppression", "SELECT * FROM baton.token_key",
    "SELECT * FROM baton.hit", "SELECT * FROM baton.counter",
    "SELECT baton.suppress_queued(1, 'a@x', 'me')"])
def test_baton_report_sees_nothing_else(history, statement):
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        rows(history, statement)


# Real traffic


@pytest.fixture(scope="module")
def relay(factory, postgres):
    baton = factory(routes={"*": "discard:"},
                    settings={"http": {"hit_deadline": "5 s"}})
    yield baton
    close_all([baton], postgres)


def test_hits_of_a_real_message_are_in_every_view(relay):
    message_id = relay.submit(message(), ["b@rcpt.example"])
    relay.wait_for_empty_queue()
    delivery, = relay.sql("SELECT account_id, delivery_id FROM baton.delivery"
                          " WHERE message_id = %s", message_id)
    key = Tokens(relay.sql)
    account, delivery_id = delivery["account_id"], delivery["delivery_id"]
    with Web(relay.address("http")) as web:
        fields = {"User-Agent": BROWSER}
        assert web.ask("/o/" + key.open(account, delivery_id),
                       fields=fields).status == 200
        for _ in range(2):
            assert web.ask("/c/" + key.click(account, delivery_id, 1, URL),
                           fields=fields).status == 302

    def has_all():
        return relay.value("SELECT count(*) FROM report.event WHERE message_id ="
                           " %s AND kind IN ('opened', 'clicked')",
                           message_id) == 3
    wait_until(has_all, "three hits in the ledger")
    link, = relay.sql("SELECT * FROM report.link_summary")
    assert some(link, "account", "url", "clicks", "clicks_unique",
                "clicks_human") == ("demo", URL, 2, 1, 1)
    opened, = relay.sql("SELECT * FROM report.open_times")
    assert some(opened, "minutes_from", "opens", "opens_human") == (0, 1, 1)
    domain, = relay.sql("SELECT * FROM report.domain_summary")
    assert some(domain, "domain", "opens_human", "clicks",
                "clicks_human") == ("rcpt.example", 1, 2, 1)
    day, = relay.sql("SELECT sum(opens) AS opens, sum(clicks) AS clicks,"
                     " sum(clicks_human) AS clicks_human"
                     " FROM report.counters_daily")
    assert some(day, "opens", "clicks", "clicks_human") == (1, 2, 1)
