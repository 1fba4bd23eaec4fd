/**
 * Reads a SentencePiece `.model` file: a ModelProto of sentencepiece_model.proto (google/sentencepiece 0.2). Every
 * length is checked against the remaining bytes. Unsupported behaviour is refused: models other than BPE, and rules
 * that rewrite text before it is cut.
 */
import { isUtf8 } from 'node:buffer'
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import type { ProblemList } from '../lib/problem-list.ts'
import type { ByteSource } from '../lib/regular-file.ts'
import { CONTROL, NORMAL } from './parts.ts'
import { ProtobufReader } from './protobuf-reader.ts'
import type { Field } from './protobuf-reader.ts'
import { sentencePieceLimits as limits } from './sentencepiece-limits.ts'
import { partsFaults, UNKNOWN } from './sentencepiece-parts.ts'
import type { SentencePieceParts } from './sentencepiece-parts.ts'

/** TrainerSpec.ModelType. */
const MODEL_TYPES: Readonly<Record<number, string>> = { 1: 'unigram', 2: 'bpe', 3: 'word', 4: 'char' }
/** `unk_surface` of a file that names none. */
const SURFACE = ' \u2047 '

export interface SentencePieceModel {
  readonly parts: SentencePieceParts
  /** Name of the normalization rules: `identity`, or empty. */
  readonly normalizer: string
}

/** Fields of `trainer_spec`, with the defaults of the format. */
interface Trainer {
  type: number
  byteFallback: boolean
  spaceAfter: boolean
  surface: string
  /** By role: the id, where the file names one, and the name. */
  ids: Map<string, { id: number; offset: number }>
  names: Map<string, string>
}

interface Normalizer {
  name: string
  rules: number
  addDummyPrefix: boolean
  removeExtraWhitespaces: boolean
  escapeWhitespaces: boolean
}

const ROLES = ['unk', 'bos', 'eos', 'pad'] as const
const FIRST_ID = 40
const FIRST_NAME = 45
const NAMES: Readonly<Record<string, string>> = { unk: '<unk>', bos: '<s>', eos: '</s>', pad: '<pad>' }

class ModelReader {
  readonly pieces: string[] = []
  readonly scores: number[] = []
  readonly types: number[] = []
  /** Where each piece stands. */
  readonly offsets: number[] = []
  readonly trainer: Trainer = {
    type: 1,
    byteFallback: false,
    spaceAfter: false,
    surface: SURFACE,
    ids: new Map(),
    names: new Map()
  }
  readonly normalizer: Normalizer = {
    name: '',
    rules: 0,
    addDummyPrefix: true,
    removeExtraWhitespaces: true,
    escapeWhitespaces: true
  }
  denormalizerRules = 0
  /** Where the settings begin: of `trainer_spec`, `normalizer_spec` and `denormalizer_spec`, by field. */
  readonly places = new Map<number, number>()
  readonly #file: string
  readonly #found: ProblemList | undefined
  #fieldCount = 0

  constructor(file: string, found: ProblemList | undefined) {
    this.#file = file
    this.#found = found
  }

  readonly refuse = (problem: string, offset: number): never => {
    throw new VeritError('VERIT_SENTENCEPIECE', { file: this.#file, offset, problem })
  }

  /** A fault after which reading can go on. */
  flag(problem: string, offset: number): void {
    if (this.#found === undefined) this.refuse(problem, offset)
    else this.#found.add(problem, offset)
  }

  read(bytes: Buffer): void {
    const reader = new ProtobufReader(bytes, this.refuse)
    const settings =
      (read: (message: ProtobufReader) => void) =>
      (field: Field): void => {
        this.places.set(field.number, field.offset)
        read(reader.message(field))
      }
    this.#fields(
      reader,
      {
        1: field => this.#piece(reader.message(field), field.offset),
        2: settings(message => this.#trainer(message)),
        3: settings(message => this.#normalizer(message)),
        5: settings(message => this.#denormalizer(message))
      },
      1
    )
  }

  /**
   * Walks a message and passes over the fields that mean nothing here. One that means something and appears twice is a
   * fault, but for `repeated`: programs could differ about which one counts.
   */
  #fields(reader: ProtobufReader, take: Readonly<Record<number, (field: Field) => void>>, repeated?: number): void {
    const seen = new Set<number>()
    for (let field = reader.next(); field !== undefined; field = reader.next()) {
      const { number, offset } = field
      if (++this.#fieldCount > limits.fields)
        this.refuse(`it has more fields than the limit of ${limits.fields}`, offset)
      const known = take[number]
      if (known === undefined) reader.skip(field)
      else {
        if (number !== repeated && seen.has(number)) this.flag(`field ${number} appears twice in one message`, offset)
        seen.add(number)
        known(field)
      }
    }
  }

  #text(reader: ProtobufReader, field: Field, what: string, limit: number): string {
    const bytes = reader.bytes(field, limit)
    if (!isUtf8(bytes)) this.flag(`${what} is not valid UTF-8`, field.offset)
    return bytes.toString('utf8')
  }

  #piece(reader: ProtobufReader, offset: number): void {
    if (this.pieces.length === limits.pieces)
      this.refuse(`it has more pieces than the limit of ${limits.pieces}`, offset)
    let piece = ''
    let score = 0
    let type: number = NORMAL
    this.#fields(reader, {
      1: field => void (piece = this.#text(reader, field, `piece ${this.pieces.length}`, 3 * limits.pieceUnits)),
      2: field => void (score = reader.float(field)),
      3: field => void (type = reader.int32(field))
    })
    this.pieces.push(piece)
    this.scores.push(score)
    this.types.push(type)
    this.offsets.push(offset)
  }

  #trainer(reader: ProtobufReader): void {
    const { trainer } = this
    const roles = ROLES.flatMap((role, i): [number, (field: Field) => void][] => [
      [FIRST_ID + i, field => void trainer.ids.set(role, { id: reader.int32(field), offset: field.offset })],
      [
        FIRST_NAME + i,
        field =>
          void trainer.names.set(role, this.#text(reader, field, `the name of its ${role} piece`, limits.nameBytes))
      ]
    ])
    this.#fields(reader, {
      3: field => void (trainer.type = reader.int32(field)),
      24: field => void (trainer.spaceAfter = reader.bool(field)),
      35: field => void (trainer.byteFallback = reader.bool(field)),
      44: field => void (trainer.surface = this.#text(reader, field, 'the text of an unknown piece', limits.nameBytes)),
      ...Object.fromEntries(roles)
    })
  }

  #normalizer(reader: ProtobufReader): void {
    const { normalizer } = this
    this.#fields(reader, {
      1: field => void (normalizer.name = this.#text(reader, field, 'the name of its normalizer', limits.nameBytes)),
      2: field => void (normalizer.rules = reader.bytes(field, limits.fileBytes).length),
      3: field => void (normalizer.addDummyPrefix = reader.bool(field)),
      4: field => void (normalizer.removeExtraWhitespaces = reader.bool(field)),
      5: field => void (normalizer.escapeWhitespaces = reader.bool(field))
    })
  }

  #denormalizer(reader: ProtobufReader): void {
    this.#fields(reader, { 2: field => void (this.denormalizerRules = reader.bytes(field, limits.fileBytes).length) })
  }

  /** Settings that Verit does not support. */
  checkSettings(): void {
    const { trainer, normalizer, places } = this
    const trained = places.get(2) ?? 0
    if (trainer.type !== 2) {
      this.flag(
        `its model type is ${MODEL_TYPES[trainer.type] ?? trainer.type}, which Verit does not encode; it encodes bpe`,
        trained
      )
    }
    if (trainer.spaceAfter) this.flag('it puts spaces after words, not before them, which Verit does not do', trained)
    if (normalizer.rules > 0) {
      this.flag(
        `its normalizer (${printable(normalizer.name, 40)}) rewrites text by ${normalizer.rules} bytes of rules, ` +
          'which Verit does not do; identity has none',
        places.get(3)!
      )
    }
    if (this.denormalizerRules > 0)
      this.flag(
        `it rewrites decoded text by ${this.denormalizerRules} bytes of rules, which Verit does not do`,
        places.get(5)!
      )
  }

  /**
   * The id of a role: the unknown piece by its type, the others by name, as SentencePiece finds them. A different id in
   * the settings is a problem.
   */
  role(role: (typeof ROLES)[number]): number | undefined {
    const name = this.trainer.names.get(role) ?? NAMES[role]!
    const id = role === 'unk' ? this.types.indexOf(UNKNOWN) : this.pieces.indexOf(name)
    const found = id >= 0 && (role === 'unk' || this.types[id] === CONTROL) ? id : undefined
    const given = this.trainer.ids.get(role)
    if (given !== undefined && (given.id < -1 || given.id >= this.pieces.length)) {
      this.flag(`its ${role} id is ${given.id}, which is not one of the ${this.pieces.length} pieces`, given.offset)
    } else if (given !== undefined && given.id >= 0 && given.id !== found) {
      this.flag(
        `its ${role} id is ${given.id}, where ` +
          `${found === undefined ? 'no piece has that role' : `piece ${found} has that role`}`,
        given.offset
      )
    }
    return found
  }
}

/**
 * Reads and checks a `.model` file. `new SentencePieceTokenizer(model.parts)` makes it a tokenizer.
 * @param found collects every fault after which the bytes can still be followed; default: the first one is thrown
 * @throws VeritError VERIT_SENTENCEPIECE with the byte
 */
export function readSentencePieceModel(source: ByteSource, found?: ProblemList): SentencePieceModel {
  const reader = new ModelReader(source.name, found)
  if (source.size > limits.fileBytes)
    reader.refuse(`it has ${source.size} bytes, more than the limit of ${limits.fileBytes}`, 0)
  const bytes = Buffer.alloc(source.size)
  source.read(0, bytes)
  reader.read(bytes)
  reader.checkSettings()
  const { pieces, scores, types, trainer, normalizer } = reader
  const unknowns = types.filter(t => t === UNKNOWN).length
  if (pieces.length > 0 && unknowns !== 1) reader.flag(`it has ${unknowns} unknown pieces, where one is expected`, 0)
  reader.role('pad')
  const parts: SentencePieceParts = {
    pieces,
    scores,
    types,
    byteFallback: trainer.byteFallback,
    addDummyPrefix: normalizer.addDummyPrefix,
    removeExtraWhitespaces: normalizer.removeExtraWhitespaces,
    escapeWhitespaces: normalizer.escapeWhitespaces,
    unknown: reader.role('unk'),
    unknownSurface: trainer.surface,
    beginOfText: reader.role('bos'),
    endOfText: reader.role('eos'),
    addsBegin: false
  }
  for (const { problem, piece } of partsFaults(parts))
    reader.flag(problem, piece === undefined ? 0 : reader.offsets[piece]!)
  return { parts, normalizer: normalizer.name }
}
