# SPDX-License-Identifier: MIT
"""A real browser, Chromium without a window, led through ChromeDriver (W3C
WebDriver); and a web site of a test's own that it can look at.

It reaches this machine and nothing else, and calls itself what a desktop browser
does. Whatever it started is gone when it is closed."""

import base64
import contextlib
import http.client
import http.server
import io
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading

from PIL import Image

from waiting import wait_until

USER_AGENT = ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like "
              "Gecko) Chrome/146.0.0.0 Safari/537.36")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync",
         "--disable-extensions", "--hide-scrollbars", "--force-color-profile=srgb",
         # Names are never looked up; all but this machine leads nowhere.
         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
         "--proxy-server=127.0.0.1:9", "--proxy-bypass-list=127.0.0.1",
         "--remote-debugging-port=0", f"--user-agent={USER_AGENT}"]
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver, 11
START_SECONDS = 30
ANSWER_SECONDS = 30
TAB, ENTER = "\ue004", "\ue007"  # WebDriver, 17.4.2


class Program:
    """A program with all that it starts: a session of its own, ended whole."""

    def __init__(self, command, log_path, folder):
        self.log_path = log_path
        with open(log_path, "wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True, cwd=folder,
                env=dict(os.environ, HOME=folder, TMPDIR=folder, LANG="C.UTF-8"))

    def read(self, path, pattern):
        """What a file says once it says it."""
        def look():
            assert self.process.poll() is None, self.log()
            try:
                with open(path, encoding="utf-8", errors="replace") as file:
                    return re.search(pattern, file.read())
            except FileNotFoundError:
                return None
        return wait_until(look, f"{pattern} in {path}", START_SECONDS)[1]

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return f"{self.process.args[0]}: {file.read()[-3000:]}"

    def close(self):
        group = self.process.pid
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        self.process.wait(10)


class Browser:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="baton-test-browser-")
        self.programs = []
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def start(self):
        profile = os.path.join(self.folder, "profile")
        chromium = self.run("chromium", *FLAGS, f"--user-data-dir={profile}",
                            "about:blank")
        debugger = chromium.read(os.path.join(profile, "DevToolsActivePort"),
                                 r"^(\d+)\n")
        driver = self.run("chromedriver", "--port=0")
        self.port = int(driver.read(driver.log_path, r"on port (\d+)\."))
        self.base = ""
        session = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"debuggerAddress": f"127.0.0.1:{debugger}"},
            "timeouts": {"pageLoad": 1000 * ANSWER_SECONDS,
                         "script": 1000 * ANSWER_SECONDS, "implicit": 0}}}})
        self.base = f"/session/{session['sessionId']}"

    def run(self, name, *arguments):
        path = shutil.which(name)
        assert path, f"{name} is not installed (script/install test)"
        self.programs.append(Program(
            [path, *arguments], os.path.join(self.folder, name + ".log"),
            self.folder))
        return self.programs[-1]

    def close(self):
        for program in reversed(self.programs):
            program.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, method, path, body=None):
        """A WebDriver command; its value."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port,
                                                timeout=ANSWER_SECONDS + 5)
        with contextlib.closing(connection):
            connection.request(method, self.base + path, headers={
                "Content-Type": "application/json"},
                body=None if body is None else json.dumps(body))
            value = json.load(connection.getresponse())["value"]
        if isinstance(value, dict) and "error" in value:
            raise AssertionError(f"{path}: {value['error']}: {value['message']}")
        return value

    def devtools(self, command, **parameters):
        return self.ask("POST", "/goog/cdp/execute",
                        {"cmd": command, "params": parameters})

    # Looking

    def resize(self, width, height, is_phone=False):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width,
                      height=height, deviceScaleFactor=1, mobile=is_phone)

    def prefer(self, scheme):
        """light or dark"""
        self.devtools("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": scheme}])

    def visit(self, url):
        """Returns when all of the page is loaded, images too."""
        self.ask("POST", "/url", {"url": url})

    @property
    def url(self):
        return self.ask("GET", "/url")

    def script(self, text, *arguments):
        return self.ask("POST", "/execute/sync",
                        {"script": text, "args": arguments})

    def screenshot(self, path=None):
        data = base64.b64decode(self.ask("GET", "/screenshot"))
        if path:
            path.write_bytes(data)
        return Image.open(io.BytesIO(data)).convert("RGB")

    # Acting

    def find(self, selector):
        return self.ask("POST", "/element", {"using": "css selector",
                                             "value": selector})

    def click(self, selector):
        self.ask("POST", f"/element/{self.find(selector)[ELEMENT]}/click", {})

    def press(self, key):
        keys = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self.ask("POST", "/actions", {"actions": [
            {"type": "key", "id": "keyboard", "actions": keys}]})


class Site:
    """A web site on this machine: the pages put into it, else an empty page that
    says what was asked for. `asked` are the targets of requests, as they came."""

    def __init__(self):
        self.pages = {}  # target: (content type, bytes)
        self.asked = []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                site.asked.append(self.path)
                kind, body = site.pages.get(self.path, (
                    "text/html; charset=utf-8", b"<!DOCTYPE html><p>Here."))
                self.send_response(404 if self.path == "/favicon.ico" else 200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True,
                         kwargs={"poll_interval": 0.05}).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
