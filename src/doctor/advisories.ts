/**
 * Known weaknesses of our dependencies, offline: the result of the last `npm audit`, which `scripts/advisories.ts`
 * stores with its date at a release.
 */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Type } from 'typebox'
import type { Static } from 'typebox'
import { Value } from 'typebox/value'
import { runsFromSource } from '../lib/package-root.ts'
import { openRegular } from '../lib/regular-file.ts'
import { note, ok, problem, warning } from './finding.ts'
import type { Finding } from './finding.ts'

const DAY_MS = 86_400_000
const MOST_DAYS = 90
const MOST_BYTES = 1 << 20
const text = Type.String({ maxLength: 1000 })

export const StoredAudit = Type.Object(
  {
    /** ISO 8601, UTC. */
    date: text,
    /** Packages that were asked about. */
    packages: Type.Integer({ minimum: 0 }),
    advisories: Type.Array(
      Type.Object(
        { package: text, severity: text, title: text, url: text, range: text },
        { additionalProperties: false }
      ),
      { maxItems: 10_000 }
    )
  },
  { additionalProperties: false }
)
export type StoredAudit = Static<typeof StoredAudit>

export const storedAuditPath = (): string => fileURLToPath(new URL('../../docs/audit-advisories.json', import.meta.url))

/**
 * @param checkout whether the sources themselves run: there nobody has stored a result, and `npm audit` can be asked
 */
export function checkAdvisories(now: number, path = storedAuditPath(), checkout: boolean = runsFromSource): Finding[] {
  const unknown = 'No result of `npm audit` came with this copy: whether a dependency has a known weakness is not known'
  if (!existsSync(path) && checkout) return [note('advisories', unknown, 'Run `node scripts/advisories.ts --check`')]
  // npm sees no packages behind an installed Verit: their code is a part of it
  const again = 'Install the newest release, or give dist/sbom.cdx.json to a scanner that reads CycloneDX'
  if (!existsSync(path)) return [warning('advisories', unknown, again)]
  const audit = readStoredAudit(path)
  const made = audit === undefined ? NaN : Date.parse(audit.date)
  if (audit === undefined || Number.isNaN(made))
    return [warning('advisories', `The stored result of \`npm audit\` (${path}) cannot be read`, again)]
  const days = Math.floor((now - made) / DAY_MS)
  const found = audit.advisories.map(a => {
    const grave = a.severity === 'high' || a.severity === 'critical'
    return (grave ? problem : warning)(
      'advisories',
      `${a.package} ${a.range} has a known weakness (${a.severity}): ${a.title}`,
      `Update Verit, and read ${a.url}`
    )
  })
  if (days > MOST_DAYS)
    found.push(warning('advisories', `The stored result of \`npm audit\` is ${days} days old`, again))
  return found.length > 0
    ? found
    : [ok('advisories', `${audit.packages} dependencies without a known weakness on ${audit.date.slice(0, 10)}`)]
}

/** The stored result. Undefined if there is no valid file. */
export function readStoredAudit(path: string): StoredAudit | undefined {
  if (!existsSync(path)) return undefined
  const file = openRegular(path, 'the stored result of npm audit')
  try {
    if (file.size > MOST_BYTES) return undefined
    const bytes = file.readAll()
    const value: unknown = JSON.parse(bytes.toString('utf8'))
    return Value.Check(StoredAudit, value) ? value : undefined
  } catch (e) {
    if (e instanceof SyntaxError) return undefined
    throw e
  } finally {
    file.close()
  }
}
