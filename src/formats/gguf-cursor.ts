/**
 * Reads the header of a GGUF file in order, through a window of bounded size. Every length and count is compared with
 * its limit and with the remaining bytes before anything is allocated or looped over. `keep` tells whether values are
 * kept or only checked.
 */
import { isUtf8 } from 'node:buffer'
import { VeritError } from '../lib/errors.ts'
import type { ProblemList } from '../lib/problem-list.ts'
import type { ByteSource } from '../lib/regular-file.ts'
import { ggufLimits } from './gguf-limits.ts'

/** The longest string fits in. */
const WINDOW = ggufLimits.stringBytes
/** Strings that are judged together at most. */
const RUN = 4096

/** Name of a value in an error; built only on error. */
export type Name = () => string

export class GgufCursor {
  /** Position in the file of the next byte to be read. */
  at = 0
  #source: ByteSource
  #window: Buffer
  #view: DataView
  /** Ends of the strings of a run, in the window. */
  #ends = new Int32Array(RUN)
  /** Position in the file of the window's first byte, and bytes of the file in it. */
  #start = 0
  #filled = 0
  #found: ProblemList | undefined

  /** @param found collects faults after which the bytes can still be followed; default: the first is thrown */
  constructor(source: ByteSource, found?: ProblemList) {
    this.#source = source
    this.#window = Buffer.allocUnsafeSlow(Math.min(WINDOW, source.size))
    this.#view = new DataView(this.#window.buffer, this.#window.byteOffset, this.#window.length)
    this.#found = found
  }

  /** Bytes of the file that have not been read. */
  get left(): number {
    return this.#source.size - this.at
  }

  fail(problem: string, offset: number = this.at, better?: { readonly problem: string; readonly fix: string }): never {
    throw new VeritError('VERIT_GGUF', { file: this.#source.name, offset, problem, ...better })
  }

  /** A fault after which the position of the next byte is still known. */
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

  u8(): number {
    return this.#window.readUInt8(this.#take(1))
  }
  i8(): number {
    return this.#window.readInt8(this.#take(1))
  }
  u16(): number {
    return this.#window.readUInt16LE(this.#take(2))
  }
  i16(): number {
    return this.#window.readInt16LE(this.#take(2))
  }
  u32(): number {
    return this.#window.readUInt32LE(this.#take(4))
  }
  i32(): number {
    return this.#window.readInt32LE(this.#take(4))
  }
  f32(): number {
    return this.#window.readFloatLE(this.#take(4))
  }
  u64(): bigint {
    return this.#window.readBigUInt64LE(this.#take(8))
  }
  i64(): bigint {
    return this.#window.readBigInt64LE(this.#take(8))
  }
  f64(): number {
    return this.#window.readDoubleLE(this.#take(8))
  }

  /** A u64 as a number: exact up to 2^53, and not below 2^53 when it is more. */
  uint(): number {
    const i = this.#take(8)
    return this.#window.readUInt32LE(i + 4) * 2 ** 32 + this.#window.readUInt32LE(i)
  }

  /** The u64 at an earlier position, for an error. */
  exactly(offset: number): bigint {
    const bytes = Buffer.alloc(8)
    this.#source.read(offset, bytes)
    return bytes.readBigUInt64LE()
  }

  /** A u64 that counts things: at most `limit`, and no more than the bytes left can hold at `bytesEach` or more. */
  count(what: Name, limit: number, bytesEach: number): number {
    const offset = this.at
    const n = this.uint()
    if (n > limit) this.fail(`${what()} is ${this.exactly(offset)}, more than the limit of ${limit}`, offset)
    if (n * bytesEach > this.left) this.fail(`${what()} is ${n}, which the ${this.left} bytes left cannot hold`, offset)
    return n
  }

  /** A string: u64 length, then valid UTF-8. The bytes stay in the window until the next read. */
  text(what: Name, limit: number): Buffer {
    const offset = this.at
    const bytes = this.#slice(this.count(() => `the length of ${what()}`, limit, 1))
    if (!isUtf8(bytes)) this.flag(`${what()} is not valid UTF-8`, offset)
    return bytes
  }

  /** `count` strings in a row. `keep` takes them. */
  strings(count: number, what: (index: number) => string, keep?: string[]): void {
    const limit = ggufLimits.stringBytes
    for (let i = 0; i < count;) {
      const n = this.#run(Math.min(count - i, RUN), limit, keep)
      i += Math.max(n, 0)
      // one that the window ends in or that has a wrong length; all of a run that is not UTF-8
      for (let single = n === 0 ? 1 : -n; single > 0; single--) {
        const index = i++
        const bytes = this.text(() => what(index), limit)
        keep?.push(bytes.toString('utf8'))
      }
    }
  }

  /** `count` bytes of a metadata entry that must be 0 or 1. `keep` takes them. */
  bools(count: number, key: Name, keep?: boolean[]): void {
    for (let left = count; left > 0;) {
      const chunk = this.#slice(Math.min(left, WINDOW))
      for (let i = 0; i < chunk.length; i++) {
        const byte = chunk[i]!
        if (byte > 1) this.flag(`metadata ${key()} is a bool with the value ${byte}`, this.at - chunk.length + i)
        keep?.push(byte === 1)
      }
      left -= chunk.length
    }
  }

  /** Passes over bytes that any value is good for. */
  skip(length: number): void {
    this.#check(length)
    this.at += length
  }

  /**
   * A copy of the next `length` bytes, at the start of its own ArrayBuffer. The caller has checked `length` against its
   * limit.
   */
  bytes(length: number): Buffer {
    this.#check(length)
    const copy = Buffer.from(new ArrayBuffer(length))
    this.#source.read(this.at, copy)
    this.at += length
    return copy
  }

  /**
   * Skips strings that are whole in the window and returns their number; a negative number if one of that many is not
   * UTF-8, and then skips none. All bytes are checked together: with the lengths between them blanked to ASCII, the
   * whole is UTF-8 exactly if each string is. One by one, a million calls would cost a tenth of a second.
   */
  #run(most: number, limit: number, keep: string[] | undefined): number {
    const first = this.at - this.#start
    const ends = this.#ends
    const n = followStrings(this.#view, first, this.#filled, most, limit, ends)
    if (n === 0) return 0
    const end = ends[n - 1]!
    if (!isUtf8(this.#window.subarray(first, end))) {
      this.#fill()
      return -n
    }
    if (keep !== undefined)
      for (let i = 0, from = first; i < n; from = ends[i++]!)
        keep.push(this.#window.toString('utf8', from + 8, ends[i]))
    this.at += end - first
    return n
  }

  #slice(length: number): Buffer {
    const i = this.#take(length)
    return this.#window.subarray(i, i + length)
  }

  #check(n: number): void {
    if (n > this.left) this.fail(`the file ends ${n - this.left} bytes too early`)
    if (this.at + n > ggufLimits.headerBytes)
      this.fail(`the header is longer than the limit of ${ggufLimits.headerBytes} bytes`)
  }

  /** Skips the next `n` bytes, n <= WINDOW, and returns their position in the window. */
  #take(n: number): number {
    this.#check(n)
    if (this.at < this.#start || this.at + n > this.#start + this.#filled) this.#fill()
    this.at += n
    return this.at - n - this.#start
  }

  #fill(): void {
    this.#start = this.at
    this.#filled = Math.min(this.#window.length, this.left, ggufLimits.headerBytes - this.at)
    this.#source.read(this.at, this.#window.subarray(0, this.#filled))
  }
}

/**
 * Follows at most `most` strings from `first` on, blanks lengths that are not ASCII, records where each string ends,
 * and returns how many are whole before `filled`.
 */
function followStrings(
  view: DataView,
  first: number,
  filled: number,
  most: number,
  limit: number,
  ends: Int32Array
): number {
  let i = first
  let n = 0
  for (; n < most && i + 8 <= filled; n++) {
    const length = view.getInt32(i, true)
    const end = i + 8 + length
    if (view.getInt32(i + 4, true) !== 0 || length < 0 || length > limit || end > filled) break
    if (length > 0x7f) view.setUint32(i, 0)
    ends[n] = i = end
  }
  return n
}
