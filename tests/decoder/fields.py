"""Reading bytes: the conventions of docs/formats/README.md, and the errors that every part raises."""
import struct


class Damaged(Exception):
    """Bytes that are not what the formats demand. Another copy, or other cells, may still do."""


class Unreadable(Exception):
    """Something that no other copy makes up for: a fork, too few islands, a version from the future."""


class Fields:
    """Takes fields off the front of some bytes. Whatever does not fit is Damaged, with `what` in the message."""

    def __init__(self, data, what):
        self.data, self.what, self.at = data, what, 0

    def fail(self, problem):
        raise Damaged(f"{self.what}: {problem} (at byte {self.at} of {len(self.data)})")

    def raw(self, size):
        if size > len(self.data) - self.at:
            self.fail(f"{size} bytes wanted, {len(self.data) - self.at} left")
        self.at += size
        return self.data[self.at - size:self.at]

    def u8(self):
        return self.raw(1)[0]

    def u16(self):
        return struct.unpack(">H", self.raw(2))[0]

    def u32(self):
        return struct.unpack(">I", self.raw(4))[0]

    def u64(self):
        return struct.unpack(">Q", self.raw(8))[0]

    def varint(self):
        value = 0
        for place in range(10):
            byte = self.u8()
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                if (byte == 0 and place > 0) or value >= 1 << 64:
                    self.fail("over-long or too large varint")
                return value
        self.fail("varint of more than 10 bytes")

    def bytes(self, most=None):
        size = self.varint()
        if most is not None and size > most:
            self.fail(f"{size} bytes where {most} are the most")
        return self.raw(size)

    def map(self):
        pairs = [(self.bytes(), self.bytes()) for _ in range(self.count())]
        names = [name for name, _ in pairs]
        if any(a >= b for a, b in zip(names, names[1:])):
            self.fail("names of a map are not in order")
        return pairs

    def count(self):
        """A varint that counts things of at least one byte each."""
        number = self.varint()
        if number > len(self.data) - self.at:
            self.fail(f"{number} things in {len(self.data) - self.at} bytes")
        return number

    def expect(self, wanted, name):
        """One byte (or several) of a known value: formats, versions, magics."""
        found = self.raw(len(wanted))
        if found != wanted:
            self.fail(f"{name} is {found.hex()}, this program knows {wanted.hex()}")

    def zeros_to_end(self):
        if any(self.data[self.at:]):
            self.fail("padding is not zeros")
        self.at = len(self.data)

    def left(self):
        return len(self.data) - self.at

    def end(self):
        if self.left():
            self.fail(f"{self.left()} bytes too many")


def u8(value):
    return bytes([value])


def u16(value):
    return struct.pack(">H", value)


def u32(value):
    return struct.pack(">I", value)


def u64(value):
    return struct.pack(">Q", value)


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def sized(data):
    """`bytes` of the conventions: a varint length and the bytes."""
    return varint(len(data)) + data


def xor(left, right):
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(len(left), "big")


class Report:
    """What was seen on the way: counters, and what each island got wrong."""

    EXAMPLES_MAX = 5

    def __init__(self):
        self.counters = {}
        self.blamed = {}
        self.notes = []

    def count(self, name, by=1):
        self.counters[name] = self.counters.get(name, 0) + by

    def blame(self, island, problem):
        entry = self.blamed.setdefault(island, {"wrong": 0, "examples": []})
        entry["wrong"] += 1
        if len(entry["examples"]) < self.EXAMPLES_MAX:
            entry["examples"].append(problem)

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)
