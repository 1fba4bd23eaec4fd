import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { referenceExecutor } from '../exec/reference.ts'
import { openGguf } from '../formats/gguf-reader.ts'
import { writeGguf } from '../formats/gguf-writer.ts'
import { VeritError } from '../lib/errors.ts'
import { loadModel } from '../model/load-gguf.ts'
import { cacheTypeOf, positionBytes } from './cache-size.ts'
import { memoryNeeded } from './memory-needed.ts'

const folder = mkdtempSync(join(tmpdir(), 'verit-memory-'))
after(() => rmSync(folder, { recursive: true }))
const fixtures = ['llama', 'lfm2', 'gemma3'].map(name => `test/fixtures/models/${name}.gguf`)
const placeOf = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const models = [...fixtures, 'models/verit-sotu.gguf']

test('the memory needed is that of the loaded weights and of whole cache pages', async () => {
  for (const path of models) {
    using file = openGguf(placeOf(path))
    const { weights, cache } = memoryNeeded(file)
    const executor = referenceExecutor()
    const loaded = await loadModel(file, executor, { packing: 'two-bit', screen: 'auto' })
    assert.equal(weights, loaded.weights.bytes.length, path)
    const { context } = loaded.config
    assert.equal(context % 16, 0)
    const tokens = context > 4096 ? [4096, context] : [context]
    assert.deepEqual(
      cache,
      tokens.map(n => ({ tokens: n, bytes: n * positionBytes(loaded.config, cacheTypeOf(loaded.config)) }))
    )
  }
})

test('a type that has no decoder is refused with the name of the tensor', () => {
  const path = join(folder, 'm.gguf')
  using source = openGguf(placeOf(fixtures[0]!))
  const tensors = source.tensors.map(({ name, type, shape, elements }) =>
    name === 'blk.1.attn_v.weight'
      ? { name, shape, type: 'NVFP4' as const, data: new Uint8Array((elements / 64) * 36) }
      : { name, shape, type, data: source.readTensor(name) }
  )
  writeGguf(path, { metadata: [...source.metadata.entries], tensors })
  using file = openGguf(path)
  assert.throws(
    () => memoryNeeded(file),
    (e: unknown) =>
      VeritError.is(e, 'VERIT_MODEL_FILE') &&
      e.fields.problem.startsWith('tensor blk.1.attn_v.weight is of type NVFP4; ')
  )
})
