/**
 * A floating-point option of `config.json`. Configurations of transformers check types, and JSON writes 30.0 as 30,
 * which is a whole number there.
 */
import { shortestFloat } from '../lib/float.ts'

declare global {
  interface JSON {
    /** ECMAScript proposal "JSON.parse source text access", in Node 22: a value that is written as this text. */
    rawJSON(text: string): unknown
  }
}

/** The value, rounded to f32 and written with the fewest digits that give it again. */
export function hfFloat(value: number): unknown {
  const short = shortestFloat(value)
  return Number.isInteger(short) && Math.abs(short) < 1e21 ? JSON.rawJSON(`${short}.0`) : short
}
