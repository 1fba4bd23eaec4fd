import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseConfig } from './config-file.ts'
import { runnerOptions } from './runner-options.ts'

test('the runner is told the type of the KV cache where the configuration gives one', () => {
  const told = (text: string): unknown => runnerOptions(parseConfig(text, 'x'), {}).cacheType
  assert.deepEqual(['', '[inference]\nkv_cache_type = "auto"\n'].map(told), [undefined, undefined])
  for (const type of ['f16', 'f32']) assert.equal(told(`[inference]\nkv_cache_type = "${type}"\n`), type)
  for (const value of ['"q8_0"', '"F16"', '16']) {
    assert.throws(() => told(`[inference]\nkv_cache_type = ${value}\n`), { code: 'VERIT_CONFIG', message: /kv_cache_type/ })
  }
})
