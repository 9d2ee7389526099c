# SPDX-License-Identifier: MIT
"""T1: the power goes; what was acknowledged is on the disk.

PostgreSQL lies on a disk that forgets what was not synced. At a random moment
under load the power of the whole machine is cut: the disk forgets and fails,
every process of Baton and PostgreSQL is killed. Then it comes back. With durable
settings nothing that was acknowledged before the cut may be missing. The control
does the same with synchronous_commit = off and has to lose something: if it did
not, the proof would prove nothing.
"""

import os
import random
import tempfile
import time

import pytest

from instance import PASSWORD, USER, Baton, add_account, add_route
from lazy_disk import LazyDisk
from load import LoadGenerator, LoadSink
from postgres import Postgres
from scale import scale
from waiting import wait_until

ROUNDS = scale(1, 10)
CONTROL_ROUNDS = scale(1, 3)
MESSAGES = scale(50, 1000)  # before each cut: so many and up to as many again
RATE = scale(100, 300)
SEED = int(os.environ.get("CHAOS_SEED", "1"))


class Machine:
    """Baton and PostgreSQL on one machine with one disk; clients and the next
    hop are elsewhere."""

    def __init__(self, certificate):
        self.postgres = Postgres()
        self.disk = None
        self.sinks = []
        try:
            self.move_to_disk()
            self.next_hop(delay_ms=0)
            self.baton = self.install(certificate)
        except BaseException:
            self.remove_disk()
            raise

    def move_to_disk(self):
        self.postgres.stop("fast")
        data = os.path.realpath(self.postgres.folder + "/data")
        status = os.stat(data)
        os.rename(data, data + ".disk")
        os.mkdir(data, 0o700)
        os.chown(data, status.st_uid, status.st_gid)
        try:
            self.disk = LazyDisk(data + ".disk", data)
        finally:
            if self.disk is None:
                os.rmdir(data)
                os.rename(data + ".disk", data)
        self.postgres.start()

    def install(self, certificate):
        baton = Baton(self.postgres.url_of("baton"), {
            "server": {"lease": "2 s"}, "log": {"level": "info"},
            "delivery": {"retry": "1 s", "host_penalty": "1 s",
                         "connections_per_site": "4"}}, None, certificate)
        baton.cli("migrate")
        add_account(baton.sql, USER, PASSWORD)
        add_route(baton.sql, "*", f"smtp://127.0.0.1:{self.sinks[0].port}")
        return baton

    def set_up(self, *settings, is_safe):
        """Run with settings of PostgreSQL."""
        for setting in settings:
            self.postgres.execute("ALTER SYSTEM SET " + setting)
        self.postgres.execute("SELECT pg_reload_conf()")
        self.baton.settings["database"]["allow_unsafe_durability"] = \
            "off" if is_safe else "on"
        self.baton.write_config()
        self.baton.start()
        # A slow one: much is accepted and not delivered at any time.
        self.next_hop(delay_ms=100)

    def next_hop(self, delay_ms):
        port = self.sinks[0].port if self.sinks else None
        for sink in self.sinks[-1:]:
            sink.kill()
        self.sinks.append(LoadSink(delay_ms=delay_ms, port=port))

    def lose_power(self):
        """Returns the last moment before."""
        postmaster = self.postgres.postmaster()
        before = time.time_ns()
        self.disk.cut_power()
        self.baton.kill_everything()
        self.postgres.kill(postmaster)
        self.baton.connection.close()
        self.disk.restore_power()
        return before

    def start(self):
        self.postgres.start()
        self.baton.start()

    def deliver_the_rest(self):
        """By a fast next hop; stop."""
        self.next_hop(delay_ms=0)
        self.baton.wait_for_empty_queue(120)
        self.baton.stop(expect=None)

    def arrivals(self):
        return [name for sink in self.sinks for name, _, _ in sink.arrivals()]

    def remove_disk(self):
        """The cluster is as it would be without."""
        data = os.path.realpath(self.postgres.folder + "/data")
        if self.disk:
            self.postgres.stop("immediate")
            self.disk.close()
            os.rmdir(data)
            os.rename(data + ".disk", data)
        self.postgres.close()

    def close(self):
        self.sinks[-1].kill()
        self.baton.crashes_expected = True
        self.baton.close()
        self.remove_disk()


def cut_power_under_load(machine, rounds, name, what):
    """What was acknowledged and did not arrive."""
    chance = random.Random(SEED)
    cuts = []
    load = LoadGenerator(machine.baton.address("clear"), connections=8, rate=RATE,
                         size=2000, login=f"{USER}:{PASSWORD}", keeps_going=True,
                         prefix=name)
    try:
        for _ in range(rounds):
            wanted = len(load.acknowledged()) + chance.randrange(MESSAGES,
                                                                 2 * MESSAGES)
            wait_until(lambda wanted=wanted: len(load.acknowledged()) >= wanted,
                       f"{wanted} messages", 120)
            before = machine.lose_power()
            cuts.append((before, time.time_ns()))
            machine.start()
        load.stop()
    finally:
        load.kill()
    machine.deliver_the_rest()
    # A 250 that left after the cut came from a machine without power.
    acknowledged = {one for one, (_, at) in load.acknowledged().items()
                    if not any(begin <= at <= end for begin, end in cuts)}
    arrived = [one for one in machine.arrivals() if one.startswith(name + "-")]
    lost = acknowledged - set(arrived)
    print(f"\n{what}: {len(acknowledged)} acknowledged, {rounds} power cuts, "
          f"{len(lost)} lost, {len(arrived) - len(set(arrived))} delivered again")
    return lost


@pytest.fixture(scope="module")
def machine(certificate):
    made = Machine(certificate)
    yield made
    made.close()


@pytest.mark.parametrize("method", scale(["fdatasync"],
                                         ["fdatasync", "open_datasync"]))
def test_t1_nothing_acknowledged_is_lost_with_the_power(machine, method):
    machine.set_up(f"wal_sync_method = {method}", is_safe=True)
    lost = cut_power_under_load(machine, ROUNDS, method, f"durable, {method}")
    assert not lost, sorted(lost)[:10]


def test_t1_control_an_unsafe_server_loses(machine):
    # The WAL writer's usual 200 ms would do; so there is always something to lose.
    machine.set_up("synchronous_commit = off", "wal_writer_delay = '5 s'",
                   "wal_writer_flush_after = '1 GB'", is_safe=False)
    lost = cut_power_under_load(machine, CONTROL_ROUNDS, "control",
                                "control, synchronous_commit = off")
    assert lost, "the power cut took nothing: this proves nothing"


def test_the_disk_forgets_what_is_not_synced():
    """The disk itself: what is written in each way, and what is left."""
    with tempfile.TemporaryDirectory(prefix="baton-power-") as folder:
        for name in ("disk", "mount"):
            os.mkdir(os.path.join(folder, name))
        at = os.path.join(folder, "mount") + "/"
        disk = LazyDisk(folder + "/disk", folder + "/mount")
        try:
            write(at + "lost", b"x" * 10000)
            write(at + "kept", b"y" * 10000, sync=True)
            write(at + "dsync", b"z" * 10000, os.O_DSYNC)
            write(at + "half", b"1" * 5000, sync=True)
            write(at + "half", b"2" * 5000, at=4000)
            write(at + "cut", b"3" * 5000, sync=True)
            os.truncate(at + "cut", 10)
            write(at + "grown", b"4" * 5000, sync=True)
            os.truncate(at + "grown", 10)
            os.truncate(at + "grown", 8000)
            assert read(at + "lost") == b"x" * 10000
            assert read(at + "half") == b"1" * 4000 + b"2" * 5000
            assert read(at + "cut") == b"3" * 10
            assert read(at + "grown") == b"4" * 10 + bytes(7990)
            write(at + "grown", b"", sync=True)
            with open(at + "unlinked", "w+b") as file:
                os.unlink(at + "unlinked")
                file.write(b"still here")
                file.seek(0)
                assert file.read() == b"still here"
            disk.cut_power()
            with pytest.raises(OSError):
                read(at + "kept")
            with pytest.raises(OSError):
                write(at + "kept", b"too late", sync=True)
            disk.restore_power()
            assert {name: read(at + name) for name in os.listdir(at)} == {
                "lost": b"", "kept": b"y" * 10000, "dsync": b"z" * 10000,
                "half": b"1" * 5000, "cut": b"3" * 5000,
                "grown": b"4" * 10 + bytes(7990)}
        finally:
            disk.close()


def write(path, data, flags=0, at=0, sync=False):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flags)
    try:
        os.pwrite(descriptor, data, at)
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path):
    with open(path, "rb") as file:
        return file.read()
