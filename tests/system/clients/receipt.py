# SPDX-License-Identifier: MIT
"""A receipt, as a program that uses Python's email and smtplib sends it; its
letter is a JSON file."""

import json
import pathlib
import smtplib
import ssl
import sys
from email.message import EmailMessage

letter = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
mail = EmailMessage()
mail["From"], mail["To"] = letter["from"], letter["to"]
mail["Subject"] = letter["subject"]
for name, value in letter["headers"].items():
    mail[name] = value
mail.set_content(letter["text"])
mail.add_alternative(letter["html"], subtype="html", charset="windows-1252",
                     cte="quoted-printable")
mail.get_payload()[1].add_related(
    pathlib.Path(letter["image"]).read_bytes(), "image", "png",
    cid=f"<{letter['cid']}>")
mail.add_attachment(pathlib.Path(letter["attachment"]).read_bytes(),
                    "application", "pdf", filename=letter["attachment_name"])

context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
with smtplib.SMTP("127.0.0.1", letter["port"], timeout=30) as client:
    client.starttls(context=context)
    client.login(letter["user"], letter["password"])
    client.send_message(mail)
