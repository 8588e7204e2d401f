// What every driver shares: its arguments, and names below localhost.
import dns from 'node:dns';

// { port, bucket, cosBucket, keyId, secret ... }
export const given = JSON.parse(process.argv[2]);

// The system's resolver does not know *.localhost; curl and browsers do.
const lookup = dns.lookup;
dns.lookup = (host, options, callback) => {
  const done = callback ?? options;
  if (!host.endsWith('.localhost')) return lookup(host, options, callback);
  return options?.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4);
};
