/**
 * Settings of a runner's model, in the message `load`. The gateway passes each setting to the runner, and the runner to
 * the engine, whose option has the same name. A new setting is a row here and, for `verit serve`, a row in
 * server/config.ts.
 */
import { Type } from 'typebox'
import type { Static, TSchema } from 'typebox'
import { cacheTypes } from '../lib/compute-settings.ts'
import type { CacheType } from '../lib/compute-settings.ts'

const count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
const shortText = Type.String({ maxLength: 256 })

/** Element type of the KV cache. */
export const CacheTypeSchema = Type.Unsafe<CacheType>(Type.Union(cacheTypes.map(type => Type.Literal(type))))

/** For the schema of the message. */
export const loadSettingFields = {
  /** Worker threads. Default: see `ExecutorOptions`. */
  threads: Type.Optional(count),
  /** Processors that threads are tied to, such as "0-3,5". Default: none. */
  cores: Type.Optional(Type.String({ maxLength: 4096 })),
  /** Default: the fastest here. */
  instructionSet: Type.Optional(shortText),
  /** How ternary weights are kept. Default: see weights/ternary-packing.ts. */
  packing: Type.Optional(shortText),
  /** Output-head screening. Default: see `LoadOptions`. */
  headScreen: Type.Optional(Type.Boolean()),
  /** Speculative decoding by prompt lookup. Default: see engine/row-cost.ts. */
  speculate: Type.Optional(Type.Boolean()),
  /** Positions of a sequence. Default: see engine/cache-size.ts. */
  context: Type.Optional(count),
  /** Concurrent calls. */
  slots: Type.Optional(count),
  /** Bytes of the KV cache. Default: see engine/cache-size.ts. */
  cacheBytes: Type.Optional(count),
  /** Element type of the KV cache. Default: that of the model's architecture. */
  cacheType: Type.Optional(CacheTypeSchema),
  /**
   * Ceiling of the process's memory in bytes. Default: worked out from the file and the machine (memory-ceiling.ts).
   */
  memoryBytes: Type.Optional(count)
} as const satisfies Record<string, TSchema>

const LoadSettings = Type.Object(loadSettingFields)
export type LoadSettings = Static<typeof LoadSettings>

export const loadSettingNames = Object.keys(loadSettingFields) as (keyof LoadSettings)[]

/** The settings among the fields of an object; those that are absent or undefined are left out. */
export function loadSettingsIn(fields: {
  readonly [K in keyof LoadSettings]?: LoadSettings[K] | undefined
}): LoadSettings {
  const given = loadSettingNames.filter(name => fields[name] !== undefined)
  return Object.fromEntries(given.map(name => [name, fields[name]]))
}
