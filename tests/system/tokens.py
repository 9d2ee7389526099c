# SPDX-License-Identifier: MIT
"""Tokens as tracking/token.h lays them out, made without any of Baton's code:
the keys come from baton.token_key, the rest is written down here once more."""

import base64
import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESSIV

PRIVACY = {"off": 0, "anonymous": 1, "pseudonymous": 2, "full": 3}
VERSION = 1


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Tokens:
    def __init__(self, sql):
        """sql: a function like Baton.sql; signs with the key that signs."""
        row = sql("SELECT key_id, secret FROM baton.token_key"
                  " WHERE active_from <= now() ORDER BY key_id DESC LIMIT 1")[0]
        self.key_id = row["key_id"]
        self.secret = bytes(row["secret"])

    def hmac(self, data):
        return hmac.new(self.secret, data, hashlib.sha256).digest()

    def fields(self, account, place, number, privacy):
        return (bytes([VERSION << 4 | PRIVACY[privacy]])
                + struct.pack(">H", self.key_id)
                + account.to_bytes(5, "big") + struct.pack(">QI", place, number))

    def click(self, account, delivery, link, url, privacy="full"):
        """delivery: the group, when it is anonymous."""
        url = url.encode() if isinstance(url, str) else url
        fields = self.fields(account, delivery, link, privacy)
        tag = self.hmac(b"c" + fields + hashlib.sha256(url).digest())[:16]
        return base64url(fields + tag + url)

    def open(self, account, delivery, privacy="full"):
        fields = self.fields(account, delivery, 0, privacy)
        return base64url(fields + self.hmac(b"o" + fields)[:16])

    def unsubscribe(self, account, delivery, group, address, privacy="full"):
        fields = self.fields(account, delivery, group, privacy)
        sealing = b"".join(self.hmac(f"baton sealing key, {half} half".encode())
                           for half in ("first", "second"))
        return base64url(fields + AESSIV(sealing).encrypt(address.encode(),
                                                          [b"u" + fields]))
