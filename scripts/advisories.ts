/**
 * Asks the registry for known weaknesses of what runs with Verit, and stores the answer with its date for `verit
 * doctor`: `node scripts/advisories.ts`, before each release (scripts/release.ts wants an answer of the last 14 days).
 * Where the registry does not answer such questions, it says so in one line, ends with 1 and leaves the stored answer
 * as it is. `--check`, for CI, stores nothing: it ends with 1 on a grave weakness, and warns in one line where the
 * registry does not answer within a minute.
 */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { storedAuditPath } from '../src/doctor/advisories.ts'
import type { StoredAudit } from '../src/doctor/advisories.ts'

/** The part of `npm audit --json` (audit report version 2) that is kept. */
export interface AuditReport {
  auditReportVersion?: number
  vulnerabilities?: Record<
    string,
    {
      name: string
      severity: string
      range: string
      via: (string | { title: string; url: string; severity: string; range: string })[]
    }
  >
  metadata?: { dependencies?: { prod?: number; total?: number } }
}

/** @throws Error where the report is none */
export function storedAudit(report: AuditReport, date: Date): StoredAudit {
  const packages = report.metadata?.dependencies?.prod
  if (report.auditReportVersion !== 2 || report.vulnerabilities === undefined || packages === undefined)
    throw new Error('npm audit gave no report')
  // A name under `via` stands for an advisory of that package, which has an entry of its own.
  const advisories = Object.values(report.vulnerabilities).flatMap(v =>
    v.via
      .filter(a => typeof a !== 'string')
      .map(({ title, url, severity, range }) => ({ package: v.name, severity, title, url, range }))
  )
  return { date: date.toISOString(), packages, advisories }
}

/**
 * What CI says of a report, and whether it fails: on weaknesses that are high or critical, of packages that run with
 * Verit.
 */
export function verdict(json: string, date: Date): { failed: boolean; says: string } {
  let audit: StoredAudit
  try {
    audit = storedAudit(JSON.parse(json) as AuditReport, date)
  } catch {
    return {
      failed: false,
      says:
        'warning: the registry did not say what it knows of our dependencies; whether they have known ' +
        'weaknesses was not checked'
    }
  }
  const grave = audit.advisories.filter(a => a.severity === 'high' || a.severity === 'critical')
  const lesser = audit.advisories.length - grave.length
  if (grave.length === 0)
    return {
      failed: false,
      says:
        `${audit.packages} dependencies without a grave known ` +
        `weakness${lesser === 0 ? '' : `, ${lesser} lesser ones`}`
    }
  return {
    failed: true,
    says: grave
      .map(a => `${a.package} ${a.range} has a known weakness (${a.severity}): ${a.title}, ${a.url}`)
      .join('\n')
  }
}

const MOST_MS = 60_000

/** Stores the answer. @returns why it was not stored */
export function store(json: string, date: Date, path: string): string | undefined {
  let audit: StoredAudit
  try {
    audit = storedAudit(JSON.parse(json) as AuditReport, date)
  } catch {
    return (
      `The registry did not say what it knows of our dependencies, so ${path} was not written. Ask one that ` +
      `answers \`npm audit\``
    )
  }
  writeFileSync(path, `${JSON.stringify(audit, null, 2)}\n`)
  return undefined
}

if (import.meta.main) {
  const check = process.argv.includes('--check')
  const limits = check ? ['--fetch-timeout=15000', '--fetch-retries=1'] : []
  const timeout = check ? { timeout: MOST_MS } : {}
  const args = ['audit', '--omit=dev', '--json', ...limits]
  const { stdout } = spawnSync('npm', args, { encoding: 'utf8', shell: process.platform === 'win32', ...timeout })
  const answer = stdout ?? ''
  if (check) {
    const { failed, says } = verdict(answer, new Date())
    process.stderr.write(`${says}\n`)
    process.exitCode = failed ? 1 : 0
  } else {
    const problem = store(answer, new Date(), storedAuditPath())
    if (problem !== undefined) {
      process.stderr.write(`${problem}.\n`)
      process.exitCode = 1
    }
  }
}
