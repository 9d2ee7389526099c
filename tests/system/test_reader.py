# SPDX-License-Identifier: MIT
"""Mail of real programs, read in a real browser: a tracked copy looks as an
untracked one does, its links arrive where the untracked one's do, and what the
reader did comes home. Then the page behind List-Unsubscribe, as people see it."""

import base64
import email
import email.policy
import json
import os
import random
import re
import subprocess
import sys

import pytest
from PIL import Image, ImageChops

from browser import ENTER, TAB, Browser, Site
from instance import PASSWORD, USER
from test_clients import need
from waiting import wait_until

pytestmark = pytest.mark.timeout(120)

CLIENTS = os.path.join(os.path.dirname(__file__), "clients")
SENDERS = {"nodemailer": ["node", "receipt.js"],
           "smtplib": [sys.executable, "receipt.py"],
           "PHPMailer": ["php", "receipt.php"]}
OFF = {"X-Baton-Track-Opens": "off", "X-Baton-Track-Clicks": "off"}
CID = "logo.1042@shop.example"
ATTACHMENT_NAME = "invoice-1042.pdf"
WIDTHS = (700, 360)
ITEMS = [("Running shoes, size 42½", "89,00"), ("Socks »Zürich«", "12,50"),
         ("Laces, 120 cm", "4,90")]

HTML = """<!DOCTYPE html>
<html lang="en"><head><title>Receipt</title><style>
body {{ margin: 0; background: #eef1f6; font: 16px/1.5 "DejaVu Sans", sans-serif }}
.sheet {{ max-width: 560px; margin: 24px auto; padding: 24px; background: #fff;
  border: 1px solid #c9d2e0; border-radius: 12px }}
h1 {{ font-size: 24px; color: #14305c }}
table {{ width: 100%; border-collapse: collapse }}
td {{ padding: 8px 0; border-bottom: 1px dashed #c9d2e0 }}
td:last-child {{ text-align: right }}
.button {{ display: inline-block; margin: 24px 0; padding: 12px 24px;
  border-radius: 8px; background: linear-gradient(#2a6fdb, #1b4fa3);
  color: #fff !important; text-decoration: none }}
@media (max-width: 500px) {{ .sheet {{ margin: 0; border-radius: 0 }} }}
</style></head>
<body><div class="sheet">
<img src="cid:{cid}" width="120" height="40" alt="Corner Shop" usemap="#logo"
><map name="logo"><area id="map" shape="rect" coords="0,0,120,40" alt="Map"
 href="{site}/map?floor=2&hall=B&amp;copy=1"></map>
<h1>Thank you – 106,40 €</h1>
<!-- <a href="http://comment.example/">not a link</a> -->
<table>{rows}</table>
<a class="button" id="order" href="{site}/orders/1042?from=receipt&amp;lang=de&amp;\
back=http%3A%2F%2Fa.example%2F%3Fx%3D1%26y#items">See <b>your order</b></a>
<p>Questions? <a id="ask" href='{site}/größe/hilfe%20jetzt?a=[1]|2'>Read
this</a> or <a id="mail" href="mailto:help@shop.example">write</a>. <a id="plain"
data-baton-no-track href="{site}/plain?x=1">Imprint</a></p>
</div></body></html>
"""
ORDER = ("/orders/1042?from=receipt&lang=de"
         "&back=http%3A%2F%2Fa.example%2F%3Fx%3D1%26y")
TRACKED = ("order", "map", "ask")
UNTRACKED = ("mail", "plain")
PIXEL = "img[src*='/o/']"
# Where everything is that is not the pixel.
LAYOUT = f"""return [...document.querySelectorAll('body *')]
    .filter((one) => !one.matches("{PIXEL}"))
    .map((one) => {{ const at = one.getBoundingClientRect();
        return [one.tagName, at.x, at.y, at.width, at.height]; }});"""
COUNT = "return document.querySelectorAll(arguments[0]).length;"
IMAGES = """return [...document.images].map((one) =>
    [one.complete, one.naturalWidth, one.naturalHeight]);"""


@pytest.fixture
def browser():
    with Browser() as one:
        yield one


@pytest.fixture
def site():
    with Site() as one:
        yield one


class Letter:
    """What a test sends; files beside each other in a folder."""

    def __init__(self, folder, site):
        self.folder = folder
        self.image = folder / "logo.png"
        ramp = Image.linear_gradient("L").resize((120, 40))
        Image.merge("RGB", [ramp, ramp.rotate(180), ramp]).save(self.image)
        self.attachment = folder / "attachment"
        self.attachment.write_bytes(
            b"%PDF-1.4\n" + bytes(range(256)) * 8
            + random.Random(1042).randbytes(9000))
        self.html = HTML.format(cid=CID, site=site.url, rows="".join(
            f"<tr><td>{name}</td><td>{price} €</td></tr>\n"
            for name, price in ITEMS))

    def send(self, baton, sink, client, recipient, headers):
        """The message as it arrived."""
        program, script = SENDERS[client]
        need(program)
        letter = self.folder / "letter.json"
        letter.write_text(json.dumps({
            "port": baton.ports["smtp"], "user": USER, "password": PASSWORD,
            "from": "a@sender.example", "to": recipient, "headers": headers,
            "subject": "Your receipt", "text": "106,40 EUR. Thank you.\n",
            "html": self.html, "cid": CID, "image": str(self.image),
            "attachment": str(self.attachment),
            "attachment_name": ATTACHMENT_NAME}), encoding="utf-8")
        result = subprocess.run(
            [program, os.path.join(CLIENTS, script), str(letter)],
            capture_output=True, text=True, timeout=60,
            env=dict(os.environ, NODE_PATH="/usr/share/nodejs:/usr/lib/nodejs"))
        assert result.returncode == 0, result.stdout + result.stderr
        arrived = sink.wait_for(1, where=lambda m: m.recipients == [recipient])[0]
        return Reading(arrived.data)


class Reading:
    """A message as a mail reader takes it apart."""

    def __init__(self, data):
        self.message = email.message_from_bytes(data, policy=email.policy.default)
        parts = list(self.message.walk())
        html, = [part for part in parts if part.get_content_type() == "text/html"]
        self.charset = html.get_content_charset()
        self.html = html.get_payload(decode=True)
        self.related = {part["Content-ID"].strip("<>"): part for part in parts
                        if part["Content-ID"]}
        self.attachments = {part.get_filename(): part.get_payload(decode=True)
                            for part in parts if part not in self.related.values()
                            and part.get_filename()}

    def picture(self, cid):
        return self.related[cid].get_payload(decode=True)

    def show(self, browser, site, path):
        """In the browser, as a page of the site."""
        def embed(match):
            part = self.related[match[1].decode()]
            return (f"data:{part.get_content_type()};base64,".encode()
                    + base64.b64encode(part.get_payload(decode=True)))
        page = re.sub(rb"cid:([^\"'\s>]+)", embed, self.html)
        site.pages[path] = f"text/html; charset={self.charset}", page
        browser.visit(site.url + path)
        assert all(all(image) for image in browser.script(IMAGES))


class Look:
    """What a page is like at each of WIDTHS."""

    def __init__(self, browser, folder, name):
        self.layouts = []
        self.pictures = []
        for width in WIDTHS:
            browser.resize(width, 760)
            self.layouts.append(browser.script(LAYOUT))
            self.pictures.append(browser.screenshot(folder / f"{name}-{width}.png"))


def events(baton, recipient):
    return baton.sql(
        "SELECT kind, url, verdict, verdict_reason, user_agent FROM baton.event"
        " JOIN baton.delivery USING (delivery_id) WHERE delivery.recipient = %s"
        " AND kind IN ('opened', 'clicked') ORDER BY event_id", recipient)


def follow(browser, page, element):
    """Click, and say where that led."""
    browser.visit(page)
    browser.click("#" + element)
    wait_until(lambda: browser.url != page, f"{element} to lead anywhere")
    wait_until(lambda: browser.script("return document.readyState") == "complete",
               "the page to be there")
    return browser.url


@pytest.mark.parametrize("client", SENDERS)
def test_a_tracked_receipt_looks_and_leads_as_an_untracked_one(
        baton, sink, browser, site, tmp_path, client):
    letter = Letter(tmp_path, site)
    sent = {"tracked": {}, "plain": OFF}
    readings = {}
    looks = {}
    for name, headers in sent.items():
        reading = letter.send(baton, sink, client, f"{client}-{name}@rcpt.example",
                              headers)
        assert reading.picture(CID) == letter.image.read_bytes()
        assert reading.attachments == {
            ATTACHMENT_NAME: letter.attachment.read_bytes()}
        reading.show(browser, site, f"/{name}")
        readings[name] = reading
        looks[name] = Look(browser, tmp_path, name)

    # What we compare with is what the client sent, and it is not blank.
    plain = readings["plain"]
    assert plain.html.decode(plain.charset).split() == letter.html.split()
    assert len(looks["plain"].pictures[0].getcolors(1 << 20)) > 500
    assert readings["tracked"].html.count(b"/c/") == len(TRACKED)
    assert readings["tracked"].html.count(b"/o/") == 1

    compare_looks(browser, site, looks)
    check_links(baton, browser, site, client)


def compare_looks(browser, site, looks):
    browser.visit(site.url + "/tracked")
    assert browser.script(COUNT, PIXEL) == 1
    for index, width in enumerate(WIDTHS):
        plain, tracked = looks["plain"], looks["tracked"]
        assert tracked.layouts[index] == plain.layouts[index], f"{width} px wide"
        difference = ImageChops.difference(tracked.pictures[index],
                                           plain.pictures[index])
        assert difference.getbbox() is None, f"{width} px wide"


def check_links(baton, browser, site, client):
    """Each link of both, clicked."""
    led = {}
    for name in ("tracked", "plain"):
        browser.resize(700, 760)
        led[name] = {}
        for element in (*TRACKED, UNTRACKED[1]):
            site.asked.clear()
            url = follow(browser, f"{site.url}/{name}", element)
            led[name][element] = url, [path for path in site.asked
                                       if path not in (f"/{name}", "/favicon.ico")]
    assert led["tracked"] == led["plain"]
    assert led["plain"]["order"] == (site.url + ORDER + "#items", [ORDER])

    targets = [site.url + path for path in (
        ORDER + "#items", "/map?floor=2&hall=B&copy=1",
        "/größe/hilfe%20jetzt?a=[1]|2")]
    found = events(baton, f"{client}-tracked@rcpt.example")
    assert [event["url"] for event in found
            if event["kind"] == "clicked"] == targets
    assert "opened" in [event["kind"] for event in found]
    for event in found:
        assert (event["verdict"], event["verdict_reason"]) == ("human", None), event
        assert event["user_agent"] == browser.script("return navigator.userAgent")
    assert events(baton, f"{client}-plain@rcpt.example") == []


# The page behind List-Unsubscribe

CONTRASTS = """return [...document.querySelectorAll('h1, p, strong, button')].map(
    (one) => {
        let behind = one;
        while (getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') {
            behind = behind.parentElement;
        }
        return [one.tagName, getComputedStyle(one).color,
            getComputedStyle(behind).backgroundColor,
            parseFloat(getComputedStyle(one).fontSize)];
    });"""
WIDTH = "return [document.documentElement.scrollWidth, innerWidth];"
FOCUS = """const one = document.activeElement;
    return [one.tagName, getComputedStyle(one).outlineStyle];"""


def luminance(color):
    """Of rgb(…), as WCAG 2.2 defines it."""
    parts = [int(number) / 255 for number in re.findall(r"\d+", color)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045
                        else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def check_page(browser, scheme, path):
    """Readable, and its button is easy to hit."""
    browser.prefer(scheme)
    browser.screenshot(path)
    scroll_width, inner_width = browser.script(WIDTH)
    assert scroll_width <= inner_width, "one has to scroll sideways"
    for name, color, background, size in browser.script(CONTRASTS):
        assert contrast(color, background) >= 4.5, (name, color, background)
        assert size >= 16, name
    at = browser.script("return document.querySelector('button')"
                        ".getBoundingClientRect().toJSON()")
    assert at["width"] >= 44 and at["height"] >= 44, at
    assert at["left"] >= 0 and at["right"] <= inner_width, at


@pytest.mark.parametrize("width, height, group", [
    (360, 640, "Sonntagszeitungsbeilagen" * 4), (1200, 800, "News")],
    ids=["phone", "desktop"])
def test_r7_the_unsubscribe_page_in_a_browser(baton, sink, browser, tmp_path,
                                              width, height, group):
    recipient = f"page-{width}@rcpt.example"
    with baton.client() as client:
        client.sendmail("a@sender.example", recipient, (
            f"From: a@sender.example\r\nTo: {recipient}\r\nSubject: News\r\n"
            f"X-Baton-Group: {group}\r\nX-Baton-Unsubscribe: header\r\n\r\n"
            "Hello\r\n"))
    arrived = sink.wait_for(1, where=lambda m: m.recipients == [recipient])[0]
    url = re.search(r"<(http://[^>]*/u/[^>]*)>",
                    arrived.field("List-Unsubscribe"))[1]

    def title():
        return browser.script("return document.querySelector('h1').textContent")

    def suppressed():
        return baton.value("SELECT count(*) FROM baton.suppression"
                           " WHERE address = %s", recipient)

    def look(name):
        for scheme in ("dark", "light"):
            check_page(browser, scheme, tmp_path / f"{name}-{scheme}.png")

    browser.resize(width, height, is_phone=width < 500)
    browser.visit(url)
    assert title() == "Unsubscribe"
    look("asked")
    assert suppressed() == 0

    browser.click("button")
    wait_until(lambda: title() == "You are unsubscribed", "the page to say so")
    look("unsubscribed")
    assert suppressed() == 1

    # Back, with the keyboard alone.
    browser.press(TAB)
    assert browser.script(FOCUS) == ["BUTTON", "solid"]
    browser.screenshot(tmp_path / "focused.png")
    browser.press(ENTER)
    wait_until(lambda: title() == "You are subscribed again", "the page to say so")
    look("subscribed")
    assert suppressed() == 0
    kinds = [row["kind"] for row in baton.sql(
        "SELECT kind FROM baton.event JOIN baton.delivery USING (delivery_id)"
        " WHERE delivery.recipient = %s AND kind LIKE '%%subscribed'"
        " ORDER BY event_id",
        recipient)]
    assert kinds == ["unsubscribed", "resubscribed"]
