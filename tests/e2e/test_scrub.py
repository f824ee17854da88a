"""Scrub and repair as a user sees them: `archipel scrub`, wiped islands that fill again by themselves, debt that goes to zero."""
import json
import shutil
import subprocess
import time

import base
import gateway
from test_trouble import blobs, tamper

WAIT_SECONDS_MAX = 240


class Scrub(base.Case):
    once_is_enough = in_memory = True

    def begin(self):
        cloud = self.new_gateway()
        cloud.start()
        client = cloud.client(timeout=90)
        self.addCleanup(client.close)
        self.expect(client.make_bucket("scrub"), 200)
        return cloud, client

    def fill(self, cloud, client):
        objects = {f"o{size}": base.pattern(size, size) for size in (1, 70_000, 131_073, 3_000_000, 20_000_000)}
        for key, data in objects.items():
            self.expect(client.put("scrub", key, data), 200)
        self.wait_for_all_islands(cloud)
        return objects

    def expect_all(self, client, objects):
        for key, data in objects.items():
            self.assertEqual(base.sha256(client.get("scrub", key).body), base.sha256(data), key)

    def scrub(self, cloud, *more):
        """(exit code, the lines)"""
        done = subprocess.run([str(gateway.binary), "scrub", "--dir", str(cloud.dir), *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=WAIT_SECONDS_MAX)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertTrue(lines, done.stderr)
        return done.returncode, lines

    def wait_for_no_debt(self, cloud, island):
        """The highest figure that was seen on the way."""
        until, most = time.monotonic() + WAIT_SECONDS_MAX, 0
        quiet = 0
        while quiet < 3:
            self.assertLess(time.monotonic(), until, "repair debt does not go away")
            owed = self.owed(cloud, island)
            most = max(most, owed)
            quiet = quiet + 1 if owed == 0 else 0
            time.sleep(0.7)
        return most

    def owed(self, cloud, island):
        for line in cloud.metrics().splitlines():
            if line.startswith(f'archipel_repair_debt_shards{{island="{island}"}}'):
                return int(line.split()[-1])
        self.fail("no such metric")

    def test_a_wiped_island_fills_again_and_then_any_three_others_may_go(self):
        cloud, client = self.begin()
        objects = self.fill(cloud, client)
        self.assertEqual(cloud.stop(), 0, cloud.stderr())
        wiped = gateway.ISLANDS[1]
        before = len(blobs(cloud.dir / "islands" / wiped))
        shutil.rmtree(cloud.dir / "islands" / wiped)
        cloud.start()
        self.wait_for_no_debt(cloud, wiped)
        code, lines = self.scrub(cloud, "--no-repair")
        self.assertEqual((code, lines[-1]["unrepaired_items"]), (0, 0), lines[-3:])
        self.assertGreaterEqual(len(blobs(cloud.dir / "islands" / wiped)), before)
        self.assertEqual(cloud.stop(), 0, cloud.stderr())
        for island in (gateway.ISLANDS[0], gateway.ISLANDS[3], gateway.ISLANDS[5]):
            shutil.rmtree(cloud.dir / "islands" / island)
        cloud.start()
        self.expect_all(cloud.client(timeout=90), objects)

    def test_scrub_finds_names_and_repairs_damage_on_three_islands(self):
        cloud, client = self.begin()
        objects = self.fill(cloud, client)
        for number, island in enumerate(gateway.ISLANDS[:3]):
            for path in blobs(cloud.dir / "islands" / island)[number::3]:
                if number == 0:
                    path.unlink()
                else:
                    tamper(path)
        code, lines = self.scrub(cloud, "--no-repair")
        self.assertEqual(code, 1)
        found = {line["id"]: line for line in lines if line["event"] == "island"}
        self.assertGreater(found[gateway.ISLANDS[0]]["missing"], 0)
        for island in gateway.ISLANDS[1:3]:
            self.assertGreater(found[island]["wrong"], 0)
        for island in gateway.ISLANDS[3:]:
            self.assertEqual(found[island]["missing"] + found[island]["wrong"], 0)
        code, lines = self.scrub(cloud)
        self.assertEqual((code, lines[-1]["unrepaired_items"]), (0, 0), lines[-3:])
        code, lines = self.scrub(cloud, "--no-repair")
        self.assertEqual((code, lines[-1]["unrepaired_items"]), (0, 0), lines[-3:])
        self.assertEqual(cloud.stop(), 0, cloud.stderr())
        # Without a gateway, under the lock.
        code, lines = self.scrub(cloud)
        self.assertEqual((code, lines[-1]["event"], lines[-1]["unrepaired_items"]), (0, "done", 0), lines[-3:])
        for island in gateway.ISLANDS[3:]:
            shutil.rmtree(cloud.dir / "islands" / island)
        cloud.start()
        self.expect_all(cloud.client(timeout=90), objects)

    def test_scrub_says_what_it_cannot_repair_and_fails(self):
        cloud, client = self.begin()
        self.expect(client.put("scrub", "lost", base.pattern(3_000_000)), 200)
        self.wait_for_all_islands(cloud)
        for island in gateway.ISLANDS[:4]:
            tamper(blobs(cloud.dir / "islands" / island)[0])
        code, lines = self.scrub(cloud)
        self.assertEqual(code, 1)
        reasons = [line["reason"] for line in lines if line["event"] == "unrepaired"]
        self.assertEqual(len(reasons), 1, reasons)
        for island in gateway.ISLANDS[:4]:
            self.assertIn(island, reasons[0])
        self.assertNotIn(gateway.ISLANDS[4], reasons[0])
