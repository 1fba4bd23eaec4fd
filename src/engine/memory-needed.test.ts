import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { referenceExecutor } from '../exec/reference.ts'
import { openGguf } from '../formats/gguf-reader.ts'
import { loadModel } from '../model/load-gguf.ts'
import { cacheTypeOf, positionBytes } from './cache-size.ts'
import { memoryNeeded } from './memory-needed.ts'

const models = ['test/fixtures/models/llama.gguf', 'test/fixtures/models/lfm2.gguf', 'test/fixtures/models/gemma3.gguf', 'models/verit-sotu.gguf']

test('the memory needed is that of the loaded weights and of whole cache pages', async () => {
  for (const path of models) {
    using file = openGguf(fileURLToPath(new URL(`../../${path}`, import.meta.url)))
    const { weights, cache } = memoryNeeded(file)
    const executor = referenceExecutor()
    assert.equal(executor.ternary, 'two-bit')
    const loaded = await loadModel(file, executor, { screen: 'auto' })
    assert.equal(weights, loaded.weights.bytes.length, path)
    const { context } = loaded.config
    assert.equal(context % 16, 0)
    const tokens = context > 4096 ? [4096, context] : [context]
    assert.deepEqual(cache, tokens.map(n => ({ tokens: n, bytes: n * positionBytes(loaded.config, cacheTypeOf(loaded.config)) })))
  }
})
