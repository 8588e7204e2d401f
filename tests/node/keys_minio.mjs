import { buffer } from 'node:stream/consumers';
import { Client } from 'minio';
import { given, serve } from './keys_driver.mjs';

const minio = new Client({
  endPoint: '127.0.0.1', port: given.port, useSSL: false, accessKey: given.keyId, secretKey: given.secret,
});
const { bucket } = given;

await serve({
  put: async (key, data) => { await minio.putObject(bucket, key, data, data.length); },
  get: async (key) => buffer(await minio.getObject(bucket, key)),
  length: async (key) => (await minio.statObject(bucket, key)).size,
  delete: async (key) => { await minio.removeObject(bucket, key); },
  listed: async () => (await minio.listObjectsV2(bucket, '', true).toArray()).map((row) => row.name),
});
