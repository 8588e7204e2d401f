import COS from 'cos-nodejs-sdk-v5';
import { given, serve } from './keys_driver.mjs';

const cos = new COS({
  SecretId: given.keyId, SecretKey: given.secret, Protocol: 'http:', Domain: `{Bucket}.cos.localhost:${given.port}`,
});
const at = { Bucket: given.cosBucket, Region: 'ap-beijing' };

await serve({
  put: async (Key, Body) => { await cos.putObject({ ...at, Key, Body }); },
  get: async (Key) => (await cos.getObject({ ...at, Key })).Body,
  length: async (Key) => Number((await cos.headObject({ ...at, Key })).headers['content-length']),
  delete: async (Key) => { await cos.deleteObject({ ...at, Key }); },
  listed: async () => (await cos.getBucket({ ...at, MaxKeys: 1000 })).Contents.map((row) => row.Key),
});
