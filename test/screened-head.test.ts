/**
 * The certificate of a screened head (docs/internals/output-head-screening.md): what it leaves out can never be among
 * the largest, whatever weights and rows are, and a generation never differs by it.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import type { Engine, GenerateRequest } from '../src/engine/engine.ts'
import { loadModel } from '../src/engine/load.ts'
import { neededLogits } from '../src/sampler/needed-logits.ts'
import { ChatFormat } from '../src/engine/chat-format.ts'
import { checkRequest } from '../src/engine/request.ts'
import { finish } from '../src/lib/steps.ts'
import { writeRandomPacked } from '../src/bench/random-packed.ts'
import { byteTokenizer } from '../src/bench/random-model.ts'
import { openExecutor } from '../src/exec/index.ts'
import { referenceExecutor } from '../src/exec/reference.ts'
import { compile } from '../src/graph/compile.ts'
import { Graph } from '../src/graph/graph.ts'
import type { Tensor } from '../src/graph/graph.ts'
import { screenedHead } from '../src/weights/screened-head.ts'
import { f16ToF32, f32ToF16 } from '../src/lib/half.ts'
import { parseModelConfig } from '../src/model/config.ts'
import type { BitnetConfig } from '../src/model/config.ts'
import { numbers } from './numbers.ts'
import { runGraph } from './run-graph.ts'

const folder = mkdtempSync(join(tmpdir(), 'verit-screen-'))
after(() => rmSync(folder, { recursive: true }))
const executor = openExecutor({ threads: 2 })
const N = 3

/** The logits of a screened head, those of the whole product, the estimates and their bounds. */
async function both(
  w: Uint16Array,
  x: Float32Array,
  O: number,
  K: number,
  top: readonly number[],
  by = executor
): Promise<Record<'screened' | 'whole' | 'y' | 'errors' | 'limits', number[]>> {
  const g = new Graph()
  const rows = g.input('w', 'f16', [O, K])
  const input = g.input('x', 'f32', [N, K])
  const most = g.input('top', 'i32', [N])
  const [codes, s, d, errors] = g.apply('screenQ6_K', [rows])
  const [q, scale, sum] = g.apply('quantizeFine', [input])
  const [y] = g.apply('fineMatmulQ6_K', [q!, scale!, sum!, codes!, s!, d!], { O, K })
  const [limits] = g.apply('screenLimits', [input, scale!, y!, errors!, most])
  const parts: Record<string, Tensor> = { rows, codes: codes!, s: s!, d: d!, errors: errors! }
  const screened = screenedHead.linear(g, input, part => parts[part]!, { out: O, inputs: K }, undefined, most)
  const [panels] = g.apply('halfPanels', [rows])
  const outputs = { screened, whole: g.packedLinear(input, panels!, O), y: y!, errors: errors!, limits: limits! }
  const read = await runGraph(compile(g, { limits: { rows: 1, outputs: 1 }, outputs }), { w, x, top }, { executor: by })
  return Object.fromEntries(Object.keys(outputs).map(name => [name, read(name)])) as Awaited<ReturnType<typeof both>>
}

/** What the 6-bit copy of the first row lacks. */
async function missing(w: Uint16Array, O: number, K: number): Promise<Float32Array> {
  const g = new Graph()
  const rows = g.input('w', 'f16', [O, K])
  const [codes, s, d] = g.apply('screenQ6_K', [rows])
  const ids = g.input('ids', 'i32', [1])
  const copy = g.apply('fineRowsQ6_K', [codes!, s!, d!, ids], { O, K })[0]!
  const first = f16ToF32(w.slice(0, K))
  const read = await runGraph(
    compile(g, { limits: { rows: 1, outputs: 1 }, outputs: { copy } }),
    { w, ids: [0] },
    { executor }
  )
  return Float32Array.from(read('copy'), (v, k) => first[k]! - v)
}

/** Numbers of one kind, by a generator. */
const kinds: Record<string, (next: (n: number) => number) => number> = {
  normal: next => Array.from({ length: 6 }, () => next(1001) / 1000 - 0.5).reduce((a, b) => a + b) * 0.05,
  even: next => (next(2001) - 1000) / 1000,
  outliers: next => (next(2001) - 1000) / (next(60) === 0 ? 1 : 500),
  magnitudes: next => (next(3) - 1) * 2 ** (next(30) - 24),
  zeros: next => (next(20) === 0 ? 0.25 : 0),
  steps: next => (next(7) - 3) / 8, // equal logits
  large: next => (next(2001) - 1000) * 60,
  subnormal: next => (next(201) - 100) * 2 ** -24
}

test(
  'every logit is within its bound, and the largest ones, with all that equal the last of them, are those of ' +
    'the whole product to the bit',
  async () => {
    let left = 0
    let all = 0
    let closest = 0
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...Object.keys(kinds)),
        fc.constantFrom(...Object.keys(kinds)),
        fc.constantFrom(256, 512, 1024),
        fc.integer({ min: 2, max: 700 }),
        fc.integer({ min: 1, max: 50 }),
        fc.nat(),
        fc.integer({ min: -20, max: 20 }),
        async (ofWeights, ofRows, K, O, top, seed, power) => {
          const next = numbers(seed)
          const of = (kind: string, n: number): Float32Array =>
            Float32Array.from({ length: n }, () => kinds[kind]!(next))
          const w = f32ToF16(of(ofWeights, O * K))
          const x = of(ofRows, N * K).map(v => v * 2 ** power)
          const tops = [top, 1, 0]
          const exact = f16ToF32(w)
          // A row that points where x does, and its copy: a clear first place.
          for (let k = 0; k < K; k++) exact[K + k] = exact[k] = Math.max(-60000, Math.min(60000, x[k]! * 2 ** -power))
          w.set(f32ToF16(exact.subarray(0, 2 * K)))
          // And one along the error of that row, where the bound is reached.
          x.set(
            (await missing(w, O, K)).map(v => v * 2 ** power),
            K
          )
          const { screened, whole, y, errors, limits } = await both(w, x, O, K, tops)
          for (let n = 0; n < N; n++) {
            const row = whole.slice(n * O, (n + 1) * O)
            const got = screened.slice(n * O, (n + 1) * O)
            const least = tops[n] === 0 || tops[n]! >= O ? -Infinity : row.toSorted((a, b) => b - a)[tops[n]! - 1]!
            for (let o = 0; o < O; o++) {
              const at = (o >> 4) * 32 + (o & 15)
              const bound = errors[at]! * limits[n * 3]! + errors[at + 16]! * limits[n * 3 + 1]!
              closest = Math.max(closest, Math.abs(row[o]! - y[n * O + o]!) / bound)
              assert.ok(
                Math.abs(row[o]! - y[n * O + o]!) <= bound,
                `logit ${row[o]}, estimate ${y[n * O + o]}, bound ${bound}`
              )
              if (row[o]! >= least) assert.ok(Object.is(got[o], row[o]), `${got[o]}, not ${row[o]}`)
              else assert.ok(got[o] === row[o] || got[o] === -Infinity)
              if (got[o] === -Infinity) left++
              all++
            }
          }
        }
      ),
      { numRuns: 60 }
    )
    assert.ok(left > all / 10, `${left} of ${all} were left out`)
    assert.ok(closest > 0.9, `the error came to ${closest} of its bound`)
  }
)

test('where a sum could pass the range of f32 on its way, all is computed: no estimate knows that', async () => {
  const K = 256
  const O = 40
  // The first row's sum goes to -∞ and stays there, though the whole of it would be the largest.
  const w = f32ToF16(
    Float32Array.from({ length: O * K }, (_, i) => (i >= K ? 0.1 * Math.floor(i / K) : i < K / 2 ? -60000 : 62000))
  )
  const x = new Float32Array(N * K)
    .fill(4.5e31, 0, K)
    .fill(2 ** 96, K, 2 * K)
    .fill(2 ** 90, 2 * K)
  for (const by of [executor, referenceExecutor()]) {
    const { screened, whole, limits } = await both(w, x, O, K, [1, 1, 1], by)
    assert.deepEqual(screened.slice(0, 2 * O), whole.slice(0, 2 * O))
    assert.equal(whole[0], -Infinity)
    assert.deepEqual(
      screened.slice(2 * O).map(Number.isFinite),
      Array.from({ length: O }, (_, o) => o === 0)
    )
    assert.deepEqual([limits[0], limits[3], limits[6]], [Infinity, Infinity, Math.fround(2 ** 94 * (1 + 2 ** -20))])
  }
})

test(
  'a generation is the same with a screened head and with a whole one: greedy, sampled, with ' + 'penalties',
  async () => {
    const config = parseModelConfig({
      kind: 'bitnet',
      layers: 1,
      hidden: 256,
      heads: 4,
      kvHeads: 2,
      ffn: 256,
      context: 64,
      vocab: 3000
    }) as BitnetConfig
    const path = join(folder, 'm.gguf')
    writeRandomPacked(path, config)
    await using screened = await loadModel(path, { threads: 2, slots: 4, headScreen: true })
    await using whole = await loadModel(path, { threads: 1, slots: 1, headScreen: false })
    const next = numbers(5)
    const pick = <T>(...of: T[]): T => of[next(of.length)]!
    const requests = Array.from({ length: 60 }, (): GenerateRequest => ({
      prompt: Array.from({ length: 1 + next(8) }, () => next(3000)),
      maxTokens: 12,
      seed: next(1000),
      temperature: pick(0, 0, 0.3, 1, 3),
      topK: pick(0, 1, 2, 40, 300),
      topP: pick(1, 0.95),
      minP: pick(0, 0.05),
      repetitionPenalty: pick(1, 1, 1.4, 0.7),
      repetitionWindow: pick(0, 4, 64),
      presencePenalty: pick(0, 0, 1, -1),
      frequencyPenalty: pick(0, 0, 0.5, -0.5),
      ...(next(6) === 0 && { logprobs: 3 }),
      ignoreEndOfText: true
    }))
    const answer = async (engine: Engine, request: GenerateRequest): Promise<object[]> =>
      (await Array.fromAsync(engine.generate(request))).filter(e => e.type === 'token')
    const together = await Promise.all(requests.map(r => answer(screened, r)))
    for (const [i, request] of requests.entries())
      assert.deepEqual(together[i], await answer(whole, request), JSON.stringify(request))
  }
)

test('how many logits a choice needs', () => {
  const tokenizer = byteTokenizer(300)
  const target = { tokenizer, chat: new ChatFormat(undefined, tokenizer), context: 100 }
  const needed = (request: Partial<GenerateRequest>, position: number, excluded?: number): number => {
    const checked = finish(checkRequest({ prompt: [1, 2, 3], ...request }, target))
    return neededLogits(checked, { position, promptTokens: 3, excluded, logprobs: checked.logprobs >= 0 })
  }
  assert.equal(needed({}, 3), 40)
  assert.equal(needed({ temperature: 0 }, 9), 1)
  assert.equal(needed({ topK: 0 }, 9), 0)
  assert.equal(needed({ logprobs: 0 }, 9), 0)
  assert.equal(needed({ topK: 2000 }, 9), 0)
  assert.equal(needed({ repetitionPenalty: 1.1 }, 9), 49)
  assert.equal(needed({ repetitionPenalty: 1.1, repetitionWindow: 4 }, 9), 44)
  assert.equal(needed({ repetitionPenalty: 0.9 }, 9), 0)
  assert.equal(needed({ presencePenalty: 1, temperature: 0 }, 9), 7)
  assert.equal(needed({ frequencyPenalty: -1 }, 9), 0)
  assert.equal(needed({}, 3, 100), 140)
  assert.equal(needed({ temperature: 0 }, 9, 1024), 0)
})
