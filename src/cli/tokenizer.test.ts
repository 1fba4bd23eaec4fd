import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { verit, veritSync } from '../../test/cli.ts'
import { writeRandomModel } from '../bench/random-model.ts'
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
  const { bytes } = JSON.parse(readFileSync(new URL('expected.json', vectors), 'utf8')) as {
    bytes: { encode: [string, number[]][] }
  }
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

test('every command refuses a text of the wrong kind, from a file and from standard input', async () => {
  const [json, model] = [join(dir, 'kinds.json'), join(dir, 'kinds.gguf')]
  writeFileSync(json, new TokenizerTrainer({ vocabSize: 257 }).finish().toJSON())
  await writeRandomModel(
    model,
    referenceExecutor(),
    parseModelConfig({ kind: 'gpt', layers: 1, hidden: 4, heads: 2, ffn: 4, context: 8, vocab: 257 })
  )
  const encode = ['tokenizer', 'encode', '-t', json]
  const readers = [
    [...encode, '-'],
    ['tokenizer', 'decode', '-t', json],
    ['generate', model, '-'],
    ['chat', model],
    ['call', '--prompt', '-'],
    ['call', '/v1/completions', '--data', '-']
  ]
  const gzip = gzipSync('some words')
  const piped = await Promise.all(readers.map(words => verit(words, { input: gzip })))
  for (const [i, { status, stderr }] of piped.entries()) {
    assert.equal(status, 2, `${readers[i]!.join(' ')}: ${stderr}`)
    assert.match(stderr, /standard input is a gzip file, not plain text.*gunzip -c FILE/)
    assert.doesNotMatch(stderr, /replace-invalid/)
  }
  const records = '{"a":1}\n{"a":2}\n'
  const file = join(dir, 'records.jsonl')
  writeFileSync(file, records)
  for (const ended of [await verit([...encode, file]), await verit(encode, { input: records })]) {
    assert.equal(ended.status, 2)
    assert.match(ended.stderr, /is a JSON Lines file, not plain text.*--as-text/)
  }
  const [read, inputRead] = [
    await verit([...encode, file, '--as-text']),
    await verit([...encode, '--as-text'], { input: records })
  ]
  assert.deepEqual([read.status, inputRead.stdout], [0, read.stdout])
  const damaged = await verit(encode, { input: Buffer.concat([Buffer.from('caf\u00e9 '), Buffer.of(0xff)]) })
  assert.deepEqual([damaged.status, /replace-invalid/.test(damaged.stderr)], [1, false], damaged.stderr)
})

test('a conversation on standard input is read line by line, and an empty one ends', async () => {
  const model = join(dir, 'kinds.gguf')
  const words = ['chat', model, '--max-tokens', '1']
  const [lines, empty] = await Promise.all([verit(words, { input: '/help\n/nothing\n' }), verit(words, { input: '' })])
  assert.deepEqual([lines.status, empty.status], [0, 0], lines.stderr + empty.stderr)
  assert.match(lines.stderr, /no command \/nothing/)
})

test('the tokenizer of a GGUF model encodes; a file that is none is refused', async () => {
  const path = join(dir, 'm.gguf')
  await writeRandomModel(
    path,
    referenceExecutor(),
    parseModelConfig({ kind: 'gpt', layers: 1, hidden: 4, heads: 2, ffn: 4, context: 8, vocab: 257 })
  )
  const { status, stdout, stderr } = run('encode', '--tokenizer', path, '--text', 'ab')
  assert.equal(status, 0, stderr)
  assert.match(stdout, /^\d+ \d+\n$/)
  writeFileSync(path, 'nothing')
  assert.match(run('encode', '--tokenizer', path, '--text', 'ab').stderr, /\[VERIT_TOKENIZER_FILE\]\n$/)
})
