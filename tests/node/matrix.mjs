// The other end of tests/matrix/lines.py: one line of JSON each way, bytes as base64.
import './driver.mjs'; // names below localhost
import { createInterface } from 'node:readline';

const packed = (value) => JSON.stringify(value, (_name, part) => (
  part instanceof Uint8Array ? { base64: Buffer.from(part).toString('base64') }
    : part?.type === 'Buffer' ? { base64: Buffer.from(part.data).toString('base64') } : part
));
const unpacked = (line) => JSON.parse(line, (_name, part) => (
  typeof part?.base64 === 'string' ? Buffer.from(part.base64, 'base64') : part
));

// Tells which calls there are, then makes those that standard input asks for until it ends.
// `code` names the error that the client itself raised; undefined is a fault of the driver.
export async function serve(calls, code) {
  console.log(packed(Object.keys(calls)));
  for await (const line of createInterface({ input: process.stdin })) {
    const [name, given] = unpacked(line);
    let answer;
    try {
      answer = { result: await calls[name](...given) };
    } catch (error) {
      const refused = code(error);
      answer = refused === undefined ? { fault: String(error.stack ?? JSON.stringify(error)) } : { refused: String(refused) };
    }
    console.log(packed(answer));
  }
  process.exit(0); // whatever connections a client keeps
}
