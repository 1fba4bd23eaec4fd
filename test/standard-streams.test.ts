/**
 * Commands whose standard streams fail, or whose terminal goes away: what they were started for is done all the same,
 * or ends with one sentence.
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, openSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { tinyModel } from './served.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-streams-'))
after(() => rmSync(dir, { recursive: true }))
const main = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))
const model = await tinyModel(dir)
const linux = process.platform === 'linux'

test('output that cannot be written is one sentence and status 1; a reader that has had enough is no error', { skip: !linux && 'there is no /dev/full' }, async () => {
  const { status, stderr } = spawnSync(process.execPath, [main, 'inspect', model], { stdio: ['ignore', openSync('/dev/full', 'w'), 'pipe'], encoding: 'utf8' })
  assert.deepEqual([status, stderr], [1, 'verit: Could not write standard output: no space left on the disk. Check the file, its permissions and the disk, then try again. [VERIT_FILE_IO]\n'])

  const child = spawn(process.execPath, [main, 'inspect', '--json', '--full', model], { stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.destroy()
  let text = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => void (text += chunk))
  assert.deepEqual([...await once(child, 'exit'), text], [0, null, ''])
})

test('standard input that comes late over a pipe that does not block is waited for', async () => {
  // Another Node that shares the pipe has set it so, by looking at its own standard input.
  const reader = `import { readStandardInput } from ${JSON.stringify(new URL('../src/lib/standard-streams.ts', import.meta.url).href)}
    process.stdout.write('reading')
    process.stdout.write(readStandardInput())`
  const wrapper = `process.stdin
    require('node:child_process').spawnSync(process.execPath, ['--input-type=module', '-e', ${JSON.stringify(reader)}], { stdio: 'inherit' })`
  const child = spawn(process.execPath, ['-e', wrapper], { stdio: ['pipe', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => void (text += chunk))
  while (text !== 'reading') await sleep(10)
  await sleep(200)
  child.stdin.end('late')
  await once(child, 'close')
  assert.equal(text, 'readinglate')
})

/** Trains until the first checkpoint is there, nobody reads what it says, then gets SIGHUP. */
async function hungUp(name: string, stdin: number | 'ignore'): Promise<{ status: number | null; before: number; steps: number[]; lock: boolean }> {
  const out = join(dir, name)
  const child = spawn(process.execPath, [main, 'train', join(dir, 'text.txt'), '--out', out, '--preset', 'shakespeare', '--layers', '1', '--hidden', '16', '--heads', '2',
    '--threads', '1', '--steps', stdin === 'ignore' ? '1000000' : '40', '--eval-every', '20', '--eval-tokens', '64', '--save-every', '20'], { stdio: [stdin, 'pipe', 'pipe'] })
  child.stdout!.destroy()
  child.stderr!.destroy()
  const steps = (): number[] => (existsSync(join(out, 'checkpoints')) ? readdirSync(join(out, 'checkpoints')).flatMap(f => /^step-(\d+)\.safetensors$/.exec(f)?.[1] ?? []).map(Number) : [])
  while (steps().length === 0 && child.exitCode === null && child.signalCode === null) await sleep(5)
  const before = Math.max(...steps())
  child.kill('SIGHUP')
  const [status] = await once(child, 'exit') as [number | null]
  return { status, before, steps: steps(), lock: existsSync(join(out, 'lock')) }
}

test('train goes on without a reader; at a hangup it saves its step and ends with 129', { skip: process.platform === 'win32' }, async () => {
  writeFileSync(join(dir, 'text.txt'), 'Some words to learn from, again and again. '.repeat(200))
  const { status, before, steps, lock } = await hungUp('run', 'ignore')
  assert.deepEqual([status, steps.some(step => step > before), lock], [129, true, false])
})

test('under nohup a hangup has no effect', { skip: !linux && 'it is seen on Linux only' }, async () => {
  const { status, lock } = await hungUp('nohup', openSync('/dev/null', 'w')) // as nohup leaves it
  assert.deepEqual([status, lock, existsSync(join(dir, 'nohup', 'model.gguf'))], [0, false, true])
})
