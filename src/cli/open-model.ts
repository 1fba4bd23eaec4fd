/** Shared by the commands that run a model: options, and opening it. */
import { existsSync } from 'node:fs'
import { InvalidArgumentError, Option } from 'commander'
import type { Command } from 'commander'
import { loadModel } from '../engine/load.ts'
import type { LoadOptions } from '../engine/load.ts'
import type { Engine } from '../engine/engine.ts'
import { requestNumbers } from '../engine/request.ts'
import { openExecutor } from '../exec/index.ts'
import { resolveModel } from '../hub/resolve-model.ts'
import { defaultModelPath } from '../lib/default-model.ts'
import { defined } from '../lib/defined.ts'
import { VeritError } from '../lib/errors.ts'
import { openRegular } from '../lib/regular-file.ts'
import {
  SCREENING,
  cacheTypeOption,
  coresOption,
  headScreenOption,
  packingOption,
  setOption,
  threadsOption
} from './compute-options.ts'
import type { CacheFlags, ComputeFlags } from './compute-options.ts'
import { endTokenOption, overridesOf } from './conversation-options.ts'
import type { ConversationFlags } from './conversation-options.ts'
import { samplingParameters } from '../sampler/parameters.ts'
import type { SamplingOptions, SamplingRequest } from '../sampler/parameters.ts'
import { lockCommand } from './lock-command.ts'
import { openCheckpoint } from './open-checkpoint.ts'
import { numberOption, repeatedOption } from './prepare.ts'

export interface ModelFlags extends ComputeFlags, CacheFlags, ConversationFlags {
  context?: number
  speculate?: keyof typeof SPECULATION
}

/** By the words of the option. */
const SPECULATION = { auto: undefined, on: true, off: false } as const

export interface SamplingFlags extends SamplingRequest {
  maxTokens?: number
  stop: string[]
}

/** Name, placeholder and meaning of each option of sampling. */
const SAMPLING: readonly (readonly [key: 'maxTokens' | keyof SamplingOptions, value: string, text: string])[] = [
  ['maxTokens', 'n', 'maximum number of tokens to generate'],
  ...(Object.keys(samplingParameters) as (keyof SamplingOptions)[]).map(
    key => [key, samplingParameters[key].value, samplingParameters[key].help] as const
  )
]

/** Adds those of every command that computes, --end-token, --kv-cache-type, --context and --speculate. */
export function modelOptions(c: Command): Command {
  return cacheTypeOption(headScreenOption(packingOption(setOption(coresOption(threadsOption(endTokenOption(c)))))))
    .option('--context <n>', "context length in tokens (default: the model's)", numberOption)
    .addOption(
      new Option(
        '--speculate <when>',
        'speculative decoding by prompt lookup (default: auto, where measured to be faster; ' +
          'results do not depend on it)'
      ).choices(Object.keys(SPECULATION))
    )
}

/** Reads a number of a request in its range, before a model is loaded for it. */
export const requestOption =
  (key: keyof typeof requestNumbers) =>
  (text: string): number => {
    const { low, high, whole } = requestNumbers[key]
    const n = numberOption(text)
    if (n >= low && n <= high && (whole !== true || Number.isInteger(n))) return n
    throw new InvalidArgumentError(`It must be a ${whole ? 'whole ' : ''}number from ${low} to ${high}.`)
  }

/** Adds the options of sampling. */
export function samplingOptions(c: Command): Command {
  for (const [key, value, text] of SAMPLING) {
    const { fallback } = requestNumbers[key]
    const flag = key.replace(/[A-Z]/g, l => `-${l.toLowerCase()}`)
    c.option(`--${flag} <${value}>`, key === 'seed' ? text : `${text} (default: ${fallback})`, requestOption(key))
  }
  return c.addOption(
    new Option('--stop <text>', 'stop string that ends the answer (repeatable)')
      .argParser(repeatedOption)
      .default([], 'none')
  )
}

/** The part of a request that comes from the sampling options. */
export function samplingOf(flags: SamplingFlags): Omit<SamplingFlags, 'stop'> & { stop: string[] } {
  return { ...defined(Object.fromEntries(SAMPLING.map(([key]) => [key, flags[key]]))), stop: flags.stop }
}

/**
 * Opens a model by its path or the name it was pulled by, or the one that comes with Verit. The process is locked
 * before it reads the file.
 */
export async function openModel(path: string | undefined, flags: ModelFlags, more: LoadOptions = {}): Promise<Engine> {
  const model = path ?? defaultModelPath()
  if (path === undefined && !existsSync(model)) throw new VeritError('VERIT_NO_MODEL', { path: model })
  const given = path === undefined ? { path: model, pulled: undefined } : resolveModel(model, undefined, 'checkpoint')
  const { path: file, pulled } = given
  const { chatTemplate, endTokens } = overridesOf(flags)
  const {
    threads,
    cores,
    instructionSet,
    packing,
    headScreen = 'auto',
    speculate = 'auto',
    context,
    kvCacheType
  } = flags
  const checkpoint = file.endsWith('.safetensors') ? await openCheckpoint(file) : undefined
  using opened = checkpoint ?? openRegular(file, 'the model')
  // Its threads are started, and tied to cores, before the lock.
  const executor = openExecutor({ threads, cores, instructionSet })
  lockCommand()
  return await loadModel(opened, {
    ...more,
    ...defined({ chatTemplate: chatTemplate?.text, endTokens: endTokens?.tokens }),
    conversationSources: { chatTemplate: chatTemplate?.source, endTokens: endTokens?.source },
    expectedDigest: pulled?.digest,
    executor,
    packing,
    headScreen: SCREENING[headScreen],
    speculate: SPECULATION[speculate],
    context,
    cacheType: kvCacheType
  })
}
