import {
  DeleteObjectCommand, GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client,
} from '@aws-sdk/client-s3';
import { given, serve } from './keys_driver.mjs';

const s3 = new S3Client({
  endpoint: `http://127.0.0.1:${given.port}`,
  region: 'us-east-1',
  forcePathStyle: true,
  credentials: { accessKeyId: given.keyId, secretAccessKey: given.secret },
  maxAttempts: 1,
});
const Bucket = given.bucket;

await serve({
  put: async (Key, Body) => { await s3.send(new PutObjectCommand({ Bucket, Key, Body })); },
  get: async (Key) => (await s3.send(new GetObjectCommand({ Bucket, Key }))).Body.transformToByteArray(),
  length: async (Key) => (await s3.send(new HeadObjectCommand({ Bucket, Key }))).ContentLength,
  delete: async (Key) => { await s3.send(new DeleteObjectCommand({ Bucket, Key })); },
  listed: async () => (await s3.send(new ListObjectsV2Command({ Bucket }))).Contents.map((row) => row.Key),
});
