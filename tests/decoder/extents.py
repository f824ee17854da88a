"""Extents read from whatever shards there are (docs/formats/extent.md): headers, tags, repair numbers, missing cells."""
import collections
import dataclasses
import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from crypto import blake2b, hkdf, same
from erasure import TAG, Geometry
from fields import Damaged, Fields, u8, u16, u32, u64, xor
from islands import read_at

HEADER = 128
DATA, SECTION = 0, 1
STRIPES_KEPT = 256      # x 3 cells of 64 KiB: 48 MiB of decoded stripes
EXTENTS_OPEN = 64       # x 6 file descriptors
REPAIRS_TRIED = 16      # where no record can tell the repair number


@dataclasses.dataclass(frozen=True)
class Reference:
    """What a reader needs to know to read an extent."""
    kind: int
    epoch: int
    counter: int
    attempt: bytes
    n: int
    k: int
    cell_bytes: int
    length: int
    base: int = 0
    random_bits: bytes = b""
    mask: int = 0
    homes: tuple = ()  # by shard, places in the roster; empty: shard i lies at place i

    def home(self, shard):
        return self.homes[shard] if self.homes else shard

    def __str__(self):
        return f"{'section' if self.kind == SECTION else 'extent'} ({self.epoch}, {self.counter})"


def cell_cipher(keyring, ref):
    info = (b"archipel/1 cell" + u16(1) + u8(ref.kind) + u64(ref.epoch) + u64(ref.counter) + u8(1) + u8(ref.k) + u8(ref.n) +
            u32(ref.cell_bytes) + u64(ref.length))
    return AESGCM(hkdf(keyring.sub_key("cells/default"), ref.attempt, info))


def cell_tag(cipher, shard, cell, data):
    return cipher.encrypt(u32(shard) + u64(cell), b"", data)


def check_header(header, ref, shard, cipher, what):
    """`header` is unmasked. Raises Damaged unless it is exactly what the index says."""
    fields = Fields(header, what)
    fields.expect(b"ARCHIPXT", "magic")
    fields.expect(u8(1), "major version")
    fields.raw(1)
    fields.expect(u16(1), "suite")
    fields.expect(u8(DATA) + u8(ref.n) + u8(ref.k) + u8(1), "kind, n, k and matrix")
    fields.expect(u32(shard), "shard number")
    fields.expect(u32(ref.cell_bytes) + u64(ref.length), "geometry")
    fields.expect(u64(ref.epoch) + u64(ref.counter), "extent id")
    fields.expect(ref.attempt, "attempt")
    fields.expect(bytes(48), "zeros")
    if not same(fields.raw(TAG), cell_tag(cipher, shard, 2**64 - 1, header[:112])):
        fields.fail("wrong tag")


class Shards:
    """The shards of one extent: open files by shard number, their cells with good tags."""

    def __init__(self, realm, ref, repairs):
        self.realm, self.ref = realm, ref
        self.geometry = Geometry(ref.n, ref.k, ref.cell_bytes, ref.length)
        self.cipher = cell_cipher(realm.keyring, ref)
        self.files = {}
        try:
            roster = realm.islands_of(ref.epoch)
            for shard in range(ref.n):
                if ref.home(shard) >= len(roster):
                    raise Damaged(f"{ref}: shard {shard} at place {ref.home(shard)} of a roster of {len(roster)}")
                if roster[ref.home(shard)] is not None:
                    self._open_shard(shard, roster[ref.home(shard)], repairs)
        except BaseException:
            self.close()
            raise

    def close(self):
        for _, blobs in self.files.values():
            for blob in blobs:
                os.close(blob)
        self.files = {}

    def _open_shard(self, shard, island, repairs):
        ref, report = self.ref, self.realm.report
        if ref.kind == SECTION:
            names = [island.commit_name(ref.epoch, ref.random_bits, ref.counter)]
        else:
            # A record under f/ tells the number. Without one (an extent of a snapshot: the view is not read yet) higher ones are tried.
            numbers = range(REPAIRS_TRIED) if repairs is None else [repairs[shard] if shard < len(repairs) else 0]
            names = [island.shard_name(ref.epoch, ref.counter, ref.attempt, ref.home(shard), number) for number in numbers]
        blobs = []
        for name in names:
            try:
                blob = island.open(name)
            except Damaged as error:
                report.blame(island.id, str(error))
                continue
            if blob is not None:
                blobs.append(blob)
                if ref.kind == DATA:
                    self._check_header(blob, name, shard, island)
        self.files[shard] = (island, blobs)
        if not blobs:
            report.count("shards_missing")

    def _check_header(self, blob, name, shard, island):
        """Tells about a wrong header. Cells are taken all the same: their own tags say whether they are good."""
        what = f"header of blob {name} on {island.id} (shard {shard} of {self.ref})"
        try:
            masked = read_at(blob, 0, HEADER)
            if len(masked) < HEADER:
                raise Damaged(f"{what}: cut short")
            mask = hkdf(self.realm.keyring.sub_key("cells/default"), b"", b"archipel/1 mask" + name.encode(), HEADER)
            check_header(xor(masked, mask), self.ref, shard, self.cipher, what)
        except (Damaged, OSError) as error:
            self.realm.report.blame(island.id, str(error))

    def _cell(self, stripe, shard):
        """The cell if some file of the shard holds it with a good tag, else None."""
        island, blobs = self.files.get(shard, (None, ()))
        size = self.geometry.stored_bytes(stripe, shard)
        base = self.ref.base if self.ref.kind == SECTION else HEADER
        for blob in blobs:
            try:
                stored = read_at(blob, base + self.geometry.offset(stripe), size + TAG)
            except OSError:
                stored = b""
            if len(stored) == size + TAG and same(stored[size:], cell_tag(self.cipher, shard, stripe, stored[:size])):
                self.realm.report.count("cells_verified")
                return stored[:size]
        if blobs:
            self.realm.report.count("cells_wrong")
            self.realm.report.blame(island.id, f"cell {stripe} of shard {shard} of {self.ref} fails its tag or is cut short")
        return None

    def stripe(self, number):
        """The k data cells. Every shard at hand is checked, needed or not."""
        found = {}
        for shard in self.files:
            if self.geometry.stored_bytes(number, shard):
                cell = self._cell(number, shard)
                if cell is not None:
                    found[shard] = cell
        cells = self.geometry.recover(number, found)
        if cells is None:
            raise Damaged(f"stripe {number} of {self.ref}: only {len(found)} good cells on the islands given, {self.ref.k} are needed")
        if any(s not in found for s in range(self.ref.k) if self.geometry.data_bytes(number, s)):
            self.realm.report.count("stripes_decoded_with_parity")
        return cells


class Extents:
    """Reads ranges of extents; keeps open files and decoded stripes for a while, as small objects share both."""

    def __init__(self, realm):
        self.realm = realm
        self._open = collections.OrderedDict()
        self._stripes = collections.OrderedDict()

    def close(self):
        while self._open:
            self._open.popitem()[1].close()

    def shards(self, ref, repairs):
        shards = self._open.get(ref)
        if shards is None:
            shards = self._open[ref] = Shards(self.realm, ref, repairs)
            if len(self._open) > EXTENTS_OPEN:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(ref)
        return shards

    def cell(self, ref, number, repairs=()):
        """Data cell `number` of an extent. `repairs`: repair numbers by shard, or None if nothing tells them."""
        stripe, place = divmod(number, ref.k)
        key = (ref, stripe)
        if key not in self._stripes:
            self._stripes[key] = self.shards(ref, repairs).stripe(stripe)
            if len(self._stripes) > STRIPES_KEPT:
                self._stripes.popitem(last=False)
        self._stripes.move_to_end(key)
        return self._stripes[key][place]

    def read(self, ref, offset, size, repairs=()):
        """Bytes of the extent, cut out of its cells."""
        if size < 0 or offset + size > ref.length:
            raise Damaged(f"{ref}: {size} bytes from {offset} on, its length is {ref.length}")
        out = []
        while size:
            number, begin = divmod(offset, ref.cell_bytes)
            part = self.cell(ref, number, repairs)[begin:begin + size]
            out.append(part)
            offset, size = offset + len(part), size - len(part)
        return b"".join(out)

    def section_digest(self, ref):
        return blake2b(self.read(ref, 0, ref.length))
