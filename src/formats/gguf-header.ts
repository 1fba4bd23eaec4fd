/**
 * Parses the header of a GGUF file (version 2 or 3, little-endian): counts, metadata, tensor list; then checks that the tensors lie inside
 * the file, aligned, without overlap, and that no byte of the file belongs to nothing. Source: ggml's `docs/gguf.md`.
 */
import { endianness } from 'node:os'
import { VeritError, invariant } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import type { ProblemList } from '../lib/problem-list.ts'
import type { ByteSource } from '../lib/regular-file.ts'
import { GgufCursor } from './gguf-cursor.ts'
import { ggufLimits } from './gguf-limits.ts'
import { GgufMetadata } from './gguf-metadata.ts'
import { ggufTensorSize, ggufTypeName } from './gguf-types.ts'
import type { GgufTypeName } from './gguf-types.ts'
import { ggufArrays, ggufValueTypes } from './gguf-value.ts'
import type { GgufElementType, GgufNumbers, GgufValue } from './gguf-value.ts'

export interface GgufTensor {
  readonly name: string
  readonly type: GgufTypeName
  /** Dimensions in ggml's order, the contiguous one first: [in, out] for a weight matrix. */
  readonly ne: readonly number[]
  /** The same dimensions row-major: [out, in]. */
  readonly shape: readonly number[]
  readonly elements: number
  /** Position of the first byte in the file. */
  readonly offset: number
  readonly byteLength: number
}

export interface GgufHeader {
  readonly version: number
  readonly alignment: number
  readonly metadata: GgufMetadata
  readonly tensors: readonly GgufTensor[]
  /** Where the tensor data begins. */
  readonly dataOffset: number
}

/** A tensor as listed, with the position of its entry for errors and its offset from the start of the data. */
type Listed = Omit<GgufTensor, 'offset'> & { entry: number; relative: bigint }

export const align = (n: number, alignment: number): number => Math.ceil(n / alignment) * alignment

/** @param found collects every fault after which the bytes can still be followed; default: the first one is thrown */
export function parseGgufHeader(source: ByteSource, found?: ProblemList): GgufHeader {
  invariant(endianness() === 'LE', 'Verit runs on little-endian machines only')
  if (source.size > ggufLimits.fileBytes) {
    throw new VeritError('VERIT_GGUF', { file: source.name, offset: 0, problem: `the file claims ${source.size} bytes, more than the limit` })
  }
  const c = new GgufCursor(source, found)
  if (source.size < 24 || c.u32() !== 0x46554747) c.fail('it does not begin with GGUF and a header', 0)
  const version = c.u32()
  if (version !== 0 && (version & 0xffff) === 0) c.fail('the file is big-endian, which is not supported', 4)
  if (version !== 2 && version !== 3) c.fail(`the version is ${version}; versions 2 and 3 are supported`, 4)
  const tensorCount = c.count('the number of tensors', ggufLimits.tensors, 33)
  const pairCount = c.count('the number of metadata entries', ggufLimits.keyValues, 14)
  const metadata = readMetadata(c, source.name, pairCount)
  const alignment = metadata.has('general.alignment') ? c.attempt(() => alignmentOf(metadata), 32) : 32
  c.attempt(() => refuseSplit(metadata, tensorCount), undefined)
  const listed = readTensorList(c, tensorCount)
  const dataOffset = align(c.at, alignment)
  return { version, alignment, metadata, dataOffset, tensors: place(c, listed, { dataOffset, alignment, size: source.size, whole: listed.length === tensorCount }) }
}

function readMetadata(c: GgufCursor, file: string, count: number): GgufMetadata {
  const entries = new Map<string, GgufValue>()
  const offsets = new Map<string, number>()
  const budget = { elements: ggufLimits.arrayElements }
  for (let i = 0; i < count; i++) {
    const offset = c.at
    const key = readName(c, 'a metadata key', ggufLimits.keyBytes)
    const value = readValue(c, key, budget)
    if (entries.has(key)) c.flag(`the metadata key ${printable(key)} stands twice`, offset)
    else {
      entries.set(key, value)
      offsets.set(key, offset)
    }
  }
  return new GgufMetadata(file, entries, offsets)
}

/** A key or tensor name: not empty, and without control characters, which other programs would cut or print. */
function readName(c: GgufCursor, what: string, limit: number): string {
  const offset = c.at
  const name = c.string(what, limit)
  if (name === '') c.flag(`${what} is empty`, offset)
  if (/\p{Cc}/u.test(name)) c.flag(`${what} holds control characters: ${printable(name)}`, offset)
  return name
}

function readValue(c: GgufCursor, key: string, budget: { elements: number }): GgufValue {
  const offset = c.at
  const type = ggufValueTypes[c.u32()]
  switch (type) {
    case undefined: return c.fail(`metadata ${printable(key)} has a value type that is not known`, offset)
    case 'array': return readArray(c, key, budget)
    case 'bool': return { type, value: readBool(c, key) }
    case 'string': return { type, value: c.string(`metadata ${printable(key)}`, ggufLimits.stringBytes) }
    case 'u64': case 'i64': return { type, value: c[type]() }
    default: return { type, value: c[type]() }
  }
}

function readBool(c: GgufCursor, key: string): boolean {
  const offset = c.at
  const byte = c.u8()
  if (byte > 1) c.flag(`metadata ${printable(key)} is a bool with the value ${byte}`, offset)
  return byte === 1
}

function readArray(c: GgufCursor, key: string, budget: { elements: number }): GgufValue {
  const offset = c.at
  const of = ggufValueTypes[c.u32()]
  if (of === undefined) c.fail(`metadata ${printable(key)} is an array of a type that is not known`, offset)
  if (of === 'array') c.fail(`metadata ${printable(key)} is an array of arrays, which is not supported`, offset)
  const count = c.count(`the length of the array ${printable(key)}`, budget.elements, elementBytes(of))
  budget.elements -= count
  const type = 'array'
  if (of === 'string') {
    const value: string[] = []
    for (let i = 0; i < count; i++) value.push(c.string(`element ${i} of ${printable(key)}`, ggufLimits.stringBytes))
    return { type, of, value }
  }
  if (of === 'bool') {
    const value: boolean[] = []
    for (let i = 0; i < count; i++) value.push(readBool(c, key))
    return { type, of, value }
  }
  const { buffer } = c.bytes(count * elementBytes(of))
  const Numbers = ggufArrays[of] as new (buffer: ArrayBufferLike) => GgufNumbers
  return { type, of, value: new Numbers(buffer) } as GgufValue
}

/** Bytes that an element takes at least. */
const elementBytes = (of: GgufElementType): number => (of === 'string' ? 8 : of === 'bool' ? 1 : ggufArrays[of].BYTES_PER_ELEMENT)

function alignmentOf(metadata: GgufMetadata): number {
  const key = 'general.alignment'
  const entry = metadata.entries.get(key)!
  if (entry.type !== 'u32') return metadata.refuse(key, `has type ${entry.type}; it must be u32`)
  const { value } = entry
  const { minAlignment, maxAlignment } = ggufLimits
  const ok = value >= minAlignment && value <= maxAlignment && (value & (value - 1)) === 0
  return ok ? value : metadata.refuse(key, `is ${value}; it must be a power of two from ${minAlignment} to ${maxAlignment}`)
}

/** One part of a model in several files must not pass for the whole. */
function refuseSplit(metadata: GgufMetadata, tensors: number): void {
  if (metadata.uint('split.count', 1) > 1) metadata.refuse('split.count', 'says that this is one part of several; join the parts into one file first')
  if (metadata.uint('split.no', 0) > 0) metadata.refuse('split.no', 'says that this is a later part of a model')
  if (metadata.uint('split.tensors.count', tensors) !== tensors) metadata.refuse('split.tensors.count', `does not match the ${tensors} tensors listed`)
}

function readTensorList(c: GgufCursor, count: number): Listed[] {
  const names = new Set<string>()
  const listed: Listed[] = []
  for (let i = 0; i < count; i++) {
    const entry = c.at
    const name = readName(c, `the name of tensor ${i}`, ggufLimits.nameBytes)
    const shown = printable(name)
    if (names.has(name)) c.flag(`the tensor ${shown} stands twice`, entry)
    names.add(name)
    const dimensions = c.u32()
    if (dimensions < 1 || dimensions > ggufLimits.dimensions) c.fail(`tensor ${shown} has ${dimensions} dimensions; 1 to 4 are allowed`, entry)
    const ne: number[] = []
    for (let d = 0; d < dimensions; d++) {
      const n = c.u64()
      if (n === 0n || n > BigInt(Number.MAX_SAFE_INTEGER)) c.flag(`tensor ${shown} has a dimension of ${n}`, c.at - 8)
      else ne.push(Number(n))
    }
    const id = c.u32()
    const type = ggufTypeName(id)
    if (type === undefined) c.flag(`tensor ${shown} has type number ${id}, which Verit does not support`, c.at - 4)
    const size = type !== undefined && ne.length === dimensions ? ggufTensorSize(type, ne) : undefined
    if (typeof size === 'string') c.flag(`tensor ${shown}: ${size}`, entry)
    const relative = c.u64()
    if (typeof size === 'object') listed.push({ name, type: type!, ne, shape: ne.toReversed(), elements: size.elements, byteLength: size.bytes, entry, relative })
  }
  return listed
}

interface Place {
  readonly dataOffset: number
  readonly alignment: number
  /** Of the file. */
  readonly size: number
  /** Whether every tensor has a size: without it, what lies between them is unknown. */
  readonly whole: boolean
}

/** Turns relative offsets into positions. In order of position, each tensor must begin where the one before it ends, padded. */
function place(c: GgufCursor, listed: readonly Listed[], { dataOffset, alignment, size, whole }: Place): GgufTensor[] {
  const inside = listed.filter(t => {
    const shown = printable(t.name)
    if (t.relative % BigInt(alignment) !== 0n) c.flag(`tensor ${shown} has the offset ${t.relative}, not a multiple of ${alignment}`, t.entry)
    const fits = BigInt(dataOffset) + t.relative + BigInt(t.byteLength) <= BigInt(size)
    if (!fits) c.flag(`tensor ${shown} has ${t.byteLength} bytes at offset ${t.relative}, beyond the end of the file at ${size}`, t.entry)
    return fits
  })
  const closed = whole && inside.length === listed.length
  let expected = 0
  for (const t of inside.toSorted((a, b) => Number(a.relative) - Number(b.relative))) {
    const offset = Number(t.relative)
    if (offset < expected) c.flag(`tensor ${printable(t.name)} overlaps another one`, t.entry)
    if (offset > expected && closed) c.flag(`${offset - expected} bytes before tensor ${printable(t.name)} belong to no tensor`, t.entry)
    expected = Math.max(expected, offset + align(t.byteLength, alignment))
  }
  const padded = dataOffset + expected
  if (size > padded && closed) c.flag(`${size - padded} bytes after the last tensor belong to nothing`, padded)
  return inside.map(({ name, type, ne, shape, elements, byteLength, relative }) =>
    ({ name, type, ne, shape, elements, byteLength, offset: dataOffset + Number(relative) }))
}
