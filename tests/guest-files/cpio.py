# SPDX-License-Identifier: MIT
"""Writes the archives a Linux kernel unpacks into its first file system.

Owns the "newc" cpio format. Law: the bytes depend on what was added and on
nothing else (no times, no owners, no inode numbers of the host, entries
sorted by name), so that an archive built twice is the same archive; and
device nodes need no privilege, because they are only written down.
"""

import gzip
import os
import stat


class Archive:
    """A tree in memory: names are relative, without a leading slash."""

    def __init__(self):
        self.entries = {}

    def _add(self, name, mode, data=b"", device=(0, 0)):
        parent = os.path.dirname(name)
        if parent and parent not in self.entries:
            self.directory(parent)
        self.entries[name] = (mode, data, device)

    def directory(self, name, mode=0o755):
        self._add(name, stat.S_IFDIR | mode)

    def file(self, name, data, mode=0o644):
        self._add(name, stat.S_IFREG | mode, data)

    def copy(self, name, path, mode=0o644):
        with open(path, "rb") as source:
            self.file(name, source.read(), mode)

    def tree(self, name, path):
        """All regular files below path."""
        for where, folders, files in os.walk(path):
            folders.sort()
            for entry in files:
                full = os.path.join(where, entry)
                relative = os.path.relpath(full, path)
                self.copy(os.path.join(name, relative), full)

    def link(self, name, target):
        self._add(name, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, name, major, minor, mode=0o600):
        self._add(name, stat.S_IFCHR | mode, device=(major, minor))

    def to_bytes(self):
        pieces = []
        names = sorted(self.entries)
        for number, name in enumerate(names + ["TRAILER!!!"], start=1):
            mode, data, device = self.entries.get(name, (0, b"", (0, 0)))
            raw = name.encode() + b"\0"
            fields = (
                number if mode else 0,  # inode
                mode,
                0,  # uid
                0,  # gid
                2 if stat.S_ISDIR(mode) else 1,  # links
                0,  # time of last change
                len(data),
                0,  # device of the file system: major, minor
                0,
                device[0],
                device[1],
                len(raw),
                0,  # checksum, unused in this format
            )
            head = b"070701" + b"".join(b"%08X" % field for field in fields)
            pieces.append(_padded(head + raw))
            pieces.append(_padded(data))
        return b"".join(pieces)

    def write(self, path):
        """Compressed, and in place at once or not at all."""
        _write_atomically(path, gzip.compress(self.to_bytes(), 9, mtime=0))


def concatenate(path, parts):
    """One archive that unpacks as the parts one after the other."""
    pieces = []
    for part in parts:
        with open(part, "rb") as source:
            pieces.append(source.read())
    _write_atomically(path, b"".join(pieces))


def _padded(data):
    return data + b"\0" * (-len(data) % 4)


def _write_atomically(path, data):
    fresh = path + ".new"
    with open(fresh, "wb") as out:
        out.write(data)
    os.replace(fresh, path)
