/** `verit doctor` as a process: its exit statuses, its JSON and its lines. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const dir = mkdtempSync(join(tmpdir(), 'verit-doctor-cli-'))
after(() => rmSync(dir, { recursive: true }))
const main = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))
const { NODE_OPTIONS: _, ...env } = process.env
const doctor = (state: string, ...args: string[]): Promise<{ status: unknown; stdout: string }> => new Promise(resolve => {
  execFile(process.execPath, [main, 'doctor', '--state', join(dir, state), ...args], { env }, (e, stdout) => resolve({ status: e === null ? 0 : e.code, stdout }))
})

test('the doctor ends with 1 on problems, with 2 on wrong use, and tells programs in JSON', { skip: process.platform === 'win32' && 'Windows has no modes' }, async () => {
  mkdirSync(join(dir, 'open'))
  chmodSync(join(dir, 'open'), 0o755)
  writeFileSync(join(dir, 'verit.toml'), '[listen]\nhost = "0.0.0.0"\n', { mode: 0o600 })
  const [fresh, open, none, exposed] = await Promise.all([
    doctor('new', '--json'), doctor('open', '--quiet'), doctor('new', '--config', join(dir, 'none.toml')), doctor('new', '--config', join(dir, 'verit.toml'), '--quiet', '--json'),
  ])
  const report = JSON.parse(fresh.stdout) as { counts: Record<string, number>; findings: { check: string; level: string; fix?: string }[] }
  assert.equal(fresh.status, 0, fresh.stdout)
  assert.equal(report.counts['problem'], 0)
  assert.ok(report.findings.every(f => f.fix !== undefined || f.level === 'ok' || f.level === 'note'))
  assert.equal(open.status, 1)
  assert.match(open.stdout, /^problem +The state of the server/m)
  assert.doesNotMatch(open.stdout, /^ok/m)
  assert.ok(open.stdout.split('\n').every(line => line.length <= 80 || !line.trim().includes(' ')))
  assert.deepEqual([none.status, exposed.status], [2, 1])
  assert.ok((JSON.parse(exposed.stdout) as typeof report).findings.every(f => f.level !== 'ok'))
})
