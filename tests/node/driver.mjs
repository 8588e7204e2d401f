// What every driver shares: the arguments, names below localhost, and one line of JSON with all results.
import dns from 'node:dns';

// { port, bucket, cosBucket, keyId, secret, key, data (base64) }
export const given = JSON.parse(process.argv[2]);
export const data = Buffer.from(given.data, 'base64');

// The system's resolver does not know *.localhost; curl and browsers do.
const lookup = dns.lookup;
dns.lookup = (host, options, callback) => {
  const done = callback ?? options;
  if (!host.endsWith('.localhost')) return lookup(host, options, callback);
  return options?.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4);
};

const base64 = (bytes) => Buffer.from(bytes).toString('base64');

export async function fetched(url) {
  const answer = await fetch(url);
  if (answer.status !== 200) throw new Error(`${answer.status} ${await answer.text()}`);
  return new Uint8Array(await answer.arrayBuffer());
}

// Runs the calls in turn and prints their results by name; bytes as base64. The first failure ends the program.
// A call named `refused` must fail, and the code of its error is its result.
export async function tell(calls) {
  const results = {};
  for (const [name, call] of Object.entries(calls)) {
    if (name === 'refused') {
      results[name] = await call().then(() => 'accepted', (error) => error.code ?? error.name);
    } else {
      const result = await call();
      results[name] = result instanceof Uint8Array ? base64(result) : result;
    }
  }
  console.log(JSON.stringify(results));
}
