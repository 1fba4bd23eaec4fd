/**
 * The signed end of a stream of server-sent events (docs/reference/request-signing.md). Its last line is a comment,
 * which readers of events skip: `: verit-end sha-256=:DIGEST: SIGNATURE` and an empty line. The digest is that of all
 * bytes before; signed is a text that holds it and the signature of the answer's head, so that neither can be moved to
 * another stream, and a stream cut short has no end.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { strictBase64 } from '../lib/strict-base64.ts'
import { digestField } from './content-digest.ts'
import { refuseSignature } from './http-message.ts'
import { signBase, verifyBase } from './message-signature.ts'

const MARK = Buffer.from(': verit-end ')
const END = /^: verit-end (sha-256=:[A-Za-z0-9+/]{43}=:) ([A-Za-z0-9+/]{86}==)\n\n$/
/** Length of the end in bytes. */
export const STREAM_END_BYTES = 157
const LINE_FEED = 10

/** The signed bytes. They differ from any signature base of RFC 9421, whose first character is a quotation mark. */
export function streamEndBase(digest: string, headSignature: Uint8Array): string {
  return `verit stream end v1\n${digest}\n${Buffer.from(headSignature).toString('base64')}`
}

/** Takes the sent bytes of a stream and writes its end. */
export class StreamSigner {
  #hash = createHash('sha256')
  #head: Uint8Array
  #privateKey: KeyObject

  /** `headSignature`: of signResponse. */
  constructor(headSignature: Uint8Array, privateKey: KeyObject) {
    this.#head = headSignature
    this.#privateKey = privateKey
  }

  /** Bytes, or text in UTF-8, that are sent. */
  update(sent: Uint8Array | string): void {
    this.#hash.update(sent)
  }

  /** The last bytes to send, after a whole event. Call it once. */
  end(): string {
    const digest = digestField(this.#hash.digest())
    const signature = signBase(streamEndBase(digest, this.#head), { alg: 'ed25519', privateKey: this.#privateKey })
    return `${MARK.toString()}${digest} ${signature.toString('base64')}\n\n`
  }
}

/**
 * Takes the received bytes of a stream, passes them on without the end, and verifies the end when the stream is over.
 */
export class StreamChecker {
  #hash = createHash('sha256')
  #head: Uint8Array
  #publicKey: KeyObject
  /** The start of a line that may be the end; bytes of the end itself once it is. */
  #held: Buffer = Buffer.alloc(0)
  #ending = false
  #lineStart = true

  /** `headSignature`: of verifyResponse. */
  constructor(headSignature: Uint8Array, publicKey: KeyObject) {
    this.#head = headSignature
    this.#publicKey = publicKey
  }

  /**
   * Gives the bytes to hand on. They are proved only when `end` has passed.
   * @throws VeritError VERIT_SIGNATURE for bytes after the end
   */
  push(chunk: Uint8Array): Buffer {
    const bytes = Buffer.concat([this.#held, chunk])
    const from = this.#ending ? 0 : this.#endStart(bytes)
    this.#held = bytes.subarray(from)
    if (this.#held.length > STREAM_END_BYTES) refuseSignature('the stream goes on after its signed end')
    const passed = bytes.subarray(0, from)
    this.#hash.update(passed)
    return passed
  }

  /** @throws VeritError VERIT_SIGNATURE when the stream has no signed end, or it is not that of this stream */
  end(): void {
    const match = this.#ending ? END.exec(this.#held.toString('latin1')) : null
    if (match === null) refuseSignature('the stream was cut short: it has no signed end')
    const [, digest, signature] = match
    const actual = Buffer.from(digestField(this.#hash.digest()))
    if (!timingSafeEqual(actual, Buffer.from(digest!)))
      refuseSignature('the stream does not have the digest that its end says')
    const bytes = strictBase64(signature!)
    const key = { alg: 'ed25519', publicKey: this.#publicKey } as const
    if (bytes === undefined || !verifyBase(streamEndBase(digest!, this.#head), bytes, key)) {
      refuseSignature('the signature at the end of the stream does not fit it')
    }
  }

  /** Where the end begins, or may begin, in the bytes; their length where it does not. */
  #endStart(bytes: Buffer): number {
    let line = this.#lineStart ? 0 : bytes.indexOf(LINE_FEED) + 1 || -1
    while (line >= 0 && line < bytes.length) {
      const length = Math.min(MARK.length, bytes.length - line)
      if (bytes.compare(MARK, 0, length, line, line + length) === 0) {
        this.#ending = length === MARK.length
        this.#lineStart = true
        return line
      }
      line = bytes.indexOf(LINE_FEED, line) + 1 || -1
    }
    if (bytes.length > 0) this.#lineStart = line === bytes.length
    return bytes.length
  }
}
