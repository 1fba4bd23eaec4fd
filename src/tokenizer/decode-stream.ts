/**
 * Decodes tokens one by one. An incomplete character is held back; bytes that no later byte could complete become
 * U+FFFD at once, as in the WHATWG Encoding Standard's decoder. The joined pieces equal `decode` of all ids.
 */
import { utf8Pending } from '../lib/utf8.ts'

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

export class DecodeStream {
  #tokenBytes: (id: number) => Uint8Array
  #skip: (id: number) => boolean
  #held = new Uint8Array(0)

  /**
   * @param tokenBytes bytes of a token.
   * @param skip tokens that give no text.
   */
  constructor(tokenBytes: (id: number) => Uint8Array, skip: (id: number) => boolean) {
    this.#tokenBytes = tokenBytes
    this.#skip = skip
  }

  /** Takes the next token and returns the text that is now complete, which may be empty. */
  push(id: number): string {
    let bytes = this.#tokenBytes(id)
    if (this.#skip(id)) return ''
    if (this.#held.length > 0) {
      const joined = new Uint8Array(this.#held.length + bytes.length)
      joined.set(this.#held)
      joined.set(bytes, this.#held.length)
      bytes = joined
    }
    const pending = utf8Pending(bytes, bytes.length)
    this.#held = bytes.slice(bytes.length - pending)
    return pending === bytes.length ? '' : decoder.decode(bytes.subarray(0, bytes.length - pending))
  }

  /** Ends the text: held-back bytes become U+FFFD. */
  end(): string {
    const text = decoder.decode(this.#held)
    this.#held = new Uint8Array(0)
    return text
  }
}
