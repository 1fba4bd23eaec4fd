/** Loads a GGUF file into Verit's own engine. */
import { basename } from 'node:path'
import { openExecutor } from '../exec/index.ts'
import { Reserve } from '../exec/reserve.ts'
import { GgufFile } from '../formats/gguf-reader.ts'
import { defined } from '../lib/defined.ts'
import { byteProgress } from '../lib/progress-report.ts'
import type { ProgressReport } from '../lib/progress-report.ts'
import type { RegularFile } from '../lib/regular-file.ts'
import { resolveConversation } from '../model/conversation.ts'
import { ggufClaims } from '../model/gguf-conversation.ts'
import { loadModel as loadGguf } from '../model/load-gguf.ts'
import type { Digest } from '../trust/digest.ts'
import { chooseTernaryPacking } from '../weights/ternary-packing.ts'
import { checkTemplate } from './check-chat.ts'
import type { Engine } from './engine.ts'
import { templateOf } from './load-options.ts'
import type { LoadOptions } from './load-options.ts'
import { poolingOf } from './pooling.ts'
import { VeritEngine } from './verit-engine.ts'

/**
 * An `EngineLoader`.
 * @throws VeritError VERIT_GGUF, VERIT_MODEL_FILE, VERIT_TENSOR, VERIT_TOKENIZER_FILE, VERIT_CHAT, VERIT_USAGE
 */
export async function loadVerit(
  file: RegularFile,
  options: LoadOptions,
  takeDigest: () => Promise<Digest>
): Promise<Engine> {
  const { threads, instructionSet, cores, executor: made, headScreen = 'auto', endTokens } = options
  const template = templateOf(options)
  const gguf = new GgufFile(file)
  // Reports missing features of this machine before a large file is hashed.
  const executor = made ?? openExecutor({ threads, instructionSet, cores })
  const packing = chooseTernaryPacking(executor, options.packing)
  const reserve = made === undefined ? new Reserve(file.size) : undefined
  let loading: ProgressReport | undefined
  const onProgress = (done: number, total: number): void => {
    loading ??= byteProgress('load', total, options.progress)
    loading.update(done)
  }
  try {
    const digest = await takeDigest()
    const progress = options.digest === undefined ? onProgress : undefined
    const model = await loadGguf(gguf, reserve?.before(executor) ?? executor, {
      packing,
      screen: headScreen,
      onProgress: progress
    })
    file.checkUnchanged()
    const { metadata } = gguf
    const endSource = options.conversationSources?.endTokens ?? 'endTokens'
    const conversation = resolveConversation(
      ggufClaims(metadata, model.tokenizer),
      model.tokenizer,
      defined({
        chatTemplate: template,
        endTokens: endTokens === undefined ? undefined : { tokens: endTokens, source: endSource }
      })
    )
    if (template !== undefined) checkTemplate(template, conversation)
    const name = metadata.string('general.name', basename(file.name))
    return new VeritEngine(executor, { ...model, name, digest, conversation, pooling: poolingOf(metadata) }, options)
  } finally {
    reserve?.drop()
    loading?.clear()
  }
}
