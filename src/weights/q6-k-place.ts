/**
 * The one irregular layout that both the decoder and the encoder of Q6_K need.
 *
 * Where the code of weight i of a Q6_K block stands: the byte and shift of its low 4 bits, and of its high 2 (from the
 * block's byte 128 on). Within a group of 16 weights only the bytes move on.
 */
export function q6KPlace(i: number): { low: number; lowShift: number; high: number; highShift: number } {
  const half = i >> 7
  const quarter = (i >> 5) & 3
  const column = i & 31
  return {
    low: half * 64 + (quarter & 1) * 32 + column,
    lowShift: (quarter >> 1) * 4,
    high: half * 32 + column,
    highShift: quarter * 2
  }
}
