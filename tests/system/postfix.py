# SPDX-License-Identifier: MIT
"""A real Postfix: a client, a receiver, a peer to measure against."""

import os
import shutil
import socket
import subprocess

from instance import free_port
from waiting import wait_until


class Postfix:
    """A Postfix of our own in a folder, run in the foreground."""

    def __init__(self, folder, parameters, smtp_port=None):
        self.folder = folder
        self.port = smtp_port or free_port()
        config, queue, data = (os.path.join(folder, name)
                               for name in ("etc", "queue", "data"))
        for path in (config, queue, data):
            os.mkdir(path)
        os.chmod(folder, 0o755)
        shutil.chown(data, "postfix")
        self.config = config
        settings = {
            "compatibility_level": "3.6", "queue_directory": queue,
            "data_directory": data, "command_directory": "/usr/sbin",
            "daemon_directory": "/usr/lib/postfix/sbin",
            "mail_owner": "postfix", "setgid_group": "postdrop",
            "inet_interfaces": "127.0.0.1", "inet_protocols": "ipv4",
            "myhostname": "postfix.example", "mydestination": "",
            "alias_maps": "", "local_recipient_maps": "",
            "maillog_file": os.path.join(folder, "maillog"),
            "maillog_file_prefixes": folder,
            "mynetworks": "127.0.0.0/8", "smtp_dns_support_level": "disabled",
            "smtp_host_lookup": "native", "multi_instance_enable": "no",
            "shlib_directory": "/usr/lib/postfix", **parameters}
        with open(os.path.join(config, "main.cf"), "w") as file:
            for key, value in settings.items():
                file.write(f"{key} = {value}\n")
        with open("/usr/share/postfix/master.cf.dist") as file:
            lines = file.read().splitlines()
        with open(os.path.join(config, "master.cf"), "w") as file:
            for line in lines:
                words = line.split()
                if line.startswith("smtp ") and words[1] == "inet":
                    words[0] = f"127.0.0.1:{self.port}"
                if line[:1] not in ("#", " ", "") and len(words) >= 8:
                    words[4] = "n"  # no chroot
                    line = " ".join(words)
                file.write(line + "\n")
            file.write("postlog unix-dgram n - n - 1 postlogd\n")
        for name in ("dynamicmaps.cf", "postfix-files"):
            source = "/etc/postfix/" + name
            if os.path.exists(source):
                shutil.copy(source, config)
        self.run("postfix", "-c", config, "check")
        self.process = subprocess.Popen(
            ["/usr/lib/postfix/sbin/master", "-c", config, "-d"],
            env=dict(os.environ, MAIL_CONFIG=config), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)
        wait_until(self.listens, f"Postfix; its log: {self.log()}")

    def run(self, *command):
        subprocess.run(command, check=True, capture_output=True, timeout=60,
                       env=dict(os.environ, MAIL_CONFIG=self.config))

    def listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def log(self):
        path = os.path.join(self.folder, "maillog")
        return open(path).read() if os.path.exists(path) else ""

    def close(self):
        self.process.terminate()
        self.process.wait(20)
