# SPDX-License-Identifier: MIT
"""A disk that forgets what was not synced when its power is cut: a folder behind
tests/power/lazy_filesystem.c."""

import os
import shlex
import signal
import subprocess
import tempfile

import pytest

from instance import ROOT
from waiting import wait_until

CANNOT_MOUNT = 4  # what fuse_main returns then

_programs = tempfile.TemporaryDirectory(prefix="baton-power-")


def program():
    path = os.path.join(_programs.name, "lazy_filesystem")
    if not os.path.exists(path):
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "fuse3"],
                               check=True, capture_output=True, text=True).stdout
        subprocess.run(["cc", "-O2", "-o", path,
                        f"{ROOT}/tests/power/lazy_filesystem.c",
                        *shlex.split(flags)], check=True)
    return path


class LazyDisk:
    """What lies in `folder` is what is on the disk; `mount` shows it. Skips the
    test where FUSE is not permitted."""

    def __init__(self, folder, mount):
        self.mount = mount
        options = "default_permissions"
        if os.getuid() == 0:
            options += ",allow_other"
        self.process = subprocess.Popen([program(), folder, mount, "-o", options],
                                        stderr=subprocess.PIPE, text=True)
        wait_until(lambda: os.path.ismount(mount) or self.process.poll()
                   is not None, "the mount")
        if self.process.poll() is not None:
            said = self.process.stderr.read().strip()
            assert self.process.returncode == CANNOT_MOUNT, said
            pytest.skip(f"a FUSE file system cannot be mounted here: {said}")

    def cut_power(self):
        """What is not synced is forgotten; everything fails from now on."""
        self.process.send_signal(signal.SIGUSR1)

    def restore_power(self):
        self.process.send_signal(signal.SIGUSR2)

    def close(self):
        command = ["umount"] if os.getuid() == 0 else ["fusermount3", "-u"]
        subprocess.run([*command, self.mount], check=False)
        self.process.terminate()
        self.process.wait(30)
        self.process.stderr.close()
