# SPDX-License-Identifier: MIT
"""A private PostgreSQL for the session, and databases copied in it."""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import urllib.parse

import psycopg2

from waiting import wait_until

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))


class Postgres:
    def __init__(self, listen=""):
        """listen: an address, besides the socket that its URL names."""
        self.folder = tempfile.mkdtemp(prefix="baton-test-")
        os.chmod(self.folder, 0o755)
        self.environment = dict(os.environ, POSTGRES_CONNECTIONS="300",
                                POSTGRES_LISTEN=listen)
        self.url = subprocess.run(
            [ROOT + "/script/postgres", "start", self.folder], check=True,
            stdout=subprocess.PIPE, text=True, env=self.environment).stdout.strip()
        self.count = 0
        self.lock = threading.Lock()

    def url_of(self, database):
        parts = urllib.parse.urlsplit(self.url)
        return urllib.parse.urlunsplit(parts._replace(path="/" + database))

    def execute(self, statement, database="postgres"):
        connection = psycopg2.connect(self.url_of(database))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()

    def create(self, template):
        """A new database, a copy of the template; its URL."""
        with self.lock:
            self.count += 1
            name = f"test_{self.count}"
            self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url_of(name)

    def drop(self, url):
        name = urllib.parse.urlsplit(url).path[1:]
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def control(self, *arguments):
        data = os.path.realpath(os.path.join(self.folder, "data"))
        programs = sorted(name for name in os.listdir("/usr/lib/postgresql"))
        command = [f"/usr/lib/postgresql/{programs[-1]}/bin/pg_ctl", "-D", data,
                   "-s", "-w", *arguments]
        if os.getuid() == 0:
            command = ["setpriv", "--reuid=postgres", "--regid=postgres",
                       "--init-groups", *command]
        subprocess.run(command, check=True, cwd="/", stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL)

    def stop(self, mode="immediate"):
        self.control("-m", mode, "stop")

    def postmaster(self):
        with open(f"{self.folder}/data/postmaster.pid", encoding="ascii") as file:
            return int(file.readline())

    def processes(self, postmaster=None):
        """Process ids of the server: the postmaster's first."""
        postmaster = postmaster or self.postmaster()
        listing = subprocess.run(["ps", "-o", "pid=", "--ppid", str(postmaster)],
                                 capture_output=True, text=True).stdout
        return [postmaster, *map(int, listing.split())]

    def kill(self, postmaster=None):
        """Every process at once; they are gone when it returns."""
        postmaster = postmaster or self.postmaster()
        os.kill(postmaster, signal.SIGSTOP)  # no new backend meanwhile
        processes = self.processes(postmaster)
        for process in processes:
            os.kill(process, signal.SIGKILL)
        wait_until(lambda: not any(os.path.exists(f"/proc/{process}")
                                   for process in processes),
                   "the end of PostgreSQL", 30)

    def start(self):
        subprocess.run([ROOT + "/script/postgres", "start", self.folder],
                       check=True, stdout=subprocess.DEVNULL,
                       env=self.environment)

    def close(self):
        subprocess.run([ROOT + "/script/postgres", "stop", self.folder],
                       check=True)
        for name in ("data", "socket"):
            shutil.rmtree(os.path.realpath(os.path.join(self.folder, name)))
        shutil.rmtree(self.folder)
