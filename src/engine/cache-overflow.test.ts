/** A model whose values overflow a KV cache of f16: the error says so, and f32 runs it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { changedModel, smallModel } from '../../test/small-models.ts'
import { openExecutor } from '../exec/index.ts'
import { parseGguf } from '../formats/gguf-reader.ts'
import { VeritError } from '../lib/errors.ts'
import { loadModel } from '../model/load-gguf.ts'
import type { CacheTypeOption } from './cache-size.ts'
import { VeritEngine } from './verit-engine.ts'

test('values beyond f16 end an answer with an error that names the KV cache type; f32 runs the model', async () => {
  const executor = openExecutor({ threads: 1 })
  const large = changedModel(await smallModel('qwen3'), p => {
    for (const t of p.tensors.filter(({ name }) => name.endsWith('attn_v.weight'))) {
      t.data = new Uint8Array(new Float32Array(t.data.slice().buffer).map(x => x * 1e8).buffer)
    }
  })
  const answer = async (cacheType: CacheTypeOption): Promise<unknown> => {
    const model = await loadModel(parseGguf(large), executor)
    const engine = new VeritEngine(
      executor,
      { ...model, name: 'large', digest: `sha256:${'0'.repeat(64)}` },
      { cacheType }
    )
    try {
      return (await Array.fromAsync(engine.generate({ prompt: 'ab', maxTokens: 2, temperature: 0 }))).length
    } catch (e) {
      return e
    } finally {
      await engine.close()
    }
  }
  const failed = await answer('auto')
  assert.ok(VeritError.is(failed, 'VERIT_LOGITS'), String(failed))
  assert.match(failed.message, /not a number|largest logit/)
  assert.match(failed.message, /kv_cache_type/)
  assert.equal(typeof (await answer('f32')), 'number')
})
