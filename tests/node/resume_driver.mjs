// Uploads a file once; a cut that ends the upload is told, not thrown: { uploaded: true } or { error: its text }.
import { given } from './driver.mjs';

export { given };

export async function tellOutcome(upload) {
  const told = await upload().then(() => ({ uploaded: true }), (error) => ({ error: String(error.message ?? error) }));
  // The SDKs' timers and idle sockets would keep the program running; what they write late must be written, though.
  setTimeout(() => { console.log(JSON.stringify(told)); process.exit(0); }, 600);
}
