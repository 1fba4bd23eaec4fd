/**
 * Commands whose standard streams fail, or whose terminal goes away: what they were started for is done all the same,
 * or ends with one sentence.
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import type { StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { checkpointSteps } from '../src/lib/run-files.ts'
import { tinyModel } from './served.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-streams-'))
after(() => rmSync(dir, { recursive: true }))
const main = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))
const model = await tinyModel(dir)
const linux = process.platform === 'linux'

const noFull = linux ? false : 'there is no /dev/full'
test('output that cannot be written is an error, a reader that left is none', { skip: noFull }, async () => {
  const full = openSync('/dev/full', 'w')
  const stdio = ['ignore', full, 'pipe'] as StdioOptions
  const ended = spawnSync(process.execPath, [main, 'inspect', model], { stdio, encoding: 'utf8' })
  assert.equal(ended.status, 1)
  assert.match(ended.stderr, /^verit: Could not write standard output: no space left on the disk\. .*\n$/)

  for (const help of [['--help'], ['train', '--help'], ['--version']]) {
    const { status } = spawnSync(process.execPath, [main, ...help], { stdio: ['ignore', full, 'ignore'] })
    assert.equal(status, 1, help.join(' '))
  }

  const words = [main, 'inspect', '--json', '--full', model]
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.destroy()
  let text = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => void (text += chunk))
  assert.deepEqual([...(await once(child, 'exit')), text], [0, null, ''])
})

test('standard input that comes late over a pipe that does not block is waited for', async () => {
  // Another Node that shares the pipe has set it so, by looking at its own standard input.
  const streams = new URL('../src/lib/standard-streams.ts', import.meta.url).href
  const reader = `import { readStandardInput } from ${JSON.stringify(streams)}
    process.stdout.write('reading')
    process.stdout.write(readStandardInput())`
  const wrapper = `process.stdin
    const words = ['--input-type=module', '-e', ${JSON.stringify(reader)}]
    require('node:child_process').spawnSync(process.execPath, words, { stdio: 'inherit' })`
  const child = spawn(process.execPath, ['-e', wrapper], { stdio: ['pipe', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => void (text += chunk))
  while (text !== 'reading') await sleep(10)
  await sleep(200)
  child.stdin.end('late')
  await once(child, 'close')
  assert.equal(text, 'readinglate')
})

interface HungUp {
  status: number | null
  /** The last step that was saved before the signal. */
  before: number
  steps: number[]
  /** Whether the run is still locked. */
  lock: boolean
}

/** Trains until the first checkpoint is there, nobody reads what it says, then gets SIGHUP. */
async function hungUp(name: string, stdin: number | 'ignore', startedBy = ''): Promise<HungUp> {
  const out = join(dir, name)
  const model = ['--preset', 'shakespeare', '--layers', '1', '--hidden', '16', '--heads', '2', '--threads', '1']
  const length = ['--steps', name === 'run' ? '1000000' : '40', '--eval-every', '20', '--eval-tokens', '64']
  const words = [main, 'train', join(dir, 'text.txt'), '--out', out, ...model, ...length, '--save-every', '20']
  const env = { ...process.env, _: startedBy } // the tests themselves may run under nohup
  const child = spawn(process.execPath, words, { stdio: [stdin, 'pipe', 'pipe'], env })
  child.stdout!.destroy()
  child.stderr!.destroy()
  const steps = (): number[] => checkpointSteps(join(out, 'checkpoints'))
  while (steps().length === 0 && child.exitCode === null && child.signalCode === null) await sleep(5)
  const before = Math.max(...steps())
  child.kill('SIGHUP')
  const [status] = (await once(child, 'exit')) as [number | null]
  return { status, before, steps: steps(), lock: existsSync(join(out, 'lock')) }
}

const windows = process.platform === 'win32'
test('train goes on without a reader; at a hangup it saves its step and ends with 129', { skip: windows }, async () => {
  writeFileSync(join(dir, 'text.txt'), 'Some words to learn from, again and again. '.repeat(200))
  const { status, before, steps, lock } = await hungUp('run', 'ignore')
  assert.deepEqual([status, steps.some(step => step > before), lock], [129, true, false])
})

test('under nohup a hangup has no effect', { skip: !linux && 'it is seen on Linux only' }, async () => {
  const { status, lock } = await hungUp('nohup', openSync('/dev/null', 'w')) // as nohup leaves it
  assert.deepEqual([status, lock, existsSync(join(dir, 'nohup', 'model.gguf'))], [0, false, true])
})

test(
  'so it is where standard input was /dev/null already, by the variable that shells set',
  { skip: windows },
  async () => {
    const { status, lock } = await hungUp('shell', 'ignore', '/usr/bin/nohup')
    assert.deepEqual([status, lock, existsSync(join(dir, 'shell', 'model.gguf'))], [0, false, true])
  }
)
