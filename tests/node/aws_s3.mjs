import { Readable } from 'node:stream';
import {
  DeleteObjectCommand, GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { data, fetched, given, tell } from './driver.mjs';

const client = (secretAccessKey) => new S3Client({
  endpoint: `http://127.0.0.1:${given.port}`,
  region: 'us-east-1',
  credentials: { accessKeyId: given.keyId, secretAccessKey },
  maxAttempts: 1,
});
const s3 = client(given.secret);
const at = { Bucket: given.bucket, Key: given.key };

await tell({
  put: async () => { await s3.send(new PutObjectCommand({ ...at, Body: data })); },
  get: async () => (await s3.send(new GetObjectCommand(at))).Body.transformToByteArray(),
  // A stream is sent as aws-chunked with a checksum in its trailer, even over http.
  putStream: async () => {
    const Body = Readable.from([data.subarray(0, 1000), data.subarray(1000)]);
    await s3.send(new PutObjectCommand({ ...at, Body, ContentLength: data.length }));
  },
  getAgain: async () => (await s3.send(new GetObjectCommand(at))).Body.transformToByteArray(),
  length: async () => (await s3.send(new HeadObjectCommand(at))).ContentLength,
  keys: async () => (await s3.send(new ListObjectsV2Command({ Bucket: given.bucket }))).Contents.map((row) => row.Key),
  url: async () => fetched(await getSignedUrl(s3, new GetObjectCommand(at), { expiresIn: 600 })),
  refused: () => client('wrong').send(new GetObjectCommand(at)),
  delete: async () => { await s3.send(new DeleteObjectCommand(at)); },
});
