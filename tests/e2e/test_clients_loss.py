"""Real clients at work while the cloud loses its index and three of six islands half-way: nothing that they stored is missing after it."""
import pathlib
import shutil
import tempfile

import base
import gateway
import tools

LOST = ("alibaba-frankfurt", "hetzner-helsinki", "exoscale-zurich")


class ClientsAndLoss(base.Case):
    seconds_max = 600

    def setUp(self):
        self.cloud = self.new_gateway()
        self.cloud.start()
        directory = tempfile.TemporaryDirectory(prefix="archipel-loss-")
        self.addCleanup(directory.cleanup)
        self.home = pathlib.Path(directory.name)
        ready = self.cloud.ready
        self.env = tools.clean_environment(AWS_ACCESS_KEY_ID=ready["access_key"], AWS_SECRET_ACCESS_KEY=ready["secret_key"],
                                           AWS_DEFAULT_REGION=ready["region"], AWS_REGION=ready["region"], HOME=str(self.home),
                                           RESTIC_PASSWORD="a test", PYTHONUTF8="1")
        tree = self.home / "tree"
        (tree / "sub").mkdir(parents=True)
        for name, size in (("empty", 0), ("small", 1000), ("sub/more", 300_000), ("in parts", 40_000_000)):
            (tree / name).write_bytes(base.pattern(size, 9))
        self.tree = tree

    def call(self, *command, seconds=240):
        done = tools.run(command, seconds, env=self.env, cwd=self.home)
        self.assertEqual(done.returncode, 0, f"{' '.join(map(str, command))[:300]}: {done.stdout[-3000:]}")
        return done.stdout

    def lose(self):
        """The gateway is killed; its index and three islands are deleted; it starts again on the same address."""
        address = f"{self.cloud.address[0]}:{self.cloud.address[1]}"
        self.cloud.kill()
        shutil.rmtree(self.cloud.dir / "index")
        for name in LOST:
            self.assertIn(name, gateway.ISLANDS)
            shutil.rmtree(self.cloud.island(name))
        self.cloud.start(listen=address)

    def compare(self, back):
        self.call("diff", "-r", self.tree, back)

    def test_restic(self):
        restic = [tools.program("restic"), "-r", f"s3:{self.cloud.ready['s3']}/kept"]
        self.call(*restic, "init")
        self.call(*restic, "backup", self.tree)
        self.lose()
        self.call(*restic, "check", "--read-data")
        (self.tree / "later").write_bytes(base.pattern(20_000_000, 10))
        self.call(*restic, "backup", self.tree)
        self.call(*restic, "check", "--read-data")
        self.call(*restic, "restore", "latest", "--target", self.home / "restored")
        self.compare(pathlib.Path(f"{self.home}/restored{self.tree}"))
        self.assertEqual(self.cloud.stop(), 0, self.cloud.stderr())
