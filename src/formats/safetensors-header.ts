/**
 * Checks the header of a safetensors file: u64 length, JSON, then tensor data that the entries must cover exactly,
 * without gap or overlap. Source of the format: huggingface/safetensors, README "Format".
 */
import { endianness } from 'node:os'
import { isUtf8 } from 'node:buffer'
import { VeritError, invariant } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import type { ProblemList } from '../lib/problem-list.ts'
import type { ByteSource } from '../lib/regular-file.ts'
import { otherKind } from '../lib/other-kind.ts'
import { parseHeaderJson } from './safetensors-json.ts'
import type { HeaderValue } from './safetensors-json.ts'

/** Limits of a file. */
export const safetensorsLimits = {
  /** Bytes of the JSON header. */
  headerBytes: 1 << 25,
  tensors: 65_536,
  /** Bytes of a tensor name. */
  nameBytes: 1024,
  dimensions: 8,
  tensorBytes: 2 ** 34,
  fileBytes: 2 ** 40
} as const

/** Bytes an element. */
export const safetensorsDtypes = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1
} as const

export type SafetensorsDtype = keyof typeof safetensorsDtypes

export interface SafetensorsEntry {
  readonly name: string
  readonly dtype: SafetensorsDtype
  /** Row-major; empty for a scalar. */
  readonly shape: readonly number[]
  /** Position of the first byte in the file. */
  readonly offset: number
  readonly byteLength: number
}

export interface SafetensorsHeader {
  /** The `__metadata__` entry; an object without a prototype. */
  readonly metadata: Readonly<Record<string, string>>
  /** By name, in order of position. */
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>
}

type Fail = (problem: string, offset?: number) => never
/** Says that something is wrong, and may come back. */
type Flag = (problem: string, offset?: number) => void

/**
 * @param found collects the faults of single tensors, after which the others can still be checked; default: the first
 * one is thrown
 */
export function parseSafetensorsHeader(source: ByteSource, found?: ProblemList): SafetensorsHeader {
  invariant(endianness() === 'LE', 'Verit runs on little-endian machines only')
  const fail: Fail = (problem, offset = 8) => {
    throw new VeritError('VERIT_SAFETENSORS', { file: source.name, offset, problem })
  }
  if (source.size > safetensorsLimits.fileBytes) fail(`the file claims ${source.size} bytes, more than the limit`, 0)
  const prefix = Buffer.alloc(9)
  // A header begins at byte 8 with a brace; without one, the file may be something else altogether.
  const failBegin: Fail = (problem, offset = 0) => {
    const other = prefix[8] === 0x7b ? undefined : otherKind(source, 'safetensors')
    throw new VeritError('VERIT_SAFETENSORS', { file: source.name, offset, problem, ...other })
  }
  if (source.size < 10) failBegin('the file is too short for a header')
  source.read(0, prefix)
  const claimed = prefix.readBigUInt64LE()
  if (claimed > BigInt(safetensorsLimits.headerBytes))
    failBegin(`the header claims ${claimed} bytes, more than the limit of ${safetensorsLimits.headerBytes}`)
  const length = Number(claimed)
  if (length < 2 || length > source.size - 8)
    failBegin(`the header claims ${length} bytes of the ${source.size - 8} that follow`)
  if (prefix[8] !== 0x7b) failBegin('the header does not begin with {', 8)
  const bytes = Buffer.alloc(length)
  source.read(8, bytes)
  if (!isUtf8(bytes)) fail('the header is not valid UTF-8')
  const text = bytes.toString('utf8')
  const root = parseHeaderJson(text, (problem, index) => fail(problem, 8 + Buffer.byteLength(text.slice(0, index))))
  invariant(root instanceof Map, 'text that begins with { is an object')
  const data = { start: 8 + length, size: source.size }
  if (found === undefined)
    return { metadata: readMetadata(root.get('__metadata__'), fail), tensors: readTensors(root, data, fail, fail) }
  const flag: Flag = (problem, offset = 8) => found.add(problem, offset)
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read()
    } catch (e) {
      if (!VeritError.is(e, 'VERIT_SAFETENSORS')) throw e
      return void flag(e.fields.problem, e.fields.offset)
    }
  }
  return {
    metadata: attempt(() => readMetadata(root.get('__metadata__'), fail)) ?? {},
    tensors: readTensors(root, data, fail, flag, attempt)
  }
}

function readMetadata(entry: HeaderValue | undefined, fail: Fail): Readonly<Record<string, string>> {
  const metadata = Object.create(null) as Record<string, string>
  if (entry === undefined) return metadata
  if (!(entry instanceof Map)) return fail('__metadata__ is not an object')
  for (const [key, value] of entry as Map<string, HeaderValue>) {
    if (typeof value !== 'string') return fail(`__metadata__ ${printable(key, 80)} is not a string`)
    metadata[key] = value
  }
  return metadata
}

function readTensors(
  root: ReadonlyMap<string, HeaderValue>,
  { start, size }: { start: number; size: number },
  fail: Fail,
  flag: Flag,
  attempt: <T>(read: () => T) => T | undefined = read => read()
): ReadonlyMap<string, SafetensorsEntry> {
  if (root.size > safetensorsLimits.tensors + 1)
    fail(`there are ${root.size} entries, more than the limit of ${safetensorsLimits.tensors} tensors`)
  const entries: SafetensorsEntry[] = []
  let whole = true
  for (const [name, value] of root) {
    if (name === '__metadata__') continue
    const entry = attempt(() => readEntry(name, value, start, fail))
    if (entry === undefined) whole = false
    else entries.push(entry)
  }
  // An empty tensor may stand where another one begins; it goes first.
  entries.sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength)
  let expected = start
  for (const t of entries) {
    const shown = printable(t.name, 80)
    if (t.offset < expected) flag(`tensor ${shown} overlaps another one`, t.offset)
    if (t.offset > expected && whole)
      flag(`${t.offset - expected} bytes before tensor ${shown} belong to no tensor`, expected)
    const end = t.offset + t.byteLength
    if (end > size) flag(`tensor ${shown} ends at byte ${end}, beyond the end of the file at ${size}`, t.offset)
    expected = Math.max(expected, Math.min(end, size))
  }
  if (expected !== size && whole) flag(`${size - expected} bytes after the last tensor belong to nothing`, expected)
  return new Map(entries.map(t => [t.name, t]))
}

function readEntry(name: string, value: HeaderValue, start: number, fail: Fail): SafetensorsEntry {
  const tensor = `tensor ${printable(name, 80)}`
  if (name === '' || /\p{Cc}/u.test(name)) fail(`${tensor} has a name that is empty or holds control characters`)
  if (Buffer.byteLength(name) > safetensorsLimits.nameBytes)
    fail(`${tensor} has a name of more than ${safetensorsLimits.nameBytes} bytes`)
  const fields =
    value instanceof Map ? (value as ReadonlyMap<string, HeaderValue>) : fail(`${tensor} is not described by an object`)
  for (const key of fields.keys())
    if (!['dtype', 'shape', 'data_offsets'].includes(key)) fail(`${tensor} has an unknown field ${printable(key, 80)}`)
  const dtype = fields.get('dtype')
  if (typeof dtype !== 'string' || !Object.hasOwn(safetensorsDtypes, dtype)) {
    return fail(
      `${tensor} has the dtype ${typeof dtype === 'string' ? printable(dtype, 20) : 'missing'}, which is not supported`
    )
  }
  const shape = integers(fields.get('shape')) ?? fail(`${tensor} has no shape`)
  if (shape.length > safetensorsLimits.dimensions)
    fail(`${tensor} has ${shape.length} dimensions; at most ${safetensorsLimits.dimensions} are allowed`)
  const offsets = integers(fields.get('data_offsets'))
  if (offsets?.length !== 2) return fail(`${tensor} has no data_offsets`)
  const [begin, end] = offsets as [number, number]
  const byteLength = safetensorsBytes(dtype as SafetensorsDtype, shape)
  if (byteLength === undefined)
    return fail(
      `${tensor} has the shape [${shape.join(', ')}], more than the ${safetensorsLimits.tensorBytes} bytes allowed`
    )
  if (end - begin !== byteLength)
    fail(`${tensor} has the offsets ${begin} to ${end}, but its shape needs ${byteLength} bytes`)
  return { name, dtype: dtype as SafetensorsDtype, shape, offset: start + begin, byteLength }
}

function integers(value: HeaderValue | undefined): number[] | undefined {
  return Array.isArray(value) && value.every(n => typeof n === 'number') ? value : undefined
}

/** Bytes of a tensor, or undefined when they exceed the limit. Dimensions are non-negative safe integers. */
export function safetensorsBytes(dtype: SafetensorsDtype, shape: readonly number[]): number | undefined {
  let bytes: number = safetensorsDtypes[dtype]
  if (shape.includes(0)) return 0
  for (const n of shape) {
    if (n > safetensorsLimits.tensorBytes / bytes) return undefined
    bytes *= n
  }
  return bytes
}
