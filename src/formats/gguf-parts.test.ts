import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { VeritError } from '../lib/errors.ts'
import { isFirstPart, openParts } from './gguf-parts.ts'
import { openGguf } from './gguf-reader.ts'
import { gguf } from './gguf-value.ts'
import type { GgufValue } from './gguf-value.ts'
import { writeGguf } from './gguf-writer.ts'

const folder = mkdtempSync(join(tmpdir(), 'verit-parts-'))
after(() => rmSync(folder, { recursive: true }))

interface Part {
  no?: number
  count?: number
  total?: number
  tensor?: string
}

/** Three parts with a tensor each, after changes of some. Returns the path of the first. */
function make(name: string, changes: readonly Part[] = []): string {
  for (let i = 0; i < 3; i++) {
    const { no = i, count = 3, total = 3, tensor = `t${i}` } = changes[i] ?? {}
    const split: [string, GgufValue][] = [
      ['split.no', { type: 'u16', value: no }],
      ['split.count', { type: 'u16', value: count }],
      ['split.tensors.count', { type: 'i32', value: total }]
    ]
    // The writer refuses parts, so their keys get their names once the file is there.
    const path = join(folder, `${name}-0000${i + 1}-of-00003.gguf`)
    const hidden = split.map(([key, value]): [string, GgufValue] => [key.replace('split', 'zplit'), value])
    const metadata = i === 0 ? [['general.architecture', gguf.string('x')] as [string, GgufValue], ...hidden] : hidden
    writeGguf(path, {
      metadata,
      tensors: [{ name: tensor, type: 'F32', shape: [2], data: new Uint8Array(Float32Array.of(i, -i).buffer) }]
    })
    rename(path)
  }
  return join(folder, `${name}-00001-of-00003.gguf`)
}

function rename(path: string): void {
  const bytes = readFileSync(path)
  for (let at = bytes.indexOf('zplit'); at >= 0; at = bytes.indexOf('zplit', at)) bytes.write('split', at)
  writeFileSync(path, bytes)
}

test('parts read as one file: metadata of the first, tensors of all', () => {
  const first = make('good')
  assert.ok(isFirstPart(first))
  assert.ok(!isFirstPart(first.replace('00001-of', '00002-of')))
  assert.ok(!isFirstPart('model-00001-of-00001.gguf'))
  using file = openParts(first)
  assert.deepEqual(
    file.tensors.map(t => t.name),
    ['t0', 't1', 't2']
  )
  assert.equal(file.metadata.string('general.architecture'), 'x')
  assert.deepEqual(new Float32Array(file.readTensor('t2').buffer), Float32Array.of(2, -2))
  assert.throws(() => openGguf(first), /join the parts into one file first \(verit convert FIRST-PART\.gguf/)
})

test('parts that do not belong together are refused by what is wrong', () => {
  const refused = (path: string, code: 'VERIT_GGUF' | 'VERIT_FILE_NOT_FOUND', words: RegExp): void =>
    assert.throws(
      () => openParts(path),
      e => VeritError.is(e, code) && words.test(e.message),
      String(words)
    )
  refused(make('order', [{}, { no: 2 }, { no: 1 }]), 'VERIT_GGUF', /split\.no is 2 in part 2/)
  refused(make('count', [{}, {}, { count: 4 }]), 'VERIT_GGUF', /split\.count is 4, and there are 3 parts/)
  refused(make('total', [{ total: 9 }]), 'VERIT_GGUF', /split\.tensors\.count is 9/)
  refused(make('twice', [{}, { tensor: 't0' }]), 'VERIT_GGUF', /3 tensors of 2 names/)
  const missing = make('missing')
  renameSync(missing.replace('00001-of', '00002-of'), join(folder, 'elsewhere'))
  refused(missing, 'VERIT_FILE_NOT_FOUND', /missing-00002-of-00003\.gguf/)
  refused(join(folder, 'x-00001-of-99999.gguf'), 'VERIT_GGUF', /more than the limit of 1000/)
})
