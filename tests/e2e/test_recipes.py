"""docs/recipes, word by word: every block marked `sh`, in order, in one shell, against a demo cloud."""
import pathlib
import re
import shutil
import tempfile

import base
import tools

RECIPES = tools.ROOT / "docs" / "recipes"
BLOCK = re.compile(r"^```(\S+)(?: (\S+))?\n(.*?)^```$", re.M | re.S)
FILM_BYTES = 40_000_000


def blocks(name):
    """[(language, mark, text)] of a recipe."""
    return [m.groups() for m in BLOCK.finditer((RECIPES / name).read_text(encoding="utf-8"))]


class Recipes(base.Shared):
    seconds_max = 600

    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory(prefix="archipel-recipe-")
        self.addCleanup(directory.cleanup)
        self.home = pathlib.Path(directory.name)
        ready = self.gateway.ready
        self.env = tools.clean_environment(S3=ready["s3"], AWS_ACCESS_KEY_ID=ready["access_key"], AWS_SECRET_ACCESS_KEY=ready["secret_key"],
                                           AWS_DEFAULT_REGION=ready["region"], HOME=str(self.home), LC_ALL="C.UTF-8")
        letters = self.home / "documents" / "letters"
        letters.mkdir(parents=True)
        (letters / "one.txt").write_text("Dear one,\n")
        (letters / "two.txt").write_text("Dear two,\n")
        (letters / "empty").touch()
        (self.home / "documents" / "film.bin").write_bytes(base.pattern(FILM_BYTES, 7))

    def follow(self, name, path=()):
        script = "set -euo pipefail\ncd\n" + "\n".join(text for language, mark, text in blocks(name) if language == "sh" and mark != "once")
        self.env["PATH"] = ":".join([*map(str, path), "/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"])
        done = tools.run(["bash", "-c", script], 360, env=self.env)
        self.assertEqual(done.returncode, 0, done.stdout[-4000:])
        return done.stdout

    def boto(self, script):
        done = tools.run([tools.venv("python"), "-c", script, self.gateway.ready["s3"]], 240, env=self.env)
        self.assertEqual(done.returncode, 0, done.stdout[-4000:])

    def test_aws_cli(self):
        tools.program("aws"), tools.program("curl")
        self.follow("aws-cli.md")

    def test_rclone(self):
        tools.program("rclone")
        self.follow("rclone.md")

    def test_restic_with_object_lock(self):
        tools.program("restic"), tools.program("aws")
        self.follow("restic.md")

    def test_s3fs(self):
        tools.program("s3fs"), tools.program("aws")
        tools.fuse()
        self.addCleanup(tools.run, ["fusermount", "-u", "-z", self.home / "shelf"], 30)
        self.follow("s3fs.md")

    def test_terraform(self):
        tools.program("aws")
        if shutil.which("terraform") is None:
            self.skipTest("terraform is not installed; the requests of its S3 back end are tried with boto3")
        self.follow("terraform.md")

    def test_duckdb(self):
        tools.program("aws")
        wanted = [text for _, mark, text in blocks("duckdb.md") if mark == "once"][0]
        self.assertIn("pip install " + " ".join(tools.DUCKDB_PACKAGES), wanted)
        self.assertIn("a million rows", self.follow("duckdb.md", path=[tools.duckdb_python().parent]))

    def test_every_recipe_is_in_the_list(self):
        listed = re.findall(r"\]\(([a-z0-9-]+\.md)\)", (RECIPES / "README.md").read_text(encoding="utf-8"))
        self.assertEqual(sorted(listed), sorted(p.name for p in RECIPES.glob("*.md") if p.name != "README.md"))

    def test_requests_of_terraforms_state_back_end(self):
        self.boto(TERRAFORM)

    def test_requests_of_nextclouds_object_store(self):
        self.boto(NEXTCLOUD)


COMMON = """
import io, random, sys, urllib.request
import boto3, botocore.exceptions
from botocore.client import Config
s3 = boto3.client("s3", endpoint_url=sys.argv[1], config=Config(s3={"addressing_style": "path"}, signature_version="s3v4"))

def refused(code, call, **arguments):
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == code, error.response
    else:
        raise SystemExit(f"expected {code}")
"""

TERRAFORM = COMMON + """
bucket, key = "tf-state", "env:/prod/terraform.tfstate"
s3.create_bucket(Bucket=bucket)
s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
s3.list_objects_v2(Bucket=bucket, Prefix="env:/", MaxKeys=1000)
refused("NoSuchKey", s3.get_object, Bucket=bucket, Key=key)
lock = dict(Bucket=bucket, Key=key + ".tflock")
for serial in range(3):
    s3.put_object(**lock, Body=b'{"ID":"me"}', IfNoneMatch="*", ContentType="application/json", ChecksumAlgorithm="SHA256")
    refused("PreconditionFailed", s3.put_object, **lock, Body=b'{"ID":"you"}', IfNoneMatch="*", ContentType="application/json")
    assert s3.get_object(**lock)["Body"].read() == b'{"ID":"me"}'
    s3.put_object(Bucket=bucket, Key=key, Body=b'{"serial":%d}' % serial, ContentType="application/json", ChecksumAlgorithm="SHA256",
                  ServerSideEncryption="AES256")
    s3.delete_object(**lock)
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b'{"serial":%d}' % serial
assert len(s3.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]) >= 3 + 3
"""

NEXTCLOUD = COMMON + """
bucket = "nextcloud"
try:
    s3.head_bucket(Bucket=bucket)
except botocore.exceptions.ClientError as error:
    assert error.response["Error"]["Code"] == "404", error.response
    s3.create_bucket(Bucket=bucket)
small, large = b"a note", random.Random(1).randbytes(12 << 20)
s3.put_object(Bucket=bucket, Key="urn:oid:1", Body=small, ContentType="text/plain", Metadata={"original-name": "note.txt", "size": "6"}, ACL="private")
s3.upload_fileobj(io.BytesIO(large), bucket, "urn:oid:2", ExtraArgs={"ContentType": "video/mp4"})
# The chunked upload of the sync client: parts in any order, listed, completed.
upload = s3.create_multipart_upload(Bucket=bucket, Key="urn:oid:3", ContentType="application/octet-stream")["UploadId"]
whole = {1: random.Random(2).randbytes(5 << 20), 2: random.Random(3).randbytes(5 << 20), 3: b"the end"}
for number in (2, 3, 1):
    s3.upload_part(Bucket=bucket, Key="urn:oid:3", UploadId=upload, PartNumber=number, Body=whole[number], ContentLength=len(whole[number]))
parts = s3.list_parts(Bucket=bucket, Key="urn:oid:3", UploadId=upload, MaxParts=1000)["Parts"]
assert [p["PartNumber"] for p in parts] == [1, 2, 3] and [p["Size"] for p in parts] == [len(whole[n]) for n in (1, 2, 3)], parts
s3.complete_multipart_upload(Bucket=bucket, Key="urn:oid:3", UploadId=upload,
                             MultipartUpload={"Parts": [{"PartNumber": p["PartNumber"], "ETag": p["ETag"]} for p in parts]})
gone = s3.create_multipart_upload(Bucket=bucket, Key="urn:oid:4")["UploadId"]
s3.upload_part(Bucket=bucket, Key="urn:oid:4", UploadId=gone, PartNumber=1, Body=b"half")
s3.abort_multipart_upload(Bucket=bucket, Key="urn:oid:4", UploadId=gone)
refused("NoSuchUpload", s3.list_parts, Bucket=bucket, Key="urn:oid:4", UploadId=gone)
# Reads go by presigned URL, seeking by Range.
link = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "urn:oid:3"}, ExpiresIn=86400)
body = b"".join(whole[n] for n in (1, 2, 3))
assert urllib.request.urlopen(link).read() == body
ranged = urllib.request.urlopen(urllib.request.Request(link, headers={"Range": "bytes=5242870-5242890"}))
assert ranged.status == 206 and ranged.read() == body[5242870:5242891]
s3.copy_object(Bucket=bucket, Key="urn:oid:5", CopySource={"Bucket": bucket, "Key": "urn:oid:3"}, MetadataDirective="COPY")
s3.copy({"Bucket": bucket, "Key": "urn:oid:2"}, bucket, "urn:oid:6")
assert s3.get_object(Bucket=bucket, Key="urn:oid:5")["Body"].read() == body
assert s3.get_object(Bucket=bucket, Key="urn:oid:6")["Body"].read() == large
assert s3.head_object(Bucket=bucket, Key="urn:oid:1")["Metadata"]["original-name"] == "note.txt"
for number in range(1, 7):
    s3.delete_object(Bucket=bucket, Key=f"urn:oid:{number}")
refused("404", s3.head_object, Bucket=bucket, Key="urn:oid:1")
assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
"""
