/**
 * Folders in the form of transformers: what is written is what was read, to the bit. That transformers loads them with
 * the same logits was checked with its version 5.18 (docs/evidence/conversion.md).
 */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { byteTokenizer } from '../bench/random-model.ts'
import { referenceExecutor } from '../exec/reference.ts'
import { openGguf } from '../formats/gguf-reader.ts'
import { gguf } from '../formats/gguf-value.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { VeritError } from '../lib/errors.ts'
import { loadTextTokenizer } from '../tokenizer/load-tokenizer.ts'
import { parseModelConfig } from './config.ts'
import { exportGguf } from './export-gguf.ts'
import { exportHf } from './export-hf.ts'
import type { HfExport, HfExportOptions } from './export-hf.ts'
import { textTokenizerEntries } from './gguf-tokenizer.ts'
import { HfSource } from './hf-source.ts'
import { initialWeights } from './initialise.ts'
import { ggufSource } from './model-source.ts'
import { elementsOf, isTernary, parametersOf } from './parameters.ts'

const fixtures = fileURLToPath(new URL('../../test/fixtures/models', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'verit-export-hf-'))
after(() => rmSync(folder, { recursive: true }))

async function exported(path: string, to: string, options: HfExportOptions = {}): Promise<HfExport> {
  using file = openGguf(path)
  return await exportHf(ggufSource(file), join(folder, to), options)
}

function reopen(name: string): HfSource {
  const path = join(folder, name)
  const tokenizer = loadTextTokenizer(join(path, 'tokenizer.json'))
  return new HfSource(path, { entries: textTokenizerEntries(tokenizer), tokenizer })
}

async function model(name: string, fields: object, entries: [string, GgufValue][] = []): Promise<string> {
  const config = parseModelConfig({ context: 16, vocab: 300, ...fields })
  const weights = initialWeights(config, 4)
  const path = join(folder, `${name}.gguf`)
  await exportGguf(path, referenceExecutor(), config, byteTokenizer(300), p => weights.get(p.name)!, { name, entries })
  return path
}

for (const file of readdirSync(fixtures).filter(name => name.endsWith('.gguf'))) {
  test(`the ${file} fixture has the same weights after the way to transformers and back`, async () => {
    const path = join(fixtures, file)
    const { type, relative } = await exported(path, file)
    assert.deepEqual([type, relative], ['F32', 0])
    using given = openGguf(path)
    const before = ggufSource(given)
    using read = reopen(file)
    assert.equal(read.config.kind, before.config.kind)
    for (const p of parametersOf(before.config)) {
      const rows = p.shape[0]!
      const [a, b] = [before.floats(p, 0, rows), read.floats(p, 0, rows)]
      // Gains of Gemma's norms lack 1 there: the sum is rounded again.
      const step = file.startsWith('gemma') && p.name.endsWith('norm.weight') ? 2 ** -22 : 0
      assert.ok(a.length === b.length && a.every((v, i) => Math.abs(v - b[i]!) <= step), p.name)
    }
  })
}

test('ternary weights are packed with their scale, and a GPT without biases gets zeros', async () => {
  const bitnet = await model('bitnet', { kind: 'bitnet', layers: 1, hidden: 32, heads: 4, kvHeads: 2, ffn: 48 })
  await exported(bitnet, 'bitnet')
  using file = openGguf(bitnet)
  const before = ggufSource(file)
  using after = reopen('bitnet')
  assert.deepEqual({ ...after.config, eps: 0 }, { ...before.config, eps: 0 })
  for (const p of parametersOf(before.config).filter(isTernary)) assert.deepEqual(after.ternary(p), before.ternary(p))

  await exported(await model('gpt', { kind: 'gpt', layers: 2, hidden: 32, heads: 2 }), 'gpt')
  using gpt = reopen('gpt')
  assert.equal(gpt.config.kind, 'gpt')
  for (const p of parametersOf(gpt.config).filter(one => one.name.endsWith('.bias')))
    assert.ok(gpt.floats(p, 0, p.shape[0]!).every(v => v === 0))
})

test('experts are written one by one, in parts of the size that is asked for, with an index', async () => {
  const sizes = { layers: 1, hidden: 32, heads: 4, kvHeads: 2, tied: false, eps: 1e-6 }
  const moe = { kind: 'qwen3moe', experts: 4, expertsUsed: 2, expertFfn: 16, ...sizes }
  const { files } = await exported(await model('moe', moe), 'moe', { partBytes: 20_000 })
  const parts = files.filter(name => /^model-\d{5}-of-\d{5}\.safetensors$/.test(name))
  assert.ok(parts.length > 2, String(files))
  const index = JSON.parse(readFileSync(join(folder, 'moe', 'model.safetensors.index.json'), 'utf8')) as {
    weight_map: Record<string, string>
  }
  assert.ok(parts.includes(index.weight_map['model.layers.0.mlp.experts.3.up_proj.weight']!))
  using read = reopen('moe')
  using file = openGguf(join(folder, 'moe.gguf'))
  const before = ggufSource(file)
  for (const p of parametersOf(read.config)) {
    const rows = p.shape.length === 1 ? p.shape[0]! : elementsOf(p) / p.shape.at(-1)!
    assert.deepEqual(read.floats(p, 0, rows), before.floats(p, 0, rows), p.name)
  }
})

test('a conversation goes along: template, begin token, ends; names that lead out of the folder do not', async () => {
  const path = await model('chat', { kind: 'gpt', layers: 1, hidden: 32, heads: 2 }, [
    ['tokenizer.chat_template', gguf.string('{{ messages[0].content }}')],
    ['tokenizer.chat_template.tool_use', gguf.string('T')],
    ['tokenizer.chat_template.../../../escaped', gguf.string('E')]
  ])
  const { files } = await exported(path, 'chat', { type: 'BF16' })
  assert.ok(files.includes('additional_chat_templates/tool_use.jinja'))
  assert.ok(!files.some(name => name.includes('escaped')))
  assert.equal(readFileSync(join(folder, 'chat', 'chat_template.jinja'), 'utf8'), '{{ messages[0].content }}')
  using read = reopen('chat')
  assert.equal(read.conversation.template?.text, '{{ messages[0].content }}')
  assert.equal(read.typeOf(parametersOf(read.config)[0]!), 'BF16')
})

test('an existing folder is replaced only if it holds a model and that is asked for; a failure leaves nothing', async () => {
  const path = await model('small', { kind: 'gpt', layers: 1, hidden: 32, heads: 2 })
  await exported(path, 'twice')
  await assert.rejects(exported(path, 'twice'), e => VeritError.is(e, 'VERIT_FILE_EXISTS'))
  await exported(path, 'twice', { overwrite: true })
  mkdirSync(join(folder, 'mine'))
  writeFileSync(join(folder, 'mine', 'letter.txt'), 'dear')
  await assert.rejects(exported(path, 'mine', { overwrite: true }), e => VeritError.is(e, 'VERIT_USAGE'))
  assert.deepEqual(readdirSync(join(folder, 'mine')), ['letter.txt'])

  const before = readdirSync(folder)
  const stop = new AbortController()
  const onProgress = (done: number): void => (done > 0 ? stop.abort(new Error('stopped')) : undefined)
  await assert.rejects(exported(path, 'stopped', { onProgress, signal: stop.signal }), /stopped/)
  assert.deepEqual(readdirSync(folder), before)
})
