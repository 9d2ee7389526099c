# SPDX-License-Identifier: MIT
"""Fixtures: one PostgreSQL for all tests, a Baton where one is asked for, sinks
to deliver to. BATON_BINARY names another program than build/dev/baton."""

import os
import shutil
import tempfile

import pytest

import certificates
import instance
from instance import Baton, add_account, add_route
from nameserver import Nameserver
from postgres import Postgres
from sink import Sink
from waiting import wait_until


def pytest_configure(config):
    if not os.path.exists(instance.BINARY):
        pytest.exit(f"There is no {instance.BINARY}: build it "
                    "(cmake --preset dev && cmake --build --preset dev), or "
                    "name another with BATON_BINARY.", returncode=3)


@pytest.fixture(scope="session")
def postgres():
    server = Postgres()
    yield server
    server.close()


@pytest.fixture(scope="session")
def certificate():
    folder = tempfile.mkdtemp(prefix="baton-test-")
    os.chmod(folder, 0o755)
    yield certificates.make(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def nameserver():
    """The DNS that nobody looks into: it knows no exchanger."""
    server = Nameserver({"sender.example": ["A 127.0.0.1"],
                         "relay.example": ["A 127.0.0.1"],
                         "nullmx.example": ["MX 0 ."]})
    yield server
    server.close()


@pytest.fixture(scope="session")
def template(postgres):
    """A database with the schema and the account demo, to be copied."""
    postgres.execute("CREATE DATABASE baton_template")
    baton = Baton(postgres.url_of("baton_template"))
    baton.cli("migrate")
    # What bounces in one test is sent to again in the next.
    add_account(baton.sql, instance.USER, instance.PASSWORD,
                settings={"suppress_hard_bounces": "off"})
    baton.close()
    return "baton_template"


@pytest.fixture(scope="session")
def factory(postgres, template, certificate, nameserver):
    """make(settings=…, listeners=…, routes={destination: target}, prepare=…)
    returns a Baton that runs; close() it."""

    def make(settings=None, listeners=None, routes=None, prepare=None,
             nameserver_of_test=None, start=True):
        url = postgres.create(template)
        baton = Baton(url, settings, listeners, certificate,
                      nameserver_of_test or nameserver)
        try:
            for destination, target in (routes or {}).items():
                add_route(baton.sql, destination, target)
            if prepare:
                prepare(baton)
            if start:
                baton.start()
        except BaseException:
            baton.crashes_expected = True
            baton.close()
            raise
        return baton

    return make


@pytest.fixture
def make_baton(factory, postgres):
    """As factory; closed at the end of the test."""
    made = []

    def make(*arguments, **keywords):
        made.append(factory(*arguments, **keywords))
        return made[-1]

    yield make
    close_all(made, postgres)


def close_all(batons, postgres):
    failures = []
    for baton in batons:
        try:
            baton.close()
        except AssertionError as failure:
            failures.append(str(failure))
        postgres.drop(baton.url)
    assert not failures, "\n".join(failures)


@pytest.fixture
def make_sink():
    made = []

    def make(*arguments, **keywords):
        made.append(Sink(*arguments, **keywords))
        return made[-1]

    yield make
    for sink in made:
        sink.close()


@pytest.fixture(scope="module")
def module_sink():
    """The sink that module_baton delivers everything to."""
    sink = Sink()
    yield sink
    sink.close()


@pytest.fixture(scope="module")
def sinks():
    """A next hop with 8BITMIME, and one without."""
    both = [Sink(name="eight.example"),
            Sink(name="seven.example", extensions=("PIPELINING", "SMTPUTF8"))]
    yield both
    for sink in both:
        sink.close()


def stop_tracking(baton):
    baton.sql("UPDATE baton.account SET settings = settings ||"
              """ '{"track_opens": "off", "track_clicks": "off"}'""")


@pytest.fixture(scope="module")
def module_baton(request, factory, module_sink, postgres):
    """A module with TRACKING = False is about mail that leaves as it came."""
    is_tracking = getattr(request.module, "TRACKING", True)
    baton = factory(routes={"*": f"smtp://127.0.0.1:{module_sink.port}"},
                    prepare=None if is_tracking else stop_tracking)
    yield baton
    close_all([baton], postgres)


@pytest.fixture
def sink(module_sink):
    """module_sink, emptied and without rules."""
    module_sink.on.clear()
    module_sink.messages.clear()
    module_sink.tried.clear()
    module_sink.faults.clear()
    yield module_sink
    module_sink.on.clear()
    assert not module_sink.faults, module_sink.faults


@pytest.fixture
def baton(module_baton, sink):
    """A Baton that the tests of a module share, delivering to `sink`."""
    assert module_baton.process.poll() is None, (
        "Baton has ended:\n" + module_baton.log()[-5000:])
    wait_until(module_baton.is_ready, "Baton to be ready again")
    return module_baton


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Show the end of Baton's log beside a failure."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for name in ("baton", "module_baton"):
            baton = item.funcargs.get(name)
            if isinstance(baton, Baton):
                report.sections.append(("Baton's log", baton.log()[-3000:]))
                break
