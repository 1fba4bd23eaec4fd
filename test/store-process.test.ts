/**
 * What the store in SQLite has answered stays true when its process is killed at any moment, when two processes use it
 * at once, and when the disk is full.
 */
// long: it kills processes in the midst of writes
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openStore } from '../src/store/open-store.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-store-'))
const children: Child[] = []
after(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(dir, { recursive: true })
})
const program = fileURLToPath(new URL('store-process.ts', import.meta.url))
const limited = process.platform === 'linux' && spawnSync('prlimit', ['--version']).status === 0

type Child = ChildProcessByStdio<Writable, Readable, null>

async function newStore(name: string): Promise<{ folder: string; keyId: string }> {
  const folder = join(dir, name)
  const store = await openStore({ stateFolder: folder })
  const { record } = await store.keys.create({ name }, 'cli')
  await store.close()
  return { folder, keyId: record.id }
}

interface Answers {
  nonces: string[]
  reserved: number
  refused: string[]
}

function run(file: string, args: readonly string[]): Child {
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  children.push(child)
  return child
}

/** Reads what a child says until it ends; a line that was cut off by its death says nothing. */
async function answersOf(child: Child, onLine: (answers: Answers) => void): Promise<Answers> {
  const answers: Answers = { nonces: [], reserved: 0, refused: [] }
  let rest = ''
  for await (const chunk of child.stdout) {
    const lines = (rest + String(chunk)).split('\n')
    rest = lines.pop()!
    for (const line of lines) {
      if (line.startsWith('nonce ')) answers.nonces.push(line.slice(6))
      else if (line === 'reserved') answers.reserved++
      else answers.refused.push(line.slice(8))
      onLine(answers)
    }
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return answers
}

/** @param underway calls whose answer may have been lost */
async function check(folder: string, keyId: string, all: readonly Answers[], underway: number): Promise<void> {
  const store = await openStore({ stateFolder: folder })
  const reserved = all.reduce((n, a) => n + a.reserved, 0)
  const { day, month } = await store.budgets.usage(keyId, new Date())
  assert.ok(
    month.reserved >= reserved && month.reserved <= reserved + underway,
    `${month.reserved} are reserved, ${reserved} were answered`
  )
  assert.ok(day.reserved <= month.reserved)
  for (const nonce of all.flatMap(a => a.nonces))
    assert.equal(await store.replay.use(`${keyId}.1`, nonce, Date.now() + 3_600_000), false, nonce)
  await store.close()
}

test('a process that is killed at any moment has lost nothing that it answered, also beside another', async () => {
  const { folder, keyId } = await newStore('killed')
  const all: Answers[] = []
  for (let round = 0; round < 3; round++) {
    all.push(
      ...(await Promise.all(
        [0, 1].map(i => {
          const child = run(process.execPath, [program, folder, keyId])
          const most = 50 + Math.floor(Math.random() * 400) + 100 * i
          return answersOf(child, answers => {
            if (answers.nonces.length === most) child.kill('SIGKILL')
          })
        })
      ))
    )
  }
  assert.deepEqual(
    all.flatMap(a => a.refused),
    []
  )
  await check(folder, keyId, all, 16 * all.length)
})

test(
  'a full disk refuses, changes nothing that was answered, and is survived without a restart',
  { skip: !limited },
  async () => {
    const { folder, keyId } = await newStore('full')
    // The soft limit only: it can be raised again from outside. The signal of the limit is ignored, so that writes fail
    // instead.
    const child = run('bash', [
      '-c',
      'trap "" XFSZ; ulimit -S -f 600; exec "$0" "$@"',
      process.execPath,
      program,
      folder,
      keyId
    ])
    let before = 0
    const answers = await answersOf(child, ({ refused, nonces }) => {
      if (refused.length < 3 || before > 0) return
      before = nonces.length
      assert.equal(spawnSync('prlimit', ['--pid', String(child.pid), '--fsize=unlimited:unlimited']).status, 0)
      child.stdin.end() // tells it that there is room again
    })
    assert.ok(before > 20 && answers.nonces.length >= before + 20, `${before} before, ${answers.nonces.length} in all`)
    assert.deepEqual(new Set(answers.refused), new Set(['VERIT_STORE']))
    await check(folder, keyId, [answers], 16)
  }
)
