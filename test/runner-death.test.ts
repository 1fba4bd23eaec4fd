/**
 * A runner that is killed takes its own answers with it and nothing else; one that cannot start says why; a server that
 * stops ends in order.
 */
// long: it starts and kills some 20 servers and runners
import assert from 'node:assert/strict'
import { appendFileSync, copyFileSync, linkSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { VeritError } from '../src/lib/errors.ts'
import { ModelRunner } from '../src/runner/model-runner.ts'
import type { RunnerEvent } from '../src/runner/model-runner.ts'
import { refusedStarts } from './refused-starts.ts'
import { killServers, served, tinyModel } from './served.ts'
import type { Served } from './served.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-death-'))
after(() => {
  killServers()
  rmSync(dir, { recursive: true })
})
const model = await tinyModel(dir, 4096)

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
const ends = async (pid: number): Promise<void> => {
  for (let i = 0; i < 500 && isAlive(pid); i++) await sleep(10)
  assert.ok(!isAlive(pid))
}
const ask = (server: Served, body: object): Promise<Response> =>
  fetch(`${server.url}/v1/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ prompt: 'x', ignore_eos: true, ...body })
  })

test(
  'killed in the middle of a stream: a clear error there, the gateway lives, and the next request is answered ' +
    'by a new process',
  async () => {
    const server = await served(model, join(dir, 'state'))
    const pid = server.runnerPid()
    const response = await ask(server, { stream: true, max_tokens: 4000 })
    const pieces: string[] = []
    for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
      if (pieces.push(piece) === 1) process.kill(pid, 'SIGKILL')
    }
    const last = pieces.join('').trim().split('\n\n').at(-1)!
    const { error } = JSON.parse(last.replace(/^data: /, '')) as {
      error: { code: string; message: string; type: string }
    }
    assert.deepEqual([error.code, error.type], ['VERIT_RUNNER_DIED', 'server_error'])
    assert.match(error.message, /SIGKILL.*Send the request again/)

    const next = await ask(server, { max_tokens: 2 }) // waits for the new process
    assert.equal(next.status, 200)
    assert.notEqual(server.runnerPid(), pid)
    assert.equal((await fetch(`${server.url}/health`)).status, 200)
    assert.match(server.stderr(), /"msg":"the runner died"/)

    const current = server.runnerPid()
    server.process.kill('SIGKILL')
    await ends(current) // a runner does not outlive its gateway
  }
)

test(
  'a server that is told to stop ends an answer under way within its limit, with an error, and leaves no ' +
    'process behind',
  async () => {
    const server = await served(model, join(dir, 'state2'), '--grace', '0')
    const pid = server.runnerPid()
    const response = await ask(server, { stream: true, max_tokens: 4000 })
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    let text = (await reader.read()).value ?? ''
    const stopped = server.stop()
    for (let r = await reader.read(); !r.done; r = await reader.read()) text += r.value
    assert.match(text.trim().split('\n\n').at(-1)!, /VERIT_STOPPING|"finish_reason":"|\[DONE\]/)
    assert.equal(await stopped, 0)
    await ends(pid)
  }
)

test('a signal to all processes at once, as Ctrl-C in a terminal is one, lets the answer under way end', async () => {
  const server = await served(model, join(dir, 'state4'))
  const pid = server.runnerPid()
  const response = await ask(server, { stream: true, max_tokens: 500 })
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) process.kill(pid, signal)
  const stopped = server.stop()
  assert.match(await response.text(), /data: \[DONE\]\n\n$/)
  assert.equal(await stopped, 0)
  await ends(pid)
  assert.doesNotMatch(server.stderr(), /died/)
})

test('options of serve that could not work are refused at once, in a sentence that says how they look', () => {
  const wrong = [
    ['--host', ''],
    ['--model-name', ''],
    ['--model-name', 'a\x1b[2J'],
    ['--allow-host', 'a.example:8081'],
    ['--allow-host', 'https://a.example'],
    ['--allow-origin', 'https://a.example/'],
    ['--allow-origin', 'null'],
    ['--allow-origin', '*'],
    ['--state', '']
  ]
  for (const [i, { stderr: text }] of refusedStarts(
    wrong.map(option => ['--allow-unsigned', '--state', join(dir, 'state5'), model, ...option])
  ).entries()) {
    assert.match(text, /It must (not )?(be|hold)|its path is empty/, wrong[i]!.join(' '))
  }
})

test(
  'a request to a process that hangs ends when its time is up, /health says so to whoever could send requests ' +
    'elsewhere, and the server can still be stopped',
  async () => {
    const server = await served(model, join(dir, 'state6'), '--request-timeout', '1', '--grace', '0')
    const pid = server.runnerPid()
    process.kill(pid, 'SIGSTOP')
    const response = await ask(server, { max_tokens: 1 })
    assert.deepEqual(
      [response.status, ((await response.json()) as { error: { code: string } }).error.code],
      [504, 'VERIT_TIMEOUT']
    )
    const health = async (): Promise<unknown> =>
      ((await (await fetch(`${server.url}/health`)).json()) as { status: string }).status
    for (let i = 0; i < 1000 && (await health()) === 'ok'; i++) await sleep(10)
    assert.equal(await health(), 'unavailable')
    process.kill(pid, 'SIGCONT')
    for (let i = 0; i < 1000 && (await health()) !== 'ok'; i++) await sleep(10)
    assert.equal(await health(), 'ok')
    process.kill(pid, 'SIGSTOP')
    assert.equal(await server.stop(), 0)
    await ends(pid)
  }
)

/** With pages for one sequence of the whole context: a second one waits. */
let runner: ModelRunner
before(async () => {
  runner = await ModelRunner.start(model, { slots: 4, cacheBytes: 256 * 16 * 2 * 16 * 4 })
})
after(() => runner.close())

test(
  'calls that are cancelled before their prompt is read, or while they wait for the cache, end in order, and ' +
    'the process goes on',
  async () => {
    const { pid } = runner
    for (let i = 0; i < 4; i++) {
      const now = new AbortController()
      const unread = Array.fromAsync(
        runner.generate({ text: 'x'.repeat(4090) }, { maxTokens: 4000, ignoreEndOfText: true }, now.signal)
      )
      await sleep(0) // it is sent
      now.abort()
      assert.ok((await unread).every(e => e.type !== 'end'))
    }
    const stop = new AbortController()
    const later = new AbortController()
    const first = runner.generate({ text: 'x' }, { maxTokens: 4000, ignoreEndOfText: true }, stop.signal)
    await first.next()
    const waiting = Array.fromAsync(runner.generate({ text: 'x' }, { maxTokens: 4000 }, later.signal))
    await sleep(100)
    later.abort()
    assert.deepEqual(await waiting, [])
    stop.abort()
    await first.return(undefined)
    assert.equal((await Array.fromAsync(runner.generate({ text: 'x' }, { maxTokens: 1 }))).length, 3)
    assert.equal(runner.pid, pid)
  }
)

test('a request that had not begun is sent again once, and one whose process dies twice is ended', async () => {
  const killed: number[] = []
  const kill = (): void => {
    if (runner.pid !== undefined) {
      killed.push(runner.pid)
      process.kill(runner.pid, 'SIGKILL')
    }
  }
  kill() // the call is sent to a process that is dead or about to be
  const events = await Array.fromAsync(runner.generate({ text: 'x' }, { maxTokens: 2 }))
  assert.deepEqual(
    events.map(e => e.type),
    ['start', 'token', 'token', 'end']
  )
  assert.equal(killed.length, 1)

  let begun = false
  await assert.rejects(
    async () => {
      for await (const _ of runner.generate({ text: 'x' }, { maxTokens: 4000, ignoreEndOfText: true })) {
        if (!begun) kill()
        begun = true
      }
    },
    (e: unknown) => VeritError.is(e, 'VERIT_RUNNER_DIED')
  )
})

test(
  'the file is read through the descriptor that was hashed: replacing its path changes nothing, changing its ' +
    'content stops the restart',
  async () => {
    const [path, same] = [join(dir, 'changed.gguf'), join(dir, 'same.gguf')]
    copyFileSync(model, path)
    linkSync(path, same)
    const events: RunnerEvent[] = []
    const hashed = await ModelRunner.start(path, { onEvent: e => events.push(e) })
    const { digest } = hashed
    rmSync(path)
    writeFileSync(path, 'something else')
    process.kill(hashed.pid!, 'SIGKILL')
    assert.equal((await Array.fromAsync(hashed.generate({ text: 'x' }, { maxTokens: 1 }))).length, 3)
    assert.equal(hashed.digest, digest)

    appendFileSync(same, 'x') // the file that is open
    process.kill(hashed.pid!, 'SIGKILL')
    while (hashed.available) await sleep(5)
    await assert.rejects(Array.fromAsync(hashed.generate({ text: 'x' }, { maxTokens: 1 })), (e: unknown) =>
      VeritError.is(e, 'VERIT_UNAVAILABLE')
    )
    assert.match(String(events.find(e => e.type === 'failed')!.error), /content is no longer/)
    assert.equal(hashed.available, false)
    await hashed.close()
  }
)

test('a file that is no model, cut short, or no file at all ends the start with one clear sentence', async () => {
  const cut = join(dir, 'cut.gguf')
  writeFileSync(cut, readFileSync(model).subarray(0, 5000))
  const wrong = [
    [cut, 'VERIT_GGUF'],
    [join(dir, 'none.gguf'), 'VERIT_FILE_NOT_FOUND'],
    [dir, 'VERIT_USAGE']
  ] as const
  for (const [i, { stderr: text }] of refusedStarts(
    wrong.map(([path]) => ['--allow-unsigned', '--state', join(dir, 'state3'), path])
  ).entries()) {
    assert.match(text, new RegExp(`^verit: .*\\[${wrong[i]![1]}\\]$`, 'm'))
    assert.doesNotMatch(text, / {4}at /)
  }
  // the command names a folder and what to do with it; the runner itself reads regular files only
  for (const path of [dir, '/dev/null']) {
    await assert.rejects(ModelRunner.start(path), (e: unknown) => VeritError.is(e, 'VERIT_FILE_KIND'))
  }
})
