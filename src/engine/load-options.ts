/** The options of `loadModel` and their checks: no file is opened before they pass. */
import type { ExecutorOptions } from '../exec/index.ts'
import type { Executor } from '../exec/plan.ts'
import { VeritError } from '../lib/errors.ts'
import type { ProgressTarget } from '../lib/progress-report.ts'
import type { Screening } from '../model/weights.ts'
import type { Digest } from '../trust/digest.ts'
import { cacheTypeOptions } from './cache-size.ts'
import { compileTemplate } from './check-chat.ts'
import type { EngineName } from './engines.ts'
import type { EngineOptions } from './verit-engine.ts'

/** Results do not depend on those of `ExecutorOptions`, nor on `packing`. */
export interface LoadOptions extends EngineOptions, ExecutorOptions {
  /** The engine that runs the model. Default 'verit'. */
  engine?: EngineName | undefined
  /** The executor, where the caller has made it before. Default: one by the other options. */
  executor?: Executor | undefined
  /**
   * Packing of ternary weights: 'base3', five codes per byte, or 'two-bit', four. Default and 'auto': the environment's
   * VERIT_PACKING, or the faster one here.
   */
  packing?: string | undefined
  /**
   * Output-head screening: a 6-bit copy of an f16 head, 0.41 of its size, bounds the logits, and only rows that can
   * matter are computed, exactly. Default 'auto': on for heads of 64 MiB and more, where memory allows the copy. `true`
   * refuses models that do not support it. Results do not depend on it.
   */
  headScreen?: Screening | undefined
  /** Jinja chat template to use instead of the file's, at most 65,536 UTF-16 units. */
  chatTemplate?: string | undefined
  /** Additional tokens that end an answer: the text of a token, or its id; at most 64. */
  endTokens?: readonly (string | number)[] | undefined
  /** Names of these two options in messages. Default: 'chatTemplate' and 'endTokens'. */
  conversationSources?:
    | {
        readonly chatTemplate?: string | undefined
        readonly endTokens?: string | undefined
      }
    | undefined
  /**
   * Where the progress of loading goes: `false` for nowhere, a stream for lines, a function for numbers.
   * Default: standard error, after half a second. An error that the function throws ends the loading.
   */
  progress?: ProgressTarget | undefined
  /** Expected digest of the file, for a pulled model. */
  expectedDigest?: Digest | undefined
  /** The file's digest, where the caller has taken it on this very descriptor. Default: it is taken here. */
  digest?: Digest | undefined
}

/** The chat template of the options, and its source. */
export function templateOf(options: LoadOptions): { text: string; source: string } | undefined {
  const { chatTemplate: text, conversationSources } = options
  return text === undefined ? undefined : { text, source: conversationSources?.chatTemplate ?? 'chatTemplate' }
}

/** @throws VeritError VERIT_REQUEST for an option out of range, VERIT_CHAT for a `chatTemplate` that fails */
export function checkLoadOptions(options: LoadOptions): void {
  checkOptions(options)
  checkOverrides(options)
  const template = templateOf(options)
  if (template !== undefined) compileTemplate(template)
}

/** Longest template and longest list of end tokens that are taken. */
const MOST_TEMPLATE = 1 << 16
const MOST_ENDS = 64

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
    context: [2, 1 << 20],
    slots: [1, 1024],
    rows: [1, 4096],
    queue: [0, 1 << 20],
    cacheBytes: [1, Number.MAX_SAFE_INTEGER],
    memoryBytes: [1, Number.MAX_SAFE_INTEGER]
  } as const
  for (const [field, [low, high]] of Object.entries(ranges)) {
    const value = options[field as keyof typeof ranges]
    if (value !== undefined && !(Number.isInteger(value) && value >= low && value <= high)) {
      const problem = `must be a whole number from ${low} to ${high.toLocaleString('en-US')}`
      throw new VeritError('VERIT_REQUEST', { field, problem })
    }
  }
  const { cacheType, speculate } = options
  if (cacheType !== undefined && !cacheTypeOptions.includes(cacheType)) {
    throw new VeritError('VERIT_REQUEST', {
      field: 'cacheType',
      problem: `must be one of ${cacheTypeOptions.join(', ')}`
    })
  }
  if (typeof speculate === 'number' && !(speculate >= 0 && speculate <= 1)) {
    throw new VeritError('VERIT_REQUEST', {
      field: 'speculate',
      problem: 'must be true, false or a number from 0 to 1'
    })
  }
}
