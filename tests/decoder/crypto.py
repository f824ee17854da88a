"""Keys and seals: docs/formats/keyring.md, and the sealed parts of stream.md. HKDF, HMAC and digests are the standard library's."""
import hashlib
import hmac
import os
import stat

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fields import Damaged, Fields, Unreadable, u8, u16, u64

KEYRING_BYTES = 8336
PASSES = (3, 10)
MEMORY_KIB = (65_536, 1_048_576)
TAG = 16
SEGMENT = 65_536
SEALED_SEGMENT = SEGMENT + TAG
SUITE = 1
NONCE_0 = bytes(12)


def hmac256(key, data):
    return hmac.digest(key, data, "sha256")


def hkdf(key, salt, info, size=32):
    """HKDF-SHA256 (RFC 5869), extract and expand. An empty salt is the RFC's: as many zeros as the digest is long."""
    pseudo_random = hmac256(salt or bytes(32), key)
    out = block = b""
    for number in range(1, -(-size // 32) + 1):
        block = hmac256(pseudo_random, block + info + bytes([number]))
        out += block
    return out[:size]


def blake2b(data):
    return hashlib.blake2b(data, digest_size=32).digest()


def same(left, right):
    return hmac.compare_digest(left, right)


def gcm_open(key, nonce, sealed, data, what):
    """The plaintext, or Damaged."""
    if len(sealed) < TAG:
        raise Damaged(f"{what}: shorter than a tag")
    try:
        return AESGCM(key).decrypt(nonce, sealed, data)
    except InvalidTag:
        raise Damaged(f"{what}: does not open (tag of AES-256-GCM)") from None


def argon2id(passphrase, salt, passes, memory_kib):
    try:
        from argon2.low_level import Type, hash_secret_raw
    except ImportError:
        raise Unreadable("Argon2id is missing: install Debian's python3-argon2 and run this with /usr/bin/python3") from None
    return hash_secret_raw(passphrase, salt, passes, memory_kib, 1, 32, Type.ID, 19)


class Keyring:
    """The secrets of a realm: `realm`, `kek(slot)`, `sub_key(purpose)`."""

    def __init__(self, path, passphrase):
        data = self._read(path)
        fields = Fields(data, f"keyring {path}")
        try:
            self._open(fields, data, passphrase)
        except Damaged as error:
            raise Unreadable(f"{error}; is it the right file and passphrase?") from None
        self._sub_keys = {}

    @staticmethod
    def _read(path):
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Unreadable(f"keyring {path}: not a regular file")
            if status.st_mode & 0o077:
                raise Unreadable(f"keyring {path}: others may read it; chmod 600 {path}")
            return file.read(KEYRING_BYTES + 1)

    def _open(self, fields, data, passphrase):
        fields.expect(b"ARCHKEYR", "magic")
        fields.expect(u16(1), "version")
        fields.expect(u8(1), "key derivation")
        fields.expect(u8(1), "cipher")
        passes, memory = fields.u32(), fields.u32()
        if not PASSES[0] <= passes <= PASSES[1] or not MEMORY_KIB[0] <= memory <= MEMORY_KIB[1]:
            fields.fail(f"cost of {passes} passes and {memory} KiB is outside of what is accepted")
        if len(data) != KEYRING_BYTES:
            fields.fail(f"{KEYRING_BYTES} bytes expected")
        salt, commitment, nonce = fields.raw(16), fields.raw(32), fields.raw(12)
        stretched = argon2id(passphrase, salt, passes, memory)
        if not same(commitment, hkdf(stretched, salt, b"archipel/1 keyring commit")):
            fields.fail("does not open")
        key = hkdf(stretched, salt, b"archipel/1 keyring key")
        secrets = gcm_open(key, nonce, fields.raw(fields.left()), data[:80], fields.what)
        self.realm, self.root, self._keks = secrets[:16], secrets[16:48], secrets[48:]

    def kek(self, slot):
        if not 0 <= slot <= 255:
            raise Damaged(f"KEK slot {slot}")
        return self._keks[32 * slot:32 * slot + 32]

    def sub_key(self, purpose):
        if purpose not in self._sub_keys:
            self._sub_keys[purpose] = hkdf(self.root, self.realm, b"archipel/1 subkey " + purpose.encode())
        return self._sub_keys[purpose]


class Stream:
    """A sealed body (stream.md): what the index keeps of it, and its segments once the data key is unwrapped."""

    def __init__(self, data_id, salt, commitment, suite, length, segments):
        if suite != SUITE:
            raise Damaged(f"suite {suite} of a stream is unknown")
        if segments != -(-length // SEGMENT):
            raise Damaged(f"stream of {length} bytes in {segments} segments")
        self.data_id, self.salt, self.commitment = data_id, salt, commitment
        self.length, self.segments = length, segments
        self._cipher = None

    def unwrap(self, kek, wrapped, bound_to, what):
        key = hkdf(kek, self.salt, b"archipel/1 wrap")
        data_key = gcm_open(key, wrapped[:12], wrapped[12:], bound_to, f"data key of {what}")
        if not same(self.commitment, hkdf(data_key, self.salt, b"archipel/1 commit" + u16(SUITE))):
            raise Damaged(f"{what}: the data key is not the one that the stream commits to")
        self._cipher = AESGCM(hkdf(data_key, self.salt, b"archipel/1 segment" + u16(SUITE)))

    def sealed_length(self, number):
        """Of segment `number`."""
        if number >= self.segments:
            raise Damaged(f"segment {number} of {self.segments}")
        return min(SEGMENT, self.length - SEGMENT * number) + TAG

    def open(self, number, sealed, what):
        if len(sealed) != self.sealed_length(number):
            raise Damaged(f"segment {number} of {what} has {len(sealed)} bytes, {self.sealed_length(number)} expected")
        final = u8(1 if number == self.segments - 1 else 0)
        try:
            return self._cipher.decrypt(bytes(3) + u64(number) + final, sealed, b"")
        except InvalidTag:
            raise Damaged(f"segment {number} of {what} does not open") from None
