"""Run inside the virtual environment: boto3 with default settings against ENDPOINT. Arguments: endpoint, bucket, keys as JSON, large size."""
import io
import json
import random
import sys
import urllib.request

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

# In parts, as upload_fileobj decides by itself; then by hand: a part that is copied, a list, one part read, attributes.
data = random.Random(large).randbytes(large)
s3.upload_fileobj(io.BytesIO(data), bucket, "parts/auto")
same(s3.get_object(Bucket=bucket, Key="parts/auto")["Body"].read() == data, True, "multipart")
back = io.BytesIO()
s3.download_fileobj(bucket, "parts/auto", back)
same(back.getvalue() == data, True, "ranged download")
by_hand = dict(Bucket=bucket, Key="parts/by hand")
upload = s3.create_multipart_upload(**by_hand, ContentType="text/parts", Metadata={"made": "by hand"}, ChecksumAlgorithm="SHA256")["UploadId"]
first = s3.upload_part(**by_hand, UploadId=upload, PartNumber=1, Body=data[:5 << 20], ChecksumAlgorithm="SHA256")
second = s3.upload_part_copy(**by_hand, UploadId=upload, PartNumber=5, CopySource={"Bucket": bucket, "Key": "parts/auto"},
                             CopySourceRange=f"bytes={5 << 20}-{(5 << 20) + 99}")["CopyPartResult"]
same([(p["PartNumber"], p["Size"]) for p in s3.list_parts(**by_hand, UploadId=upload)["Parts"]], [(1, 5 << 20), (5, 100)], "list_parts")
same([u["Key"] for u in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]], ["parts/by hand"], "list_multipart_uploads")
parts = [{"PartNumber": 1, "ETag": first["ETag"], "ChecksumSHA256": first["ChecksumSHA256"]},
         {"PartNumber": 5, "ETag": second["ETag"], "ChecksumSHA256": second["ChecksumSHA256"]}]
done = s3.complete_multipart_upload(**by_hand, UploadId=upload, MultipartUpload={"Parts": parts})
same(s3.complete_multipart_upload(**by_hand, UploadId=upload, MultipartUpload={"Parts": parts})["ETag"], done["ETag"], "completed again")
got = s3.get_object(**by_hand)
same((got["Body"].read() == data[:(5 << 20) + 100], got["ContentType"], got["Metadata"]), (True, "text/parts", {"made": "by hand"}), "by hand")
same(s3.get_object(**by_hand, PartNumber=5)["Body"].read() == data[5 << 20:(5 << 20) + 100], True, "partNumber")
told = s3.get_object_attributes(**by_hand, ObjectAttributes=["ETag", "ObjectParts", "ObjectSize"])
same((told["ObjectSize"], told["ObjectParts"]["TotalPartsCount"]), ((5 << 20) + 100, 2), "attributes")
gone = s3.create_multipart_upload(**by_hand)["UploadId"]
s3.abort_multipart_upload(**by_hand, UploadId=gone)
refused("NoSuchUpload", s3.upload_part, **by_hand, UploadId=gone, PartNumber=1, Body=b"late")

# Versions, tags, a lock.
locked = bucket + "-lock"
s3.create_bucket(Bucket=locked, ObjectLockEnabledForBucket=True)
ids = [s3.put_object(Bucket=locked, Key="v", Body=str(n).encode())["VersionId"] for n in range(3)]
marker = s3.delete_object(Bucket=locked, Key="v")
same(marker["DeleteMarker"], True, "delete marker")
refused("NoSuchKey", s3.get_object, Bucket=locked, Key="v")
same([s3.get_object(Bucket=locked, Key="v", VersionId=i)["Body"].read() for i in ids], [b"0", b"1", b"2"], "versions")
same([v["VersionId"] for v in s3.list_object_versions(Bucket=locked)["Versions"]], ids[::-1], "order of versions")
s3.put_object_legal_hold(Bucket=locked, Key="v", VersionId=ids[0], LegalHold={"Status": "ON"})
refused("AccessDenied", s3.delete_object, Bucket=locked, Key="v", VersionId=ids[0])
s3.put_object_legal_hold(Bucket=locked, Key="v", VersionId=ids[0], LegalHold={"Status": "OFF"})
s3.put_object_tagging(Bucket=locked, Key="v", VersionId=ids[1], Tagging={"TagSet": [{"Key": "colour", "Value": "blue + green"}]})
same(s3.get_object_tagging(Bucket=locked, Key="v", VersionId=ids[1])["TagSet"], [{"Key": "colour", "Value": "blue + green"}], "tags")
for version in [*ids, marker["VersionId"]]:
    s3.delete_object(Bucket=locked, Key="v", VersionId=version)
s3.delete_bucket(Bucket=locked)

# Links and forms.
link = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "copy"}, ExpiresIn=60)
same(len(urllib.request.urlopen(link).read()), 65537, "presigned GET")
link = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "link"}, ExpiresIn=60)
urllib.request.urlopen(urllib.request.Request(link, data=b"by link", method="PUT"))
same(s3.get_object(Bucket=bucket, Key="link")["Body"].read(), b"by link", "presigned PUT")

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
