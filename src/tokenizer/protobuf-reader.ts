/**
 * Reads the wire format of protocol buffers (protobuf.dev, "Encoding"): fields of a message in file order, each a
 * number, a wire type and a value. Nothing is believed: every varint ends within 64 bits and the message, every length
 * within the message around it. Groups, which were given up in 2008, are refused.
 */

export const VARINT = 0
export const FIXED64 = 1
export const BYTES = 2
export const FIXED32 = 5

const KINDS: Readonly<Record<number, string>> = {
  [VARINT]: 'a varint',
  [FIXED64]: '8 bytes',
  [BYTES]: 'bytes with a length',
  [FIXED32]: '4 bytes'
}

/** Throws the file's error for a problem at a byte. */
export type Refuse = (problem: string, offset: number) => never

export interface Field {
  readonly number: number
  readonly wire: number
  /** Where its tag stands. */
  readonly offset: number
}

export class ProtobufReader {
  /** Position of the next byte. */
  at: number
  readonly end: number
  readonly #outermost: boolean
  #bytes: Buffer
  #refuse: Refuse
  /** Parts of the last varint: the lowest 28 bits, the next 28, the rest. */
  #low = 0
  #middle = 0
  #high = 0

  /** Reads the message in bytes[start, end). */
  constructor(bytes: Buffer, refuse: Refuse, start = 0, end: number = bytes.length) {
    this.#bytes = bytes
    this.#refuse = refuse
    this.at = start
    this.end = end
    this.#outermost = start === 0 && end === bytes.length
  }

  /** The tag of the next field, or undefined at the end of the message. Its value must be read or skipped next. */
  next(): Field | undefined {
    if (this.at === this.end) return undefined
    const offset = this.at
    const tag = this.#unsigned("a field's tag", 2 ** 32 - 1)
    const number = Math.floor(tag / 8)
    const wire = tag % 8
    if (number === 0) this.#refuse('a field has the number 0', offset)
    if (!(wire in KINDS))
      this.#refuse(
        `field ${number} has the wire type ${wire}, which is not one of varint, 64 bits, bytes and 32 bits`,
        offset
      )
    return { number, wire, offset }
  }

  /** Passes over the value of a field that means nothing here. */
  skip(field: Field): void {
    if (field.wire === VARINT) this.#varint()
    else if (field.wire === BYTES) this.bytes(field, Number.MAX_SAFE_INTEGER)
    else this.#take(field.wire === FIXED64 ? 8 : 4)
  }

  /** A number that fits into 32 bits with sign. */
  int32(field: Field): number {
    this.#expect(field, VARINT)
    const at = this.at
    this.#varint()
    const value = BigInt.asIntN(64, this.#value())
    if (value !== BigInt.asIntN(32, value))
      this.#refuse(`field ${field.number} is ${value}, which does not fit into 32 bits`, at)
    return Number(value)
  }

  bool(field: Field): boolean {
    this.#expect(field, VARINT)
    const at = this.at
    this.#varint()
    const value = this.#value()
    if (value > 1n) this.#refuse(`field ${field.number} is ${value}, where 0 or 1 is expected`, at)
    return value === 1n
  }

  float(field: Field): number {
    this.#expect(field, FIXED32)
    return this.#bytes.readFloatLE(this.#take(4))
  }

  /** The bytes of a field, not copied. @param limit maximum bytes */
  bytes(field: Field, limit: number): Buffer {
    this.#expect(field, BYTES)
    const length = this.#length(field)
    if (length > limit)
      this.#refuse(`field ${field.number} has ${length} bytes, more than the limit of ${limit}`, field.offset)
    this.at += length
    return this.#bytes.subarray(this.at - length, this.at)
  }

  /** A reader of the message in a field. */
  message(field: Field): ProtobufReader {
    this.#expect(field, BYTES)
    const length = this.#length(field)
    this.at += length
    return new ProtobufReader(this.#bytes, this.#refuse, this.at - length, this.at)
  }

  #expect(field: Field, wire: number): void {
    if (field.wire !== wire)
      this.#refuse(
        `field ${field.number} is stored as ${KINDS[field.wire]}, where ${KINDS[wire]} is expected`,
        field.offset
      )
  }

  /** The length before bytes, which are there. */
  #length(field: Field): number {
    const at = this.at
    const length = this.#unsigned(`the length of field ${field.number}`, Number.MAX_SAFE_INTEGER)
    const left = this.end - this.at
    if (length > left) {
      const problem = `field ${field.number} has ${length} bytes, where ${left} are left`
      const cut = this.#outermost && field.offset > 0 // after a field that is whole
      this.#refuse(
        cut ? `the file is cut: it has ${this.end} of at least ${this.at + length} bytes (${problem})` : problem,
        at
      )
    }
    return length
  }

  #take(n: number): number {
    if (n > this.end - this.at) this.#refuse(`the message ends ${n - (this.end - this.at)} bytes too early`, this.at)
    this.at += n
    return this.at - n
  }

  #unsigned(what: string, limit: number): number {
    const at = this.at
    // Nearly all of them are one byte.
    if (at < this.end && this.#bytes[at]! < 0x80) return this.#bytes[this.at++]!
    this.#varint()
    const value = (this.#high * 2 ** 28 + this.#middle) * 2 ** 28 + this.#low
    if (value > limit) this.#refuse(`${what} is ${this.#value()}, more than there can be`, at)
    return value
  }

  /** The varint that was read last. */
  #value(): bigint {
    return (BigInt(this.#high) << 56n) | (BigInt(this.#middle) << 28n) | BigInt(this.#low)
  }

  /**
   * Reads one into three numbers: a file may hold millions that nobody asks for, and BigInts for all of them would take
   * seconds.
   */
  #varint(): void {
    const start = this.at
    let low = 0
    let middle = 0
    let high = 0
    for (let i = 0; i < 10; i++) {
      if (this.at === this.end) this.#refuse('a varint does not end before its message', start)
      const byte = this.#bytes[this.at++]!
      const bits = byte & 0x7f
      if (i < 4) low |= bits << (7 * i)
      else if (i < 8) middle |= bits << (7 * (i - 4))
      else high |= bits << (7 * (i - 8))
      if (byte >= 0x80) continue
      if (high > 0xff) this.#refuse('a varint has more than 64 bits', start)
      this.#low = low
      this.#middle = middle
      this.#high = high
      return
    }
    this.#refuse('a varint has more than ten bytes', start)
  }
}
