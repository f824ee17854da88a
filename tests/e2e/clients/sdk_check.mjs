// The AWS SDK for JavaScript v3 with default settings against ENDPOINT. Arguments: endpoint, bucket, keys as JSON.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import {
  CopyObjectCommand, CreateBucketCommand, DeleteBucketCommand, DeleteObjectsCommand, GetObjectCommand, HeadObjectCommand,
  ListObjectsV2Command, PutObjectCommand, S3Client,
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

for (;;) {
  const page = await send(ListObjectsV2Command, { MaxKeys: 7 });
  if (!page.Contents?.length) break;
  await send(DeleteObjectsCommand, { Delete: { Objects: page.Contents.map(({ Key }) => ({ Key })) } });
}
await send(DeleteBucketCommand, {});
console.log("the SDK for JavaScript agrees");
