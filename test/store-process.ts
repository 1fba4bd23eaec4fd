/**
 * Uses a store in a process of its own: `node store-process.ts FOLDER KEY`. 16 callers reserve a token each time and
 * use a nonce, and each success is a line `nonce NAME` or `reserved`; what is refused is `refused CODE`. After three
 * refusals it waits for the end of standard input, makes 20 more rounds, and ends.
 */
import { once } from 'node:events'
import { VeritError } from '../src/lib/errors.ts'
import { openStore } from '../src/store/open-store.ts'

const [folder, keyId] = process.argv.slice(2) as [string, string]
const store = await openStore({ stateFolder: folder })
const PADDING = 'x'.repeat(200) // so that a small disk is full soon
let refused = 0
let number = 0

async function round(): Promise<void> {
  const nonce = `${process.pid}-${number++}-${PADDING}`
  try {
    if (await store.replay.use(`${keyId}.1`, nonce, Date.now() + 3_600_000)) process.stdout.write(`nonce ${nonce}\n`)
    const answer = await store.budgets.reserve(keyId, 1, {}, new Date())
    if (answer.ok) process.stdout.write('reserved\n')
  } catch (e) {
    refused++
    process.stdout.write(`refused ${VeritError.is(e) ? e.code : String(e)}\n`)
  }
}

await Promise.all(
  Array.from({ length: 16 }, async () => {
    while (refused < 3) await round()
  })
)
process.stdin.resume()
await once(process.stdin, 'end')
for (let i = 0; i < 20; i++) await round()
await store.close()
