/**
 * `verit inspect`: content of a GGUF, safetensors or SentencePiece file, without loading it. All text from the file is
 * escaped.
 */
import { Command } from 'commander'
import { ChatFormat } from '../engine/chat-format.ts'
import { chatWarnings } from '../engine/check-chat.ts'
import { memoryNeeded } from '../engine/memory-needed.ts'
import type { MemoryNeeded } from '../engine/memory-needed.ts'
import { GgufFile } from '../formats/gguf-reader.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { SafetensorsFile } from '../formats/safetensors.ts'
import { safetensorsDtypes } from '../formats/safetensors-header.ts'
import { VeritError } from '../lib/errors.ts'
import { shortestFloat } from '../lib/float.ts'
import { printable, printableJson } from '../lib/printable.ts'
import { Progress, formatBytes } from '../lib/progress.ts'
import type { ByteSource } from '../lib/regular-file.ts'
import { veritCommand } from '../lib/shell-word.ts'
import { resolveConversation } from '../model/conversation.ts'
import type { Conversation } from '../model/conversation.ts'
import { ggufClaims } from '../model/gguf-conversation.ts'
import { readTokenizer } from '../model/gguf-tokenizer.ts'
import { digestDescriptor } from '../trust/digest.ts'
import type { Digest } from '../trust/digest.ts'
import { columns } from './columns.ts'
import { conversationJson, conversationLines } from './conversation-text.ts'
import { checkInspectable, checkTokenizerKind, formatOf } from './file-format.ts'
import { sentencePieceEntries } from './inspect-sentencepiece.ts'
import { inspectOther, otherText } from './inspect-other.ts'
import { inspectStrictly } from './inspect-strict.ts'
import { openModelFile } from './open-model-file.ts'

interface Report {
  file: string
  format: 'gguf' | 'safetensors' | 'SentencePiece model'
  bytes: number
  sha256: Digest
  version?: number
  alignment?: number
  metadata: { key: string; type: string; value: unknown; length?: number }[]
  tensors: { name: string; type: string; shape: readonly number[]; offset: number; bytes: number }[]
  /** Chat template and end tokens; absent where the tokenizer cannot be read. */
  conversation?: Conversation
  /** Elements of all tensors as stored: in a safetensors file with packed weights, fewer than the model has. */
  parameters: number
  /** Memory for serving a GGUF model that Verit runs, in bytes. */
  memory?: MemoryNeeded
  /** Why Verit does not run a GGUF file. */
  notRun?: string
}

const SHOWN = 8

export function command(): Command {
  return new Command('inspect')
    .summary('show what a model file or folder is, and its problems')
    .description(
      'Show metadata, tensors, size and SHA-256 of a GGUF or safetensors file, or settings and pieces of a ' +
        'SentencePiece model. For GGUF also: chat template, begin and end tokens with their keys, warnings, and ' +
        'the memory to serve it. Of folders and PyTorch checkpoints: what they are, and the command to run them. ' +
        'Checks the whole structure; loads no weights.'
    )
    .argument(
      '<file>',
      'a .gguf, .safetensors, .pt or .model file, a folder, the name of a pulled model, or with --strict a ' +
        'tokenizer.json'
    )
    .option(
      '--strict',
      'also check every value: list all problems and exit with status 1, or report that the file is good'
    )
    .option('--json', 'print one JSON object, arrays of more than 8 elements abbreviated')
    .option('--full', 'with --json: print whole arrays')
    .addHelpText(
      'after',
      '\nExamples:\n  verit inspect model.gguf\n  verit inspect --json model.gguf | jq .sha256\n  verit inspect ' +
        'checkpoint.safetensors' +
        '\n  verit inspect --strict model.gguf || echo "not this one"\n  verit inspect --strict tokenizer.json'
    )
    .action(async (path: string, options: { json?: boolean; full?: boolean; strict?: boolean }) => {
      if (options.strict === true) {
        using source = await openModelFile(path, 'the file to inspect', 'file')
        if (!(await inspectStrictly(source, options.json === true))) process.exitCode = 1
        return
      }
      const other = await inspectOther(path)
      if (other !== undefined) {
        process.stdout.write(options.json === true ? `${printableJson(other)}\n` : otherText(other))
        return
      }
      const report = await inspect(path, options.full === true)
      const { conversation, ...rest } = report
      const json = (): object => ({
        ...rest,
        ...(conversation !== undefined && { conversation: conversationJson(conversation) })
      })
      process.stdout.write(options.json === true ? `${printableJson(json())}\n` : render(report))
    })
}

/** Hashes and parses through one descriptor, so that the digest is that of the bytes shown. */
async function inspect(path: string, full: boolean): Promise<Report> {
  const source = await openModelFile(path, 'the file to inspect', 'file')
  try {
    const format = formatOf(source)
    checkInspectable(source, format)
    checkTokenizerKind(source, format)
    if (format === 'tokenizer.json')
      throw new VeritError('VERIT_USAGE', {
        problem: `${printable(path)} is a tokenizer.json, which is checked but not shown`,
        hint: 'Add --strict'
      })
    const read = format === 'safetensors' ? ofSafetensors : format === 'SentencePiece model' ? ofSentencePiece : ofGguf
    const details = read(source, full)
    const progress = new Progress({ label: 'hash', total: source.size, format: formatBytes })
    const sha256 = await digestDescriptor(source.fd, path, { onProgress: done => progress.update(done) })
    progress.clear()
    source.checkUnchanged()
    return { file: path, bytes: source.size, sha256, ...details }
  } finally {
    source.close()
  }
}

type Details = Omit<Report, 'file' | 'bytes' | 'sha256'>

function ofGguf(source: ConstructorParameters<typeof GgufFile>[0], full: boolean): Details {
  const g = new GgufFile(source)
  const conversation = conversationOf(g)
  return {
    ...(conversation !== undefined && { conversation }),
    format: 'gguf',
    version: g.version,
    alignment: g.alignment,
    metadata: [...g.metadata.entries].map(([key, value]) => ({ key, ...entryOf(value, full) })),
    tensors: g.tensors.map(t => ({
      name: t.name,
      type: t.type,
      shape: t.shape,
      offset: t.offset,
      bytes: t.byteLength
    })),
    parameters: g.tensors.reduce((sum, t) => sum + t.elements, 0),
    ...memoryOf(g)
  }
}

function memoryOf(g: GgufFile): Pick<Report, 'memory' | 'notRun'> {
  try {
    return { memory: memoryNeeded(g) }
  } catch (e) {
    if (VeritError.is(e)) return { notRun: e.what }
    throw e
  }
}

/** Undefined without a tokenizer that Verit reads: the rest can be shown all the same. */
function conversationOf({ name, metadata }: GgufFile): Conversation | undefined {
  if (!metadata.has('tokenizer.ggml.model')) return undefined
  try {
    const tokenizer = readTokenizer(name, metadata)
    const conversation = resolveConversation(ggufClaims(metadata, tokenizer), tokenizer)
    return {
      ...conversation,
      warnings: [
        ...conversation.warnings,
        ...chatWarnings(conversation, new ChatFormat(conversation.template?.text, tokenizer), tokenizer)
      ]
    }
  } catch (e) {
    if (VeritError.is(e)) return undefined
    throw e
  }
}

function ofSafetensors(source: ConstructorParameters<typeof SafetensorsFile>[0]): Details {
  const s = new SafetensorsFile(source)
  const tensors = [...s.tensors.values()]
  return {
    format: 'safetensors',
    metadata: Object.keys(s.metadata).map(key => ({ key, type: 'string', value: s.metadata[key] })),
    tensors: tensors.map(t => ({ name: t.name, type: t.dtype, shape: t.shape, offset: t.offset, bytes: t.byteLength })),
    parameters: tensors.reduce((sum, t) => sum + t.byteLength / safetensorsDtypes[t.dtype], 0)
  }
}

function ofSentencePiece(source: ByteSource, full: boolean): Details {
  return {
    format: 'SentencePiece model',
    metadata: sentencePieceEntries(source, full ? Infinity : SHOWN),
    tensors: [],
    parameters: 0
  }
}

/** 64-bit integers and floats that are not finite become strings, because JSON cannot represent them. */
function plain(v: unknown): unknown {
  if (typeof v === 'bigint') return v.toString()
  return typeof v === 'number' && !Number.isFinite(v) ? String(v) : v
}

function entryOf(v: GgufValue, full: boolean): { type: string; value: unknown; length?: number } {
  if (v.type !== 'array') return { type: v.type, value: plain(v.value) }
  const elements = Array.from(full ? v.value : v.value.slice(0, SHOWN), plain)
  return { type: `${v.of}[]`, value: elements, length: v.value.length }
}

function elementText(v: unknown, type: string): string {
  if (type.startsWith('string')) return `"${printable(v as string, 100)}"`
  return type.startsWith('f32') && typeof v === 'number' ? String(shortestFloat(v)) : String(v)
}

function valueText(entry: Report['metadata'][number]): string {
  if (!Array.isArray(entry.value)) return elementText(entry.value, entry.type)
  const shown = entry.value.slice(0, SHOWN).map(v => elementText(v, entry.type))
  return `[${shown.join(', ')}${entry.length! > SHOWN ? `, … ${entry.length!.toLocaleString('en-US')} in all` : ''}]`
}

/** One line: the memory that the model needs, or why Verit does not run it. */
function memoryText({ file, memory, notRun, conversation }: Report): string {
  if (notRun !== undefined) return `Verit does not run this file: ${printable(notRun)}.\n`
  if (memory === undefined) return ''
  const at = (tokens: number): string => `for ${tokens.toLocaleString('en-US')} tokens`
  const cache = memory.cache.map(({ tokens, bytes }) => `${formatBytes(bytes)} ${at(tokens)}`).join(', ')
  const runText = `To run it:\n  ${veritCommand(conversation?.template === undefined ? 'generate' : 'chat', file)}\n`
  return `Memory needed: weights ${formatBytes(memory.weights)}; KV cache of one sequence ${cache}\n${runText}`
}

function typeList(types: ReadonlyMap<string, { count: number; bytes: number }>): string {
  const parts = [...types].map(([type, { count, bytes }]) => `${count} ${type} (${formatBytes(bytes)})`)
  return parts.join(', ') || 'none'
}

function render(r: Report): string {
  const format = r.format === 'gguf' ? `GGUF version ${r.version}, alignment ${r.alignment}` : r.format
  const types = new Map<string, { count: number; bytes: number }>()
  for (const t of r.tensors) {
    const sum = types.get(t.type) ?? { count: 0, bytes: 0 }
    types.set(t.type, { count: sum.count + 1, bytes: sum.bytes + t.bytes })
  }
  const head =
    `${printable(r.file)}: ${format}, ${r.bytes.toLocaleString('en-US')} bytes ` +
    `(${formatBytes(r.bytes)})\n${r.sha256}\n` +
    `\nMetadata (${r.metadata.length})\n` +
    columns(r.metadata.map(e => [printable(e.key), e.type, valueText(e)]))
  if (r.format === 'SentencePiece model') return head
  const conversation = r.conversation === undefined ? '' : `\n${conversationLines(r.conversation)}`
  return (
    `${head}${conversation}\nTensors (${r.tensors.length})\n` +
    columns(
      r.tensors.map(t => [
        printable(t.name),
        t.type,
        t.shape.join(' x ') || 'scalar',
        `${t.bytes.toLocaleString('en-US')} bytes`
      ])
    ) +
    `\n${r.parameters.toLocaleString('en-US')} ${r.format === 'gguf' ? 'parameters' : 'elements'}: ` +
    `${typeList(types)}\n` +
    memoryText(r)
  )
}
