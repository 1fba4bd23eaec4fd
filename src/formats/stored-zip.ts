/**
 * The central directory of a ZIP archive (PKWARE APPNOTE 6.3.10) whose entries are stored uncompressed, as PyTorch
 * writes them: name, position and size of each. A compressed or encrypted entry is refused, so that nothing grows when
 * it is read.
 */
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import type { ByteSource } from '../lib/regular-file.ts'

export interface StoredEntry {
  readonly name: string
  readonly offset: number
  readonly size: number
}

const MOST_ENTRIES = 1 << 16
const MOST_DIRECTORY_BYTES = 1 << 25
/** The end record, with the longest comment. */
const END_BYTES = 22
const MOST_COMMENT = 65_535
const LOCAL_BYTES = 30

/**
 * By name, in the order of the directory.
 * @throws VeritError VERIT_TORCH_FILE
 */
export function readStoredZip(source: ByteSource): ReadonlyMap<string, StoredEntry> {
  const refuse = (problem: string, offset: number): never => {
    throw new VeritError('VERIT_TORCH_FILE', { file: source.name, offset, problem })
  }
  const { count, offset, size } = findDirectory(source, refuse)
  if (count > MOST_ENTRIES) refuse(`it has ${count} entries, more than the limit of ${MOST_ENTRIES}`, offset)
  if (size > MOST_DIRECTORY_BYTES || offset + size > source.size) refuse('its directory does not lie in it', offset)
  const bytes = Buffer.alloc(size)
  source.read(offset, bytes)
  const entries = new Map<string, StoredEntry>()
  const ends: [begin: number, end: number, name: string][] = []
  let at = 0
  for (let i = 0; i < count; i++) {
    if (at + 46 > size || bytes.readUInt32LE(at) !== 0x02014b50)
      refuse(`entry ${i} of its directory is cut`, offset + at)
    const [flags, method] = [bytes.readUInt16LE(at + 8), bytes.readUInt16LE(at + 10)]
    const [nameBytes, extraBytes] = [bytes.readUInt16LE(at + 28), bytes.readUInt16LE(at + 30)]
    const end = at + 46 + nameBytes + extraBytes + bytes.readUInt16LE(at + 32)
    if (end > size) refuse(`entry ${i} of its directory is cut`, offset + at)
    const name = bytes.toString('utf8', at + 46, at + 46 + nameBytes)
    const extra = bytes.subarray(at + 46 + nameBytes, at + 46 + nameBytes + extraBytes)
    const shown = printable(name, 80)
    if (method !== 0) refuse(`its entry ${shown} is compressed, which PyTorch never does`, offset + at)
    if ((flags & 1) !== 0) refuse(`its entry ${shown} is encrypted`, offset + at)
    if (entries.has(name)) refuse(`its entry ${shown} appears twice`, offset + at)
    const wide = wideFields(bytes, at, extra)
    if (wide === undefined) return refuse(`the sizes of its entry ${shown} are missing`, offset + at)
    const [packed, plain, local] = wide
    if (packed !== plain) refuse(`its entry ${shown} has two sizes`, offset + at)
    const begin = dataOffset(source, local)
    if (begin === undefined || begin + plain > offset)
      return refuse(`its entry ${shown} does not lie in it`, offset + at)
    entries.set(name, { name, offset: begin, size: plain })
    ends.push([begin, begin + plain, shown])
    at = end
  }
  ends.sort((a, b) => a[0] - b[0] || a[1] - b[1])
  for (let i = 1; i < ends.length; i++)
    if (ends[i]![0] < ends[i - 1]![1]) refuse(`its entries ${ends[i - 1]![2]} and ${ends[i]![2]} overlap`, ends[i]![0])
  return entries
}

type Refuse = (problem: string, offset: number) => never

/** The end record, and the wider one (ZIP64) where that has the numbers. */
function findDirectory(source: ByteSource, refuse: Refuse): { count: number; offset: number; size: number } {
  const length = Math.min(source.size, END_BYTES + MOST_COMMENT)
  const tail = Buffer.alloc(length)
  source.read(source.size - length, tail)
  let end = length - END_BYTES
  while (end >= 0 && tail.readUInt32LE(end) !== 0x06054b50) end--
  if (end < 0) return refuse('it is cut: the end of a ZIP archive is missing', source.size)
  const found = {
    count: tail.readUInt16LE(end + 10),
    size: tail.readUInt32LE(end + 12),
    offset: tail.readUInt32LE(end + 16)
  }
  const wide = found.count === 0xffff || found.size === 0xffffffff || found.offset === 0xffffffff
  if (!wide) return found
  const locator = end - 20
  if (locator < 0 || tail.readUInt32LE(locator) !== 0x07064b50) return refuse('its ZIP64 end is missing', source.size)
  const at = Number(tail.readBigUInt64LE(locator + 8))
  const record = Buffer.alloc(56)
  if (!(at + 56 <= source.size)) return refuse('its ZIP64 end does not lie in it', source.size)
  source.read(at, record)
  if (record.readUInt32LE(0) !== 0x06064b50) return refuse('its ZIP64 end is missing', at)
  return {
    count: Number(record.readBigUInt64LE(32)),
    size: Number(record.readBigUInt64LE(40)),
    offset: Number(record.readBigUInt64LE(48))
  }
}

/** Sizes and position of an entry: 32 bits, or 64 bits in the extra field 1 where these are 0xffffffff. */
function wideFields(bytes: Buffer, at: number, extra: Buffer): [number, number, number] | undefined {
  const narrow = [bytes.readUInt32LE(at + 20), bytes.readUInt32LE(at + 24), bytes.readUInt32LE(at + 42)]
  let wide: Uint8Array = new Uint8Array(0)
  for (let i = 0; i + 4 <= extra.length;) {
    const length = extra.readUInt16LE(i + 2)
    if (extra.readUInt16LE(i) === 1) wide = extra.subarray(i + 4, i + 4 + length)
    i += 4 + length
  }
  // The order in the extra field: uncompressed size, compressed size, position.
  const values = new Map<number, number>()
  let next = 0
  for (const field of [1, 0, 2]) {
    if (narrow[field] !== 0xffffffff) {
      values.set(field, narrow[field]!)
      continue
    }
    if (next + 8 > wide.length) return undefined
    values.set(field, Number(new DataView(wide.buffer, wide.byteOffset + next, 8).getBigUint64(0, true)))
    next += 8
  }
  return [values.get(0)!, values.get(1)!, values.get(2)!]
}

/** Where the data of an entry begin, behind its local header. */
function dataOffset(source: ByteSource, local: number): number | undefined {
  if (!Number.isSafeInteger(local) || local + LOCAL_BYTES > source.size) return undefined
  const header = Buffer.alloc(LOCAL_BYTES)
  source.read(local, header)
  if (header.readUInt32LE(0) !== 0x04034b50) return undefined
  return local + LOCAL_BYTES + header.readUInt16LE(26) + header.readUInt16LE(28)
}
