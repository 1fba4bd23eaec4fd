/**
 * Finds entries by their content. Commitments to texts are checked with the secrets of their days, unless these were
 * deleted.
 */
import type { KeyObject } from 'node:crypto'
import { dayOf, commitmentTo, readDaySecret } from './day-secrets.ts'
import type { AuditEntry } from './entry.ts'
import type { EntryType } from './entry-schema.ts'
import { readCheckpoint, readEntries } from './reader.ts'
import type { ReadEntry } from './reader.ts'

export interface Criteria {
  key?: string
  type?: EntryType
  /** ISO 8601, UTC, milliseconds: at or after. */
  since?: string
  /** Before. */
  until?: string
  code?: string
  model?: string
  request?: string
  /** Exact texts. */
  prompt?: string
  answer?: string
}

export interface SearchReport {
  /** Entries with commitments that could not be compared, because the secret of their day was deleted. */
  undecided: number
}

/** The entries that meet all criteria, in order. */
export function* searchEntries(
  folder: string,
  criteria: Criteria,
  report: SearchReport,
  onProgress?: (done: number, total: number) => void
): Generator<ReadEntry> {
  const { size } = readCheckpoint(folder).checkpoint
  const from = criteria.since === undefined ? 0 : firstAt(folder, criteria.since, size)
  const secrets = new Map<string, KeyObject | undefined>()
  const secretOf = (day: string): KeyObject | undefined => {
    if (!secrets.has(day)) secrets.set(day, readDaySecret(folder, day))
    return secrets.get(day)
  }
  for (const found of readEntries(folder, { from, to: size, onProgress: done => onProgress?.(done, size - from) })) {
    if (criteria.until !== undefined && found.entry.time >= criteria.until) return
    if (meets(found.entry, criteria) && textsMeet(found, criteria, secretOf, report)) yield found
  }
}

/** Index of the first entry at or after a time: times never go back, so halving finds it. */
function firstAt(folder: string, time: string, size: number): number {
  let [low, high] = [0, size]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const [found] = [...readEntries(folder, { from: middle, to: middle + 1 })]
    if (found !== undefined && found.entry.time < time) low = middle + 1
    else high = middle
  }
  return low
}

function meets(entry: AuditEntry, { key, type, since, code, model, request }: Criteria): boolean {
  const field = (name: string): unknown =>
    name in entry ? (entry as unknown as Record<string, unknown>)[name] : undefined
  const isOf = (wanted: string): boolean =>
    field('key') === wanted || (entry.type === 'key' && Object.values(entry.detail).includes(wanted))
  return (
    (type === undefined || entry.type === type) &&
    (since === undefined || entry.time >= since) &&
    (key === undefined || isOf(key)) &&
    (code === undefined || field('code') === code) &&
    (model === undefined || field('model') === model || field('modelDigest') === model) &&
    (request === undefined || field('request') === request)
  )
}

function textsMeet(
  { index, entry }: ReadEntry,
  { prompt, answer }: Criteria,
  secretOf: (day: string) => KeyObject | undefined,
  report: SearchReport
): boolean {
  if (prompt === undefined && answer === undefined) return true
  if (entry.type !== 'request' || entry.prompt === undefined || entry.answer === undefined) return false
  const secret = secretOf(dayOf(entry.time))
  if (secret === undefined) {
    report.undecided++
    return false
  }
  return (
    (prompt === undefined || commitmentTo(prompt, secret, index) === entry.prompt) &&
    (answer === undefined || commitmentTo(answer, secret, index) === entry.answer)
  )
}

/** The newest entry of a request; undefined when the log has none. */
export function findRequest(folder: string, request: string): ReadEntry | undefined {
  for (const found of readEntries(folder, { backwards: true }))
    if ('request' in found.entry && found.entry.request === request) return found
  return undefined
}
