// Sightengine's SDK has no endpoint option: its https requests are sent to the gateway. Cloudinary's takes a prefix.
import { createRequire } from "node:module";
import fs from "node:fs";
import http from "node:http";
import https from "node:https";
import os from "node:os";
import path from "node:path";

const given = JSON.parse(process.argv[2]);
const gateway = new URL(given.url);
const throughHttp = http.request;
const require = createRequire(import.meta.url);

https.request = (options, ...rest) => {
  const { agent, ...kept } = options;
  return throughHttp({ ...kept, protocol: "http:", hostname: gateway.hostname, host: gateway.hostname, port: gateway.port }, ...rest);
};
const sightengine = require("sightengine");
const picture = Buffer.from(given.data, "base64");
const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "sightengine-")), "a.jpg");
fs.writeFileSync(file, picture);

const results = {};
const client = sightengine(given.keyId, given.secret);
results.set_url = await client.check(["quality"]).set_url(given.picture);
results.set_file = await client.check(["quality"]).set_file(file);
results.set_bytes = await client.check(["quality"]).set_bytes(picture, "b.jpg");
results.wrong = await sightengine(given.keyId, "wrong").check(["quality"]).set_url(given.picture);
fs.rmSync(path.dirname(file), { recursive: true });

const { v2: cloudinary } = require("cloudinary");
cloudinary.config({ cloud_name: "demo", api_key: given.keyId, api_secret: given.secret, upload_prefix: given.url });
results.analyze = await cloudinary.analysis.analyze_uri(given.picture, "image_quality");
results.forbidden = await cloudinary.analysis.analyze_uri(given.picture, "captioning").then(
  () => 0,
  (error) => (error.error ?? error).http_code,
);
process.stdout.write(JSON.stringify(results));
