/**
 * Keeps the baselines of keys over a restart, in a file of the state folder that only its owner can read. It holds key
 * ids and counts, no texts. A file that is damaged or not private is ignored, and the watch learns anew.
 */
import { existsSync } from 'node:fs'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { VeritError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { replaceFile } from '../lib/replace-file.ts'
import { readTrusted } from '../lib/trusted-file.ts'
import { baselineNames } from './key-history.ts'
import type { HistoryNumbers } from './key-history.ts'
import type { Watch } from './watch.ts'
import { hoursOfWeek } from './week.ts'

/** 5,000 keys take about 10 MB. */
const MAX_BYTES = 32 << 20
const closed = { additionalProperties: false } as const

const count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
const amount = Type.Number({ minimum: 0, maximum: 1e30 })
const baseline = Type.Object({ count, mean: amount, variance: amount, peak: amount }, closed)
const history = Type.Object(
  {
    first: count,
    last: count,
    week: Type.Object(
      {
        hours: Type.Array(amount, { minItems: hoursOfWeek, maxItems: hoursOfWeek }),
        week: count,
        days: count,
        lastDay: Type.Integer({ minimum: -1, maximum: 1e9 })
      },
      closed
    ),
    baselines: Type.Object(Object.fromEntries(baselineNames.map(name => [name, baseline])), closed)
  },
  closed
)
const keys = Type.Record(Type.String({ pattern: '^key_[0-9a-f]{12}$' }), history, closed)
const BaselineFile = Type.Object({ version: Type.Literal(1), keys }, closed)

/** Loads the file into the watch if it is usable; otherwise warns. */
export function loadBaselines(path: string, watch: Watch, log: Log): void {
  if (!existsSync(path)) return
  try {
    const bytes = readTrusted(path, { kind: 'state', purpose: 'what was usual for keys', limit: MAX_BYTES })
    const parsed: unknown = JSON.parse(bytes.toString('utf8'))
    if (!Value.Check(BaselineFile, parsed)) throw new Error('it is not a file of baselines, version 1')
    watch.restore((parsed as unknown as { keys: Record<string, HistoryNumbers> }).keys)
  } catch (e) {
    log.warn(
      { path, problem: VeritError.is(e) ? e.what : (e as Error).message },
      'what was usual for keys cannot be read: the watch learns it anew'
    )
  }
}

/** Replaces the file as a whole. A failure is logged. */
export async function saveBaselines(path: string, watch: Watch, log: Log): Promise<void> {
  try {
    await replaceFile(path, JSON.stringify({ version: 1, keys: watch.baselines() }))
  } catch (e) {
    log.warn({ path, problem: (e as Error).message }, 'what is usual for keys was not saved')
  }
}
