import COS from 'cos-nodejs-sdk-v5';
import { data, fetched, given, tell } from './driver.mjs';

const client = (SecretKey) => new COS({
  SecretId: given.keyId, SecretKey, Protocol: 'http:', Domain: `{Bucket}.cos.localhost:${given.port}`,
});
const cos = client(given.secret);
const at = { Bucket: given.cosBucket, Region: 'ap-beijing', Key: given.key };
const score = { ...at, Method: 'GET', Query: { 'ci-process': 'AssessQuality' } };

await tell({
  put: async () => { await cos.putObject({ ...at, Body: data }); },
  get: async () => (await cos.getObject(at)).Body,
  length: async () => Number((await cos.headObject(at)).headers['content-length']),
  url: async () => fetched(cos.getObjectUrl({ ...at, Sign: true, Expires: 600 })),
  score: async () => Number((await cos.request(score)).Response.ClarityScore) / 100,
  refused: () => client('wrong').getObject(at),
  delete: async () => { await cos.deleteObject(at); },
});
