/**
 * Writes SentencePiece models, sound and unsound ones, for fuzzing and tests. A field is what the wire format knows: a
 * number and bytes, with nothing checked.
 */

export type Field = readonly [
  number: number,
  value:
    | { varint: bigint | number }
    | { float: number }
    | { bytes: Uint8Array | string }
    | { raw: Uint8Array }
    | { message: readonly Field[] }
]

export function varint(value: bigint | number): Buffer {
  const bytes: number[] = []
  let rest = BigInt.asUintN(64, BigInt(value))
  do {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0))
    rest >>= 7n
  } while (rest > 0n)
  return Buffer.from(bytes)
}

/** The bytes of a message; `raw` stands for a whole field. */
export function encodeFields(fields: readonly Field[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([number, value]) => {
      if ('raw' in value) return [value.raw]
      if ('varint' in value) return [varint(number * 8), varint(value.varint)]
      if ('float' in value) {
        const bytes = Buffer.alloc(4)
        bytes.writeFloatLE(value.float)
        return [varint(number * 8 + 5), bytes]
      }
      const bytes = 'message' in value ? encodeFields(value.message) : Buffer.from(value.bytes as string)
      return [varint(number * 8 + 2), varint(bytes.length), bytes]
    })
  )
}

export const piece = (text: string, score = 0, type = 1): Field => [
  1,
  { message: [[1, { bytes: text }], [2, { float: score }], ...(type === 1 ? [] : [[3, { varint: type }] as const])] }
]

/** The pieces that every model begins with, and the 256 bytes. */
export const START: readonly Field[] = [piece('<unk>', 0, 2), piece('<s>', 0, 3), piece('</s>', 0, 3)]
export const BYTE_PIECES: readonly Field[] = Array.from({ length: 256 }, (_, b) =>
  piece(`<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`, 0, 6)
)

/** `trainer_spec` of a BPE model; `more` may repeat fields. */
export const trainer = (bytes: boolean, more: readonly Field[] = []): Field => [
  2,
  {
    message: [
      [1, { bytes: 'input.txt' }],
      [3, { varint: 2 }],
      [4, { varint: 300 }],
      [35, { varint: bytes ? 1 : 0 }],
      ...more
    ]
  }
]
export const normalizer = (more: readonly Field[] = []): Field => [
  3,
  { message: [[1, { bytes: 'identity' }], ...more] }
]

/** Sound models of both kinds. */
export const models: Readonly<Record<'bytes' | 'unknown', readonly Field[]>> = {
  bytes: [
    ...START,
    ...BYTE_PIECES,
    piece('<tag>', 0, 4),
    piece('\u2581\u2581', 0, 4),
    ...['\u2581t', 'he', '\u2581the', 'in', 'an', '\u2581an', 'and', '\u2581and'].map((text, i) =>
      piece(text, -i, i === 6 ? 5 : 1)
    ),
    ...['\u2581', 't', 'h', 'e', 'i', 'n', 'a', 'd', 'é'].map((text, i) => piece(text, -8 - i)),
    trainer(true, [
      [40, { varint: 0 }],
      [41, { varint: 1 }],
      [42, { varint: 2 }],
      [43, { varint: -1 }],
      [44, { bytes: ' \u2047 ' }],
      [45, { bytes: '<unk>' }]
    ]),
    normalizer([
      [2, { bytes: '' }],
      [3, { varint: 1 }],
      [4, { varint: 0 }],
      [5, { varint: 1 }]
    ]),
    [4, { message: [[1, { message: [[1, { bytes: 'x' }]] }]] }],
    [5, { message: [] }]
  ],
  unknown: [
    ...START,
    ...['\u2581a', 'ab', 'aba', 'a', 'b', '\u2581'].map((text, i) => piece(text, -i >> 1)),
    trainer(false),
    normalizer()
  ]
}
