# SPDX-License-Identifier: MIT
"""A virtual machine seen through its serial console.

Owns the program it starts: a terminal (or a pipe) on its standard input and
output, everything it ever printed, and its end. Law: nothing waits without
a limit, whatever is printed while something is being typed is read (a guest
that cannot print stops reading), and close() leaves no process behind.
"""

import os
import pty
import re
import select
import signal
import subprocess
import time
import tty


# What a kernel in trouble says.
TROUBLE = re.compile(rb"[^\r\n]*(?:Kernel panic|BUG:|Oops|general protection|"
                     rb"segfault|Call Trace|RIP:|EIP:)[^\r\n]*")


class ConsoleError(Exception):
    """The machine did not do what was waited for; the text says what."""


class Console:
    def __init__(self, command, terminal=True):
        self.output = b""
        self.ended = False
        if terminal:
            self.write_fd, child_in = pty.openpty()
            tty.setraw(child_in)
            self.read_fd, child_out = self.write_fd, child_in
        else:
            child_in, self.write_fd = os.pipe()
            self.read_fd, child_out = os.pipe()
        try:
            self.process = subprocess.Popen(
                command, stdin=child_in, stdout=child_out,
                stderr=subprocess.STDOUT, start_new_session=True)
        except OSError as error:
            self.process = None
            raise ConsoleError(f"cannot run {command[0]}: "
                               f"{error.strerror}") from error
        finally:
            for fd in {child_in, child_out}:
                os.close(fd)
        os.set_blocking(self.write_fd, False)

    def _pump(self, seconds, to_write=b""):
        """Reads what there is, writes what can be taken; returns the rest."""
        writers = [self.write_fd] if to_write else []
        readers = [] if self.ended else [self.read_fd]
        readable, writable, _ = select.select(readers, writers, [], seconds)
        if readable:
            try:
                data = os.read(self.read_fd, 65536)
            except OSError:  # how a terminal says that the other side left
                data = b""
            self.ended = not data
            self.output += data
        if writable:
            try:
                to_write = to_write[os.write(self.write_fd, to_write[:4096]):]
            except BlockingIOError:
                pass
            except OSError as error:
                raise ConsoleError("the machine ended while typing") from error
        return to_write

    def type(self, data, seconds):
        """Types all of data, at the pace at which it is taken."""
        limit = time.monotonic() + seconds
        while data:
            data = self._pump(0.2, data)
            if self.ended or time.monotonic() > limit:
                raise ConsoleError(f"{len(data)} bytes of input not taken")

    def wait_for(self, pattern, start, seconds):
        """The match of pattern in what was printed after position start."""
        expression = re.compile(pattern)
        limit = time.monotonic() + seconds
        while True:
            match = expression.search(self.output, start)
            if match:
                return match
            if self.ended:
                raise ConsoleError(f"the machine ended ({self.status()}) "
                                   f"before printing {pattern.decode()!r}; "
                                   f"{self._where()}")
            if time.monotonic() > limit:
                raise ConsoleError(f"{pattern.decode()!r} not printed within "
                                   f"{seconds:.0f} s; {self._where()}")
            self._pump(0.2)

    def _registers(self):
        """What the monitor says of the registers, two readings a second
        apart; nothing if there is no monitor on this console."""
        start = len(self.output)
        if self.ended:
            return "gone"
        try:
            self.type(b"\x01cinfo registers\r", 2)
            for _ in range(10):
                self._pump(0.1)
            self.type(b"info registers\r", 2)
            for _ in range(10):
                self._pump(0.1)
        except ConsoleError:
            pass
        words = re.findall(rb"(?:E[A-Z]{2}|CR[0-4])=[0-9a-f]{8}",
                           self.output[start:])
        return b" ".join(words).decode()

    def _where(self):
        """Where the machine stands, in one line."""
        text = self.output
        lines = [line.decode(errors="replace").strip() for line in
                 TROUBLE.findall(text)[:4] + text.splitlines()[-2:]]
        return f"console: {' / '.join(lines)}; CPU: {self._registers()}"

    def wait_for_end(self, seconds):
        """The program's exit status; a negative one is a signal."""
        limit = time.monotonic() + seconds
        while self.process.poll() is None:
            if time.monotonic() > limit:
                raise ConsoleError(f"still running after {seconds:.0f} s")
            if self.ended:
                time.sleep(0.05)
            else:
                self._pump(0.2)
        while not self.ended and select.select([self.read_fd], [], [], 0)[0]:
            self._pump(0)
        return self.process.returncode

    def status(self):
        try:
            code = self.process.wait(5)
        except subprocess.TimeoutExpired:
            return "still running"
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"exit status {code}"

    def text(self):
        return self.output.decode(errors="replace")

    def close(self):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for fd in {self.read_fd, self.write_fd}:
            os.close(fd)
