import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { veritSync } from '../../test/cli.ts'
import { writeRandomModel } from '../engine/random-model.ts'
import { referenceExecutor } from '../exec/reference.ts'
import { parseModelConfig } from '../model/config.ts'
import { TokenizerTrainer } from '../tokenizer/train-tokenizer.ts'
import { openTokenizer } from './open-tokenizer.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-tokenizer-'))
after(() => rmSync(dir, { recursive: true }))
const run = (...args: string[]) => veritSync(['tokenizer', ...args])
const vectors = new URL('../../test/vectors/sentencepiece/', import.meta.url)

test('a SentencePiece model encodes and decodes, under any name', () => {
  const path = join(dir, 'spiece.bin')
  writeFileSync(path, readFileSync(new URL('bytes.model', vectors)))
  const { bytes } = JSON.parse(readFileSync(new URL('expected.json', vectors), 'utf8')) as { bytes: { encode: [string, number[]][] } }
  const [text, ids] = bytes.encode.find(([t]) => t.startsWith('Fellow-Citizens'))!
  const encoded = run('encode', '--tokenizer', path, '--text', text, '--json')
  assert.equal(encoded.status, 0, encoded.stderr)
  const report = JSON.parse(encoded.stdout) as { ids: number[]; tokens: string[] }
  assert.deepEqual(report.ids, ids)
  assert.equal(report.tokens.join('').replaceAll('\u2581', ' '), ` ${text}`)
  assert.equal(run('decode', '--tokenizer', path, ...ids.map(String)).stdout, text)
})

test('a folder that holds a tokenizer stands for it', () => {
  const trainer = new TokenizerTrainer({ vocabSize: 257 })
  const json = trainer.finish().toJSON()
  const folders = { dataset: join(dir, 'dataset'), run: join(dir, 'run', 'data') }
  for (const folder of Object.values(folders)) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'tokenizer.json'), json)
  }
  for (const path of [folders.dataset, join(dir, 'run')]) assert.equal(openTokenizer(path).vocabSize, 257)
  assert.throws(() => openTokenizer(dir), { code: 'VERIT_USAGE', what: /folder without a tokenizer/ })
})

test('a file is encoded as prepare reads it, unless every character is asked for', () => {
  const [json, text] = [join(dir, 'characters.json'), join(dir, 'text.txt')]
  const trainer = new TokenizerTrainer({ kind: 'character' })
  trainer.push('\ufeffa\r\n{}')
  writeFileSync(json, trainer.finish().toJSON())
  writeFileSync(text, '\ufeff{a}\r\n')
  const encoded = (...more: string[]): string => run('encode', '-t', json, text, '--json', ...more).stdout
  assert.equal((JSON.parse(encoded()) as { bytes: number }).bytes, 4)
  assert.equal((JSON.parse(encoded('--no-clean')) as { bytes: number }).bytes, 8)
})

test('the tokenizer of a GGUF model encodes; a file that is none is refused', async () => {
  const path = join(dir, 'm.gguf')
  await writeRandomModel(path, referenceExecutor(), parseModelConfig({ kind: 'gpt', layers: 1, hidden: 4, heads: 2, ffn: 4, context: 8, vocab: 257 }))
  const { status, stdout, stderr } = run('encode', '--tokenizer', path, '--text', 'ab')
  assert.equal(status, 0, stderr)
  assert.match(stdout, /^\d+ \d+\n$/)
  writeFileSync(path, 'nothing')
  assert.match(run('encode', '--tokenizer', path, '--text', 'ab').stderr, /\[VERIT_TOKENIZER_FILE\]\n$/)
})
