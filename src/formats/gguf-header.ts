/**
 * The header of a GGUF file (version 2 or 3, little-endian): counts, metadata, tensor list. `checkGguf` admits or
 * refuses a file in bounded memory; only then the same walk builds structures. Source: ggml's `docs/gguf.md`.
 */
import { endianness } from 'node:os'
import { VeritError, invariant } from '../lib/errors.ts'
import type { ProblemList } from '../lib/problem-list.ts'
import type { ByteSource } from '../lib/regular-file.ts'
import { BIG_ENDIAN, otherKind } from '../lib/other-kind.ts'
import { GgufCursor } from './gguf-cursor.ts'
import { readEntries } from './gguf-entries.ts'
import { ggufLimits } from './gguf-limits.ts'
import type { GgufMetadata } from './gguf-metadata.ts'
import { TensorList, align } from './gguf-tensor-list.ts'
import type { GgufTensor } from './gguf-tensor-list.ts'

export interface GgufHeader {
  readonly version: number
  readonly alignment: number
  readonly metadata: GgufMetadata
  readonly tensors: readonly GgufTensor[]
  /** Where the tensor data begins. */
  readonly dataOffset: number
}

/** Results of checking a file. */
export interface GgufOutline {
  readonly version: number
  readonly alignment: number
  readonly dataOffset: number
  readonly entryCount: number
  /** Where the metadata ends. */
  readonly entriesEnd: number
  readonly list: TensorList
}

/** Bytes of magic, version and counts. */
const PREAMBLE = 24

/**
 * Checks everything about a header, and that the tensors fill the file, without making anything of it: a window of the
 * file and some typed arrays are all the memory it takes.
 * @param found collects every fault after which the bytes can still be followed; default: the first one is thrown
 * @param part whether it may be one part of a model in several files
 * @throws VeritError VERIT_GGUF, VERIT_FILE_IO
 */
export function checkGguf(source: ByteSource, found?: ProblemList, part = false): GgufOutline {
  invariant(endianness() === 'LE', 'Verit runs on little-endian machines only')
  if (source.size > ggufLimits.fileBytes) {
    throw new VeritError('VERIT_GGUF', {
      file: source.name,
      offset: 0,
      problem: `the file claims ${source.size} bytes, more than the limit`
    })
  }
  const c = new GgufCursor(source, found)
  const begins = source.size >= 4 && c.u32() === 0x46554747
  if (!begins) c.fail('it does not begin with GGUF and a header', 0, otherKind(source, 'gguf'))
  if (source.size < PREAMBLE)
    c.fail(
      `it is cut: it does not begin with GGUF and a header of ${PREAMBLE} bytes, but has ${source.size} bytes in all`,
      0
    )
  const version = c.u32()
  if (version !== 0 && (version & 0xffff) === 0) c.fail(BIG_ENDIAN.problem, 4, BIG_ENDIAN)
  if (version !== 2 && version !== 3) c.fail(`the version is ${version}; versions 2 and 3 are supported`, 4)
  const tensorCount = c.count(() => 'the number of tensors', ggufLimits.tensors, 33)
  const entryCount = c.count(() => 'the number of metadata entries', ggufLimits.keyValues, 14)
  const container = readEntries(c, source.name, entryCount, 'container')
  const entriesEnd = c.at
  const alignment = c.attempt(() => alignmentOf(container), 32)
  if (!part) c.attempt(() => refuseSplit(container, tensorCount), undefined)
  const list = new TensorList(c, tensorCount)
  const dataOffset = align(c.at, alignment)
  list.place(c, dataOffset, alignment, source.size)
  return { version, alignment, dataOffset, entryCount, entriesEnd, list }
}

/**
 * Checks a file, then reads its header.
 * @param part whether it may be one part of a model in several files
 * @throws VeritError VERIT_GGUF, VERIT_FILE_IO
 */
export function parseGgufHeader(source: ByteSource, part = false): GgufHeader {
  const { version, alignment, dataOffset, entryCount, entriesEnd, list } = checkGguf(source, undefined, part)
  const c = new GgufCursor(source)
  c.skip(PREAMBLE)
  // the bytes may have changed: they are checked again, and the tensors must still be at the same positions
  const metadata = readEntries(c, source.name, entryCount, 'all')
  if (c.at !== entriesEnd || alignmentOf(metadata) !== alignment) c.fail('the file changed while it was read', PREAMBLE)
  return { version, alignment, dataOffset, metadata, tensors: list.tensors(dataOffset) }
}

function alignmentOf(metadata: GgufMetadata): number {
  const key = 'general.alignment'
  const entry = metadata.entries.get(key)
  if (entry === undefined) return 32
  if (entry.type !== 'u32') return metadata.refuse(key, `has type ${entry.type}; it must be u32`)
  const { value } = entry
  const { minAlignment, maxAlignment } = ggufLimits
  const ok = value >= minAlignment && value <= maxAlignment && (value & (value - 1)) === 0
  return ok
    ? value
    : metadata.refuse(key, `is ${value}; it must be a power of two from ${minAlignment} to ${maxAlignment}`)
}

/** One part of a model in several files must not pass for the whole. */
function refuseSplit(metadata: GgufMetadata, tensors: number): void {
  if (metadata.uint('split.count', 1) > 1)
    metadata.refuse(
      'split.count',
      'says that this is one part of several; join the parts into one file first (verit convert FIRST-PART.gguf ' +
        'WHOLE.gguf)'
    )
  if (metadata.uint('split.no', 0) > 0)
    metadata.refuse(
      'split.no',
      'says that this is a later part of a model; join its parts into one file first (verit convert FIRST-PART.gguf ' +
        'WHOLE.gguf)'
    )
  if (metadata.uint('split.tensors.count', tensors) !== tensors)
    metadata.refuse('split.tensors.count', `does not match the ${tensors} tensors listed`)
}
