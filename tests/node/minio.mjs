import { buffer } from 'node:stream/consumers';
import { Client } from 'minio';
import { data, fetched, given, tell } from './driver.mjs';

const client = (secretKey) => new Client({
  endPoint: '127.0.0.1', port: given.port, useSSL: false, accessKey: given.keyId, secretKey,
});
const minio = client(given.secret);
const at = [given.bucket, given.key];

await tell({
  put: async () => { await minio.putObject(...at, data, data.length); },
  get: async () => buffer(await minio.getObject(...at)),
  length: async () => (await minio.statObject(...at)).size,
  keys: async () => (await minio.listObjectsV2(given.bucket, '', true).toArray()).map((row) => row.name),
  url: async () => fetched(await minio.presignedGetObject(...at, 600)),
  refused: () => client('wrong').getObject(...at),
  delete: async () => { await minio.removeObject(...at); },
});
