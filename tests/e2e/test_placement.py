"""Buckets that say where they may lie: what is written into them is looked for on the islands' disks, and found only where their policy allows it."""
import json
import os
import shutil
import signal
import subprocess

import base
import gateway
from test_decoder import rebuild

EU = {"alibaba-frankfurt", "aws-ireland", "ovh-gravelines", "hetzner-helsinki"}
NO_US = set(gateway.ISLANDS) - {"aws-ireland"}
ALL = set(gateway.ISLANDS)
ALLOWED = {"people": EU, "secrets": NO_US, "open": ALL}
RECORD_BYTES_MAX = 8 << 10  # a commit that carries no body


def location(text):
    return f"<CreateBucketConfiguration><LocationConstraint>{text}</LocationConstraint></CreateBucketConfiguration>".encode()


class Placement(base.Case):
    seconds_max = 600

    def begin(self):
        self.cloud = self.new_gateway()
        self.cloud.start()
        self.connect()

    def connect(self):
        self.client = self.cloud.client(timeout=90)
        self.addCleanup(self.client.close)

    def archipel(self, *arguments, code=0):
        run = subprocess.run([str(gateway.binary), *map(str, arguments), "--dir", str(self.cloud.dir)], stdin=subprocess.DEVNULL, capture_output=True,
                             text=True, timeout=120)
        self.assertEqual(run.returncode, code, f"{arguments}: {run.stdout} {run.stderr}")
        return run

    def lines(self, *arguments):
        return [json.loads(line) for line in self.archipel(*arguments, "--json").stdout.splitlines()]

    def make_buckets(self):
        self.expect(self.client.request("PUT", "people", headers={"x-archipel-data-class": "personal"}), 200)
        self.expect(self.client.request("PUT", "secrets", body=location("archipel-1:no-us-read")), 200)
        self.expect(self.client.request("PUT", "open", headers={"x-archipel-data-class": "public"}), 200)

    # The disks ------------------------------------------------------------------------------------------------------------------

    def on_disk(self):
        """Island -> name -> bytes, of everything that lies there."""
        found = {}
        for island in gateway.ISLANDS:
            files = found[island] = {}
            for path in self.cloud.island(island).rglob("*"):
                try:
                    if path.is_file():
                        files[path.relative_to(self.cloud.island(island))] = path.stat().st_size
                except FileNotFoundError:
                    pass  # a temporary name, in between
        return found

    def written(self, write, allowed, extents, body_bytes=0):
        """Runs `write` and says on which islands its extents lie. Commits lie on all six, as many on each: what one island got more than the least
        are extents. A commit is small where it carries no body."""
        before = self.on_disk()
        write()

        def new():
            now = self.on_disk()
            return {island: sorted(size for name, size in now[island].items() if name not in before[island]) for island in now}

        def more():
            fresh = new()
            least = min(len(sizes) for sizes in fresh.values())
            return {island: len(sizes) - least for island, sizes in fresh.items() if len(sizes) > least}

        if allowed == ALL:  # commits and extents lie alike
            self.until(lambda: len({len(sizes) for sizes in new().values()}) == 1, "as many files on every island")
            return ALL
        # Acknowledged is what enough islands have; the others follow.
        self.until(lambda: len(more()) == 4 and set(more().values()) == {extents}, f"{extents} extents on four islands, not {more()}")
        fresh, lies = new(), set(more())
        for island in ALL - lies:
            self.assertLess(max(fresh[island], default=0), RECORD_BYTES_MAX, f"{island} got more than records of {body_bytes} bytes")
        self.assertGreaterEqual(sum(sum(fresh[island]) for island in lies), 2 * body_bytes, "the body, twice")
        return lies

    def store(self, bucket, key, size, extents):
        body = base.pattern(size, bucket)
        lies = self.written(lambda: self.expect(self.client.put(bucket, key, body), 200), ALLOWED[bucket], extents, size)
        self.assertLessEqual(lies, ALLOWED[bucket], (bucket, key))
        self.bodies[bucket, key] = body

    def multipart(self, bucket, key, sizes, copied):
        """Parts of these sizes, and one that is copied from another bucket."""
        bodies = [base.pattern(size, n) for n, size in enumerate(sizes)]
        upload = self.expect(self.client.request("POST", bucket, key, query=[("uploads", "")]), 200).xml().findtext("UploadId")
        listed = ""
        for number, body in enumerate(bodies, 1):
            sent = self.expect(self.client.request("PUT", bucket, key, query=[("partNumber", str(number)), ("uploadId", upload)], body=body), 200)
            listed += f"<Part><PartNumber>{number}</PartNumber><ETag>{sent.headers['etag']}</ETag></Part>"
        query = [("partNumber", str(len(sizes) + 1)), ("uploadId", upload)]
        sent = self.expect(self.client.request("PUT", bucket, key, query=query, headers={"x-amz-copy-source": "/".join(copied)}), 200)
        listed += f"<Part><PartNumber>{len(sizes) + 1}</PartNumber><ETag>{sent.xml().findtext('ETag')}</ETag></Part>"
        bodies.append(self.bodies[copied])
        done = self.client.request("POST", bucket, key, query=[("uploadId", upload)], body=f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode())
        self.expect(done, 200)
        self.bodies[bucket, key] = b"".join(bodies)

    def copy(self, source, bucket, key):
        self.expect(self.client.request("PUT", bucket, key, headers={"x-amz-copy-source": f"/{source[0]}/{source[1]}"}), 200)
        self.bodies[bucket, key] = self.bodies[source]

    def holdings(self, bucket):
        return [h for h in json.loads(self.archipel("exposure", "--json").stdout)["holdings"] if h["bucket"] == bucket]

    def compare_all(self):
        for (bucket, key), body in self.bodies.items():
            self.assertTrue(self.expect(self.client.get(bucket, key), 200).body == body, (bucket, key))

    # Tests ----------------------------------------------------------------------------------------------------------------------

    def test_shards_lie_only_where_the_policy_allows_and_survive_what_it_promises(self):
        self.begin()
        self.make_buckets()
        self.bodies = {}
        for bucket in ALLOWED:
            # Small bodies ride in commits only where every island of the journal is allowed; large ones are cut at 8 MiB.
            self.store(bucket, "small", 1_000, 1)
            self.store(bucket, "segment", 100_000, 1)
            self.store(bucket, "medium", 200 << 10, 1)
            self.store(bucket, "large", *((20 << 20, 3) if bucket == "people" else (9 << 20, 2)))
        for bucket, allowed in (("people", EU), ("secrets", NO_US)):
            lies = self.written(lambda bucket=bucket: self.multipart(bucket, "parts", (5 << 20, 5 << 20), ("open", "medium")), allowed, 3, (10 << 20) + (200 << 10))
            self.assertLessEqual(lies, allowed, bucket)
            # From where all islands hold it to where some may: sealed anew, and nothing is shared.
            lies = self.written(lambda bucket=bucket: self.copy(("open", "medium"), bucket, "copy"), allowed, 1, 200 << 10)
            self.assertLessEqual(lies, allowed, bucket)
        self.copy(("people", "medium"), "open", "copy")
        self.written(lambda: self.copy(("people", "segment"), "secrets", "copied-small"), NO_US, 1, 100_000)
        # Within a class a copy is a reference.
        before = {island: sum(files.values()) for island, files in self.on_disk().items()}
        self.copy(("people", "medium"), "people", "again")
        self.until(lambda: all(sum(files.values()) < before[island] + RECORD_BYTES_MAX for island, files in self.on_disk().items()), "no second body")

        for bucket, allowed in ALLOWED.items():
            holdings = self.holdings(bucket)
            self.assertEqual(sum(h["objects"] for h in holdings), sum(b == bucket for b, _ in self.bodies) + 2 * (bucket in ("people", "secrets")),
                             "a multipart object of three parts has three streams")
            self.assertEqual(sum(h["bytes"] for h in holdings), sum(len(body) for (b, _), body in self.bodies.items() if b == bucket))
            for holding in holdings:
                self.assertLessEqual(set(holding["islands"]), allowed, bucket)
                self.assertEqual(holding["confirmed"], holding["islands"], bucket)
        self.compare_all()
        self.assertEqual(self.cloud.stop(), 0, self.cloud.stderr())

        # Two of each four, three of the six, and the index.
        shutil.rmtree(self.cloud.dir / "index")
        gone = ("aws-ireland", "hetzner-helsinki", "sakura-tokyo")
        for island in gone:
            shutil.rmtree(self.cloud.island(island))
        self.cloud.start()
        self.connect()
        self.compare_all()
        self.assertEqual([(b["bucket"], b["policy"], b["data_class"]) for b in self.lines("bucket", "list")],
                         [("open", "default", "public"), ("people", "eu-only", "personal"), ("secrets", "no-us-read", "")])
        self.assertEqual(self.cloud.stop(), 0, self.cloud.stderr())
        # A program that shares no code with the gateway gets everything back from what was left.
        out = self.cloud.home / "restored"
        _, restored = rebuild(self.cloud, ALL - set(gone), "--out", out)
        self.assertEqual(restored["objects"], len(self.bodies), restored)
        for (bucket, key), body in self.bodies.items():
            self.assertTrue((out / bucket / key).read_bytes() == body, (bucket, key))

    def test_a_bucket_that_is_placed_elsewhere_says_what_stays_behind(self):
        self.begin()
        self.expect(self.client.make_bucket("bucket"), 200)
        self.bodies = {}
        self.client.put("bucket", "old", base.pattern(300_000))
        self.client.put("bucket", "old-small", b"x" * 1000)
        told = self.lines("bucket", "place", "bucket", "--policy", "eu-only")
        self.assertEqual((told[0]["policy"], told[0]["data_class"]), ("eu-only", ""))
        (elsewhere,) = told[1:]
        self.assertEqual((elsewhere["event"], elsewhere["objects"], elsewhere["bytes"], elsewhere["code"]), ("elsewhere", 2, 301_000, [6, 3]))
        self.assertEqual(set(elsewhere["to_islands"]), EU)
        self.assertGreater(elsewhere["move_bytes"], 602_000)
        self.assertIn("sakura-tokyo (place JP)", " ".join(elsewhere["reasons"]))
        lies = self.written(lambda: self.client.put("bucket", "new", base.pattern(300_000)), EU, 1, 300_000)
        self.assertEqual(lies, EU)
        self.assertEqual([sorted(h["islands"]) for h in self.holdings("bucket")].count(sorted(EU)), 1)
        # What is written again is at home.
        self.client.put("bucket", "old", base.pattern(300_000))
        self.client.delete("bucket", "old-small")
        self.assertEqual(len(self.lines("bucket", "place", "bucket")), 1)
        self.assertIn("elsewhere    nothing", self.archipel("bucket", "place", "bucket").stdout)
        for wrong in (("--policy", "nowhere"), ("--class", "odd")):
            said = self.archipel("bucket", "place", "bucket", *wrong, code=1).stderr
            self.assertIn(f'"{wrong[1]}"', said)
        refused = self.expect(self.client.request("PUT", "cold", body=location("archipel-1:nowhere")), 400, "InvalidLocationConstraint")
        self.assertIn(b"nowhere", refused.body)
        self.assertEqual(self.cloud.stop(), 0, self.cloud.stderr())
        # Without a gateway, too.
        self.assertEqual(self.lines("bucket", "place", "bucket", "--class", "own")[0]["policy"], "default")

    def test_a_policy_that_cannot_hold_is_refused_with_its_rule_and_the_missing_island(self):
        self.begin()
        self.expect(self.client.request("PUT", "bucket", headers={"x-archipel-placement": "eu-only"}), 200)
        config = self.cloud.dir / "archipel.toml"
        good = config.read_text()
        bad = good + '\n[policy.alps]\nallow = ["AT", "CH"]\n'
        line = bad[:bad.index("[policy.alps]")].count("\n") + 1
        expected = ('policy "alps" cannot hold', 'residency allow = ["AT", "CH"] of place leaves 1 of 6 islands: exoscale-zurich', f"archipel.toml:{line}:",
                    "3 more islands whose place is in one of")

        config.write_text(bad)
        self.cloud.process.send_signal(signal.SIGHUP)
        self.until(lambda: "config.refused" in self.cloud.stderr(), "the refusal in the log")
        refusal = next(text for text in self.cloud.stderr().splitlines() if "config.refused" in text).replace('\\"', '"')
        for words in expected:
            self.assertIn(words, refusal)
        # The last good one stays.
        lies = self.written(lambda: self.expect(self.client.put("bucket", "k", base.pattern(300_000)), 200), EU, 1)
        self.assertEqual(lies, EU)
        # A good one is taken, and what it brings can be asked for.
        config.write_text(good + '\n[policy.far]\ncode = [4, 2]\nislands = ["sakura-tokyo", "exoscale-zurich", "ovh-gravelines", "hetzner-helsinki"]\n'
                          '[class.archive]\npolicy = "far"\n')
        self.cloud.process.send_signal(signal.SIGHUP)
        self.until(lambda: "config.reloaded" in self.cloud.stderr(), "the new configuration")
        self.expect(self.client.request("PUT", "cold", headers={"x-archipel-data-class": "archive"}), 200)
        lies = self.written(lambda: self.expect(self.client.put("cold", "k", base.pattern(300_000)), 200), set(), 1)
        self.assertEqual(lies, {"sakura-tokyo", "exoscale-zurich", "ovh-gravelines", "hetzner-helsinki"})
        # A policy that goes leaves its buckets readable, and takes no writes.
        config.write_text(good)
        self.cloud.process.send_signal(signal.SIGHUP)
        self.until(lambda: self.cloud.stderr().count("config.reloaded") == 2, "the old configuration")
        refused = self.expect(self.client.put("cold", "l", b"x"), 403, "PlacementRefused")
        self.assertIn(b"archive", refused.body)
        self.assertEqual(self.expect(self.client.get("cold", "k"), 200).body, base.pattern(300_000))
        self.assertEqual(self.cloud.stop(), 0, self.cloud.stderr())

        config.write_text(bad)
        for command in (["demo", "--dir", self.cloud.dir, "--listen", "127.0.0.1:0"], ["serve", "--config", config]):
            run = subprocess.run([str(gateway.binary), *map(str, command)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                                 env=dict(os.environ, ARCHIPEL_PASSPHRASE="archipel-demo"))
            self.assertEqual((run.returncode, run.stdout), (1, ""), run.stderr)
            said = run.stderr.replace('\\"', '"')
            for words in expected:
                self.assertIn(words, said)
        # The journal holds names and sizes of everything, sealed, on all six: a policy that wants them elsewhere is told so.
        config.write_text(good.replace("[policy.eu-only]", '[policy.eu-only]\nmetadata_allow = ["EU"]'))
        code, said = self.cloud.refuse_start()
        self.assertEqual(code, 1)
        self.assertIn("eu-only", said)
        self.assertIn("sakura-tokyo", said)
        self.assertIn("archipel.toml:", said)
