/** The options of the runner that a server's settings give. A start and `verit serve --check` use the same ones. */
import { defined } from '../lib/defined.ts'
import type { ModelRunnerOptions } from '../runner/model-runner.ts'
import type { ConversationSettings } from './chat-template.ts'
import type { ServerConfig } from './config.ts'

type Settings = Pick<ServerConfig, 'inference' | 'http'>

/** Leaves out each setting whose value means "automatic", so that the environment or the runner decides. */
export function runnerOptions({ inference, http }: Settings, conversation: ConversationSettings): ModelRunnerOptions {
  const { parallel, context, cacheMib, memoryMib, requireSandbox, threads, cores } = inference
  const { kvCacheType, packing, headScreen, speculate, instructionSet } = inference
  const given = <T>(value: T, automatic: T): T | undefined => (value === automatic ? undefined : value)
  const bytes = (mib: number): number | undefined => (mib === 0 ? undefined : mib * 2 ** 20)
  return {
    slots: parallel,
    requireSandbox,
    bodyBytes: http.bodyBytes,
    ...conversation,
    ...defined({
      context: given(context, 0),
      cacheBytes: bytes(cacheMib),
      cacheType: kvCacheType === 'auto' ? undefined : kvCacheType,
      memoryBytes: bytes(memoryMib),
      threads: given(threads, 0),
      cores: given(cores, ''),
      packing: given<string>(packing, 'auto'),
      instructionSet: given<string>(instructionSet, 'auto'),
      headScreen: headScreen === 'auto' ? undefined : headScreen === 'on',
      speculate: speculate === 'auto' ? undefined : speculate === 'on',
    }),
  }
}
