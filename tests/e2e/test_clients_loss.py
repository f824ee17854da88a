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
    once_is_enough = in_memory = True

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

    def call(self, *command, seconds=400):
        done = tools.run(command, seconds, env=self.env, cwd=self.home)
        self.assertEqual(done.returncode, 0, f"{' '.join(map(str, command))[:300]}: {done.stdout[-3000:]}")
        return done.stdout

    def lose(self):
        """The gateway is killed; its index and three islands are deleted; it starts again on the same address."""
        address = f"{self.cloud.address[0]}:{self.cloud.address[1]}"
        self.wait_for_all_islands(self.cloud)
        self.cloud.kill()
        shutil.rmtree(self.cloud.dir / "index")
        for name in LOST:
            self.assertIn(name, gateway.ISLANDS)
            shutil.rmtree(self.cloud.island(name))
        self.cloud.start(listen=address)

    def compare(self, back):
        self.call("diff", "-r", self.tree, back)

    def test_aws_cli(self):
        aws = [tools.program("aws"), "--endpoint-url", self.cloud.ready["s3"]]
        self.call(*aws, "s3", "mb", "s3://kept")
        self.call(*aws, "s3api", "put-bucket-versioning", "--bucket", "kept", "--versioning-configuration", "Status=Enabled")
        self.call(*aws, "s3", "cp", self.tree / "small", "s3://kept/old")
        self.call(*aws, "s3", "sync", self.tree, "s3://kept/tree")
        self.call(*aws, "s3", "cp", self.tree / "sub/more", "s3://kept/old")
        self.call(*aws, "s3api", "put-object-tagging", "--bucket", "kept", "--key", "old", "--tagging", "TagSet=[{Key=a,Value=b}]")
        upload = self.call(*aws, "s3api", "create-multipart-upload", "--bucket", "kept", "--key", "open", "--query", "UploadId", "--output", "text").strip()
        part = ["--bucket", "kept", "--key", "open", "--upload-id", upload]
        tag = self.call(*aws, "s3api", "upload-part", *part, "--part-number", "1", "--body", self.tree / "sub/more", "--query", "ETag", "--output", "text").strip()
        self.lose()
        self.call(*aws, "s3", "sync", "s3://kept/tree", self.home / "back")
        self.compare(self.home / "back")
        versions = self.call(*aws, "s3api", "list-object-versions", "--bucket", "kept", "--prefix", "old", "--query", "Versions[].VersionId",
                             "--output", "text").split()
        self.assertEqual(len(versions), 2)
        for version, name in zip(versions, ("sub/more", "small")):
            self.call(*aws, "s3api", "get-object", "--bucket", "kept", "--key", "old", "--version-id", version, self.home / "out")
            self.assertEqual((self.home / "out").read_bytes(), (self.tree / name).read_bytes())
        self.assertIn('"Value": "b"', self.call(*aws, "s3api", "get-object-tagging", "--bucket", "kept", "--key", "old"))
        # The upload that was open goes on where it was.
        self.call(*aws, "s3api", "complete-multipart-upload", *part, "--multipart-upload", f"Parts=[{{PartNumber=1,ETag={tag}}}]")
        self.call(*aws, "s3", "cp", "s3://kept/open", self.home / "out")
        self.assertEqual((self.home / "out").read_bytes(), (self.tree / "sub/more").read_bytes())
        self.assertEqual(self.cloud.stop(), 0, self.cloud.stderr())

    def test_rclone(self):
        ready = self.cloud.ready
        config = self.home / "rclone.conf"
        config.write_text(f"[a]\ntype = s3\nprovider = Other\nenv_auth = true\nendpoint = {ready['s3']}\nregion = {ready['region']}\nupload_cutoff = 16M\n")
        rclone = [tools.program("rclone"), "--config", config, "--low-level-retries", "1", "--retries", "1"]
        self.call(*rclone, "sync", self.tree, "a:kept/tree")
        self.lose()
        self.call(*rclone, "check", "--download", self.tree, "a:kept/tree")
        (self.tree / "small").unlink()
        (self.tree / "later").write_bytes(base.pattern(20_000_000, 10))
        self.call(*rclone, "sync", self.tree, "a:kept/tree")
        self.call(*rclone, "sync", "a:kept/tree", self.home / "back")
        self.compare(self.home / "back")
        self.assertEqual(self.cloud.stop(), 0, self.cloud.stderr())

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

    def test_s3fs(self):
        s3fs = tools.program("s3fs")
        tools.fuse()
        ready = self.cloud.ready
        self.assertEqual(self.cloud.client().make_bucket("kept").status, 200)
        (self.home / ".passwd").write_text(f"{ready['access_key']}:{ready['secret_key']}\n")
        (self.home / ".passwd").chmod(0o600)
        mount = self.home / "mount"
        mount.mkdir()
        arguments = [s3fs, "kept", mount, "-o",
                     f"url={ready['s3']},use_path_request_style,endpoint={ready['region']},sigv4,passwd_file={self.home}/.passwd"]
        self.addCleanup(tools.run, ["fusermount", "-u", "-z", mount], 30)
        self.call(*arguments)
        shutil.copytree(self.tree, mount / "tree")
        self.call("fusermount", "-u", mount)
        self.lose()
        self.call(*arguments)
        self.compare(mount / "tree")
        (mount / "tree/small").rename(mount / "tree/renamed")
        self.assertEqual((mount / "tree/renamed").read_bytes(), (self.tree / "small").read_bytes())
        self.call("fusermount", "-u", mount)
        self.assertEqual(self.cloud.stop(), 0, self.cloud.stderr())
