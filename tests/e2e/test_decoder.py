"""The independent decoder (tests/decoder) rebuilds from the keyring and any three islands what clients had stored: listing and bytes."""
import contextlib
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

import base
import gateway
import tools

REBUILD = pathlib.Path(__file__).resolve().parent.parent / "decoder" / "rebuild.py"
GOLDEN = REBUILD.parent.parent / "golden" / "files"
REBUILD_SECONDS_MAX = 300
SIZES = (0, 1, 4 << 10, 128 << 10, (128 << 10) + 1, 1 << 20, 20 << 20)
# Data on the first three, parity on the last three; every triple has its own way to the bytes.
TRIPLES = ((0, 1, 2), (3, 4, 5), (0, 2, 4), (1, 3, 5))
HARD_KEYS = ("slashes//twice", "/first", "last/", "../up", "dir", "dir/below", "umlaut-\u00fc-\u6f22\u5b57-\U0001f600", "%41", "x" * 1024, "\n")
WAIT_SECONDS_MAX = 180


def python():
    """Debian's interpreter, which sees Debian's packages."""
    found = "/usr/bin/python3" if pathlib.Path("/usr/bin/python3").exists() else sys.executable
    done = tools.run([found, "-c", "import argon2, cryptography"])
    if done.returncode != 0:
        raise unittest.SkipTest("python3-argon2 and python3-cryptography are needed: " + done.stdout.strip().splitlines()[-1])
    return found


def rebuild(cloud, islands, *options, code=0):
    """Runs the decoder; returns (lines of the listing, summary)."""
    command = [python(), REBUILD, "--keyring", cloud.dir / "keyring", "--passphrase-file", cloud.dir / "keyring.passphrase", "--list", "--json",
               *options, *[cloud.island(i) for i in islands]]
    done = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, capture_output=True, timeout=REBUILD_SECONDS_MAX, text=True)
    if done.returncode != code:
        raise AssertionError(f"rebuild.py ended with exit code {done.returncode}, {code} expected: {done.stderr[-3000:]}")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return lines[:-1], lines[-1]


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def blobs(island):
    """Blob files of an island, the largest first."""
    return sorted((p for p in island.rglob("*") if p.is_file() and len(p.name) == 40), key=lambda p: -p.stat().st_size)


class Decoder(base.Case):
    """One demo for all tests: filled, killed, started again, filled further, stopped. From then on only its files are read."""

    once_is_enough = in_memory = True

    @classmethod
    def setUpClass(cls):
        python()
        with contextlib.ExitStack() as stack:
            cls.cloud = gateway.Gateway(cls.in_memory)
            stack.callback(cls.cloud.destroy)
            cls.stored, cls.listed, cls.synced = {}, {}, None
            cls.fill()
            cls.addClassCleanup(stack.pop_all().close)

    @classmethod
    def must(cls, response, *statuses):
        if response.status not in statuses:
            raise AssertionError(response)
        return response

    @classmethod
    def put(cls, client, bucket, key, body):
        cls.must(client.put(bucket, key, body), 200)
        cls.stored[bucket, key] = body

    @classmethod
    def fill(cls):
        client = cls.cloud.start().client(timeout=90)
        for bucket in ("plain", "odd-keys", "empty"):
            cls.must(client.make_bucket(bucket), 200)
        for number, size in enumerate(SIZES):
            cls.put(client, "plain", f"sizes/{size}.bin", base.pattern(size, number))
        for kind in ("crc32", "crc32c", "crc64nvme", "sha1", "sha256"):
            body = base.pattern(70_000, kind)
            cls.must(client.put_trailer("plain", f"sums/{kind}", body, kind), 200)
            cls.stored["plain", f"sums/{kind}"] = body
        for key in HARD_KEYS:
            cls.put(client, "odd-keys", key, key.encode())
        cls.cloud.kill()
        client = cls.cloud.start().client(timeout=90)
        cls.change(client)
        for bucket in ("plain", "odd-keys"):
            cls.listed |= cls.listing(client, bucket)
        cls.sync()
        client.close()
        if cls.cloud.stop() != 0:
            raise AssertionError("the gateway did not stop cleanly: " + cls.cloud.stderr()[-3000:])

    @classmethod
    def change(cls, client):
        """Overwrites, deletes, copies; in the second epoch, of objects of the first."""
        cls.put(client, "plain", "umlaut-\u00fc/over", b"before")
        cls.put(client, "plain", "umlaut-\u00fc/over", base.pattern(300_000, "over"))
        cls.put(client, "plain", "sizes/1.bin", b"y")
        for key in ("gone", "sums/sha1"):
            cls.put(client, "plain", key, b"to be deleted")
            cls.must(client.delete("plain", key), 204)
            del cls.stored["plain", key]
        for source, target in (("sizes/1048576.bin", ("plain", "copies/large")), ("sizes/4096.bin", ("odd-keys", "copy-of-small"))):
            cls.must(client.request("PUT", *target, headers={"x-amz-copy-source": f"/plain/{source}"}), 200)
            cls.stored[target] = cls.stored["plain", source]
        # A copy outlives what it was copied from.
        cls.must(client.delete("plain", "sizes/4096.bin"), 204)
        del cls.stored["plain", "sizes/4096.bin"]

    @classmethod
    def listing(cls, client, bucket):
        root = cls.must(client.request("GET", bucket, query=[("encoding-type", "url"), ("list-type", "2")]), 200).xml()
        keys = client.list_keys(bucket)
        entries = root.findall("Contents")
        assert len(keys) == len(entries)
        return {(bucket, key): (int(e.findtext("Size")), e.findtext("ETag").strip('"'), e.findtext("LastModified")[:19])
                for key, e in zip(keys, entries)}

    @classmethod
    def sync(cls):
        """What `aws s3 sync` brings, while the gateway runs."""
        try:
            aws = tools.program("aws")
        except unittest.SkipTest as reason:
            cls.why_not_synced = str(reason)
            return
        ready, home = cls.cloud.ready, cls.cloud.home / "synced"
        home.mkdir()
        env = tools.clean_environment(AWS_ACCESS_KEY_ID=ready["access_key"], AWS_SECRET_ACCESS_KEY=ready["secret_key"],
                                      AWS_DEFAULT_REGION=ready["region"], HOME=str(home), PYTHONUTF8="1")
        done = tools.run([aws, "--endpoint-url", ready["s3"], "s3", "sync", "--only-show-errors", "s3://plain", home / "plain"], env=env)
        if done.returncode != 0:
            raise AssertionError(f"aws s3 sync: {done.stdout[-2000:]}")
        cls.synced = home / "plain"

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="archipel-decoder-")
        self.addCleanup(directory.cleanup)
        self.out = pathlib.Path(directory.name) / "out"

    def compare(self, lines, except_for=()):
        """The listing against the gateway's own, and every file against what was put."""
        told = {(line["bucket"], line["key"]): (line["size"], line["etag"], line["modified"][:19]) for line in lines}
        self.assertEqual(told, self.listed)
        self.assertEqual(sorted(told, key=lambda k: (k[0], k[1].encode())), list(told), "not in order")
        for line in lines:
            if (line["bucket"], line["key"]) in except_for:
                self.assertIn("error", line)
                self.assertFalse((self.out / line["path"]).exists())
                continue
            self.assertEqual(base.sha256((self.out / line["path"]).read_bytes()), base.sha256(self.stored[line["bucket"], line["key"]]), line)
        self.assertEqual(set(told), set(self.stored))

    def names(self, numbers):
        return [gateway.ISLANDS[n] for n in numbers]

    def test_any_three_islands_give_listing_and_bytes(self):
        for triple in TRIPLES:
            with self.subTest(islands=self.names(triple)):
                lines, summary = rebuild(self.cloud, self.names(triple), "--out", self.out)
                self.compare(lines)
                self.assertEqual(summary["objects"], len(self.stored))
                self.assertEqual(summary["bytes"], sum(map(len, self.stored.values())))
                self.assertGreaterEqual(summary["epochs"], 2)
                self.assertEqual(summary["islands_blamed"], {})
                self.assertEqual(summary["checksums"], len(self.stored))  # without one of the client's, CRC64NVME is kept
                self.assertEqual(summary["etags_md5"], len(self.stored))
                self.assertTrue((self.out / "empty").is_dir())
                shutil.rmtree(self.out)

    def test_ten_other_triples_list_the_same(self):
        expected, _ = rebuild(self.cloud, gateway.ISLANDS)
        for triple in list(itertools.combinations(gateway.ISLANDS, 3))[1::2]:
            self.assertEqual(rebuild(self.cloud, triple)[0], expected, triple)

    def test_same_files_as_aws_s3_sync(self):
        if self.synced is None:
            raise unittest.SkipTest(self.why_not_synced)
        rebuild(self.cloud, self.names((1, 4, 5)), "--out", self.out)
        files = {root: {str(p.relative_to(root)): base.sha256(p.read_bytes()) for p in root.rglob("*") if p.is_file()}
                 for root in (self.synced, self.out / "plain")}
        self.assertEqual(files[self.synced], files[self.out / "plain"])
        self.assertEqual(len(files[self.synced]), sum(bucket == "plain" for bucket, _ in self.stored))

    def test_a_flipped_byte_is_decoded_around_and_its_island_named(self):
        wrong = gateway.ISLANDS[1]
        largest = blobs(self.cloud.island(wrong))[0]
        flip(largest, largest.stat().st_size // 2)
        self.addCleanup(flip, largest, largest.stat().st_size // 2)
        lines, summary = rebuild(self.cloud, self.names((0, 1, 3, 5)), "--out", self.out)
        self.compare(lines)
        self.assertEqual(list(summary["islands_blamed"]), [wrong])
        self.assertEqual(summary["islands_blamed"][wrong]["wrong"], 1)
        self.assertEqual(summary["cells_wrong"], 1)
        # With two good cells and that one, the object is not restored rather than restored wrongly; all others are.
        shutil.rmtree(self.out)
        lines, summary = rebuild(self.cloud, self.names((0, 1, 3)), "--out", self.out, code=1)
        self.assertEqual([where for where, _ in summary["not_restored"]], [f"plain/sizes/{20 << 20}.bin"])
        self.compare(lines, except_for=[("plain", f"sizes/{20 << 20}.bin")])

    def test_an_island_wrong_in_every_blob_is_named_and_left_out(self):
        wrong, spoilt = gateway.ISLANDS[2], self.cloud.home / "spoilt"
        shutil.copytree(self.cloud.island(wrong), spoilt)
        self.addCleanup(shutil.rmtree, spoilt)
        for blob in blobs(spoilt):
            for offset in range(0, blob.stat().st_size, 10_000):
                flip(blob, offset)
        lines, summary = rebuild(self.cloud, self.names((0, 4, 5)), "--out", self.out, str(spoilt))
        self.compare(lines)
        self.assertEqual(list(summary["islands_blamed"]), [wrong])

    def test_a_wrong_passphrase_and_too_few_islands_are_clear_errors(self):
        environment = dict(os.environ, ARCHIPEL_PASSPHRASE="not it")
        done = tools.run([python(), REBUILD, "--keyring", self.cloud.dir / "keyring", self.cloud.island(gateway.ISLANDS[0])], env=environment)
        self.assertEqual((done.returncode, len(done.stdout.splitlines())), (2, 1), done.stdout)
        self.assertIn("passphrase", done.stdout)
        # Two islands tell every key, but give no stripe back but those of a single cell.
        lines, summary = rebuild(self.cloud, self.names((2, 3)), "--out", self.out, code=1)
        self.assertTrue(summary["not_restored"] or summary["notes"])
        for line in lines:
            if "error" not in line:
                self.assertEqual((self.out / line["path"]).read_bytes(), self.stored[line["bucket"], line["key"]])


class DecoderVersions(base.Case):
    """Versions, delete markers, multipart objects and objects under SSE-S3, from three islands alone."""

    once_is_enough = in_memory = True

    def request(self, method, key=None, status=200, bucket="kept", **more):
        return self.expect(self.client.request(method, bucket, key, **more), status)

    def put(self, key, body, **more):
        made = self.request("PUT", key, body=body, **more).headers.get("x-amz-version-id", "null")
        self.stored[key, made] = body
        return made

    def versioning(self, status):
        document = f"<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>"
        self.request("PUT", query=[("versioning", "")], body=document.encode())

    def multipart(self, key, parts, **more):
        """Parts numbered 2, 4, 6…; the first is sent twice, and one that the completion leaves out is sent, too."""
        upload = self.request("POST", key, query=[("uploads", "")], **more).xml().findtext("UploadId")
        numbers = [2 * n + 2 for n in range(len(parts))]
        listed = ""
        for number, body in [(2, b"replaced"), (9, b"left out"), *zip(numbers, parts)]:
            tag = self.request("PUT", key, query=[("partNumber", str(number)), ("uploadId", upload)], body=body).headers["etag"]
            if body not in (b"replaced", b"left out"):
                listed += f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"
        done = self.request("POST", key, query=[("uploadId", upload)], body=f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode())
        self.stored[key, done.headers.get("x-amz-version-id", "null")] = b"".join(parts)

    def fill(self):
        self.put("history", b"before versions were kept")
        self.versioning("Enabled")
        for size in (1000, 300_000, 9 << 20):
            self.put("history", base.pattern(size, "history"))
        self.request("DELETE", "history", 204)
        gone = self.put("history", b"removed for good")
        self.request("DELETE", "history", 204, query=[("versionId", gone)])
        del self.stored["history", gone]
        self.put("hidden", b"under a delete marker")
        self.request("DELETE", "hidden", 204)
        self.put("sealed", base.pattern(200_000, 5), headers={"x-amz-server-side-encryption": "AES256"})
        self.multipart("parts", [base.pattern(5 << 20, 1), base.pattern((8 << 20) + 1, 2), b"the end"])
        self.multipart("parts", [b"one small part"])
        self.multipart("sealed parts", [base.pattern(5 << 20, 3), base.pattern(70_000, 4)], headers={"x-amz-server-side-encryption": "AES256"})
        copied = self.request("PUT", "copy of parts", headers={"x-amz-copy-source": "/kept/sealed%20parts"}).headers["x-amz-version-id"]
        self.stored["copy of parts", copied] = self.stored[[k for k in self.stored if k[0] == "sealed parts"][0]]
        self.versioning("Suspended")
        self.put("suspended", b"first")
        self.put("suspended", b"second, in the place of the first")

    def listed(self):
        """{(key, version): (latest, delete marker, size or None)} as the gateway tells it."""
        root = self.request("GET", query=[("versions", "")]).xml()
        return {(e.findtext("Key"), e.findtext("VersionId")): (e.findtext("IsLatest") == "true", e.tag == "DeleteMarker",
                                                               int(e.findtext("Size") or 0))
                for e in root if e.tag in ("Version", "DeleteMarker")}

    def test_every_version_comes_back(self):
        python()
        cloud, self.stored = self.new_gateway(), {}
        self.client = cloud.start().client(timeout=90)
        self.expect(self.client.make_bucket("kept"), 200)
        self.fill()
        listed = self.listed()
        self.assertEqual({k for k, (_, marker, _) in listed.items() if not marker}, set(self.stored))
        self.client.close()
        self.assertEqual(cloud.stop(), 0, cloud.stderr())
        for triple in ((0, 1, 2), (3, 4, 5)):
            out = cloud.home / f"out{triple[0]}"
            lines, summary = rebuild(cloud, [gateway.ISLANDS[n] for n in triple], "--versions", "--out", out)
            self.assertEqual({(e["key"], e["version"]): (e["latest"], e["delete_marker"], e["size"]) for e in lines}, listed)
            for line in lines:
                if not line["delete_marker"]:
                    got = (out / line["path"]).read_bytes()
                    self.assertEqual(base.sha256(got), base.sha256(self.stored[line["key"], line["version"]]), line)
            self.assertEqual((summary["islands_blamed"], summary["notes"]), ({}, []))
        current, _ = rebuild(cloud, gateway.ISLANDS[:3])
        self.assertEqual({e["key"] for e in current}, {key for (key, _), (latest, marker, _) in listed.items() if latest and not marker})


class DecoderGolden(base.Case):
    def test_golden_files_read_as_their_manifest_says(self):
        done = tools.run([python(), REBUILD.parent / "golden.py", GOLDEN])
        self.assertEqual(done.returncode, 0, done.stdout)


class DecoderSnapshot(base.Case):
    once_is_enough = in_memory = True

    def begin(self, **settings):
        """A demo that collects and truncates after seconds instead of days, with short snapshots."""
        cloud = self.new_gateway()
        cloud.start()
        self.assertEqual(cloud.stop(), 0, cloud.stderr())
        config = cloud.dir / "archipel.toml"
        text = re.sub(r"(?m)^\[collection\]\n(#.*\n)*", "", config.read_text())
        config.write_text(text + "\n[collection]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))
        cloud.start()
        self.expect(cloud.client().make_bucket("many"), 200)
        return cloud

    def write(self, cloud, stored, number):
        """Some that are overwritten, some that stay, some that go."""
        client = cloud.client(timeout=90)
        for key, size in (("hot", 100_000), (f"cold-{number}", 300), ("large", 400_000)):
            stored[key] = base.pattern(size, f"{key}/{number}")
            self.expect(client.put("many", key, stored[key]), 200)
        if number % 3 == 2:
            key = f"cold-{number - 1}"
            self.expect(client.delete("many", key), 204)
            del stored[key]
        client.close()

    def compare(self, cloud, lines, out, stored):
        self.assertEqual({line["key"] for line in lines}, set(stored))
        for line in lines:
            self.assertEqual(base.sha256((out / line["path"]).read_bytes()), base.sha256(stored[line["key"]]), line["key"])

    def test_a_snapshot_gives_the_same_as_the_whole_journal(self):
        python()
        cloud, stored = self.begin(interval_s=1, grace_s=600, repeat_s=600, truncation_delay_s=600, snapshot_mib=1), {}
        for number in range(40):
            self.write(cloud, stored, number)
        self.wait_for(cloud, "archipel_snapshot_written_total")
        self.write(cloud, stored, 40)
        self.assertEqual(cloud.stop(), 0, cloud.stderr())
        lines, short = rebuild(cloud, gateway.ISLANDS[3:], "--out", cloud.home / "short")
        whole, long = rebuild(cloud, gateway.ISLANDS[3:], "--no-snapshot")
        self.compare(cloud, lines, cloud.home / "short", stored)
        self.assertGreaterEqual(short["snapshot_number"], 1)
        self.assertLess(short["records"], long["records"])
        self.assertEqual([{**line, "path": None} for line in lines], [{**line, "path": None} for line in whole])

    def test_a_truncated_journal_is_read_from_a_snapshot_on(self):
        python()
        cloud, stored = self.begin(interval_s=1, grace_s=1, repeat_s=2, truncation_delay_s=1, snapshot_mib=1, compact_mib=1), {}
        for number in range(400):
            self.write(cloud, stored, number)
            if number > 40 and self.counter(cloud, "archipel_collect_commits_truncated_total"):
                break
        self.wait_for(cloud, "archipel_collect_commits_truncated_total")
        self.assertEqual(cloud.stop(), 0, cloud.stderr())
        for triple in ((0, 1, 2), (3, 4, 5)):
            lines, summary = rebuild(cloud, [gateway.ISLANDS[n] for n in triple], "--out", cloud.home / "out")
            self.compare(cloud, lines, cloud.home / "out", stored)
            self.assertGreaterEqual(summary["snapshot_number"], 2)
            self.assertEqual(summary["islands_blamed"], {})
            shutil.rmtree(cloud.home / "out")
        # Its beginning is gone: without the snapshot, that is said.
        with self.assertRaisesRegex(AssertionError, "exit code 2.*cannot be read on any of the islands"):
            rebuild(cloud, gateway.ISLANDS, "--no-snapshot")

    def counter(self, cloud, name):
        return sum(int(value) for value in re.findall(rf"(?m)^{name}(?:\{{[^}}]*\}})? (\d+)$", cloud.metrics()))

    def wait_for(self, cloud, name):
        tick = threading.Event()
        for _ in range(WAIT_SECONDS_MAX * 4):
            if self.counter(cloud, name):
                return
            tick.wait(0.25)
        self.fail(f"{name} stays 0: {cloud.stderr()[-2000:]}")

    def test_repaired_shards_are_found_under_their_new_names(self):
        python()
        cloud, stored = self.begin(interval_s=1, grace_s=600, repeat_s=600, truncation_delay_s=600, snapshot_mib=1), {}
        for number in range(30):
            self.write(cloud, stored, number)
        self.wait_for(cloud, "archipel_snapshot_written_total")
        self.assertEqual(cloud.stop(), 0, cloud.stderr())
        for island in gateway.ISLANDS[:2]:
            for blob in blobs(cloud.island(island)):
                flip(blob, blob.stat().st_size - 20)
        _, summary = rebuild(cloud, gateway.ISLANDS)
        self.assertEqual(set(summary["islands_blamed"]), set(gateway.ISLANDS[:2]))
        # Twice: the first may join a pass that is half way through.
        cloud.start()
        for _ in range(2):
            done = tools.run([gateway.binary, "scrub", "--dir", cloud.dir])
            self.assertEqual(done.returncode, 0, done.stdout[-2000:])
        self.assertEqual(cloud.stop(), 0, cloud.stderr())
        lines, summary = rebuild(cloud, gateway.ISLANDS[:3], "--out", cloud.home / "out")
        self.compare(cloud, lines, cloud.home / "out", stored)
        self.assertEqual((summary["islands_blamed"], summary["notes"]), ({}, []))
        # Not by reading the whole journal instead: the snapshot's own shards were repaired, too.
        self.assertGreaterEqual(summary["snapshot_number"], 1)
