import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import OSS from 'ali-oss';
import { given, tellOutcome } from './resume_driver.mjs';

const oss = new OSS({
  endpoint: `http://oss.localhost:${given.port}`,
  region: 'oss-cn-hangzhou',
  bucket: given.bucket,
  accessKeyId: given.keyId,
  accessKeySecret: given.secret,
  authorizationV4: true,
});
const memory = `${given.memory}/checkpoint.json`;
const checkpoint = existsSync(memory) ? JSON.parse(readFileSync(memory)) : undefined;
const progress = (_share, current) => { if (current) writeFileSync(memory, JSON.stringify(current)); };

await tellOutcome(() => oss.multipartUpload(given.key, given.file, { checkpoint, progress }));
