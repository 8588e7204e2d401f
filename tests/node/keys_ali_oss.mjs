import OSS from 'ali-oss';
import { given, serve } from './keys_driver.mjs';

const oss = new OSS({
  endpoint: `http://oss.localhost:${given.port}`,
  region: 'oss-cn-hangzhou',
  bucket: given.bucket,
  accessKeyId: given.keyId,
  accessKeySecret: given.secret,
  authorizationV4: given.version === 'V4',
});

await serve({
  put: async (key, data) => { await oss.put(key, data); },
  get: async (key) => (await oss.get(key)).content,
  length: async (key) => Number((await oss.head(key)).res.headers['content-length']),
  delete: async (key) => { await oss.delete(key); },
  listed: async () => (await oss.listV2({ 'max-keys': 1000 })).objects.map((row) => row.name),
});
