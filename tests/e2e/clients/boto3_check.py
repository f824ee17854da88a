"""Run inside the virtual environment: boto3 with default settings against ENDPOINT. Arguments: endpoint, bucket, keys as JSON, large size."""
import io
import json
import random
import sys

import boto3
import botocore.exceptions

endpoint, bucket, keys, large = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])
s3 = boto3.client("s3", endpoint_url=endpoint)


def same(got, wanted, what):
    if got != wanted:
        raise SystemExit(f"{what}: got {got!r:.300}, wanted {wanted!r:.300}")


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        same(error.response["Error"]["Code"], code, f"{arguments}")
    else:
        raise SystemExit(f"{arguments}: expected {code}, but it succeeded")


s3.create_bucket(Bucket=bucket)
s3.head_bucket(Bucket=bucket)
same(bucket in [b["Name"] for b in s3.list_buckets()["Buckets"]], True, "list_buckets")

for size in (0, 1, 65535, 65536, 65537, 5 << 20, large):
    data = random.Random(size).randbytes(size)
    put = s3.put_object(Bucket=bucket, Key=f"size/{size}", Body=data)
    got = s3.get_object(Bucket=bucket, Key=f"size/{size}")
    same(got["Body"].read() == data, True, f"body of {size}")
    same(got["ETag"], put["ETag"], "etag")
    same(got["ContentLength"], size, "length")
    # A file object takes the streaming path of the client, where the digest travels otherwise.
    s3.put_object(Bucket=bucket, Key=f"stream/{size}", Body=io.BytesIO(data[:1 << 20]))
    same(s3.get_object(Bucket=bucket, Key=f"stream/{size}")["Body"].read() == data[:1 << 20], True, f"streamed body of {size}")

data = random.Random(5 << 20).randbytes(5 << 20)
for first, last in ((0, 0), (1, 70000), (65535, 65536), ((5 << 20) - 1, (5 << 20) + 100)):
    got = s3.get_object(Bucket=bucket, Key=f"size/{5 << 20}", Range=f"bytes={first}-{last}")
    same(got["Body"].read() == data[first:last + 1], True, f"range {first}-{last}")
    same(got["ResponseMetadata"]["HTTPStatusCode"], 206, "range status")
refused("InvalidRange", s3.get_object, Bucket=bucket, Key="size/1", Range="bytes=5-9")

for algorithm in ("CRC32", "SHA1", "SHA256"):
    s3.put_object(Bucket=bucket, Key="sum/" + algorithm, Body=b"checked", ChecksumAlgorithm=algorithm)
    told = s3.head_object(Bucket=bucket, Key="sum/" + algorithm, ChecksumMode="ENABLED")
    same(len(told["Checksum" + algorithm]) > 0, True, algorithm)

for number, key in enumerate(keys):
    s3.put_object(Bucket=bucket, Key="k/" + key if len(key) < 1024 else key, Body=str(number).encode(), Metadata={"n": str(number)})
for number, key in enumerate(keys):
    got = s3.get_object(Bucket=bucket, Key="k/" + key if len(key) < 1024 else key)
    same((got["Body"].read(), got["Metadata"]), (str(number).encode(), {"n": str(number)}), key)

pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="k/", PaginationConfig={"PageSize": 3})
same([o["Key"] for p in pages for o in p.get("Contents", [])], sorted(("k/" + k for k in keys if len(k) < 1024), key=str.encode), "pages")
page = s3.list_objects(Bucket=bucket, Delimiter="/")
same([p["Prefix"] for p in page["CommonPrefixes"]], ["k/", "size/", "stream/", "sum/"], "prefixes of ListObjects")

s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "size/65537"})
same(s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == random.Random(65537).randbytes(65537), True, "copy")
refused("PreconditionFailed", s3.put_object, Bucket=bucket, Key="copy", Body=b"x", IfNoneMatch="*")
refused("NoSuchKey", s3.get_object, Bucket=bucket, Key="nothing")
refused("NoSuchBucket", s3.get_object, Bucket=bucket + "-no", Key="nothing")
refused("BucketNotEmpty", s3.delete_bucket, Bucket=bucket)

while True:
    page = s3.list_objects_v2(Bucket=bucket, MaxKeys=10)
    if not page.get("Contents"):
        break
    done = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": o["Key"]} for o in page["Contents"]]})
    same(len(done["Deleted"]), len(page["Contents"]), "deleted")
s3.delete_bucket(Bucket=bucket)
print("boto3", boto3.__version__, "agrees")
