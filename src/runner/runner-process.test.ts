/**
 * Real processes in the runner's place that break the agreement, each in one way: every one is killed, its call ends
 * with an error, and nothing else happens.
 */
import assert from 'node:assert/strict'
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { VeritError } from '../lib/errors.ts'
import { RunnerProcess } from './runner-process.ts'
import type { RunnerOptions } from './runner-process.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-hostile-'))
const fd = openSync(import.meta.filename, 'r')
after(() => {
  closeSync(fd)
  rmSync(dir, { recursive: true })
})

/**
 * What every hostile program starts with: it says that it is ready, then does its worst with `send`, `raw` and the id
 * of the call it is given.
 */
const PROLOGUE = `
import { Socket } from 'node:net'
const socket = new Socket({ fd: 3 })
const raw = bytes => socket.write(bytes)
const send = m => { const b = Buffer.from(JSON.stringify(m)); const h = Buffer.alloc(4); h.writeUInt32LE(b.length); raw(Buffer.concat([h, b])) }
const ready = { type: 'ready', info: { name: 'x', architecture: 'x', parameters: 1, vocabSize: 1, context: 9, modelContext: 9, executor: 'x', threads: 1 } }
const locked = { type: 'locked', sandbox: { native: false, noNewPrivs: false, landlock: 0, seccomp: false, codeRange: false, noRing: false, ownDescriptors: false, memoryBytes: 0 } }
const end = id => ({ type: 'end', id, reason: 'stop', promptTokens: 1, completionTokens: 1, promptMs: 1, predictedMs: 1 })
const start = id => ({ type: 'start', id, promptTokens: 1, cachedTokens: 0, seed: 1 })
const token = id => ({ type: 'token', id, token: 1, text: 'x' })
let misbehave
socket.on('data', b => { const m = /"generate","id":(\\d+)/.exec(b.toString()); if (m) misbehave(Number(m[1])) })
send(locked)
send(ready)
`
let n = 0
/** Told to load, as by the gateway. */
const loading = (runner: RunnerProcess): RunnerProcess => {
  runner.load().catch(() => undefined)
  return runner
}
const hostile = (worst: string, hangMs = 300): RunnerProcess => {
  const script = join(dir, `${n++}.mjs`)
  writeFileSync(script, `${PROLOGUE}\n${worst}`)
  return loading(new RunnerProcess({ fd, name: 'x', script, hangMs }))
}

const WORST: Readonly<Record<string, string>> = {
  'bytes that are no frame': `misbehave = () => raw('x'.repeat(100))`,
  'a frame of four gigabytes': `misbehave = () => raw(Buffer.from([255, 255, 255, 255]))`,
  'a frame over the limit': `misbehave = id => send({ ...token(id), text: 'x'.repeat(600000) })`,
  'a message of an unknown type': `misbehave = () => send({ type: 'exec', command: 'id' })`,
  'a field too many': `misbehave = id => send({ ...start(id), __proto__x: 1 })`,
  'a second ready': `misbehave = () => send(ready)`,
  'a second word on its lock': `misbehave = () => send(locked)`,
  'a token before the start': `misbehave = id => send(token(id))`,
  'more tokens than asked for': `misbehave = id => { send(start(id)); for (let i = 0; i < 9; i++) send(token(id)) }`,
  'more tokens than its reader has room for': `misbehave = id => { send(start(id)); for (let i = 0; i < 200; i++) send(token(id)) }`,
  'an event of another call': `misbehave = id => { send(start(id)); send(token(id + 1)) }`,
  'an event after the end': `misbehave = id => { send(start(id)); send(token(id)); send(end(id)); send(token(id)) }`,
  'a pong for no ping': `misbehave = () => send({ type: 'pong', id: 77 })`,
  'an error of an unknown code': `misbehave = id => send({ type: 'error', id, code: 'VERIT_NONE', fields: {} })`,
  'a closed connection': `misbehave = () => { socket.end(); setInterval(() => {}, 1000) }`,
  'an exit': `misbehave = () => process.exit(3)`
}

for (const [what, worst] of Object.entries(WORST)) {
  test(`a process that sends ${what} is gone, and its call ends with an error`, async () => {
    const runner = hostile(worst)
    await runner.ready
    const read = async (): Promise<void> => {
      const maxTokens = what.includes('room') ? 1000 : 2
      for await (const event of runner.generate({ text: 'x' }, { maxTokens }))
        assert.ok(['start', 'token', 'end'].includes(event.type))
    }
    if (what === 'an event after the end') await read()
    else await assert.rejects(read(), (e: unknown) => VeritError.is(e, 'VERIT_RUNNER_DIED'))
    await runner.exited
    assert.equal(runner.alive, false)
    await assert.rejects(read(), (e: unknown) => VeritError.is(e, 'VERIT_RUNNER_DIED'))
  })
}

test('a process that ignores a cancellation is killed', async () => {
  const runner = hostile('misbehave = id => { send(start(id)); send(token(id)) }')
  await runner.ready
  for await (const event of runner.generate({ text: 'x' }, { maxTokens: 2 })) if (event.type === 'token') break
  assert.match(await runner.exited, /did not end a cancelled request/)
})

test('a prompt too long for a frame ends its call at once, without a word to the runner', async () => {
  const script = join(dir, `${n++}.mjs`)
  writeFileSync(script, `${PROLOGUE}\nmisbehave = id => { send(start(id)); send(token(id)); send(end(id)) }`)
  const runner = loading(new RunnerProcess({ fd, name: 'x', script, hangMs: 8000, bodyBytes: 1024 }))
  await runner.ready
  const began = performance.now()
  await assert.rejects(Array.fromAsync(runner.generate({ text: 'x'.repeat(5 << 20) }, { maxTokens: 1 })), {
    code: 'VERIT_BODY_TOO_LARGE',
    status: 413
  })
  assert.ok(performance.now() - began < 8000)
  assert.equal((await Array.fromAsync(runner.generate({ text: 'x' }, { maxTokens: 1 }))).length, 3)
  await runner.close(0)
})

test('a process that ends before it is ready, or never gets ready, is told apart from one that says why', async () => {
  const bare = (text: string): RunnerProcess => {
    const script = join(dir, `${n++}.mjs`)
    writeFileSync(script, text)
    return loading(new RunnerProcess({ fd, name: 'x', script }))
  }
  await assert.rejects(bare('process.exit(5)').ready, /exit status 5/)
  const why = bare(
    PROLOGUE.replace(
      'send(ready)',
      `send({ type: 'failed', code: 'VERIT_GGUF', fields: { file: 'a\\u001b[2J', offset: 7, problem: 'p' } })`
    )
  )
  await assert.rejects(
    why.ready,
    (e: unknown) =>
      VeritError.is(e, 'VERIT_GGUF') && e.message.includes('a\\u{1b}[2J cannot be used as a GGUF file: at byte 7, p')
  )
  await why.close(0)
})

test('a process says once, before its model is ready, what it has locked', async () => {
  const told = (text: string, options: Partial<RunnerOptions> = {}): RunnerProcess => {
    const script = join(dir, `${n++}.mjs`)
    writeFileSync(script, PROLOGUE.replace('send(locked)\nsend(ready)', text))
    return loading(new RunnerProcess({ fd, name: 'x', script, ...options }))
  }
  const honest = told('send(locked); send(ready)')
  assert.equal((await honest.ready).sandbox.seccomp, false)
  await honest.close(0)
  for (const text of [
    'send(ready)',
    'send(locked); send(locked); send(ready)',
    'send({ ...ready, info: { ...ready.info, sandbox: locked.sandbox } })'
  ]) {
    await assert.rejects(told(text).ready, (e: unknown) => VeritError.is(e, 'VERIT_RUNNER_DIED'), text)
  }
})

test('a runner that must be locked and is not is killed, even if it claims success later', async () => {
  const script = join(dir, `${n++}.mjs`)
  writeFileSync(script, PROLOGUE.replace('send(locked)', 'send(locked)\nsetInterval(() => undefined, 1000)'))
  const runner = loading(new RunnerProcess({ fd, name: 'x', script, requireSandbox: true }))
  await assert.rejects(
    runner.ready,
    (e: unknown) => VeritError.is(e, 'VERIT_SANDBOX') && /nothing is locked/.test(e.message)
  )
  assert.match(await runner.exited, /it could not be locked; signal SIGKILL/)
})

test('JavaScript in a process cannot write files, start processes or threads', async () => {
  const lines: string[] = []
  const script = join(dir, 'reaching.mjs')
  writeFileSync(
    script,
    `${PROLOGUE}
    import { writeFileSync } from 'node:fs'
    import { spawnSync } from 'node:child_process'
    import { Worker } from 'node:worker_threads'
    for (const reach of [() => writeFileSync(${JSON.stringify(join(dir, 'written'))}, ''), () => spawnSync('id'), () => new Worker('', { eval: true })]) {
      try { reach(); console.error('reached') } catch (e) { console.error(e.code) }
    }
    misbehave = () => process.exit()`
  )
  const runner = loading(new RunnerProcess({ fd, name: 'x', script, onLog: line => lines.push(line) }))
  await runner.ready
  while (lines.length < 3) await sleep(5)
  await runner.close(0)
  assert.deepEqual(lines, ['ERR_ACCESS_DENIED', 'ERR_ACCESS_DENIED', 'ERR_ACCESS_DENIED'])
})

test(
  'what a process writes to its standard error is escaped, cut and bounded, and it sees nothing of the ' +
    'environment',
  async () => {
    const lines: string[] = []
    const script = join(dir, 'noisy.mjs')
    writeFileSync(
      script,
      `${PROLOGUE}
    console.error(Object.keys(process.env).join() || 'nothing')
    console.error('\\x1b[2J' + 'y'.repeat(5000))
    for (let i = 0; i < 1000; i++) console.error(i)
    misbehave = () => process.exit()`
    )
    process.env['VERIT_TEST_SECRET'] = 'secret'
    const runner = loading(new RunnerProcess({ fd, name: 'x', script, onLog: line => lines.push(line) }))
    await runner.ready
    while (lines.length < 200) await sleep(5)
    await runner.close(0)
    assert.doesNotMatch(lines[0]!, /SECRET|PATH|HOME/)
    assert.ok(lines[1]!.startsWith('\\u{1b}[2J') && lines[1]!.length < 1100)
    assert.equal(lines.length, 200)
  }
)

test('a process that leaves a ping unanswered is late from then on, until it answers', async () => {
  const runner = hostile(
    `
    let asked = 0
    socket.on('data', b => { for (const [, id] of b.toString().matchAll(/"ping","id":(\\d+)/g)) if (asked++ > 0) setTimeout(() => send({ type: 'pong', id: Number(id) }), 50) })
    setTimeout(() => send({ type: 'pong', id: 1 }), 1500)`,
    60_000
  )
  await runner.ready
  assert.equal(runner.lateMs, 0)
  while (runner.lateMs < 300) await sleep(10)
  const late = runner.lateMs
  await sleep(20)
  assert.ok(runner.lateMs > late || runner.lateMs === 0)
  while (runner.lateMs > 0) await sleep(1)
  await runner.close(0)
})
