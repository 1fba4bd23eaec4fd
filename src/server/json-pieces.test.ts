import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { JsonList, JsonPieces, jsonObject } from './json-pieces.ts'

const textOf = (json: JsonPieces): string => Buffer.concat(json.pieces).toString()

test('an object from lists and values is what JSON.stringify makes of them, and its bytes are counted', () => {
  const fields = fc.dictionary(fc.string(), fc.oneof(fc.jsonValue(), fc.constant(undefined)))
  const values = fc.array(fc.jsonValue())
  fc.assert(
    fc.property(fields, values, values, (plain, long, short) => {
      const [elements, few] = [new JsonList(), new JsonList()]
      for (const element of long) elements.add(element)
      for (const element of short) few.add(element)
      const inner = jsonObject({ few, n: 1 })
      const json = jsonObject({ ...plain, elements, inner, nothing: jsonObject({}) })
      const expected = { ...plain, elements: long, inner: { few: short, n: 1 }, nothing: {} }
      assert.deepEqual(textOf(json), JSON.stringify(expected))
      assert.equal(json.bytes, Buffer.concat(json.pieces).length)
    })
  )
})

test('a long text is cut into pieces, a short one is one piece', () => {
  const list = new JsonList()
  for (let i = 0; i < 50_000; i++) list.add({ é: i })
  const { pieces } = jsonObject({ list, after: 'x' })
  assert.ok(pieces.length > 10 && pieces.every(p => p.length < 80_000), `${pieces.length} pieces`)
  assert.equal((JSON.parse(Buffer.concat(pieces).toString()) as { list: unknown[] }).list.length, 50_000)
  assert.equal(jsonObject({ a: jsonObject({ b: new JsonPieces().add('1') }) }).pieces.length, 1)
})
