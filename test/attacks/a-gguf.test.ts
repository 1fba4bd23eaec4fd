/**
 * Class A: attacks on the container of a model. Each file ends in one error that names the byte, whatever the file
 * claims; what a refusal takes in time and memory is measured by bench/admission.ts.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { ggufLimits } from '../../src/formats/gguf-limits.ts'
import { openGguf, openGgufDescriptor, parseGguf } from '../../src/formats/gguf-reader.ts'
import { VeritError } from '../../src/lib/errors.ts'
import { entry, forge, u32, u64 } from '../forge.ts'
import { ggufAttacks, ggufControls } from '../gguf-attacks.ts'

const refusal = (file: Buffer): VeritError<'VERIT_GGUF'> => {
  try {
    parseGguf(file, 'x.gguf')
  } catch (e) {
    if (VeritError.is(e, 'VERIT_GGUF')) return e
    throw e
  }
  return assert.fail('the file was accepted')
}

function refused(id: string): void {
  const cases = ggufAttacks.filter(a => a[0] === id)
  assert.ok(cases.length > 0)
  for (const [, what, file, expected] of cases) {
    const { fields } = refusal(file)
    assert.match(fields.problem, expected, what)
    assert.equal(fields.file, 'x.gguf')
    assert.ok(Number.isSafeInteger(fields.offset) && fields.offset >= 0 && fields.offset <= file.length, what)
  }
}

test('A1 another magic, version or byte order is refused', () => refused('A1'))
test('A2 a count of tensors that the limit or the bytes cannot hold is refused before anything is made', () =>
  refused('A2'))
test('A3 a count of metadata entries that the limit or the bytes cannot hold is refused', () => refused('A3'))
test('A4 keys of length -1, longer than the file or the limit, and empty ones are refused', () => refused('A4'))
test('A5 value types that are unknown, and a bool that is neither, are refused', () => refused('A5'))
test('A6 strings longer than the file or the limit, and those that are not UTF-8, are refused', () => refused('A6'))
test('A7 arrays whose count times size wraps, or exceeds the bytes that exist, are refused', () => refused('A7'))
test('A9 a key that appears twice is refused', () => refused('A9'))
test('A10 alignments that are 0, no power of two, out of range or of another type are refused', () => refused('A10'))
test('A11 tensor names that are too long, empty, twice there, not UTF-8, or hold control characters are refused', () =>
  refused('A11'))
test('A12 dimensions that are too many, 0, negative, or whose product overflows are refused', () => refused('A12'))
test('A13 rows that are no whole number of blocks are refused', () => refused('A13'))
test('A14 tensor types that are unknown, or mean other things elsewhere, are refused', () => refused('A14'))
test('A15 offsets that are misaligned, beyond the end, overlapping, wrapping or leave gaps are refused', () =>
  refused('A15'))
test('A16 sizes whose sum wraps are refused', () => refused('A16'))
test('A17 data that is cut short, and bytes behind it, are refused', () => refused('A17'))
test('A20 parts of a split model that pass for the whole are refused', () => refused('A20'))

test('A8 arrays of arrays are refused at the first level, however deep they go', () => {
  refused('A8')
  const deep = Buffer.concat([
    u32(9),
    ...Array.from({ length: 100_000 }, () => Buffer.concat([u32(9), u64(1)])),
    u32(4),
    u64(0)
  ])
  assert.match(refusal(forge({ entries: [entry('k', 9, deep)] })).fields.problem, /array of arrays/)
})

test('files that look odd and are good are accepted', () => {
  for (const f of ggufControls) parseGguf(forge(f))
  assert.equal(parseGguf(forge(ggufControls.at(-1))).metadata.string('__proto__'), 'v')
})

test(
  'A18 as many tensors as are allowed, with long common prefixes, are listed in linear time; one more is ' + 'refused',
  () => {
    const count = ggufLimits.tensors
    const names = Array.from({ length: count }, (_, i) => `${'x'.repeat(58)}${i.toString(36).padStart(6, '0')}`)
    const file = forge({
      tensors: names.map((name, i) => ({ name, ne: [8], offset: i * 32 })),
      data: Buffer.alloc(count * 32)
    })
    assert.equal(parseGguf(file).tensors.length, count)
    for (const more of [count + 1, 1_000_000]) {
      file.writeBigUInt64LE(BigInt(more), 8)
      assert.match(refusal(file).fields.problem, /more than the limit/)
    }
  }
)

const dir = mkdtempSync(join(tmpdir(), 'verit-gguf-'))
after(() => rmSync(dir, { recursive: true }))
const is =
  (code: 'VERIT_GGUF' | 'VERIT_FILE_IO' | 'VERIT_FILE_KIND' | 'VERIT_FILE_NOT_FOUND') =>
  (e: unknown): boolean =>
    VeritError.is(e, code)

test('A19 a file that changes after it was opened is refused when its tensors are read', () => {
  const path = join(dir, 'changed.gguf')
  writeFileSync(path, forge())
  using file = openGguf(path)
  assert.equal(file.readTensor('w').length, 128)
  truncateSync(path, 200)
  assert.throws(() => file.readTensor('w'), is('VERIT_FILE_IO'))
})

test('A21 a sparse file of enormous apparent size is refused without being read', () => {
  const path = join(dir, 'sparse.gguf')
  const fd = openSync(path, 'w')
  writeSync(fd, forge({ tensors: [{ ne: [2n ** 40n] }] }))
  ftruncateSync(fd, 2 ** 42)
  closeSync(fd)
  assert.throws(
    () => openGguf(path),
    (e: unknown) => VeritError.is(e, 'VERIT_GGUF') && /claims 4398046511104 bytes/.test(e.message)
  )
  // the largest that the file system takes, up to an exabyte
  for (let bits = 60; bits > 42; bits--) {
    try {
      execFileSync('truncate', ['-s', String(2n ** BigInt(bits)), path], { stdio: 'ignore' })
    } catch {
      continue
    }
    assert.throws(
      () => openGguf(path),
      (e: unknown) => VeritError.is(e, bits > 53 ? 'VERIT_FILE_IO' : 'VERIT_GGUF') && /claims \d+ bytes/.test(e.message)
    )
    break
  }
  truncateSync(path, 2 ** 39)
  assert.throws(
    () => openGguf(path),
    (e: unknown) => VeritError.is(e, 'VERIT_GGUF') && /bytes allowed/.test(e.message)
  )
})

test('A22 a pipe, a device, a folder, a missing file and a dangling link are refused; a link to a file is not', () => {
  const path = join(dir, 'real.gguf')
  writeFileSync(path, forge())
  symlinkSync(path, join(dir, 'link.gguf'))
  openGguf(join(dir, 'link.gguf')).close()
  execFileSync('mkfifo', [join(dir, 'pipe')])
  symlinkSync(join(dir, 'pipe'), join(dir, 'to-pipe'))
  symlinkSync(join(dir, 'nothing'), join(dir, 'dangling'))
  for (const bad of [join(dir, 'pipe'), join(dir, 'to-pipe'), '/dev/zero', dir])
    assert.throws(() => openGguf(bad), is('VERIT_FILE_KIND'), bad)
  for (const bad of [join(dir, 'nothing'), join(dir, 'dangling')])
    assert.throws(() => openGguf(bad), is('VERIT_FILE_NOT_FOUND'), bad)
})

test('a descriptor opened by someone else is read and left open', () => {
  const path = join(dir, 'descriptor.gguf')
  writeFileSync(path, forge())
  const fd = openSync(path, 'r')
  const file = openGgufDescriptor(fd, 'handed over')
  assert.equal(file.readTensor('w').length, 128)
  file.close()
  closeSync(fd)
})
