# SPDX-License-Identifier: MIT
"""Waiting for something that happens elsewhere: poll with a deadline."""

import time

DEADLINE_SECONDS = 30


def wait_until(condition, what, seconds=DEADLINE_SECONDS):
    """Call condition until it returns something true, which is returned."""
    end = time.monotonic() + seconds
    pause = 0.005
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
