# SPDX-License-Identifier: MIT
"""Settings: what is wrong is said in one sentence, with file and line."""

import json
import os
import re
import socket
import subprocess

import pytest

import instance
from waiting import wait_until

DOCUMENT = instance.ROOT + "/docs/settings.md"


def baton(*arguments, **environment):
    result = subprocess.run([instance.BINARY, *arguments], capture_output=True,
                            text=True, timeout=30, cwd="/",
                            env={**instance.environment(), **environment})
    assert not instance.CRASH.search(result.stderr), result.stderr
    return result


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "baton.conf"
        path.write_text(text)
        return str(path)
    return write


@pytest.mark.parametrize("text,line,words", [
    ("[server]\nhostnam = x\n", 2, ["hostnam", "did you mean server.hostname"]),
    ("[sever]\n", 1, ["sever", "did you mean [server]"]),
    ("[server]\nworkers = many\n", 2, ["server.workers"]),
    ("[server]\nworkers = 100000\n", 2, ["server.workers"]),
    ("[delivery]\nretry = soon\n", 2, ["delivery.retry", "soon"]),
    ("[listen]\nsmtp = 25\n", 2, ["ADDRESS:PORT"]),
    ("[listen]\nsmtp = 127.0.0.1:25 tls=perhaps\n", 2, ["implicit"]),
    ("[listen]\nsmtp = 127.0.0.1:25 what=on\n", 2, ["what"]),
    ("[log]\nlevel = loud\n", 2, ["log.level", "warning"]),
    ("[log]\nlevel = info\nlevel = debug\n", 3, ["twice"]),
    ("hostname = x\n", 1, ["section"]),
    ("[server]\nnonsense\n", 2, ["key = value"]),
])
def test_mistakes_are_named_with_their_line(config, text, line, words):
    path = config(text)
    result = baton("config", "--config", path)
    assert result.returncode != 0
    said = result.stdout + result.stderr
    assert f"{path}:{line}" in said, said
    for word in words:
        assert word in said, said
    assert said.strip().count("\n") == 0, said


def test_a_file_that_is_not_there():
    result = baton("config", "--config", "/nonexistent/baton.conf")
    assert result.returncode != 0
    assert "/nonexistent/baton.conf" in result.stderr


def test_the_environment_wins_over_the_file(config):
    path = config("[server]\nhostname = file.example\n")
    result = baton("config", "--config", path,
                   BATON_SERVER_HOSTNAME="environment.example")
    assert result.returncode == 0, result.stderr
    assert "hostname = environment.example" in result.stdout
    assert "environment BATON_SERVER_HOSTNAME" in result.stdout


def test_what_config_prints_can_be_read_again(config):
    path = config("[server]\nhostname = file.example\n"
                  "[listen]\nsmtp = 127.0.0.1:2525 tls=optional\n")
    first = baton("config", "--config", path).stdout
    second = baton("config", "--config", config(first)).stdout
    assert "file.example" in second and "127.0.0.1:2525" in second


def test_config_as_json(config):
    path = config("[server]\nhostname = file.example\n")
    rows = json.loads(baton("config", "--config", path, "--json").stdout)
    assert any("file.example" in str(row) for row in rows)


def test_the_database_password_is_not_shown(config):
    path = config("[database]\nurl = postgresql://u:c4n4ry@/x\n")
    assert "c4n4ry" not in baton("config", "--config", path).stdout


def test_docs_settings_md_is_current():
    result = baton("config", "reference")
    assert result.returncode == 0, result.stderr
    with open(DOCUMENT, encoding="utf-8") as file:
        text = file.read()
    assert result.stdout.strip() in text, (
        "docs/settings.md is not what `baton config reference` prints: "
        "run script/settings-reference")


def test_the_sample_configuration_is_good():
    result = baton("config", "--config",
                   instance.ROOT + "/packaging/baton.conf")
    assert result.returncode == 0, result.stderr


def test_a_port_that_is_taken(make_baton):
    baton = make_baton(start=False, routes={"*": "discard:"})
    with socket.create_server(baton.address("smtp")):
        said = baton.fail_to_start()
    assert f"127.0.0.1:{baton.ports['smtp']}" in said
    assert "in use" in said


def test_a_certificate_that_is_not_there(make_baton):
    baton = make_baton({"tls": {"certificate": "/nonexistent.crt"}}, start=False)
    assert "/nonexistent.crt" in baton.fail_to_start()


def test_a_database_without_schema_says_migrate(make_baton, postgres):
    postgres.execute("CREATE DATABASE empty_one")
    baton = make_baton({"database": {"url": postgres.url_of("empty_one")}},
                       start=False)
    assert "baton migrate" in baton.fail_to_start()


def test_a_new_listener_needs_no_more_than_the_file(make_baton):
    baton = make_baton(listeners={"only": "tls=none"})
    with baton.dialogue("only") as d:
        d.ehlo()
        assert "STARTTLS" not in d.extensions


def test_logs_as_json(make_baton):
    baton = make_baton({"log": {"format": "json", "level": "info"}})
    with baton.dialogue("smtp") as d:
        d.ehlo()
    lines = wait_until(lambda: baton.log().splitlines(), "log lines")
    for line in lines:
        json.loads(line)


def test_privileges_are_dropped(make_baton):
    if os.getuid() != 0:
        pytest.skip("only root can drop privileges")
    baton = make_baton()
    import pwd
    nobody = pwd.getpwnam("nobody").pw_uid
    for process in [baton.process.pid, *baton.workers()]:
        with open(f"/proc/{process}/status", encoding="ascii") as file:
            ids = re.search(r"^Uid:\s+(.*)$", file.read(), re.M).group(1)
        assert set(map(int, ids.split())) == {nobody}, process


def test_t33_no_secret_in_the_log(make_baton, make_sink):
    sink = make_sink()
    baton = make_baton({"log": {"level": "trace"}},
                       routes={"*": f"smtp://127.0.0.1:{sink.port}"})
    with baton.client() as client:
        client.sendmail("a@sender.example", "b@rcpt.example",
                        b"From: a@sender.example\r\n\r\nx\r\n")
    sink.wait_for(1)
    import base64
    token = base64.b64encode(f"\0{instance.USER}\0{instance.PASSWORD}".encode())
    log = baton.log()
    transcript = baton.value("SELECT transcript FROM baton.message")
    for secret in (instance.PASSWORD, token.decode(),
                   base64.b64encode(instance.PASSWORD.encode()).decode()):
        assert secret not in log and secret not in transcript
    with open(f"/proc/{baton.process.pid}/cmdline", "rb") as file:
        assert instance.PASSWORD.encode() not in file.read()
