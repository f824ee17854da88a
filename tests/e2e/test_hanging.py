"""An island whose calls never come back, as on a dead mount: writes and reads go on, and SIGTERM ends the gateway."""
import pathlib
import time
import unittest

import base
import gateway
import tools

DEAD = gateway.ISLANDS[2]
NEVER = 3_600_000_000  # microseconds


class Hanging(base.Case):
    def begin(self):
        strace = tools.program("strace")
        cloud = self.new_gateway()
        probe = tools.run([strace, "-f", "-o", cloud.home / "probe", "-e", "inject=fsync:delay_enter=1", "/bin/true"])
        if probe.returncode != 0:
            raise unittest.SkipTest("strace may not trace here: " + probe.stdout.strip()[-200:])
        cloud.start()
        client = cloud.client(timeout=90)
        self.expect(client.make_bucket("hanging"), 200)
        self.expect(client.put("hanging", "before", base.pattern(3_000_000)), 200)
        client.close()
        self.assertEqual(cloud.stop(), 0)
        # Every sync of a directory of this island is held before it enters the kernel.
        directories = [argument for number in range(256) for argument in ("-P", str(cloud.island(DEAD) / f"{number:02x}"))]
        cloud.start(wrapper=(strace, "-f", "-qq", "-o", str(cloud.home / "trace"), "-e", "trace=fsync", *directories, "-e",
                             f"inject=fsync:delay_enter={NEVER}"))
        client = cloud.client(timeout=90)
        self.addCleanup(client.close)
        return cloud, client

    def test_writes_and_reads_go_on_and_sigterm_ends_the_gateway(self):
        cloud, client = self.begin()
        for number in range(24):
            size = 3_000_000 if number % 4 == 0 else 2_000
            self.expect(client.put("hanging", f"k{number}", base.pattern(size, number)), 200)
        for number in range(24):
            size = 3_000_000 if number % 4 == 0 else 2_000
            self.assertEqual(base.sha256(client.get("hanging", f"k{number}").body), base.sha256(base.pattern(size, number)))
        self.assertEqual(base.sha256(client.get("hanging", "before").body), base.sha256(base.pattern(3_000_000)))
        self.assertIn(f'archipel_island_breaker_open{{island="{DEAD}"}} 1', cloud.metrics())
        cloud.terminate()
        # Its last line is followed by _Exit; strace itself then waits for the calls it holds, and is ended instead.
        while "gateway.stopped" not in cloud.stderr():
            time.sleep(0.1)
        pid = cloud.ready["pid"]
        cloud.process.kill()
        cloud.process.wait()
        cloud.kill()
        while pathlib.Path(f"/proc/{pid}").exists():
            time.sleep(0.1)
        # What was acknowledged beside the dead island is there without it, and with it.
        cloud.start()
        after = cloud.client(timeout=90)
        self.addCleanup(after.close)
        self.assertEqual(base.sha256(after.get("hanging", "k20").body), base.sha256(base.pattern(3_000_000, 20)))
        self.assertEqual(cloud.stop(), 0)
