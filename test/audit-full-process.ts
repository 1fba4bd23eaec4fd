/**
 * Writes an audit log until three entries are refused, waits for the end of standard input, then writes twenty more:
 * `node audit-full-process.ts FOLDER`.
 */
import { once } from 'node:events'
import { openAuditLog } from '../src/audit/audit-log.ts'
import { VeritError } from '../src/lib/errors.ts'
import { requestEntry } from './audit-entries.ts'

const log = await openAuditLog(process.argv[2]!)
let refused = 0
async function append(number: number): Promise<void> {
  try {
    process.stdout.write(`entry ${number} ${await log.append(requestEntry(number))}\n`)
  } catch (e) {
    refused++
    process.stdout.write(`refused ${VeritError.is(e) ? e.code : String(e)}\n`)
  }
}
let number = 0
while (refused < 3) await append(number++)
process.stdin.resume()
await once(process.stdin, 'end')
for (let i = 0; i < 20; i++) await append(number++)
await log.close()
