import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import OSS from 'ali-oss';
import { given } from './driver.mjs';
import { serve } from './matrix.mjs';

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
const impostor = client(given.wrongSecret);
const signed = (method, key) => (
  V4 ? oss.signatureUrlV4(method, 600, undefined, key) : oss.signatureUrl(key, { expires: 600, method })
);
const inFile = async (data, call) => {
  const folder = mkdtempSync(join(tmpdir(), 'matrix-'));
  try {
    writeFileSync(join(folder, 'file'), data);
    return await call(join(folder, 'file'));
  } finally {
    rmSync(folder, { recursive: true });
  }
};
// All pages: `marker` is what one page says about the next.
const pages = async (list, marker, query) => {
  const found = [];
  for (let next = {}; ;) {
    const page = await list({ ...query, 'max-keys': 2, ...next });
    found.push(page);
    if (!page.isTruncated) return found;
    next = marker(page);
  }
};

await serve({
  buckets: async () => (await oss.listBuckets()).buckets.map((row) => row.name),
  make_bucket: async (name) => { await oss.putBucket(name); },
  remove_bucket: async (name) => { await oss.deleteBucket(name); },
  bucket_exists: (name) => oss.getBucketInfo(name || given.bucket).then(() => true, (error) => {
    if (error.code === 'NoSuchBucket') return false;
    throw error;
  }),
  location: async () => (await oss.getBucketLocation(given.bucket)).location,
  bucket_acl: async () => (await oss.getBucketACL(given.bucket)).acl,
  put: async (key, data) => { await oss.put(key, data); },
  put_meta: async (key, data, mime, colour) => { await oss.put(key, data, { mime, meta: { colour } }); },
  put_stream: async (key, data) => { await oss.putStream(key, Readable.from([data.subarray(0, 65_536), data.subarray(65_536)])); },
  put_once: async (key, data) => { await oss.put(key, data, { headers: { 'x-oss-forbid-overwrite': 'true' } }); },
  upload: (key, data) => inFile(data, async (path) => { await oss.multipartUpload(key, path); }),
  get: async (key) => (await oss.get(key)).content,
  get_range: async (key, first, last) => (await oss.get(key, { headers: { Range: `bytes=${first}-${last}` } })).content,
  get_changed: async (key, etag) => (await oss.get(key, { headers: { 'If-None-Match': etag } })).content,
  get_wrongly: (key) => impostor.get(key),
  head: async (key) => {
    const { meta, res } = await oss.head(key);
    return [Number(res.headers['content-length']), res.headers.etag, res.headers['content-type'], meta.colour];
  },
  copy: async (source, key) => { await oss.copy(key, source); },
  list: async (prefix) => {
    const found = await pages((query) => oss.list(query), (page) => ({ marker: page.nextMarker }), { prefix });
    return found.flatMap((page) => page.objects ?? []).map((row) => row.name);
  },
  list_v2: async (prefix) => {
    const next = (page) => ({ 'continuation-token': page.nextContinuationToken });
    const found = await pages((query) => oss.listV2(query), next, { prefix, delimiter: '/' });
    return [
      found.flatMap((page) => page.objects ?? []).map((row) => row.name), found.flatMap((page) => page.prefixes ?? []),
    ];
  },
  delete: async (key) => { await oss.delete(key); },
  delete_all: async (keys) => { await oss.deleteMulti(keys); },
  begin: async (key) => (await oss.initMultipartUpload(key)).uploadId,
  part: (key, upload, number, data) => inFile(data, async (path) => (
    (await oss.uploadPart(key, upload, number, path, 0, data.length)).etag
  )),
  copy_part: async (key, upload, number, source) => {
    await oss.uploadPartCopy(key, upload, number, '', { sourceKey: source, sourceBucketName: given.bucket });
  },
  complete: async (key, upload, parts) => {
    await oss.completeMultipartUpload(key, upload, parts.map(([number, etag]) => ({ number, etag })));
  },
  parts: async (key, upload) => {
    const { parts } = await oss.listParts(key, upload);
    return [parts].flat().map((row) => [Number(row.PartNumber), row.ETag, Number(row.Size)]);
  },
  uploads: async (prefix) => (
    (await oss.listUploads({ prefix, 'max-uploads': 2 })).uploads.map((row) => [row.name, row.uploadId])
  ),
  abort: async (key, upload) => { await oss.abortMultipartUpload(key, upload); },
  acl: async (key) => (await oss.getACL(key)).acl,
  tag: async (key, tags) => { await oss.putObjectTagging(key, tags); },
  tags: async (key) => (await oss.getObjectTagging(key)).tag,
  url_get: (key) => signed('GET', key),
  url_put: (key) => signed('PUT', key),
  score: async (key) => (
    JSON.parse((await oss.get(key, { process: 'image/score' })).content).ImageScore.OverallQualityScore
  ),
}, (error) => (error.status === undefined ? undefined : error.code ?? error.status));
