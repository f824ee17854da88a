"""Directory islands (docs/formats/marker.md) and the names of blobs on them (extent.md)."""
import os
import pathlib

from crypto import hkdf, hmac256, same
from fields import Damaged, Fields, Unreadable, u8, u16, u32, u64

ID_BYTES_MAX = 64
MARKER_BYTES_MAX = 51 + ID_BYTES_MAX + 32
ID_CHARACTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


class Island:
    """One directory whose marker belongs to the realm. Says where a blob lies; knows nothing of what blobs mean."""

    def __init__(self, path, keyring):
        self.path = pathlib.Path(path)
        self._keyring = keyring
        self._read_marker()
        self._names_key = keyring.sub_key("names/" + self.id)

    def _read_marker(self):
        what = f"marker of {self.path}"
        try:
            with open(self.path / "marker", "rb") as file:
                data = file.read(MARKER_BYTES_MAX + 1)
        except FileNotFoundError:
            raise Damaged(f"{what}: there is none") from None
        except OSError as error:
            raise Damaged(f"{what}: {error.strerror}") from None
        fields = Fields(data, what)
        fields.expect(b"archipel-marker\n", "magic")
        fields.expect(u16(1), "version")
        if fields.raw(16) != self._keyring.realm:
            fields.fail("it is another realm's")
        self.incarnation = fields.raw(16)
        name = fields.raw(fields.u8())
        if not 1 <= len(name) <= ID_BYTES_MAX or not set(name) <= ID_CHARACTERS:
            fields.fail("the island's id is not one")
        self.id = name.decode("ascii")
        believed = data[:fields.at]
        if not same(fields.raw(32), hmac256(self._keyring.sub_key("marker/" + self.id), believed)):
            fields.fail("wrong MAC")
        fields.end()

    # Names ------------------------------------------------------------------------------------------------------------------

    def name(self, label, content=b""):
        return hmac256(self._names_key, u8(len(label)) + label + content)[:20].hex()

    def shard_name(self, epoch, counter, attempt, place, repair):
        return self.name(b"extent", u64(epoch) + u64(counter) + attempt + u32(place) + u32(repair))

    def commit_name(self, epoch, random_bits, seq):
        return self.name(b"commit", u64(epoch) + random_bits + u64(seq))

    def mask(self, info, size=128):
        return hkdf(self._names_key, b"", info, size)

    # Blobs ------------------------------------------------------------------------------------------------------------------

    def open(self, name):
        """The blob as a file descriptor, or None if it is not there."""
        try:
            return os.open(self.path / name[:2] / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Damaged(f"blob {name} on {self.id}: {error.strerror}") from None

    def read(self, name, most):
        """The blob's first `most` bytes, or None."""
        blob = self.open(name)
        if blob is None:
            return None
        try:
            return read_at(blob, 0, most)
        except OSError as error:
            raise Damaged(f"blob {name} on {self.id}: {error.strerror}") from None
        finally:
            os.close(blob)


def read_at(blob, offset, size):
    """`size` bytes, or fewer where the blob ends."""
    parts = []
    while size > 0:
        part = os.pread(blob, size, offset)
        if not part:
            break
        parts.append(part)
        offset, size = offset + len(part), size - len(part)
    return b"".join(parts)


def open_islands(paths, keyring, report):
    """{island id: Island} of the directories with a valid marker; the others are left out, and named."""
    found = {}
    for path in paths:
        try:
            island = Island(path, keyring)
        except Damaged as error:
            report.blame(str(path), str(error))
            continue
        if island.id in found:
            raise Unreadable(f"{path} and {found[island.id].path} are both island {island.id}: give one of them")
        found[island.id] = island
    if not found:
        raise Unreadable("none of the directories has a valid marker of this realm: " +
                         "; ".join(e["examples"][0] for e in report.blamed.values()))
    return found
