/** The most similar name, for errors about unknown names. */

/**
 * The nearest of `names` within a third of the length (at least two) insertions, deletions, replacements and swaps of
 * neighbours; undefined if there is none.
 */
export function nearest(name: string, names: readonly string[]): string | undefined {
  const limit = Math.max(2, Math.floor(name.length / 3))
  if (name.length > 64) return undefined
  return names
    .map(n => ({ n, distance: distance(name, n) }))
    .filter(c => c.distance <= limit)
    .sort((a, b) => a.distance - b.distance)[0]?.n
}

/** Optimal string alignment distance. */
function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let d = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) d = Math.min(d, rows[i - 2]![j - 2]! + 1)
      row.push(d)
    }
    rows.push(row)
  }
  return rows[a.length]![b.length]!
}
