/**
 * `node scripts/agreement.ts FOLDER`: writes random models as TQ2_0 and lets llama.cpp run them, through
 * node-llama-cpp, which stands in FOLDER/node_modules (`npm install --prefix FOLDER node-llama-cpp`; it is no
 * dependency of Verit). One JSON line for each: the share of equal greedy tokens, with each engine on its own and with
 * llama.cpp given Verit's tokens, and the mean distance of the log-probabilities. llama.cpp rounds activations in
 * blocks of 256, Verit by the row: where rows have 256 numbers both round alike.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { writeRandomModel } from '../src/bench/random-model.ts'
import { ServingModel } from '../src/engine/serving-model.ts'
import { openExecutor } from '../src/exec/index.ts'
import { openGguf } from '../src/formats/gguf-reader.ts'
import { parseModelConfig } from '../src/model/config.ts'
import type { BitnetConfig } from '../src/model/config.ts'
import { convertModel } from '../src/model/convert.ts'
import { architectureOf } from '../src/model/gguf-config.ts'
import { loadModel } from '../src/model/load-gguf.ts'
import { ggufSource } from '../src/model/model-source.ts'

/** What is used of node-llama-cpp 3. */
interface NodeLlamaCpp {
  getLlama(options: {
    gpu: false
    build: 'never'
    logLevel: string
  }): Promise<{ loadModel(options: { modelPath: string }): Promise<LlamaModel>; dispose(): Promise<void> }>
}
interface LlamaModel {
  createContext(options: {
    contextSize: number
    threads: number
    batchSize: number
  }): Promise<{ getSequence(): LlamaSequence; dispose(): Promise<void> }>
  dispose(): Promise<void>
}
type Asked = number | [number, { generateNext: { token: true; probabilities: true; options: { temperature: 0 } } }]
interface LlamaSequence {
  controlledEvaluate(
    input: Asked[]
  ): Promise<({ next: { token: number; probabilities: Map<number, number> } } | undefined)[]>
  evaluate(tokens: readonly number[], options: { temperature: 0 }): AsyncIterable<number>
  clearHistory(): Promise<void>
}

export interface Agreement {
  readonly architecture: string
  /** Widths of the rows that are rounded. */
  readonly rows: readonly number[]
  readonly sameFree: number
  readonly sameForced: number
  readonly meanAbsLogProbability: number
}

const PROMPTS = 8
const PROMPT = 16
const TOKENS = 40

/** The models: rows of one block and of several, BitNet's block and Llama's with a head of its own. */
export const agreementShapes = [256, 512].flatMap(hidden =>
  [{}, { subNorms: false, tied: false }].map(
    block =>
      parseModelConfig({
        kind: 'bitnet',
        layers: 4,
        hidden,
        heads: hidden / 64,
        kvHeads: hidden / 128,
        ffn: hidden === 256 ? 256 : 1536,
        context: 256,
        vocab: 512,
        activation: 'silu',
        theta: 10_000,
        ...block
      }) as BitnetConfig
  )
)

/** @param folder where node_modules/node-llama-cpp is */
export async function agreement(folder: string, config: BitnetConfig): Promise<Agreement> {
  const { getLlama } = (await import(
    pathToFileURL(resolve(folder, 'node_modules/node-llama-cpp/dist/index.js')).href
  )) as NodeLlamaCpp
  const scratch = mkdtempSync(join(tmpdir(), 'verit-agreement-'))
  const path = join(scratch, 'tq2.gguf')
  const executor = openExecutor({ threads: 1 })
  try {
    await writeRandomModel(join(scratch, 'm.gguf'), executor, config, { seed: 3, scale: 4 })
    using made = openGguf(join(scratch, 'm.gguf'))
    await convertModel(ggufSource(made), path, { ternary: 'TQ2_0', head: 'F32' })
    using file = openGguf(path)
    const { weights } = await loadModel(file, executor)
    using ours = new ServingModel(executor, config, weights, { slots: 1 })
    const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error' })
    const model = await llama.loadModel({ modelPath: path })
    let free = 0
    let forced = 0
    let distance = 0
    for (let p = 0; p < PROMPTS; p++) {
      const prompt = Array.from({ length: PROMPT }, (_, i) => 260 + ((i * i * (p + 3) + 7 * i + 31 * p) % 250))
      const { tokens, logProbabilities } = await greedy(ours, prompt)
      const context = await model.createContext({ contextSize: 128, threads: 1, batchSize: 64 })
      const sequence = context.getSequence()
      const ask = (token: number, i: number): Asked =>
        i < PROMPT - 1
          ? token
          : [token, { generateNext: { token: true, probabilities: true, options: { temperature: 0 } } }]
      const answers = (await sequence.controlledEvaluate([...prompt, ...tokens.slice(0, -1)].map(ask))).slice(
        PROMPT - 1
      )
      for (const [i, answer] of answers.entries()) {
        if (answer!.next.token === tokens[i]) forced++
        distance += Math.abs(Math.log(answer!.next.probabilities.get(tokens[i]!)!) - logProbabilities[i]!)
      }
      await sequence.clearHistory()
      let i = 0
      for await (const token of sequence.evaluate(prompt, { temperature: 0 })) {
        if (token === tokens[i]) free++
        if (++i === TOKENS) break
      }
      await context.dispose()
    }
    await model.dispose()
    await llama.dispose()
    const all = PROMPTS * TOKENS
    const rows = [...new Set([config.hidden, config.ffn])]
    return {
      architecture: architectureOf(config),
      rows,
      sameFree: free / all,
      sameForced: forced / all,
      meanAbsLogProbability: distance / all
    }
  } finally {
    rmSync(scratch, { recursive: true })
  }
}

/** Verit's choices and what it thinks of each. */
async function greedy(
  model: ServingModel,
  prompt: readonly number[]
): Promise<{ tokens: number[]; logProbabilities: number[] }> {
  const tokens: number[] = []
  const logProbabilities: number[] = []
  const feed = async (id: number, position: number): Promise<Float32Array> =>
    (await model.run([{ id, position, slot: 0, wanted: true }]))[0]!
  let logits = new Float32Array()
  for (const [i, id] of prompt.entries()) logits = Float32Array.from(await feed(id, i))
  while (tokens.length < TOKENS) {
    const most = Math.max(...logits)
    const id = logits.indexOf(most)
    logProbabilities.push(-Math.log(logits.reduce((sum, x) => sum + Math.exp(x - most), 0)))
    tokens.push(id)
    logits = Float32Array.from(await feed(id, prompt.length + tokens.length - 1))
  }
  return { tokens, logProbabilities }
}

if (import.meta.main) {
  const folder = process.argv[2]
  if (folder === undefined) {
    process.stderr.write('usage: node scripts/agreement.ts FOLDER\n')
    process.exit(2)
  }
  for (const config of agreementShapes) process.stdout.write(`${JSON.stringify(await agreement(folder, config))}\n`)
}
