#!/usr/bin/env python3
"""Reads the golden files (tests/golden/files) with the independent decoder and compares with what their manifest.json tells.

Example: golden.py tests/golden/files
"""
import hashlib
import itertools
import json
import pathlib
import shutil
import sys
import tempfile

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import erasure
import extents
import journal
import snapshots
import view
from crypto import NONCE_0, Keyring, blake2b, hkdf, hmac256
from fields import Fields, Report, Unreadable, sized, u8, u16, u32, u64, xor
from islands import Island


class GoldenIsland(Island):
    """An island without a marker: the widest code has nine, the samples have markers of six."""

    def __init__(self, path, name, keyring):
        self.path, self.id, self._keyring = path, name, keyring
        self._names_key = keyring.sub_key("names/" + name)


class GoldenRealm:
    def __init__(self, files, home):
        self.files, self.told, self.report = files, json.loads((files / "manifest.json").read_text()), Report()
        shutil.copy(files / "keyring", home / "keyring")
        (home / "keyring").chmod(0o600)
        self.keyring = Keyring(home / "keyring", self.told["passphrase"].encode())
        self.all = [GoldenIsland(home / f"golden-{i}", f"golden-{i}", self.keyring) for i in range(9)]
        self.use = range(9)
        for name, entry in self.told["files"].items():
            self._spread((files / name).read_bytes(), entry)

    def _spread(self, data, entry):
        """A file holds the blobs of all islands, or of its homes, one after the other."""
        islands = [self.all[place] for place in entry["homes"]] if "homes" in entry else self.all
        for island, name, size in zip(islands, entry.get("names", ()), entry.get("blob_bytes", ())):
            place = island.path / name[:2] / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data[:size])
            data = data[size:]

    def islands_of(self, _epoch):
        return [island if number in self.use else None for number, island in enumerate(self.all)]


def check(condition, what):
    if not condition:
        raise SystemExit(f"golden: {what} is not what the manifest says")


def check_keys(realm, home):
    check(realm.keyring.realm.hex() == realm.told["realm"], "the realm")
    for purpose, key in realm.told["subkeys"].items():
        check(realm.keyring.sub_key(purpose).hex() == key, f"sub-key {purpose}")
    for number in range(6):
        directory = home / f"marked-{number}"
        directory.mkdir()
        shutil.copy(realm.files / f"marker_{number}", directory / "marker")
        check(Island(directory, realm.keyring).id == f"golden-{number}", f"marker {number}")


def check_extent(realm, name, entry):
    """Any k shards give the bytes back, and parity is what the cells say."""
    ref = extents.Reference(extents.DATA, entry["epoch"], entry["counter"], bytes.fromhex(entry["attempt"]), entry["n"], entry["k"],
                            entry["cell_bytes"], entry["length"], homes=tuple(entry.get("homes", ())))
    homes = [ref.home(shard) for shard in range(ref.n)]
    for place, told in zip(homes, entry["names"]):
        check(realm.all[place].shard_name(ref.epoch, ref.counter, ref.attempt, place, 0) == told, f"name at place {place} of {name}")
    for realm.use in itertools.combinations(homes, ref.k):
        reader = extents.Extents(realm)
        check(hashlib.sha256(reader.read(ref, 0, ref.length)).hexdigest() == entry["sha256"], f"{name} from islands {realm.use}")
        reader.close()
    realm.use = range(9)
    shards = extents.Shards(realm, ref, ())
    for stripe in range(shards.geometry.stripes):
        cells = shards.stripe(stripe)
        for shard in range(ref.k, ref.n):
            check(shards.geometry.encode(stripe, cells, shard) == shards._cell(stripe, shard), f"parity of {name}")
    shards.close()


def check_journal(realm):
    found = {}
    for name, kind in (("claim", journal.CLAIM), ("open", journal.OPEN), ("commit", journal.COMMIT)):
        entry = realm.told["files"][name]
        for island, blob in zip(realm.all, entry["names"]):
            found[name] = journal.read_record(island, realm.keyring, blob, kind, 1, 1 if kind == journal.COMMIT else 0)
            check(found[name] is not None and found[name].hash.hex() == entry["hash"], f"{name} of {island.id}")
    opened, commit = journal.Open(found["open"]), journal.Commit(found["commit"])
    check(found["open"].plaintext == (realm.files / "open_plaintext").read_bytes(), "the open's plaintext")
    check(found["commit"].plaintext == (realm.files / "commit_plaintext").read_bytes(), "the commit's plaintext")
    check(commit.previous == opened.hash, "the commit's parent")
    section = found["commit"].section(opened.random_bits)
    for realm.use in itertools.combinations(range(section.n), section.k):
        reader = extents.Extents(realm)
        check(blake2b(reader.read(section, 0, section.length)) == commit.section_digest, "the section's digest")
        reader.close()
    return journal.Position(1, opened.random_bits, 1, commit.hash)


def check_lease(realm):
    told = realm.told["files"]["lease"]
    island = next(one for one in realm.all if one.id == told["island"])
    check(island.name(b"lease") == told["name"], "the lease's name")
    data = (realm.files / "lease").read_bytes()
    mask = hkdf(realm.keyring.sub_key("names/" + island.id), data[:16], b"archipel/1 lease mask", 128)
    body = xor(data[16:], mask)
    lease = Fields(body, "the lease")
    check(lease.raw(16) == b"archipel/1 lease" and lease.raw(16) == realm.keyring.realm, "the lease's realm")
    check(lease.u64() == told["epoch"], "the lease's epoch")
    lease.raw(16)
    check(lease.u64() == told["counter"] and lease.u8() in (0, 1), "the lease's counter")
    check(lease.raw(31) == bytes(31), "the lease's zeros")
    check(lease.raw(32) == hmac256(realm.keyring.sub_key("head"), island.id.encode() + body[:96]), "the lease's MAC")
    lease.end()


def check_snapshot(realm, position):
    entry = realm.told["files"]["head_slot"]
    slot = snapshots.read_slot((realm.files / "head_slot").read_bytes(), entry["name"], realm.keyring, "the head slot")
    check(slot.number == entry["number"] and slot.position == position, "the head slot")
    manifest = snapshots.Manifest((realm.files / "snapshot_manifest").read_bytes())
    manifest.unwrap(realm.keyring)
    realm.use, realm.extents = (0, 4, 5), extents.Extents(realm)
    sealed = realm.extents.cell(manifest.reference(0), 0, repairs=None)
    plain = manifest.stream.open(0, sealed, "the snapshot")
    check(plain == (realm.files / "snapshot_chunk_plaintext").read_bytes(), "the snapshot's plaintext")
    check(hashlib.sha256(hashlib.sha256(plain).digest()).digest() == manifest.digest, "the snapshot's digest")
    entries = {}
    snapshots.read_entries(plain, entries, b"", "the snapshot")
    check(len(entries) == manifest.entries, "the number of the snapshot's entries")
    realm.extents.close()


def check_view(realm):
    for name, record in realm.told["view"].items():
        key, value = bytes.fromhex(record["key"]), bytes.fromhex(record["value"])
        if key.startswith(b"o/"):
            version = view.read_version(key, value)
            check(sum(len(s.pieces) for s in version.slices) == sum(s.stream.segments for s in version.slices) > 0, name)
            check({piece.ref.homes for s in version.slices for piece in s.pieces} == {tuple(record.get("homes", ()))}, name)
        if key.startswith(b"b/"):
            check(view.read_owner(value, key[2:]) == b"golden-owner", name)
        if key.startswith((b"e/", b"x/")):
            check(read_live_reference(key, value, name).homes == tuple(record.get("homes", ())), name)
        if key.startswith(b"q/") and key[18:] != u16(0):
            check_part(realm, key, view.read_part(value, name), name)


def read_live_reference(key, value, what):
    """The extent of a record that says it is live, or doomed; its key tells the same."""
    fields = Fields(value, what)
    fields.expect(u8(1), "format")
    if key.startswith(b"e/"):
        fields.varint()
    else:
        fields.u8(), fields.u64(), fields.u32()
    ref = view.read_reference(fields)
    fields.end()
    check(key[2:] == u8(ref.kind) + u64(ref.epoch) + u64(ref.counter), what)
    return ref


def check_part(realm, key, part, name):
    """A part's data key is bound to its upload and number."""
    check(bool(part.slice) == (part.size > 0), name)
    if part.slice:
        stream = part.slice.stream
        bound_to = (u8(view.OF_PART) + sized(b"golden-owner") + sized(b"golden-bucket") + key[2:18] + u32(int.from_bytes(key[18:], "big")) +
                    stream.data_id + u32(part.slice.generation) + u16(1))
        stream.unwrap(realm.keyring.kek(part.slice.kek_slot), part.slice.wrapped, bound_to, name)


def write_commit(realm, random_bits, seq, previous):
    """Seals an empty commit onto all islands, as only a holder of the keyring can."""
    plain = previous + u64(1) + u64(seq) + u64(0) + blake2b(b"") + bytes(2)
    salt, keyring = hashlib.sha256(previous).digest(), realm.keyring
    header = (b"AJ1\n" + u16(1) + u8(journal.COMMIT) + u8(0) + u64(1) + u64(seq) + salt + u32(len(plain) + 16) + bytes([6, 3, 1, 0]) +
              u32(journal.NO_SECTION_CELL) + bytes(60))
    sealed = AESGCM(hkdf(keyring.sub_key("index"), salt, b"archipel/1 record")).encrypt(NONCE_0, plain, keyring.realm + header)
    for island in realm.all[:6]:
        name = island.commit_name(1, random_bits, seq)
        mask = island.mask(b"archipel/1 commit header" + sized(name.encode()))
        (island.path / name[:2]).mkdir(exist_ok=True)
        (island.path / name[:2] / name).write_bytes(xor(header, mask) + sealed)


def check_chain(realm, position):
    """A commit that follows is read; one that names another commit before it is a fork, and no end of the journal."""
    islands = {island.id: island for island in realm.all[:6]}

    def read():
        chain = journal.Journal(realm.keyring, islands, realm.report)
        return len(list(chain.commits(chain.start())))

    check(read() == 1, "the number of commits")
    write_commit(realm, position.random_bits, 2, position.hash)
    check(read() == 2, "the number of commits, with one more,")
    write_commit(realm, position.random_bits, 2, bytes(32))
    try:
        read()
    except Unreadable as error:
        check("fork" in str(error), "the error of a fork")
    else:
        check(False, "a fork that nobody noticed")


def main():
    files = pathlib.Path(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="archipel-golden-") as home:
        home = pathlib.Path(home)
        realm = GoldenRealm(files, home)
        check_keys(realm, home)
        for name, entry in realm.told["files"].items():
            if "cell_bytes" in entry:
                check_extent(realm, name, entry)
        position = check_journal(realm)
        check_lease(realm)
        check_snapshot(realm, position)
        check_chain(realm, position)
        check_view(realm)
        check(not realm.report.blamed, "a cell")
    print(f"golden: {len(realm.told['files'])} files, {len(erasure.CODES)} codes, {realm.report.counters['cells_verified']} cells: all as told")


if __name__ == "__main__":
    main()
