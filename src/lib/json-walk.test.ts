import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { JsonBuilder } from './json-builder.ts'
import { byteOf, walkJson, walkJsonInSlices } from './json-walk.ts'
import type { JsonFault, JsonRules } from './json-walk.ts'

const lax: JsonRules = { depth: 1000, loneSurrogates: true }

function faults(text: string, rules: JsonRules = lax): [problem: string, byte: number][] {
  const found: [string, number][] = []
  walkJson(text, rules, (problem, index) => void found.push([problem, byteOf(text, index)]))
  return found
}

function parses(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const piece = fc.constantFrom(
  '{',
  '}',
  '[',
  ']',
  '"',
  ',',
  ':',
  '\\',
  '\\u00',
  '\\u12aF',
  '\\uD800',
  '\\n',
  '\\x',
  'a',
  '0',
  '1',
  '-',
  '+',
  '.',
  'e',
  'E',
  ' ',
  '\n',
  '\t',
  '\r',
  '\u00a0',
  '\ufeff',
  '\u0000',
  '\u001f',
  '\u007f',
  'é',
  '🙂',
  '\ud83d',
  'true',
  'false',
  'null',
  'nul',
  '"a"',
  '"b":',
  '{"a":',
  '[1,',
  '1.5',
  '-0',
  '1e5',
  '12'
)

test(
  'a text passes exactly when JSON.parse reads it, but for names that stand twice and numbers beyond the ' + 'largest',
  () => {
    const others = /^(?:a name appears twice|a number is too large)/
    const judge = (text: string): void => {
      const problems = faults(text)
        .map(f => f[0])
        .filter(p => !others.test(p))
      assert.equal(problems.length === 0, parses(text), `${JSON.stringify(text)}: ${problems.join()}`)
    }
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), pieces => judge(pieces.join(''))),
      { numRuns: 20_000 }
    )
    fc.assert(
      fc.property(fc.json({ maxDepth: 5 }), fc.nat(), fc.nat(), piece, (text, at, cut, more) => {
        judge(text)
        const i = at % (text.length + 1)
        judge(text.slice(0, i) + more + text.slice(i + (cut % 3)))
      }),
      { numRuns: 3000 }
    )
  }
)

test('what a visitor is told is what JSON.parse builds', () => {
  const counts = fc.letrec(tie => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.string({ unit: 'grapheme' }),
      fc.maxSafeNat(),
      fc.array(tie('value')),
      fc.dictionary(
        fc.string().filter(s => s !== '__proto__'),
        tie('value')
      )
    )
  })).value
  fc.assert(
    fc.property(counts, value => {
      const events: unknown[] = []
      walkJson(JSON.stringify(value, null, 1), { depth: 100, scalars: 'counts' }, problem => assert.fail(problem), {
        begin: object => void events.push(object ? '{' : '['),
        end: () => void events.push('end'),
        name: n => void events.push(['name', n]),
        value: v => void events.push(['value', v])
      })
      const expected: unknown[] = []
      const tell = (v: unknown): void => {
        if (typeof v !== 'object' || v === null) return void expected.push(['value', v])
        expected.push(Array.isArray(v) ? '[' : '{')
        for (const [key, member] of Object.entries(v)) {
          if (!Array.isArray(v)) expected.push(['name', key])
          tell(member)
        }
        expected.push('end')
      }
      tell(JSON.parse(JSON.stringify(value)))
      assert.deepEqual(events, expected)
    })
  )
})

test('faults after which the next value is known are all told, each with its byte', () => {
  assert.deepEqual(faults('{"é":1,"a":"\\x","a":[1e999,"\n"],"\\u0061":{"b":0,"b":0}} x'), [
    ['a string holds a control character or a wrong escape', 12],
    ['a name appears twice in one object', 17],
    ['a number is too large', 22],
    ['a string holds a control character or a wrong escape', 28],
    ['a name appears twice in one object', 33],
    ['a name appears twice in one object', 49],
    ['something follows its end', 57]
  ])
})

test('half a character is refused unless it is asked for, written or escaped', () => {
  for (const text of ['"\\ud800"', '"\\uDC00\\ud800"', '"\ud83d"', '{"\\udfff":0}']) {
    assert.deepEqual(
      faults(text, { depth: 2 }).map(f => f[0]),
      ['a string is not valid Unicode'],
      text
    )
    assert.deepEqual(faults(text), [])
  }
  for (const text of ['"\\ud83d\\ude42"', '"🙂"', '"\\ud7ff\\ue000"']) assert.deepEqual(faults(text, { depth: 2 }), [])
})

test('counts are integers from 0 to 2^53 - 1', () => {
  const rules: JsonRules = { depth: 2, scalars: 'counts' }
  for (const text of ['0', '7', String(Number.MAX_SAFE_INTEGER), '[0,10]']) assert.deepEqual(faults(text, rules), [])
  for (const text of ['-1', '1.0', '1e2', '01', '9007199254740992', 'true', 'null'])
    assert.equal(faults(text, rules).length, 1, text)
})

test('values of every kind are counted, and the walk ends at one too many', () => {
  for (const text of ['[{},[],"",1,true]', '{"a":{"b":1},"c":[null,2,3]}', '[[[[[[]]]]]]']) {
    const values = text.startsWith('{') ? 7 : 6
    assert.deepEqual(faults(text, { depth: 9, values }), [], text)
    assert.match(
      faults(`${text} x`, { depth: 9, values: values - 1 }).join(),
      /^it has more than [56] values,\d+$/,
      text
    )
  }
})

test('megabytes of one thing are walked in one go', () => {
  for (const text of [
    `[${'1'.repeat(1 << 22)}]`,
    `"${'\\u0061'.repeat(1 << 19)}"`,
    '['.repeat(1 << 22),
    ' '.repeat(1 << 22),
    `1.${'0'.repeat(1 << 22)}`
  ])
    faults(text, { depth: 16 })
})

test('a walk in slices of any length finds the same faults, and builds what JSON.parse builds', () => {
  const few = { names: 3, values: 12, indices: 2, nameLength: 20, numberLength: 6 }
  const rules: JsonRules = { ...lax, ...few, forbidden: new Set(['__proto__']) }
  const same = (text: string, slice: number): void => {
    const [whole, sliced]: [string, number][][] = [[], []]
    const note =
      (found: [string, number][]): JsonFault =>
      (problem, index) =>
        void found.push([problem, index])
    walkJson(text, rules, note(whole!))
    const builder = new JsonBuilder()
    const slices = [...walkJsonInSlices(text, rules, note(sliced!), builder, slice)].length
    assert.deepEqual(sliced, whole, JSON.stringify(text))
    if (sliced!.length > 0) return
    assert.ok(slices >= Math.floor(text.length / (slice + 12)), `${slices} slices of ${slice}: ${JSON.stringify(text)}`)
    const wellFormed = (_: string, v: unknown): unknown => (typeof v === 'string' ? v.toWellFormed() : v)
    assert.deepStrictEqual(builder.result, JSON.parse(text, wellFormed))
  }
  const length = fc.integer({ min: 1, max: 9 })
  const pieces = fc.array(piece, { maxLength: 12 })
  fc.assert(
    fc.property(pieces, length, (some, slice) => same(some.join(''), slice)),
    { numRuns: 5000 }
  )
  const characters = fc.constantFrom('a', '\\u0061', '\\ud83d', '\\ude42', '🙂', '\\n', '\\"', '1', ' ')
  const string = fc.array(characters, { maxLength: 20 }).map(s => `"${s.join('')}"`)
  const number = fc.double({ noNaN: true, noDefaultInfinity: true }).map(String)
  const values = fc.array(fc.oneof(string, fc.json({ maxDepth: 3 }), number), { maxLength: 4 })
  fc.assert(
    fc.property(values, length, (some, slice) => same(` [ ${some.join(' , ')} ] `, slice)),
    { numRuns: 2000 }
  )
})

test('names and numbers are accepted to their length and not beyond', () => {
  const rules: JsonRules = { depth: 3, nameLength: 4, numberLength: 5 }
  for (const text of ['{"abcd":12345}', '[-1.23,1e123]']) assert.deepEqual(faults(text, rules), [])
  assert.deepEqual(faults('{"abcde":1}', rules), [['a name has more than 4 characters', 1]])
  for (const text of ['123456', '1.2345', '1e1234', '-12345', '-1234567']) {
    assert.deepEqual(faults(`[0,${text}]`, rules), [['a number has more than 5 characters', 3]], text)
  }
})
