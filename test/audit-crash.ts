/**
 * Kills a writer of an audit log with SIGKILL at random moments, again and again, and checks what is left after each
 * death.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { readEntries } from '../src/audit/reader.ts'
import { verifyLog } from '../src/audit/verify.ts'
import { withLogFolder } from './audit-entries.ts'

const writer = fileURLToPath(new URL('audit-writer-process.ts', import.meta.url))

/**
 * After each kill: the log verifies, continues every checkpoint that was ever seen, and has every acknowledged entry at
 * its index.
 * @param kills processes to kill
 * @param life longest time of one after its first entry, in ms
 */
export async function crashWriter(
  kills: number,
  life: number
): Promise<{ acknowledged: number; size: number; kept: number }> {
  return withLogFolder(async folder => {
    const places = new Map<number, number>()
    const older: string[] = []
    let size = 0
    for (let i = 0; i < kills; i++) {
      const child = spawn(process.execPath, [writer, folder, String(i * 1_000_000)], {
        stdio: ['ignore', 'pipe', 'pipe']
      })
      let [out, err] = ['', '']
      child.stderr.on('data', chunk => {
        err += String(chunk)
      })
      const started = new Promise<void>(resolve => {
        child.stdout.on('data', chunk => {
          out += String(chunk)
          resolve()
        })
      })
      const ended = new Promise<NodeJS.Signals | null>(resolve => child.once('close', (_, signal) => resolve(signal)))
      await Promise.race([started, ended])
      if (i % 3 === 2)
        assert.deepEqual((await verifyLog(folder, { older })).problems, [], 'a log is verified while it is written')
      await sleep(Math.random() * life)
      child.kill('SIGKILL')
      assert.equal(await ended, 'SIGKILL', err)
      for (const line of out.split('\n').slice(0, -1)) {
        const [kind, a, b] = line.split(' ')
        if (kind === 'entry') places.set(Number(a), Number(b))
        else older.push(JSON.parse(line.slice('checkpoint '.length)) as string)
      }
      const result = await verifyLog(folder, { older })
      assert.deepEqual(result.problems, [])
      assert.equal(result.continued, older.length)
      assert.ok(result.size >= size)
      size = result.size
      const found = new Map<number, string>()
      for (const { index, entry } of readEntries(folder)) if (entry.type === 'request') found.set(index, entry.request)
      for (const [number, index] of places) assert.equal(found.get(index), `req_${number}`)
    }
    return { acknowledged: places.size, size, kept: size - places.size }
  })
}
