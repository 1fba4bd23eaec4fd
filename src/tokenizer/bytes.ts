/**
 * The spelling of bytes in byte-level tokenizers (GPT-2, Hugging Face's ByteLevel, GGUF's "gpt2" model): each of the
 * 256 bytes is one printable character. Printable Latin-1 bytes are themselves; the other 68 are U+0100, U+0101, ... in
 * byte order.
 */

const printable = (b: number): boolean => (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae

/** Character that spells byte b. */
export const byteSpelling: readonly string[] = (() => {
  let next = 0x100
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(printable(b) ? b : next++))
})()

/** Byte by code unit of its spelling; 0xffff marks a character that spells no byte. */
const bytes = new Uint16Array(0x144).fill(0xffff)
byteSpelling.forEach((character, b) => {
  bytes[character.charCodeAt(0)] = b
})

/** The byte that a code unit spells, or -1. */
export function byteOf(unit: number): number {
  const b = unit < bytes.length ? bytes[unit]! : 0xffff
  return b === 0xffff ? -1 : b
}

/** Spells bytes as a token. */
export function spell(bytes: Uint8Array): string {
  let s = ''
  for (const b of bytes) s += byteSpelling[b]
  return s
}

/** Bytes of a spelled token, or undefined when a character of it spells no byte. */
export function unspell(token: string): Uint8Array | undefined {
  const out = new Uint8Array(token.length)
  for (let i = 0; i < token.length; i++) {
    const b = byteOf(token.charCodeAt(i))
    if (b < 0) return undefined
    out[i] = b
  }
  return out
}
