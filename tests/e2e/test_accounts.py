"""Accounts, users, roles and temporary keys, from the command line to what a client may do."""
import json
import os
import subprocess

import base
import gateway
from s3 import Client

SECONDS_MAX = 120
READ_ONLY = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": "arn:aws:s3:::team"},
    {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::team/${aws:username}/*"}]}


class Caller(Client):
    def call(self, method, path, body=b""):
        _, bucket, key = (path.lstrip("/").partition("/")[i] for i in (1, 0, 2))
        return self.request(method, bucket or None, key or None, body=body)


class Commands(base.Case):
    """`archipel account|user|role` on one cloud."""

    def setUp(self):
        super().setUp()
        self.cloud = self.new_gateway()
        self.cloud.start()

    def archipel(self, *arguments, code=0, env=None):
        run = subprocess.run([str(gateway.binary), *arguments, "--dir", str(self.cloud.dir)], stdin=subprocess.DEVNULL, capture_output=True,
                             text=True, timeout=SECONDS_MAX, env=dict(os.environ, **(env or {})))
        self.assertEqual(run.returncode, code, f"{arguments}: {run.stdout} {run.stderr}")
        return run

    def json(self, *arguments, **more):
        return [json.loads(line) for line in self.archipel(*arguments, "--json", **more).stdout.splitlines()]

    def file(self, name, content, mode=0o600):
        path = self.cloud.home / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        path.chmod(mode)
        return str(path)

    def user(self, name, policy=None):
        self.archipel("user", "add", name)
        if policy:
            self.archipel("user", "policy", "put", name, "the-policy", "--file", self.file("policy.json", policy))
        return self.json("user", "key", "add", name)[0]

    def client(self, key):
        return Caller(self.cloud.address, key["access_key"], key["secret_key"], self.cloud.ready["region"])


class Accounts(Commands):
    def test_are_added_beside_a_running_gateway_and_offline(self):
        alice, = self.json("account", "add", "alice", "--email", "alice@example.com")
        self.assertEqual(set(alice) >= {"id", "display_name", "access_key", "secret_key"}, True, alice)
        self.expect(self.client(alice).call("PUT", "/alices"), 200)
        self.expect(self.client(alice).call("PUT", "/alices/key", b"x"), 200)
        self.expect(self.client(self.cloud.ready).call("GET", "/alices/key"), 403, "AccessDenied")
        self.assertIn("alice", self.archipel("account", "add", "alice", code=1).stderr)
        self.assertEqual(self.cloud.stop(), 0)
        bob, = self.json("account", "add", "bob")
        names = [account["display_name"] for account in self.json("account", "list")]
        self.assertEqual(names, ["alice", "bob", "demo"])
        self.cloud.start()
        self.expect(self.client(bob).call("PUT", "/bobs"), 200)
        self.expect(self.client(alice).call("GET", "/alices/key"), 200)
        self.assertIn("buckets", self.archipel("account", "remove", "alice", code=1).stderr)
        self.expect(self.client(alice).call("DELETE", "/alices/key"), 204)
        self.expect(self.client(alice).call("DELETE", "/alices"), 204)
        self.archipel("account", "remove", "alice")
        self.expect(self.client(alice).call("GET", "/"), 403, "InvalidAccessKeyId")

    def test_take_given_keys_from_a_file_or_the_environment_only(self):
        secret = "a secret of somebody else's choice".replace(" ", "-")
        given, = self.json("account", "add", "carol", "--access-key", "CAROLKEY", "--secret-file", self.file("secret", secret + "\n"),
                           "--id", "c" * 64)
        self.assertEqual((given["access_key"], given["secret_key"], given["id"]), ("CAROLKEY", secret, "c" * 64))
        self.expect(self.client(given).call("GET", "/"), 200)
        other, = self.json("account", "add", "dave", "--access-key", "DAVEKEY", env={"ARCHIPEL_SECRET_KEY": "another-secret"})
        self.expect(self.client(other).call("GET", "/"), 200)
        self.assertIn("--secret-file", self.archipel("account", "add", "erin", "--access-key", "ERINKEY", code=2).stderr)
        readable = self.file("open", secret, mode=0o644)
        self.assertIn("chmod 600", self.archipel("account", "add", "erin", "--access-key", "ERINKEY", "--secret-file", readable, code=2).stderr)
        self.assertIn("belongs", self.archipel("account", "add", "erin", "--access-key", "DAVEKEY", code=1,
                                               env={"ARCHIPEL_SECRET_KEY": "yet-another"}).stderr)
        fresh, = self.json("account", "key", "dave")
        self.expect(self.client(fresh).call("GET", "/"), 200)
        self.expect(self.client(other).call("GET", "/"), 403, "InvalidAccessKeyId")


class Users(Commands):
    def test_are_refused_documents_that_are_not_understood(self):
        self.archipel("user", "add", "ann")
        bad = dict(READ_ONLY, Statement=[dict(READ_ONLY["Statement"][0], Condition={"StringEquels": {"aws:username": "x"}})])
        self.assertIn("StringEquels", self.archipel("user", "policy", "put", "ann", "p", "--file", self.file("bad.json", bad), code=1).stderr)
        self.assertIn("no user 'zoe'", self.archipel("user", "key", "add", "zoe", code=1).stderr)
