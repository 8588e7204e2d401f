import { Readable } from 'node:stream';
import * as sdk from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { given } from './driver.mjs';
import { serve } from './matrix.mjs';

const client = (secretAccessKey) => new sdk.S3Client({
  endpoint: `http://127.0.0.1:${given.port}`,
  region: 'us-east-1',
  credentials: { accessKeyId: given.keyId, secretAccessKey },
  maxAttempts: 1,
});
const s3 = client(given.secret);
const impostor = client(given.wrongSecret);
const Bucket = given.bucket;
const send = (name, input, by = s3) => by.send(new sdk[`${name}Command`]({ Bucket, ...input }));
const bytes = async (answer) => (await answer).Body.transformToByteArray();
const signed = (name, Key) => getSignedUrl(s3, new sdk[`${name}Command`]({ Bucket, Key }), { expiresIn: 600 });
const permissions = async (answer) => (await answer).Grants.map((row) => row.Permission);
const pages = async (paginate, Prefix, more = {}) => {
  const found = [];
  for await (const page of paginate({ client: s3, pageSize: 2 }, { Bucket, Prefix, ...more })) found.push(page);
  return found;
};

await serve({
  buckets: async () => (await s3.send(new sdk.ListBucketsCommand({}))).Buckets.map((row) => row.Name),
  make_bucket: async (name) => { await send('CreateBucket', { Bucket: name }); },
  remove_bucket: async (name) => { await send('DeleteBucket', { Bucket: name }); },
  bucket_exists: (name) => send('HeadBucket', { Bucket: name || Bucket }).then(() => true, (error) => {
    if (error.name === 'NotFound') return false;
    throw error;
  }),
  location: async () => (await send('GetBucketLocation')).LocationConstraint ?? null,
  bucket_acl: () => permissions(send('GetBucketAcl')),
  put: async (Key, Body) => { await send('PutObject', { Key, Body }); },
  put_meta: async (Key, Body, ContentType, colour) => {
    await send('PutObject', { Key, Body, ContentType, Metadata: { colour } });
  },
  // A stream is sent as aws-chunked with a checksum in its trailer, even over http.
  put_stream: async (Key, data) => {
    const Body = Readable.from([data.subarray(0, 65_536), data.subarray(65_536)]);
    await send('PutObject', { Key, Body, ContentLength: data.length });
  },
  put_once: async (Key, Body) => { await send('PutObject', { Key, Body, IfNoneMatch: '*' }); },
  get: (Key) => bytes(send('GetObject', { Key })),
  get_range: (Key, first, last) => bytes(send('GetObject', { Key, Range: `bytes=${first}-${last}` })),
  get_changed: (Key, IfNoneMatch) => bytes(send('GetObject', { Key, IfNoneMatch })),
  get_wrongly: (Key) => send('GetObject', { Key }, impostor),
  head: async (Key) => {
    const found = await send('HeadObject', { Key });
    return [found.ContentLength, found.ETag, found.ContentType, found.Metadata.colour];
  },
  copy: async (source, Key) => { await send('CopyObject', { Key, CopySource: `${Bucket}/${source}` }); },
  list: async (Prefix) => {
    const keys = [];
    for (let Marker; ;) {
      const page = await send('ListObjects', { Prefix, MaxKeys: 2, Marker });
      keys.push(...page.Contents.map((row) => row.Key));
      if (!page.IsTruncated) return keys;
      Marker = page.NextMarker ?? keys.at(-1);
    }
  },
  list_v2: async (Prefix) => {
    const found = await pages(sdk.paginateListObjectsV2, Prefix, { Delimiter: '/' });
    return [
      found.flatMap((page) => page.Contents ?? []).map((row) => row.Key),
      found.flatMap((page) => page.CommonPrefixes ?? []).map((row) => row.Prefix),
    ];
  },
  delete: async (Key) => { await send('DeleteObject', { Key }); },
  delete_all: async (keys) => { await send('DeleteObjects', { Delete: { Objects: keys.map((Key) => ({ Key })) } }); },
  begin: async (Key) => (await send('CreateMultipartUpload', { Key })).UploadId,
  part: async (Key, UploadId, PartNumber, Body) => (await send('UploadPart', { Key, UploadId, PartNumber, Body })).ETag,
  copy_part: async (Key, UploadId, PartNumber, source) => {
    await send('UploadPartCopy', { Key, UploadId, PartNumber, CopySource: `${Bucket}/${source}` });
  },
  complete: async (Key, UploadId, parts) => {
    const Parts = parts.map(([PartNumber, ETag]) => ({ PartNumber, ETag }));
    await send('CompleteMultipartUpload', { Key, UploadId, MultipartUpload: { Parts } });
  },
  parts: async (Key, UploadId) => {
    const found = await send('ListParts', { Key, UploadId });
    return found.Parts.map((row) => [row.PartNumber, row.ETag, row.Size]);
  },
  uploads: async (Prefix) => (
    (await send('ListMultipartUploads', { Prefix })).Uploads.map((row) => [row.Key, row.UploadId])
  ),
  abort: async (Key, UploadId) => { await send('AbortMultipartUpload', { Key, UploadId }); },
  acl: (Key) => permissions(send('GetObjectAcl', { Key })),
  tag: async (Key, tags) => {
    const TagSet = Object.entries(tags).map(([name, Value]) => ({ Key: name, Value }));
    await send('PutObjectTagging', { Key, Tagging: { TagSet } });
  },
  tags: async (Key) => Object.fromEntries(
    ((await send('GetObjectTagging', { Key })).TagSet ?? []).map((row) => [row.Key, row.Value]),
  ),
  url_get: (Key) => signed('GetObject', Key),
  url_put: (Key) => signed('PutObject', Key),
}, (error) => {
  if (!(error instanceof sdk.S3ServiceException)) return undefined;
  return error.name === 'Unknown' ? error.$metadata.httpStatusCode : error.name;
});
