/** `verit doctor` as a user runs it: its exit statuses, its JSON and its lines. */
import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { defaultModelPath } from '../src/lib/default-model.ts'
import { digestFile } from '../src/trust/digest.ts'
import { verit } from './cli.ts'
import type { Ended } from './cli.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-doctor-cli-'))
after(() => rmSync(dir, { recursive: true }))
const doctor = (state: string, ...args: string[]): Promise<Ended> =>
  verit(['doctor', '--state', join(dir, state), ...args], { env: { NODE_OPTIONS: undefined } })

test(
  'the doctor ends with 1 on problems, with 2 on wrong use, and tells programs in JSON',
  { skip: process.platform === 'win32' && 'Windows has no modes' },
  async () => {
    mkdirSync(join(dir, 'open'))
    chmodSync(join(dir, 'open'), 0o755)
    writeFileSync(join(dir, 'verit.toml'), '[listen]\nhost = "0.0.0.0"\n', { mode: 0o600 })
    const [fresh, open, none, exposed] = await Promise.all([
      doctor('new', '--json'),
      doctor('open', '--quiet'),
      doctor('new', '--config', join(dir, 'none.toml')),
      doctor('new', '--config', join(dir, 'verit.toml'), '--quiet', '--json')
    ])
    const report = JSON.parse(fresh.stdout) as {
      counts: Record<string, number>
      findings: { check: string; level: string; fix?: string }[]
    }
    assert.equal(fresh.status, 0, fresh.stdout)
    assert.equal(report.counts['problem'], 0)
    assert.ok(report.findings.every(f => f.fix !== undefined || f.level === 'ok' || f.level === 'note'))
    assert.equal(report.findings.find(f => f.check === 'model.contents')?.level, 'ok')
    assert.equal(open.status, 1)
    assert.match(open.stdout, /^problem +The state of the server/m)
    assert.doesNotMatch(open.stdout, /^ok/m)
    assert.ok(open.stdout.split('\n').every(line => line.length <= 80 || !line.trim().includes(' ')))
    assert.deepEqual([none.status, exposed.status], [2, 1])
    assert.ok((JSON.parse(exposed.stdout) as typeof report).findings.every(f => f.level !== 'ok'))
  }
)

test('doctor examines a trusted model and names the first fault and the command that shows all', async () => {
  const path = join(dir, 'cut.gguf')
  writeFileSync(path, readFileSync(defaultModelPath()).subarray(0, 3_000_000), { mode: 0o600 })
  writeFileSync(join(dir, 'trust.toml'), `[digests]\ncut = ["${await digestFile(path)}"]\n`, { mode: 0o600 })
  writeFileSync(join(dir, 'cut.toml'), `[trust]\npolicy = "${join(dir, 'trust.toml')}"\n`, { mode: 0o600 })
  const [trusted, unknown] = await Promise.all([
    doctor('new', '--model', path, '--config', join(dir, 'cut.toml'), '--json'),
    doctor('new', '--model', path, '--json')
  ])
  type Report = { findings: { check: string; level: string; says: string; fix: string }[] }
  const found = (text: string) =>
    (JSON.parse(text) as Report).findings.filter(f => f.check.startsWith('model.')).map(f => [f.check, f.level])
  assert.deepEqual(found(trusted.stdout), [
    ['model.trust', 'ok'],
    ['model.contents', 'problem']
  ])
  assert.deepEqual(found(unknown.stdout), [['model.trust', 'problem']])
  const { says, fix } = (JSON.parse(trusted.stdout) as Report).findings.find(f => f.check === 'model.contents')!
  assert.match(
    says,
    /cut\.gguf has 5 faults, the first: at byte 3000000, the file is cut: it has 3000000 of \d+ bytes$/
  )
  assert.match(fix, /^`verit inspect --strict .*cut\.gguf` shows all/)
})
