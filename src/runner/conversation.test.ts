import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { writeRandomModel } from '../bench/random-model.ts'
import { referenceExecutor } from '../exec/reference.ts'
import { gguf } from '../formats/gguf-value.ts'
import { parseModelConfig } from '../model/config.ts'
import { checkFromRunner, checkToRunner } from './messages.ts'
import { ModelRunner } from './model-runner.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-runner-conversation-'))
after(() => rmSync(dir, { recursive: true }))

test('a template and end tokens of the operator reach the runner, which tells what holds', async () => {
  const path = join(dir, 'm.gguf')
  const config = parseModelConfig({ kind: 'gpt', layers: 1, hidden: 16, heads: 2, context: 64, vocab: 260 })
  await writeRandomModel(path, referenceExecutor(), config, {
    specials: ['<|x|>'],
    entries: [['tokenizer.chat_template', gguf.string('{% bad')]]
  })
  const turns = '{% for m in messages %}<|x|>{{ m.content }}{% endfor %}'
  const runner = await ModelRunner.start(path, {
    threads: 1,
    chatTemplate: { text: turns, source: 'my.jinja' },
    endTokens: ['<|x|>', '65']
  })
  try {
    assert.deepEqual(runner.info.conversation, {
      templateSource: 'my.jinja',
      addsBegin: false,
      endTokens: ['<|endoftext|> (0)', '<|x|> (1)', '= (65)'],
      warnings: []
    })
    let promptTokens = 0
    for await (const event of runner.generate({ messages: [{ role: 'user', content: 'Hi' }] }, { maxTokens: 1 }))
      if (event.type === 'start') promptTokens = event.promptTokens
    assert.equal(promptTokens, 3)
  } finally {
    await runner.close()
  }
})

test('what a runner says about conversations is bounded', () => {
  const info = {
    name: 'x',
    architecture: 'x',
    parameters: 1,
    vocabSize: 1,
    context: 9,
    modelContext: 9,
    executor: 'x',
    threads: 1
  }
  const said = { templateSource: 'k', addsBegin: true, endTokens: ['x'], warnings: ['w'] }
  const ready = (conversation: unknown): unknown => ({ type: 'ready', info: { ...info, conversation } })
  checkFromRunner(ready(said))
  const bad = [
    { ...said, warnings: Array(9).fill('w') },
    { ...said, warnings: ['w'.repeat(513)] },
    { ...said, endTokens: Array(17).fill('x') },
    { ...said, endTokens: ['x'.repeat(257)] },
    { ...said, templateSource: 'x'.repeat(257) },
    { ...said, decides: true },
    'text',
    null
  ]
  for (const conversation of bad)
    assert.throws(() => checkFromRunner(ready(conversation)), { code: 'VERIT_RUNNER_FRAME' })
  const load = { type: 'load', name: 'x' }
  for (const cacheType of ['f16', 'f32']) {
    checkToRunner({ ...load, cacheType })
    checkFromRunner({ type: 'ready', info: { ...info, cacheType } })
  }
  for (const cacheType of ['auto', 'bf16', 16, null]) {
    assert.throws(() => checkToRunner({ ...load, cacheType }), { code: 'VERIT_RUNNER_FRAME' })
    assert.throws(() => checkFromRunner({ type: 'ready', info: { ...info, cacheType } }), {
      code: 'VERIT_RUNNER_FRAME'
    })
  }
  checkToRunner({ ...load, chatTemplate: { text: 'x'.repeat(65_536), source: 'f' }, endTokens: Array(64).fill('x') })
  for (const more of [
    { chatTemplate: { text: 'x'.repeat(65_537), source: 'f' } },
    { endTokens: Array(65).fill('x') },
    { endTokens: [5] }
  ])
    assert.throws(() => checkToRunner({ ...load, ...more }), { code: 'VERIT_RUNNER_FRAME' })
})
