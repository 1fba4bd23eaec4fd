/**
 * Groups of near-identical prompts of one key, and which parameters each was sent with: a sweep asks the same thing
 * again and again, otherwise.
 */
import { Distinct } from './distinct.ts'
import type { Observation } from './observation.ts'
import type { Sketch } from './sketch.ts'
import { isNear, mix } from './sketch.ts'

/** Groups kept; the one that was not seen for longest makes way. */
const CLUSTERS = 16
/** After so long, a group is counted anew. */
const LIFE_MS = 3_600_000
const SEED_BITS = 512

interface Cluster {
  sketch: Sketch
  since: number
  settings: Set<number>
  seeds: Distinct
}

export interface Sweep {
  /** Distinct settings of temperature, top_p, top_k and logprobs; never counted beyond 64. */
  readonly settings: number
  /** Distinct seeds, estimated. */
  readonly seeds: number
}

export class PromptClusters {
  #clusters: Cluster[] = []

  /** Adds a request; gives the group's figures, and whether there was one. */
  add(sketch: Sketch, parameters: Observation['parameters'], at: number): Sweep & { near: boolean } {
    const index = this.#clusters.findIndex(c => isNear(c.sketch, sketch))
    const found = index < 0 ? undefined : this.#clusters.splice(index, 1)[0]
    const fresh = (): Cluster => ({ sketch, since: at, settings: new Set(), seeds: new Distinct(SEED_BITS) })
    const cluster = found !== undefined && at - found.since < LIFE_MS ? found : fresh()
    this.#clusters.unshift(cluster) // the newest first: the next request is most often like the last
    if (this.#clusters.length > CLUSTERS) this.#clusters.pop()
    const { temperature, topP, topK, logprobs, seed } = parameters
    if (cluster.settings.size < 64) cluster.settings.add(hashOf([temperature, topP, topK, logprobs]))
    if (seed !== undefined) cluster.seeds.add(hashOf([seed]))
    return { settings: cluster.settings.size, seeds: cluster.seeds.count, near: found !== undefined }
  }
}

const scratch = new Float64Array(1)
const words = new Uint32Array(scratch.buffer)

/** Hash of the exact bits of numbers. */
function hashOf(values: readonly (number | undefined)[]): number {
  let h = 0
  for (const value of values) {
    scratch[0] = value ?? NaN
    h = mix(mix(h ^ words[0]!) ^ words[1]!)
  }
  return h
}
