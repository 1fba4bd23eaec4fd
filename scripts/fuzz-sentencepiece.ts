/**
 * Fuzzes what reads SentencePiece models and encodes with them: mutated bytes, and mutated fields whose lengths are
 * right, so that faults get past the wire format.
 */
import { bytesSource } from '../src/lib/regular-file.ts'
import { readSentencePieceModel } from '../src/tokenizer/sentencepiece-model.ts'
import { SentencePieceTokenizer } from '../src/tokenizer/sentencepiece.ts'
import type { Choices } from './fuzz-mutate.ts'
import { binary, choices } from './fuzz-target.ts'
import type { Target } from './fuzz-target.ts'
import { encodeFields, models } from './sentencepiece-writer.ts'
import type { Field } from './sentencepiece-writer.ts'

const NUMBERS = [
  0n,
  1n,
  2n,
  3n,
  4n,
  5n,
  6n,
  7n,
  255n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
  -1n,
  -2n
]
const FLOATS = [0, -0, 1, -1, -2, NaN, Infinity, -Infinity, 3.4e38, 1e-45]
const TEXTS = [
  '',
  'a',
  'ab',
  '\u2581',
  '\u2581\u2581',
  'a\u2581',
  ' ',
  '  ',
  '<0x00>',
  '<0x-1>',
  '<0xFFFF>',
  '<unk>',
  '<s>',
  'é',
  '\ufffd',
  '\u0000',
  '🦙',
  'a'.repeat(256),
  'ab'.repeat(200),
  'e'.repeat(5000)
]

function mutateValue(value: Field[1], c: Choices): Field[1] {
  if ('message' in value) return { message: mutateFields(value.message, c) }
  switch (c.below(8)) {
    case 0:
      return { varint: c.of(NUMBERS) }
    case 1:
      return { float: c.of(FLOATS) }
    case 2:
      return { bytes: Buffer.from(Array.from({ length: c.below(6) }, () => c.below(256))) }
    case 3:
      return { message: [[1 + c.below(3), { varint: c.of(NUMBERS) }]] }
    default:
      return 'varint' in value
        ? { varint: c.of(NUMBERS) }
        : 'float' in value
          ? { float: c.of(FLOATS) }
          : { bytes: c.of(TEXTS) }
  }
}

/**
 * One change somewhere in a message: of a value, of a number, or of the order, the presence or the count of its fields.
 */
function mutateFields(fields: readonly Field[], c: Choices): Field[] {
  const list = [...fields]
  if (list.length === 0) return [[1 + c.below(48), { varint: c.of(NUMBERS) }]]
  // The settings come last and are one of hundreds: they get half of the changes.
  const at = c.below(2) === 0 ? c.below(list.length) : list.length - 1 - c.below(Math.min(24, list.length))
  const [number, value] = list[at]!
  switch (c.below(9)) {
    case 0:
      list.splice(at, 1)
      break
    case 1:
      list.splice(at, 0, list[c.below(list.length)]!)
      break
    case 2:
      list[at] = [1 + c.below(50), value]
      break
    case 3:
      list.splice(c.below(list.length), 0, ...list.splice(at, 1))
      break
    case 4:
      list.push([number, mutateValue(value, c)])
      break
    default:
      list[at] = [number, mutateValue(value, c)]
  }
  return list
}

const TEXT = 'the tin and  ant \u2581the <tag>aba ab<s>ba🦙\n e\u0301é <unk>\u0000 aaaaabbbb'

function run(input: Buffer): void {
  const tokenizer = new SentencePieceTokenizer(readSentencePieceModel(bytesSource(input, 'fuzzed.model')).parts)
  const ids = tokenizer.encode(TEXT)
  if (ids.some(id => tokenizer.isSpecial(id))) throw new Error('a control piece came out of plain text')
  tokenizer.encode(TEXT, { allowSpecial: true })
  const stream = tokenizer.encodeStream()
  const streamed = [...stream.push(TEXT.slice(0, 17)), ...stream.push(TEXT.slice(17)), ...stream.end()]
  if (streamed.join() !== ids.join()) throw new Error('a stream is encoded to other ids')
  const decoder = tokenizer.decodeStream({ skipSpecial: true })
  if (Array.from(ids, id => decoder.push(id)).join('') + decoder.end() !== tokenizer.decode(ids, { skipSpecial: true }))
    throw new Error('a stream is decoded to another text')
}

export function sentencePieceTarget(): Target {
  const seeds = Object.values(models)
  const flips = binary(
    seeds.map(encodeFields).map(bytes => ({ bytes, focus: bytes.length })),
    run
  )
  return {
    run,
    input(seed, index) {
      const c = choices(seed, index)
      if (c.below(2) === 0) return flips.input(seed, index)
      let fields = c.of(seeds)
      for (let n = c.of([1, 1, 1, 2, 4]); n > 0; n--) fields = mutateFields(fields, c)
      return encodeFields(fields)
    }
  }
}
