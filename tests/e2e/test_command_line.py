"""The command line: help with an example everywhere, one clear sentence for a mistake, and no trace of a start that could not be."""
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import gateway

COMMANDS = ((), ("demo",), ("init",), ("serve",), ("island",), ("island", "list"), ("island", "check"),
            ("island", "rejoin"), ("recover",), ("account",), ("account", "add"), ("account", "list"), ("account", "key"),
            ("account", "remove"), ("user",), ("user", "add"), ("user", "list"), ("user", "remove"), ("user", "key"), ("user", "key", "add"),
            ("user", "key", "remove"), ("user", "key", "disable"), ("user", "key", "enable"), ("user", "policy"), ("user", "policy", "put"),
            ("user", "policy", "list"), ("user", "policy", "remove"), ("exposure",), ("role",), ("role", "add"), ("role", "list"), ("role", "remove"),
            ("account", "quota"), ("bucket",), ("bucket", "list"), ("bucket", "show"), ("bucket", "place"), ("bucket", "quota"), ("edge",), ("edge", "purge"),
            ("edge", "sites"), ("edge", "drain"), ("edge", "sign"))
SECONDS_MAX = 180


class CommandLine(unittest.TestCase):
    def setUp(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="archipel-e2e-"))
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)

    def run_with(self, *arguments):
        return subprocess.run([str(gateway.binary), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS_MAX,
                              cwd=self.home)

    def test_every_help_has_an_example(self):
        for command in COMMANDS:
            with self.subTest(command=command):
                run = self.run_with(*command, "--help")
                self.assertEqual(run.returncode, 0)
                self.assertIn("Example: archipel " + " ".join(command), run.stdout)
                self.assertEqual(run.stderr, "")

    def test_a_mistake_gets_one_sentence_and_leaves_nothing(self):
        cases = (
            ((), 2, "subcommand is required"),
            (("bogus",), 2, "'archipel bogus'"),
            (("island", "bogus"), 2, "'archipel island bogus'"),
            (("demo", "--bogus"), 2, "--bogus"),
            (("demo", "--dir", ""), 2, "--dir"),
            (("demo", "--access-key", "AKEXAMPLE"), 2, "--secret-key"),
            (("demo", "--dir", "d", "--listen", "garbage"), 2, "'garbage'"),
            (("demo", "--dir", "d", "--listen", "127.0.0.1:99999"), 2, "'127.0.0.1:99999'"),
            (("demo", "--dir", "/proc/x"), 1, "/proc/x"),
            (("init",), 2, "--config"),
            (("serve",), 2, "--config"),
            (("serve", "--config", "missing"), 1, "missing"),
            (("island", "list"), 2, "--dir"),
            (("island", "list", "--dir", "missing"), 1, "missing/archipel.toml"),
            (("island", "check", "--dir", "missing"), 2, "required"),
            (("island", "rejoin", "x", "--dir", "missing"), 1, "missing/archipel.toml"),
            (("recover",), 2, "--config"),
            (("exposure",), 2, "--facts"),
            (("exposure", "--facts", "missing"), 1, "missing"),
            (("exposure", "--facts", "a", "--dir", "b"), 2, "one of them"),
            (("exposure", "--facts", "a", "--bucket", "b"), 2, "--bucket"),
            (("exposure", "--dir", "missing"), 1, "missing/archipel.toml"),
            (("exposure", "--dir", "missing", "--lang", "de"), 2, "--lang"),
            (("account",), 2, "subcommand"),
            (("account", "add"), 2, "required"),
            (("account", "add", "alice"), 2, "--dir"),
            (("account", "add", "alice", "--dir", "missing"), 1, "missing/archipel.toml"),
            (("user", "policy", "put", "ann", "p", "--file", "nowhere", "--dir", "missing"), 1, "nowhere"),
            (("edge",), 2, "--config"),
            (("edge", "--config", "missing"), 1, "missing"),
            (("edge", "purge", "--tag", "a"), 2, "--config"),
            (("edge", "sign", "--key-file", "k"), 2, "URL is required"),
            (("edge", "sign", "https://a/b", "--key-file", "missing"), 1, "missing"),
            (("recover", "--dir", "missing"), 1, "missing/archipel.toml"),
            (("recover", "--dir", "missing", "--at-least", "12"), 2, "SEQ:HASH"),
            (("recover", "--dir", "missing", "--void", "twelve"), 2, "EPOCH:SEQ"),
            (("recover", "--dir", "missing", "--gone", "a="), 2, "OLD=NEW"),
        )
        for arguments, code, words in cases:
            with self.subTest(arguments=arguments):
                run = self.run_with(*arguments)
                self.assertEqual(run.returncode, code, run.stderr)
                self.assertEqual(run.stdout, "")
                self.assertEqual(len(run.stderr.splitlines()), 1, run.stderr)
                self.assertTrue(run.stderr.startswith("archipel: "), run.stderr)
                self.assertIn(words, run.stderr)
                self.assertEqual(list(self.home.iterdir()), [])


class Secrets(unittest.TestCase):
    def test_stay_out_of_the_files_of_the_view(self):
        cloud = gateway.Gateway()
        self.addCleanup(shutil.rmtree, cloud.home, ignore_errors=True)
        secret = "a-secret-that-grep-would-find"
        cloud.start(arguments=("--access-key", "AKEXAMPLE", "--secret-key", secret))
        try:
            files = [path for path in (cloud.dir / "index").rglob("*") if path.is_file()]
            self.assertTrue(files)
            for path in files:
                self.assertEqual(path.stat().st_mode & 0o077, 0, path)
                self.assertNotIn(secret.encode(), path.read_bytes(), path)
        finally:
            cloud.stop()

    def test_that_were_replaced_do_not_come_back(self):
        cloud = gateway.Gateway()
        self.addCleanup(shutil.rmtree, cloud.home, ignore_errors=True)
        for arguments, expected in ((("--access-key", "OLDKEY", "--secret-key", "old-secret"), "OLDKEY"),
                                    (("--access-key", "ANEWKEY", "--secret-key", "new-secret"), "ANEWKEY"), ((), "ANEWKEY")):
            cloud.start(arguments=arguments)
            try:
                self.assertEqual(cloud.ready["access_key"], expected)
            finally:
                cloud.stop()
