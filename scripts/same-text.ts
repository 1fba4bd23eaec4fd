/**
 * `node scripts/same-text.ts FOLDER [PYTHON]`: writes a random gpt in each form that other programs open, and lets
 * llama.cpp (node-llama-cpp in FOLDER/node_modules, as for agreement.ts) and, where PYTHON names an interpreter with
 * torch, transformers, gguf and accelerate, transformers continue the same texts greedily. One JSON line for each
 * form: texts with the same ids and texts with the same tokens, of how many. Neither program is a dependency of
 * Verit.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { loadModel } from '../src/engine/load.ts'
import { openExecutor } from '../src/exec/index.ts'
import { parseModelConfig } from '../src/model/config.ts'
import { exportGguf } from '../src/model/export-gguf.ts'
import { initialWeights } from '../src/model/initialise.ts'
import type { Tokenizer } from '../src/tokenizer/tokenizer.ts'
import { TokenizerTrainer } from '../src/tokenizer/train-tokenizer.ts'

/** What is used of node-llama-cpp 3. */
interface NodeLlamaCpp {
  getLlama(options: {
    gpu: false
    build: 'never'
    logLevel: string
  }): Promise<{ loadModel(options: { modelPath: string }): Promise<LlamaModel>; dispose(): Promise<void> }>
}
interface LlamaModel {
  tokenize(text: string): readonly number[]
  createContext(options: {
    contextSize: number
    threads: number
    batchSize: number
  }): Promise<{ getSequence(): LlamaSequence; dispose(): Promise<void> }>
  dispose(): Promise<void>
}
interface LlamaSequence {
  evaluate(tokens: readonly number[], options: { temperature: 0; yieldEogToken: true }): AsyncIterable<number>
}

const TOKENS = 30
const ASCII = 'The cat sat.'
const BEYOND = 'Thé “cät” sat — 🙂.'

export interface Form {
  readonly vocabulary: 'characters' | 'characters beyond ASCII' | 'BPE'
  readonly bias: boolean
}
export const forms: readonly Form[] = (['characters', 'characters beyond ASCII', 'BPE'] as const).flatMap(
  vocabulary => [
    { vocabulary, bias: true },
    { vocabulary, bias: false }
  ]
)

export interface SameText extends Form {
  readonly texts: number
  readonly llamaIds: number
  readonly llamaTokens: number
  /** Absent without an interpreter; a sentence where the tokenizer is refused there. */
  readonly transformersIds?: number | string
  readonly transformersTokens?: number
}

interface Continued {
  readonly ids: readonly number[]
  readonly tokens: readonly number[]
}

/** @param folder where node_modules/node-llama-cpp is. @param python an interpreter with transformers */
export async function sameText(folder: string, form: Form, python?: string): Promise<SameText> {
  const scratch = mkdtempSync(join(tmpdir(), 'verit-same-text-'))
  const path = join(scratch, 'm.gguf')
  try {
    const text = form.vocabulary === 'characters beyond ASCII' ? BEYOND : ASCII
    const tokenizer = vocabulary(form, text)
    const config = parseModelConfig({
      kind: 'gpt',
      layers: 3,
      hidden: 64,
      heads: 4,
      context: 128,
      vocab: tokenizer.vocabSize,
      bias: form.bias
    })
    const weights = initialWeights(config, 7)
    await exportGguf(
      path,
      openExecutor({ threads: 1 }),
      config,
      tokenizer,
      p => (p.shape.length > 1 ? weights.get(p.name)!.map(v => 6 * v) : weights.get(p.name)!),
      { name: 'random' }
    )
    const texts = Array.from({ length: 6 }, (_, i) => [...text].slice(i, i + 6).join(''))
    const [own, llama] = [await byVerit(path, texts), await byLlama(folder, path, texts)]
    const equal = (a: readonly unknown[], b: readonly unknown[] | undefined): number =>
      a.filter((x, i) => JSON.stringify(x) === JSON.stringify(b?.[i])).length
    const ids = own.map(c => c.ids)
    const tokens = own.map(c => c.tokens)
    const hf = python === undefined ? undefined : byTransformers(python, path, texts, ids)
    return {
      ...form,
      texts: texts.length,
      llamaIds: equal(
        ids,
        llama.map(c => c.ids)
      ),
      llamaTokens: equal(
        tokens,
        llama.map(c => c.tokens)
      ),
      ...(hf !== undefined && {
        transformersIds: hf.refused ?? equal(ids, hf.ids),
        transformersTokens: equal(tokens, hf.tokens)
      })
    }
  } finally {
    rmSync(scratch, { recursive: true })
  }
}

function vocabulary({ vocabulary: kind }: Form, text: string): Tokenizer {
  const trainer = new TokenizerTrainer(kind === 'BPE' ? { vocabSize: 300 } : { kind: 'character' })
  trainer.push(`${text} `.repeat(20))
  trainer.end()
  return trainer.finish()
}

async function byVerit(path: string, texts: readonly string[]): Promise<Continued[]> {
  await using model = await loadModel(path, { threads: 1 })
  const all: Continued[] = []
  for (const text of texts) {
    const ids = [...model.tokenizer.encode(text)]
    const tokens: number[] = []
    for await (const event of model.generate({ prompt: ids, temperature: 0, maxTokens: TOKENS, ignoreEndOfText: true }))
      if (event.type === 'token') tokens.push(event.id)
    all.push({ ids, tokens })
  }
  return all
}

async function byLlama(folder: string, path: string, texts: readonly string[]): Promise<Continued[]> {
  const { getLlama } = (await import(
    pathToFileURL(resolve(folder, 'node_modules/node-llama-cpp/dist/index.js')).href
  )) as NodeLlamaCpp
  const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error' })
  const model = await llama.loadModel({ modelPath: path })
  const all: Continued[] = []
  for (const text of texts) {
    const context = await model.createContext({ contextSize: 128, threads: 1, batchSize: 64 })
    const ids = [...model.tokenize(text)]
    const tokens: number[] = []
    for await (const token of context.getSequence().evaluate(ids, { temperature: 0, yieldEogToken: true }))
      if (tokens.push(token) === TOKENS) break
    all.push({ ids, tokens })
    await context.dispose()
  }
  await model.dispose()
  await llama.dispose()
  return all
}

function byTransformers(
  python: string,
  path: string,
  texts: readonly string[],
  ids: readonly unknown[]
): { ids?: unknown[]; refused?: string; tokens: unknown[] } {
  const script = fileURLToPath(new URL('transformers-greedy.py', import.meta.url))
  const out = execFileSync(
    python,
    [script, dirname(path), basename(path), JSON.stringify(texts), JSON.stringify(ids), String(TOKENS)],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }
  )
  return JSON.parse(out.trim().split('\n').at(-1)!) as { ids?: unknown[]; refused?: string; tokens: unknown[] }
}

if (import.meta.main) {
  const [folder, python] = process.argv.slice(2)
  if (folder === undefined) throw new Error('node scripts/same-text.ts FOLDER [PYTHON]')
  for (const form of forms) process.stdout.write(`${JSON.stringify(await sameText(folder, form, python))}\n`)
  process.exit(0)
}
