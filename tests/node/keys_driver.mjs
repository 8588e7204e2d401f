// Answers one call a line: { operation, key, data (base64) } in, { result } or { error } out, until the input ends.
import { createInterface } from 'node:readline';
import { given } from './driver.mjs';

export { given };

export async function serve(calls) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { operation, key, data } = JSON.parse(line);
    let told;
    try {
      const result = await calls[operation](key, Buffer.from(data, 'base64'));
      told = { result: result instanceof Uint8Array ? Buffer.from(result).toString('base64') : result ?? null };
    } catch (error) {
      told = { error: `${error.code ?? error.name}: ${error.message}` };
    }
    console.log(`told ${JSON.stringify(told)}`);
  }
  process.exit(0);
}
