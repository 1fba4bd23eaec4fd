import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { Tokenizer } from '../tokenizer/tokenizer.ts'
import { openDataset } from './dataset.ts'
import type { Dataset } from './dataset.ts'
import { prepare } from './prepare.ts'
import type { PrepareOptions } from './prepare.ts'
import { Router } from './router.ts'

const root = mkdtempSync(join(tmpdir(), 'verit-data-'))
after(() => rmSync(root, { recursive: true }))
let made = 0
const silent = { write: () => true }

/** Writes files and prepares them into a new folder. */
async function make(files: Record<string, string | Buffer>, options: Partial<PrepareOptions> = {}): Promise<string> {
  const folder = join(root, String(made++))
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, 'in', name)), { recursive: true })
    writeFileSync(join(folder, 'in', name), content)
  }
  await prepare([join(folder, 'in')], {
    out: join(folder, 'out'),
    progress: silent,
    training: { vocabSize: 300 },
    ...options
  })
  return join(folder, 'out')
}

function textOf(data: Dataset, name: 'train' | 'validation'): string[] {
  const split = data.split(name)
  const ids = new Int32Array(split.length)
  split.read(0, split.length, ids)
  const text = Tokenizer.fromJSON(readFileSync(data.tokenizerPath, 'utf8')).decode(ids)
  return text.split('<|endoftext|>').slice(0, -1)
}

const passages = Array.from(
  { length: 600 },
  (_, n) => `Passage ${n % 500} says: ${'word '.repeat(n % 7)}${(n % 500) * 31} é👍.`
)

test('paragraphs are deduplicated, split by content and come back from the shards', async () => {
  const out = await make(
    { 'a.txt': passages.join('\n\n'), 'b.md': passages.slice(0, 50).join('\r\n \r\n'), 'c.bin': 'not text' },
    { format: 'paragraphs', shardTokens: 1000 }
  )
  using data = openDataset(out)
  const { manifest } = data
  assert.deepEqual(manifest.documents.read, 650)
  assert.deepEqual(manifest.documents.kept, new Set(passages).size)
  assert.deepEqual(manifest.documents.duplicates, 650 - new Set(passages).size)
  assert.deepEqual(
    manifest.inputs.map(i => i.name),
    ['in/a.txt', 'in/b.md']
  )
  assert.equal(manifest.options.split.rule, 'content')
  const train = textOf(data, 'train')
  const validation = textOf(data, 'validation')
  assert.deepEqual([...train, ...validation].sort(), [...new Set(passages)].sort())
  assert.ok(validation.length > 20 && validation.length < 120)
  assert.equal(manifest.splits.validation.bytes, Buffer.byteLength(validation.join('')))
  assert.equal(manifest.splits.validation.characters, [...validation.join('')].length)
  assert.ok(manifest.splits.train.shards.length > 3)
  assert.equal(
    data.digest,
    `sha256:${createHash('sha256')
      .update(readFileSync(join(out, 'manifest.json')))
      .digest('hex')}`
  )
})

test('the same text is on one side only, also when duplicates are kept', async () => {
  using data = openDataset(
    await make(
      { 'a.txt': passages.join('\n'), 'b.txt': passages.map(p => ` ${p.replaceAll(' ', '  ')}`).join('\n') },
      { format: 'lines', deduplicate: false }
    )
  )
  assert.equal(data.manifest.documents.kept, 1200)
  const words = (s: string): string => s.replace(/ +/g, ' ')
  const train = new Set(textOf(data, 'train').map(words))
  assert.ok(textOf(data, 'validation').every(p => !train.has(words(p))))
})

test('the same input gives the same bytes, and a window can be read from anywhere', async () => {
  const files = { 'x/1.txt': passages.join('\n'), 'y.txt': 'tail' }
  const [a, b] = [await make(files, { shardTokens: 777 }), await make(files, { shardTokens: 777 })]
  const names = readdirSync(a)
  assert.deepEqual(readdirSync(b), names)
  for (const name of names) assert.ok(readFileSync(join(a, name)).equals(readFileSync(join(b, name))), name)
  using data = openDataset(a)
  const split = data.split('train')
  const all = new Int32Array(split.length)
  split.read(0, split.length, all)
  for (const [start, count] of [
    [0, 1],
    [776, 2],
    [500, 3000],
    [split.length - 5, 5],
    [100, 0]
  ] as const) {
    const out = new Int32Array(count + 2).fill(-1)
    split.read(start, count, out, 1)
    assert.deepEqual([...out], [-1, ...all.subarray(start, start + count), -1])
  }
})

test('characters with a tail split: the vocabulary is that of the whole text, and nothing stands between', async () => {
  const text = `${'abc \n'.repeat(179)}aéb👍c`
  using data = openDataset(await make({ 'a.txt': text }, { training: { kind: 'character' }, split: 'tail' }))
  assert.equal(data.vocabSize, 7)
  assert.equal(data.manifest.tokenizer.endOfText, null)
  assert.equal(data.split('train').length, 810)
  assert.equal(data.split('validation').length, 90)
})

test('without an end-of-text token, lines are joined by line feeds', async () => {
  using data = openDataset(
    await make({ 'a.txt': 'ab\n\ncd\nef' }, { training: { kind: 'character' }, format: 'lines', validation: 0 })
  )
  const ids = new Int32Array(data.split('train').length)
  data.split('train').read(0, ids.length, ids)
  assert.equal(Tokenizer.fromJSON(readFileSync(data.tokenizerPath, 'utf8')).decode(ids), 'ab\ncd\nef')
})

test('a given tokenizer is used and copied', async () => {
  const first = await make({ 'a.txt': passages.join('\n') })
  using data = openDataset(
    await make({ 'a.txt': 'something else, 語' }, { tokenizer: join(first, 'tokenizer.json'), validation: 0 })
  )
  assert.equal(data.manifest.tokenizer.sha256, openDataset(first).manifest.tokenizer.sha256)
  assert.deepEqual(textOf(data, 'train'), ['something else, 語'])
})

test('bytes that are not UTF-8 are refused with their offset, or replaced', async () => {
  const bytes = Buffer.concat([
    Buffer.alloc((1 << 20) - 1, 'a'),
    Buffer.from('é '),
    Buffer.from([0xe2, 0x82]),
    Buffer.from(' z')
  ])
  await assert.rejects(make({ 'a.txt': bytes }), {
    code: 'VERIT_DATA_UTF8',
    fields: { path: join(root, String(made - 1), 'in', 'a.txt'), offset: (1 << 20) + 2 }
  })
  using data = openDataset(await make({ 'a.txt': bytes }, { replaceInvalid: true, validation: 0 }))
  assert.ok(textOf(data, 'train')[0]!.endsWith('aé \ufffd z'))
  await assert.rejects(make({ 'a.txt': Buffer.from([0x61, 0xe2, 0x82]) }), { code: 'VERIT_DATA_UTF8' })
})

test('prepare overwrites nothing unasked, replaces only datasets, and leaves nothing after a failure', async () => {
  const out = await make({ 'a.txt': passages.join('\n') })
  const again = (options: Partial<PrepareOptions> = {}): Promise<unknown> =>
    prepare([join(out, '..', 'in')], { out, progress: silent, training: { vocabSize: 300 }, ...options })
  await assert.rejects(again(), { code: 'VERIT_FILE_EXISTS' })
  await assert.rejects(again({ force: true, split: 'content' }), { code: 'VERIT_DATA_EMPTY' })
  await assert.rejects(again({ force: true, signal: AbortSignal.abort() }), { code: 'VERIT_INTERRUPTED' })
  assert.deepEqual(readdirSync(join(out, '..')).sort(), ['in', 'out'])
  await again({ force: true, validation: 0.5 })
  assert.equal(openDataset(out).manifest.options.split.validation, 0.5)
  await assert.rejects(again({ force: true, out: join(out, '..', 'in') }), { code: 'VERIT_USAGE' })
  assert.ok(existsSync(join(out, '..', 'in', 'a.txt')))
})

test('inputs that are missing, empty or all dropped give one clear error', async () => {
  await assert.rejects(prepare([join(root, 'none')], { out: join(root, 'o') }), { code: 'VERIT_FILE_NOT_FOUND' })
  await assert.rejects(make({ 'a.txt': '' }), { code: 'VERIT_DATA_EMPTY' })
  await assert.rejects(make({ 'a.txt': ' \n ' }), { code: 'VERIT_DATA_EMPTY' })
  await assert.rejects(make({ 'a.pdf': 'x' }), { code: 'VERIT_DATA_EMPTY' })
  await assert.rejects(make({ 'a.txt': 'short' }, { minCharacters: 100 }), { code: 'VERIT_DATA_EMPTY' })
  for (const options of [
    { validation: 1 },
    { validation: NaN },
    { seed: -1 },
    { shardTokens: 0 },
    { minCharacters: 0.5 }
  ]) {
    await assert.rejects(make({ 'a.txt': 'text' }, options), { code: 'VERIT_USAGE' })
  }
})

test('a dataset that was touched is refused when the file is first used', async () => {
  const out = await make({ 'a.txt': passages.join('\n') })
  const shard = join(out, 'train-00000.tokens')
  const bytes = readFileSync(shard)
  const first = (verify = true): number => {
    using data = openDataset(out, { verify })
    const ids = new Int32Array(1)
    data.split('train').read(0, 1, ids)
    return ids[0]!
  }
  const refused = { code: 'VERIT_DATASET' }
  const flipped = Buffer.from(bytes)
  flipped[40]! ^= 1
  writeFileSync(shard, flipped)
  assert.throws(() => first(), refused)
  assert.ok(first(false) >= 0)
  flipped.writeUInt16LE(60_000, 32)
  writeFileSync(shard, flipped)
  assert.throws(() => first(false), refused)
  for (const at of [0, 8, 12, 16, 24]) {
    const header = Buffer.from(bytes)
    header[at]! ^= 7
    writeFileSync(shard, header)
    assert.throws(() => first(false), refused)
  }
  writeFileSync(shard, bytes.subarray(0, 20))
  assert.throws(() => first(false), refused)
  writeFileSync(shard, bytes)
  first()
  const manifest = readFileSync(join(out, 'manifest.json'), 'utf8')
  for (const [from, to] of [
    ['"verit-dataset"', '"other"'],
    ['"version": 1', '"version": 2'],
    ['"train-00000.tokens"', '"../train-00000.tokens"'],
    ['"kept"', '"lost"'],
    [/"tokens": \d+/, '"tokens": 1'],
    [/"vocabSize": \d+/, '"vocabSize": 300.5'],
    [/("tokenizer.json",\s+"bytes": \d+,\s+"sha256": "sha256:)..../, '$1'],
    [/^\{/, '']
  ] as const) {
    writeFileSync(join(out, 'manifest.json'), manifest.replace(from, to))
    if (from === '"kept"') openDataset(out).close()
    else assert.throws(() => openDataset(out), refused, String(from))
  }
  writeFileSync(join(out, 'manifest.json'), manifest)
  appendFileSync(join(out, 'tokenizer.json'), ' ')
  assert.throws(() => openDataset(out), refused)
})

test('by position, the document in which the border falls is cut there, between characters', () => {
  const seen: string[] = []
  const router = new Router(Uint8Array.of(1, 0, 2), 4, {
    text: (side, piece) => seen.push(`${side} ${piece}`),
    end: side => seen.push(`${side} end`)
  })
  for (const document of ['ab', 'dropped', '👍c👍d']) {
    router.text(document)
    router.end()
  }
  assert.deepEqual(seen, ['train ab', 'train end', 'train 👍c', 'train end', 'validation 👍d', 'validation end'])
})
