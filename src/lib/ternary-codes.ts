/**
 * Reads a ternary code in the three packings of GGUF (docs/internals/formats.md): the code, 0 to 2 for -1 to 1, of
 * weight `i` of a tensor whose packed bytes start at `bytes[0]`; 3 for invalid bits. Sources: microsoft/BitNet
 * `ggml-bitnet-mad.cpp` (I2_S, 128-weight form); ggml `ggml-common.h`, `ggml-quants.c`.
 */

/** I2_S: byte j of a 32-byte block holds weights j, 32+j, 64+j, 96+j of 128, the first in the top two bits. */
export const i2sCode = (bytes: Uint8Array, i: number): number => {
  const within = i % 128
  return (bytes[(i - within) / 4 + (within & 31)]! >> (6 - 2 * (within >> 5))) & 3
}

/**
 * TQ2_0: 66 bytes for 256 weights, the scale in the last two. Byte j+m (j = 0 or 32, m = 0..31) holds weights 4j+m,
 * 4j+32+m, 4j+64+m, 4j+96+m, the first in the lowest two bits.
 */
export const tq2Code = (bytes: Uint8Array, i: number): number => {
  const within = i % 256
  return (bytes[((i - within) / 256) * 66 + (within >> 7) * 32 + (within & 31)]! >> (2 * ((within >> 5) & 3))) & 3
}

/** Base-3 byte of ggml: five trits, the first the most significant, as ceil(v * 256 / 243). */
export const packFive = (v: number): number => Math.floor((v * 256 + 242) / 243)

export const POWERS = [81, 27, 9, 3, 1] as const

/**
 * The five codes 0..2 of each of the 256 bytes, 5 entries a byte; 3 throughout for the 13 bytes that no value packs to.
 */
export const unpackedFive = ((): Uint8Array => {
  const table = new Uint8Array(256 * 5).fill(3)
  for (let v = 0; v < 243; v++)
    POWERS.forEach((power, n) => void (table[packFive(v) * 5 + n] = Math.floor(v / power) % 3))
  return table
})()

/**
 * Byte and position (0..4) in a TQ1_0 block of each of its 256 weights: 160 in bytes 0..31, 80 in 32..47, 16 in 48..51
 * with four each.
 */
export const tq1Byte = Uint8Array.from({ length: 256 }, (_, i) =>
  i < 160 ? i % 32 : i < 240 ? 32 + ((i - 160) % 16) : 48 + ((i - 240) % 4)
)
export const tq1Place = Uint8Array.from({ length: 256 }, (_, i) =>
  i < 160 ? Math.floor(i / 32) : i < 240 ? Math.floor((i - 160) / 16) : Math.floor((i - 240) / 4)
)

/**
 * TQ1_0: 54 bytes for 256 weights, the scale in the last two. The fifth position of bytes 48 to 51 is empty and must be
 * 0.
 */
export const tq1Code = (bytes: Uint8Array, i: number): number => {
  const within = i % 256
  const block = ((i - within) / 256) * 54
  const byte = bytes[block + tq1Byte[within]!]! * 5
  return within >= 240 && unpackedFive[byte + 4] !== 0 ? 3 : unpackedFive[byte + tq1Place[within]!]!
}
