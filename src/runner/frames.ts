/**
 * Frames between gateway and runner: a length of four bytes (little-endian), then that many bytes of UTF-8 JSON. The
 * decoder trusts nothing: it checks a length against the limit before it reserves memory, and any defect ends the
 * connection, because the next frame cannot be found after a bad one.
 */
import { VeritError } from '../lib/errors.ts'
import { ALTERNATIVES, EVENT_TEXT, TOKEN_TEXT } from './text-limits.ts'

/**
 * Largest frame to a runner before its `load` message, in bytes: the settings of a load, a chat template among them.
 */
export const LOAD_LIMIT = 1 << 20

/**
 * Largest frame to a runner in bytes; the runner gets the limit when it loads. Token ids grow most on the way: `1e9,`
 * has 4 bytes in a body and 11 in a frame.
 * @param bodyBytes largest request body, in bytes
 */
export const toRunnerLimit = (bodyBytes: number): number => 3 * bodyBytes + LOAD_LIMIT

/** Largest body that this frame size fits, in bytes: the maximum of `http.body_bytes`. */
export const MOST_BODY = 64 << 20

/** Maximum bytes of a UTF-16 unit in JSON (`\u0001`), and of a frame besides its texts. */
const ESCAPED = 6
const REST = 8192
/** Largest frame from a runner in bytes: one token with its alternatives. */
export const FROM_RUNNER_LIMIT = ESCAPED * (EVENT_TEXT + ALTERNATIVES * TOKEN_TEXT) + REST

const HEAD = 4
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function encodeFrame(message: unknown, limit: number): Buffer {
  const body = Buffer.from(JSON.stringify(message), 'utf8')
  if (body.length > limit)
    throw new VeritError('VERIT_RUNNER_FRAME', {
      problem: `a message of ${body.length} bytes exceeds the limit of ${limit}`
    })
  const frame = Buffer.allocUnsafe(HEAD + body.length)
  frame.writeUInt32LE(body.length, 0)
  body.copy(frame, HEAD)
  return frame
}

export class FrameDecoder {
  #limit: number
  #chunks: Buffer[] = []
  #held = 0
  #dead = false

  /** @param limit largest frame in bytes that is accepted */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Another limit, from the next frame on. */
  set limit(bytes: number) {
    this.#limit = bytes
  }

  /** Bytes kept for a frame that has not arrived whole: never more than the limit, its head and the last chunk. */
  get held(): number {
    return this.#held
  }

  /**
   * Takes bytes as they come and yields each message that is now whole. @throws VeritError VERIT_RUNNER_FRAME; nothing
   * can be decoded afterwards
   */
  *push(chunk: Uint8Array): Generator<unknown> {
    if (this.#dead) throw bad('the stream was given up after an earlier bad frame')
    this.#chunks.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
    this.#held += chunk.byteLength
    this.#dead = true // stays so unless the loop ends in order
    while (this.#held >= HEAD) {
      const length = this.#peek()
      if (length === 0 || length > this.#limit) throw bad(`a frame claims ${length} bytes, the limit is ${this.#limit}`)
      if (this.#held < HEAD + length) break
      yield parse(this.#take(HEAD + length).subarray(HEAD))
    }
    this.#dead = false
  }

  #peek(): number {
    if (this.#chunks[0]!.length < HEAD) this.#join()
    return this.#chunks[0]!.readUInt32LE(0)
  }

  #take(bytes: number): Buffer {
    if (this.#chunks[0]!.length < bytes) this.#join()
    const first = this.#chunks[0]!
    if (first.length === bytes) this.#chunks.shift()
    else this.#chunks[0] = first.subarray(bytes)
    this.#held -= bytes
    return first.subarray(0, bytes)
  }

  #join(): void {
    this.#chunks = [Buffer.concat(this.#chunks)]
  }
}

function parse(body: Uint8Array): unknown {
  try {
    return JSON.parse(utf8.decode(body))
  } catch {
    throw bad('a frame is not JSON in UTF-8')
  }
}

const bad = (problem: string): VeritError => new VeritError('VERIT_RUNNER_FRAME', { problem })
