"""Unmodified clients with default settings store, list, read and remove; what comes back is what went in."""
import hashlib
import json
import os
import pathlib
import tempfile
import unittest

import base
import tools

SIZES = (0, 1, 65535, 65536, 65537, 5 << 20)
LARGE = 200 << 20
RCLONE_CUTOFF = 200 << 20  # rclone's default: above it, an upload goes in parts
HARD_KEYS = ("with space.txt", "a+b", "%41", "A", "umlaut-\u00fc-\u6f22\u5b57-\U0001f600", "dots/../up", "slashes//twice",
             "star*quote'(paren)", "equals=and&amp;", "x" * 1024)


class ClientCase(base.Shared):
    seconds_max = 600

    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory(prefix="archipel-client-")
        self.addCleanup(directory.cleanup)
        self.home = pathlib.Path(directory.name)
        ready = self.gateway.ready
        self.env = tools.clean_environment(AWS_ACCESS_KEY_ID=ready["access_key"], AWS_SECRET_ACCESS_KEY=ready["secret_key"],
                                           AWS_DEFAULT_REGION=ready["region"], AWS_REGION=ready["region"],
                                           HOME=str(self.home), PYTHONUTF8="1")
        self.endpoint = ready["s3"]

    def file(self, name, data):
        path = self.home / name
        path.write_bytes(data)
        return path

    def call(self, *command, succeeds=True, seconds=300):
        done = tools.run(command, seconds, env=self.env, cwd=self.home)
        self.assertEqual(done.returncode == 0, succeeds, f"{' '.join(map(str, command))[:300]}: exit {done.returncode}: {done.stdout[-2000:]}")
        return done.stdout


class AwsCli:
    """Run against two generations of the aws cli below."""

    def aws(self, *arguments, **more):
        return self.call(self.tool, "--endpoint-url", self.endpoint, *arguments, **more)

    def test_files_of_every_size_come_back(self):
        bucket = self.bucket + "-cli"
        self.assertIn("make_bucket", self.aws("s3", "mb", f"s3://{bucket}"))
        for size in SIZES + (LARGE,):
            data = base.pattern(size, 1)
            source, back = self.file("in", data), self.home / "out"
            self.aws("s3", "cp", source, f"s3://{bucket}/files/{size}.bin")
            self.aws("s3", "cp", f"s3://{bucket}/files/{size}.bin", back)
            self.assertEqual(base.sha256(back.read_bytes()), base.sha256(data), size)
            back.unlink()
        listing = self.aws("s3", "ls", f"s3://{bucket}/files/")
        for size in SIZES + (LARGE,):
            self.assertRegex(listing, rf"(?m)\s{size} {size}\.bin$")
        self.assertIn("PRE files/", self.aws("s3", "ls", f"s3://{bucket}"))
        self.assertNotIn("65536.bin", self.aws("s3", "ls", f"s3://{bucket}/files/5"))
        self.assertIn(bucket, self.aws("s3", "ls"))

        self.aws("s3api", "get-object", "--bucket", bucket, "--key", f"files/{5 << 20}.bin", "--range", "bytes=65530-131079", self.home / "part")
        self.assertEqual((self.home / "part").read_bytes(), base.pattern(5 << 20, 1)[65530:131080])
        self.aws("s3api", "get-object", "--bucket", bucket, "--key", f"files/{LARGE}.bin", "--range", "bytes=-7", self.home / "tail")
        self.assertEqual((self.home / "tail").read_bytes(), base.pattern(LARGE, 1)[-7:])

        self.assertIn("BucketNotEmpty", self.aws("s3", "rb", f"s3://{bucket}", succeeds=False))
        self.aws("s3", "rm", f"s3://{bucket}/files/1.bin")
        self.assertIn("404", self.aws("s3api", "head-object", "--bucket", bucket, "--key", "files/1.bin", succeeds=False))
        self.aws("s3", "rm", "--recursive", f"s3://{bucket}/")
        self.aws("s3", "rb", f"s3://{bucket}")
        self.assertNotIn(bucket, self.aws("s3", "ls"))

    def test_keys_of_every_kind_are_kept_apart(self):
        for number, key in enumerate(HARD_KEYS):
            self.aws("s3api", "put-object", "--bucket", self.bucket, "--key", key, "--body", self.file("in", f"{number}".encode()),
                     "--metadata", "number=%d" % number, "--content-type", "text/x-number")
        for number, key in enumerate(HARD_KEYS):
            told = json.loads(self.aws("s3api", "get-object", "--bucket", self.bucket, "--key", key, self.home / "out"))
            self.assertEqual((self.home / "out").read_text(), str(number), key)
            self.assertEqual(told["Metadata"], {"number": str(number)})
            self.assertEqual(told["ContentType"], "text/x-number")
        listed = json.loads(self.aws("s3api", "list-objects-v2", "--bucket", self.bucket))
        self.assertEqual([o["Key"] for o in listed["Contents"]], sorted(HARD_KEYS, key=lambda k: k.encode()))

    def test_sync_copies_and_moves_a_tree(self):
        tree = {"a.txt": b"a", "sub/b.txt": b"b" * 70000, "sub/deeper/c d.txt": b""}
        for name, data in tree.items():
            path = self.home / "tree" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        self.aws("s3", "sync", self.home / "tree", f"s3://{self.bucket}/t")
        self.aws("s3", "cp", f"s3://{self.bucket}/t/a.txt", f"s3://{self.bucket}/copied.txt")
        self.aws("s3", "mv", f"s3://{self.bucket}/t/sub/b.txt", f"s3://{self.bucket}/moved.txt")
        self.assertEqual(sorted(self.client.list_keys(self.bucket)), ["copied.txt", "moved.txt", "t/a.txt", "t/sub/deeper/c d.txt"])
        self.assertEqual(self.client.get(self.bucket, "moved.txt").body, tree["sub/b.txt"])
        self.aws("s3", "sync", f"s3://{self.bucket}/t", self.home / "back")
        self.assertEqual((self.home / "back/sub/deeper/c d.txt").read_bytes(), b"")


class AwsCliOfDebian(AwsCli, ClientCase):
    def setUp(self):
        self.tool = tools.program("aws")
        super().setUp()


class AwsCliCurrent(AwsCli, ClientCase):
    def setUp(self):
        self.tool = tools.venv("aws")
        super().setUp()


class OtherClients(ClientCase):
    def test_boto3_with_default_settings(self):
        script = pathlib.Path(__file__).parent / "clients" / "boto3_check.py"
        self.call(tools.venv("python"), script, self.endpoint, self.bucket + "-boto", json.dumps(HARD_KEYS), str(LARGE))

    def test_sdk_for_javascript_with_default_settings(self):
        node, directory = tools.node_modules()
        script = directory / "sdk_check.mjs"
        script.write_bytes((pathlib.Path(__file__).parent / "clients" / "sdk_check.mjs").read_bytes())
        self.call(node, script, self.endpoint, self.bucket + "-js", json.dumps(HARD_KEYS))

    def test_rclone_copies_and_checks_a_tree(self):
        rclone = tools.program("rclone")
        config = self.home / "rclone.conf"
        ready = self.gateway.ready
        config.write_text(f"[a]\ntype = s3\nprovider = Other\naccess_key_id = {ready['access_key']}\nsecret_access_key = {ready['secret_key']}\n"
                          f"endpoint = {self.endpoint}\nregion = {ready['region']}\n")
        source = self.home / "source"
        (source / "sub").mkdir(parents=True)
        for name, size in (("empty", 0), ("sub/one", 1), ("sub/more", 300_000), ("with space+plus", 65536),
                           ("in parts", RCLONE_CUTOFF + 1)):
            (source / name).write_bytes(base.pattern(size, 2))
        common = ["--config", config, "--retries", "1", "--low-level-retries", "1"]
        self.call(rclone, *common, "copy", source, f"a:{self.bucket}/tree")
        self.call(rclone, *common, "check", "--download", source, f"a:{self.bucket}/tree")
        self.call(rclone, *common, "check", source, f"a:{self.bucket}/tree")
        listing = self.call(rclone, *common, "lsf", "-R", f"a:{self.bucket}/tree")
        self.assertEqual(sorted(listing.split("\n")), sorted(["", "empty", "in parts", "sub/", "sub/more", "sub/one", "with space+plus"]))
        self.call(rclone, *common, "sync", f"a:{self.bucket}/tree", self.home / "back")
        self.call("diff", "-r", source, self.home / "back")
        (self.home / "back/sub/one").unlink()
        self.call(rclone, *common, "sync", self.home / "back", f"a:{self.bucket}/tree")
        self.assertNotIn("sub/one", self.call(rclone, *common, "lsf", "-R", f"a:{self.bucket}/tree"))
        self.call(rclone, *common, "purge", f"a:{self.bucket}")
        self.assertEqual(self.client.request("HEAD", self.bucket).status, 404)

    def test_s3cmd_puts_lists_and_gets(self):
        s3cmd = tools.program("s3cmd")
        config = self.home / "s3cfg"
        ready = self.gateway.ready
        host = f"{self.gateway.address[0]}:{self.gateway.address[1]}"
        config.write_text(f"[default]\naccess_key = {ready['access_key']}\nsecret_key = {ready['secret_key']}\nhost_base = {host}\n"
                          f"host_bucket = {host}\nuse_https = False\nbucket_location = {ready['region']}\n")
        data = base.pattern(100_000, 3)
        large = base.pattern(40 << 20, 3)  # s3cmd sends what is above 15 MiB in parts
        self.call(s3cmd, "-c", config, "put", self.file("in", large), f"s3://{self.bucket}/large")
        self.call(s3cmd, "-c", config, "get", f"s3://{self.bucket}/large", self.home / "large")
        self.assertEqual(base.sha256((self.home / "large").read_bytes()), base.sha256(large))
        self.call(s3cmd, "-c", config, "del", f"s3://{self.bucket}/large")
        self.call(s3cmd, "-c", config, "put", self.file("in", data), f"s3://{self.bucket}/dir/file name")
        self.assertIn("dir/file name", self.call(s3cmd, "-c", config, "ls", "-r", f"s3://{self.bucket}"))
        self.call(s3cmd, "-c", config, "get", f"s3://{self.bucket}/dir/file name", self.home / "out")
        self.assertEqual((self.home / "out").read_bytes(), data)
        self.call(s3cmd, "-c", config, "del", f"s3://{self.bucket}/dir/file name")
        self.assertEqual(self.client.list_keys(self.bucket), [])
