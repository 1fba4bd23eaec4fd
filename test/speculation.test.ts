/**
 * Answers with draft tokens are those without, event by event: tokens, texts, log probabilities, endings, and what is
 * kept for a tenant. On the model that comes with Verit, whose greedy answers repeat themselves.
 */
// own process: it runs for long
// long: it compares many answers
import assert from 'node:assert/strict'
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { VeritEngine } from '../src/engine/verit-engine.ts'
import type { EngineOptions, EngineParts } from '../src/engine/verit-engine.ts'
import type { Engine, GenerateEvent, GenerateRequest } from '../src/engine/engine.ts'
import { openExecutor } from '../src/exec/index.ts'
import { openGguf } from '../src/formats/gguf-reader.ts'
import { defaultModelPath } from '../src/lib/default-model.ts'
import { loadModel } from '../src/model/load-gguf.ts'
import { ModelRunner } from '../src/runner/model-runner.ts'

const executor = openExecutor({ threads: 1 })
const engines: Engine[] = []
let parts: EngineParts
const made = (options: EngineOptions, ends?: number[]): Engine => {
  const engine = new VeritEngine(executor, { ...parts, ...(ends && { ends }) }, { slots: 4, ...options })
  engines.push(engine)
  return engine
}
/** Without draft tokens, and with all of them verified. */
const pair = (options: EngineOptions = {}, ends?: number[]): [Engine, Engine] => [
  made({ ...options, speculate: false }, ends),
  made({ ...options, speculate: 0 }, ends)
]

async function events(engine: Engine, request: GenerateRequest, tenant?: string): Promise<object[]> {
  const all: object[] = []
  for await (const event of engine.generate({ seed: 7, ...request }, undefined, tenant))
    all.push(event.type === 'end' ? { ...event, timings: 0 } : event)
  return all
}

interface Same {
  tokens: number[]
  end: Extract<GenerateEvent, { type: 'end' }>
  text: string
  /** Draft tokens that the answer has. */
  accepted: number
}

async function same(
  [plain, drafting]: readonly [Engine, Engine],
  request: GenerateRequest,
  tenant?: string
): Promise<Same> {
  const want = (await events(plain, request, tenant)) as GenerateEvent[]
  const before = drafting.drafts.accepted
  assert.deepEqual(await events(drafting, request, tenant), want, JSON.stringify(request))
  const tokens = want.filter(e => e.type === 'token')
  return {
    tokens: tokens.map(t => t.id),
    end: want.at(-1) as Same['end'],
    text: tokens.map(t => t.text).join(''),
    accepted: drafting.drafts.accepted - before
  }
}

let both: [Engine, Engine]
let prompt: number[]
/** What greedy choices go on with: the same sentence again and again. */
let loop: number[]
let period: number

before(async () => {
  using file = openGguf(defaultModelPath())
  parts = { ...(await loadModel(file, executor)), name: 'default', digest: `sha256:${'0'.repeat(64)}` }
  both = pair()
  prompt = [...parts.tokenizer.encode('We must')]
  const { tokens } = await same(both, { prompt, maxTokens: 220, temperature: 0, ignoreEndOfText: true })
  const last = tokens.slice(-60)
  period =
    1 + Array.from({ length: 29 }, (_, i) => i + 1).findIndex(p => last.every((id, i) => i < p || id === last[i - p]))
  assert.ok(period > 3)
  prompt.push(...tokens.slice(0, -60))
  loop = tokens.slice(-60, -60 + 2 * period)
})
after(async () => {
  for (const engine of engines) await engine.close()
})

test(
  'greedy and seeded choices, with penalties and log probabilities, are the same; drafts are accepted and ' + 'dropped',
  async () => {
    const settings: Partial<GenerateRequest>[] = [
      { temperature: 0 },
      { temperature: 0, logprobs: 3 },
      { temperature: 0, repetitionPenalty: 1.3, logprobs: 0 },
      { temperature: 0, presencePenalty: 1, frequencyPenalty: 0.3 },
      { temperature: 0, repetitionPenalty: 0.8 },
      { temperature: 0.2, logprobs: 20 },
      { temperature: 0.5 },
      { temperature: 0.8, topK: 0, logprobs: 1 },
      { temperature: 1, topP: 1, minP: 0 },
      { temperature: 1.5, topK: 5, echo: true },
      { temperature: 0.3, frequencyPenalty: -0.5, repetitionWindow: 3, repetitionPenalty: 1.1 }
    ]
    for (const setting of settings) {
      for (const seed of [1, 2])
        await same(both, { prompt, maxTokens: 60, seed, ignoreEndOfText: seed > 1, ...setting })
    }
    const { drafted, accepted } = both[1].drafts
    assert.ok(accepted > 200 && drafted > accepted + 200, `${accepted} of ${drafted}`)
    assert.deepEqual(both[0].drafts, { drafted: 0, accepted: 0 })
  }
)

test('an answer ends inside a draft: at its length, and at the end of the context', async () => {
  let within = 0
  for (let maxTokens = 0; maxTokens < 20; maxTokens++) {
    const { tokens, end, accepted } = await same(both, { prompt, maxTokens, temperature: 0, ignoreEndOfText: true })
    assert.deepEqual([tokens.length, end.reason], [maxTokens, 'length'])
    if (accepted > maxTokens / 2) within++
  }
  assert.ok(within > 3, `${within}`)
  for (const room of [1, 2, 3, 7, 8, 9, 17]) {
    const { tokens, end } = await same(pair({ context: prompt.length + room, slots: 1 }), {
      prompt,
      maxTokens: 200,
      temperature: 0,
      ignoreEndOfText: true
    })
    assert.deepEqual([tokens.length, end.reason], [room, 'length'])
  }
})

test('at a token that ends a text, wherever in a draft it stands', async () => {
  let within = 0
  for (const ending of new Set(loop)) {
    const ended = pair({}, [ending])
    for (let k = 0; k < period; k++) {
      const { tokens, end, accepted } = await same(ended, {
        prompt: [...prompt, ...loop.slice(0, k)],
        maxTokens: 30,
        temperature: 0,
        logprobs: 1
      })
      assert.deepEqual([tokens.at(-1), end.reason], [ending, 'stop'])
      if (accepted === tokens.length - 1) within++ // all but the first
    }
  }
  assert.ok(within > 3, `${within} answers ended with a draft token`)
})

test('at a stop string, wherever in a draft it begins and ends', async () => {
  const { text } = await same(both, { prompt, maxTokens: 3 * period, temperature: 0, ignoreEndOfText: true })
  for (let from = 0; from < text.length / 3; from++) {
    for (const length of [1, 5, 12]) {
      const stop = text.slice(from, from + length)
      if (stop === '') continue
      const stopped = await same(both, {
        prompt,
        maxTokens: 60,
        temperature: 0,
        ignoreEndOfText: true,
        stop: [stop, 'zzz']
      })
      assert.deepEqual([stopped.end.reason, stopped.text], ['stop', text.slice(0, text.indexOf(stop))])
    }
  }
})

test('a reader that falls behind stops the answer after as many tokens, and gets the same later', async () => {
  for (let k = 0; k < 6; k++) {
    const left: object[][] = []
    for (const engine of both) {
      const abort = new AbortController()
      const stream = engine.generate(
        { prompt: [...prompt, ...loop.slice(0, k)], seed: 7, maxTokens: 80, temperature: 0, ignoreEndOfText: true },
        abort.signal
      )
      await stream.next()
      // Each step of the others is one of this answer's, too, until it has stopped.
      await Promise.all(
        Array.from({ length: 1 + (k % 3) }, () =>
          events(engine, {
            prompt: [k],
            maxTokens: 130,
            temperature: 2,
            topK: 0,
            topP: 1,
            minP: 0,
            ignoreEndOfText: true
          })
        )
      )
      abort.abort()
      left.push((await Array.fromAsync(stream)).map(e => (e.type === 'end' ? { ...e, timings: 0 } : e)))
    }
    assert.deepEqual(left[1], left[0])
    assert.equal(left[0]!.length, 64 + 1, 'as many as may wait, and the end')
  }
})

test('what a tenant leaves behind is what it leaves without drafts, and is used in the same way', async () => {
  const tenants = pair()
  for (const [k, tenant] of [
    [0, 'a'],
    [0, 'a'],
    [3, 'a'],
    [0, 'b'],
    [16, 'b'],
    [2, 'a']
  ] as const) {
    for (const maxTokens of [5, 40])
      await same(
        tenants,
        { prompt: [...prompt, ...loop.slice(0, k)], maxTokens, temperature: 0, ignoreEndOfText: true, logprobs: 0 },
        tenant
      )
    assert.deepEqual(tenants[1].cache, tenants[0].cache)
  }
  assert.ok(tenants[1].cache.reusedTokens > 200)
})

test('several answers at once, and runs of few rows', async () => {
  const requests = [0, 1, 2, 3, 4, 5, 6, 7].map(k => ({
    prompt: [...prompt, ...loop.slice(0, k)],
    maxTokens: 10 + 5 * k,
    temperature: (k % 3) / 4,
    seed: k,
    logprobs: 1
  }))
  const alone = await Promise.all(requests.map(r => events(both[0], r)))
  for (const [rows, slots] of [
    [5, 1],
    [6, 3],
    [9, 2],
    [256, 3],
    [256, 5],
    [256, 8]
  ] as const) {
    const engine = made({ speculate: 0, rows, slots })
    assert.deepEqual(await Promise.all(requests.map(r => events(engine, r))), alone, `${rows} rows, ${slots} slots`)
    assert.ok(engine.drafts.accepted > 0)
  }
})

test('the runner drafts as it is told to, and reports how much', async () => {
  const answers: string[] = []
  const folder = mkdtempSync(join(tmpdir(), 'verit-speculation-'))
  const path = join(folder, 'model.gguf')
  copyFileSync(defaultModelPath(), path)
  chmodSync(path, 0o600)
  for (const speculate of [true, false]) {
    const runner = await ModelRunner.start(path, { threads: 1, speculate })
    try {
      let answer = ''
      for await (const e of runner.generate(
        { text: 'We must' },
        { maxTokens: 120, temperature: 0, ignoreEndOfText: true }
      ))
        if (e.type === 'token') answer += e.text
      answers.push(answer)
      const { drafted, accepted } = (await runner.figures())!
      assert.ok(
        speculate ? accepted > 20 && drafted >= accepted : drafted === 0 && accepted === 0,
        `${accepted} of ${drafted}`
      )
    } finally {
      await runner.close()
    }
  }
  rmSync(folder, { recursive: true })
  assert.equal(answers[1], answers[0])
})

test('an impossible cost of a row is refused', async () => {
  const { loadModel: load } = await import('../src/engine/load.ts')
  for (const speculate of [-1, 1.5, NaN])
    await assert.rejects(load(defaultModelPath(), { speculate }), { code: 'VERIT_REQUEST' })
})
