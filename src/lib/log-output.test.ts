import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

const LINES = 4000
/** Logs LINES lines of about 1 KB each time a byte comes, says so, and ends when its input ends. */
const script = `import { createLog } from ${JSON.stringify(new URL('log.ts', import.meta.url).href)}
const log = createLog({ json: true })
let n = 0
for await (const _ of process.stdin) {
  for (let i = 0; i < ${LINES}; i++) log.info({ n: n++ }, 'x'.repeat(1000))
  process.stdout.write('logged')
}
process.stdout.write('ended')`
const logger = (stderr: 'pipe' | number): ChildProcess =>
  spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', stderr] })
const logged = async (child: ChildProcess): Promise<void> => {
  child.stdin!.write('.')
  await once(child.stdout!, 'data')
}

test('a reader that does not read holds nothing up; lines beyond the bound are lost, and counted', async () => {
  const child = logger('pipe')
  await logged(child)
  let text = ''
  child.stderr!.setEncoding('utf8').on('data', (chunk: string) => void (text += chunk))
  while (!text.includes('log lines were lost')) await sleep(20)
  interface Line {
    n?: number
    lines?: number
    reason?: string
  }
  const entries = text
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line) as Line)
  const report = entries.find(e => e.lines !== undefined)!
  const kept = entries.filter(e => e.n !== undefined).map(e => e.n!)
  assert.deepEqual(
    kept,
    Array.from({ length: kept.length }, (_, i) => i)
  ) // whole lines, in order
  assert.equal(kept.length + report.lines!, LINES)
  assert.equal(report.reason, 'EAGAIN')
  child.stdin!.end()
  assert.deepEqual(await once(child, 'exit'), [0, null])
})

test('a reader that has gone and a full disk end nothing', async () => {
  const child = logger('pipe')
  child.stderr!.destroy()
  await logged(child)
  child.stdin!.end()
  assert.deepEqual(await once(child, 'exit'), [0, null])
  if (process.platform !== 'linux') return
  const full = logger(openSync('/dev/full', 'w'))
  await logged(full)
  full.stdin!.end()
  assert.deepEqual(await once(full, 'exit'), [0, null])
})
