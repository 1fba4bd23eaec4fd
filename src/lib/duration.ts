/** Durations as people write them: 45s, 30m, 24h, 90d. */

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }

/** Seconds, from 0 to a hundred years; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d{1,10})([smhd])$/.exec(text)
  if (match === null) return undefined
  const seconds = Number(match[1]) * SECONDS[match[2]!]!
  return seconds <= 36_525 * 86_400 ? seconds : undefined
}
