"""Accounts, users, roles and temporary keys, from the command line to what a client may do."""
import json
import os
import subprocess

import base
import gateway
import tools
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


class Buckets(Commands):
    """`archipel bucket`: what buckets keep and may keep."""

    def test_are_listed_shown_and_limited_beside_a_running_gateway_and_offline(self):
        alice, = self.json("account", "add", "alice")
        client = self.client(alice)
        self.expect(client.call("PUT", "/photos"), 200)
        self.expect(client.call("PUT", "/photos/one", b"x" * 1000), 200)
        self.expect(client.call("PUT", "/photos/two", b"y" * 500), 200)
        self.expect(self.client(self.cloud.ready).call("PUT", "/others"), 200)
        self.assertEqual([bucket["bucket"] for bucket in self.json("bucket", "list")], ["others", "photos"])
        self.assertEqual([bucket["bucket"] for bucket in self.json("bucket", "list", "--account", "alice")], ["photos"])
        shown, = self.json("bucket", "show", "photos")
        self.assertEqual((shown["owner"], shown["bytes"], shown["versions"], shown["quota_bytes"]), (alice["id"], 1500, 2, 0))
        limited, = self.json("bucket", "quota", "photos", "--bytes", "2KiB")
        self.assertEqual((limited["quota_bytes"], limited["quota_versions"]), (2048, 0))
        self.expect(client.call("PUT", "/photos/three", b"z" * 549), 403, "QuotaExceeded")
        self.expect(client.call("PUT", "/photos/three", b"z" * 548), 200)
        text = self.archipel("bucket", "show", "photos").stdout
        for word in ("2048 bytes", "3 versions", "never", alice["id"]):
            self.assertIn(word, text)
        self.assertEqual(self.cloud.stop(), 0)
        self.assertEqual(self.json("bucket", "show", "photos")[0]["bytes"], 2048)
        freed, = self.json("bucket", "quota", "photos", "--bytes", "0", "--versions", "3")
        self.assertEqual((freed["quota_bytes"], freed["quota_versions"]), (0, 3))
        self.cloud.start()
        client = self.client(alice)
        self.expect(client.call("PUT", "/photos/four", b""), 403, "QuotaExceeded")
        self.expect(client.call("PUT", "/photos/three", b"z" * 5000), 200)  # in the place of another
        self.assertEqual(self.json("bucket", "show", "photos")[0]["bytes"], 6500)

    def test_that_are_not_there_and_sizes_that_are_none_are_refused(self):
        self.expect(self.client(self.cloud.ready).call("PUT", "/here"), 200)
        self.assertIn("there is no", self.archipel("bucket", "list", "--account", "nobody", code=1).stderr)
        self.assertIn("does not exist", self.archipel("bucket", "show", "nowhere", code=1).stderr)
        self.assertIn("is no size", self.archipel("bucket", "quota", "here", "--bytes", "10 GB", code=1).stderr)
        self.assertIn("is no number", self.archipel("bucket", "quota", "here", "--versions", "1KiB", code=1).stderr)
        self.archipel("bucket", "quota", code=2)
        self.assertEqual(self.json("bucket", "show", "here")[0]["quota_bytes"], 0)


class Users(Commands):
    def test_may_do_what_their_policies_say_and_no_more(self):
        owner = self.client(self.cloud.ready)
        self.expect(owner.call("PUT", "/team"), 200)
        for name in ("ann", "bob"):
            self.expect(owner.call("PUT", f"/team/{name}/notes", b"of " + name.encode()), 200)
        ann = self.user("ann", READ_ONLY)
        nobody = self.user("nobody")
        client = self.client(ann)
        self.expect(client.call("GET", "/team/ann/notes"), 200)
        self.expect(client.call("GET", "/team/bob/notes"), 403, "AccessDenied")
        self.expect(client.call("PUT", "/team/ann/notes", b"y"), 403, "AccessDenied")
        self.expect(client.call("DELETE", "/team/ann/notes"), 403, "AccessDenied")
        self.expect(client.call("GET", "/team"), 200)
        self.expect(client.call("GET", "/"), 403, "AccessDenied")
        self.expect(self.client(nobody).call("GET", "/team/ann/notes"), 403, "AccessDenied")
        # The same after a restart; then without the policy, without the key, without the user.
        self.assertEqual(self.cloud.stop(), 0)
        self.cloud.start()
        client = self.client(ann)
        self.expect(client.call("GET", "/team/ann/notes"), 200)
        self.archipel("user", "key", "disable", ann["access_key"])
        self.expect(client.call("GET", "/team/ann/notes"), 403, "InvalidAccessKeyId")
        self.archipel("user", "key", "enable", ann["access_key"])
        self.expect(client.call("GET", "/team/ann/notes"), 200)
        self.archipel("user", "policy", "remove", "ann", "the-policy")
        self.expect(client.call("GET", "/team/ann/notes"), 403, "AccessDenied")
        second, = self.json("user", "key", "add", "ann")
        self.assertIn("2 keys", self.archipel("user", "key", "add", "ann", code=1).stderr)
        self.archipel("user", "key", "remove", ann["access_key"])
        self.expect(client.call("GET", "/team/ann/notes"), 403, "InvalidAccessKeyId")
        self.archipel("user", "remove", "ann")
        self.expect(self.client(second).call("GET", "/team/ann/notes"), 403, "InvalidAccessKeyId")
        self.assertEqual([user["user"] for user in self.json("user", "list")], ["nobody"])

    def test_are_refused_documents_that_are_not_understood(self):
        self.archipel("user", "add", "ann")
        bad = dict(READ_ONLY, Statement=[dict(READ_ONLY["Statement"][0], Condition={"StringEquels": {"aws:username": "x"}})])
        self.assertIn("StringEquels", self.archipel("user", "policy", "put", "ann", "p", "--file", self.file("bad.json", bad), code=1).stderr)
        self.assertIn("no user 'zoe'", self.archipel("user", "key", "add", "zoe", code=1).stderr)


class Sessions(Commands):
    """Through boto3, whose STS client is everybody's."""

    def boto(self, script, key, token=None):
        ready = self.cloud.ready
        env = tools.clean_environment(AWS_ACCESS_KEY_ID=key["access_key"], AWS_SECRET_ACCESS_KEY=key["secret_key"], AWS_DEFAULT_REGION=ready["region"],
                                      ENDPOINT=ready["s3"], HOME=str(self.cloud.home))
        if token:
            env["AWS_SESSION_TOKEN"] = token
        path = self.file("script.py", "import boto3, botocore, json, os, sys\nE = os.environ['ENDPOINT']\n"
                         "sts = boto3.client('sts', endpoint_url=E)\ns3 = boto3.client('s3', endpoint_url=E)\n"
                         "def code(f, **a):\n    try:\n        f(**a)\n        return 'ok'\n"
                         "    except botocore.exceptions.ClientError as e:\n        return e.response['Error']['Code']\n" + script)
        run = subprocess.run([str(tools.venv("python")), path], capture_output=True, text=True, timeout=SECONDS_MAX, env=env)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        return json.loads(run.stdout.splitlines()[-1])

    def test_of_users_and_roles_do_what_they_may(self):
        owner = self.client(self.cloud.ready)
        self.expect(owner.call("PUT", "/team"), 200)
        self.expect(owner.call("PUT", "/team/ann/notes", b"of ann"), 200)
        ann = self.user("ann", READ_ONLY)
        temporary = self.boto(
            "t = sts.get_session_token(DurationSeconds=900)['Credentials']\n"
            "print(json.dumps({'access_key': t['AccessKeyId'], 'secret_key': t['SecretAccessKey'], 'token': t['SessionToken'],"
            " 'who': sts.get_caller_identity()['Arn']}))", ann)
        self.assertTrue(temporary["who"].endswith(":user/ann"), temporary["who"])
        check = ("print(json.dumps([code(s3.get_object, Bucket='team', Key='ann/notes'), code(s3.put_object, Bucket='team', Key='ann/notes', Body=b'x'),"
                 " code(sts.get_session_token), code(sts.get_caller_identity)]))")
        self.assertEqual(self.boto(check, temporary, temporary["token"]), ["ok", "AccessDenied", "AccessDenied", "ok"])
        self.assertEqual(self.boto(check, temporary, temporary["token"][:-8] + "AAAAAAA=")[0], "InvalidToken")
        self.assertEqual(self.boto(check, temporary)[0], "InvalidAccessKeyId")

        arn = self.json("role", "add", "writer", "--trust", self.file("trust.json", {"Statement": {
            "Effect": "Allow", "Principal": {"AWS": ann_arn(self)}, "Action": "sts:AssumeRole"}}), "--policy", self.file("role.json", {"Statement": {
                "Effect": "Allow", "Action": "s3:*", "Resource": ["arn:aws:s3:::team", "arn:aws:s3:::team/*"]}}))[0]["arn"]
        narrow = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}})
        assumed = self.boto(
            "def keys(c):\n    return {'access_key': c['AccessKeyId'], 'secret_key': c['SecretAccessKey'], 'token': c['SessionToken']}\n"
            f"a = sts.assume_role(RoleArn={arn!r}, RoleSessionName='night')\n"
            f"b = sts.assume_role(RoleArn={arn!r}, RoleSessionName='night', Policy={narrow!r})\n"
            f"print(json.dumps([keys(a['Credentials']), keys(b['Credentials']), a['AssumedRoleUser']['Arn'],"
            f" code(sts.assume_role, RoleArn={arn!r} + 'x', RoleSessionName='night')]))", ann)
        self.assertTrue(assumed[2].endswith(":assumed-role/writer/night"), assumed[2])
        self.assertEqual(assumed[3], "AccessDenied")
        both = ("print(json.dumps([code(s3.get_object, Bucket='team', Key='ann/notes'), code(s3.put_object, Bucket='team', Key='ann/more', Body=b'x'),"
                " code(s3.list_buckets)]))")
        self.assertEqual(self.boto(both, assumed[0], assumed[0]["token"]), ["ok", "ok", "AccessDenied"])
        self.assertEqual(self.boto(both, assumed[1], assumed[1]["token"]), ["AccessDenied", "ok", "AccessDenied"])
        self.archipel("role", "remove", "writer")
        self.assertEqual(self.boto(both, assumed[0], assumed[0]["token"])[0], "InvalidToken")
        self.archipel("user", "key", "remove", ann["access_key"])
        self.assertEqual(self.boto(check, temporary, temporary["token"])[0], "InvalidToken")
        wrong = dict(ann, secret_key="not the secret of ann")
        self.assertIn(self.boto("print(json.dumps(code(sts.get_caller_identity)))", wrong), ("InvalidClientTokenId",))


def ann_arn(case):
    return case.json("user", "list")[0]["arn"]
