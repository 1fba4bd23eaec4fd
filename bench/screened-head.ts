/**
 * What a screened head (docs/internals/output-head-screening.md) leaves to be computed, and what it gains: the share of
 * rows of the head that are computed for the 1, 40 and 256 largest logits at the positions of a text, and tokens a
 * second with and without it, by turns. Without a text the tokens are drawn.
 *
 *     node bench/screened-head.ts MODEL.gguf [TEXT]
 *
 * The head has to be f16: `verit convert MODEL.gguf OTHER.gguf --head f16`.
 */
import { readFileSync } from 'node:fs'
import { spread } from '../src/bench/benchmark.ts'
import { ServingModel } from '../src/engine/serving-model.ts'
import { openExecutor } from '../src/exec/index.ts'
import { openGguf } from '../src/formats/gguf-reader.ts'
import { loadModel } from '../src/model/load-gguf.ts'
import { headPacking } from '../src/model/weights.ts'

const POSITIONS = 128
const ROUNDS = 7
const [path, text] = process.argv.slice(2)
if (path === undefined) throw new Error('usage: node bench/screened-head.ts MODEL.gguf [TEXT]')
const executor = openExecutor({})
async function open(screen: boolean): Promise<{ model: ServingModel; ids: number[] }> {
  using file = openGguf(path!)
  const { config, tokenizer, weights } = await loadModel(file, executor, { screen })
  if (screen && !headPacking(config, weights.form).screened)
    throw new Error('the head of this model is not screened: it is no f16, or its width is no multiple of 256')
  const ids =
    text === undefined
      ? Array.from({ length: POSITIONS }, (_, i) => (i * 7919) % config.vocab)
      : Array.from(tokenizer.encode(readFileSync(text, 'utf8').slice(0, 1 << 16)).slice(0, POSITIONS))
  return { model: new ServingModel(executor, config, weights, { context: ids.length }), ids }
}
const screened = await open(true)
const whole = await open(false)

async function pass({ model, ids }: typeof whole, top: number): Promise<{ perSecond: number; kept: number }> {
  const start = performance.now()
  let kept = 0
  let counting = 0
  for (const [position, id] of ids.entries()) {
    const [logits] = await model.run([{ id, position, slot: 0, wanted: true, top }])
    const before = performance.now()
    for (const x of logits!) if (x !== -Infinity) kept++
    counting += performance.now() - before
  }
  return {
    perSecond: (ids.length * 1000) / (performance.now() - start - counting),
    kept: kept / ids.length / model.config.vocab
  }
}

for (const top of [1, 40, 256, 0]) {
  const rounds = []
  for (let r = 0; r < ROUNDS; r++) rounds.push({ with: await pass(screened, top), without: await pass(whole, top) })
  const speed = (s: ReturnType<typeof spread>): string =>
    `${s.median.toFixed(1)} (${s.min.toFixed(1)} to ${s.max.toFixed(1)})`
  process.stdout.write(
    `${top === 0 ? 'all' : `top ${top}`}: ${(100 * rounds[0]!.with.kept).toFixed(2)} % of the rows; tokens/s with ` +
      `${speed(spread(rounds.map(r => r.with.perSecond)))}, ` +
      `without ${speed(spread(rounds.map(r => r.without.perSecond)))}, ratio ` +
      `${spread(rounds.map(r => r.with.perSecond / r.without.perSecond)).median.toFixed(2)}\n`
  )
}
