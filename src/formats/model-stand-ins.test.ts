import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { VeritError } from '../lib/errors.ts'
import { openGguf } from './gguf-reader.ts'
import { gguf } from './gguf-value.ts'
import { writeGguf } from './gguf-writer.ts'
import { openSafetensors, writeSafetensors } from './safetensors.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-other-kind-'))
after(() => rmSync(dir, { recursive: true }))

writeSafetensors(join(dir, 'x.safetensors'), new Map([['a', { dtype: 'F32', shape: [2], data: new Float32Array(2) }]]))
writeGguf(join(dir, 'x.gguf'), {
  metadata: [['general.architecture', gguf.string('gpt2')]],
  tensors: [{ name: 'w', type: 'F32', shape: [2], data: new Uint8Array(8) }]
})
const u32 = (n: number): Buffer => Buffer.of(n & 255, (n >> 8) & 255, (n >> 16) & 255, n >>> 24)
const zip = (name: string): Buffer =>
  Buffer.concat([
    Buffer.from('PK\x03\x04'),
    Buffer.alloc(22),
    Buffer.of(name.length, 0, 0, 0),
    Buffer.from(name),
    Buffer.alloc(40)
  ])

/** What people have in the place of a model: the content, what it is called, and what to do. */
const standIns: readonly (readonly [string | Buffer, RegExp, RegExp])[] = [
  [
    `version https://git-lfs.github.com/spec/v1\noid sha256:${'4665a5ea'.repeat(8)}\nsize 1187801280\n`,
    /a Git LFS pointer/,
    /git lfs pull/
  ],
  ['<!DOCTYPE html>\n<html><head><title>model.gguf</title></head><body></body></html>', /an HTML page/, /\/resolve\//],
  [
    '<!doctype html><html><head><title>m.gguf · x/y at main · Hugging Face</title></head></html>',
    /a web page about a file/,
    /\/resolve\//
  ],
  ['{"error":"Entry not found"}', /the error message of a server/, /Read the message/],
  ['Invalid username or password.', /the error message of a server/, /Read the message/],
  ['<Error><Code>AccessDenied</Code></Error>', /the error message of a server/, /Read the message/],
  ['Once upon a time', /plain text/, /Give the path of/],
  [Buffer.from('\ufeffA text, no model.', 'utf16le'), /text in UTF-16/, /Give the path of/],
  ['', /an empty file/, /Get the file again/],
  [gzipSync('model'), /a gzip file/, /gunzip -c/],
  [zip('archive/data.pkl'), /a PyTorch checkpoint/, /Convert the checkpoint/],
  [Buffer.from('\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94.', 'latin1'), /a Python pickle/, /can run code/],
  [
    Buffer.concat([Buffer.from('tjgg'), u32(3), Buffer.alloc(64)]),
    /a GGML model, the format before GGUF/,
    /convert_llama_ggml_to_gguf/
  ],
  [
    Buffer.concat([Buffer.from('\x08\x08\x12\x07pytorch\x1a\x052.0.0'), Buffer.alloc(40)]),
    /an ONNX model/,
    /as GGUF|Give the path/
  ],
  [Buffer.concat([Buffer.from('\x89HDF\r\n\x1a\n', 'latin1'), Buffer.alloc(64)]), /an HDF5 file/, /Give the path of/],
  [Buffer.concat([Buffer.from('\x7fELF', 'latin1'), Buffer.alloc(64)]), /a program/, /Give the path of/]
]

test('what stands in the place of a model is named for what it is, with the step that helps, by both readers', () => {
  for (const [content, what, step] of standIns) {
    for (const [name, open, code] of [
      ['model.gguf', openGguf, 'VERIT_GGUF'],
      ['model.safetensors', openSafetensors, 'VERIT_SAFETENSORS']
    ] as const) {
      const path = join(dir, name)
      writeFileSync(path, content)
      assert.throws(
        () => open(path),
        (e: unknown) =>
          VeritError.is(e, code) && what.test(e.what) && step.test(e.next) && !/claims \d{10}/.test(e.message),
        `${name}: ${String(what)}`
      )
    }
  }
})

test('each format in the place of the other is named, and safetensors leads to verit convert', () => {
  assert.throws(
    () => openGguf(join(dir, 'x.safetensors')),
    (e: unknown) =>
      VeritError.is(e, 'VERIT_GGUF') &&
      /it is a safetensors file\. Convert the folder of the model: .*convert \S+ model\.gguf/.test(e.message)
  )
  assert.throws(
    () => openSafetensors(join(dir, 'x.gguf')),
    (e: unknown) => VeritError.is(e, 'VERIT_SAFETENSORS') && /it is a GGUF model/.test(e.message)
  )
})

test('a GGUF file that is cut, big-endian or of another version is told apart from another file', () => {
  const bad = join(dir, 'bad.gguf')
  const begin = (version: Buffer): Buffer => Buffer.concat([Buffer.from('GGUF'), version, Buffer.alloc(100)])
  const cases: [Buffer, RegExp][] = [
    [Buffer.from('GGUF'), /it is cut: .*4 bytes in all/],
    [begin(Buffer.of(0, 0, 0, 3)), /big-endian.*gguf_convert_endian/],
    [Buffer.concat([Buffer.from('FUGG'), Buffer.of(0, 0, 0, 3), Buffer.alloc(100)]), /big-endian/],
    [begin(u32(1)), /the version is 1/],
    [Buffer.from('\x01\x02\x03\x04 not a model at all \xff\xfe\x00', 'latin1'), /does not begin with GGUF/]
  ]
  for (const [bytes, words] of cases) {
    writeFileSync(bad, bytes)
    assert.throws(
      () => openGguf(bad),
      (e: unknown) => VeritError.is(e, 'VERIT_GGUF') && words.test(e.message),
      String(words)
    )
  }
})
