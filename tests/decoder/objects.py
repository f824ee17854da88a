"""Objects on the way out: where a key lies as a file, and the checksums that a version's record tells (docs/formats/view.md)."""
import datetime
import hashlib
import os
import re
import struct
import zlib

from fields import Damaged

COMPONENT_BYTES_MAX = 255
ODD, OLD = "_odd", "_versions"  # no bucket can be called so


def time_text(milliseconds):
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds") + "Z"


def text(data):
    """Keys are UTF-8; a byte that is not shows as a lone surrogate, so that nothing is lost."""
    return data.decode("utf-8", "surrogateescape")


class Paths:
    """Relative paths: bucket/key where a file system can have that, else _odd/bucket/<SHA-256 of the key>; for versions that are not the
    latest _versions/bucket/<SHA-256 of the key>/<version id>."""

    def __init__(self, places):
        """`places`: all (bucket, key) that there are."""
        self._directories = set()
        for bucket, key in places:
            if self._plain(key):
                parts = key.split(b"/")
                self._directories.update((bucket, b"/".join(parts[:i])) for i in range(1, len(parts)))

    @staticmethod
    def _plain(key):
        return all(0 < len(c) <= COMPONENT_BYTES_MAX and c not in (b".", b"..") for c in key.split(b"/")) and len(key) <= 2048

    def of(self, version):
        bucket, key = version.bucket, version.key
        if not version.latest:
            return f"{OLD}/{os.fsdecode(bucket)}/{hashlib.sha256(key).hexdigest()}/{version.name()}"
        if self._plain(key) and (bucket, key) not in self._directories:
            return os.fsdecode(bucket + b"/" + key)
        return f"{ODD}/{os.fsdecode(bucket)}/{hashlib.sha256(key).hexdigest()}"


def create(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    return open(path, "xb")


# Checksums ------------------------------------------------------------------------------------------------------------------

def _reflected_table(polynomial):
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (polynomial if byte & 1 else 0)
        table.append(byte)
    return table


class TableCrc:
    """A reflected CRC, first and last value all ones. Slow, some 15 MB/s, and in the standard library not at all."""

    def __init__(self, polynomial, size):
        self._table, self._ones, self._size = _reflected_table(polynomial), (1 << 8 * size) - 1, size
        self._value = self._ones

    def update(self, data):
        table, value = self._table, self._value
        for byte in data:
            value = table[(value ^ byte) & 0xFF] ^ value >> 8
        self._value = value

    def digest(self):
        return (self._value ^ self._ones).to_bytes(self._size, "big")


class Crc32:
    def __init__(self):
        self._value = 0

    def update(self, data):
        self._value = zlib.crc32(data, self._value)

    def digest(self):
        return struct.pack(">I", self._value)


CHECKSUMS = {1: Crc32, 2: lambda: TableCrc(0x82F63B78, 4), 3: lambda: TableCrc(0x9A6C9329AC4BC9B5, 8),
             4: hashlib.sha1, 5: hashlib.sha256}


class Checks:
    """Sums over a body as it passes; compare() at its end."""

    def __init__(self, version, report):
        self.version, self.report, self.size = version, report, 0
        self.md5 = hashlib.md5() if re.fullmatch(rb"[0-9a-f]{32}", version.etag) else None
        self.checksum = None
        if version.checksum_kind:
            if version.checksum_kind not in CHECKSUMS:
                raise Damaged(f"checksum of kind {version.checksum_kind} is unknown")
            self.checksum = CHECKSUMS[version.checksum_kind]()
            if version.composite:  # of the parts' checksums, which the version tells
                for _, _, checksum in version.parts:
                    self.checksum.update(checksum)

    def update(self, data):
        self.size += len(data)
        for each in (self.md5, None if self.version.composite else self.checksum):
            if each:
                each.update(data)

    def compare(self, parts_etag=None):
        if self.size != self.version.size:
            raise Damaged(f"{self.size} bytes came, {self.version.size} were expected")
        if self.checksum:
            if self.checksum.digest() != self.version.checksum:
                raise Damaged("the checksum does not fit")
            self.report.count("checksums")
        if parts_etag:
            self.report.count("etags_parts" if parts_etag == self.version.etag else "etags_other")
        elif self.md5:
            # A client may have chosen another ETag of the same looks: told, not an error.
            self.report.count("etags_md5" if self.md5.hexdigest().encode() == self.version.etag else "etags_other")
