/**
 * Requests that come and go at random, on a cache too small for all of them, get what each gets alone: the same tokens
 * and log probabilities, to the bit, with draft tokens and without.
 */
// own process: it runs for long
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { Engine, GenerateEvent, GenerateRequest } from '../src/engine/engine.ts'
import { loadModel } from '../src/engine/load.ts'
import { writeRandomModel } from '../src/bench/random-model.ts'
import { openExecutor } from '../src/exec/index.ts'
import { parseModelConfig } from '../src/model/config.ts'
import type { ModelConfig } from '../src/model/config.ts'
import { numbers } from './numbers.ts'

const MIXES = 200
const folder = mkdtempSync(join(tmpdir(), 'verit-batching-'))
after(() => rmSync(folder, { recursive: true }))

const shape = { layers: 2, hidden: 32, heads: 4, context: 112, vocab: 260 }
const models: Record<string, ModelConfig> = {
  bitnet: parseModelConfig({ kind: 'bitnet', ...shape, kvHeads: 2, ffn: 64 }),
  gpt: parseModelConfig({ kind: 'gpt', ...shape })
}

type Token = Extract<GenerateEvent, { type: 'token' }>
const told = ({ id, text, logprob, top }: Token): object => ({ id, text, logprob, top })

/** The tokens of an answer, or of what came before it was cancelled. */
async function tokensOf(
  engine: Engine,
  request: GenerateRequest,
  { tenant, cancelAfter = Infinity, delay = 0 }: { tenant?: string; cancelAfter?: number; delay?: number } = {}
): Promise<object[]> {
  for (let i = 0; i < delay; i++) await setImmediate()
  const tokens: object[] = []
  const abort = new AbortController()
  for await (const event of engine.generate(request, abort.signal, tenant)) {
    if (event.type === 'token') tokens.push(told(event))
    if (tokens.length >= cancelAfter) abort.abort()
  }
  return tokens
}

for (const [kind, config] of Object.entries(models)) {
  test(`${kind}: ${MIXES / 2} random mixes of requests, tenants, shared beginnings and cancellations`, async () => {
    const path = join(folder, `${kind}.gguf`)
    await writeRandomModel(path, openExecutor({ threads: 1 }), config, { scale: 12 })
    const next = numbers(kind === 'gpt' ? 77 : 78)
    const pick = <T>(...of: T[]): T => of[next(of.length)]!
    // 16 pages: two sequences of the whole context, or some short ones.
    const cacheBytes = (16 * 16 * 8 * 2 * 32) / (kind === 'gpt' ? 1 : 2)
    await using plain = await loadModel(path, { threads: 2, slots: 6, rows: 24, cacheBytes, speculate: false })
    await using drafting = await loadModel(path, { threads: 2, slots: 6, rows: 24, cacheBytes, speculate: 0 })
    await using single = await loadModel(path, { threads: 1, slots: 1, rows: 256, speculate: false })
    const stems = Array.from({ length: 4 }, () => Array.from({ length: 90 }, () => next(260)))
    const alone = new Map<string, object[]>()
    let most = 0
    for (let mix = 0; mix < MIXES / 2; mix++) {
      const engine = mix % 2 === 0 ? plain : drafting
      const calls = Array.from({ length: 2 + next(7) }, () => {
        const own = Array.from({ length: 1 + next(12) }, () => next(260))
        const stem = pick(0, 15, 16, 33, 48, 70, 90)
        const request: GenerateRequest = {
          prompt: [...pick(...stems).slice(0, stem), ...own, ...(stem < 50 && next(2) === 0 ? [...own, ...own] : [])],
          maxTokens: pick(1, 2, 9, 20, 60),
          seed: next(1000),
          temperature: pick(0, 0.4, 1),
          logprobs: 2,
          ignoreEndOfText: next(2) === 0,
          repetitionPenalty: pick(1, 1, 1.3)
        }
        return {
          request,
          tenant: pick('a', 'a', 'b', undefined),
          cancelAfter: next(5) === 0 ? 1 + next(4) : Infinity,
          delay: next(12)
        }
      })
      const running = calls.map(({ request, tenant, cancelAfter, delay }) =>
        tokensOf(engine, request, { ...(tenant !== undefined && { tenant }), cancelAfter, delay })
      )
      await setImmediate()
      most = Math.max(most, engine.load.running)
      const answers = await Promise.all(running)
      for (const [i, { request, cancelAfter }] of calls.entries()) {
        const key = JSON.stringify(request)
        if (!alone.has(key)) alone.set(key, await tokensOf(single, request))
        const want = alone.get(key)!
        if (cancelAfter === Infinity) assert.deepEqual(answers[i], want, `mix ${mix}, request ${i}`)
        else assert.deepEqual(answers[i], want.slice(0, answers[i]!.length), `mix ${mix}, request ${i}, cancelled`)
      }
      assert.deepEqual(
        { running: engine.load.running, held: engine.cache.held, promised: engine.cache.promised },
        { running: 0, held: 0, promised: 0 },
        'all is given back'
      )
    }
    const reused = Math.min(plain.cache.reusedTokens, drafting.cache.reusedTokens)
    const { drafted, accepted } = drafting.drafts
    assert.ok(reused > 500 && most > 1, `${reused} tokens were reused, up to ${most} ran at once`)
    assert.deepEqual(plain.drafts, { drafted: 0, accepted: 0 })
    assert.ok(accepted > 20 && drafted > accepted + 20, `${accepted} of ${drafted} draft tokens were accepted`)
  })
}
