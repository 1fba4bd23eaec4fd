/** The options of the runner that a server's settings give. A start and `verit serve --check` use the same ones. */
import { defined } from '../lib/defined.ts'
import { loadSettingNames, loadSettingsIn } from '../runner/load-settings.ts'
import type { LoadSettings } from '../runner/load-settings.ts'
import type { ModelRunnerOptions } from '../runner/model-runner.ts'
import type { ConversationSettings } from './chat-template.ts'
import type { ServerConfig } from './config.ts'

type Settings = Pick<ServerConfig, 'inference' | 'http'>

/** Values by which the configuration leaves a setting to the environment or the runner, and its words for a boolean. */
const words: ReadonlyMap<unknown, boolean | undefined> = new Map<unknown, boolean | undefined>([
  [0, undefined],
  ['', undefined],
  ['auto', undefined],
  ['on', true],
  ['off', false]
])

const plain = (value: unknown): unknown => (words.has(value) ? words.get(value) : value)

/** Settings that the runner calls otherwise, or takes in another unit. */
function renamed({ parallel, cacheMib, memoryMib, kvCacheType }: Settings['inference']): LoadSettings {
  const bytes = (mib: number): number | undefined => (mib === 0 ? undefined : mib * 2 ** 20)
  const cacheType = kvCacheType === 'auto' ? undefined : kvCacheType
  return defined({ slots: parallel, cacheBytes: bytes(cacheMib), memoryBytes: bytes(memoryMib), cacheType })
}

/** Leaves out each setting whose value means "automatic", so that the environment or the runner decides. */
export function runnerOptions({ inference, http }: Settings, conversation: ConversationSettings): ModelRunnerOptions {
  const given: Readonly<Record<string, unknown>> = inference
  const same = loadSettingsIn(Object.fromEntries(loadSettingNames.map(name => [name, plain(given[name])])))
  return {
    requireSandbox: inference.requireSandbox,
    bodyBytes: http.bodyBytes,
    ...conversation,
    ...same,
    ...renamed(inference)
  }
}
