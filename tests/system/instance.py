# SPDX-License-Identifier: MIT
"""A Baton for a test: configured from a dict, with a database of its own."""

import hashlib
import json
import os
import random
import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request

import psycopg2
import psycopg2.extras

from dialogue import Dialogue
from waiting import wait_until

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BINARY = os.environ.get("BATON_BINARY", ROOT + "/build/dev/baton")
USER = "demo"
PASSWORD = "a-password-that-was-generated-0123456789"

# What must never be in a log.
CRASH = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:|SUMMARY: "
                   r"\w+Sanitizer|check failed|Segmentation fault|"
                   r"terminated by signal (?:4|6|7|8|11)\b")


def environment():
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith("BATON_")}
    kept.setdefault("ASAN_OPTIONS", "abort_on_error=1:detect_stack_use_after_return=1")
    kept.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    return kept


def free_port():
    """A port that nobody listens on. Not one that the kernel gives to outgoing
    connections (32768 and up): it must still be free after a restart."""
    while True:
        port = random.randrange(20000, 32000)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue


def threads_of(process):
    """How many threads hold its files; 0 when it is gone. A killed process is
    a zombie while its other threads still end."""
    try:
        return len([task for task in os.listdir(f"/proc/{process}/task")
                    if state_of(f"/proc/{process}/task/{task}") != "Z"])
    except OSError:
        return 0


def state_of(folder):
    try:
        with open(folder + "/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


class Baton:
    def __init__(self, url, settings=None, listeners=None, certificate=None,
                 nameserver=None):
        self.url = url
        self.folder = tempfile.mkdtemp(prefix="baton-test-")
        os.chmod(self.folder, 0o755)
        self.config = os.path.join(self.folder, "baton.conf")
        self.log_path = os.path.join(self.folder, "log")
        self.process = None
        self.connection = None
        self.crashes_expected = False
        self.ports = {}
        self.environment = {}  # on top of environment()
        self.listeners = listeners or {
            "smtp": "tls=optional", "smtps": "tls=implicit",
            "clear": "tls=none auth_in_clear=on"}
        for name in [*self.listeners, "http"]:
            self.ports[name] = free_port()
        self.settings = {
            "server": {"hostname": "relay.example", "workers": "2",
                       "user": "nobody",
                       "public_url": f"http://127.0.0.1:{self.ports['http']}"},
            "database": {"url": url},
            "log": {"level": "debug"},
            "limits": {"auth_delay": "10 ms"},
            "tls": {},
            "dns": {},
        }
        if certificate:
            self.settings["tls"] = {"certificate": certificate[0],
                                    "key": certificate[1]}
        if nameserver:
            self.settings["dns"]["servers"] = nameserver.setting
        for section, keys in (settings or {}).items():
            self.settings.setdefault(section, {}).update(keys)
        self.write_config()

    # Configuration

    def write_config(self):
        rows = {name: f"127.0.0.1:{self.ports[name]} {options}"
                for name, options in self.listeners.items()}
        rows["http"] = f"127.0.0.1:{self.ports['http']}"
        with open(self.config, "w", encoding="utf-8") as file:
            for section, keys in {**self.settings, "listen": rows}.items():
                file.write(f"[{section}]\n")
                for key, value in keys.items():
                    file.write(f"{key} = {value}\n")
        os.chmod(self.config, 0o644)

    def address(self, listener="smtp"):
        return "127.0.0.1", self.ports[listener]

    # Life

    def launch(self):
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [BINARY, "serve", "--config", self.config], stdout=log,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd="/",
            env={**environment(), **self.environment})
        log.close()

    def fail_to_start(self):
        """Launch what cannot start; what it said."""
        self.launch()
        status = self.process.wait(30)
        self.process = None
        assert status > 0, self.log()
        return self.log()

    def start(self):
        self.launch()
        try:
            wait_until(self.is_ready, "/readyz of Baton", 30)
            wait_until(self.are_all_ready, "all workers to be ready", 30)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{self.log()[-4000:]}") from None
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"Baton ended with {self.process.returncode}:\n"
                                 + self.log()[-4000:])
        return self.http("/readyz")[0] == 200

    def are_all_ready(self):
        """/readyz tells of the worker that answers; ask until one can be sure
        that each was asked."""
        return (self.metric("baton_database_up") == len(self.workers())
                and all(self.is_ready() for _ in range(20)))

    def stop(self, expect=0):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("Baton did not end within 40 s of SIGTERM:\n"
                                     + self.log()[-3000:])
        status = self.process.returncode
        self.process = None
        assert expect is None or status == expect, (
            f"Baton ended with {status}:\n{self.log()[-4000:]}")

    def close(self):
        """Stop, look for crashes in the log, remove everything."""
        try:
            self.stop(expect=None if self.crashes_expected else 0)
            found = CRASH.search(self.log())
            if found and not self.crashes_expected:
                at = max(0, found.start() - 500)
                raise AssertionError("the log tells of a crash:\n"
                                     + self.log()[at:at + 6000])
        finally:
            if self.process and self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            if self.connection:
                self.connection.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def workers(self):
        """Process ids of the workers."""
        listing = subprocess.run(["ps", "-o", "pid=", "--ppid",
                                  str(self.process.pid)],
                                 capture_output=True, text=True).stdout
        return [int(word) for word in listing.split()]

    def kill_everything(self):
        """The supervisor and all workers at once; they are gone when it
        returns, and their ports are free."""
        self.process.send_signal(signal.SIGSTOP)  # no new worker meanwhile
        everybody = [self.process.pid, *self.workers()]
        for process in everybody:
            os.kill(process, signal.SIGKILL)
        self.process.wait()
        wait_until(lambda: not any(map(threads_of, everybody)), "their end", 30)

    # Looking

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def http(self, path, method="GET"):
        """(status, body)"""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports['http']}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name):
        """The value of a metric, summed over its labels."""
        values = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$",
                            self.http("/metrics")[1], re.M)
        return sum(float(value) for value in values)

    def sql(self, query, *parameters):
        """Rows as dicts; on a connection of the test's own."""
        if self.connection is None or self.connection.closed:
            self.connection = psycopg2.connect(self.url)
            self.connection.autocommit = True
        with self.connection.cursor(
                cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute(query, parameters)
            return [dict(row) for row in cursor.fetchall()] \
                if cursor.description else []

    def value(self, query, *parameters):
        rows = self.sql(query, *parameters)
        return next(iter(rows[0].values())) if rows else None

    def queue_is_empty(self):
        return self.value("SELECT count(*) FROM baton.queue") == 0

    def wait_for_empty_queue(self, seconds=30):
        wait_until(self.queue_is_empty, "an empty queue", seconds)

    def deliveries(self):
        """recipient -> state"""
        return {row["recipient"]: row["state"] for row
                in self.sql("SELECT recipient, state FROM baton.delivery")}

    # Acting

    def cli(self, *arguments, check=True, **keywords):
        result = subprocess.run([BINARY, *arguments, "--config", self.config],
                                capture_output=True, text=True, timeout=60,
                                env=environment(), cwd="/", **keywords)
        assert not CRASH.search(result.stderr), result.stderr
        if check:
            assert result.returncode == 0, (
                f"baton {' '.join(arguments)} ended with {result.returncode}:\n"
                f"{result.stdout}{result.stderr}")
        return result

    def cli_json(self, *arguments):
        return json.loads(self.cli(*arguments, "--json").stdout)

    def dialogue(self, listener="smtp", **keywords):
        """A raw connection."""
        return Dialogue(self.address(listener), **keywords)

    def session(self, listener="clear"):
        """A raw connection that has logged in."""
        dialogue = self.dialogue(listener,
                                 implicit_tls=listener == "smtps")
        return dialogue.enter(USER, PASSWORD)

    def client(self, listener="smtp"):
        """An smtplib client that has logged in."""
        client = smtplib.SMTP(*self.address(listener), timeout=30)
        client.starttls(context=lenient_context())
        client.login(USER, PASSWORD)
        return client

    def submit(self, message, recipients=("b@rcpt.example",),
               sender="a@sender.example"):
        """Submit and return the message id of the 250."""
        with self.session() as session:
            session.envelope(sender, *recipients)
            reply = session.data(message)
            session.command("QUIT", 221)
            return int(re.search(r"queued as (\d+)", reply.text).group(1))


def lenient_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def add_account(sql, name, password=None, any_sender=True, settings=None):
    """An account with a credential of the same name, written into the tables
    before Baton starts. sql: a function like Baton.sql."""
    settings = dict({"any_sender": "on"} if any_sender else {}, **(settings or {}))
    account_id = sql("INSERT INTO baton.account (name, settings) VALUES (%s, %s)"
                     " RETURNING account_id", name,
                     json.dumps(settings))[0]["account_id"]
    if password:
        sql("INSERT INTO baton.credential (account_id, user_name, kind, secret)"
            " VALUES (%s, %s, 'generated', %s)", account_id, name,
            hashlib.sha256(password.encode()).hexdigest())
        sql("INSERT INTO baton.user_name VALUES (%s, %s)", name, account_id)
    return account_id


def add_route(sql, destination, target):
    sql("INSERT INTO baton.route (destination, target) VALUES (%s, %s)",
        destination, target)


def has_sanitizer():
    """Such a program keeps what was freed: its size says nothing."""
    with open(BINARY, "rb") as file:
        return b"__asan_init" in file.read()


def corpora():
    """The folder of corpora, or None."""
    beside = os.path.abspath(os.path.join(ROOT, "../shared/corpora"))
    folder = os.environ.get("BATON_CORPORA", beside)
    return folder if os.path.isdir(folder) else None
