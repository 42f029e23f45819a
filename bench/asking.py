# SPDX-License-Identifier: MIT
"""A workload that takes a sample whenever it is asked for one, on the host or
in a guest.

`work NAME asked` (bench/linux/work.c) warms up, says that it is ready, and
then takes a sample for each line it is given. So engines can take theirs in
turn, each sample next to the others' in time. Law: whoever makes one closes
it; nothing waits without a limit.
"""

import re
import time

from engines import NATIVE
from machines import Console, waited_by

LIMIT = 600  # seconds for one answer, to end what hangs
ANSWER = (rb"(?m)^work (?:\w+ (?P<value>[0-9.e+-]+) (?:ns|us|ms)|"
          rb"\w+ (?P<kind>skipped|failed) (?P<why>[^\r\n]*)|ready)\r*$")
END = rb"(?m)^(?:# clock (?P<clock>[0-9.]+)\r*\n)?work end\r*$"


class NoSample(Exception):
    """The workload gives no figure here; kind is skipped or failed."""

    def __init__(self, kind, why):
        super().__init__(why)
        self.kind = kind


class Asked:
    """One workload that has warmed up and waits for a line. Of all that it
    did: seconds on the host, of them waiting for a processor, and the seconds
    it says itself (None until the end)."""

    def __init__(self, name, quick, machine=None):
        words = [name] + ["quick"] * quick + ["asked"]
        self.machine = machine
        self.seconds = self.waited = 0.0
        self.clock = None
        if machine:
            self.console = machine.console
            line = "/bench/work " + " ".join(words) + "\n"
        else:
            self.console = Console([NATIVE, *words], terminal=False)
            line = ""
        self.pid = self.console.process.pid
        self.at = len(self.console.output)
        self._ask(line)

    def _ask(self, line, answer=ANSWER):
        """Gives it a line; its answer, and the share of the time until then
        in which it waited for a processor."""
        waited, began = waited_by(self.pid), time.monotonic()
        self.console.type(line.encode(), LIMIT)
        found = self.console.wait_for(answer, self.at, LIMIT)
        self.at = found.end()
        took = time.monotonic() - began
        # What has ended since waits no more.
        waited = min(max(waited_by(self.pid) - waited, 0.0), took)
        self.seconds += took
        self.waited += waited
        if found.groupdict().get("kind"):
            raise NoSample(found["kind"].decode(), found["why"].decode())
        return found, waited / took

    def sample(self):
        """The next sample, and the share of its time that was waiting."""
        found, share = self._ask("\n")
        return float(found["value"]), share

    def end(self):
        """Lets it come to its end, and the guest's prompt come back."""
        found, _ = self._ask("end\n", END)
        self.clock = float(found["clock"]) if found["clock"] else None
        if self.machine:
            self.machine.wait_for_prompt(self.at)

    def close(self):
        """Ends a workload of the host; one in a guest ends with that."""
        if not self.machine:
            self.console.close()
