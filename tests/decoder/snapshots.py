"""Head slots and snapshots (docs/formats/snapshot.md): where to begin when the journal before was deleted."""
import hashlib

from crypto import NONCE_0, SEALED_SEGMENT, SEGMENT, Stream, gcm_open, hkdf
from extents import DATA, Reference
from fields import Damaged, Fields, sized, u16, u32, u64, u8
from journal import Position, read_roster

SLOTS = (0, 1)
SLOT_MAX = 16 << 20
CHUNKS_MAX = 131_072
KEY_MAX = 64 << 10


class Manifest:
    def __init__(self, data):
        fields = Fields(data, "manifest of a snapshot")
        fields.expect(u8(1), "version")
        self.number = fields.u64()
        self.position = read_position(fields)
        self.time, self.entries, self.digest = fields.u64(), fields.u64(), fields.raw(32)
        data_id, salt, commitment, suite, length = fields.raw(16), fields.raw(32), fields.raw(32), fields.u16(), fields.u64()
        self.stream = Stream(data_id, salt, commitment, suite, length, -(-length // SEGMENT))
        self.wrapped = fields.raw(60)
        self.n, self.k, self.chunk_segments = fields.u8(), fields.u8(), fields.u32()
        if not 1 <= self.chunk_segments <= 256:
            fields.fail(f"{self.chunk_segments} segments a chunk")
        count = fields.varint()
        if not 1 <= count <= CHUNKS_MAX or count != -(-length // (self.chunk_segments * SEGMENT)):
            fields.fail(f"{count} chunks for {length} bytes")
        self.chunks = [(fields.varint(), fields.varint(), fields.raw(16), fields.varint()) for _ in range(count)]
        fields.end()

    def unwrap(self, keyring):
        bound_to = b"archipel/1 snapshot" + u64(self.number) + self.stream.data_id
        self.stream.unwrap(keyring.sub_key("index"), self.wrapped, bound_to, f"snapshot {self.number}")

    def segments_of(self, chunk):
        first = chunk * self.chunk_segments
        return range(first, min(first + self.chunk_segments, self.stream.segments))

    def reference(self, chunk):
        epoch, counter, attempt, mask = self.chunks[chunk]
        length = sum(self.stream.sealed_length(i) for i in self.segments_of(chunk))
        return Reference(DATA, epoch, counter, attempt, self.n, self.k, SEALED_SEGMENT, length, mask=mask)


def read_position(fields):
    epoch, random_bits, seq = fields.u64(), fields.raw(8), fields.u64()
    return Position(epoch, random_bits, seq, fields.raw(32))


class HeadSlot:
    def __init__(self, plaintext, what):
        fields = Fields(plaintext, what)
        fields.expect(u16(1), "version")
        self.number, self.position = fields.u64(), read_position(fields)
        self.time, self.journal_bytes = fields.u64(), fields.u64()
        self.n, self.k, self.w = fields.u8(), fields.u8(), fields.u8()
        self.roster = read_roster(fields)
        count = fields.u8()
        if count > 2:
            fields.fail(f"{count} snapshots")
        self.manifests = [Manifest(fields.bytes()) for _ in range(count)]
        fields.zeros_to_end()
        if len(plaintext) % 512:
            fields.fail("not a multiple of 512 bytes")

    def rank(self):
        return self.position.epoch, self.position.seq, self.number


def read_slot(data, name, keyring, what):
    key = hkdf(keyring.sub_key("head"), data[:32], b"archipel/1 head slot")
    return HeadSlot(gcm_open(key, NONCE_0, data[32:], keyring.realm + sized(name.encode()), what), what)


def find_slots(journal, keyring, report):
    """All head slots on the chain, the best first."""
    slots = []
    for island in journal.islands.values():
        for number in SLOTS:
            name = island.name(b"head", u32(number))
            what = f"head slot {number} on {island.id}"
            try:
                data = island.read(name, SLOT_MAX)
                if data is None:
                    continue
                slot = read_slot(data, name, keyring, what)
            except Damaged as error:
                report.blame(island.id, str(error))
                continue
            report.count("head_slots")
            if journal.on_chain(slot.position):
                slots.append(slot)
    return sorted(slots, key=HeadSlot.rank, reverse=True)


def candidates(slots, journal):
    """Manifests that the slots name, on the chain, the newest first."""
    found = {}
    for slot in slots:
        for manifest in slot.manifests:
            if journal.on_chain(manifest.position):
                found.setdefault(manifest.number, manifest)
    return [found[number] for number in sorted(found, reverse=True)]


def load(manifest, realm):
    """The view as of the manifest's position."""
    manifest.unwrap(realm.keyring)
    view, digests, last, what = {}, hashlib.sha256(), b"", f"snapshot {manifest.number}"
    for chunk in range(len(manifest.chunks)):
        ref = manifest.reference(chunk)
        plain = b"".join(manifest.stream.open(i, realm.extents.cell(ref, cell, repairs=None), what)
                         for cell, i in enumerate(manifest.segments_of(chunk)))
        digests.update(hashlib.sha256(plain).digest())
        last = read_entries(plain, view, last, f"chunk {chunk} of {what}")
    if digests.digest() != manifest.digest:
        raise Damaged(f"{what}: the digest does not fit")
    if len(view) != manifest.entries:
        raise Damaged(f"{what}: {len(view)} entries, {manifest.entries} expected")
    position = manifest.position
    if view.get(b"m/applied") != u64(position.epoch) + u64(position.seq) + position.hash + position.random_bits:
        raise Damaged(f"{what}: m/applied is not its position")
    return view


def read_entries(plain, view, last, what):
    fields = Fields(plain, what)
    begin = len(view)
    while fields.left() and plain[fields.at] == 1:
        fields.u8()
        key = fields.bytes(KEY_MAX)
        if view and key <= last:
            fields.fail("keys are not in rising order")
        view[key], last = fields.bytes(), key
    fields.zeros_to_end()
    if len(view) == begin:
        fields.fail("no entry")
    return last
