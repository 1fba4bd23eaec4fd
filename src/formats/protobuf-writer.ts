/** Writes messages in the wire format of Protocol Buffers (developers.google.com/protocol-buffers/docs/encoding). */

const VARINT = 0
const BYTES = 2
const FIXED32 = 5

export class ProtobufWriter {
  readonly #parts: Buffer[] = []

  /** A whole number, at least 0. */
  varint(field: number, value: number | bigint): this {
    this.#key(field, VARINT)
    this.#parts.push(varintBytes(BigInt(value)))
    return this
  }

  float(field: number, value: number): this {
    const bytes = Buffer.alloc(4)
    bytes.writeFloatLE(value)
    this.#key(field, FIXED32)
    this.#parts.push(bytes)
    return this
  }

  bytes(field: number, value: Uint8Array): this {
    this.#key(field, BYTES)
    this.#parts.push(varintBytes(BigInt(value.length)), Buffer.from(value.buffer, value.byteOffset, value.length))
    return this
  }

  text(field: number, value: string): this {
    return this.bytes(field, Buffer.from(value, 'utf8'))
  }

  message(field: number, write: (writer: ProtobufWriter) => void): this {
    const inner = new ProtobufWriter()
    write(inner)
    return this.bytes(field, inner.done())
  }

  done(): Buffer {
    return Buffer.concat(this.#parts)
  }

  #key(field: number, type: number): void {
    this.#parts.push(varintBytes(BigInt(field * 8 + type)))
  }
}

/** Seven bits a byte, the lowest first; the top bit says that more follow. Negative numbers are taken modulo 2^64. */
function varintBytes(value: bigint): Buffer {
  const bytes: number[] = []
  let rest = BigInt.asUintN(64, value)
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128)
  bytes.push(Number(rest))
  return Buffer.from(bytes)
}
