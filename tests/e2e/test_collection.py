"""What is deleted or replaced leaves the islands, and what stays can be had again from three of them."""
import hashlib
import re
import shutil
import time

import base
import gateway

SHORT = """
[collection]
interval_s = 1
grace_s = 2
repeat_s = 4
truncation_delay_s = 2
snapshot_mib = 1
compact_mib = 1
"""


def body(seed, size):
    return hashlib.shake_256(str(seed).encode()).digest(size)


class Collection(base.Case):
    seconds_max = 600
    once_is_enough = in_memory = True

    def stored(self, cloud):
        total = 0
        for island in gateway.ISLANDS:
            for path in cloud.island(island).rglob("*"):
                try:
                    total += path.stat().st_size if path.is_file() else 0
                except FileNotFoundError:
                    pass  # a temporary name, or collected just now
        return total

    def counter(self, cloud, name):
        return sum(int(value) for value in re.findall(rf"(?m)^{name}(?:\{{[^}}]*\}})? (\d+)$", cloud.metrics()))

    def test_overwritten_and_deleted_bytes_leave_the_islands(self):
        cloud = self.new_gateway()
        cloud.start()
        self.assertEqual(cloud.stop(), 0, cloud.stderr())
        config = cloud.dir / "archipel.toml"
        text = config.read_text()
        config.write_text(re.sub(r"(?m)^\[collection\]\n(#.*\n)*", "", text) + SHORT)
        cloud.start()
        client = cloud.client()
        self.assertEqual(client.make_bucket("collected").status, 200)
        kept = {}

        def put(key, data):
            self.assertEqual(client.request("PUT", "collected", key, data).status, 200)
            kept[key] = data

        most = 0
        limit = time.monotonic() + 300
        rounds = 0
        # Until everything that keeps islands small has happened; a slow machine takes longer, not fewer.
        while time.monotonic() < limit:
            for i in range(40):
                put(f"hot-{i % 5}", body((rounds, i), 20_000))
            put("large", body((rounds, "large"), 1_500_000))
            # Small ones that stay, each in a commit of its own: compaction has something to gather.
            for i in range(30):
                put(f"cold-{rounds % 40}-{i}", body((rounds, "cold", i), 200))
            rounds += 1
            if rounds == 3:
                most = self.stored(cloud)
            happened = [self.counter(cloud, f"archipel_{name}_total") > 0
                        for name in ("collect_doomed_deleted", "collect_commits_truncated", "compaction_passes")]
            if rounds > 12 and all(happened):
                break
        self.assertTrue(all(happened), f"deleted, truncated, compacted: {happened}; {cloud.stderr()[-2000:]}")
        # What was written since is some times what is left.
        written = rounds * 2 * (40 * 20_000 + 1_500_000)
        self.assertLess(self.stored(cloud), written, f"{rounds} rounds, {most} bytes after the third")
        # Its extents and commits are gone; what stays is all there, from any three islands and the keyring.
        self.assertEqual(cloud.stop(), 0, cloud.stderr())
        shutil.rmtree(cloud.dir / "index")
        for island in gateway.ISLANDS[1:6:2]:
            shutil.rmtree(cloud.island(island))
        cloud.start()
        client = cloud.client()
        for key, data in kept.items():
            got = client.request("GET", "collected", key)
            self.assertEqual(got.status, 200, key)
            self.assertTrue(got.body == data, f"wrong bytes of {key}")
        self.assertEqual(cloud.stop(), 0, cloud.stderr())
