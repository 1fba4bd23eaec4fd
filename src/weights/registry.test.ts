import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { ggufTypes } from '../formats/gguf-types.ts'
import { VeritError } from '../lib/errors.ts'
import { f16Bits } from '../lib/half.ts'
import { isTernaryType, isWeightType, weightTypes } from './registry.ts'
import type { WeightTypeName } from './registry.ts'
import { decodeWeights } from './tensor.ts'
import { weightBytes } from './weight-type.ts'
import type { WeightType } from './weight-type.ts'

/** Bytes of a block where its binary16 scales and minima begin. */
const halves: Readonly<Record<WeightTypeName, readonly number[]>> = {
  F32: [],
  F16: [0],
  BF16: [],
  I2_S: [],
  MXFP4: [],
  Q4_0: [0],
  Q4_1: [0, 2],
  Q5_0: [0],
  Q5_1: [0, 2],
  Q8_0: [0],
  IQ4_NL: [0],
  IQ4_XS: [0],
  Q2_K: [80, 82],
  Q3_K: [108],
  Q4_K: [0, 2],
  Q5_K: [0, 2],
  Q6_K: [208],
  TQ1_0: [52],
  TQ2_0: [64]
}

/**
 * SHA-256 of the little-endian binary32 weights of `randomBlocks`, as `gguf.quants.dequantize` of gguf 0.19.0 (PyPI)
 * reads them. gguf has no I2_S: its digest comes from a separate program after the layout in docs/internals/formats.md.
 */
const digests: Readonly<Record<WeightTypeName, string>> = {
  F32: '9889ff2245bde61d559a17b9542fad9847650b9789f9d7e3d92e847b850923c3',
  F16: '3e39d170a0748bdf4cf9396b2e1e7d1708c33e142f44c704fa3fbfcd64ff52e3',
  BF16: 'ccf24fad6b94a6fbc8a5f4a297af8007a73b7247d05ab2eff6cdefacfd5c7303',
  Q4_0: '2728e0792957b8358eb659cb412e84fff376cbbeef547d189defc976310508c6',
  Q4_1: '10c30cbd754008d6a8cf19ea1faffd7c2d6cd78842471dae541b7817335fda04',
  Q5_0: 'c6b5776488542b5993807d0bdd5888130691083292888f55c35988d3486092d8',
  Q5_1: '73870360723a8e8c9c09267ea2b3a2f5d57f11f3f98c62c69f153192ec3a3e82',
  Q8_0: 'aa4f428c22b15e86576d1bb125ca84ea55f8ccf06aab0ddd8ba2557442b6bcd4',
  Q2_K: '736c8aff6fe486eec9c09398c7d805384b604b40f84c262de2e6e29d416b56dc',
  Q3_K: '45a2540fccf77aad6d5a986bac27777301c77d5feb3fb19ba6fa5aab16ec3693',
  Q4_K: 'f52f89bed9209b6b35fa81473bbd45901d769242d32ece0a75e7ede1a61710ff',
  Q5_K: '0159cceb90c62c1355f104b1460be4ae92afa4c5cb8516705cb6a7ee6bbd8838',
  Q6_K: '0fc721dd954369a6ebdd68455f4bac0cb02847dbe4a7bded2e091e4ba0fe4272',
  IQ4_NL: '4f035f5e27950618ee8caa2cab46f51dbd34272b0d784f2049307046ebd4ee74',
  IQ4_XS: '3cfafe263e19486146c86dde99c841c8aaf556c234e79688225e5c1603cc56e8',
  MXFP4: '138389ca8a4ab17ea3f4a0e90a0cad23b741fc111c665a6eb2093e993d649145',
  I2_S: '54d26bc6ba9ccd337c1acdfa70d7f43d3aa9a4648c6e0fa52cf709bc2e642d0b',
  TQ1_0: 'cd5c0f19fd4224bc7da086e7542dd8da0b8a585b0e743d5ee9b679deef96cd6e',
  TQ2_0: 'eeaf6a58ebba5af825cc59bef5d9869fa1d65645ecc8d5a8bda8f1ae0869d531'
}

const BLOCKS = 64

/** Zero, -0, the least and the largest subnormal, and the largest numbers, as binary16. */
const EXTREMES = [0x0000, 0x8000, 0x0001, 0x83ff, 0x7bff, 0xfbff]

/** xorshift32 from 0x9e3779b9 (x ^= x << 13, x ^= x >>> 17, x ^= x << 5); each step's byte is bits 24 to 31. */
function randomBytes(length: number): Uint8Array {
  let x = 0x9e3779b9
  return Uint8Array.from({ length }, () => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    return x >>> 24
  })
}

/**
 * 64 blocks of `randomBytes`, changed where scales would not be finite: the first 12 blocks have the scale
 * EXTREMES[b mod 6] and the minimum EXTREMES[(b div 2) mod 6]; other binary16 scales that are not finite lose bit 14,
 * and F32, BF16 and the scale of I2_S lose bit 6 of their top byte. The first MXFP4 blocks have the exponents 0, 1, 2
 * and 254. Codes of I2_S that would be 3 become 1.
 */
function randomBlocks({ name, bytes, block }: WeightType): Uint8Array {
  const raw = randomBytes(weightBytes(name, BLOCKS * block))
  for (let b = 0; b < BLOCKS; b++) {
    const at = b * bytes
    if (name === 'F32' || name === 'BF16') raw[at + bytes - 1]! &= 0xbf
    if (name === 'MXFP4' && b < 4) raw[at] = [0, 1, 2, 254][b]!
    for (const [i, place] of halves[name as WeightTypeName].entries()) {
      if (b < 12) raw.set(littleEndian(EXTREMES[(i === 0 ? b : b >> 1) % 6]!), at + place)
      else if ((raw[at + place + 1]! & 0x7c) === 0x7c) raw[at + place + 1]! &= 0xbf
    }
  }
  if (name === 'I2_S') {
    for (let i = 0; i < BLOCKS * bytes; i++) raw[i]! &= ~(raw[i]! & (raw[i]! << 1) & 0xaa)
    raw[BLOCKS * bytes + 3]! &= 0xbf
  }
  return raw
}

const littleEndian = (half: number): [number, number] => [half & 255, half >> 8]

const decoded = (type: WeightType, raw: Uint8Array): Float32Array => {
  const out = new Float32Array(((raw.length - type.tail) / type.bytes) * type.block)
  type.decode(raw, out)
  return out
}

const bitsOf = (a: Float32Array): Uint32Array => new Uint32Array(a.buffer, a.byteOffset, a.length)

for (const type of weightTypes.values()) {
  test(`${type.name}: random blocks decode to the bits of gguf-py, from any byte offset`, () => {
    const raw = randomBlocks(type)
    const weights = decoded(type, raw)
    const { length } = weights
    const digest = createHash('sha256').update(new Uint8Array(weights.buffer)).digest('hex')
    assert.equal(digest, digests[type.name as WeightTypeName])
    for (const offset of [1, 2, 3]) {
      const moved = new Uint8Array(raw.length + offset).subarray(offset)
      moved.set(raw)
      const out = new Float32Array(length + 2).subarray(1, length + 1)
      type.decode(moved, out)
      assert.deepEqual(bitsOf(out), bitsOf(weights))
    }
  })

  test(`${type.name}: bytes that are not exactly those of the weights are refused`, () => {
    const raw = randomBlocks(type)
    const weights = BLOCKS * type.block
    fc.assert(
      fc.property(fc.nat(raw.length - 1), length => {
        assert.throws(() => type.decode(raw.subarray(0, length), new Float32Array(weights)), internal)
      })
    )
    assert.throws(() => type.decode(new Uint8Array(raw.length + 1), new Float32Array(weights)), internal)
    for (const size of [weights + 1, weights - 1]) {
      assert.throws(() => type.decode(raw, new Float32Array(size)), internal)
      if (type.encode) assert.throws(() => type.encode!(new Float32Array(size), raw), internal)
    }
    if (type.bytes > 1) assert.throws(() => type.scaleFault(raw.subarray(0, raw.length - 1)), internal)
  })
}

const internal = (e: unknown): boolean => VeritError.is(e, 'VERIT_INTERNAL')

test('a row has the size that the file format gives its type', () => {
  for (const [name, type] of weightTypes) {
    assert.ok(isWeightType(name))
    const { block, bytes, tail = 0 } = ggufTypes[name]
    assert.deepEqual([type.name, type.block, type.bytes, type.tail], [name, block, bytes, tail])
  }
  assert.deepEqual([...weightTypes.keys()].filter(isTernaryType), ['I2_S', 'TQ1_0', 'TQ2_0'])
  assert.deepEqual(
    [...weightTypes].filter(([, t]) => t.encode).map(([name]) => name),
    ['F32', 'F16', 'BF16', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0', 'Q2_K', 'Q3_K', 'Q4_K', 'Q5_K', 'Q6_K']
  )
  for (const name of ['Q8_K', 'I32', 'toString', '']) assert.ok(!isWeightType(name))
})

test('a scale that is not finite is named with its block, in whichever block it is', () => {
  const types = [...weightTypes.values()].filter(t => halves[t.name as WeightTypeName].length > 0 && t.name !== 'F16')
  const odd = fc.constantFrom([0x7c00, 'Infinity'] as const, [0xfc00, '-Infinity'] as const, [0xfc01, 'NaN'] as const)
  const anywhere = [fc.constantFrom(...types), fc.nat(BLOCKS - 1), odd, fc.boolean()] as const
  fc.assert(
    fc.property(...anywhere, (type, block, [bits, value], second) => {
      const places = halves[type.name as WeightTypeName]
      const i = second ? places.length - 1 : 0
      const raw = randomBlocks(type)
      assert.equal(type.scaleFault(raw), undefined)
      raw.set(littleEndian(bits), block * type.bytes + places[i]!)
      const place = i === 0 ? 'scale' : 'minimum'
      assert.equal(type.scaleFault(raw), `the ${place} of block ${block}, at weight ${block * type.block}, is ${value}`)
    })
  )
})

test('floats that are not finite and MXFP4 exponents that overflow are named with their place', () => {
  const row = (name: string): WeightType => weightTypes.get(name)!
  const cases = [
    ['F16', [0, 0, 0, 0xfc], 'weight 1 is -Infinity'],
    ['F16', [1, 0x7c], 'weight 0 is NaN'],
    ['BF16', [0x80, 0x7f], 'weight 0 is Infinity'],
    ['BF16', [0, 0, 0xc0, 0xff], 'weight 1 is NaN'],
    ['F32', [0, 0, 0x80, 0xff], 'weight 0 is -Infinity'],
    ['F32', [0, 0, 0, 0, 1, 0, 0x80, 0x7f], 'weight 1 is NaN'],
    ['F32', [255, 255, 0x7f, 0x7f], undefined],
    ['BF16', [0x7f, 0x7f], undefined],
    ['F16', [255, 0x7b], undefined]
  ] as const
  for (const [name, raw, fault] of cases) assert.equal(row(name).scaleFault(Uint8Array.from(raw)), fault)
  const raw = new Uint8Array(2 * 17)
  for (const [e, fault] of [
    [252, undefined],
    [253, /^the scale of block 1, at weight 32, is 8\.5\d+e\+37, too large/],
    [254, /too large/],
    [255, /^the scale of block 1, at weight 32, is NaN$/]
  ] as const) {
    raw[17] = e
    if (fault === undefined) assert.equal(row('MXFP4').scaleFault(raw), undefined)
    else assert.match(row('MXFP4').scaleFault(raw)!, fault)
  }
  assert.ok(decoded(row('MXFP4'), new Uint8Array(17).fill(0x77).fill(252, 0, 1)).every(w => w === 12 * 2 ** 124))
})

test('any bytes are finite weights or refused with the name of the tensor', () => {
  const types = [...weightTypes.values()]
  fc.assert(
    fc.property(fc.constantFrom(...types), fc.infiniteStream(fc.nat(255)), (type, stream) => {
      const name = type.name as WeightTypeName
      const weights = Math.max(256, type.block)
      const raw = Uint8Array.from({ length: weightBytes(name, weights) }, () => stream.next().value as number)
      try {
        assert.ok(decodeWeights(name, raw, new Float32Array(weights), 'w').every(Number.isFinite))
      } catch (e) {
        assert.ok(VeritError.is(e, 'VERIT_TENSOR') && e.fields.tensor === 'w', String(e))
      }
    }),
    { numRuns: 300 }
  )
})

/** A block of zeros with some bytes set, from each given place on. */
function block(name: WeightTypeName, parts: Readonly<Record<number, readonly number[]>>): Float32Array {
  const type = weightTypes.get(name)!
  const raw = new Uint8Array(type.bytes)
  for (const [at, bytes] of Object.entries(parts)) raw.set(bytes, Number(at))
  return decoded(type, raw)
}

const half = (x: number): [number, number] => littleEndian(f16Bits(x))

test('blocks made by hand hold what their layout says', () => {
  const q8 = block('Q8_0', { 0: half(0.5), 3: [1, 2], 33: [128] })
  assert.deepEqual([...q8.subarray(0, 3), q8[31]], [0, 0.5, 1, -64])
  const q40 = block('Q4_0', { 0: half(2), 2: [0xf0, ...Array<number>(15).fill(0x88)] })
  assert.deepEqual([q40[0], q40[16], q40[1], q40[17]], [-16, 14, 0, 0])
  const q41 = block('Q4_1', { 0: half(2), 2: half(-3), 4: [0xf1] })
  assert.deepEqual([q41[0], q41[16], q41[1], q41[17]], [-1, 27, -3, -3])
  // Fifth bits of weights 1, 31 and 16.
  const q50 = block('Q5_0', { 0: half(2), 2: [2, 0, 1, 0x80], 6: [0x21, 3] })
  assert.deepEqual([q50[0], q50[16], q50[1], q50[17], q50[31]], [-30, 4, 6, -32, 0])
  const q51 = block('Q5_1', { 0: half(0.5), 2: half(1), 4: [2, 0, 1, 0x80], 8: [0x21, 3] })
  assert.deepEqual([q51[0], q51[16], q51[1], q51[17], q51[31]], [1.5, 10, 10.5, 1, 9])
  const nl = block('IQ4_NL', { 0: half(-1), 2: [0xf0, 0x78] })
  assert.deepEqual([nl[0], nl[16], nl[1], nl[17]], [127, -113, -1, 10])
  const mx = block('MXFP4', { 0: [128], 1: [0x71, 0xf8] })
  assert.deepEqual([mx[0], mx[16], mx[1], mx[17]], [1, 12, 0, -12])
  assert.deepEqual(block('MXFP4', { 0: [0], 1: [1] })[0], 2 ** -128)
})

test('super-blocks made by hand hold what their layout says', () => {
  // Scale 2 and minimum 3 of group 0 (weights 0 to 15), scale 15 and minimum 0 of group 15.
  const q2 = block('Q2_K', { 0: [0x32], 15: [15], 16: [3], 79: [0xc0], 80: half(1), 82: half(0.5) })
  assert.deepEqual([q2[0], q2[1], q2[16], q2[255], q2[254]], [4.5, -1.5, 0, 45, 0])
  // Scale 33 - 32 of group 0; scale 63 - 32 of group 15; third bits of weights 0 and 255.
  const q3Scales = { 96: [1], 103: [0xf0], 104: [2], 107: [0xc0], 108: half(1) }
  const q3 = block('Q3_K', { ...q3Scales, 0: [1], 31: [0x80], 32: [3], 95: [0xc0] })
  assert.deepEqual([q3[0], q3[1], q3[255], q3[254], q3[16]], [3, -4, 93, -124, 128])
  // Scale and minimum of group 0: 1 and 2; of group 7: 63 and 63, in two parts.
  const parts = { 0: half(1), 2: half(0.5), 4: [1, 0, 0, 0xc0, 2, 0, 0, 0xc0, 0, 0, 0, 0xff] }
  const q4 = block('Q4_K', { ...parts, 16: [3], 143: [0xf0] })
  assert.deepEqual([q4[0], q4[1], q4[32], q4[255], q4[254]], [2, -1, 0, 63 * 15 - 31.5, -31.5])
  const q5 = block('Q5_K', { ...parts, 16: [1], 47: [0x80], 48: [3], 175: [0xf0] })
  assert.deepEqual([q5[0], q5[1], q5[32], q5[255], q5[254]], [18, -1, 0, 63 * 31 - 31.5, -31.5])
  // Code 63 of weight 255 with the scale -3 of the last group; all others have code 0.
  const q6 = block('Q6_K', { 127: [0xf0], 191: [0xc0], 192: [2], 207: [253], 208: half(0.25) })
  assert.deepEqual([q6[0], q6[255], q6[254], q6[100]], [-16, 0.25 * -3 * 31, 24, -0])
  // Scale 33 - 32 of group 0; scale 63 - 32 of group 7.
  const xs = block('IQ4_XS', { 0: half(1), 2: [2, 0xc0], 4: [1, 0, 0, 0xf0], 8: [0xf8], 135: [0xf8] })
  assert.deepEqual([xs[0], xs[16], xs[1], xs[239], xs[255], xs[32]], [1, 113, -127, 31, 31 * 113, 32 * 127])
})
