/**
 * Malformed GGUF files by attack class: made by code, each with what the refusal must say. The kinds are those that
 * other readers were shown to fall for.
 */
import { ggufLimits } from '../src/formats/gguf-limits.ts'
import { entry, forge, str, stringEntry, u32, u64 } from './forge.ts'
import type { Forged } from './forge.ts'

const arch = stringEntry('general.architecture', 'none')
export const alignmentEntry = (value: number): Buffer => entry('general.alignment', 4, u32(value))
/** Bytes of the default tensor. */
const f32x32 = 128

/** Class, what, file, what the error must say. */
export const ggufAttacks: readonly [id: string, what: string, file: Buffer, expected: RegExp][] = [
  ['A1', 'an empty file', Buffer.alloc(0), /it is an empty file/],
  ['A1', 'a file of four bytes', Buffer.from('GGUF'), /does not begin with GGUF/],
  ['A1', 'another magic', forge({ magic: 'gguf' }), /does not begin with GGUF/],
  ...[0, 1, 4, 0xffffffff].map((version): [string, string, Buffer, RegExp] => [
    'A1',
    `version ${version}`,
    forge({ version }),
    /the version is/
  ]),
  ['A1', 'a byte-swapped version', forge({ version: 0x03000000 }), /big-endian/],
  ...[-1n, 2n ** 28n, BigInt(ggufLimits.tensors + 1)].map((tensorCount): [string, string, Buffer, RegExp] => [
    'A2',
    `${tensorCount} tensors`,
    forge({ tensorCount }),
    /number of tensors is \d+, more than the limit/
  ]),
  [
    'A2',
    'more tensors than the bytes hold',
    forge({ tensorCount: 1000 }),
    /number of tensors is 1000, which the \d+ bytes left cannot hold/
  ],
  ['A2', 'one tensor more than listed', forge({ tensorCount: 2 }), /./],
  ...[-1n, 2n ** 30n].map((entryCount): [string, string, Buffer, RegExp] => [
    'A3',
    `${entryCount} metadata entries`,
    forge({ entryCount }),
    /number of metadata entries is \d+, more than the limit/
  ]),
  ['A3', 'more entries than the bytes hold', forge({ entryCount: 200 }), /which the \d+ bytes left cannot hold/],
  [
    'A4',
    'a key length of -1',
    forge({ entries: [Buffer.concat([str('k', -1), u32(0), u32(0)])] }),
    /length of a metadata key is 18446744073709551615/
  ],
  [
    'A4',
    'a key longer than the file',
    forge({ entries: [Buffer.concat([str('k', 255), u32(0), u32(0)])], data: Buffer.alloc(0) }),
    /cannot hold/
  ],
  ['A4', 'a key over the limit', forge({ entries: [stringEntry('k'.repeat(257), '')] }), /more than the limit of 256/],
  ['A4', 'an empty key', forge({ entries: [stringEntry('', 'v')] }), /a metadata key is empty/],
  ...[13, 255, 0xffffffff].map((type): [string, string, Buffer, RegExp] => [
    'A5',
    `value type ${type}`,
    forge({ entries: [entry('k', type, u64(0))] }),
    /value type that is not known/
  ]),
  [
    'A5',
    'array element type 13',
    forge({ entries: [entry('k', 9, u32(13), u64(0))] }),
    /array of a type that is not known/
  ],
  ['A5', 'a bool of 2', forge({ entries: [entry('k', 7, Buffer.from([2]))] }), /bool with the value 2/],
  [
    'A6',
    'a string longer than the file',
    forge({ entries: [entry('k', 8, str('v', 100_000))] }),
    /which the \d+ bytes left cannot hold/
  ],
  ['A6', 'a string of 2^40', forge({ entries: [entry('k', 8, str('v', 2n ** 40n))] }), /more than the limit/],
  ['A6', 'a string of -1', forge({ entries: [entry('k', 8, str('v', -1))] }), /more than the limit/],
  [
    'A6',
    'a string that is not UTF-8',
    forge({ entries: [entry('k', 8, str(Buffer.from([0xc0, 0x80])))] }),
    /not valid UTF-8/
  ],
  [
    'A7',
    'a count times size that wraps',
    forge({ entries: [entry('k', 9, u32(10), u64(2n ** 61n))] }),
    /more than the limit/
  ],
  ['A7', 'a u8 array of 2^40', forge({ entries: [entry('k', 9, u32(0), u64(2n ** 40n))] }), /more than the limit/],
  ['A7', 'a u64 array the bytes cannot hold', forge({ entries: [entry('k', 9, u32(10), u64(1000))] }), /cannot hold/],
  ['A7', 'a string array the bytes cannot hold', forge({ entries: [entry('k', 9, u32(8), u64(1000))] }), /cannot hold/],
  [
    'A7',
    'a string array with a lying element',
    forge({ entries: [entry('k', 9, u32(8), u64(2), str('a'), str('b', 10_000))] }),
    /length of element 1 of k/
  ],
  ['A8', 'an array of arrays', forge({ entries: [entry('k', 9, u32(9), u64(1), u32(9), u64(1))] }), /array of arrays/],
  ['A9', 'a key that appears twice', forge({ entries: [arch, arch] }), /general\.architecture appears twice/],
  ...[0, 1, 4, 13, 48, 131_072, 0x80000000].map((alignment): [string, string, Buffer, RegExp] => [
    'A10',
    `alignment ${alignment}`,
    forge({ entries: [alignmentEntry(alignment)] }),
    /general\.alignment is \d+; it must be a power of two/
  ]),
  [
    'A10',
    'an alignment of type u64',
    forge({ entries: [entry('general.alignment', 10, u64(32))] }),
    /has type u64; it must be u32/
  ],
  [
    'A10',
    'an alignment of type string',
    forge({ entries: [stringEntry('general.alignment', '32')] }),
    /has type string/
  ],
  [
    'A11',
    'a tensor name of 65 bytes',
    forge({ tensors: [{ name: 'n'.repeat(65) }] }),
    /length of the name of tensor 0 is 65/
  ],
  [
    'A11',
    'a tensor name of 200 bytes',
    forge({ tensors: [{ name: 'n'.repeat(200) }] }),
    /length of the name of tensor 0 is 200/
  ],
  ['A11', 'an empty tensor name', forge({ tensors: [{ name: '' }] }), /is empty/],
  ['A11', 'a tensor name with NUL', forge({ tensors: [{ name: 'a\0b' }] }), /control characters: a\\u\{0\}b/],
  [
    'A11',
    'a tensor name with an ANSI sequence',
    forge({ tensors: [{ name: '\x1b[2Jx' }] }),
    /control characters: \\u\{1b\}\[2Jx/
  ],
  ['A11', 'a tensor name that is not UTF-8', forge({ tensors: [{ name: Buffer.from([0xff]) }] }), /not valid UTF-8/],
  [
    'A11',
    'a tensor name that appears twice',
    forge({ tensors: [{}, { offset: f32x32 }], data: Buffer.alloc(256) }),
    /tensor w appears twice/
  ],
  ['A12', 'no dimension', forge({ tensors: [{ ne: [] }] }), /has 0 dimensions/],
  ['A12', 'five dimensions', forge({ tensors: [{ ne: [2, 2, 2, 2, 2] }] }), /has 5 dimensions/],
  ['A12', '2^32 - 1 dimensions', forge({ tensors: [{ dimensions: 0xffffffff }] }), /has 4294967295 dimensions/],
  ['A12', 'a dimension of 0', forge({ tensors: [{ ne: [32, 0] }] }), /has a dimension of 0/],
  ['A12', 'a dimension of -1', forge({ tensors: [{ ne: [-1] }] }), /has a dimension of 18446744073709551615/],
  [
    'A12',
    'a product that wraps to 32',
    forge({ tensors: [{ ne: [32n, 2n ** 32n, 2n ** 32n] }] }),
    /product of the dimensions .* too large/
  ],
  ['A12', 'an exabyte tensor', forge({ tensors: [{ ne: [2n ** 52n] }] }), /more than the 17179869184 bytes allowed/],
  [
    'A13',
    'a row that is no multiple of the block',
    forge({ tensors: [{ ne: [33], type: 8 }] }),
    /Q8_0 packs 32 weights a block, .* 33 weights/
  ],
  [
    'A13',
    'rows that only together fill a block',
    forge({ tensors: [{ ne: [128, 2], type: 35 }] }),
    /TQ2_0 packs 256 weights a block/
  ],
  ['A13', 'I2_S of 64 weights', forge({ tensors: [{ ne: [64], type: 36 }] }), /I2_S packs 128 weights a block/],
  ...[4, 5, 31, 32, 33, 37, 38, 43, 134, 135, 335, 999, 0xffffffff].map((type): [string, string, Buffer, RegExp] => [
    'A14',
    `tensor type ${type}`,
    forge({ tensors: [{ type }] }),
    new RegExp(`type number ${type}, which Verit does not support`)
  ]),
  [
    'A14',
    'type 36 with the bytes of another fork',
    forge({ tensors: [{ ne: [128], type: 36 }], data: Buffer.alloc(32) }),
    /the file is cut/
  ],
  [
    'A14',
    'type 39 with the bytes of another fork',
    forge({ tensors: [{ ne: [128], type: 39 }], data: Buffer.alloc(32) }),
    /the file is cut/
  ],
  [
    'A15',
    'a misaligned offset',
    forge({ tensors: [{ offset: 4 }], data: Buffer.alloc(256) }),
    /offset 4, not a multiple of 32/
  ],
  ['A15', 'an offset of 2^40', forge({ tensors: [{ offset: 2n ** 40n }] }), /beyond the end of the file/],
  ['A15', 'an offset that wraps', forge({ tensors: [{ offset: 2n ** 64n - 32n }] }), /beyond the end of the file/],
  [
    'A15',
    'two tensors that overlap',
    forge({ tensors: [{}, { name: 'v', offset: 32 }], data: Buffer.alloc(192) }),
    /tensor v overlaps/
  ],
  ['A15', 'two tensors in the same place', forge({ tensors: [{}, { name: 'v' }] }), /overlaps/],
  [
    'A15',
    'a gap between tensors',
    forge({ tensors: [{}, { name: 'v', offset: 160 }], data: Buffer.alloc(288) }),
    /32 bytes before tensor v belong to no tensor/
  ],
  [
    'A16',
    'two sizes whose sum wraps',
    forge({ tensors: [{ ne: [2n ** 51n] }, { name: 'v', ne: [2n ** 51n] }] }),
    /bytes allowed/
  ],
  [
    'A16',
    'many large tensors',
    forge({ tensors: [0, 1, 2].map(i => ({ name: `${i}`, ne: [2n ** 32n], offset: BigInt(i) * 2n ** 34n })) }),
    /the file is cut/
  ],
  ['A17', 'data that ends a byte early', forge({ data: Buffer.alloc(127) }), /the file is cut/],
  ['A17', 'no data', forge({ data: Buffer.alloc(0) }), /the file is cut/],
  [
    'A17',
    'a byte after the data',
    forge({ data: Buffer.alloc(129) }),
    /1 bytes after the last tensor belong to nothing/
  ],
  [
    'A17',
    'an archive after the data',
    Buffer.concat([forge(), Buffer.from('PK\x03\x04')]),
    /4 bytes after the last tensor/
  ],
  [
    'A20',
    'the first of two parts',
    forge({ entries: [entry('split.count', 2, Buffer.from([2, 0]))] }),
    /split\.count says that this is one part of several/
  ],
  ['A20', 'a later part', forge({ entries: [entry('split.no', 2, Buffer.from([1, 0]))] }), /split\.no says/],
  [
    'A20',
    'a part that lies about its tensors',
    forge({ entries: [entry('split.tensors.count', 5, u32(7))] }),
    /split\.tensors\.count does not match the 1 tensors/
  ],
  [
    'A20',
    'a part count that is no integer',
    forge({ entries: [stringEntry('split.count', '1')] }),
    /split\.count is string "?1/
  ]
]

/** Files that look odd and are good. */
export const ggufControls: readonly Forged[] = [
  {},
  { version: 2 },
  { tensors: [], data: Buffer.alloc(0) },
  { entries: [] },
  { entries: [alignmentEntry(64)], alignment: 64 },
  { tensors: [{ name: 'n'.repeat(64) }] },
  { tensors: [{ offset: f32x32 }, { name: 'v' }], data: Buffer.alloc(256) },
  { tensors: [{ ne: [5] }], data: Buffer.alloc(20) },
  { tensors: [{ ne: [5] }], data: Buffer.alloc(32) },
  { entries: [entry('split.count', 2, Buffer.from([1, 0])), entry('split.tensors.count', 5, u32(1))] },
  { tensors: [{ ne: [128], type: 36 }], data: Buffer.alloc(64) },
  { entries: [entry('__proto__', 8, str('v')), entry('constructor', 8, str('v'))] }
]
