import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { writeRandomModel } from '../src/engine/random-model.ts'
import { VeritError, loadModel, openExecutor, openGguf, parseModelConfig } from '../src/index.ts'

test('the library loads a model, generates and names its errors', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'verit-library-'))
  try {
    const path = join(folder, 'tiny.gguf')
    await writeRandomModel(path, openExecutor({ threads: 1 }), parseModelConfig({ kind: 'gpt', layers: 1, hidden: 16, heads: 2, context: 32, vocab: 257 }))
    {
      using file = openGguf(path)
      assert.equal(file.metadata.string('general.architecture'), 'gpt2')
    }
    await using model = await loadModel(path, { threads: 1 })
    const events = await Array.fromAsync(model.generate({ prompt: 'Once', maxTokens: 3, seed: 7, ignoreEndOfText: true }))
    assert.deepEqual(events.map(e => e.type), ['start', 'token', 'token', 'token', 'end'])
    await assert.rejects(loadModel(join(folder, 'none.gguf')), (e: unknown) => VeritError.is(e, 'VERIT_FILE_NOT_FOUND'))
  } finally {
    rmSync(folder, { recursive: true })
  }
})
