/**
 * A hostile process in the runner's place, behind a real gateway with real keys and budgets: whatever it claims, floods
 * or leaves out, nobody gets more tokens than were reserved, and the gateway answers everybody else meanwhile. What it
 * may do to the machine: sandbox.test.ts.
 */
// own process: all of it computes on the reference executor
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ModelRunner } from '../src/runner/model-runner.ts'
import type { RunnerEvent } from '../src/runner/model-runner.ts'
import type { KeyRecord } from '../src/store/key-store.ts'
import { testGateway } from './gateway-context.ts'

process.env['VERIT_EXECUTOR'] = 'reference' // what computes does not matter here, and without native code a process starts in half the time
const dir = mkdtempSync(join(tmpdir(), 'verit-claims-'))
const file = join(dir, 'model.gguf')
const script = join(dir, 'hostile.mjs')
writeFileSync(file, 'no model', { mode: 0o600 })

/**
 * Loads at once and claims the context that stands in the name of the program; then each prompt names the behaviour of
 * its call.
 */
writeFileSync(
  script,
  `
import { Socket } from 'node:net'
const context = ${JSON.stringify(0x7fffffff)}
let claimed = context
const socket = new Socket({ fd: 3 })
const send = m => { const b = Buffer.from(JSON.stringify(m)), h = Buffer.alloc(4); h.writeUInt32LE(b.length); socket.write(Buffer.concat([h, b])) }
const start = (id, promptTokens = 1) => send({ type: 'start', id, promptTokens, cachedTokens: 0, seed: 1 })
const token = (id, more = {}) => send({ type: 'token', id, token: 1, text: 'x', ...more })
const end = (id, completionTokens, promptTokens = 1) => send({ type: 'end', id, reason: 'length', promptTokens, completionTokens, promptMs: 1, predictedMs: 1 })
/** Tokens as far as they are read: 64, and as many more as the gateway says. */
const room = new Map()
const pour = async (id, count, more) => {
  room.set(id, { left: 64, wake: () => {} })
  for (let i = 0; i < count; i++) {
    const r = room.get(id)
    while (r.left === 0) await new Promise(resolve => r.wake = resolve)
    r.left--
    token(id, more)
  }
}
const ways = {
  'gives what is asked': async (id, { maxTokens }) => { start(id); await pour(id, maxTokens); end(id, maxTokens) },
  'gives 5,000 tokens': async id => { start(id); await pour(id, 5000); end(id, 5000) },
  'claims a long prompt': async (id, { maxTokens }) => { start(id, 90); end(id, 0, 90) },
  'wants more for the prompt': id => send({ type: 'error', id, code: 'VERIT_PROMPT_LIMIT', fields: { tokens: 99, limit: 9 } }),
  'wants more after the start': async id => { start(id); await pour(id, 3); ways['wants more for the prompt'](id) },
  'echoes what it claims': async (id, { maxTokens }) => { start(id, 15); await pour(id, 15 + maxTokens); end(id, maxTokens, 15) },
  'echoes without end': async id => { start(id, 15); await pour(id, 5000) },
  'floods text': async id => { start(id); await pour(id, 1024, { text: 'y'.repeat(4096) }) },
  'floods alternatives': async id => { start(id); await pour(id, 1024, { logprob: -1, top: Array(20).fill({ token: 1, text: 'z', logprob: -1 }) }) },
  'floods standard error': async id => { start(id); const flood = () => process.stderr.write('\\n'.repeat(1 << 20), flood); flood(); await pour(id, 1); end(id, 1) },
  'never ends': id => start(id),
  'ends twice': async id => { start(id); await pour(id, 1); end(id, 1); end(id, 1) },
}
let rest = Buffer.alloc(0)
socket.on('data', chunk => {
  rest = Buffer.concat([rest, chunk])
  while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32LE(0)) {
    const message = JSON.parse(rest.subarray(4, 4 + rest.readUInt32LE(0)))
    rest = rest.subarray(4 + rest.readUInt32LE(0))
    if (message.type === 'load') {
      claimed = Number(message.cores) || context
      send({ type: 'locked', sandbox: { native: false, noNewPrivs: false, landlock: 0, seccomp: false, codeRange: false, noRing: false, ownDescriptors: false, memoryBytes: 0 } })
      send({ type: 'ready', info: { name: 'x', architecture: 'x', parameters: 1, vocabSize: 2, context: claimed, modelContext: claimed, executor: 'x', threads: 1 } })
      if (message.packing === 'early') { start(1); token(1); end(1, 1) }
    } else if (message.type === 'more') {
      const r = room.get(message.id)
      if (r !== undefined) { r.left += message.tokens; r.wake() }
    } else if (message.type === 'ping') send({ type: 'pong', id: message.id })
    else if (message.type === 'close') process.exit(0)
    else if (message.type === 'generate') ways[message.prompt.text ?? message.prompt.messages[0].content](message.id, message.sampling)
  }
})
`
)

const gateway = await testGateway(join(dir, 'state'), config => {
  config.keys.requestsPerMinute = 0
  config.addresses.requestsPerMinute = 0
  config.inference.requestTimeoutSeconds = 3
})
const { app, context } = gateway
const events: RunnerEvent[] = []
/** @param claims in place of `cores`, the context that it claims; in place of `packing`, whether it answers early */
const hostile = (claims: { cores?: string; packing?: string } = {}): Promise<ModelRunner> =>
  ModelRunner.start(file, { script, hangMs: 500, onEvent: e => events.push(e), ...claims })
let url = ''
let runner: ModelRunner | undefined
/** Puts another process in its place: one that was killed would be started again after a pause that grows. */
async function serve(claims?: Parameters<typeof hostile>[0]): Promise<void> {
  await runner?.close()
  runner = await hostile(claims)
  context.model = { id: 'm', created: 0, runner }
}
before(async () => {
  await app.listen({ host: '127.0.0.1', port: 0 })
  url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
})
after(async () => {
  await runner?.close()
  await gateway.close()
  rmSync(dir, { recursive: true })
})

async function newKey(tokensPerDay?: number): Promise<{ key: string; record: KeyRecord }> {
  const { key, record } = await context.store.keys.create(
    { name: 'k', ...(tokensPerDay !== undefined && { limits: { tokensPerDay } }) },
    'cli'
  )
  return { key: key!, record }
}
const plenty = await newKey()

interface Answered {
  status: number
  /** Of Verit's own table. */
  code: string | undefined
  text: string
  usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number } | undefined
}
async function ask(way: string, body: object = {}, key = plenty.key): Promise<Answered> {
  const chat = 'messages' in body
  const response = await fetch(`${url}/v1/${chat ? 'chat/' : ''}completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ ...(!chat && { prompt: way }), ...body })
  })
  const text = await response.text()
  const answer = (text.startsWith('{') ? JSON.parse(text) : {}) as {
    error?: { verit: string }
    usage?: Answered['usage']
  }
  return { status: response.status, code: answer.error?.verit, text, usage: answer.usage }
}
const used = async ({ record }: { record: KeyRecord }): Promise<{ used: number; reserved: number }> => {
  for (let i = 0; i < 100; i++) {
    // the cost is settled while the answer goes out
    const { day } = await context.store.budgets.usage(record.id, new Date())
    if (day.reserved === 0) return day
    await sleep(20)
  }
  return assert.fail('something stays reserved')
}

test('a budget of 100 tokens gives no more than 100 to a process that claims a context of 1', async () => {
  const key = await newKey(100)
  await serve({ cores: '1' })
  let given = 0
  for (const [way, stream] of [
    ['gives what is asked', false],
    ['gives what is asked', true],
    ['gives 5,000 tokens', false]
  ] as const) {
    const { status, usage, text } = await ask(way, { max_tokens: 5000, stream }, key.key)
    given += usage?.total_tokens ?? 0
    assert.equal(status, way === 'gives 5,000 tokens' ? 502 : 200)
    assert.doesNotMatch(text, /"text":"x/)
  }
  const day = await used(key)
  assert.ok(given <= 2 && day.used <= 3, `${given} given, ${JSON.stringify(day)} counted`)
})

test(
  'nor does a claim of 2^31 - 1 give more; nobody is charged more for a prompt than was reserved, and what is ' +
    'echoed counts once',
  async () => {
    await serve()
    const key = await newKey(100)
    let given = 0
    for (const stream of [false, true]) {
      const { usage, text } = await ask('gives what is asked', { max_tokens: 30, stream }, key.key)
      given += usage?.total_tokens ?? 1 + [...text.matchAll(/"text":"x"/g)].length
    }
    assert.equal((await ask('gives what is asked', { max_tokens: 5000 }, key.key)).code, 'VERIT_BUDGET')
    assert.equal(given, 62)
    const more = await ask('wants more for the prompt', { max_tokens: 5 }, key.key)
    assert.deepEqual([more.status, more.code], [400, 'VERIT_PROMPT_LIMIT'])
    const chat = await ask('', { messages: [{ role: 'user', content: 'wants more for the prompt' }], max_tokens: 5 })
    assert.equal(chat.code, 'VERIT_PROMPT_LIMIT')
    assert.equal((await ask('wants more after the start', { max_tokens: 5 }, key.key)).code, 'VERIT_PROMPT_LIMIT')
    assert.deepEqual(
      await used(key),
      { used: 62 + 4, reserved: 0 },
      'one token of the prompt and three of the answer came'
    )
    const echo = await newKey(100)
    const { usage } = await ask('echoes what it claims', { max_tokens: 5, echo: true }, echo.key)
    assert.deepEqual(usage, {
      prompt_tokens: 15,
      completion_tokens: 5,
      total_tokens: 20,
      prompt_tokens_details: { cached_tokens: 0 }
    })
    assert.match(
      (await ask('echoes without end', { max_tokens: 5, echo: true, stream: true }, echo.key)).text,
      /VERIT_RUNNER_DIED/
    )
    assert.deepEqual(await used(echo), { used: 40, reserved: 0 })
    await serve()
    const long = await ask('claims a long prompt', { max_tokens: 5 }, echo.key)
    // it is sent to the next process once, which is the same
    assert.ok(long.status === 502 || long.status === 504, long.text)
    assert.deepEqual(await used(echo), { used: 40, reserved: 0 })
  }
)

test('text and alternatives beyond what was asked for end the process, and soon', async () => {
  for (const [way, stream] of [
    ['floods text', false],
    ['floods alternatives', true]
  ] as const) {
    await serve()
    const { status, text } = await ask('', { messages: [{ role: 'user', content: way }], stream })
    assert.equal(status, stream ? 200 : 502)
    assert.match(text, /VERIT_RUNNER_DIED/)
    assert.ok(text.length < 100_000, `${way}: ${text.length} characters`)
  }
})

test('an answer to a call that was not sent ends the process, a second end too, and so does no end', async () => {
  await serve({ packing: 'early' }).catch(() => undefined) // it may be ready before its early answer is read
  for (
    let i = 0;
    i < 500 && !events.some(e => e.type === 'died' && /not open/.test(e.how)) && runner?.available === true;
    i++
  )
    await sleep(10)
  assert.notEqual(runner?.available, true)
  await serve()
  const never = await ask('never ends')
  assert.deepEqual([never.status, never.code], [504, 'VERIT_TIMEOUT'])
  for (let i = 0; i < 500 && runner!.available; i++) await sleep(10)
  assert.ok(events.some(e => e.type === 'died' && /did not end a cancelled request/.test(e.how)))
})

test('a flood of standard error does not slow the gateway and gives at most 200 lines of log', async () => {
  await serve()
  const before = events.length
  assert.equal((await ask('floods standard error', { max_tokens: 1 })).status, 200)
  const times: number[] = []
  for (let i = 0; i < 40; i++) {
    const began = performance.now()
    await (await fetch(`${url}/health`)).arrayBuffer()
    times.push(performance.now() - began)
    await sleep(10)
  }
  times.sort((a, b) => a - b)
  const ceiling = Number(process.env['VERIT_TEST_CEILING_MS'] ?? 250)
  assert.ok(times[30]! < ceiling, `/health took ${times.map(t => Math.round(t)).join(' ')} ms`)
  assert.ok(events.slice(before).filter(e => e.type === 'log').length <= 200)
  assert.equal((await ask('ends twice')).status, 200)
  for (let i = 0; i < 500 && runner!.available; i++) await sleep(10)
  assert.match(events.filter(e => e.type === 'died').at(-1)?.how ?? '', /not open/)
})
