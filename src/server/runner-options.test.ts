import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkToRunner } from '../runner/messages.ts'
import { loadSettingNames, loadSettingsIn } from '../runner/load-settings.ts'
import { parseConfig } from './config-file.ts'
import { runnerOptions } from './runner-options.ts'

test('the runner is told the type of the KV cache where the configuration gives one', () => {
  const told = (text: string): unknown => runnerOptions(parseConfig(text, 'x'), {}).cacheType
  assert.deepEqual(['', '[inference]\nkv_cache_type = "auto"\n'].map(told), [undefined, undefined])
  for (const type of ['f16', 'f32']) assert.equal(told(`[inference]\nkv_cache_type = "${type}"\n`), type)
  for (const value of ['"q8_0"', '"F16"', '16']) {
    assert.throws(() => told(`[inference]\nkv_cache_type = ${value}\n`), {
      code: 'VERIT_CONFIG',
      message: /kv_cache_type/
    })
  }
})

test('the configuration gives every setting of the runner, each as the runner takes it', () => {
  const all = runnerOptions(
    parseConfig(
      `[inference]
parallel = 3
context = 256
cache_mib = 4
kv_cache_type = "f16"
memory_mib = 512
threads = 2
cores = "0-1"
packing = "base3"
head_screen = "on"
speculate = "off"
instruction_set = "baseline"
end_tokens = ["</s>"]
require_sandbox = true
`,
      'x'
    ),
    {}
  )
  const { requireSandbox, bodyBytes, ...settings } = all
  const expected = {
    slots: 3,
    context: 256,
    cacheBytes: 4 << 20,
    cacheType: 'f16',
    memoryBytes: 512 << 20,
    threads: 2,
    cores: '0-1',
    packing: 'base3',
    headScreen: true,
    speculate: false,
    instructionSet: 'baseline'
  }
  assert.deepEqual([requireSandbox, bodyBytes, settings], [true, 1 << 20, expected])
  assert.deepEqual(Object.keys(expected).toSorted(), loadSettingNames.toSorted())
  checkToRunner({ type: 'load', name: 'x', ...loadSettingsIn(settings) })
  assert.deepEqual(runnerOptions(parseConfig('', 'x'), {}), { requireSandbox: false, bodyBytes: 1 << 20, slots: 16 })
})
