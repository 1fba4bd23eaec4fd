/**
 * Builds GGUF bytes field by field for tests, true or false: nothing is checked, every count and offset can be made to
 * lie.
 */

export const u32 = (n: number): Buffer => {
  const b = Buffer.alloc(4)
  b.writeUInt32LE(n)
  return b
}

export const u64 = (n: number | bigint): Buffer => {
  const b = Buffer.alloc(8)
  b.writeBigUInt64LE(BigInt.asUintN(64, BigInt(n)))
  return b
}

/** A string with its length, or with a length that is claimed. */
export const str = (text: string | Buffer, claimed?: number | bigint): Buffer => {
  const bytes = Buffer.from(text as string)
  return Buffer.concat([u64(claimed ?? bytes.length), bytes])
}

/** A metadata entry: key, number of the value type, bytes of the value. */
export const entry = (key: string | Buffer, type: number, ...value: Buffer[]): Buffer =>
  Buffer.concat([str(key), u32(type), ...value])

export const stringEntry = (key: string, value: string): Buffer => entry(key, 8, str(value))

export interface ForgedTensor {
  name?: string | Buffer
  /** ggml's order. Default [32]. */
  ne?: (number | bigint)[]
  dimensions?: number
  /** Default 0, F32. */
  type?: number
  offset?: number | bigint
}

export const tensorEntry = (t: ForgedTensor): Buffer => {
  const ne = t.ne ?? [32]
  return Buffer.concat([
    str(t.name ?? 'w'),
    u32(t.dimensions ?? ne.length),
    ...ne.map(u64),
    u32(t.type ?? 0),
    u64(t.offset ?? 0)
  ])
}

export interface Forged {
  magic?: string
  version?: number
  entries?: Buffer[]
  entryCount?: number | bigint
  tensors?: ForgedTensor[]
  tensorCount?: number | bigint
  alignment?: number
  /** Tensor data. Default 128 bytes, one tensor of 32 floats. */
  data?: Buffer
}

/** A file; with no arguments, a valid one with a metadata string and one tensor of 32 floats. */
export function forge(f: Forged = {}): Buffer {
  const entries = f.entries ?? [stringEntry('general.architecture', 'none')]
  const tensors = f.tensors ?? [{}]
  const header = Buffer.concat([
    Buffer.from(f.magic ?? 'GGUF'),
    u32(f.version ?? 3),
    u64(f.tensorCount ?? tensors.length),
    u64(f.entryCount ?? entries.length),
    ...entries,
    ...tensors.map(tensorEntry)
  ])
  const alignment = f.alignment ?? 32
  return Buffer.concat([
    header,
    Buffer.alloc(Math.ceil(header.length / alignment) * alignment - header.length),
    f.data ?? Buffer.alloc(128)
  ])
}
