import { writeFile } from 'node:fs/promises';
import { given } from './driver.mjs';

const data = Buffer.from(given.data, 'base64');

// Runs the calls in turn and prints their results by name. The first failure ends the program.
async function tell(calls) {
  const results = {};
  for (const [name, call] of Object.entries(calls)) results[name] = await call();
  console.log(JSON.stringify(results));
}

// Whether it speaks http or https, the SDK decides when it is loaded, by what it finds here.
process.env.CLOUDINARY_URL = `cloudinary://${given.keyId}:${given.secret}@${given.cloud}?upload_prefix=${given.prefix}`;
const { v2: cloudinary } = await import('cloudinary');
const configure = (more) => cloudinary.config({
  cloud_name: given.cloud, api_key: given.keyId, api_secret: given.secret, upload_prefix: given.prefix, ...more,
});
configure({});
const { uploader, api, utils, search } = cloudinary;
const path = `${given.folder}/user_photo.jpg`;
await writeFile(path, data);
const id = given.key;
const options = { public_id: id, quality_analysis: true };
const stream = (chunk) => new Promise((resolve, reject) => {
  uploader.upload_stream({ public_id: `${id}-stream` }, (error, result) => (error ? reject(error) : resolve(result)))
    .end(chunk);
});
const large = () => new Promise((resolve, reject) => {
  uploader.upload_large(path, { ...options, resource_type: 'image', chunk_size: 20000 }, (error, result) => {
    if (error) reject(error); else if (result.done !== false) resolve(result);
  });
});
const message = (promise) => promise.then(() => '', (error) => {
  const told = error.error ?? error;
  return `${told.http_code} ${told.message}`;
});

await tell({
  upload: () => uploader.upload(path, { ...options, use_filename: true }),
  verified: async () => {
    const { public_id, version, signature } = await uploader.upload(path, { public_id: `${id}&=c` });
    return utils.verify_api_response_signature(public_id, version, signature);
  },
  sha256: async () => {
    configure({ signature_algorithm: 'sha256' });
    const { public_id, version, signature } = await uploader.upload(path, { public_id: id });
    const verified = utils.verify_api_response_signature(public_id, version, signature);
    configure({ signature_algorithm: 'sha1' });
    return verified;
  },
  notified: () => Object.fromEntries(Object.entries(given.notes).map(([algorithm, { body, timestamp, signature }]) => {
    configure({ signature_algorithm: algorithm });
    const verified = utils.verifyNotificationSignature(body, timestamp, signature);
    configure({ signature_algorithm: 'sha1' });
    return [algorithm, verified];
  })),
  url: () => uploader.upload(given.url, options),
  dataUri: () => uploader.upload(`data:image/jpeg;base64,${data.toString('base64')}`, options),
  stream: () => stream(data),
  large,
  unsigned: () => uploader.unsigned_upload(path, 'preset1', { public_id: `${id}-unsigned` }),
  explicit: () => uploader.explicit(id, { type: 'upload', quality_analysis: true }),
  update: () => api.update(id, { tags: 'new', detection: 'iqa' }),
  resource: () => api.resource(id),
  found: () => search.expression(`public_id="${id}"`).sort_by('quality_score', 'desc').max_results(1).execute(),
  notAnImage: () => message(uploader.upload(`data:image/jpeg;base64,${Buffer.from('no picture').toString('base64')}`)),
  missing: () => message(api.resource('nothing/there')),
  wrongKey: async () => {
    configure({ api_secret: 'wrong' });
    const told = await message(uploader.upload(path));
    configure({});
    return told;
  },
  renamed: () => uploader.rename(id, `${id}-renamed`),
  destroy: () => uploader.destroy(`${id}-renamed`, { invalidate: true }),
});
