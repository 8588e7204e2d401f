import { createReadStream } from 'node:fs';
import { S3Client } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { given, tellOutcome } from './resume_driver.mjs';

const client = new S3Client({
  endpoint: `http://127.0.0.1:${given.port}`,
  region: 'us-east-1',
  credentials: { accessKeyId: given.keyId, secretAccessKey: given.secret },
});
const params = { Bucket: given.bucket, Key: given.key, Body: createReadStream(given.file) };

await tellOutcome(() => new Upload({ client, params }).done());
