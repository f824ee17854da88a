"""P1: what lies on the islands and what is logged contains no name, no metadata, no byte of a body, and no key."""
import base64
import pathlib

import base
import gateway
import tools


class Blind(base.Case):
    once_is_enough = True

    def markers(self, ready):
        """(what, bytes to look for): each distinctive enough that a hit is no accident."""
        return {
            "bucket name": b"marker-bucket-zanzibar",
            "key": b"KeyMarkerOfTheQuietHarbour",
            "directory in a key": b"DirMarkerOfTheQuietHarbour",
            "metadata name": b"metadatanamemarkerpelican",
            "metadata value": b"MetadataValueMarkerAlbatross",
            "content type": b"application/x-marker-cormorant",
            "small body": b"BodyMarkerSmallCrystallineLagoon",
            "large body": b"BodyMarkerLargeCrystallineLagoon",
            "access key": ready["access_key"].encode(),
            "secret key": ready["secret_key"].encode(),
        }

    def test_nothing_readable_reaches_islands_or_logs(self):
        cloud = self.new_gateway()
        cloud.start()
        marks = self.markers(cloud.ready)
        client = cloud.client()
        self.addCleanup(client.close)
        bucket = marks["bucket name"].decode()
        self.expect(client.make_bucket(bucket), 200)
        headers = {"x-amz-meta-" + marks["metadata name"].decode(): marks["metadata value"].decode(), "content-type": marks["content type"].decode()}
        key = f"{marks['directory in a key'].decode()}/{marks['key'].decode()}"
        for number in range(5):
            self.expect(client.put(bucket, f"{key}-s{number}", marks["small body"] * 40, headers), 200)
            self.expect(client.put(bucket, f"{key}-l{number}", marks["large body"] * 30_000, headers), 200)
            self.expect(client.get(bucket, f"{key}-l{number}"), 200)
        self.expect(client.get(bucket, key + "-absent"), 404)
        self.expect(client.request("GET", bucket, query=[("list-type", "2"), ("prefix", key)]), 200)
        self.expect(client.request("PUT", bucket, key + "-bad", body=b"x", query=[("tagging", "")]), 400)
        self.expect(client.delete(bucket, f"{key}-s0"), 204)
        cloud.kill()
        cloud.start()
        self.expect(client_after := cloud.client().get(bucket, f"{key}-s1"), 200)
        self.assertEqual(client_after.body, marks["small body"] * 40)
        self.assertEqual(cloud.stop(), 0, cloud.stderr())

        places = [cloud.dir / "islands", *cloud.logs.glob("*.stderr")]
        files = [f for p in places for f in ([p] if p.is_file() else p.rglob("*")) if f.is_file()]
        self.assertGreater(len(files), 6 * 12, "there must be something to look through")
        for what, mark in marks.items():
            # The demo's hints on stderr name the access key: that is their purpose. Its log lines, and islands, must not.
            wanted = [f for f in files if not (what == "access key" and f.suffix == ".stderr")]
            forms = {mark, mark.hex().encode(), mark.lower(), mark.upper(), base64.b64encode(mark)[:-4]}
            for file in wanted:
                data = file.read_bytes()
                for form in forms:
                    self.assertNotIn(form, data, f"{what} found in {file}")
        for log in cloud.logs.glob("*.stderr"):
            for line in log.read_text(errors="replace").splitlines():
                if "level=" in line or "event=" in line:
                    self.assertNotIn(cloud.ready["access_key"], line)
        # Neither names of files: two islands' listings have nothing in common but the marker.
        names = [{p.name for p in cloud.island(i).rglob("*") if p.is_file() and len(p.name) >= 32} for i in gateway.ISLANDS]
        for one in range(len(names)):
            self.assertGreater(len(names[one]), 10)
            for other in range(one):
                self.assertEqual(names[one] & names[other], set())

    def test_grep_finds_what_is_there(self):
        """The control: the same search does find a marker that was left in the open."""
        cloud = self.new_gateway()
        (cloud.home / "islands").mkdir()
        (cloud.home / "islands" / "leak").write_bytes(b"\0" * 100 + b"KeyMarkerOfTheQuietHarbour")
        found = tools.run(["grep", "-r", "-l", "KeyMarkerOfTheQuietHarbour", cloud.home / "islands"])
        self.assertEqual(pathlib.Path(found.stdout.strip()).name, "leak")

    def test_files_are_private(self):
        cloud = self.new_gateway()
        cloud.start()
        self.assertEqual(cloud.dir.stat().st_mode & 0o777, 0o700)
        self.assertEqual((cloud.dir / "keyring").stat().st_mode & 0o077, 0)
        self.assertEqual((cloud.dir / "archipel.toml").stat().st_mode & 0o077, 0)
        self.assertEqual((cloud.dir / "index").stat().st_mode & 0o077, 0)
        self.assertEqual(cloud.stop(), 0, cloud.stderr())
