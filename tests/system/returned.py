# SPDX-License-Identifier: MIT
"""What comes back, as other hosts write it; and return paths as
tracking/return_path.h lays them out, made without any of Baton's code."""

import base64
import struct

from tokens import Tokens

KINDS = {"b": 1, "f": 2, "u": 3}


class ReturnPaths(Tokens):
    """sql: a function like Baton.sql."""

    def local(self, account, delivery, letter="b"):
        fields = (bytes([1 << 4 | KINDS[letter]])
                  + struct.pack(">H", self.key_id)
                  + account.to_bytes(5, "big") + struct.pack(">Q", delivery))
        tag = self.hmac(b"R" + fields)[:14]
        code = base64.b32encode(fields + tag).decode().lower()
        return f"{letter}+{code}"


def dsn(recipient="b@rcpt.example", action="failed", status="5.1.1",
        diagnostic="smtp; 550 5.1.1 <b@rcpt.example>: Recipient address "
        "rejected: User unknown in virtual mailbox table",
        returned="From: <a@sender.example>\r\nSubject: test\r\n",
        host="mx.rcpt.example"):
    """RFC 3464."""
    return (
        f"From: MAILER-DAEMON@{host}\r\nTo: <a@sender.example>\r\n"
        "Subject: Undelivered Mail Returned to Sender\r\n"
        "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status;\r\n"
        "\tboundary=\"=b\"\r\n\r\n--=b\r\n\r\nThis is the mail system.\r\n\r\n"
        "--=b\r\nContent-Type: message/delivery-status\r\n\r\n"
        f"Reporting-MTA: dns; {host}\r\n\r\n"
        f"Final-Recipient: rfc822; {recipient}\r\nAction: {action}\r\n"
        f"Status: {status}\r\nRemote-MTA: dns; {host}\r\n"
        f"Diagnostic-Code: {diagnostic}\r\n\r\n"
        "--=b\r\nContent-Type: text/rfc822-headers\r\n\r\n"
        f"{returned}\r\n--=b--\r\n")


def qmail(recipient="b@rcpt.example"):
    """QSBMF: no report of RFC 3464, mapped by its address alone (B6)."""
    return (
        "From: MAILER-DAEMON@mx.rcpt.example\r\nTo: a@sender.example\r\n"
        "Subject: failure notice\r\n\r\n"
        "Hi. This is the qmail-send program at mx.rcpt.example.\r\n"
        "I'm afraid I wasn't able to deliver your message to the following "
        "addresses.\r\nThis is a permanent error; I've given up. Sorry it "
        f"didn't work out.\r\n\r\n<{recipient}>:\r\n"
        "Sorry, no mailbox here by that name. (#5.1.1)\r\n\r\n"
        "--- Below this line is a copy of the message.\r\n\r\n"
        "From: <a@sender.example>\r\nSubject: test\r\n\r\nHello\r\n")


def auto_reply(fields="Auto-Submitted: auto-replied\r\n"):
    return ("From: <b@rcpt.example>\r\nTo: <a@sender.example>\r\n"
            f"Subject: Out of office: test\r\n{fields}\r\n"
            "I am away until Monday.\r\n")


def arf(feedback_type="abuse", returned="Subject: test\r\n",
        recipient="redacted@rcpt.example"):
    """RFC 5965."""
    return (
        "From: <feedback@rcpt.example>\r\nTo: <a@sender.example>\r\n"
        "Subject: FW: test\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=feedback-report;\r\n"
        "\tboundary=\"=b\"\r\n\r\n--=b\r\n\r\nThis is a report.\r\n\r\n"
        "--=b\r\nContent-Type: message/feedback-report\r\n\r\n"
        f"Feedback-Type: {feedback_type}\r\nUser-Agent: Loop/1.0\r\n"
        f"Version: 1\r\nOriginal-Rcpt-To: <{recipient}>\r\n"
        "Source-IP: 192.0.2.1\r\n\r\n"
        "--=b\r\nContent-Type: message/rfc822\r\n\r\n"
        f"{returned}\r\nHello\r\n\r\n--=b--\r\n")


def person(subject="Re: test", body="Thank you!\r\n"):
    return (f"From: <b@rcpt.example>\r\nTo: <a@sender.example>\r\n"
            f"Subject: {subject}\r\n\r\n{body}")
