import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import COS from 'cos-nodejs-sdk-v5';
import { given } from './driver.mjs';
import { serve } from './matrix.mjs';

const host = `cos.localhost:${given.port}`;
const client = (SecretKey) => new COS({
  SecretId: given.keyId, SecretKey, Protocol: 'http:', Domain: `{Bucket}.${host}`, ServiceDomain: host,
});
const cos = client(given.secret);
const impostor = client(given.wrongSecret);
const bucket = { Bucket: given.cosBucket, Region: 'ap-beijing' };
const at = (Key) => ({ ...bucket, Key });
const source = (key) => `${given.cosBucket}.cos.ap-beijing.myqcloud.com/${encodeURIComponent(key)}`;
const signed = (Method, Key) => cos.getObjectUrl({ ...at(Key), Method, Sign: true, Expires: 600 });

await serve({
  buckets: async () => (await cos.getService()).Buckets.map((row) => row.Name),
  make_bucket: async (name) => { await cos.putBucket({ ...bucket, Bucket: name }); },
  remove_bucket: async (name) => { await cos.deleteBucket({ ...bucket, Bucket: name }); },
  bucket_exists: (name) => cos.headBucket({ ...bucket, Bucket: name || given.cosBucket }).then(() => true, (error) => {
    if (error.statusCode === 404) return false;
    throw error;
  }),
  location: async () => (await cos.getBucketLocation(bucket)).LocationConstraint,
  bucket_acl: async () => (await cos.getBucketAcl(bucket)).ACL,
  put: async (key, Body) => { await cos.putObject({ ...at(key), Body }); },
  put_meta: async (key, Body, ContentType, colour) => {
    await cos.putObject({ ...at(key), Body, ContentType, 'x-cos-meta-colour': colour });
  },
  put_once: async (key, Body) => { await cos.putObject({ ...at(key), Body, Headers: { 'x-cos-forbid-overwrite': 'true' } }); },
  upload: async (key, data) => {
    const folder = mkdtempSync(join(tmpdir(), 'matrix-'));
    try {
      writeFileSync(join(folder, 'file'), data);
      await cos.uploadFile({ ...at(key), FilePath: join(folder, 'file'), SliceSize: 1024 * 1024 });
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
  get: async (key) => (await cos.getObject(at(key))).Body,
  get_range: async (key, first, last) => (await cos.getObject({ ...at(key), Range: `bytes=${first}-${last}` })).Body,
  get_changed: async (key, IfNoneMatch) => (await cos.getObject({ ...at(key), IfNoneMatch })).Body ?? Buffer.alloc(0),
  get_wrongly: (key) => impostor.getObject(at(key)),
  head: async (key) => {
    const { headers } = await cos.headObject(at(key));
    return [Number(headers['content-length']), headers.etag, headers['content-type'], headers['x-cos-meta-colour']];
  },
  copy: async (from, key) => { await cos.putObjectCopy({ ...at(key), CopySource: source(from) }); },
  list: async (Prefix) => {
    const keys = [];
    for (let Marker; ;) {
      const page = await cos.getBucket({ ...bucket, Prefix, MaxKeys: 2, Marker });
      keys.push(...page.Contents.map((row) => row.Key));
      if (page.IsTruncated !== 'true') return keys;
      Marker = page.NextMarker;
    }
  },
  delete: async (key) => { await cos.deleteObject(at(key)); },
  delete_all: async (keys) => { await cos.deleteMultipleObject({ ...bucket, Objects: keys.map((Key) => ({ Key })) }); },
  begin: async (key) => (await cos.multipartInit(at(key))).UploadId,
  part: async (key, UploadId, PartNumber, Body) => (await cos.multipartUpload({ ...at(key), UploadId, PartNumber, Body })).ETag,
  copy_part: async (key, UploadId, PartNumber, from) => {
    await cos.uploadPartCopy({ ...at(key), UploadId, PartNumber, CopySource: source(from) });
  },
  complete: async (key, UploadId, parts) => {
    const Parts = parts.map(([PartNumber, ETag]) => ({ PartNumber, ETag }));
    await cos.multipartComplete({ ...at(key), UploadId, Parts });
  },
  parts: async (key, UploadId) => (
    (await cos.multipartListPart({ ...at(key), UploadId })).Part.map((row) => [Number(row.PartNumber), row.ETag, Number(row.Size)])
  ),
  uploads: async (Prefix) => (await cos.multipartList({ ...bucket, Prefix })).Upload.map((row) => [row.Key, row.UploadId]),
  abort: async (key, UploadId) => { await cos.multipartAbort({ ...at(key), UploadId }); },
  acl: async (key) => (await cos.getObjectAcl(at(key))).ACL,
  tag: async (key, tags) => {
    await cos.putObjectTagging({ ...at(key), Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) });
  },
  tags: async (key) => Object.fromEntries((await cos.getObjectTagging(at(key))).Tags.map((row) => [row.Key, row.Value])),
  url_get: (key) => signed('GET', key),
  url_put: (key) => signed('PUT', key),
  score: async (key) => (
    Number((await cos.request({ ...at(key), Method: 'GET', Query: { 'ci-process': 'AssessQuality' } })).Response.ClarityScore) / 100
  ),
}, (error) => (error.statusCode === undefined ? undefined : error.code ?? error.statusCode));
