/** History of one key: counts of the current five minutes and hour, baselines, and sketches of its last prompts. */
import { Baseline } from './baseline.ts'
import type { BaselineNumbers } from './baseline.ts'
import { Distinct } from './distinct.ts'
import type { Observation } from './observation.ts'
import { PromptClusters } from './prompt-clusters.ts'
import type { Sweep } from './prompt-clusters.ts'
import { mix, sketchOf } from './sketch.ts'
import { TokenWindow } from './token-window.ts'
import { Week, hourOf } from './week.ts'
import type { WeekNumbers } from './week.ts'

export const intervalMs = 300_000
/** Minimum number of requests for a share. */
const MIN_SHARE_OF = 10
/** Longest text that may be a single token. */
const SINGLE_CHARACTERS = 16

export const baselineNames = [
  'requests',
  'tokens',
  'errorShare',
  'refusedShare',
  'nearShare',
  'probes',
  'singles'
] as const
export type BaselineName = (typeof baselineNames)[number]

export interface HistoryNumbers {
  readonly first: number
  readonly last: number
  readonly week: WeekNumbers
  readonly baselines: Readonly<Record<BaselineName, BaselineNumbers>>
}

/** Refused for who or how much; 499 is a client that left, and 5xx are not the key's doing. */
const REFUSED: ReadonlySet<number> = new Set([401, 403, 429])
const isError = (status: number): boolean => status >= 400 && status < 499 && !REFUSED.has(status)

export class KeyHistory {
  /** ms since 1970. */
  readonly first: number
  last: number
  readonly week: Week
  readonly usual: Readonly<Record<BaselineName, Baseline>>
  /** Counts of the current five minutes. */
  interval = { index: -1, requests: 0, tokens: 0, errors: 0, refused: 0 }
  /**
   * Counts of the current hour: requests, those with a prompt, prompts near an earlier one, requests for log
   * probabilities of at most one token.
   */
  hour = { index: -1, requests: 0, prompts: 0, near: 0, probes: 0 }
  readonly probed = new Distinct(1024)
  readonly singles = new Distinct(4096)
  sweep: Sweep = { settings: 0, seeds: 0 }
  /** Chance that two tokens of a window agree; undefined unless this request completed one. */
  agreement: number | undefined
  #clusters = new PromptClusters()
  #window: TokenWindow
  #salt: number

  constructor(at: number, salt: number, from?: HistoryNumbers) {
    this.first = from?.first ?? at
    this.last = from?.last ?? at
    this.week = new Week(from?.week)
    this.usual = Object.fromEntries(baselineNames.map(name => [name, new Baseline(from?.baselines[name])])) as Record<
      BaselineName,
      Baseline
    >
    this.#window = new TokenWindow(salt)
    this.#salt = salt
  }

  /** Counts a request. Time never goes back: an earlier one counts as now. */
  add(o: Observation): void {
    this.last = Math.max(this.last, o.at)
    this.#roll()
    this.interval.requests++
    this.interval.tokens += o.promptTokens + o.completionTokens
    if (isError(o.status)) this.interval.errors++
    if (REFUSED.has(o.status)) this.interval.refused++
    this.hour.requests++
    this.agreement = undefined
    this.sweep = { settings: 0, seeds: 0 }
    if (o.prompt !== '' || o.promptIds !== undefined) this.#addPrompt(o)
  }

  #addPrompt({ prompt, promptIds, parameters }: Observation): void {
    const sketch = sketchOf(promptIds ?? prompt, this.#salt)
    const hash = mix(sketch.low ^ mix(sketch.high))
    const { near, ...sweep } = this.#clusters.add(sketch, parameters, this.last)
    this.sweep = sweep
    this.hour.prompts++
    if (near) this.hour.near++
    if (parameters.logprobs !== undefined && parameters.maxTokens !== undefined && parameters.maxTokens <= 1) {
      this.hour.probes++
      this.probed.add(hash)
    }
    if (
      promptIds === undefined ? prompt.length <= SINGLE_CHARACTERS && !/\S\s+\S/.test(prompt) : promptIds.length === 1
    )
      this.singles.add(hash)
    if (promptIds !== undefined) this.agreement = this.#window.add(promptIds)
  }

  /**
   * Finished intervals enter the baseline, at most up to the alert threshold, so that one attack does not hide the
   * next.
   */
  #roll(): void {
    const { usual } = this
    const i = this.interval
    const index = Math.floor(this.last / intervalMs)
    if (index !== i.index) {
      if (i.requests > 0) {
        usual.requests.add(Math.min(i.requests, usual.requests.count === 0 ? Infinity : usual.requests.bound(1)))
        usual.tokens.add(Math.min(i.tokens, usual.tokens.count === 0 ? Infinity : usual.tokens.bound(1)))
      }
      if (i.requests >= MIN_SHARE_OF) {
        usual.errorShare.add(i.errors / i.requests)
        usual.refusedShare.add(i.refused / i.requests)
      }
      this.interval = { index, requests: 0, tokens: 0, errors: 0, refused: 0 }
    }
    const h = this.hour
    const hour = hourOf(this.last)
    if (hour === h.index) return
    if (h.requests > 0) {
      this.week.add(h.index, h.requests)
      usual.probes.add(h.probes)
      usual.singles.add(this.singles.count)
    }
    if (h.prompts >= MIN_SHARE_OF) usual.nearShare.add(h.near / h.prompts)
    this.hour = { index: hour, requests: 0, prompts: 0, near: 0, probes: 0 }
    this.probed.clear()
    this.singles.clear()
  }

  /** The part to keep over a restart; no sketches. */
  toJSON(): HistoryNumbers {
    const baselines = Object.fromEntries(baselineNames.map(name => [name, this.usual[name].toJSON()])) as Record<
      BaselineName,
      BaselineNumbers
    >
    return { first: this.first, last: this.last, week: this.week.toJSON(), baselines }
  }
}
