import COS from 'cos-nodejs-sdk-v5';
import { given, tellOutcome } from './resume_driver.mjs';

const cos = new COS({
  SecretId: given.keyId,
  SecretKey: given.secret,
  Protocol: 'http:',
  Domain: `{Bucket}.cos.localhost:${given.port}`,
  ConfCwd: given.memory, // where it remembers its uploads
});
const wanted = { Bucket: given.cosBucket, Region: 'ap-beijing', Key: given.key, FilePath: given.file };

await tellOutcome(() => cos.sliceUploadFile(wanted));
