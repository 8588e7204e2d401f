import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { Client, CopySourceOptions, CopyDestinationOptions, S3Error } from 'minio';
import { given } from './driver.mjs';
import { serve } from './matrix.mjs';

const client = (secretKey) => new Client({
  endPoint: '127.0.0.1', port: given.port, useSSL: false, accessKey: given.keyId, secretKey, partSize: 5 * 1024 * 1024,
});
const minio = client(given.secret);
const impostor = client(given.wrongSecret);
const { bucket } = given;
const keys = async (rows) => (await rows.toArray()).map((row) => row.name);

await serve({
  buckets: async () => (await minio.listBuckets()).map((row) => row.name),
  make_bucket: async (name) => { await minio.makeBucket(name); },
  remove_bucket: async (name) => { await minio.removeBucket(name); },
  bucket_exists: (name) => minio.bucketExists(name || bucket),
  put: async (key, data) => { await minio.putObject(bucket, key, data, data.length); },
  put_meta: async (key, data, type, colour) => {
    await minio.putObject(bucket, key, data, data.length, { 'Content-Type': type, colour });
  },
  put_stream: async (key, data) => { await minio.putObject(bucket, key, Readable.from([data])); },
  upload: async (key, data) => { await minio.putObject(bucket, key, Readable.from([data]), data.length); },
  get: async (key) => buffer(await minio.getObject(bucket, key)),
  get_range: async (key, first, last) => buffer(await minio.getPartialObject(bucket, key, first, last - first + 1)),
  get_wrongly: async (key) => buffer(await impostor.getObject(bucket, key)),
  head: async (key) => {
    const found = await minio.statObject(bucket, key);
    return [found.size, found.etag, found.metaData['content-type'], found.metaData.colour];
  },
  copy: async (source, key) => {
    await minio.copyObject(
      new CopySourceOptions({ Bucket: bucket, Object: source }),
      new CopyDestinationOptions({ Bucket: bucket, Object: key }),
    );
  },
  list: (prefix) => keys(minio.listObjects(bucket, prefix, true)),
  list_v2: async (prefix) => {
    const rows = await minio.listObjectsV2(bucket, prefix, false).toArray();
    return [rows.filter((row) => row.name).map((row) => row.name), rows.filter((row) => row.prefix).map((row) => row.prefix)];
  },
  delete: async (key) => { await minio.removeObject(bucket, key); },
  delete_all: async (all) => { await minio.removeObjects(bucket, all); },
  uploads: async (prefix) => (
    (await minio.listIncompleteUploads(bucket, prefix, true).toArray()).map((row) => [row.key, row.uploadId])
  ),
  abort: async (key) => { await minio.removeIncompleteUpload(bucket, key); },
  tag: async (key, tags) => { await minio.setObjectTagging(bucket, key, tags); },
  tags: async (key) => Object.fromEntries((await minio.getObjectTagging(bucket, key)).map((row) => [row.Key, row.Value])),
  url_get: (key) => minio.presignedGetObject(bucket, key, 600),
  url_put: (key) => minio.presignedPutObject(bucket, key, 600),
}, (error) => (error instanceof S3Error ? error.code : undefined));
