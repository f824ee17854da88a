"""Cells and shards (docs/formats/extent.md): geometry, and the arithmetic of GF(2^8) that gives missing cells back."""
from fields import Damaged

POLYNOMIAL = 0x11D
TAG = 16
EXTENT_MAX = 64 << 20
CELL_MAX = 65_552
CODES = ((4, 2), (5, 3), (6, 3), (7, 4), (9, 6))


def _tables():
    powers, logs, value = [0] * 510, [0] * 256, 1
    for exponent in range(255):
        powers[exponent] = powers[exponent + 255] = value
        logs[value] = exponent
        value = value << 1 ^ (POLYNOMIAL if value & 0x80 else 0)
    return powers, logs


_POWERS, _LOGS = _tables()


def multiply(left, right):
    return _POWERS[_LOGS[left] + _LOGS[right]] if left and right else 0


def inverse(value):
    return _POWERS[255 - _LOGS[value]]


# Times a constant, for whole cells: bytes.translate with the constant's row.
_ROWS = [bytes(multiply(constant, value) for value in range(256)) for constant in range(256)]


def combine(factors, cells, size):
    """The sum of factor x cell; cells may be shorter than `size`, as if filled up with zeros."""
    total = 0
    for factor, cell in zip(factors, cells):
        if factor and cell:
            # Little-endian, so that zeros at a cell's end need not be there.
            total ^= int.from_bytes(cell if factor == 1 else cell.translate(_ROWS[factor]), "little")
    return total.to_bytes(size, "little")


def row(shard, k):
    """The equation of a shard: its factors of the k data cells."""
    if shard < k:
        return [1 if j == shard else 0 for j in range(k)]
    return [inverse(shard ^ j) for j in range(k)]


def invert(matrix):
    """Gauss-Jordan over GF(2^8). Every k rows of these codes are independent."""
    size = len(matrix)
    work = [list(line) + [1 if i == j else 0 for j in range(size)] for i, line in enumerate(matrix)]
    for column in range(size):
        pivot = next(i for i in range(column, size) if work[i][column])
        work[column], work[pivot] = work[pivot], work[column]
        scale = inverse(work[column][column])
        work[column] = [multiply(scale, x) for x in work[column]]
        for i in range(size):
            factor = work[i][column]
            if i != column and factor:
                work[i] = [x ^ multiply(factor, y) for x, y in zip(work[i], work[column])]
    return [line[size:] for line in work]


_inverted = {}


def _inverse_of(shards, k):
    if (shards, k) not in _inverted:
        _inverted[shards, k] = invert([row(shard, k) for shard in shards])
    return _inverted[shards, k]


class Geometry:
    """An extent of `length` bytes in cells of `cell_bytes` under code (n, k)."""

    def __init__(self, n, k, cell_bytes, length):
        if (n, k) not in CODES or not 1 <= cell_bytes <= CELL_MAX or not 1 <= length <= EXTENT_MAX:
            raise Damaged(f"geometry: code ({n}, {k}), cells of {cell_bytes} bytes, length {length}")
        self.n, self.k, self.cell_bytes, self.length = n, k, cell_bytes, length
        self.cells = -(-length // cell_bytes)
        self.stripes = -(-self.cells // k)

    def data_bytes(self, stripe, shard):
        """Stored bytes, tag not included, of the data cell of a stripe on data shard `shard`; 0: not stored."""
        return max(0, min(self.cell_bytes, self.length - (stripe * self.k + shard) * self.cell_bytes))

    def stored_bytes(self, stripe, shard):
        # Parity is as long as the stripe's longest cell, which is its first.
        return self.data_bytes(stripe, shard if shard < self.k else 0)

    def offset(self, stripe):
        """Of a stripe's cell from the shard's first cell."""
        return stripe * (self.cell_bytes + TAG)

    def recover(self, stripe, found):
        """The k data cells of a stripe from `found` = {shard: good cell}, or None if those are too few."""
        found = dict(found)
        for shard in range(self.k):
            if self.data_bytes(stripe, shard) == 0:
                found[shard] = b""  # zeros, known without being stored
        missing = [shard for shard in range(self.k) if shard not in found]
        if missing:
            if len(found) < self.k:
                return None
            chosen = tuple(sorted(found)[:self.k])
            back, cells = _inverse_of(chosen, self.k), [found[s] for s in chosen]
            size = self.stored_bytes(stripe, self.k)
            for shard in missing:
                found[shard] = combine(back[shard], cells, size)[:self.data_bytes(stripe, shard)]
        return [found[shard] for shard in range(self.k)]

    def encode(self, stripe, data_cells, shard):
        return combine(row(shard, self.k), data_cells, self.stored_bytes(stripe, shard))
