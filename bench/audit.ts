/**
 * What the audit log costs: `node bench/audit.ts [FOLDER]` appends request entries with commitments at 1 and 64
 * parallel, with and without sealed texts, and verifies the result. FOLDER (default: the system's temporary folder)
 * should lie on the disk that the server uses.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openAuditLog } from '../src/audit/audit-log.ts'
import type { FolderAuditLog } from '../src/audit/audit-log.ts'
import { newTextsKey } from '../src/audit/sealed-texts.ts'
import { verifyLog } from '../src/audit/verify.ts'
import { requestEntry } from '../test/audit-entries.ts'

const texts = { prompt: 'What is the answer? '.repeat(20), answer: 'The answer follows from the question. '.repeat(40) }
const quantile = (sorted: number[], q: number): string =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]!.toFixed(2)

async function measure(log: FolderAuditLog, label: string, parallel: number, each: number): Promise<void> {
  const times: number[] = []
  const groups = log.groups
  const cpu = process.cpuUsage()
  const start = performance.now()
  await Promise.all(
    Array.from({ length: parallel }, async (_, client) => {
      for (let i = 0; i < each; i++) {
        const begun = performance.now()
        await log.append(requestEntry(client * each + i), texts)
        times.push(performance.now() - begun)
      }
    })
  )
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(cpu)
  times.sort((a, b) => a - b)
  const count = parallel * each
  process.stdout.write(
    `${label}, ${parallel} parallel: ${Math.round(count / seconds)} entries/s, p50 ${quantile(times, 0.5)} ms, ` +
      `p99 ${quantile(times, 0.99)} ms, ` +
      `${(count / (log.groups - groups)).toFixed(1)} entries a group, ` +
      `${((user + system) / 1000 / count).toFixed(2)} ms of CPU each\n`
  )
}

const root = mkdtempSync(join(process.argv[2] ?? tmpdir(), 'verit-audit-bench-'))
try {
  writeFileSync(join(root, 'key.pub'), newTextsKey().publicKey)
  for (const [label, options] of [
    ['entries', {}],
    ['entries and sealed texts', { textsKey: join(root, 'key.pub') }]
  ] as const) {
    const folder = join(root, label.replaceAll(' ', '-'))
    const log = await openAuditLog(folder, options)
    await measure(log, label, 64, 20) // the first run warms up
    await measure(log, label, 1, 400)
    await measure(log, label, 64, 150)
    await log.close()
    const start = performance.now()
    const { size, problems } = await verifyLog(folder)
    process.stdout.write(
      `verify: ${size} entries, ${problems.length} problems, ` +
        `${Math.round((size / (performance.now() - start)) * 1000)} entries/s\n`
    )
  }
} finally {
  rmSync(root, { recursive: true })
}
