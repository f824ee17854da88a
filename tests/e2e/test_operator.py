"""What an operator does on bad days: two gateways on one realm, islands that are lost for good, commands beside a running gateway."""
import json
import os
import shutil
import signal
import subprocess
import threading
import urllib.error
import urllib.request

import base
import gateway


def archipel(*arguments, expect=0, timeout=180):
    run = subprocess.run([str(gateway.binary), *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
    assert run.returncode == expect, (arguments, run.returncode, run.stdout[-2000:], run.stderr[-2000:])
    return run


class Operator(base.Case):
    seconds_max = 600

    def begin(self):
        cloud = self.new_gateway()
        cloud.start()
        client = cloud.client(timeout=90)
        self.addCleanup(client.close)
        self.expect(client.make_bucket("ops"), 200)
        return cloud, client

    def readyz(self, cloud):
        try:
            with urllib.request.urlopen(f"http://{cloud.address[0]}:{cloud.address[1]}/readyz", timeout=120) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def copy_of(self, cloud):
        """A gateway on a copy of the directory, with the same islands."""
        other = self.new_gateway()
        shutil.copytree(cloud.dir, other.dir, ignore=shutil.ignore_patterns("islands", "admin.sock"), copy_function=shutil.copy2)
        (other.dir / "islands").symlink_to(cloud.dir / "islands")
        return other

    def test_a_copy_of_the_directory_is_refused_and_takes_over_after_a_kill(self):
        cloud, client = self.begin()
        self.expect(client.put("ops", "a", b"one"), 200)
        other = self.copy_of(cloud)
        code, said = other.refuse_start()
        self.assertEqual(code, 1, said)
        self.assertIn("another gateway", said.strip().splitlines()[-1])
        self.expect(client.put("ops", "b", b"two"), 200)
        # Stopped, not dead: the copy watches for a minute, and takes over.
        os.kill(cloud.ready["pid"], signal.SIGSTOP)
        try:
            try:
                other.start()
            except gateway.StartFailed as refused:
                # Stopped in the middle of a renewal, which some islands have and others do not: the copy sees it happen, and is started again.
                self.assertIn("just renewed its lease", str(refused))
                other.start()
            taker = other.client(timeout=90)
            self.addCleanup(taker.close)
            self.assertEqual(self.expect(taker.get("ops", "b"), 200).body, b"two")
            self.expect(taker.put("ops", "c", b"three"), 200)
        finally:
            os.kill(cloud.ready["pid"], signal.SIGCONT)
        # The first goes on where it stood, and acknowledges and serves nothing.
        late = cloud.client(timeout=90)
        self.addCleanup(late.close)
        for key in ("a", "b", "c"):
            self.assertEqual(late.get("ops", key).status, 503)
            self.assertEqual(late.put("ops", "late-" + key, b"x").status, 503)
        self.assertEqual(self.readyz(cloud)[0], 503)
        self.assertEqual(taker.get("ops", "late-a").status, 404)
        self.assertEqual(other.stop(), 0, other.stderr())
        self.assertEqual(cloud.stop(), 0, cloud.stderr())

    def test_too_few_islands_at_a_start_is_read_only_and_heals(self):
        cloud, client = self.begin()
        bodies = {f"k{n}": base.pattern(size, n) for n, size in enumerate((10, 4096, 300_000))}
        for key, body in bodies.items():
            self.expect(client.put("ops", key, body), 200)
        self.assertEqual(cloud.stop(), 0, cloud.stderr())
        shutil.rmtree(cloud.dir / "index")
        away = gateway.ISLANDS[:3]
        for island in away:
            cloud.island(island).rename(cloud.home / island)
            cloud.island(island).write_bytes(b"a mount point without its disk")
        cloud.start()
        client = cloud.client(timeout=90)
        for key, body in bodies.items():
            self.assertEqual(self.expect(client.get("ops", key), 200).body, body)
        self.expect(client.put("ops", "refused", b"x"), 503)
        status, why = self.readyz(cloud)
        self.assertEqual(status, 503)
        self.assertIn(away[0], why)
        for island in away:
            cloud.island(island).unlink()
            (cloud.home / island).rename(cloud.island(island))
        pause = threading.Event()
        while self.readyz(cloud)[0] != 200:  # the test's own bound ends it
            pause.wait(0.2)
        self.expect(client.put("ops", "again", b"x"), 200)
        self.assertEqual(cloud.stop(), 0, cloud.stderr())

    def test_an_island_is_checked_and_rejoined_beside_the_gateway(self):
        cloud, client = self.begin()
        body = base.pattern(400_000)
        self.expect(client.put("ops", "k", body), 200)
        name = gateway.ISLANDS[1]
        check = json.loads(archipel("island", "check", name, "--dir", cloud.dir, "--json").stdout)
        self.assertEqual((check["state"], check["epoch_open"]), ("ok", "ok"))
        self.assertGreater(check["sampled"], 0)
        shutil.rmtree(cloud.island(name))
        cloud.island(name).mkdir(mode=0o700)
        self.assertEqual(json.loads(archipel("island", "check", name, "--dir", cloud.dir, "--json", expect=1).stdout)["state"], "lost")
        said = json.loads(archipel("island", "rejoin", name, "--dir", cloud.dir).stdout)
        self.assertEqual((said["event"], said["id"]), ("rejoined", name))
        archipel("island", "check", name, "--dir", cloud.dir)
        again = archipel("island", "rejoin", name, "--dir", cloud.dir, expect=1)
        self.assertIn("nothing to rejoin", again.stderr)
        self.assertEqual(self.expect(client.get("ops", "k"), 200).body, body)
        self.expect(client.put("ops", "after", b"x"), 200)
        self.assertEqual(cloud.stop(), 0, cloud.stderr())

    def test_recover_gives_a_lost_islands_place_to_another(self):
        cloud, client = self.begin()
        body = base.pattern(400_000)
        self.expect(client.put("ops", "k", body), 200)
        busy = archipel("recover", "--dir", cloud.dir, expect=1)
        self.assertIn("pid", busy.stderr)
        self.assertEqual(cloud.stop(), 0, cloud.stderr())
        old = gateway.ISLANDS[2]
        shutil.rmtree(cloud.island(old))
        config = cloud.dir / "archipel.toml"
        config.write_text(config.read_text().replace(f'id = "{old}"', 'id = "newcomer"').replace(f"islands/{old}", "islands/newcomer"))
        (cloud.dir / "islands/newcomer").mkdir(mode=0o700)
        refused = archipel("recover", "--dir", cloud.dir, expect=1)
        self.assertIn(f"--gone {old}=newcomer", refused.stderr)
        lines = [json.loads(line) for line in archipel("recover", "--dir", cloud.dir, "--gone", f"{old}=newcomer", "--json").stdout.splitlines()]
        self.assertEqual(lines[-1]["state"], "open", lines)
        self.assertIn(("newcomer", "rejoined"), {(line.get("id"), line.get("state")) for line in lines})
        # Its last line names the last commit: proof, later, that nothing was set back.
        archipel("recover", "--dir", cloud.dir, "--at-least", lines[-1]["tail"])
        wrong = lines[-1]["tail"][:-64] + "0" * 64
        self.assertIn("rollback", archipel("recover", "--dir", cloud.dir, "--at-least", wrong, expect=1).stderr)
        cloud.start()
        client = cloud.client(timeout=90)
        self.assertEqual(self.expect(client.get("ops", "k"), 200).body, body)
        self.expect(client.put("ops", "after", b"x"), 200)
        self.assertEqual(cloud.stop(), 0, cloud.stderr())
