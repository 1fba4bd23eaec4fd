/** Fits the vocabulary of a tokenizer to the embedding of its model. */
import { gguf } from '../formats/gguf-value.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { UNUSED } from '../tokenizer/parts.ts'

type Entries = readonly (readonly [string, GgufValue])[]

/** The score that converters of llama.cpp give to pieces which pad a vocabulary. */
const UNUSED_SCORE = -10_000

const numbersOf = (value: GgufValue): number[] =>
  value.type === 'array' ? Array.from(value.value as Iterable<number | bigint>, Number) : []

/** Number of tokens in the metadata of a tokenizer. */
export function tokenCount(entries: Entries): number {
  const tokens = entries.find(([key]) => key === 'tokenizer.ggml.tokens')?.[1]
  return tokens?.type === 'array' ? tokens.value.length : 0
}

/**
 * A vocabulary of the embedding's size: published embeddings are often padded to a round number of rows. The padding
 * gets unused tokens.
 * @param spare rows without a token
 */
export function padVocabulary(entries: Entries, spare: number): Entries {
  const tokens = entries.find(([key]) => key === 'tokenizer.ggml.tokens')?.[1]
  const texts = tokens?.type === 'array' && tokens.of === 'string' ? tokens.value : []
  const taken = new Set(texts)
  const pads = Array.from({ length: spare }, (_, i) => freeName(`[PAD${texts.length + i}]`, taken))
  const longer: Readonly<Record<string, (value: GgufValue) => GgufValue>> = {
    'tokenizer.ggml.tokens': () => gguf.strings([...texts, ...pads]),
    'tokenizer.ggml.token_type': value => gguf.i32s([...numbersOf(value), ...pads.map(() => UNUSED)]),
    'tokenizer.ggml.scores': value => gguf.f32s([...numbersOf(value), ...pads.map(() => UNUSED_SCORE)])
  }
  return entries.map(([key, value]) => [key, longer[key]?.(value) ?? value] as const)
}

/** The name, with underscores at the end where a token has it already. */
function freeName(name: string, taken: Set<string>): string {
  const free = taken.has(name) ? freeName(`${name}_`, taken) : name
  taken.add(free)
  return free
}
