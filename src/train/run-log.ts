/** `log.jsonl` of a run: one JSON object per line, for a step or an evaluation. */
import type { LossRow } from './loss-plot.ts'

/** The lines that are whole: a crash can cut the last one short. */
export const parseLog = (text: string): LossRow[] => text.split('\n').flatMap(line => parseLine(line) ?? [])

/** A line with its step; undefined for a line that is cut short or holds anything but numbers. */
export function parseLine(line: string): LossRow | undefined {
  try {
    const row = JSON.parse(line) as LossRow | null
    const numbers = typeof row === 'object' && row !== null && Object.values(row).every(v => typeof v === 'number')
    return numbers && typeof row.step === 'number' ? row : undefined
  } catch {
    return undefined
  }
}
