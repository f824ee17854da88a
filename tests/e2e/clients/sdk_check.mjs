// The AWS SDK for JavaScript v3 with default settings against ENDPOINT. Arguments: endpoint, bucket, keys as JSON.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import {
  CompleteMultipartUploadCommand, CopyObjectCommand, CreateBucketCommand, CreateMultipartUploadCommand, DeleteBucketCommand,
  DeleteObjectCommand, DeleteObjectsCommand, GetObjectCommand, HeadObjectCommand, ListObjectVersionsCommand, ListObjectsV2Command,
  ListPartsCommand, PutBucketVersioningCommand, PutObjectCommand, S3Client, UploadPartCommand,
} from "@aws-sdk/client-s3";

const [endpoint, Bucket, keysJson] = process.argv.slice(2);
const keys = JSON.parse(keysJson);
const s3 = new S3Client({ endpoint, forcePathStyle: true });
const send = (Command, input) => s3.send(new Command({ Bucket, ...input }));
const read = async (Key, more = {}) => Buffer.from(await (await send(GetObjectCommand, { Key, ...more })).Body.transformToByteArray());
const refused = (code, promise) => assert.rejects(promise, (error) => error.name === code);

await send(CreateBucketCommand, {});
for (const size of [0, 1, 65535, 65536, 65537, 5 << 20]) {
  const body = randomBytes(size);
  await send(PutObjectCommand, { Key: `size/${size}`, Body: body });
  assert.ok((await read(`size/${size}`)).equals(body), `body of ${size}`);
  // A stream of known length travels as aws-chunked with a trailer.
  await send(PutObjectCommand, { Key: `stream/${size}`, Body: Readable.from(size ? [body] : []), ContentLength: size });
  assert.ok((await read(`stream/${size}`)).equals(body), `streamed body of ${size}`);
  if (size > 70000) assert.ok((await read(`size/${size}`, { Range: "bytes=65530-70000" })).equals(body.subarray(65530, 70001)));
  const told = await send(HeadObjectCommand, { Key: `size/${size}` });
  assert.equal(told.ContentLength, size);
  assert.equal(told.ETag, `"${createHash("md5").update(body).digest("hex")}"`);
}
for (const ChecksumAlgorithm of ["CRC32", "CRC32C", "CRC64NVME", "SHA256"]) {
  try {
    await send(PutObjectCommand, { Key: `sum/${ChecksumAlgorithm}`, Body: "checked", ChecksumAlgorithm });
  } catch (error) {
    // Some algorithms need a native package that is not installed; that is the client's own refusal, not the server's.
    assert.equal(error.$metadata?.httpStatusCode, undefined, `${ChecksumAlgorithm}: ${error}`);
  }
}
const named = (key) => (key.length < 1024 ? "k/" + key : key);
for (const [n, key] of keys.entries()) await send(PutObjectCommand, { Key: named(key), Body: `${n}`, Metadata: { n: `${n}` } });
for (const [n, key] of keys.entries()) assert.equal((await read(named(key))).toString(), `${n}`, key);

await send(CopyObjectCommand, { Key: "copy", CopySource: `${Bucket}/size/65537` });
assert.equal((await read("copy")).length, 65537);
await refused("NoSuchKey", read("nothing"));

const whole = [randomBytes(5 << 20), randomBytes(5 << 20), randomBytes(1000)];
const { UploadId } = await send(CreateMultipartUploadCommand, { Key: "parts", ContentType: "text/parts" });
const tags = await Promise.all(whole.map((Body, n) => send(UploadPartCommand, { Key: "parts", UploadId, PartNumber: n + 1, Body })));
assert.deepEqual((await send(ListPartsCommand, { Key: "parts", UploadId })).Parts.map((p) => p.Size), whole.map((b) => b.length));
const Parts = tags.map((tag, n) => ({ PartNumber: n + 1, ETag: tag.ETag, ChecksumCRC32: tag.ChecksumCRC32 }));
await send(CompleteMultipartUploadCommand, { Key: "parts", UploadId, MultipartUpload: { Parts } });
assert.ok((await read("parts")).equals(Buffer.concat(whole)), "parts");

await send(PutBucketVersioningCommand, { VersioningConfiguration: { Status: "Enabled" } });
for (const n of [1, 2]) await send(PutObjectCommand, { Key: "version", Body: `${n}` });
const { DeleteMarker } = await send(DeleteObjectCommand, { Key: "version" });
assert.equal(DeleteMarker, true);
await refused("NoSuchKey", read("version"));
const { Versions } = await send(ListObjectVersionsCommand, { Prefix: "version" });
assert.deepEqual(await Promise.all(Versions.map(async (v) => (await read("version", { VersionId: v.VersionId })).toString())), ["2", "1"]);

for (;;) {
  const page = await send(ListObjectVersionsCommand, { MaxKeys: 7 });
  const all = [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])];
  if (!all.length) break;
  await send(DeleteObjectsCommand, { Delete: { Objects: all.map(({ Key, VersionId }) => ({ Key, VersionId })) } });
}
await send(DeleteBucketCommand, {});
console.log("the SDK for JavaScript agrees");
