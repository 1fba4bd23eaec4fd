/**
 * 10,000 seeded flips, overwritten fields and cuts of a valid GGUF file: each must end in one VeritError or in a file
 * that opens and whose tensors read. No other exception, no read beyond the file, and no buffer larger than the file
 * itself.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { GgufFile } from '../src/formats/gguf-reader.ts'
import { gguf } from '../src/formats/gguf-value.ts'
import { writeGguf } from '../src/formats/gguf-writer.ts'
import { decodeTernary, encodeTernary } from '../src/weights/ternary-tensor.ts'
import type { TernaryTypeName } from '../src/weights/registry.ts'
import { VeritError } from '../src/lib/errors.ts'
import type { ByteSource } from '../src/lib/regular-file.ts'
import { numbers } from './numbers.ts'

const POSITIONS = 10_000
/** Zero bytes at the end of the file: its last tensor has 132 bytes, padded to 160. A file without them is whole. */
const PADDING = 28
const dir = mkdtempSync(join(tmpdir(), 'verit-damage-'))
after(() => rmSync(dir, { recursive: true }))

function validFile(): { bytes: Buffer; header: number } {
  const path = join(dir, 'valid.gguf')
  const trits = Int8Array.from({ length: 512 }, (_, i) => (i % 3) - 1)
  const ternary = (type: TernaryTypeName) => ({
    name: `blk.0.${type}`,
    type,
    shape: [2, 256],
    data: encodeTernary(type, trits, Float32Array.of(0.5))
  })
  writeGguf(path, {
    metadata: [
      ['general.architecture', gguf.string('bitnet-b1.58')],
      ['general.alignment', gguf.u32(32)],
      ['a.u8', gguf.u8(1)],
      ['a.u16', gguf.u16(1)],
      ['a.i32', gguf.i32(-1)],
      ['a.u64', gguf.u64(1n)],
      ['a.f32', gguf.f32(1e-5)],
      ['a.bool', gguf.bool(true)],
      ['tokenizer.ggml.tokens', gguf.strings(Array.from({ length: 100 }, (_, i) => `Ġtoken${i}`))],
      ['tokenizer.ggml.token_type', gguf.i32s(Array.from({ length: 100 }, () => 1))],
      ['tokenizer.ggml.scores', gguf.f32s([0.5, -1])],
      ['a.bools', { type: 'array', of: 'bool', value: [true, false] }]
    ],
    tensors: [
      { name: 'token_embd.weight', type: 'F16', shape: [16, 32], data: new Uint8Array(1024) },
      ternary('I2_S'),
      ternary('TQ1_0'),
      ternary('TQ2_0'),
      { name: 'output_norm.weight', type: 'F32', shape: [33], data: new Uint8Array(132) }
    ]
  })
  const bytes = readFileSync(path)
  return { bytes, header: new GgufFile(watched(bytes)).dataOffset }
}

/** Bytes in memory that refuse to fill a buffer larger than themselves or to read past their end. */
function watched(bytes: Buffer): ByteSource {
  return {
    name: 'damaged.gguf',
    size: bytes.length,
    read(position, target) {
      assert.ok(
        Number.isSafeInteger(position) && position >= 0 && position + target.length <= bytes.length,
        'a read beyond the file'
      )
      target.set(bytes.subarray(position, position + target.length))
    }
  }
}

/** Opens and reads everything; true when that went well, false for a VeritError; anything else is thrown. */
function survives(bytes: Buffer): boolean {
  try {
    const file = new GgufFile(watched(bytes))
    for (const t of file.tensors) {
      const data = file.readTensor(t.name)
      assert.equal(data.length, t.byteLength)
      if (t.type === 'I2_S' || t.type === 'TQ1_0' || t.type === 'TQ2_0') decodeTernary(t.type, data, t.elements, t.name)
    }
    return true
  } catch (e) {
    if (VeritError.is(e) && e.code !== 'VERIT_INTERNAL') return false
    throw e
  }
}

test('10,000 flips, overwritten fields and cuts of a GGUF file end in one clear error or a readable file', () => {
  const { bytes, header } = validFile()
  const next = numbers(20260101)
  const extremes = [
    0n,
    1n,
    0x7fffffffn,
    0xffffffffn,
    2n ** 32n,
    2n ** 40n,
    2n ** 63n - 1n,
    2n ** 63n,
    2n ** 64n - 1n,
    BigInt(bytes.length)
  ]
  assert.ok(survives(bytes))
  let refused = 0
  for (let i = 0; i < POSITIONS; i++) {
    const kind = i % 4
    // Three of four damages hit the header, which is where the traps are.
    const at = i % 16 < 12 ? next(header) : next(bytes.length)
    let damaged = Buffer.from(bytes)
    if (kind === 0) damaged[at]! ^= 1 << next(8)
    else if (kind === 1) damaged[at] = next(256)
    else if (kind === 2) damaged.writeBigUInt64LE(extremes[next(extremes.length)]!, Math.min(at, bytes.length - 8))
    else damaged = damaged.subarray(0, at)
    const ok = survives(damaged)
    if (kind === 3) assert.equal(ok, at >= bytes.length - PADDING, `a file cut at byte ${at}`)
    if (!ok) refused++
  }
  assert.ok(refused > POSITIONS / 2 && refused < POSITIONS, `${refused} of ${POSITIONS} refused`)
})

test('a file cut at any byte whatever is refused until only padding is missing', () => {
  const { bytes } = validFile()
  for (let length = 0; length < bytes.length; length++) {
    assert.equal(survives(bytes.subarray(0, length)), length >= bytes.length - PADDING, `cut at byte ${length}`)
  }
})
