/** `verit inspect` for a SentencePiece model: settings, and numbers of pieces by kind. */
import type { ByteSource } from '../lib/regular-file.ts'
import { readSentencePieceModel } from '../tokenizer/sentencepiece-model.ts'

interface Entry {
  key: string
  type: string
  value: unknown
  length?: number
}

const KINDS = ['normal', 'unknown', 'control', 'user_defined', 'unused', 'byte']

/** @param shown pieces that are shown; all are counted */
export function sentencePieceEntries(source: ByteSource, shown: number): Entry[] {
  const { parts, normalizer } = readSentencePieceModel(source)
  const flag = (key: string, value: boolean): Entry => ({ key, type: 'bool', value })
  const id = (key: string, value: number | undefined): Entry[] =>
    value === undefined ? [] : [{ key, type: 'id', value }]
  const list = (key: string, type: string, all: ArrayLike<unknown>): Entry => ({
    key,
    type,
    value: Array.from(all).slice(0, shown),
    length: all.length
  })
  return [
    { key: 'model_type', type: 'string', value: 'bpe' },
    { key: 'normalizer', type: 'string', value: normalizer },
    flag('byte_fallback', parts.byteFallback),
    flag('add_dummy_prefix', parts.addDummyPrefix),
    flag('remove_extra_whitespaces', parts.removeExtraWhitespaces),
    flag('escape_whitespaces', parts.escapeWhitespaces),
    ...id('unknown', parts.unknown),
    ...id('begin_of_text', parts.beginOfText),
    ...id('end_of_text', parts.endOfText),
    ...KINDS.map((kind, i) => ({
      key: `${kind}_pieces`,
      type: 'count',
      value: Array.from(parts.types).filter(t => t === i + 1).length
    })),
    list('pieces', 'string[]', parts.pieces),
    list('scores', 'f32[]', parts.scores)
  ]
}
