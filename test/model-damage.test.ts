/** Damaged model files (model-damage.ts), and metadata that lies. test/full damages 5,000 files of each kind. */
// own process: it computes for long
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadModel } from '../src/engine/load.ts'
import { writeRandomModel } from '../src/bench/random-model.ts'
import { parseModelConfig } from '../src/model/config.ts'
import { damage, folder, modelFile, native, survives } from './model-damage.ts'

const COUNT = 600

for (const kind of ['gpt', 'bitnet'] as const) {
  const name = `${COUNT} damages of a ${kind} model each end in one clear error or a model that answers`
  test(name, () => damage(kind, COUNT))

  test(`each number of a ${kind} model's metadata may lie: one clear error, or a model that answers`, async () => {
    const bytes = await modelFile(kind)
    const file = join(folder, 'lie.gguf')
    const keys = [
      'context_length',
      'block_count',
      'embedding_length',
      'feed_forward_length',
      'head_count',
      'head_count_kv',
      'vocab_size',
      'layer_norm_epsilon',
      'layer_norm_rms_epsilon',
      'freq_base',
      'dimension_count',
      'eot_token_id',
      'eos_token_id',
      'bos_token_id'
    ]
    const lies = [0, 1, 3, 33, 260, 1 << 20, 0x7fffffff, 0xffffffff, 0x7fc00000, 0x7f800000, 0xbf800000]
    for (const key of keys) {
      // behind the key stand the type of the value, four bytes, and the value
      const at = bytes.indexOf(key) + key.length + 4
      if (at < key.length + 4) continue
      for (const lie of lies) {
        const damaged = Buffer.from(bytes)
        damaged.writeUInt32LE(lie, at)
        writeFileSync(file, damaged)
        const answers = await survives(() => loadModel(file, { threads: 1 }))
        if (key === 'vocab_size') assert.equal(answers, lie === 260)
        if (key === 'head_count') assert.equal(answers, kind === 'gpt' && lie === 1)
        if (key === 'eot_token_id' || key === 'eos_token_id') assert.equal(answers, lie < 260, `${key} ${lie}`)
      }
    }
  })
}

test('a small file that declares a context of a million tokens gets one that its memory allows', async () => {
  const path = join(folder, 'long.gguf')
  await writeRandomModel(
    path,
    native,
    parseModelConfig({ kind: 'bitnet', layers: 1, hidden: 256, heads: 1, ffn: 16, context: 1 << 20, vocab: 260 })
  )
  await using engine = await loadModel(path, { threads: 1 })
  assert.equal(engine.info.context, 2 ** 16)
})
