"""What the edge cannot help: disks that fail, lie or are full, and clocks that jump. docs/edge-attacks.md names these tests.

The process's system calls fail by a small library (edge_faults.c), which the tests compile and steer while it runs.
"""
import concurrent.futures
import errno
import hashlib
import mmap
import pathlib
import shutil
import struct
import subprocess
import tempfile
import threading
import unittest

from edge_attack import MIB, AttackCase
from test_edge import site

HERE = pathlib.Path(__file__).resolve().parent
HOUR_MS = 3_600_000
OBJECTS = 300


def made(target):
    """30 to 60 KiB that only this target has."""
    size = 30_000 + int.from_bytes(hashlib.sha256(target.encode()).digest()[:2], "big") % 30_000
    return (hashlib.sha256(target.encode()).hexdigest().encode() * (size // 64 + 1))[:size]


class Faults(AttackCase):
    once_is_enough = True
    FIELDS = ("clock_ms", "read_errno", "write_errno", "torn_bytes", "met")

    @classmethod
    def setUpClass(cls):
        cls.scratch = pathlib.Path(tempfile.mkdtemp(prefix="archipel-faults-"))
        cls.addClassCleanup(shutil.rmtree, cls.scratch, True)
        compiler = next((c for c in ("clang-19", "cc", "gcc") if shutil.which(c)), None)
        if compiler is None:
            raise unittest.SkipTest("there is no compiler for edge_faults.c")
        cls.library = cls.scratch / "edge_faults.so"
        subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", str(cls.library), str(HERE / "edge_faults.c")], check=True)

    def faulty_edge(self, config):
        file = self.scratch / f"{self.id()}.faults"
        file.write_bytes(bytes(8 * len(self.FIELDS)))
        with open(file, "r+b") as opened:
            self.faults = mmap.mmap(opened.fileno(), 0)
        self.addCleanup(self.faults.close)
        return self.new_edge(config, environment={"LD_PRELOAD": str(self.library), "ARCHIPEL_FAULTS": str(file)})

    def now(self, **values):
        """From now on it is like this; what is not named is well."""
        for at, name in enumerate(self.FIELDS):
            if name != "met":
                struct.pack_into("q", self.faults, 8 * at, values.get(name, 0))

    def met(self):
        return struct.unpack_from("q", self.faults, 8 * self.FIELDS.index("met"))[0]

    def number(self, edge, name):
        for line in edge.admin("/metrics", token=False).body.decode().splitlines():
            if line.startswith(f"archipel_edge_cache_{name} "):
                return int(float(line.split()[1]))
        self.fail(f"no archipel_edge_cache_{name} in /metrics")

    def all_right(self, edge, why):
        def one(target):
            response = edge.get(target, {"Host": "www.example.org"})
            return response.status == 200 and response.body == made(target)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            wrong = [t for t, right in zip(self.targets, pool.map(one, self.targets)) if not right]
        self.assertEqual(wrong, [], why)

    def test_disk_full_eio_torn_writes_and_flipped_bits(self):
        """Whatever the disk does, clients get what the origin made, all of it, and no error."""
        self.targets = [f"/{i}" for i in range(OBJECTS)]
        origin = self.new_origin(lambda r: (200, [("cache-control", "max-age=3600"), ("etag", f'"{r[1]}"')], made(r[1])))
        edge = self.faulty_edge('[cache]\nmemory = "4M"\ndisk = "disk"\ndisk_size = "128M"\n' + site(origin))
        waited = threading.Event()
        for _ in range(200):  # what is used twice is written, beside requests
            self.all_right(edge, "a disk that works")
            if self.number(edge, "disk_objects") >= OBJECTS // 2 and self.number(edge, "disk_reads_total") > 0:
                break
            waited.wait(0.05)
        self.assertGreater(self.number(edge, "disk_reads_total"), 0)

        met = self.met()
        self.now(read_errno=errno.EIO)
        self.all_right(edge, "EIO")
        self.assertGreater(self.met(), met, "nothing was read")
        self.assertGreater(self.number(edge, "disk_errors_total"), 0)

        # New pages, so that something is to be written.
        for name, faults in {"ENOSPC": {"write_errno": errno.ENOSPC}, "EIO": {"write_errno": errno.EIO}, "torn": {"write_errno": errno.EIO, "torn_bytes": 5000}}.items():
            self.targets = [f"/{name}/{i}" for i in range(100)]
            met = self.met()
            self.now(**faults)
            for _ in range(300):  # a disk that failed is left alone for a while
                self.all_right(edge, name)
                if self.met() > met:
                    break
                waited.wait(0.1)
            self.assertGreater(self.met(), met, "nothing was written")
            # An order to purge while the log cannot be written: holds here, and says that a crash may undo it.
            told = edge.admin("/purge", "POST", {"url": f"http://www.example.org/{name}/1"})
            self.assertEqual((told.status, b'"durable":false' in told.body), (200, True), told.body)
            self.now()

        # kill -9, and what was written last is torn, what was written before has flipped bits.
        self.targets = [f"/{i}" for i in range(OBJECTS)]
        before = self.number(edge, "disk_reads_total")
        for _ in range(200):
            self.all_right(edge, "a disk that works again")
            if self.number(edge, "disk_objects") >= OBJECTS // 2 and self.number(edge, "disk_reads_total") > before:
                break
            waited.wait(0.05)
        edge.process.kill()
        edge.process.wait()
        with open(edge.home / "disk" / "data.00000", "r+b") as file:
            size = file.seek(0, 2)
            for at in range(0, 12 * MIB, 96 << 10):
                file.seek(at + 20_000)
                bit = bytes([file.read(1)[0] ^ 16])
                file.seek(at + 20_000)
                file.write(bit)
            for region in range(16 * MIB, size, 16 * MIB):  # half of what came last never reached the disk
                file.seek(region + 8 * MIB)
                file.write(bytes(8 * MIB))
        edge.start()
        edge.before = edge.rss()
        for _ in range(3):
            self.all_right(edge, "torn and flipped")
        self.assertGreater(self.number(edge, "disk_corrupt_total"), 0)
        self.finish(edge, "disk full, EIO, torn writes, flipped bits", stores=True, more=32 * MIB)  # what waits for the disk: DiskTier::kQueueBytesMax

    def test_clock_jumps(self):
        """A clock that is wrong by an hour or by a century makes pages neither fresh for ever nor errors, and ages never go down."""
        count = iter(range(1_000_000))
        origin = self.new_origin(lambda r: (200, [("cache-control", "max-age=60")], str(next(count)).encode()))
        edge = self.faulty_edge(site(origin))

        def fetched(target):
            before = len(origin.seen(target))
            self.assertEqual(edge.get(target).status, 200)
            return len(origin.seen(target)) - before

        self.assertEqual([fetched("/a"), fetched("/a")], [1, 0])
        self.now(clock_ms=HOUR_MS)
        self.assertEqual(fetched("/a"), 1, "an hour later it is stale")
        self.assertEqual(fetched("/b"), 1)
        # Back: both came from the future, and would be fresh for an hour and a minute.
        self.now()
        for target in ("/a", "/b"):
            self.assertEqual([fetched(target), fetched(target)], [1, 0], "what came from the future is asked for again, and once")
        for years in (100, -40, 400):
            self.now(clock_ms=years * 365 * 24 * HOUR_MS)
            for _ in range(2):
                self.assertEqual(edge.get(f"/{years}").status, 200)
            self.assertIn(fetched("/a"), (0, 1))
            self.assertEqual(edge.admin("/metrics", token=False).status, 200)
        self.now()
        self.assertEqual([fetched("/100"), fetched("/100")], [1, 0])
        # A minute back is forgiven, and makes nothing younger.
        self.assertEqual(fetched("/c"), 1)
        self.now(clock_ms=30_000)
        then = int(edge.get("/c").getheader("age"))
        self.now(clock_ms=-20_000)
        again = edge.get("/c")
        self.assertEqual(len(origin.seen("/c")), 1)
        self.assertGreaterEqual(then, 30)
        self.assertGreaterEqual(int(again.getheader("age")), 0)
        self.now()
        self.finish(edge, "clock jumps", stores=True)


if __name__ == "__main__":
    unittest.main()
