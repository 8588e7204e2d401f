import OSS from 'ali-oss';
import { data, fetched, given, tell } from './driver.mjs';

const V4 = process.argv[3] === 'V4';
const client = (accessKeySecret) => new OSS({
  endpoint: `http://oss.localhost:${given.port}`,
  region: 'oss-cn-hangzhou',
  bucket: given.bucket,
  accessKeyId: given.keyId,
  accessKeySecret,
  authorizationV4: V4,
});
const oss = client(given.secret);
const url = () => (
  V4 ? oss.signatureUrlV4('GET', 600, undefined, given.key) : oss.signatureUrl(given.key, { expires: 600 })
);
const score = async () => JSON.parse((await oss.get(given.key, { process: 'image/score' })).content).ImageScore;

await tell({
  put: async () => { await oss.put(given.key, data); },
  get: async () => (await oss.get(given.key)).content,
  length: async () => Number((await oss.head(given.key)).res.headers['content-length']),
  url: async () => fetched(await url()),
  score: async () => (await score()).OverallQualityScore,
  refused: () => client('wrong').get(given.key),
  delete: async () => { await oss.delete(given.key); },
});
