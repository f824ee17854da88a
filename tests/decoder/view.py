"""The view's records (docs/formats/view.md): buckets, versions of objects, slices, storage, exceptions. And a whole realm, put together."""
import dataclasses
import hashlib

from crypto import SEALED_SEGMENT, Stream, hkdf, same
from erasure import CODES
from extents import DATA, SECTION, Extents, Reference
from fields import Damaged, Fields, Unreadable, sized, u8, u16, u32, u64
from islands import open_islands
from journal import Journal
import snapshots

SMALL, LARGE, LARGE_WITH_HOMES = 1, 2, 3
DATA_WITH_HOMES = 2  # kind of a reference, beside those of extents
ROSTER_MAX = 16
SMALL_SEGMENTS_MAX = 4
SIZE_MAX = 1 << 50
OBJECT, DELETE_MARKER = 1, 2
CUSTOMER_KEY = 2  # encryption asked for: SSE-C
OF_OBJECT, OF_PART, OF_OBJECT_WITH_KEY, OF_PART_WITH_KEY = 1, 2, 3, 4  # what a wrapped key is for


@dataclasses.dataclass
class Piece:
    """Where one sealed segment lies: `size` bytes of an extent from `offset` on."""
    ref: Reference
    offset: int
    size: int


@dataclasses.dataclass
class Slice:
    stream: Stream
    wrapped: bytes
    kek_slot: int
    generation: int
    pieces: list


@dataclasses.dataclass
class Version:
    """A version of an object, or a delete marker."""
    bucket: bytes
    key: bytes
    id: bytes
    modified: int
    size: int
    etag: bytes
    checksum_kind: int
    checksum: bytes
    system: list
    user: list
    slices: list
    kind: int = OBJECT
    order: int = 0
    null: bool = True
    composite: bool = False
    encryption: int = 0
    commitment: bytes = b""
    tags: list = dataclasses.field(default_factory=list)
    retention: int = 0
    retain_until: int = 0
    hold: bool = False
    part_set: bytes = b""
    parts: list = dataclasses.field(default_factory=list)  # (number, size, checksum)
    latest: bool = True

    def name(self):
        """The version id as clients write it."""
        return "null" if self.null else (u64(self.order) + self.id[:8]).hex()

    def place(self):
        """Where the body begins; objects sorted so are read extent by extent, those in parts at the end."""
        if self.part_set:
            return 1 << 64, self.part_set
        for each in self.slices:
            first = each.pieces[0]
            return first.ref.epoch, first.ref.kind, first.ref.counter, first.offset
        return (0,)


def read_homes(fields, n):
    """Which island of the roster holds which shard, where shard i does not lie at place i."""
    homes = tuple(fields.raw(n))
    if len(set(homes)) != n or max(homes, default=ROSTER_MAX) >= ROSTER_MAX or homes == tuple(range(n)):
        fields.fail(f"homes {homes}")
    return homes


def read_reference(fields):
    kind, epoch, counter, attempt = fields.u8(), fields.varint(), fields.varint(), fields.raw(16)
    if kind not in (DATA, SECTION, DATA_WITH_HOMES):
        fields.fail(f"extent of kind {kind}")
    with_homes, kind = kind == DATA_WITH_HOMES, SECTION if kind == SECTION else DATA
    n, k, cell_bytes, length, mask, base = fields.u8(), fields.u8(), fields.varint(), fields.varint(), fields.varint(), fields.varint()
    random_bits = fields.raw(8) if kind == SECTION else b""
    if kind == DATA and base:
        fields.fail("base of a data extent is not 0")
    homes = read_homes(fields, n) if with_homes else ()
    return Reference(kind, epoch, counter, attempt, n, k, cell_bytes, length, base, random_bits, mask, homes)


def read_small(fields, stream):
    count = fields.varint()
    if not 1 <= count <= SMALL_SEGMENTS_MAX or count != stream.segments:
        fields.fail(f"{count} segments in storage, {stream.segments} in the stream")
    pieces = []
    for number in range(count):
        ref, offset, size = read_reference(fields), fields.varint(), fields.varint()
        if size != stream.sealed_length(number) or offset + size > ref.length:
            fields.fail(f"segment {number}: {size} bytes at {offset} of {ref}")
        if offset // ref.cell_bytes != (offset + size - 1) // ref.cell_bytes:
            fields.fail(f"segment {number} lies across two cells of {ref}")
        pieces.append(Piece(ref, offset, size))
    return pieces


def read_large(fields, stream, with_homes=False):
    n, k = fields.u8(), fields.u8()
    homes = read_homes(fields, n) if with_homes else ()
    cell_bytes, extents = fields.varint(), fields.count()
    if cell_bytes != SEALED_SEGMENT:
        fields.fail(f"cells of {cell_bytes} bytes")
    pieces = []
    for _ in range(extents):
        epoch, counter, attempt = fields.varint(), fields.varint(), fields.raw(16)
        length, mask, segments = fields.varint(), fields.varint(), fields.varint()
        if segments == 0 or len(pieces) + segments > stream.segments:
            fields.fail("storage has other segments than the stream")
        ref = Reference(DATA, epoch, counter, attempt, n, k, cell_bytes, length, mask=mask, homes=homes)
        sizes = [stream.sealed_length(len(pieces) + i) for i in range(segments)]
        if sum(sizes) != length:
            fields.fail(f"{ref} has {length} bytes for {segments} segments of {sum(sizes)}")
        pieces += [Piece(ref, i * cell_bytes, size) for i, size in enumerate(sizes)]
    if len(pieces) != stream.segments:
        fields.fail(f"{len(pieces)} segments in storage, {stream.segments} in the stream")
    return pieces


def read_slice(fields):
    data_id, salt, commitment = fields.raw(16), fields.raw(32), fields.raw(32)
    stream = Stream(data_id, salt, commitment, fields.varint(), fields.varint(), fields.varint())
    wrapped, slot, generation = fields.raw(60), fields.varint(), fields.varint()
    if stream.length == 0:
        fields.fail("an empty slice")
    storage = fields.u8()
    if storage not in (SMALL, LARGE, LARGE_WITH_HOMES):
        fields.fail(f"storage of format {storage}")
    pieces = read_small(fields, stream) if storage == SMALL else read_large(fields, stream, storage == LARGE_WITH_HOMES)
    for piece in pieces:
        if (piece.ref.n, piece.ref.k) not in CODES:
            fields.fail(f"code ({piece.ref.n}, {piece.ref.k})")
    return Slice(stream, wrapped, slot, generation, pieces)


def split_key(key):
    """(bucket, object key, order or None) of a key under o/ or v/."""
    bucket, _, rest = key[2:].partition(b"\0")
    name, separator, order = rest.partition(b"\0")
    if not bucket or not separator or len(order) != (8 if key.startswith(b"v/") else 0):
        raise Damaged(f"key {key!r} of the view is not a version's")
    return bucket, name, ~int.from_bytes(order, "big") & (1 << 64) - 1 if order else None


def read_version(key, value):
    """The record of `key` = o/ bucket NUL object key NUL, or v/ bucket NUL object key NUL ~order."""
    bucket, name, order = split_key(key)
    fields = Fields(value, f"record of object {name!r} in bucket {bucket!r}")
    version = {1: read_first_format, 2: read_second_format}.get(fields.u8(), read_unknown_format)(fields, bucket, name)
    fields.end()
    if order is not None and order != version.order:
        fields.fail(f"order {version.order} in the record, {order} in its key")
    if order is None and version.kind != OBJECT:
        fields.fail("a delete marker where the current object stands")
    inside = sum(s.stream.length for s in version.slices) + sum(size for _, size, _ in version.parts)
    if inside != version.size or version.size > SIZE_MAX or (version.slices and version.part_set):
        fields.fail(f"slices and parts do not add up to {version.size} bytes")
    return version


def read_unknown_format(fields, _bucket, _name):
    fields.fail("its format is unknown")


def read_first_format(fields, bucket, name):
    fields.expect(u8(OBJECT), "kind of version")
    version_id, modified, size, etag = fields.raw(16), fields.u64(), fields.varint(), fields.bytes()
    kind, checksum, system, user = fields.u8(), fields.bytes(), fields.map(), fields.map()
    slices = [read_slice(fields) for _ in range(fields.count())]
    return Version(bucket, name, version_id, modified, size, etag, kind, checksum, system, user, slices)


@dataclasses.dataclass
class Part:
    md5: bytes
    checksum_kind: int
    checksum: bytes
    size: int
    slice: Slice | None


def read_part(value, what):
    fields = Fields(value, what)
    fields.expect(u8(1), "format")
    fields.u64()
    part = Part(fields.raw(16), fields.u8(), fields.bytes(), fields.varint(), None)
    if part.size:
        part.slice = read_slice(fields)
        if part.slice.stream.length != part.size:
            fields.fail(f"a slice of {part.slice.stream.length} bytes in a part of {part.size}")
    fields.end()
    return part


def read_flag(fields, most, name):
    value = fields.u8()
    if value > most:
        fields.fail(f"{name} is {value}")
    return value


def read_second_format(fields, bucket, name):
    kind = fields.u8()
    if kind not in (OBJECT, DELETE_MARKER):
        fields.fail(f"kind of version {kind}")
    version_id, modified, size, etag = fields.raw(16), fields.u64(), fields.varint(), fields.bytes()
    checksum_kind, composite, checksum = fields.u8(), read_flag(fields, 1, "checksum type"), fields.bytes()
    order, null, count = fields.u64(), read_flag(fields, 1, "flags"), fields.varint()
    encryption, _name, commitment, _owner = read_flag(fields, 3, "encryption"), fields.bytes(), fields.bytes(), fields.bytes()
    retention, until, hold = read_flag(fields, 2, "retention"), fields.u64(), read_flag(fields, 1, "legal hold")
    system, user, tags, _acl = fields.map(), fields.map(), fields.map(), fields.bytes()
    slices = [read_slice(fields) for _ in range(fields.count())]
    part_set = fields.bytes()
    if len(part_set) not in (0, 16):
        fields.fail("a part set's id has 16 bytes")
    parts = [(fields.u16(), fields.varint(), fields.bytes()) for _ in range(count)] if part_set else []
    if any(a[0] >= b[0] for a, b in zip(parts, parts[1:])):
        fields.fail("part numbers do not rise")
    if kind == DELETE_MARKER and (size or slices or part_set):
        fields.fail("a delete marker has bytes")
    return Version(bucket, name, version_id, modified, size, etag, checksum_kind, checksum, system, user, slices, kind, order, bool(null),
                   bool(composite), encryption, commitment, tags, retention, until, bool(hold), part_set, parts)


def read_owner(value, bucket):
    fields = Fields(value, f"record of bucket {bucket!r}")
    kind = fields.u8()
    owner = fields.bytes()
    fields.u64()
    if kind == 2:
        read_flag(fields, 2, "versioning"), read_flag(fields, 1, "object lock"), fields.varint(), fields.varint()
    elif kind != 1:
        fields.fail(f"format {kind}")
    fields.end()
    return owner


class Realm:
    """A keyring, the islands given, and the view that their journal makes."""

    def __init__(self, keyring, paths, report, use_snapshots=True):
        self.keyring, self.report = keyring, report
        self.islands = open_islands(paths, keyring, report)
        self.journal = Journal(keyring, self.islands, report)
        self.extents = Extents(self)
        self._section_seen = {}
        slots = snapshots.find_slots(self.journal, keyring, report)
        self.view, begin = self._begin(slots if use_snapshots else [])
        self._replay(begin, slots[0].position if slots else None)

    def islands_of(self, epoch):
        return self.journal.islands_of(epoch)

    def _begin(self, slots):
        for manifest in snapshots.candidates(slots, self.journal):
            try:
                view = snapshots.load(manifest, self)
            except Damaged as error:
                self.report.note(f"snapshot {manifest.number} cannot be read: {error}")
                continue
            self.report.count("snapshot_number", manifest.number)
            return view, manifest.position
        return {}, self.journal.start()

    def _replay(self, begin, acknowledged):
        for commit in self.journal.commits(begin, acknowledged):
            record = commit.record
            self._section_seen[record.epoch, record.seq] = commit
            for key, value in commit.mutations:
                if value is None:
                    self.view.pop(key, None)
                else:
                    self.view[key] = value

    # Extents ----------------------------------------------------------------------------------------------------------------

    def repairs(self, ref):
        """Repair numbers by shard, as an exception under f/ tells them."""
        value = self.view.get(b"f/" + u8(ref.kind) + u64(ref.epoch) + u64(ref.counter))
        if value is None:
            return ()
        fields = Fields(value, f"exception of {ref}")
        fields.expect(u8(1), "format")
        fields.u64(), fields.u32()
        numbers = tuple(fields.varint() for _ in range(fields.count()))
        fields.end()
        return numbers

    def check_section(self, ref):
        """A reference to a section against the commit that holds it; its digest too, as far as it can be read."""
        key = (ref.epoch, ref.counter)
        commit = self._section_seen.get(key)
        if commit is None:
            commit, _ = self.journal.find_commit(ref.epoch, ref.random_bits, ref.counter)
            if commit is None:
                raise Damaged(f"commit {key} that holds the section can be read on none of the islands given")
            self._section_seen[key] = commit
        if isinstance(commit, Reference):
            true = commit
        else:
            true = self._section_seen[key] = commit.record.section(ref.random_bits)
            if true.length:
                self._check_digest(true, commit.section_digest)
        if dataclasses.replace(ref, mask=0) != true:
            raise Damaged(f"{ref}: the header of its commit tells another geometry, attempt or place")

    def _check_digest(self, ref, digest):
        try:
            found = self.extents.section_digest(ref)
        except Damaged as error:
            self.report.note(f"digest not compared: {error}")
            return
        if found != digest:
            raise Unreadable(f"{ref}: BLAKE2b of the section is not what its commit says")
        self.report.count("section_digests")

    def read_piece(self, piece):
        """The sealed bytes of one segment."""
        ref = dataclasses.replace(piece.ref, mask=0)
        if ref.kind == SECTION:
            self.check_section(ref)
        elif ref.attempt != self.journal.opens[ref.epoch].attempt(ref.counter):
            raise Damaged(f"{ref}: its attempt is not the one that its epoch's seed makes")
        return self.extents.read(ref, piece.offset, piece.size, self.repairs(ref))

    # Objects ----------------------------------------------------------------------------------------------------------------

    def owners(self):
        """{bucket: owner}"""
        return {key[2:]: read_owner(value, key[2:]) for key, value in self.view.items() if key.startswith(b"b/")}

    def versions(self):
        """Every object's current version, in order of their keys; Damaged ones as (key, error)."""
        for key in sorted(k for k in self.view if k.startswith(b"o/")):
            try:
                yield key, read_version(key, self.view[key])
            except Damaged as error:
                yield key, error

    def all_versions(self):
        """Versions that are not current, and delete markers, too: each key's newest first."""
        places = sorted((k[2:], k[:2]) for k in self.view if k.startswith((b"o/", b"v/")))
        last = None
        for rest, kind in places:
            key = kind + rest
            try:
                version = read_version(key, self.view[key])
            except Damaged as error:
                yield key, error
                continue
            version.latest = (version.bucket, version.key) != last
            last = version.bucket, version.key
            yield key, version

    def kek(self, piece, version, customer_keys):
        """What wraps the data key of a slice: the tenant's KEK, or that and the customer's key together."""
        kek = self.keyring.kek(piece.kek_slot)
        if version.encryption != CUSTOMER_KEY:
            return kek
        for key in customer_keys:
            if same(version.commitment[16:], hkdf(key, version.commitment[:16], b"archipel/1 customer key commitment")):
                of_stream = hkdf(key, piece.stream.data_id, b"archipel/1 customer key")
                return hkdf(kek, of_stream, b"archipel/1 customer wrap")
        raise Damaged("it is sealed with a customer's key (SSE-C) that was not given")

    def open_slice(self, piece, version, scope, customer_keys, what):
        """The bytes of one slice. `scope`: (purpose, owner, bucket, id, index) of its wrapped key."""
        purpose, owner, bucket, identity, index = scope
        if version.encryption == CUSTOMER_KEY:
            purpose += OF_OBJECT_WITH_KEY - OF_OBJECT
        bound_to = (u8(purpose) + sized(owner) + sized(bucket) + identity + u32(index) + piece.stream.data_id + u32(piece.generation) + u16(1))
        piece.stream.unwrap(self.kek(piece, version, customer_keys), piece.wrapped, bound_to, what)
        for number, place in enumerate(piece.pieces):
            yield piece.stream.open(number, self.read_piece(place), what)

    def part(self, version, number):
        key = b"q/" + version.part_set + u16(number)
        if key not in self.view:
            raise Damaged(f"part {number} of its part set has no record")
        return read_part(self.view[key], f"part {number} of object {version.key!r} in bucket {version.bucket!r}")

    def body(self, version, owner, customer_keys=()):
        """The object's bytes, piece by piece, in order."""
        what = f"object {version.key!r} in bucket {version.bucket!r}"
        for index, piece in enumerate(version.slices):
            yield from self.open_slice(piece, version, (OF_OBJECT, owner, version.bucket, version.id, index), customer_keys, what)
        for number, size, checksum in version.parts:
            part = self.part(version, number)
            if part.size != size or (checksum and checksum != part.checksum):
                raise Damaged(f"part {number} is not the one that the version tells of")
            md5 = hashlib.md5()
            if part.slice:
                scope = (OF_PART, owner, version.bucket, version.part_set, number)
                for data in self.open_slice(part.slice, version, scope, customer_keys, what):
                    md5.update(data)
                    yield data
            if md5.digest() != part.md5:
                raise Damaged(f"the MD5 of part {number} does not fit")

    def parts_etag(self, version):
        """What the ETag of an object in parts is made of."""
        sums = b"".join(self.part(version, number).md5 for number, _, _ in version.parts)
        return f"{hashlib.md5(sums).hexdigest()}-{len(version.parts)}".encode()
