import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const dir = mkdtempSync(join(tmpdir(), 'verit-doctor-cli-'))
after(() => rmSync(dir, { recursive: true }))
const main = fileURLToPath(new URL('main.ts', import.meta.url))
const { NODE_OPTIONS: _, ...env } = process.env
const doctor = (...args: string[]) => spawnSync(process.execPath, [main, 'doctor', '--state', join(dir, 'state'), ...args], { encoding: 'utf8', env })

test('the doctor ends with 1 on problems, with 2 on wrong use, and tells programs in JSON', { skip: process.platform === 'win32' && 'Windows has no modes' }, () => {
  const fresh = doctor('--json')
  const report = JSON.parse(fresh.stdout) as { counts: Record<string, number>; findings: { check: string; level: string; fix?: string }[] }
  assert.equal(fresh.status, 0, fresh.stdout)
  assert.equal(report.counts['problem'], 0)
  assert.ok(report.findings.every(f => f.fix !== undefined || f.level === 'ok' || f.level === 'note'))
  mkdirSync(join(dir, 'state'))
  chmodSync(join(dir, 'state'), 0o755)
  const open = doctor('--quiet')
  assert.equal(open.status, 1)
  assert.match(open.stdout, /^problem +The state of the server/m)
  assert.doesNotMatch(open.stdout, /^ok/m)
  assert.ok(open.stdout.split('\n').every(line => line.length <= 80 || !line.trim().includes(' ')))
  assert.equal(doctor('--config', join(dir, 'none.toml')).status, 2)
  writeFileSync(join(dir, 'verit.toml'), '[listen]\nhost = "0.0.0.0"\n', { mode: 0o600 })
  assert.equal(doctor('--config', join(dir, 'verit.toml')).status, 1)
})
