import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from '../lib/errors.ts'
import { Tokenizer } from './tokenizer.ts'
import { TokenizerTrainer } from './train-tokenizer.ts'

const trainer = new TokenizerTrainer({ vocabSize: 290 })
trainer.push('one two three four five one two three four one two three 1000 1000 '.repeat(4))
trainer.end()
const tokenizer = trainer.finish()
const text = tokenizer.toJSON()

interface Form {
  added_tokens: Record<string, unknown>[]
  normalizer: unknown
  pre_tokenizer: unknown
  post_processor: unknown
  model: { type: string; vocab: Record<string, unknown>; merges: unknown[]; [key: string]: unknown }
}

/** The file with a change made to it. */
function changed(change: (form: Form) => void): string {
  const form = JSON.parse(text) as Form
  change(form)
  return JSON.stringify(form)
}

test('the file is canonical: the same however the JSON was laid out', () => {
  assert.equal(Tokenizer.fromJSON(JSON.stringify(JSON.parse(text), null, 2)).toJSON(), text)
  assert.ok(text.indexOf('"1": ') > text.indexOf('"!": ')) // in order of id, not of JavaScript objects
})

test("the other form of merges and GPT-2's own pre-tokenizer are understood", () => {
  const same = [
    changed(f => {
      f.model.merges = f.model.merges.map(m => (m as string).split(' '))
    }),
    changed(f => {
      f.pre_tokenizer = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true }
      f.post_processor = { type: 'ByteLevel', trim_offsets: false }
    })
  ]
  for (const json of same) assert.equal(Tokenizer.fromJSON(json).digest, tokenizer.digest)
})

test('what is wrong with a file is refused by name', () => {
  const cases: [string | ((f: Form) => void), RegExp][] = [
    ['', /at byte 0, a value is expected/],
    ['[]', /not a JSON object/],
    ['{}', /not a BPE/],
    [
      f => {
        f.model.type = 'Unigram'
      },
      /not a BPE/
    ],
    [
      f => {
        f.model['byte_fallback'] = true
      },
      /byte_fallback/
    ],
    [
      f => {
        f.model['ignore_merges'] = true
      },
      /ignore_merges does not go with/
    ],
    [
      f => {
        f.normalizer = { type: 'NFC' }
      },
      /normalizes/
    ],
    [
      f => {
        f.post_processor = { type: 'TemplateProcessing' }
      },
      /post_processor/
    ],
    [
      f => {
        f.pre_tokenizer = { type: 'Split', pattern: { Regex: '(a+)+$' } }
      },
      /pre-tokenizer/
    ],
    [
      f => {
        f.pre_tokenizer = { type: 'ByteLevel', add_prefix_space: true }
      },
      /pre-tokenizer/
    ],
    [
      f => {
        f.model.vocab['x'] = -1
      },
      /the id of token "x"/
    ],
    [
      f => {
        f.model.vocab['x'] = 1e9
      },
      /the id of token "x"/
    ],
    [
      f => {
        f.model.vocab['x'] = '7'
      },
      /the id of token "x"/
    ],
    [
      f => {
        f.model.vocab['x'] = 5
      },
      /share the id 5/
    ],
    [
      f => {
        f.model.vocab['xyzzy'] = 1000
      },
      /a gap/
    ],
    [
      f => {
        f.added_tokens.push({ id: tokenizer.vocabSize, content: 'a', special: true })
      },
      /both "a"/
    ],
    [
      f => {
        f.added_tokens.push({ content: 'a b' })
      },
      /the id of token/
    ],
    [
      f => {
        f.added_tokens[0]!['lstrip'] = true
      },
      /lstrip/
    ],
    [
      f => {
        f.model.merges.push('zz zz')
      },
      /does not join/
    ],
    [
      f => {
        f.model.merges.push('zz')
      },
      /does not join/
    ],
    [
      f => {
        f.model.merges.push(7)
      },
      /neither/
    ],
    [
      f => {
        f.added_tokens.push({ id: f.model.vocab['z'], content: 'z', special: true })
      },
      /byte 122/
    ]
  ]
  for (const [change, message] of cases) {
    const json = typeof change === 'string' ? change : changed(change)
    assert.throws(
      () => Tokenizer.fromJSON(json),
      (e: unknown) => VeritError.is(e, 'VERIT_TOKENIZER_FILE') && message.test(e.message),
      String(message)
    )
  }
})

test('a damaged file gives one clear error or a tokenizer, never anything else', () => {
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.nat(3), fc.string({ maxLength: 3 }), (at, remove, insert) => {
      try {
        const other = Tokenizer.fromJSON(text.slice(0, at) + insert + text.slice(at + remove))
        assert.equal(other.decode(other.encode('one two\u00e9')), 'one two\u00e9')
      } catch (e) {
        if (!VeritError.is(e, 'VERIT_TOKENIZER_FILE')) throw e
      }
    }),
    { numRuns: 500 }
  )
})

test('parts with wrong counts or types are refused', () => {
  const parts = tokenizer.toParts()
  for (const wrong of [
    { ...parts, tokens: [], tokenTypes: [] },
    { ...parts, tokenTypes: [1] },
    { ...parts, tokenTypes: parts.tokenTypes.map(() => 6) },
    { ...parts, endOfText: tokenizer.vocabSize },
    { ...parts, endOfText: -1 },
    { ...parts, pretokenizer: 'llama-spm' },
    { ...parts, pretokenizer: 'character' },
    { ...parts, tokens: parts.tokens.map(t => (t === 'a' ? '' : t)) }
  ])
    assert.throws(() => Tokenizer.fromParts(wrong), { code: 'VERIT_TOKENIZER_FILE' })
})

test('a name that appears twice, deep nesting and too many special tokens are refused before V8 meets them', () => {
  assert.throws(() => Tokenizer.fromJSON(`[${'0,'.repeat(1 << 23)}0]`), /more than 8388608 values/)
  assert.throws(() => Tokenizer.fromJSON(`[${'{"a":0},'.repeat(1 << 21)}{"a":0}]`), /more than 2097152 names/)
  const refuses = (file: string, expected: RegExp): void =>
    assert.throws(
      () => Tokenizer.fromJSON(file),
      (e: unknown) => VeritError.is(e, 'VERIT_TOKENIZER_FILE') && expected.test(e.fields.problem)
    )
  refuses(
    text.replace('"normalizer": null', '"normalizer": null, "normal\\u0069zer": null'),
    /at byte \d+, a name appears twice/
  )
  refuses(text.replace('"!": ', '"!": 0,\n"!": '), /appears twice/)
  refuses(text.replace('"normalizer": null', `"normalizer": ${'['.repeat(1_000_000)}`), /nested more than 16 deep/)
  refuses(
    changed(f => void Object.assign(f, { padding: { strategy: 'BatchLongest' } })),
    /padding/
  )
  // One regular expression of all their characters ends the process: found by trying, 12 MB of them are too many for
  // V8.
  const many = (count: number, length: number): string =>
    changed(f => {
      const first = Object.keys(f.model.vocab).length
      f.added_tokens = Array.from({ length: count }, (_, i) => ({
        id: first + i,
        content: `${i}`.padStart(length, 'x'),
        special: true
      }))
    })
  refuses(many(3000, 4000), /special and added tokens/)
  refuses(many(20_000, 5), /special and added tokens/)
})
