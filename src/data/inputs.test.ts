/** Inputs as people give them: files that are not plain text, and folders with odd files among the texts. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { VeritError } from '../lib/errors.ts'
import { TokenizerTrainer } from '../tokenizer/train-tokenizer.ts'
import { pushTexts } from './learn-vocabulary.ts'
import type { Manifest } from './manifest.ts'
import { prepare } from './prepare.ts'
import type { PrepareOptions } from './prepare.ts'

const root = mkdtempSync(join(tmpdir(), 'verit-inputs-'))
after(() => rmSync(root, { recursive: true }))
let made = 0
const silent = { write: () => true }

interface Prepared {
  manifest: Manifest
  notices: string[]
}

async function prepared(input: string, options: Partial<PrepareOptions> = {}): Promise<Prepared> {
  const notices: string[] = []
  const out = join(root, `out-${made++}`)
  const rest = { progress: silent, training: { vocabSize: 300 }, onNotice: (n: string) => void notices.push(n) }
  return { manifest: await prepare([input], { out, ...rest, ...options }), notices }
}

function file(name: string, content: string | Uint8Array): string {
  const path = join(root, name)
  writeFileSync(path, content)
  return path
}

const prose = Array.from({ length: 60 }, (_, i) => `Line ${i}: the caf\u00e9 opens, the sun is up.\n`).join('')
const latin1 = Buffer.from(prose, 'latin1')
const records = prose
  .trim()
  .split('\n')
  .map((text, id) => JSON.stringify({ id, text }))
  .join('\n')
const csv = `id,text\n${prose
  .trim()
  .split('\n')
  .map((text, id) => `${id},"${text}"`)
  .join('\n')}\n`
const html = `<!doctype html>\n<html><body><p>${prose}</p></body></html>`

const noise = Buffer.from(Array.from({ length: 3000 }, (_, i) => (i * i * 31 + 7) & 255))

const REFUSED: readonly [name: string, content: string | Uint8Array, what: RegExp, next: RegExp][] = [
  ['book.txt.gz', gzipSync(prose), /a gzip file/, /gunzip -c \S*book\.txt\.gz > \S*book\.txt/],
  ['my book.txt', gzipSync(prose), /a gzip file/, /gunzip -c '[^']*my book\.txt' > '[^']*'/],
  ['book.zst', zstdCompressSync(prose), /a Zstandard file/, /zstd -dc/],
  ['a.parquet', Buffer.from('PAR1\u0015\u0004\u0015\u0010PAR1'), /a Parquet file/, /Export its text column/],
  ['talk.jsonl', records, /a JSON Lines file/, /jq -r '\.text, "<\|endoftext\|>"' \S*jsonl > \S+.*--as-text/],
  ['talk.txt', records, /a JSON Lines file/, /--as-text/],
  ['one.json', JSON.stringify([{ text: prose }]), /a JSON file/, /jq.*--as-text/],
  ['table.csv', csv, /a CSV file/, /row\["text"\].*--as-text/],
  ['page.html', html, /an HTML page/, /pandoc.*--as-text/],
  ['page.txt', html, /an HTML page/, /pandoc/],
  ['wide.txt', Buffer.from(`\ufeff${prose}`, 'utf16le'), /text in UTF-16/, /iconv -f UTF-16LE -t UTF-8/],
  ['wide-without-mark.txt', Buffer.from(prose, 'utf16le'), /text in UTF-16/, /iconv -f UTF-16LE/],
  ['old.txt', latin1, /probably Latin-1/, /iconv -f ISO-8859-1 -t UTF-8/],
  ['late.txt', Buffer.concat([Buffer.alloc(1_100_000, 'plain words '), latin1]), /probably Latin-1/, /iconv/],
  [
    'i.png',
    Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR', 'latin1'), noise]),
    /a PNG image/,
    /Name a text file/
  ],
  [
    'model.pkl',
    Buffer.from('\x80\x04\x95\x1a\0\0\0\0\0\0\0}\x94(\x8c\x01a\x94K\x01u.', 'latin1'),
    /a Python pickle/,
    /Name a text file/
  ],
  ['paper.txt', '%PDF-1.7\n%...', /a PDF document/, /pdftotext/],
  ['noise.txt', noise, /binary data/, /Name a text/],
  ['pointer.txt', 'version https://git-lfs.github.com/spec/v1\noid sha256:1\n', /a Git LFS pointer/, /git lfs pull/]
]

/** Those of them that no option reads as text. */
const BINARY = [
  'book.txt.gz',
  'my book.txt',
  'book.zst',
  'a.parquet',
  'i.png',
  'wide.txt',
  'wide-without-mark.txt',
  'model.pkl',
  'paper.txt',
  'noise.txt'
]

test('a named file that is not plain text is refused by its kind, with the next step', async () => {
  for (const [name, content, what, next] of REFUSED) {
    const path = file(name, content)
    const refused = (e: unknown): boolean => {
      assert.ok(VeritError.is(e, 'VERIT_DATA_KIND'), `${name}: ${String(e)}`)
      assert.match(e.what, what)
      assert.equal(e.what.split(', not ').length, 2, e.what)
      assert.match(e.next, next)
      return true
    }
    await assert.rejects(prepared(path), refused, name)
    // Replacements would turn a compressed file into noise.
    const latin = ['old.txt', 'late.txt'].includes(name)
    if (!latin) await assert.rejects(prepared(path, { replaceInvalid: true }), refused, name)
    if (BINARY.includes(name))
      await assert.rejects(prepared(path, { replaceInvalid: true, asText: true }), refused, name)
    await assert.rejects(pushTexts([path], new TokenizerTrainer(), { progress: silent }), refused)
  }
})

test('asked for, records and markup are read as plain text, and the manifest says so', async () => {
  for (const name of ['talk.jsonl', 'table.csv', 'page.html', 'one.json']) {
    const { manifest } = await prepared(join(root, name), { asText: true })
    assert.equal(manifest.options.asText, true)
    assert.equal(manifest.splits.train.bytes + manifest.splits.validation.bytes, readFileSync(join(root, name)).length)
  }
  await assert.rejects(prepared(join(root, 'book.txt.gz'), { asText: true }), { code: 'VERIT_DATA_KIND' })
})

test('Latin-1 is read with replacements where that is asked for, and they are counted', async () => {
  const { notices } = await prepared(join(root, 'old.txt'), { replaceInvalid: true })
  assert.deepEqual(notices, ['old.txt: 60 invalid byte sequences are read as U+FFFD'])
})

test('control characters that cleaning removes are counted', async () => {
  const { notices } = await prepared(file('nul.txt', `${prose}a\0\0b\x07\r\n${prose}`))
  assert.deepEqual(notices, ['Cleaned: 3 control characters removed in 1 file'])
})

test('source code and a text whose name promises another format are read, the latter with a notice', async () => {
  const code = await prepared(file('code.py', `import json\nx = {"a": [1, 2]}\n${prose}`))
  assert.deepEqual(code.notices, [])
  const uneven = prose
    .split('\n')
    .map((line, i) => line + ','.repeat(i % 3))
    .join('\n')
  const { notices } = await prepared(file('notes.csv', uneven))
  assert.deepEqual(notices, ['1 file is read as plain text: by name CSV, by content not'])
})

/** A folder as it can be found on any machine. */
function oddFolder(): string {
  const folder = join(root, 'texts')
  mkdirSync(join(folder, 'deep'), { recursive: true })
  mkdirSync(join(folder, '.git'))
  writeFileSync(join(folder, 'book.txt'), prose)
  writeFileSync(join(folder, 'deep', 'more.md'), prose.replaceAll('sun', 'moon'))
  writeFileSync(join(folder, '._book.txt'), Buffer.from([0, 5, 22, 7, 0, 2, 0, 0]))
  writeFileSync(join(folder, '.git', 'note.txt'), 'hidden')
  for (const name of ['a.jsonl', 'b.jsonl', 'c.csv', 'd.html', 'LICENSE']) writeFileSync(join(folder, name), 'x')
  writeFileSync(join(folder, 'packed.txt'), gzipSync(prose))
  writeFileSync(join(folder, 'records.txt'), records)
  writeFileSync(join(folder, 'old.txt'), latin1)
  const broken = Buffer.concat([Buffer.from(prose), Buffer.from([0xe2, 0x82]), Buffer.from(prose)])
  writeFileSync(join(folder, 'damaged.txt'), broken)
  writeFileSync(Buffer.concat([Buffer.from(`${folder}/caf`), Buffer.from([0xe9]), Buffer.from('.txt')]), prose)
  symlinkSync('..', join(folder, 'deep', 'loop'))
  symlinkSync('nowhere.txt', join(folder, 'broken.txt'))
  spawnSync('mkfifo', [join(folder, 'pipe.txt')])
  return folder
}

test('one odd file or name never stops a folder: it is passed over, counted by kind, and recorded', async () => {
  const { manifest, notices } = await prepared(oddFolder())
  assert.deepEqual(
    manifest.inputs.map(i => i.name),
    ['texts/book.txt', 'texts/deep/more.md']
  )
  const [counts, ...named] = notices
  assert.equal(
    counts,
    'Skipped 15 files in folders: .jsonl 2, symbolic link 2, .csv 1, .html 1, gzip 1, hidden 1, ' +
      'hidden folder 1, invalid UTF-8 1, iso-8859-1 1, jsonl 1, name not UTF-8 1, no ending 1, no regular file 1'
  )
  assert.equal(named.length, 6) // five names, and how many more
  const reasons = Object.fromEntries(manifest.passedOver!.map(p => [p.name, p.reason]))
  assert.deepEqual(reasons, {
    'texts/._book.txt': 'hidden',
    'texts/caf\ufffd.txt': 'name not UTF-8',
    'texts/pipe.txt': 'no regular file',
    'texts/damaged.txt': 'invalid UTF-8',
    'texts/old.txt': 'iso-8859-1',
    'texts/packed.txt': 'gzip',
    'texts/records.txt': 'jsonl'
  })
})

test('a folder without a text says what it has', async () => {
  const folder = join(root, 'none')
  mkdirSync(folder)
  writeFileSync(join(folder, 'a.jsonl'), records)
  const what = /no file ends in .*\(skipped: \.jsonl 1\)/
  await assert.rejects(prepared(folder), { code: 'VERIT_DATA_EMPTY', what })
  writeFileSync(join(folder, 'b.txt'), gzipSync(prose))
  await assert.rejects(prepared(folder), { code: 'VERIT_DATA_KIND', what: /b\.txt is a gzip file/ })
})

const stories = Array.from({ length: 40 }, (_, i) => `Once there was a cat called ${i}.\nThe end.`)

test('stories between lines of <|endoftext|> are documents, each with a real end-of-text token', async () => {
  const path = file('stories.txt', stories.join('\n<|endoftext|>\n'))
  const { manifest, notices } = await prepared(path)
  assert.equal(manifest.documents.read, 40)
  assert.equal(manifest.options.separator, 'auto')
  assert.deepEqual(notices, [
    'Documents end at lines that hold only an end-of-text name: 39 found; ' + '--separator none reads them as text'
  ])
  const bytes = Buffer.byteLength(stories.join(''))
  assert.equal(manifest.splits.train.bytes + manifest.splits.validation.bytes, bytes)
  const asText = await prepared(path, { separator: 'none' })
  assert.equal(asText.manifest.documents.read, 1)
  assert.match(asText.notices[0]!, /spells <\|endoftext\|> 39 times.*--separator '<\|endoftext\|>'$/)
})

test('separators inside lines, and special tokens that a text spells often, give a notice', async () => {
  const inline = file('inline.txt', stories.join('<|endoftext|>'))
  const seen = await prepared(inline)
  assert.equal(seen.manifest.documents.read, 1)
  assert.equal(seen.manifest.options.separator, undefined)
  assert.match(seen.notices[0]!, /spells <\|endoftext\|> 39 times/)
  const split = await prepared(inline, { separator: '<|endoftext|>' })
  assert.equal(split.manifest.documents.read, 40)
  const chat = file('chat.txt', stories.map(s => `<|user|>Tell me one.\n<|assistant|>${s}\n`).join(''))
  const { notices } = await prepared(chat, { training: { vocabSize: 300, specials: ['<|endoftext|>', '<|user|>'] } })
  assert.deepEqual(notices, ['The text spells <|user|> 40 times, which is read as plain text'])
})
