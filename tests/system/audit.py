# SPDX-License-Identifier: MIT
"""What the ledgers of tests/load say when they are laid side by side, and how
much memory a process has."""

import collections
import os
import threading

MB = 1024 * 1024


class Audit:
    """Of what the generators had acknowledged, and what the sink has taken."""

    def __init__(self, sink, *loads):
        self.acknowledged = set().union(*(load.acknowledged() for load in loads))
        self.arrived = collections.Counter(row[0] for row in sink.arrivals())
        self.lost = self.acknowledged - set(self.arrived)
        self.again = {name: count - 1 for name, count in self.arrived.items()
                      if count > 1}
        # Nobody was told 250, and it came all the same.
        self.unasked = set(self.arrived) - self.acknowledged

    def __str__(self):
        return (f"{len(self.acknowledged)} acknowledged, {len(self.lost)} lost, "
                f"{sum(self.again.values())} delivered again")

    def check(self, may_be_doubled=False):
        assert not self.lost, sorted(self.lost)[:10]
        assert may_be_doubled or not self.again, sorted(self.again)[:10]


def resident(process):
    """Bytes; 0 if it is gone."""
    try:
        with open(f"/proc/{process}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * 4096
    except OSError:
        return 0


def processor_seconds(processes):
    """What they have used up together; of one that is gone, nothing."""
    ticks = 0
    for process in processes:
        try:
            with open(f"/proc/{process}/stat", encoding="utf-8") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def megabytes(sizes):
    return " ".join(f"{size / MB:.1f}" for size in sizes) + " MB"


class ResidentWatch:
    """The most that each process had since this was made."""

    def __init__(self, processes):
        self.before = [resident(process) for process in processes]
        self.processes = processes
        self.peak = list(self.before)
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()

    def look(self):
        while not self.is_over.wait(0.1):
            self.peak = [max(peak, resident(process))
                         for peak, process in zip(self.peak, self.processes)]

    def close(self):
        self.is_over.set()
        self.thread.join()
        self.after = [resident(process) for process in self.processes]
        return self

    def __str__(self):
        return (f"memory of the workers before {megabytes(self.before)}, at "
                f"most {megabytes(self.peak)}, after {megabytes(self.after)}")
