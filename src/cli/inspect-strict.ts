/** `verit inspect --strict`: every problem of a model file or tokenizer, or its digest if there is none. */
import { isUtf8 } from 'node:buffer'
import { ChatTemplate } from '../engine/chat-template.ts'
import { parseSafetensorsHeader } from '../formats/safetensors-header.ts'
import { VeritError } from '../lib/errors.ts'
import { ProblemList } from '../lib/problem-list.ts'
import { printable, printableJson } from '../lib/printable.ts'
import { Progress, formatBytes } from '../lib/progress.ts'
import type { RegularFile } from '../lib/regular-file.ts'
import { examineGguf } from '../model/examine-gguf.ts'
import { MAX_JSON, partsFromJson } from '../tokenizer/json.ts'
import { checkParts } from '../tokenizer/parts.ts'
import { readSentencePieceModel } from '../tokenizer/sentencepiece-model.ts'
import { SentencePieceTokenizer } from '../tokenizer/sentencepiece.ts'
import { Tokenizer } from '../tokenizer/tokenizer.ts'
import { digestDescriptor } from '../trust/digest.ts'
import { checkInspectable, formatName, formatOf } from './file-format.ts'
import type { FileFormat } from './file-format.ts'

/** Prints the verdict; true when the file is good. The digest is that of the bytes that were examined. */
export async function inspectStrictly(source: RegularFile, json: boolean): Promise<boolean> {
  const format = formatOf(source)
  const found = new ProblemList()
  checkInspectable(source, format)
  const reading = new Progress({ label: 'check', total: source.size, format: formatBytes })
  if (format === 'gguf') await examineModel(source, found, done => reading.update(done))
  else if (format === 'safetensors') await found.attempt(() => parseSafetensorsHeader(source, found), placed)
  else if (format === 'SentencePiece model') await found.attempt(() => examineSentencePiece(source, found), placed)
  else await found.attempt(() => examineTokenizer(source, found), placed)
  reading.clear()
  const hashing = new Progress({ label: 'hash', total: source.size, format: formatBytes })
  const sha256 =
    source.size > HASHED
      ? undefined
      : await digestDescriptor(source.fd, source.name, { onProgress: done => hashing.update(done) })
  hashing.clear()
  source.checkUnchanged()
  const { shown, more } = found
  const good = found.none
  const digest = sha256 === undefined ? {} : { sha256 }
  process.stdout.write(
    json
      ? `${printableJson({ file: source.name, format, good, ...digest, problems: shown, more })}\n`
      : good
        ? `${printable(source.name)}: good ${formatName(format)}\n${sha256}\n`
        : listed(source.name, format, found)
  )
  return good
}

/** A file beyond the limit of every format is refused unread, and not hashed: it may be holes of an exabyte. */
const HASHED = 2 ** 40

const placed = (e: VeritError): { problem: string; offset?: number } => {
  const { problem, offset } = e.fields as { problem?: string; offset?: number }
  return { problem: problem ?? e.what, ...(offset !== undefined && { offset }) }
}

/** A GGUF file, its chat template too. */
export async function examineModel(
  source: RegularFile,
  found: ProblemList,
  onProgress: (bytes: number) => void
): Promise<void> {
  const file = await examineGguf(source, found, onProgress)
  const key = 'tokenizer.chat_template'
  if (file?.metadata.has(key) !== true) return
  const messages = [{ role: 'user', content: 'Hello' }]
  await found.attempt(
    () =>
      new ChatTemplate(file.metadata.string(key)).render({
        messages,
        bos_token: '',
        eos_token: '',
        add_generation_prompt: true
      }),
    placed
  )
}

function examineTokenizer(source: RegularFile, found: ProblemList): void {
  const refuse = (problem: string): never => {
    throw new VeritError('VERIT_TOKENIZER_FILE', { source: source.name, problem })
  }
  if (source.size > MAX_JSON) refuse(`it has ${source.size} bytes, more than the limit of ${MAX_JSON}`)
  const bytes = Buffer.alloc(source.size)
  source.read(0, bytes)
  if (!isUtf8(bytes)) refuse('it is not UTF-8')
  const parts = partsFromJson(bytes.toString('utf8'), source.name, found)
  if (!found.none) return // tokens and merges are judged by a form that holds
  void checkParts(parts, source.name, found)
  if (found.none) void Tokenizer.fromParts(parts, source.name)
}

/** Valid pieces always make a tokenizer; this verifies it. */
function examineSentencePiece(source: RegularFile, found: ProblemList): void {
  const { parts } = readSentencePieceModel(source, found)
  if (found.none) void new SentencePieceTokenizer(parts, source.name)
}

function listed(name: string, format: FileFormat, { shown, more }: ProblemList): string {
  const count = shown.length + more
  const lines = shown.map(p => `  ${p.offset === undefined ? '' : `at byte ${p.offset}: `}${p.problem}\n`)
  return (
    `${printable(name)}: ${count} problem${count === 1 ? '' : 's'} ` +
    `(${formatName(format)})\n${lines.join('')}${more > 0 ? `  and ${more} more\n` : ''}`
  )
}
