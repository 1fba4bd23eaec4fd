import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { openGguf } from '../formats/gguf-reader.ts'
import { writeGguf } from '../formats/gguf-writer.ts'
import { VeritError } from '../lib/errors.ts'
import { weightTypes } from '../weights/registry.ts'
import { weightBytes } from '../weights/weight-type.ts'
import { readFloats } from './read-tensor.ts'

const folder = mkdtempSync(join(tmpdir(), 'verit-read-tensor-'))
after(() => rmSync(folder, { recursive: true }))

test('a tensor of every weight type is read as numbers, and one of another type is refused', () => {
  const path = join(folder, 'types.gguf')
  // Bytes of 1 are finite scales and valid codes in every type but TQ1_0, where they are reserved.
  const tensors = [...weightTypes.values()].map(({ name }) => {
    const data = new Uint8Array(weightBytes(name, 3 * 256)).fill(name === 'TQ1_0' ? 0 : 1)
    return { name, type: name, shape: [3, 256], data }
  })
  const other = { name: 'Q8_K', type: 'Q8_K' as const, shape: [256], data: new Uint8Array(292) }
  writeGguf(path, { metadata: [], tensors: [...tensors, other] })
  using file = openGguf(path)
  for (const { name, data } of tensors) {
    const expected = new Float32Array(3 * 256)
    weightTypes.get(name)!.decode(data, expected)
    assert.deepEqual(readFloats(file, name), expected, name)
  }
  assert.throws(
    () => readFloats(file, 'Q8_K'),
    (e: unknown) =>
      VeritError.is(e, 'VERIT_MODEL_FILE') &&
      /Q8_K is of type Q8_K; F32, F16, BF16, .*Q5_K.* are supported here/.test(e.message)
  )
})
