/** Opens a GGUF file as an engine: one descriptor is hashed, checked and read. */
import { basename } from 'node:path'
import type { FileHandle } from 'node:fs/promises'
import { openExecutor } from '../exec/index.ts'
import type { ExecutorOptions } from '../exec/index.ts'
import type { Executor } from '../exec/plan.ts'
import { GgufFile } from '../formats/gguf-reader.ts'
import { defined } from '../lib/defined.ts'
import { VeritError } from '../lib/errors.ts'
import { byteProgress } from '../lib/progress-report.ts'
import type { ProgressReport, ProgressTarget } from '../lib/progress-report.ts'
import { RegularFile, openRegular } from '../lib/regular-file.ts'
import { resolveConversation } from '../model/conversation.ts'
import { ggufClaims } from '../model/gguf-conversation.ts'
import { loadModel as loadGguf } from '../model/load-gguf.ts'
import { checkPulled, digestDescriptor } from '../trust/digest.ts'
import type { Screening } from '../model/weights.ts'
import type { Digest } from '../trust/digest.ts'
import { checkTemplate, compileTemplate } from './check-chat.ts'
import { Engine } from './engine.ts'
import type { EngineOptions } from './engine.ts'

/** Results do not depend on those of `ExecutorOptions`. */
export interface LoadOptions extends EngineOptions, ExecutorOptions {
  /** What runs the model, where the caller has made it before. Default: one by the other options. */
  executor?: Executor | undefined
  /**
   * Whether an f16 head is screened: a 6-bit copy of it, 0.41 of its size, says which of its rows can matter for a token, and only these are computed, exactly. Default 'auto': where the
   * head is 64 MiB or larger and there is memory for the copy. `true` is refused where it cannot be. Results do not depend on it.
   */
  headScreen?: Screening | undefined
  /** Jinja chat template to use in place of the file's, at most 65,536 UTF-16 units. */
  chatTemplate?: string | undefined
  /** Tokens that end an answer besides those of the file: the text of a token, or its id; at most 64. */
  endTokens?: readonly (string | number)[] | undefined
  /** Where these two come from, for messages. Default: 'chatTemplate' and 'endTokens'. */
  conversationSources?: { readonly chatTemplate?: string | undefined; readonly endTokens?: string | undefined } | undefined
  /**
   * Where the progress of loading goes: `false` for nowhere, a stream for lines, a function for numbers.
   * Default: standard error, after half a second. An error that the function throws ends the loading.
   */
  progress?: ProgressTarget | undefined
  /** What the file's digest must be, for a pulled model. */
  expectedDigest?: Digest | undefined
  /** The file's digest, where the caller has taken it on this very descriptor. Default: it is taken here. */
  digest?: Digest | undefined
}

/**
 * Loads a model for generation.
 * @param source path of a GGUF file, or an open one, which stays the caller's to close
 * @throws VeritError VERIT_FILE_NOT_FOUND, VERIT_GGUF, VERIT_MODEL_FILE, VERIT_TENSOR, VERIT_TOKENIZER_FILE, VERIT_REQUEST for an option out of range, VERIT_CHAT for a `chatTemplate` that
 * fails, VERIT_USAGE for what this machine or this model does not allow
 */
export async function loadModel(source: string | FileHandle | RegularFile, options: LoadOptions = {}): Promise<Engine> {
  const { threads, instructionSet, packing, cores, executor: made, headScreen = 'auto', expectedDigest, digest: known, ...more } = options
  const { progress, chatTemplate, endTokens, conversationSources: from = {}, ...rest } = more
  checkOptions(rest)
  checkOverrides({ chatTemplate, endTokens })
  const template = chatTemplate === undefined ? undefined
    : { text: chatTemplate, source: from.chatTemplate ?? 'chatTemplate' }
  if (template !== undefined) compileTemplate(template)
  const file = open(source)
  let loading: ProgressReport | undefined
  const onProgress = (done: number, total: number): void => (loading ??= byteProgress('load', total, progress)).update(done)
  try {
    const gguf = new GgufFile(file)
    const executor = made ?? openExecutor({ threads, instructionSet, packing, cores }) // what this machine cannot do is told before a large file is hashed
    const digest = known ?? await hashed(file, progress)
    if (expectedDigest !== undefined) checkPulled(file.name, digest, expectedDigest)
    const model = await loadGguf(gguf, executor, { screen: headScreen, onProgress: known === undefined ? onProgress : undefined })
    file.checkUnchanged()
    const { metadata } = gguf
    const conversation = resolveConversation(ggufClaims(metadata, model.tokenizer), model.tokenizer, defined({
      chatTemplate: template,
      endTokens: endTokens === undefined ? undefined : { tokens: endTokens, source: from.endTokens ?? 'endTokens' },
    }))
    if (template !== undefined) checkTemplate(template, conversation)
    const name = metadata.string('general.name', basename(file.name))
    return new Engine(executor, { ...model, name, digest, conversation }, rest)
  } finally {
    loading?.clear()
    if (file !== source) file.close()
  }
}

async function hashed(file: RegularFile, target: ProgressTarget | undefined): Promise<Digest> {
  const hashing = byteProgress('hash', file.size, target)
  try {
    return await digestDescriptor(file.fd, file.name, { onProgress: done => hashing.update(done) })
  } finally {
    hashing.clear()
  }
}

function open(source: string | FileHandle | RegularFile): RegularFile {
  if (source instanceof RegularFile) return source
  return typeof source === 'string' ? openRegular(source, 'the model') : new RegularFile(source.fd, 'the open file', false)
}

/** Longest template and longest list of end tokens that are taken. */
const MOST_TEMPLATE = 1 << 16, MOST_ENDS = 64

function checkOverrides({ chatTemplate, endTokens }: Pick<LoadOptions, 'chatTemplate' | 'endTokens'>): void {
  const refuse = (field: string, problem: string): never => {
    throw new VeritError('VERIT_REQUEST', { field, problem })
  }
  if (chatTemplate !== undefined && (typeof chatTemplate !== 'string' || chatTemplate.length > MOST_TEMPLATE)) {
    refuse('chatTemplate', `must be text of at most ${MOST_TEMPLATE} characters`)
  }
  if (endTokens === undefined) return
  const list = Array.isArray(endTokens) && endTokens.length <= MOST_ENDS
  if (!list) refuse('endTokens', `must be a list of at most ${MOST_ENDS} tokens`)
  if (!endTokens.every(t => typeof t === 'number' || (typeof t === 'string' && t.length > 0 && t.length <= 256))) {
    refuse('endTokens', 'must hold ids and texts of 1 to 256 characters')
  }
}

function checkOptions(options: EngineOptions): void {
  const ranges = {
    context: [2, 1 << 20], slots: [1, 1024], rows: [1, 4096], queue: [0, 1 << 20], cacheBytes: [1, Number.MAX_SAFE_INTEGER], memoryBytes: [1, Number.MAX_SAFE_INTEGER],
  } as const
  for (const [field, [low, high]] of Object.entries(ranges)) {
    const value = options[field as keyof typeof ranges]
    if (value !== undefined && !(Number.isInteger(value) && value >= low && value <= high)) {
      throw new VeritError('VERIT_REQUEST', { field, problem: `must be a whole number from ${low} to ${high.toLocaleString('en-US')}` })
    }
  }
  const { speculate } = options
  if (typeof speculate === 'number' && !(speculate >= 0 && speculate <= 1)) throw new VeritError('VERIT_REQUEST', { field: 'speculate', problem: 'must be true, false or a number from 0 to 1' })
}
