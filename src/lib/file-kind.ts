/**
 * Identifies a file by its content: texts, models, archives and others. This is the only place that does so. It refuses
 * nothing: readers of texts (data/input-kind.ts) and of models decide, and name the next step for their purpose.
 */
import { signatureOf } from './file-signatures.ts'
import type { FileGroup } from './file-signatures.ts'
import type { ByteSource } from './regular-file.ts'
import { shellPath } from './shell-word.ts'
import { encodingOf } from './text-encoding.ts'
import type { TextEncodingName } from './text-encoding.ts'
import { promisedBy, textKindOf } from './text-kind.ts'

export type { FileGroup } from './file-signatures.ts'

/** Number of bytes inspected at the beginning of a file. */
export const HEAD_BYTES = 1 << 16

export interface FileKind {
  /** Stable name, such as 'gzip', 'jsonl', 'utf-16le', 'gguf'; 'text' is plain text in UTF-8. */
  readonly kind: string
  readonly group: FileGroup
  /** With its article, for messages: 'a gzip file', 'text in UTF-16 (little-endian)'. */
  readonly what: string
  /** For plain text: the format that the name promises instead, such as 'JSON Lines'. */
  readonly promised?: string
}

const ENCODINGS: Readonly<Record<Exclude<TextEncodingName, 'utf-8' | 'binary'>, string>> = {
  'utf-8-damaged': 'text in UTF-8 with invalid bytes',
  'utf-16le': 'text in UTF-16 (little-endian)',
  'utf-16be': 'text in UTF-16 (big-endian)',
  'utf-32le': 'text in UTF-32 (little-endian)',
  'utf-32be': 'text in UTF-32 (big-endian)',
  'windows-1252': 'text in an 8-bit encoding, probably Windows-1252',
  'iso-8859-1': 'text in an 8-bit encoding, probably Latin-1 (ISO-8859-1)',
  other: 'text in another encoding than UTF-8'
}

const ofEncoding = (kind: keyof typeof ENCODINGS): FileKind => ({ kind, group: 'encoding', what: ENCODINGS[kind] })

/**
 * @param head the first HEAD_BYTES bytes of the file, or all of a shorter one
 * @param size of the file, in bytes
 * @param name of the file: its ending confirms CSV and HTML, and may contradict the content. Default: none.
 */
export function kindOfBytes(head: Uint8Array, size: number, name = ''): FileKind {
  if (size === 0) return { kind: 'empty', group: 'empty', what: 'an empty file' }
  const whole = size <= head.length
  const signature = signatureOf(head)
  if (signature !== undefined) return { kind: signature.kind, group: signature.group, what: signature.what }
  const encoding = encodingOf(head, whole)
  if (encoding === 'binary') return { kind: 'binary', group: 'binary', what: 'binary data' }
  if (encoding !== 'utf-8' && encoding !== 'utf-8-damaged') return ofEncoding(encoding)
  const text = textKindOf(Buffer.from(head).toString('utf8'), whole, name)
  if (text !== undefined) return text
  if (encoding === 'utf-8-damaged') return ofEncoding(encoding)
  const promised = promisedBy(name)
  return { kind: 'text', group: 'text', what: 'plain text', ...(promised !== undefined && { promised }) }
}

/** The kind of an open file, which has the name `file.name`. @throws VeritError VERIT_FILE_IO */
export function kindOfFile(file: ByteSource): FileKind {
  const head = Buffer.alloc(Math.min(HEAD_BYTES, file.size))
  file.read(0, head)
  return kindOfBytes(head, file.size, file.name)
}

type Table = Readonly<Record<string, string>>

const UNPACK: Table = {
  gzip: 'gunzip -c',
  compress: 'uncompress -c',
  bzip2: 'bunzip2 -c',
  xz: 'unxz -c',
  lzma: 'unlzma -c',
  zstd: 'zstd -dc',
  lz4: 'lz4 -dc'
}
const EXTRACT: Table = { zip: 'unzip', '7z': '7z x', rar: 'unrar x', tar: 'tar xf' }
const ICONV: Table = {
  'utf-16le': 'UTF-16LE',
  'utf-16be': 'UTF-16BE',
  'utf-32le': 'UTF-32LE',
  'utf-32be': 'UTF-32BE',
  'windows-1252': 'WINDOWS-1252',
  'iso-8859-1': 'ISO-8859-1'
}
const READ_ERROR = 'Read the message: the address may be wrong, or a token missing. Then download the file again'
const FETCH: Table = {
  'lfs-pointer': 'Fetch the file itself: run git lfs pull in its repository',
  'annex-pointer': 'Fetch the file itself: run git annex get in its repository',
  'hub-page': 'Download the file itself: its address has /resolve/ or /raw/ where that of the page has /blob/',
  'json-error': READ_ERROR,
  'plain-error': READ_ERROR
}

/**
 * The step that gives the wanted file whatever it is wanted for: unpack it, convert its encoding, fetch it. Commands in
 * it can be pasted. A sentence without its full stop; undefined where the step depends on the purpose.
 */
export function nextStepOf({ kind }: Pick<FileKind, 'kind'>, path: string): string | undefined {
  if (kind in EXTRACT) return `Unpack it first: ${EXTRACT[kind]} ${shellPath(path)}`
  if (kind in UNPACK) return `Unpack it first: ${UNPACK[kind]} ${shellPath(path)} > ${shellPath(unpackedName(path))}`
  if (kind === 'other') return `Find out its encoding and convert it: ${iconv('ENCODING', path)}`
  return kind in ICONV ? `Convert it first: ${iconv(ICONV[kind]!, path)}` : FETCH[kind]
}

function unpackedName(path: string): string {
  if (/\.tgz$/i.test(path)) return path.replace(/\.tgz$/i, '.tar')
  const plain = path.replace(/\.(gz|z|bz2|xz|lzma|zst|lz4)$/i, '')
  return plain === path ? `${path}.unpacked` : plain
}

/** The result is beside the original: notes.txt becomes notes.utf8.txt. */
function iconv(encoding: string, path: string): string {
  const ending = extnameOf(path)
  const out = `${path.slice(0, path.length - ending.length)}.utf8${ending}`
  return `iconv -f ${encoding} -t UTF-8 ${shellPath(path)} > ${shellPath(out)}`
}

const extnameOf = (path: string): string => /[^/](\.[^./]*)$/.exec(path)?.[1] ?? ''
