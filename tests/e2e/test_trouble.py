"""Bad days: a second process, islands that vanish or lie while it runs, a full disk, a tampered blob, SIGTERM in the middle of things."""
import ctypes
import os
import pathlib
import signal
import shutil
import subprocess
import unittest

import base
import gateway
import load
import s3


def tamper(path):
    """Flips a bit in every kilobyte of a file, and in its last byte."""
    data = bytearray(path.read_bytes())
    for offset in {*range(len(data) - 1, -1, -1000), 0}:
        data[offset] ^= 1
    path.write_bytes(data)


def blobs(island):
    """Blob files of an island, largest first, without its marker."""
    return sorted((p for p in island.rglob("*") if p.is_file() and len(p.name) >= 32), key=lambda p: -p.stat().st_size)


class Trouble(base.Case):
    once_is_enough = in_memory = True

    def begin(self, **more):
        cloud = self.new_gateway()
        cloud.start(**more)
        client = cloud.client(timeout=90)
        self.addCleanup(client.close)
        self.expect(client.make_bucket("trouble"), 200)
        return cloud, client

    def test_a_second_process_is_refused_and_the_first_goes_on(self):
        cloud, client = self.begin()
        self.expect(client.put("trouble", "a", b"one"), 200)
        code, said = cloud.refuse_start()
        self.assertEqual(code, 1, said)
        sentence = said.strip().splitlines()[-1]
        self.assertRegex(sentence, r"(?i)another|already|in use|running")
        self.assertIn(str(cloud.dir), sentence)
        self.expect(client.put("trouble", "b", b"two"), 200)
        self.assertEqual(client.get("trouble", "a").body, b"one")
        self.assertEqual(cloud.stop(), 0, cloud.stderr())

    def test_an_address_in_use_is_one_clear_sentence(self):
        cloud, _ = self.begin()
        other = self.new_gateway()
        code, said = other.refuse_start(listen=f"127.0.0.1:{cloud.address[1]}")
        self.assertEqual(code, 1, said)
        self.assertIn(str(cloud.address[1]), said.strip().splitlines()[-1])

    def test_writes_go_on_with_two_islands_gone_and_reads_with_three(self):
        cloud, client = self.begin()
        before = {f"b{n}": base.pattern(size, n) for n, size in enumerate((10, 4096, 100_000, 700_000, 9 << 20))}
        for key, body in before.items():
            self.expect(client.put("trouble", key, body), 200)
        self.wait_for_all_islands(cloud)
        for island in gateway.ISLANDS[:2]:
            shutil.rmtree(cloud.island(island))
        during = {f"d{n}": base.pattern(size, 50 + n) for n, size in enumerate((10, 4096, 100_000, 700_000))}
        for key, body in during.items():
            self.expect(client.put("trouble", key, body), 200)
        cloud.island(gateway.ISLANDS[2]).rename(cloud.home / "third")
        for key, body in before.items():
            self.assertEqual(self.expect(client.get("trouble", key), 200).body, body, key)
        # A write now has three islands, one too few: refused, and not half there.
        response = client.put("trouble", "refused", b"x")
        self.assertEqual(response.status, 503, response)
        (cloud.home / "third").rename(cloud.island(gateway.ISLANDS[2]))
        cloud.kill()
        cloud.start()
        client = cloud.client(timeout=90)
        for key, body in {**before, **during}.items():
            self.assertEqual(self.expect(client.get("trouble", key), 200).body, body, key)
        self.expect(client.put("trouble", "after", b"x"), 200)
        self.assertEqual(cloud.stop(), 0, cloud.stderr())

    def test_more_than_three_islands_gone_is_an_error_and_never_wrong_bytes(self):
        cloud, client = self.begin()
        body = base.pattern(500_000)
        self.expect(client.put("trouble", "k", body), 200)
        self.wait_for_all_islands(cloud)
        for island in gateway.ISLANDS[:4]:
            cloud.island(island).rename(cloud.home / island)
        try:
            response = client.get("trouble", "k")
            self.assertEqual(response.status, 503, response)
        except (s3.Incomplete, OSError):
            client.close()  # aborted in the middle: a short body never looks whole
        for island in gateway.ISLANDS[:4]:
            (cloud.home / island).rename(cloud.island(island))
        self.assertEqual(cloud.client().get("trouble", "k").body, body)
        self.assertEqual(cloud.stop(), 0, cloud.stderr())

    def test_tampered_shards_are_never_returned(self):
        cloud, client = self.begin()
        bodies = {"small": base.pattern(5000), "large": base.pattern(3 << 20)}
        for key, body in bodies.items():
            self.expect(client.put("trouble", key, body), 200)
        self.wait_for_all_islands(cloud)
        for island in gateway.ISLANDS[:3]:
            for blob in blobs(cloud.island(island)):
                tamper(blob)
        for key, body in bodies.items():
            self.assertEqual(self.expect(client.get("trouble", key), 200).body, body, key)
            self.assertEqual(self.expect(client.get("trouble", key, {"range": "bytes=100-4099"}), 206).body, body[100:4100])
        for blob in blobs(cloud.island(gateway.ISLANDS[3])):
            tamper(blob)
        # Two good shards are left. A full stripe needs three; of a single cell every other cell of its stripe is known to be zero, so
        # that one good shard still gives it back: right bytes or an error, nothing else.
        for key, body in bodies.items():
            try:
                response = client.get("trouble", key)
            except (s3.Incomplete, OSError):
                client.close()
                continue
            if response.status == 200 and key == "small":
                self.assertEqual(response.body, body)
            else:
                self.assertGreaterEqual(response.status, 500, key)
        cloud.kill()

    def test_a_full_disk_refuses_clearly_and_heals(self):
        """DIR lies on a small file system of its own; root is needed to mount it."""
        if os.geteuid() != 0:
            raise unittest.SkipTest("mounting a small file system needs root")
        cloud = self.new_gateway()
        cloud.dir.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", str(cloud.dir)], capture_output=True, text=True)
        if mounted.returncode != 0:
            raise unittest.SkipTest("this machine does not let tests mount a tmpfs: " + mounted.stderr.strip())
        self.addCleanup(lambda: (cloud.kill(), subprocess.run(["umount", "-l", str(cloud.dir)], check=True)))
        cloud.start()
        client = cloud.client(timeout=120)
        self.addCleanup(lambda: client.close())
        self.expect(client.make_bucket("trouble"), 200)
        stored, refused = {}, None
        for number in range(60):
            key, body = f"f{number}", base.pattern(4 << 20, number)
            response = client.put("trouble", key, body)
            if response.status == 200:
                stored[key] = body
                continue
            refused = response
            break
        self.assertIsNotNone(refused, "the disk never filled")
        self.assertIn(refused.status, (500, 503, 507), refused)
        self.assertGreater(len(stored), 5)
        for key, body in stored.items():
            self.assertEqual(self.expect(client.get("trouble", key), 200).body, body, key)
        # Space comes back: the service goes on by itself, or at the latest after a restart.
        subprocess.run(["mount", "-o", "remount,size=400m", str(cloud.dir)], check=True)
        response = client.put("trouble", "after", b"after")
        if response.status != 200:
            cloud.stop()
            cloud.start()
            client = cloud.client(timeout=120)
            response = client.put("trouble", "after", b"after")
        self.expect(response, 200)
        stored["after"] = b"after"
        cloud.kill()
        cloud.start()
        client = cloud.client(timeout=120)
        for key, body in stored.items():
            self.assertEqual(self.expect(client.get("trouble", key), 200).body, body, key)
        self.assertEqual(cloud.stop(), 0, cloud.stderr())

    def test_sigterm_lets_requests_under_way_finish(self):
        cloud, client = self.begin()
        body = base.pattern(48 << 20)
        self.expect(client.put("trouble", "large", body), 200)
        slow = s3.Wire(cloud.address, timeout=90)
        self.addCleanup(slow.close)
        slow.socket.setsockopt(s3.socket.SOL_SOCKET, s3.socket.SO_RCVBUF, 65536)
        slow.send(client.build("GET", "trouble", "large"))
        status, headers = slow.head()
        self.assertEqual(status, 200)
        cloud.terminate()
        # The rest arrives although the gateway is on its way out.
        self.assertEqual(base.sha256(slow._exactly(int(headers["content-length"]))), base.sha256(body))
        self.assertEqual(cloud.process.wait(gateway.STOP_SECONDS_MAX), 0, cloud.stderr())
        cloud.process = None
        with self.assertRaises(OSError):
            s3.Wire(cloud.address, timeout=5)
        cloud.start()
        self.assertEqual(base.sha256(cloud.client().get("trouble", "large").body), base.sha256(body))
        self.assertEqual(cloud.stop(), 0, cloud.stderr())

    def test_sigterm_under_load_loses_nothing(self):
        cloud, _ = self.begin()
        writers = load.Load(cloud, "trouble", seed="term")
        with writers:
            writers.wait_for(60)
            self.assertEqual(cloud.stop(), 0, cloud.stderr())
        cloud.start()
        self.assertGreater(writers.verify(self, cloud.client()), 10)
        self.assertEqual(cloud.stop(), 0, cloud.stderr())

    def test_a_broken_config_or_keyring_is_one_clear_sentence(self):
        cloud, client = self.begin()
        self.expect(client.put("trouble", "k", b"v"), 200)
        self.assertEqual(cloud.stop(), 0)
        config, keyring = cloud.dir / "archipel.toml", cloud.dir / "keyring"
        text, secret = config.read_text(), keyring.read_bytes()

        def refused(expected):
            code, said = cloud.refuse_start()
            self.assertEqual(code, 1, said)
            self.assertRegex(said.strip().splitlines()[-1], expected)
            self.assertNotIn("Sanitizer", said)

        config.write_text("surprise = 1\n" + text)
        refused(r"archipel\.toml:1.*surprise")
        config.write_text(text + "\n[broken\n")
        refused(r"archipel\.toml:\d+")
        config.write_text(text)
        keyring.write_bytes(secret[:len(secret) // 2] + bytes([secret[len(secret) // 2] ^ 1]) + secret[len(secret) // 2 + 1:])
        refused("keyring")
        keyring.write_bytes(secret[:-5])
        refused("keyring")
        keyring.unlink()
        refused("keyring")
        keyring.write_bytes(secret)
        keyring.chmod(0o600)
        cloud.start()
        self.assertEqual(cloud.client().get("trouble", "k").body, b"v")
        self.assertEqual(cloud.stop(), 0, cloud.stderr())

    def test_health_and_metrics(self):
        cloud, client = self.begin()
        for path in ("/healthz", "/readyz"):
            wire = s3.Wire(cloud.address)
            self.addCleanup(wire.close)
            wire.send(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            self.assertEqual(wire.receive().status, 200)
        text = cloud.metrics()
        self.assertRegex(text, r"(?m)^# TYPE archipel_\w+ (counter|gauge|histogram)$")
        self.assertNotIn("trouble", text)
        # The status page does not stand in the way of a bucket's objects.
        self.expect(client.make_bucket("metrics"), (200))
        self.expect(client.put("metrics", "x", b"1"), 200)
        self.assertEqual(client.get("metrics", "x").body, b"1")
        self.assertEqual(cloud.stop(), 0, cloud.stderr())
