# SPDX-License-Identifier: MIT
"""Self-signed certificates for servers on loopback."""

import os
import ssl
import subprocess


def make(folder, name="localhost"):
    """(certificate, key) as PEM files in the folder."""
    certificate = os.path.join(folder, name + ".crt")
    key = os.path.join(folder, name + ".key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-keyout", key,
         "-out", certificate, "-subj", f"/CN={name}", "-addext",
         f"subjectAltName=DNS:{name},DNS:sink.example,IP:127.0.0.1"],
        check=True, capture_output=True)
    os.chmod(key, 0o644)
    os.chmod(certificate, 0o644)
    return certificate, key


def server_context(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
