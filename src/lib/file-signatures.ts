/** The file formats that fixed bytes identify, in the order they are tried. Formats of text are in text-kind.ts. */

/** Broad groups of files, by the way a reader of texts or models handles them. */
export type FileGroup =
  /** Plain text in UTF-8. */
  | 'text'
  | 'empty'
  /** Text in fields: JSON, JSON Lines, CSV. */
  | 'records'
  /** Text among tags or commands: HTML, XML, RTF. */
  | 'markup'
  /** Text in another encoding than UTF-8. */
  | 'encoding'
  /** Compressed files and archives. */
  | 'packed'
  /** Tables in binary form. */
  | 'table'
  /** PDF, office documents, e-books. */
  | 'document'
  /** Models, weights, tokenizers. */
  | 'model'
  /** Pictures, sound, film. */
  | 'media'
  /** Content that is often saved by mistake under the name of a file: a pointer, a web page, an error message. */
  | 'stand-in'
  | 'program'
  | 'binary'

export interface Signature {
  /** Stable name, for programs. */
  readonly kind: string
  readonly group: FileGroup
  /** With its article, for messages. */
  readonly what: string
  /** The bytes, as Latin-1, and their position. */
  readonly bytes: string
  readonly at: number
  /** Further evidence, where the bytes are few or could begin a text. */
  readonly also: (head: Uint8Array) => boolean
}

type Evidence = (head: Uint8Array) => boolean
type Row = readonly [kind: string, group: FileGroup, what: string, bytes: string, at?: number, also?: Evidence]

const latin1 = (b: Uint8Array, from: number, to: number): string => Buffer.from(b.subarray(from, to)).toString('latin1')

/** Bytes that no text has, near the start. Guards names that a text about the format could begin with. */
const noText: Evidence = head => head.subarray(0, 512).some(byte => byte < 8)

const riff: Evidence = head => latin1(head, 0, 4) === 'RIFF'

/** The name of the first file of a ZIP archive, and its first bytes if it is stored uncompressed. */
const firstZipped =
  (pattern: RegExp): Evidence =>
  head =>
    pattern.test(latin1(head, 30, 200))

/** A u64 length, then the JSON header (github.com/huggingface/safetensors). A length above 2^48 is text. */
const safetensors: Evidence = head => head[7] === 0 && head[6] === 0 && [0x20, 0x22, 0x7d].includes(head[9]!)

/** ONNX (onnx.proto): field 1 is the version; field 2, the name of the writer, or field 7, the graph, follows. */
const onnx: Evidence = head => {
  if (head[1]! === 0 || head[1]! >= 32) return false
  const writer = head[2] === 0x12 && /^[\w .-]+$/.test(latin1(head, 4, 4 + head[3]!))
  return writer || (head[2] === 0x3a && noText(head))
}

/** SentencePiece (sentencepiece_model.proto): field 1 is a piece: its text (field 1), then its score or type. */
const sentencePiece: Evidence = head => {
  const long = head[1]! >= 0x80 ? 1 : 0
  const message = (head[1]! % 0x80) + 0x80 * (long === 1 ? head[2]! : 0)
  const piece = head.subarray(2 + long)
  const length = piece[1]!
  const fits = piece[0] === 0x0a && length > 0 && length + 2 <= message
  return fits && (piece[2 + length] === 0x15 || piece[2 + length] === 0x18)
}

const ZIP = 'PK\x03\x04'

const rows: readonly Row[] = [
  ['gguf', 'model', 'a GGUF model', 'GGUF', 0, noText],
  ['gguf', 'model', 'a big-endian GGUF model', 'FUGG', 0, noText],
  ...['lmgg', 'fmgg', 'tjgg', 'algg'].map((magic): Row => [
    'ggml',
    'model',
    'a GGML model, the format before GGUF',
    magic,
    0,
    noText
  ]),
  ['safetensors', 'model', 'a safetensors file', '{', 8, safetensors],
  ['verit-tokens', 'table', 'a token shard of a dataset', 'VERITTOK', 0, noText],
  ['pytorch', 'model', 'a PyTorch checkpoint', ZIP, 0, firstZipped(/^[^\0]{0,99}?\/?(data\.pkl|byteorder|\.data\/)/)],
  ['pytorch', 'model', 'a PyTorch checkpoint', '\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.'],
  ['numpy', 'table', 'a NumPy archive', ZIP, 0, firstZipped(/^[^\0/]{1,100}\.npy/)],
  ['office', 'document', 'an Office document', ZIP, 0, firstZipped(/^(\[Content_Types\]\.xml|_rels\/|docProps\/)/)],
  ['office', 'document', 'an Office document', ZIP, 0, firstZipped(/^(word|xl|ppt)\//)],
  ['epub', 'document', 'an e-book (EPUB)', ZIP, 0, firstZipped(/^mimetypeapplication\/epub/)],
  ['opendocument', 'document', 'an OpenDocument file', ZIP, 0, firstZipped(/^mimetypeapplication\/vnd\.oasis/)],
  ['zip', 'packed', 'a ZIP archive', ZIP],
  ['zip', 'packed', 'an empty ZIP archive', 'PK\x05\x06'],
  ['zip', 'packed', 'a part of a ZIP archive', 'PK\x07\x08'],
  ['gzip', 'packed', 'a gzip file', '\x1f\x8b'],
  ['compress', 'packed', 'a compress (.Z) file', '\x1f\x9d'],
  ['bzip2', 'packed', 'a bzip2 file', 'BZh', 0, head => ['1AY&SY', '\x17rE8P\x90'].includes(latin1(head, 4, 10))],
  ['xz', 'packed', 'an xz file', '\xfd7zXZ\x00'],
  ['lzma', 'packed', 'an LZMA file', '\x5d\x00\x00', 0, head => head[12] === 0 || head[12] === 0xff],
  ['zstd', 'packed', 'a Zstandard file', '\x28\xb5\x2f\xfd'],
  ['zstd', 'packed', 'a Zstandard file', '\x2a\x4d\x18', 1, head => head[0]! >= 0x50 && head[0]! <= 0x5f],
  ['lz4', 'packed', 'an LZ4 file', '\x04\x22\x4d\x18'],
  ['7z', 'packed', 'a 7z archive', '7z\xbc\xaf\x27\x1c'],
  ['rar', 'packed', 'a RAR archive', 'Rar!\x1a\x07'],
  ['tar', 'packed', 'a tar archive', 'ustar', 257, noText],
  ['parquet', 'table', 'a Parquet file', 'PAR1', 0, noText],
  ['parquet', 'table', 'an encrypted Parquet file', 'PARE', 0, noText],
  ['arrow', 'table', 'an Arrow file', 'ARROW1\x00\x00'],
  ['arrow', 'table', 'an Arrow stream', '\xff\xff\xff\xff', 0, head => head[6] === 0 && head[8] === 0x10],
  ['feather', 'table', 'a Feather file', 'FEA1', 0, noText],
  ['avro', 'table', 'an Avro file', 'Obj\x01'],
  ['orc', 'table', 'an ORC file', 'ORC', 0, head => head[3]! < 0x20 || head[3]! > 0x7e],
  ['numpy', 'table', 'a NumPy array', '\x93NUMPY'],
  ['hdf5', 'table', 'an HDF5 file', '\x89HDF\x0d\x0a\x1a\x0a'],
  ['sqlite', 'table', 'an SQLite database', 'SQLite format 3\x00'],
  ['onnx', 'model', 'an ONNX model', '\x08', 0, onnx],
  ['sentencepiece', 'model', 'a SentencePiece model', '\x0a', 0, sentencePiece],
  ['tensorflow-lite', 'model', 'a TensorFlow Lite model', 'TFL3', 4, noText],
  ['pickle', 'model', 'a Python pickle (it can run code)', '\x80', 0, head => head[1]! >= 2 && head[1]! <= 5],
  ['pdf', 'document', 'a PDF document', '%PDF-'],
  ['postscript', 'document', 'a PostScript document', '%!PS-'],
  ['office', 'document', 'an Office document in the old binary form', '\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1'],
  ['djvu', 'document', 'a DjVu document', 'AT&TFORM'],
  ['mobi', 'document', 'an e-book (Mobipocket)', 'BOOKMOBI', 60, noText],
  ['png', 'media', 'a PNG image', '\x89PNG\x0d\x0a\x1a\x0a'],
  ['jpeg', 'media', 'a JPEG image', '\xff\xd8\xff'],
  ['gif', 'media', 'a GIF image', 'GIF8', 0, noText],
  ['tiff', 'media', 'a TIFF image', 'II*\x00'],
  ['tiff', 'media', 'a TIFF image', 'MM\x00*'],
  ['bmp', 'media', 'a BMP image', 'BM', 0, head => latin1(head, 6, 10) === '\0\0\0\0'],
  ['webp', 'media', 'a WebP image', 'WEBP', 8, riff],
  ['wav', 'media', 'a WAV recording', 'WAVE', 8, riff],
  ['avi', 'media', 'an AVI film', 'AVI ', 8, riff],
  ['ogg', 'media', 'an Ogg recording', 'OggS\x00'],
  ['flac', 'media', 'a FLAC recording', 'fLaC\x00'],
  ['mp3', 'media', 'an MP3 recording', 'ID3', 0, head => head[3]! < 16],
  ['mp4', 'media', 'an MP4 film or recording', 'ftyp', 4, head => head[0] === 0],
  ['matroska', 'media', 'a Matroska or WebM film', '\x1a\x45\xdf\xa3'],
  ['elf', 'program', 'a program (ELF)', '\x7fELF'],
  ['pe', 'program', 'a Windows program', 'MZ', 0, noText],
  ...['\xfe\xed\xfa\xce', '\xfe\xed\xfa\xcf', '\xce\xfa\xed\xfe', '\xcf\xfa\xed\xfe'].map((magic): Row => [
    'mach-o',
    'program',
    'a macOS program',
    magic
  ]),
  ['java', 'program', 'a Java class or universal macOS program', '\xca\xfe\xba\xbe'],
  ['wasm', 'program', 'a WebAssembly module', '\x00asm'],
  ['python-bytecode', 'program', 'compiled Python', '\x0d\x0d\x0a', 1, noText],
  ['appledouble', 'binary', 'an AppleDouble file, which macOS makes', '\x00\x05\x16\x07'],
  ['ds-store', 'binary', 'a .DS_Store file, which macOS makes', 'Bud1', 4, noText]
]

const signatures = rows.map(([kind, group, what, bytes, at = 0, also = () => true]): Signature => ({
  kind,
  group,
  what,
  bytes,
  at,
  also
}))

/** The first row that fits. @param head the first 512 bytes or more, or the whole file */
export function signatureOf(head: Uint8Array): Signature | undefined {
  const start = latin1(head, 0, 512)
  return signatures.find(s => start.startsWith(s.bytes, s.at) && s.also(head))
}
