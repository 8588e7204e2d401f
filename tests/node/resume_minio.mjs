import { Client } from 'minio';
import { given, tellOutcome } from './resume_driver.mjs';

const minio = new Client({
  endPoint: '127.0.0.1',
  port: given.port,
  useSSL: false,
  accessKey: given.keyId,
  secretKey: given.secret,
  partSize: 5 * 1024 * 1024, // by default 64 MiB, which a file this small does not fill
});

await tellOutcome(() => minio.fPutObject(given.bucket, given.key, given.file));
