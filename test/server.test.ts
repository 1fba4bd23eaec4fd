/** `verit serve` as its users meet it: a real process with a real model, spoken to by the real `openai` client. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import OpenAI from 'openai'
import { loadModel } from '../src/engine/load.ts'
import { digestFile } from '../src/trust/digest.ts'
import { veritSync } from './cli.ts'
import type { Ended } from './cli.ts'
import { killServers, served, tinyModel } from './served.ts'
import type { Served } from './served.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-server-'))
const state = join(dir, 'state')
let model = ''
let server: Served
let client: OpenAI
before(async () => {
  model = await tinyModel(dir)
  server = await served(model, state, '--parallel', '2')
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: server.key, maxRetries: 0 })
})
after(async () => {
  setTimeout(killServers, 5000).unref()
  assert.equal(await server.stop(), 0)
  rmSync(dir, { recursive: true })
})

const messages = [{ role: 'user' as const, content: 'Hello' }]
const verit = (...args: string[]): Ended => veritSync(args)
const rejected =
  (status: number, code: string) =>
  (e: unknown): boolean =>
    e instanceof OpenAI.APIError && e.status === status && e.code === code

test('the models are listed with the digest of the file and what their engine can do', async () => {
  const { data } = await client.models.list()
  assert.deepEqual(
    data.map(m => m.id),
    ['tiny']
  )
  const { verit } = data[0] as unknown as {
    verit: { digest: string; engine: string; capabilities: object; kv_cache_type: string }
  }
  assert.equal(verit.digest, await digestFile(model))
  assert.deepEqual([verit.engine, verit.kv_cache_type], ['verit', 'f32'])
  assert.deepEqual(verit.capabilities, {
    bitExact: true,
    logProbabilities: true,
    constrainedOutput: false,
    embeddings: true
  })
})

test('a completion is what the engine makes of the same prompt and seed, whole and streamed', async () => {
  const engine = await loadModel(model)
  let expected = ''
  for await (const e of engine.generate({ prompt: 'Once', maxTokens: 24, seed: 5 }))
    if (e.type === 'token') expected += e.text
  await engine.close()

  const request = { model: 'tiny', prompt: 'Once', max_tokens: 24, seed: 5 } as const
  const whole = await client.completions.create(request)
  assert.equal(whole.choices[0]!.text, expected)
  assert.deepEqual(whole.usage, {
    prompt_tokens: 4,
    completion_tokens: whole.usage!.completion_tokens,
    total_tokens: 4 + whole.usage!.completion_tokens,
    prompt_tokens_details: { cached_tokens: 0 }
  })
  assert.match(whole.system_fingerprint ?? '', /^fp_[0-9a-f]{16}$/)

  const chunks = await Array.fromAsync(
    await client.completions.create({ ...request, stream: true, stream_options: { include_usage: true } })
  )
  assert.equal(chunks.map(c => c.choices[0]?.text ?? '').join(''), expected)
  assert.deepEqual(chunks.at(-1)!.choices, [])
  assert.deepEqual(chunks.at(-1)!.usage, whole.usage)
  assert.equal(chunks.at(-2)!.choices[0]!.finish_reason, whole.choices[0]!.finish_reason)
  assert.ok(chunks.every(c => c.id === chunks[0]!.id))
})

test(
  'what a prompt shares with an earlier one of the same key is told in its usage, and the metrics tell how ' +
    'full the cache is',
  async () => {
    const figures = async (): Promise<Record<string, number>> => {
      const response = await fetch(`${server.url}/metrics`, { headers: { authorization: `Bearer ${metricsKey}` } })
      const lines = (await response.text()).matchAll(/^verit_cache_(?:pages_)?(\w+) (\d+)$/gm)
      return Object.fromEntries([...lines].map(([, name, value]) => [name, Number(value)]))
    }
    const { key: metricsKey } = JSON.parse(
      verit('keys', 'create', '--state', state, '--scope', 'metrics', '--json').stdout
    ) as { key: string }
    const before = await figures()
    assert.deepEqual([before.held, before.promised], [0, 0])
    const request = {
      model: 'tiny',
      messages: [{ role: 'user' as const, content: 'the words of a long beginning '.repeat(4) }],
      max_completion_tokens: 4,
      seed: 1
    }
    const first = await client.chat.completions.create(request)
    const { prompt_tokens, prompt_tokens_details } = first.usage!
    assert.deepEqual([prompt_tokens > 120, prompt_tokens_details], [true, { cached_tokens: 0 }])
    const cached = Math.floor((prompt_tokens - 1) / 16) * 16
    const chunks = await Array.fromAsync(
      await client.chat.completions.create({ ...request, stream: true, stream_options: { include_usage: true } })
    )
    assert.deepEqual(chunks.at(-1)!.usage, { ...first.usage, prompt_tokens_details: { cached_tokens: cached } })
    const after = await figures()
    assert.deepEqual(after, {
      ...before,
      held: 0,
      promised: 0,
      kept: after.kept,
      reused_tokens_total: before.reused_tokens_total! + cached
    })
    assert.ok(after.kept! >= before.kept! + cached / 16)
    // Enough answers that their pages are seen before the last of them ends.
    const long = Array.from({ length: 8 }, (_, seed) => ({ ...request, seed, max_completion_tokens: 300 }))
    let answering = true
    const all = Promise.all(long.map(each => client.chat.completions.create(each))).finally(() => (answering = false))
    let held = 0
    while (answering && held === 0) held = (await figures()).held!
    await all
    assert.ok(held >= cached / 16)
  }
)

test('a chat is answered whole and streamed alike, with log probabilities when asked for', async () => {
  const request = { model: 'tiny', messages, max_completion_tokens: 16, seed: 9 } as const
  const whole = await client.chat.completions.create({ ...request, logprobs: true, top_logprobs: 3 })
  const choice = whole.choices[0]!
  assert.equal(choice.message.role, 'assistant')
  const content = choice.logprobs!.content!
  assert.equal(content.length, whole.usage!.completion_tokens)
  for (const token of content) {
    assert.equal(token.top_logprobs.length, 3)
    assert.ok(token.logprob <= 0 && token.logprob <= token.top_logprobs[0]!.logprob)
  }
  const stream = client.chat.completions.stream(request)
  const final = await stream.finalChatCompletion()
  assert.equal(final.choices[0]!.message.content, choice.message.content)
  assert.equal(final.choices[0]!.finish_reason, choice.finish_reason)
})

test('generation stops at a stop string and at the number of tokens asked for', async () => {
  const request = { model: 'tiny', prompt: 'Once', seed: 5, max_tokens: 40 } as const
  const { text } = (await client.completions.create(request)).choices[0]!
  const stop = [...text].find((c, i) => i > 2 && c !== '\ufffd')!
  const stopped = (await client.completions.create({ ...request, stop })).choices[0]!
  assert.equal(stopped.text, text.slice(0, text.indexOf(stop)))
  assert.equal(stopped.finish_reason, 'stop')
  const one = await client.completions.create({ ...request, max_tokens: 1 })
  assert.deepEqual([one.usage!.completion_tokens, one.choices[0]!.finish_reason], [1, 'length'])
  const greedy = await Promise.all(
    [1, 2].map(async seed => (await client.completions.create({ ...request, temperature: 0, seed })).choices[0]!.text)
  )
  assert.equal(greedy[0], greedy[1])
})

test('mistakes are told in the shape that the client understands', async () => {
  await assert.rejects(client.chat.completions.create({ model: 'other', messages }), rejected(404, 'VERIT_NOT_FOUND'))
  const misspelt = { model: 'tiny', messages, temprature: 1 } as OpenAI.ChatCompletionCreateParamsNonStreaming
  await assert.rejects(
    client.chat.completions.create(misspelt),
    (e: unknown) => (e as { param: string }).param === 'temprature'
  )
  await assert.rejects(
    client.chat.completions.create({ model: 'tiny', messages, n: 2 }),
    (e: unknown) => rejected(400, 'VERIT_REQUEST')(e) && (e as { param: string }).param === 'n'
  )
  for (const stream of [false, true]) {
    const tooLong = client.completions.create({ model: 'tiny', prompt: 'x'.repeat(2000), stream })
    await assert.rejects(tooLong, (e: unknown) => {
      const { message, error } = e as InstanceType<typeof OpenAI.APIError> & { error: { verit: string } }
      assert.match(message, /maximum context length is 512 tokens.*prompt is too long/)
      assert.equal(error.verit, 'VERIT_PROMPT_LENGTH')
      return rejected(400, 'context_length_exceeded')(e)
    })
  }
  await assert.rejects(client.completions.create({ model: 'tiny', prompt: [999] }), rejected(400, 'VERIT_TOKEN_ID'))
  const stranger = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'sk-wrong', maxRetries: 0 })
  await assert.rejects(
    stranger.models.list(),
    (e: unknown) => e instanceof OpenAI.AuthenticationError && e.code === 'VERIT_UNAUTHORIZED'
  )
})

test('a client that leaves stops its generation, and its place is free again', async () => {
  for (let i = 0; i < 5; i++) {
    const stream = await client.completions.create({
      model: 'tiny',
      prompt: 'x',
      max_tokens: 500,
      stream: true,
      ignore_eos: true
    } as OpenAI.CompletionCreateParamsStreaming)
    for await (const _ of stream) break
    stream.controller.abort()
  }
  const abort = new AbortController()
  const pending = client.completions.create({ model: 'tiny', prompt: 'x', max_tokens: 500 }, { signal: abort.signal })
  setTimeout(() => abort.abort(), 20)
  await pending.catch((e: unknown) => assert.ok(e instanceof OpenAI.APIUserAbortError))
  assert.equal(
    (await client.completions.create({ model: 'tiny', prompt: 'x', max_tokens: 1 })).usage!.completion_tokens,
    1
  )
})

test('many requests at once are all answered, each as if it were alone', async () => {
  const ask = async (seed: number): Promise<string> =>
    (await client.completions.create({ model: 'tiny', prompt: 'many', max_tokens: 8, seed })).choices[0]!.text
  const seeds = Array.from({ length: 12 }, (_, i) => i)
  const together = await Promise.all(seeds.map(ask))
  for (const seed of [0, 5, 11]) assert.equal(await ask(seed), together[seed])
})

test('keys are made, listed and revoked beside a running server, which heeds it at once', async () => {
  const made = verit('keys', 'create', '--state', state, '--name', 'second', '--json')
  assert.equal(made.status, 0, made.stderr)
  const { key, id } = JSON.parse(made.stdout) as { key: string; id: string }
  const second = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: key, maxRetries: 0 })
  assert.equal((await second.models.list()).data.length, 1)
  assert.match(verit('keys', 'list', '--state', state).stdout, new RegExp(`${id} .* valid .* second`))
  assert.equal(verit('keys', 'revoke', id, '--state', state).status, 0)
  await assert.rejects(second.models.list(), rejected(401, 'VERIT_UNAUTHORIZED'))
  assert.equal((await client.models.list()).data.length, 1)
  const unknown = verit('keys', 'revoke', 'key_nothing', '--state', state)
  assert.deepEqual([unknown.status, /VERIT_USAGE/.test(unknown.stderr)], [2, true])
})

test('the key of the first start stands in the banner and in no other line, and prompts in none', () => {
  const lines = server.stderr().split('\n')
  assert.equal(lines.filter(line => line.startsWith('{') && line.includes('verit_')).length, 0)
  assert.doesNotMatch(server.stderr(), /Once|Hello|sk-wrong/)
})
