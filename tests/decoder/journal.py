"""The journal (docs/formats/journal.md): which epochs there are, which are void, and their commits in order.

The order of things is README.md's "Reading a realm from its islands".
"""
import dataclasses

from crypto import blake2b, gcm_open, hkdf, hmac256, NONCE_0
from fields import Damaged, Fields, Unreadable, u8, u16, u64, sized, xor
from extents import HEADER, SECTION, Reference

COMMIT, OPEN, CLAIM = 1, 2, 3
RECORD_MAX = 16 << 20
SECTION_MAX = 9 << 20
NO_SECTION_CELL = 65_552
KEY_MAX = 64 << 10
TOLD_MAX = 64


@dataclasses.dataclass
class Record:
    """A sealed record that opened, with what its header says of the section."""
    kind: int
    epoch: int
    seq: int
    n: int
    k: int
    cell_bytes: int
    length: int
    attempt: bytes
    record_bytes: int
    plaintext: bytes

    def __post_init__(self):
        self.hash = blake2b(self.plaintext)

    def section(self, random_bits):
        return Reference(SECTION, self.epoch, self.seq, self.attempt, self.n, self.k, self.cell_bytes, self.length,
                         HEADER + self.record_bytes, random_bits)


def read_record(island, keyring, name, kind, epoch, seq):
    """The record under `name`, None if there is no such blob, or Damaged."""
    what = f"blob {name} on {island.id}"
    data = island.read(name, HEADER + RECORD_MAX if kind != COMMIT else HEADER)
    if data is None:
        return None
    if len(data) < HEADER:
        raise Damaged(f"{what}: shorter than its header")
    header = xor(data[:HEADER], island.mask(b"archipel/1 commit header" + sized(name.encode())))
    fields = Fields(header, what)
    fields.expect(b"AJ1\n", "magic")
    fields.expect(u16(1), "version")
    fields.expect(u8(kind) + u8(0), "kind")
    fields.expect(u64(epoch) + u64(seq), "epoch and seq")
    salt, record_bytes = fields.raw(32), fields.u32()
    n, k = fields.u8(), fields.u8()
    fields.expect(u8(1) + u8(0), "matrix id")
    cell_bytes, length, attempt = fields.u32(), fields.u64(), fields.raw(16)
    fields.zeros_to_end()
    if not 16 <= record_bytes <= RECORD_MAX or length > SECTION_MAX:
        fields.fail(f"record of {record_bytes} bytes, section of {length}")
    data = island.read(name, HEADER + record_bytes)
    if data is None or len(data) < HEADER + record_bytes:
        raise Damaged(f"{what}: the record is cut short")
    key = hkdf(keyring.sub_key("index"), salt, b"archipel/1 record")
    plaintext = gcm_open(key, NONCE_0, data[HEADER:], keyring.realm + header, what)
    if kind == CLAIM and salt != hmac256(keyring.sub_key("index"), plaintext):
        fields.fail("the claim's salt is not made from its number")
    if length == 0 and (attempt != bytes(16) or cell_bytes != NO_SECTION_CELL):
        fields.fail("no section, but it has an attempt or cells")
    return Record(kind, epoch, seq, n, k, cell_bytes, length, attempt, record_bytes, plaintext)


@dataclasses.dataclass
class Member:
    """An island in a roster."""
    state: int
    incarnation: bytes
    id: str


def read_roster(fields):
    members = []
    for _ in range(fields.u8()):
        state, incarnation, name = fields.u8(), fields.raw(16), fields.bytes(64)
        if state > 2 or not name or (state == 2 and any(incarnation)):
            fields.fail("roster")
        members.append(Member(state, incarnation, name.decode("ascii", "replace")))
    if len({m.id for m in members}) != len(members):
        fields.fail("an island is twice in the roster")
    return members


class Open:
    """An epoch-open."""

    def __init__(self, record):
        self.hash = record.hash
        fields = Fields(record.plaintext, f"open of epoch {record.epoch}")
        fields.expect(u64(record.epoch), "epoch")
        self.epoch, self.random_bits = record.epoch, fields.raw(8)
        self.parent_epoch, self.parent_seq, self.parent_hash = fields.u64(), fields.u64(), fields.raw(32)
        self.n, self.k, self.w = fields.u8(), fields.u8(), fields.u8()
        self.time, self.reserved, self.seed = fields.u64(), fields.u64(), fields.raw(32)
        self.roster = read_roster(fields)
        fields.end()
        if len(self.roster) != self.n:
            fields.fail(f"{len(self.roster)} islands in the roster of a code of {self.n}")
        if self.epoch == 1 and (self.parent_epoch or self.parent_seq or any(self.parent_hash)):
            fields.fail("epoch 1 has a parent")
        if self.epoch > 1 and not 1 <= self.parent_epoch < self.epoch:
            fields.fail(f"parent epoch {self.parent_epoch}")

    def attempt(self, counter):
        """Of data extent (epoch, counter)."""
        return hmac256(self.seed, b"archipel/1 attempt" + u64(self.epoch) + u64(counter))[:16]


class Commit:
    """A commit's plaintext: `mutations` are (key, value), value None for a delete."""

    def __init__(self, record):
        self.hash, self.record = record.hash, record
        fields = Fields(record.plaintext, f"commit ({record.epoch}, {record.seq})")
        self.previous = fields.raw(32)
        fields.expect(u64(record.epoch) + u64(record.seq), "epoch and seq")
        self.time, self.section_digest = fields.u64(), fields.raw(32)
        if record.length == 0 and self.section_digest != blake2b(b""):
            fields.fail("no section, but a digest of one")
        told = fields.varint()
        if told > TOLD_MAX:
            fields.fail(f"{told} confirmed commits told")
        for _ in range(told):
            fields.varint(), fields.varint(), fields.u32()
        self.mutations = [self._mutation(fields) for _ in range(fields.count())]
        fields.zeros_to_end()
        if len({key for key, _ in self.mutations}) != len(self.mutations):
            fields.fail("a key is changed twice")

    @staticmethod
    def _mutation(fields):
        put = fields.u8()
        if put > 1:
            fields.fail(f"mutation of kind {put}")
        key = fields.bytes(KEY_MAX)
        return key, fields.bytes() if put else None


@dataclasses.dataclass
class Position:
    """A place in the chain: everything up to this commit. seq 0 is the open itself."""
    epoch: int
    random_bits: bytes
    seq: int
    hash: bytes


class Journal:
    """Finds opens and commits on the islands given."""

    def __init__(self, keyring, islands, report):
        self.keyring, self.islands, self.report = keyring, islands, report
        self.opens = self._find_opens()
        self.ancestry = self._find_ancestry()
        self.current = self.ancestry[-1]
        self._names = {}

    # Epochs -----------------------------------------------------------------------------------------------------------------

    def _copies(self, kind, epoch, seq, name_of, islands):
        """(the record, blobs there). Every copy is opened; damaged ones are blamed; two that differ are a fork."""
        record, there = None, 0
        for island in islands:
            try:
                copy = read_record(island, self.keyring, name_of(island), kind, epoch, seq)
            except Damaged as error:
                self.report.blame(island.id, str(error))
                there += 1
                continue
            if copy is None:
                continue
            there += 1
            self.report.count("record_copies_verified")
            if record is not None and copy != record:
                raise Unreadable(f"fork: two records of kind {kind} for epoch {epoch}, seq {seq}; "
                                 f"the one on {island.id} is not the one before it")
            record = copy
        return record, there

    def _find_opens(self):
        opens, epoch, everyone = {}, 1, list(self.islands.values())
        while True:
            claim, claims = self._copies(CLAIM, epoch, 0, lambda i: i.name(b"claim", u64(epoch)), everyone)
            if claim is not None and claim.plaintext != b"archipel/1 claim" + u64(epoch):
                raise Unreadable(f"claim of epoch {epoch}: its text is not a claim's")
            record, there = self._copies(OPEN, epoch, 0, lambda i: i.name(b"open", u64(epoch)), everyone)
            if not claims and not there:
                break
            if record is not None:
                opens[epoch] = Open(record)
            epoch += 1
        self.report.count("epochs", len(opens))
        if not opens:
            raise Unreadable("no epoch-open can be read on the islands given: nothing was ever committed there, or too few were given")
        return opens

    def _find_ancestry(self):
        """The opens on the chain, epoch 1 first."""
        chain, epoch = [], max(self.opens)
        while epoch:
            if epoch not in self.opens:
                raise Unreadable(f"the open of epoch {epoch} is on none of the islands given, but epoch {chain[-1].epoch} follows it")
            chain.append(self.opens[epoch])
            epoch = chain[-1].parent_epoch
        chain.reverse()
        self.report.count("epochs_void", len(self.opens) - len(chain))
        if not any(member.id in self.islands for member in chain[-1].roster):
            raise Unreadable("none of the islands given is in the roster of the current epoch")
        return chain

    def islands_of(self, epoch):
        """The epoch's islands in shard order, None for those that were not given."""
        if epoch not in self.opens:
            raise Damaged(f"epoch {epoch} has no open")
        return [self.islands.get(member.id) for member in self.opens[epoch].roster]

    def start(self):
        first = self.ancestry[0]
        return Position(first.epoch, first.random_bits, 0, first.hash)

    def child_of(self, epoch):
        return next((o for o in self.ancestry if o.parent_epoch == epoch), None)

    def on_chain(self, position):
        """Whether a position that something else names lies on the chain."""
        found = next((o for o in self.ancestry if o.epoch == position.epoch and o.random_bits == position.random_bits), None)
        if found is None or (position.seq == 0 and position.hash != found.hash):
            return False
        child = self.child_of(position.epoch)
        if child is None or position.seq < child.parent_seq:
            return True
        return position.seq == child.parent_seq and position.hash == child.parent_hash

    # Commits ----------------------------------------------------------------------------------------------------------------

    def find_commit(self, epoch, random_bits, seq):
        """(commit or None, blobs there)."""
        islands = [i for i in self.islands_of(epoch) if i is not None]
        record, there = self._copies(COMMIT, epoch, seq, lambda i: i.commit_name(epoch, random_bits, seq), islands)
        if record is None:
            return None, there
        opened = self.opens[epoch]
        if (record.n, record.k) != (opened.n, opened.k):
            raise Unreadable(f"commit ({epoch}, {seq}): code ({record.n}, {record.k}), its epoch has ({opened.n}, {opened.k})")
        return Commit(record), there

    def commits(self, begin, acknowledged=None):
        """Every commit after the position `begin` to the end, in order. `acknowledged`: a position that must be reached."""
        seq, last = begin.seq, begin.hash
        for opened in self.ancestry:
            if opened.epoch < begin.epoch:
                continue
            if opened.epoch > begin.epoch:
                if (opened.parent_seq, opened.parent_hash) != (seq, last):
                    raise Unreadable(f"fork: epoch {opened.epoch} follows commit {opened.parent_seq} of epoch {opened.parent_epoch}, "
                                     f"but the chain read there ends with another commit {seq}")
                seq, last = 0, opened.hash
            child = self.child_of(opened.epoch)
            while child is None or seq < child.parent_seq:
                must = child is not None or (acknowledged is not None and acknowledged.epoch == opened.epoch and seq < acknowledged.seq)
                commit, there = self.find_commit(opened.epoch, opened.random_bits, seq + 1)
                if not must and (commit is None or there < opened.k):
                    if there:
                        self.report.note(f"commit ({opened.epoch}, {seq + 1}) was found on {there} of the islands given, {opened.k} are "
                                         "needed: the journal ends before it")
                    break
                if commit is None:
                    raise Unreadable(f"commit ({opened.epoch}, {seq + 1}) cannot be read on any of the islands given, but later ones exist: "
                                     "give more islands")
                if commit.previous != last:
                    raise Unreadable(f"fork: commit ({opened.epoch}, {seq + 1}) follows another one than was read before it")
                seq, last = seq + 1, commit.hash
                if acknowledged is not None and (acknowledged.epoch, acknowledged.seq) == (opened.epoch, seq) and acknowledged.hash != last:
                    raise Unreadable(f"fork: a head slot names another commit ({opened.epoch}, {seq})")
                self.report.count("records")
                yield commit
