import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { VeritError } from '../lib/errors.ts'
import { bytesSource } from '../lib/regular-file.ts'
import { TorchFile, openTorch } from './torch-file.ts'

const fixture = fileURLToPath(new URL('../../test/fixtures/torch/nanogpt.pt', import.meta.url))

interface ZipEntry {
  readonly name: string
  readonly data: Uint8Array
  /** What the directory says instead of the truth. */
  readonly says?: { method?: number; size?: number; packed?: number; offset?: number; flags?: number }
}

/** A ZIP archive of stored entries, written from the format's description. */
function zip(entries: readonly ZipEntry[]): Buffer {
  const parts: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const { name, data, says = {} } of entries) {
    const bytes = Buffer.from(name)
    const local = Buffer.alloc(30)
    local.writeUInt32LE(0x04034b50)
    local.writeUInt16LE(bytes.length, 26)
    const central = Buffer.alloc(46)
    central.writeUInt32LE(0x02014b50)
    central.writeUInt16LE(says.flags ?? 0, 8)
    central.writeUInt16LE(says.method ?? 0, 10)
    central.writeUInt32LE(says.packed ?? says.size ?? data.length, 20)
    central.writeUInt32LE(says.size ?? data.length, 24)
    central.writeUInt16LE(bytes.length, 28)
    central.writeUInt32LE(says.offset ?? offset, 42)
    parts.push(local, bytes, Buffer.from(data))
    directory.push(central, bytes)
    offset += 30 + bytes.length + data.length
  }
  const listed = Buffer.concat(directory)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50)
  end.writeUInt16LE(entries.length, 10)
  end.writeUInt32LE(listed.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...parts, listed, end])
}

const text = (value: string): Buffer => {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.of(0x8c, bytes.length), bytes])
}
const int = (value: number): Buffer => {
  const bytes = Buffer.alloc(5)
  bytes[0] = 0x4a
  bytes.writeInt32LE(value, 1)
  return bytes
}
const global = (module: string, name: string): Buffer => Buffer.from(`c${module}\n${name}\n`)
const code = (letters: string): Buffer => Buffer.from(letters, 'latin1')
const proto = Buffer.of(0x80, 2)
const pickle = (...steps: Buffer[]): Buffer => Buffer.concat([proto, ...steps])

/** `{"w": tensor}` with a storage of 6 floats, after changes. */
function weights({ shape = [2, 3], strides = [3, 1], offset = 0, length = 6, key = '0' } = {}): Buffer {
  const tuple = (values: readonly number[]): Buffer => Buffer.concat([code('('), ...values.map(int), code('t')])
  return pickle(
    code('}'),
    text('w'),
    global('torch._utils', '_rebuild_tensor_v2'),
    code('(('),
    text('storage'),
    global('torch', 'FloatStorage'),
    text(key),
    text('cpu'),
    int(length),
    code('tQ'),
    int(offset),
    tuple(shape),
    tuple(strides),
    Buffer.of(0x89),
    global('collections', 'OrderedDict'),
    code(')RtRs.')
  )
}

const numbers = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer)
const archive = (data: Uint8Array, more: readonly ZipEntry[] = [{ name: 'm/data/0', data: numbers }]): Buffer =>
  zip([{ name: 'm/data.pkl', data }, ...more])
const open = (bytes: Buffer): TorchFile => new TorchFile(bytesSource(bytes, 'test.pt'))

const refused = (bytes: Buffer, problem: RegExp): void =>
  assert.throws(
    () => open(bytes),
    e => VeritError.is(e, 'VERIT_TORCH_FILE') && problem.test(e.fields.problem),
    String(problem)
  )

test('a checkpoint that PyTorch wrote has its tensors, once each, and its configuration', () => {
  using file = openTorch(fixture)
  const wte = file.tensors.get('lm_head.weight') ?? file.tensors.get('transformer.wte.weight')
  assert.deepEqual([wte?.dtype, wte?.shape], ['F32', [257, 8]])
  assert.ok(!(file.tensors.has('lm_head.weight') && file.tensors.has('transformer.wte.weight')))
  assert.equal(file.configuration?.['n_head'], 2)
  const bytes = file.read('transformer.ln_f.weight')
  assert.deepEqual(new Float32Array(bytes.buffer), new Float32Array(8).fill(1))
})

test('a tensor is a view of its storage', () => {
  const file = open(archive(weights({ shape: [1, 3], offset: 3 })))
  assert.deepEqual(new Float32Array(file.read('w').buffer), Float32Array.of(4, 5, 6))
  const part = new Uint8Array(4)
  file.readPart('w', 4, part)
  assert.equal(new Float32Array(part.buffer)[0], 5)
  refused(archive(weights({ strides: [1, 2] })), /not stored row by row/)
  refused(archive(weights({ offset: 1 })), /does not lie in its storage/)
  refused(archive(weights({ length: 60, shape: [20, 3] })), /does not lie in its storage/)
  refused(archive(weights({ shape: [-2, 3] })), /arguments that do not fit/)
  refused(archive(weights({ key: '../../etc/passwd' })), /the numbers of its tensor w are missing/)
})

test('every call, name and instruction beyond data is refused, and nothing is executed', () => {
  const call = (module: string, name: string): Buffer =>
    pickle(global(module, name), code('('), text('touch hacked'), code('tR.'))
  for (const [module, name] of [
    ['os', 'system'],
    ['posix', 'system'],
    ['builtins', 'eval'],
    ['__builtin__', 'exec'],
    ['subprocess', 'Popen'],
    ['torch', 'load'],
    ['torch.storage', '_load_from_bytes'],
    ['torch._utils', '_rebuild_sparse_tensor'],
    ['collections', 'defaultdict'],
    ['numpy.core.multiarray', '_reconstruct'],
    ['constructor', 'prototype'],
    ['', '__proto__']
  ] as const)
    refused(archive(call(module, name)), /is not data/)
  refused(archive(pickle(text('os'), text('system'), code('\x93'), code('.'))), /os\.system, which is not data/)
  refused(archive(pickle(global('torch', 'float32'), code(')R.'))), /it calls torch\.float32/)
  // __setstate__ of an object, and of a tensor.
  refused(archive(pickle(int(1), code('}b.'))), /sets the state of a value that is no dictionary/)
  for (const letter of ['i', 'o', 'P', '\x81', '\x92', 'I', 'S', 'p', 'g', '2', '\x97', '\x82'])
    refused(archive(pickle(code('}'), code(letter), code('.'))), /instruction 0x.*plain data does not need/)
})

test('loops through the memo, floods and cut files end in an error, in bounded time and memory', () => {
  const self = pickle(code('}q\x00'), text('w'), code('h\x00s.'))
  refused(archive(self), /holds no dictionary of tensors/)
  refused(archive(pickle(code(']q\x00h\x00a.'))), /is no dictionary/)
  refused(archive(Buffer.concat([proto, Buffer.alloc(10_000_000, 'N')])), /holds more than 1048576 values/)
  refused(archive(Buffer.concat([proto, Buffer.alloc(10_000_000, 'N0')])), /more than 2097152 instructions/)
  // A list of 100,000 pairs, made into a dictionary again and again.
  const pairs = Buffer.concat(Array.from({ length: 100_000 }, () => code('K\x01K\x01\x86')))
  const again = Buffer.concat(
    Array.from({ length: 1000 }, () => Buffer.concat([global('collections', 'OrderedDict'), code('h\x00\x85R0')]))
  )
  refused(archive(Buffer.concat([proto, code(']q\x00('), pairs, code('e'), again, code('.')])), /calls have more than/)
  refused(archive(pickle(code('\x8a\xff'), Buffer.alloc(255, 1), code('.'))), /whole number of 255 bytes/)
  refused(archive(pickle(code('X\xff\xff\xff\x7fabc'))), /it is cut/)
  refused(archive(pickle(code('s.'))), /takes a value that is not there/)
  refused(archive(pickle(code('t.'))), /mark that is not there/)
  refused(archive(pickle(code('h\x05.'))), /did not keep/)
  refused(archive(Buffer.of(0x80, 9, 0x2e)), /protocol is newer than 5/)
})

test('archives that are not what PyTorch writes are refused', () => {
  const good = weights()
  const entry = { name: 'm/data/0', data: numbers }
  refused(archive(good, [{ ...entry, says: { method: 8 } }]), /is compressed/)
  refused(archive(good, [{ ...entry, says: { flags: 1 } }]), /is encrypted/)
  refused(archive(good, [{ ...entry, says: { size: 1 << 30, packed: 24 } }]), /has two sizes/)
  refused(archive(good, [{ ...entry, says: { size: 1 << 30 } }]), /does not lie in it/)
  refused(archive(good, [{ ...entry, says: { offset: 0 } }]), /overlap/)
  refused(archive(good, [entry, entry]), /appears twice/)
  refused(archive(good, [entry, { name: 'm/byteorder', data: Buffer.from('big') }]), /big-endian/)
  refused(zip([entry]), /has no data\.pkl/)
  refused(Buffer.from('PK\x03\x04 not an archive'), /end of a ZIP archive is missing/)
  refused(Buffer.alloc(0), /end of a ZIP archive is missing/)
})

test('a real file with any change of bytes is read or refused, never worse', () => {
  const bytes = readFileSync(fixture)
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
      fc.nat(bytes.length),
      (changes, length) => {
        const changed = Buffer.from(length % 3 === 0 ? bytes.subarray(0, length) : bytes)
        for (const [at, value] of changes) if (at < changed.length) changed[at] = value
        try {
          using file = open(changed)
          for (const name of file.tensors.keys()) file.read(name)
        } catch (e) {
          assert.ok(VeritError.is(e, 'VERIT_TORCH_FILE'), String(e))
        }
      }
    ),
    { numRuns: 2000 }
  )
})
