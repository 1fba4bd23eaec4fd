/**
 * Asks the registry for known weaknesses of what runs with Verit, and stores the answer with its date for `verit doctor`: `node scripts/advisories.ts`, before
 * each release. A registry that does not answer such questions ends it with 1 and leaves what was stored before.
 */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { storedAuditPath } from '../src/doctor/advisories.ts'
import type { StoredAudit } from '../src/doctor/advisories.ts'

/** The part of `npm audit --json` (audit report version 2) that is kept. */
export interface AuditReport {
  auditReportVersion?: number
  vulnerabilities?: Record<string, { name: string; severity: string; range: string; via: (string | { title: string; url: string; severity: string; range: string })[] }>
  metadata?: { dependencies?: { prod?: number; total?: number } }
}

/** @throws Error where the report is none */
export function storedAudit(report: AuditReport, date: Date): StoredAudit {
  const packages = report.metadata?.dependencies?.prod
  if (report.auditReportVersion !== 2 || report.vulnerabilities === undefined || packages === undefined) throw new Error('npm audit gave no report')
  // A name under `via` stands for an advisory of that package, which has an entry of its own.
  const advisories = Object.values(report.vulnerabilities).flatMap(v => v.via.filter(a => typeof a !== 'string')
    .map(({ title, url, severity, range }) => ({ package: v.name, severity, title, url, range })))
  return { date: date.toISOString(), packages, advisories }
}

if (import.meta.main) {
  const { stdout } = spawnSync('npm', ['audit', '--omit=dev', '--json'], { encoding: 'utf8', shell: process.platform === 'win32' })
  writeFileSync(storedAuditPath(), `${JSON.stringify(storedAudit(JSON.parse(stdout) as AuditReport, new Date()), null, 2)}\n`)
}
