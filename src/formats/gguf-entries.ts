/**
 * Walks the metadata of a GGUF file: keys, types, lengths, UTF-8, duplicates. The same walk checks a file that is not
 * trusted yet, keeping almost nothing, and reads the values of an accepted one.
 */
import { printable } from '../lib/printable.ts'
import type { GgufCursor, Name } from './gguf-cursor.ts'
import { ggufLimits } from './gguf-limits.ts'
import { GgufMetadata } from './gguf-metadata.ts'
import { ggufArrays, ggufValueTypes } from './gguf-value.ts'
import type { GgufElementType, GgufNumbers, GgufValue } from './gguf-value.ts'
import { NameSet } from './name-set.ts'

/** Entries about the file itself. */
export const containerKeys: ReadonlySet<string> = new Set([
  'general.alignment',
  'split.count',
  'split.no',
  'split.tensors.count'
])

/**
 * @param keep 'all' takes every value; 'container' only those of `containerKeys`, and of arrays only the type: for a
 *   file that is not admitted yet
 */
export function readEntries(c: GgufCursor, file: string, count: number, keep: 'all' | 'container'): GgufMetadata {
  const entries = new Map<string, GgufValue>()
  const offsets = new Map<string, number>()
  const names = new NameSet(count, ggufLimits.keyBytes)
  const budget = { elements: ggufLimits.arrayElements }
  for (let i = 0; i < count; i++) {
    const offset = c.at
    const bytes = readName(c, () => 'a metadata key', ggufLimits.keyBytes)
    const isNew = names.add(bytes)
    const key = bytes.toString('utf8')
    const kept = keep === 'all' || containerKeys.has(key)
    const value = readValue(c, () => printable(key), budget, kept, keep === 'all')
    if (!isNew) c.flag(`the metadata key ${printable(key)} appears twice`, offset)
    else if (kept) {
      entries.set(key, value)
      offsets.set(key, offset)
    }
  }
  return new GgufMetadata(file, entries, offsets)
}

/**
 * A key or tensor name: not empty, and without control characters, which other programs would cut or print. The bytes
 * stand until the next read.
 */
export function readName(c: GgufCursor, what: Name, limit: number): Buffer {
  const offset = c.at
  const name = c.text(what, limit)
  if (name.length === 0) c.flag(`${what()} is empty`, offset)
  if (hasControl(name)) c.flag(`${what()} holds control characters: ${printable(name.toString('utf8'))}`, offset)
  return name
}

/** U+0000 to U+001F and U+007F to U+009F, in UTF-8. */
function hasControl(text: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) {
    const byte = text[i]!
    if (byte < 0x20 || byte === 0x7f || (byte === 0xc2 && text[i + 1]! < 0xa0)) return true
  }
  return false
}

/** Placeholder for a value that is not kept. */
const dropped: GgufValue = { type: 'bool', value: false }

function readValue(
  c: GgufCursor,
  key: Name,
  budget: { elements: number },
  keep: boolean,
  keepElements: boolean
): GgufValue {
  const offset = c.at
  const type = ggufValueTypes[c.u32()]
  switch (type) {
    case undefined:
      return c.fail(`metadata ${key()} has a value type that is not known`, offset)
    case 'array':
      return readArray(c, key, budget, keepElements)
    case 'bool': {
      const value: boolean[] = []
      c.bools(1, key, value)
      return { type, value: value[0]! }
    }
    case 'string': {
      const bytes = c.text(() => `metadata ${key()}`, ggufLimits.stringBytes)
      return keep ? { type, value: bytes.toString('utf8') } : dropped
    }
    case 'u64':
    case 'i64':
      return { type, value: c[type]() }
    default:
      return { type, value: c[type]() }
  }
}

function readArray(c: GgufCursor, key: Name, budget: { elements: number }, keep: boolean): GgufValue {
  const offset = c.at
  const of = ggufValueTypes[c.u32()]
  if (of === undefined) c.fail(`metadata ${key()} is an array of a type that is not known`, offset)
  if (of === 'array') c.fail(`metadata ${key()} is an array of arrays, which is not supported`, offset)
  const count = c.count(() => `the length of the array ${key()}`, budget.elements, elementBytes(of))
  budget.elements -= count
  const type = 'array'
  if (of === 'string') {
    const value: string[] = []
    c.strings(count, i => `element ${i} of ${key()}`, keep ? value : undefined)
    return { type, of, value }
  }
  if (of === 'bool') {
    const value: boolean[] = []
    c.bools(count, key, keep ? value : undefined)
    return { type, of, value }
  }
  const length = count * elementBytes(of)
  if (!keep) c.skip(length)
  const { buffer } = keep ? c.bytes(length) : Buffer.from(new ArrayBuffer(0))
  const Numbers = ggufArrays[of] as new (buffer: ArrayBufferLike) => GgufNumbers
  return { type, of, value: new Numbers(buffer) } as GgufValue
}

/** Minimum bytes of an element. */
const elementBytes = (of: GgufElementType): number =>
  of === 'string' ? 8 : of === 'bool' ? 1 : ggufArrays[of].BYTES_PER_ELEMENT
