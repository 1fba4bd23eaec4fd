/**
 * A GGUF model of any shape with random weights, for tests and for measuring speed, which does not depend on weights.
 */
import type { Executor } from '../exec/plan.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import type { ModelConfig } from '../model/config.ts'
import { exportGguf } from '../model/export-gguf.ts'
import { initialWeights } from '../model/initialise.ts'
import { byteSpelling } from '../tokenizer/bytes.ts'
import { CONTROL, NORMAL } from '../tokenizer/parts.ts'
import { Tokenizer } from '../tokenizer/tokenizer.ts'

/**
 * A tokenizer of single bytes, end of text, special tokens, and unused ordinary tokens up to the vocabulary size, at
 * least 257.
 */
export function byteTokenizer(vocab: number, specials: readonly string[] = []): Tokenizer {
  const names = ['<|endoftext|>', ...specials]
  const special = names.length
  while (byteSpelling.length + names.length < vocab) names.push(`<|unused${names.length}|>`)
  const tokens = [...names, ...byteSpelling]
  return Tokenizer.fromParts(
    { tokens, tokenTypes: tokens.map((_, id) => (id < special ? CONTROL : NORMAL)), merges: [], pretokenizer: 'gpt-2' },
    'the byte tokenizer'
  )
}

/**
 * Writes the file and returns its size in bytes.
 * @param options.scale factor on the starting values; above 1 the choices of an untrained model are less alike
 */
export async function writeRandomModel(
  path: string,
  executor: Executor,
  config: ModelConfig,
  options: {
    seed?: number
    scale?: number
    specials?: readonly string[]
    entries?: readonly [string, GgufValue][]
  } = {}
): Promise<number> {
  const { seed = 1, scale = 1, specials = [], entries = [] } = options
  const weights = initialWeights(config, seed)
  const values = (p: { name: string; shape: readonly number[] }): Float32Array => {
    const initial = weights.get(p.name)!
    return scale === 1 || p.shape.length === 1 ? initial : initial.map(v => v * scale)
  }
  return exportGguf(path, executor, config, byteTokenizer(config.vocab, specials), values, { name: 'random', entries })
}
