import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from '../lib/errors.ts'
import { loadTextTokenizer } from './load-tokenizer.ts'
import { CONTROL, NORMAL, USER_DEFINED } from './parts.ts'
import { sentencePieceToJson } from './sentencepiece-json.ts'
import { BYTE, UNKNOWN } from './sentencepiece-parts.ts'
import type { SentencePieceParts } from './sentencepiece-parts.ts'
import { SentencePieceTokenizer } from './sentencepiece.ts'

const folder = mkdtempSync(join(tmpdir(), 'verit-spm-json-'))
after(() => rmSync(folder, { recursive: true }))

/** Pieces of all lengths with scores by length, so that several pairs make a piece. */
function parts(addDummyPrefix: boolean): SentencePieceParts {
  const words = ['▁', 'a', 'b', 'c', 'ab', 'bc', 'abc', '▁a', '▁ab', '▁abc', 'ca', 'bca', 'aa', 'é']
  const pieces = [
    '<unk>',
    '<s>',
    '</s>',
    '<tool▁call>',
    ...Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`),
    ...words
  ]
  const types = [
    UNKNOWN,
    CONTROL,
    CONTROL,
    USER_DEFINED,
    ...Array.from({ length: 256 }, () => BYTE),
    ...words.map(() => NORMAL)
  ]
  return {
    pieces,
    types,
    scores: pieces.map((_, id) => (id < 260 ? 0 : 260 - id)),
    byteFallback: true,
    addDummyPrefix,
    removeExtraWhitespaces: false,
    escapeWhitespaces: true,
    unknown: 0,
    unknownSurface: ' \u2047 ',
    beginOfText: 1,
    endOfText: 2,
    addsBegin: false
  }
}

const write = (json: string): string => {
  const path = join(folder, `${Math.random()}.json`)
  writeFileSync(path, json)
  return path
}

test('a tokenizer that is written as tokenizer.json gives the same ids when it is read', () => {
  for (const prefix of [true, false]) {
    const ours = new SentencePieceTokenizer(parts(prefix))
    const read = loadTextTokenizer(write(sentencePieceToJson(parts(prefix))))
    assert.ok(read instanceof SentencePieceTokenizer)
    const text = fc.array(fc.constantFrom('a', 'b', 'c', ' ', 'é', 'x', '\n', '€', '<tool call>'), { maxLength: 40 })
    fc.assert(
      fc.property(text, characters => {
        const whole = characters.join('')
        assert.deepEqual(read.encode(whole), ours.encode(whole))
        assert.equal(read.decode(read.encode(whole)), ours.decode(ours.encode(whole)))
      })
    )
    assert.deepEqual(read.specials, ours.specials)
  }
})

test('a file that would give other ids is refused by what it does', () => {
  const change = (edit: (root: Record<string, unknown>, model: Record<string, unknown>) => void): string => {
    const root = JSON.parse(sentencePieceToJson(parts(true))) as Record<string, unknown>
    edit(root, root['model'] as Record<string, unknown>)
    return write(JSON.stringify(root))
  }
  const cases: readonly [RegExp, Parameters<typeof change>[0]][] = [
    [/normalizer rewrites/, root => void (root['normalizer'] = { type: 'NFKC' })],
    [/normalizer rewrites/, root => void (root['normalizer'] = { type: 'Sequence', normalizers: [7] })],
    [/pre-tokenizer cuts/, root => void (root['pre_tokenizer'] = { type: 'Whitespace' })],
    [/does not replace spaces/, root => void (root['normalizer'] = null)],
    [/post_processor/, root => void (root['post_processor'] = { type: 'BertProcessing' })],
    [/merge 0 does not make a piece/, (_, model) => void (model['merges'] = [['a', 'zz']])],
    [/ids have a gap/, (_, model) => void ((model['vocab'] as Record<string, number>)['far'] = 999)],
    [/share the id/, (_, model) => void ((model['vocab'] as Record<string, number>)['twin'] = 260)],
    [/not a whole number/, (_, model) => void ((model['vocab'] as Record<string, number>)['bad'] = -1)],
    [/uses dropout/, (_, model) => void (model['dropout'] = 0.1)],
    [/has truncation/, root => void (root['truncation'] = { max_length: 5 })]
  ]
  for (const [problem, edit] of cases) {
    assert.throws(
      () => loadTextTokenizer(change(edit)),
      e => VeritError.is(e, 'VERIT_TOKENIZER_FILE') && problem.test(e.fields.problem),
      String(problem)
    )
  }
})
