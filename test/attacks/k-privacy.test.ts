/**
 * Class K: what one client, or someone on the way, can learn of another. The process keeps no prompt beyond its
 * request, so K1, K2 and K6 show that nothing of a request can be seen in the next; K3 measures what remains: the sizes
 * of a stream's events tell the lengths of its tokens.
 */
// long: it compares many answers and their sizes
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { killServers } from '../served.ts'
import { Target, each, eventually } from './target.ts'

let t: Target
before(async () => {
  t = await Target.start({ inference: { parallel: 4 } }, 2048)
})
after(async () => {
  setTimeout(killServers, 5000).unref()
  await t.stop()
})
afterEach(() => t.survives())

/** What a client can see of an answer but for times and ids. */
async function seen(response: Response): Promise<object> {
  const changing = new Set(['date', 'x-request-id', 'verit-audit-entry', 'content-length'])
  const body = (await response.json()) as { choices: unknown; usage: object; verit: object }
  return {
    status: response.status,
    headers: [...response.headers].filter(([name]) => !changing.has(name) && !/ratelimit/.test(name)),
    choices: body.choices,
    usage: body.usage,
    verit: Object.keys(body.verit)
  }
}

test(
  'K1 a prompt that another key has just sent is answered like one that nobody has sent: no header, field or ' +
    'count differs',
  async () => {
    const [one, two] = [await t.key(), await t.key()]
    const prompt = `a long beginning that two keys share ${'and share '.repeat(40)}`
    const ask = async (key: string): Promise<object> =>
      seen(await t.complete({ prompt, max_tokens: 6, seed: 3 }, { key }))
    const first = await ask(one.key)
    assert.deepEqual(await ask(two.key), first)
    // only who asks again is told that it was answered from its own pages, and nothing else is other
    const cached = {
      ...first,
      usage: { ...(first as { usage: object }).usage, prompt_tokens_details: { cached_tokens: 432 } }
    }
    for (const key of [one.key, two.key]) assert.deepEqual(await ask(key), cached)
    // The times are measured apart, with many samples: bench/first-token.ts
  }
)

test('K2 usage shows the lengths of this request, and cached tokens of this key or its owner only', async () => {
  for (let i = 0; i < 2; i++) {
    const { usage } = (await (
      await t.complete({ prompt: 'the same words again', max_tokens: 3, ignore_eos: true })
    ).json()) as { usage: object }
    assert.deepEqual(usage, {
      prompt_tokens: 20,
      completion_tokens: 3,
      total_tokens: 23,
      prompt_tokens_details: { cached_tokens: 16 * i }
    })
    const text = await (
      await t.complete({
        prompt: 'the same words again',
        max_tokens: 3,
        stream: true,
        stream_options: { include_usage: true }
      })
    ).text()
    assert.match(text, /"prompt_tokens_details":\{"cached_tokens":16\}/)
    assert.doesNotMatch(text, /kv|slot|page/i)
  }
  const ask = async (owner: string, prompt: string): Promise<number> => {
    const { key } = await t.key({ owner })
    const { usage } = (await (await t.complete({ prompt, max_tokens: 1 }, { key })).json()) as {
      usage: { prompt_tokens_details: { cached_tokens: number } }
    }
    return usage.prompt_tokens_details.cached_tokens
  }
  const prompt = 'words of an owner with two keys, and of another'
  assert.deepEqual(
    [
      await ask('one', prompt),
      await ask('one', prompt),
      await ask('other', prompt),
      await ask('one', `${prompt}!`),
      await ask('', prompt),
      await ask('', prompt)
    ],
    [0, 32, 0, 32, 0, 0]
  )
})

test(
  'K3 events of a stream have one size, whatever the text of their token; without obfuscation the size tells ' +
    'its length',
  async context => {
    const ask = { prompt: 'x', max_tokens: 400, stream: true, ignore_eos: true, temperature: 1.5, seed: 1 }
    const sizesOf = (stream: string): number[] => [
      ...new Set(
        stream
          .split('\n\n')
          .filter(e => e.startsWith('data: {'))
          .map(e => Buffer.byteLength(e) + 2)
      )
    ]
    assert.deepEqual(sizesOf(await (await t.complete(ask)).text()), [512])
    const text = await (await t.complete({ ...ask, stream_options: { include_obfuscation: false } })).text()
    const events = text
      .split('\n\n')
      .filter(e => e.startsWith('data: {'))
      .map(e => ({
        bytes: Buffer.byteLength(e),
        choice: (JSON.parse(e.slice(6)) as { choices: { text: string; finish_reason: string | null }[] }).choices[0]!
      }))
      .filter(e => e.choice.finish_reason === null)
    const overhead = new Set(events.map(e => e.bytes - Buffer.byteLength(JSON.stringify(e.choice.text))))
    assert.equal(overhead.size, 1, 'a constant')
    const sizes = [...Map.groupBy(events, e => e.bytes).values()].map(g => g.length / events.length)
    const bits = -sizes.reduce((sum, p) => sum + p * Math.log2(p), 0)
    context.diagnostic(
      `${events.length} events of ${sizes.length} sizes: ${bits.toFixed(2)} bits a token are told by the size of ` +
        'its event'
    )
    // A whole answer tells the sum only: one body, one length
    const whole = await t.complete({ prompt: 'x', max_tokens: 400, ignore_eos: true, seed: 1 })
    assert.equal(Number(whole.headers.get('content-length')), (await whole.arrayBuffer()).byteLength)
  }
)

test('K4 metrics have no key, name, address, model text or prompt in any label', async () => {
  const { key, record } = await t.key({ name: 'tenant-of-secrets', owner: 'owner-of-secrets' })
  await t.complete({ prompt: 'prompt-of-secrets' }, { key })
  await t.fetch('/path-of-secrets', { key, headers: { 'user-agent': 'agent-of-secrets' } })
  const text = await (await t.fetch('/metrics')).text()
  for (const hidden of [key, record.id, 'of-secrets', '127.0.0.1', t.state]) assert.ok(!text.includes(hidden), hidden)
  const labels = [...text.matchAll(/^\w+\{([^}]*)\}/gm)].flatMap(m => [...m[1]!.matchAll(/(\w+)="/g)].map(l => l[1]!))
  for (const label of new Set(labels))
    assert.ok(['route', 'status', 'code', 'kind', 'rule', 'result', 'le'].includes(label), label)
  for (const path of ['/slots', '/props', '/v1/slots', '/debug', '/stats', '/v1/requests', '/api/ps', '/v1/internal']) {
    assert.equal((await t.fetch(path)).status, 404, path)
  }
  assert.deepEqual(await (await t.fetch('/health', { key: '' })).json(), { status: 'ok' })
})

test('K5 errors hold no address in memory, path, stack, or word of the libraries behind the server', async () => {
  const requests = [
    t.complete({ prompt: [1e6] }),
    t.complete({ prompt: 'x'.repeat(100_000) }),
    t.complete({ max_tokens: -1 }),
    t.complete({ model: '/etc/passwd' }),
    t.fetch('/v1/completions', { method: 'POST', body: '{' }),
    t.fetch('/v1/completions', { method: 'POST', body: '[]' }),
    t.fetch('/%zz'),
    t.fetch('/v1/admin/keys/x'),
    t.fetch('/v1/admin/keys', { method: 'POST', body: '{"name":"x","kind":"ed25519","public_key":"x"}' }),
    t.fetch('/v1/admin/keys', {
      method: 'POST',
      body: '{"name":"x","kind":"certificate","certificate":"-----BEGIN CERTIFICATE-----"}'
    }),
    t.fetch('/v1/chat/completions', {
      method: 'POST',
      body: '{"messages":[{"role":"system","content":"x"},{"role":"assistant","content":"\\ud800"}]}'
    }),
    t.fetch('/v1/models', { key: 'x' }),
    t.fetch('/v1/models', { method: 'DELETE' })
  ]
  await each(requests, async request => {
    const response = await request
    const text = (await response.text()) + JSON.stringify([...response.headers])
    assert.doesNotMatch(
      text,
      /0x[0-9a-f]{6,}|\/(?:work|home|root|tmp|usr|src|node_modules)\/|\bat [\w.]+ \(|\.ts:|fastify|FST_|sqlite|kysely|llhttp|HPE_|ERR_[A-Z]|node:/i,
      text
    )
    if (response.status >= 400) assert.match(text, /"verit":"VERIT_[A-Z_]+"/)
  })
})

test('K6 an answer is the same alone and in a crowd that shares its slots', async () => {
  const ask = async (): Promise<unknown> =>
    (
      (await (
        await t.complete({ prompt: 'alone or not', max_tokens: 60, seed: 11, logprobs: 2, ignore_eos: true })
      ).json()) as { choices: unknown }
    ).choices
  const alone = await ask()
  const leave = new AbortController()
  const crowd = Array.from({ length: 12 }, (_, i) =>
    t
      .complete(
        { prompt: `crowd ${i} `.repeat(1 + i * 7), max_tokens: 900, ignore_eos: true, stream: i % 2 === 0 },
        { signal: leave.signal }
      )
      .then(
        r => r.text(),
        () => ''
      )
  )
  await eventually(async () => (await t.gauge('verit_generations_running')) > 1, 'the crowd runs')
  for (let i = 0; i < 3; i++) assert.deepEqual(await ask(), alone)
  leave.abort()
  await Promise.allSettled(crowd)
  assert.deepEqual(await ask(), alone)
  await t.quiet()
})
