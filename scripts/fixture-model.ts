/**
 * Compares a GGUF model with what a reference computed from the same weights: `expected.safetensors` (`logits` F32
 * [sequences, tokens, vocab]) and `expected.json` (`tokens`: the sequences; `greedy`: one of them and its greedy
 * continuation, or a list of such).
 */
import { join } from 'node:path'
import { ServingModel } from '../src/engine/serving-model.ts'
import { openExecutor } from '../src/exec/index.ts'
import { openGguf } from '../src/formats/gguf-reader.ts'
import { openSafetensors } from '../src/formats/safetensors.ts'
import { VeritError } from '../src/lib/errors.ts'
import { openRegular } from '../src/lib/regular-file.ts'
import { loadModel } from '../src/model/load-gguf.ts'

export interface SequenceComparison {
  readonly tokens: number
  /** Over all logits of the sequence. */
  readonly meanAbsLogits: number
  readonly maxAbsLogits: number
  /** Standard deviation of the reference's logits, over all of the sequence. */
  readonly deviation: number
  readonly greedy: GreedyComparison | null
}

/** The reference's greedy continuation; null where it has none. */
export interface GreedyComparison {
  readonly tokens: number
  /** How many of them, from the first on, are Verit's own choices. */
  readonly same: number
  /** How many are Verit's choices after the reference's tokens (teacher forcing). */
  readonly agreed: number
}

export interface ModelComparison {
  readonly architecture: string
  readonly executor: string
  readonly meanAbsLogits: number
  readonly maxAbsLogits: number
  /** `meanAbsLogits` over the standard deviation of the reference's logits. */
  readonly relativeToDeviation: number
  /** Whether every greedy continuation is the same to its end. */
  readonly sameGreedy: boolean
  readonly sequences: readonly SequenceComparison[]
}

/**
 * @param decoded multiplies the values that blocks decode to, as the reference does, without rounding activations
 * @throws VeritError when a file is missing, or does not hold a model or what was expected of it
 */
export async function compareModel(
  path: string,
  dir: string,
  { decoded = false }: { decoded?: boolean } = {}
): Promise<ModelComparison> {
  using file = openGguf(path)
  const executor = openExecutor()
  const { config, weights } = await loadModel(file, executor, { decoded })
  const { sequences, continuations } = readExpected(join(dir, 'expected.json'), config.vocab)
  const context = Math.max(...sequences.map(s => s.length), ...continuations.map(s => s.length))
  if (context > config.context)
    throw wrong(dir, `its sequences have up to ${context} tokens, the model looks at ${config.context}`)
  const expected = readLogits(join(dir, 'expected.safetensors'), sequences, config.vocab)
  using model = new ServingModel(executor, config, weights, { context, slots: 1, cacheType: 'f32' })
  const logitsOf = async (id: number, position: number): Promise<Float32Array> =>
    (await model.run([{ id, position, slot: 0, wanted: true }]))[0]!

  const compared: SequenceComparison[] = []
  for (const [s, ids] of sequences.entries()) {
    let sum = 0
    let worst = 0
    for (const [position, id] of ids.entries()) {
      const logits = await logitsOf(id, position)
      const at = (s * ids.length + position) * config.vocab
      for (const [i, x] of logits.entries()) {
        const off = Math.abs(x - expected[at + i]!)
        sum += off
        worst = Math.max(worst, off)
      }
    }
    const whole = continuations.find(c => c.length > ids.length && ids.every((id, i) => c[i] === id))
    const reference = expected.subarray(s * ids.length * config.vocab, (s + 1) * ids.length * config.vocab)
    compared.push({
      tokens: ids.length,
      meanAbsLogits: sum / (ids.length * config.vocab),
      maxAbsLogits: worst,
      deviation: deviationOf(reference),
      greedy: whole === undefined ? null : await follow(whole, ids.length)
    })
  }
  const total = compared.reduce((n, c) => n + c.tokens, 0)
  const mean = (value: (c: SequenceComparison) => number): number =>
    compared.reduce((sum, c) => sum + value(c) * c.tokens, 0) / total
  return {
    architecture: file.metadata.string('general.architecture'),
    executor: executor.name,
    meanAbsLogits: mean(c => c.meanAbsLogits),
    relativeToDeviation: mean(c => c.meanAbsLogits) / mean(c => c.deviation),
    maxAbsLogits: Math.max(...compared.map(c => c.maxAbsLogits)),
    sameGreedy: compared.every(({ greedy }) => greedy === null || greedy.same === greedy.tokens),
    sequences: compared
  }

  /** Feeds the reference's tokens and compares Verit's choice after each of the given ones with the next. */
  async function follow(whole: readonly number[], given: number): Promise<GreedyComparison> {
    let same = 0
    let agreed = 0
    for (let position = 0; position + 1 < whole.length; position++) {
      const logits = await logitsOf(whole[position]!, position)
      if (position + 1 < given || logits.indexOf(Math.max(...logits)) !== whole[position + 1]) continue
      if (same === position + 1 - given) same++
      agreed++
    }
    return { tokens: whole.length - given, same, agreed }
  }
}

function deviationOf(values: Float32Array): number {
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length
  return Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length)
}

const wrong = (path: string, problem: string, cause?: unknown): VeritError =>
  new VeritError(
    'VERIT_USAGE',
    {
      problem: `${path} is not a reference for this model: ${problem}`,
      hint: 'Compare it with test/fixtures/hf-bitnet'
    },
    cause
  )

function readExpected(path: string, vocab: number): { sequences: number[][]; continuations: number[][] } {
  const list = (value: unknown): value is number[] =>
    Array.isArray(value) && value.length > 0 && value.every(id => Number.isInteger(id) && id >= 0 && id < vocab)
  const { tokens, greedy = [] } = readJson(path) as { tokens?: unknown; greedy?: unknown }
  if (!Array.isArray(tokens) || tokens.length === 0 || !tokens.every(list))
    throw wrong(path, `its tokens are not lists of numbers from 0 to ${vocab - 1}`)
  if (tokens.some(s => s.length !== tokens[0]!.length)) throw wrong(path, 'its sequences are not all of one length')
  const continuations: unknown = list(greedy) ? [greedy] : greedy
  if (!Array.isArray(continuations) || !continuations.every(list))
    throw wrong(path, 'what follows greedily is not a list of tokens, or several')
  return { sequences: tokens, continuations }
}

function readJson(path: string): object {
  using file = openRegular(path, 'what a reference computed')
  try {
    const value: unknown = JSON.parse(file.readAll().toString('utf8'))
    if (typeof value === 'object' && value !== null) return value
  } catch (e) {
    if (!(e instanceof SyntaxError)) throw e
    throw wrong(path, `its text is not JSON (${e.message})`, e)
  }
  throw wrong(path, 'it is not an object')
}

function readLogits(path: string, sequences: readonly (readonly number[])[], vocab: number): Float32Array {
  using file = openSafetensors(path)
  const entry = file.tensors.get('logits')
  const shape = [sequences.length, sequences[0]!.length, vocab]
  if (entry?.dtype !== 'F32' || entry.shape.join() !== shape.join())
    throw wrong(path, `it has no tensor logits of F32 ${shape.join(' x ')}`)
  return new Float32Array(file.read('logits').buffer)
}
