/**
 * A process that writes an audit log until it is killed: `node audit-writer-process.ts FOLDER FIRST`. Prints a line for
 * each entry that was acknowledged.
 */
import { openAuditLog } from '../src/audit/audit-log.ts'
import { requestEntry } from './audit-entries.ts'

const [folder, first] = [process.argv[2]!, Number(process.argv[3])]
const log = await openAuditLog(folder, { origin: 'verit.test/crash' })
process.stdout.write(`checkpoint ${JSON.stringify(log.checkpoint())}\n`)
let next = first
async function client(): Promise<void> {
  for (;;) {
    const number = next++
    const index = await log.append(requestEntry(number), { prompt: `prompt ${number}`, answer: 'answer' })
    process.stdout.write(`entry ${number} ${index}\n`)
    if (number % 50 === 0) process.stdout.write(`checkpoint ${JSON.stringify(log.checkpoint())}\n`)
  }
}
await Promise.all(Array.from({ length: 24 }, client))
