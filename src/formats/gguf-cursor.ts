/**
 * Reads the header of a GGUF file in order, through a window of bounded size. Nothing is allocated or looped over on the word of the file:
 * every length and count is compared with its limit and with the bytes that are left first.
 */
import { isUtf8 } from 'node:buffer'
import { VeritError } from '../lib/errors.ts'
import type { ProblemList } from '../lib/problem-list.ts'
import type { ByteSource } from '../lib/regular-file.ts'
import { ggufLimits } from './gguf-limits.ts'

const WINDOW = 1 << 16

export class GgufCursor {
  /** Position in the file of the next byte to be read. */
  at = 0
  #source: ByteSource
  #window = Buffer.alloc(0)
  #start = 0
  #found: ProblemList | undefined

  /** @param found collects faults after which the bytes can still be followed; default: the first is thrown */
  constructor(source: ByteSource, found?: ProblemList) {
    this.#source = source
    this.#found = found
  }

  /** Bytes of the file that have not been read. */
  get left(): number {
    return this.#source.size - this.at
  }

  fail(problem: string, offset: number = this.at): never {
    throw new VeritError('VERIT_GGUF', { file: this.#source.name, offset, problem })
  }

  /** A fault that leaves the next byte's place known. */
  flag(problem: string, offset: number = this.at): void {
    if (this.#found === undefined) this.fail(problem, offset)
    this.#found.add(problem, offset)
  }

  /** A check of values that throws this file's error. */
  attempt<T>(check: () => T, otherwise: T): T {
    try {
      return check()
    } catch (e) {
      if (this.#found === undefined || !VeritError.is(e, 'VERIT_GGUF')) throw e
      this.#found.add(e.fields.problem, e.fields.offset)
      return otherwise
    }
  }

  u8(): number { return this.#take(1).readUInt8(this.at++ - this.#start) }
  i8(): number { return this.#take(1).readInt8(this.at++ - this.#start) }
  u16(): number { return this.#take(2).readUInt16LE(this.#step(2)) }
  i16(): number { return this.#take(2).readInt16LE(this.#step(2)) }
  u32(): number { return this.#take(4).readUInt32LE(this.#step(4)) }
  i32(): number { return this.#take(4).readInt32LE(this.#step(4)) }
  f32(): number { return this.#take(4).readFloatLE(this.#step(4)) }
  u64(): bigint { return this.#take(8).readBigUInt64LE(this.#step(8)) }
  i64(): bigint { return this.#take(8).readBigInt64LE(this.#step(8)) }
  f64(): number { return this.#take(8).readDoubleLE(this.#step(8)) }

  /** A u64 that counts things: at most `limit`, and no more than the bytes left can hold at `bytesEach` or more. */
  count(what: string, limit: number, bytesEach: number): number {
    const offset = this.at
    const n = this.u64()
    if (n > BigInt(limit)) this.fail(`${what} is ${n}, more than the limit of ${limit}`, offset)
    if (Number(n) * bytesEach > this.left) this.fail(`${what} is ${n}, which the ${this.left} bytes left cannot hold`, offset)
    return Number(n)
  }

  /** A string: u64 length, then UTF-8 bytes that must be valid. */
  string(what: string, limit: number): string {
    const offset = this.at
    const length = this.count(`the length of ${what}`, limit, 1)
    const bytes = length <= WINDOW ? this.#slice(length) : this.bytes(length)
    if (!isUtf8(bytes)) this.flag(`${what} is not valid UTF-8`, offset)
    return bytes.toString('utf8')
  }

  /** A copy of the next `length` bytes, at the start of an ArrayBuffer of its own. The caller has compared `length` with its limit. */
  bytes(length: number): Buffer {
    this.#check(length)
    const copy = Buffer.from(new ArrayBuffer(length))
    this.#source.read(this.at, copy)
    this.at += length
    return copy
  }

  #slice(length: number): Buffer {
    const window = this.#take(length)
    const start = this.#step(length)
    return window.subarray(start, start + length)
  }

  #step(n: number): number {
    this.at += n
    return this.at - n - this.#start
  }

  #check(n: number): void {
    if (n > this.left) this.fail(`the file ends ${n - this.left} bytes too early`)
    if (this.at + n > ggufLimits.headerBytes) this.fail(`the header is longer than the limit of ${ggufLimits.headerBytes} bytes`)
  }

  /** Makes the window hold the next `n` bytes, n <= WINDOW. */
  #take(n: number): Buffer {
    this.#check(n)
    if (this.at + n > this.#start + this.#window.length) {
      const length = Math.min(WINDOW, this.left)
      this.#window = Buffer.alloc(length)
      this.#start = this.at
      this.#source.read(this.at, this.#window)
    }
    return this.#window
  }
}
