/** `verit model` as a person types it: keys, signatures, trust. */
import assert from 'node:assert/strict'
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { veritSync } from './cli.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-model-'))
after(() => rmSync(dir, { recursive: true }))
const model = (...args: string[]) => veritSync(['model', ...args], { cwd: dir })

test('keygen, sign, verify and digest work together; a changed file ends with 1', () => {
  mkdirSync(join(dir, 'm'))
  writeFileSync(join(dir, 'm', 'a.gguf'), 'content')
  const made = model('keygen', 'signer.pem')
  assert.equal(made.status, 0, made.stderr)
  assert.equal(statSync(join(dir, 'signer.pem')).mode & 0o777, 0o600)
  assert.doesNotMatch(made.stdout + readFileSync(join(dir, 'signer.pub'), 'utf8'), /PRIVATE/)
  assert.equal(model('keygen', 'signer.pem').status, 2)

  for (const target of ['m/a.gguf', 'm']) {
    // the signature of the file lies in the folder, and is signed with it
    assert.equal(model('sign', target, '--key', 'signer.pem').status, 0)
    assert.match(model('sign', target, '--key', 'signer.pem').stderr, /VERIT_FILE_EXISTS/)
    const verified = model('verify', target, '--public-key', 'signer.pub', '--json')
    assert.equal(verified.status, 0, verified.stderr)
    assert.equal((JSON.parse(verified.stdout) as { verified: boolean }).verified, true)
  }
  assert.match(
    model('digest', 'm/a.gguf').stdout,
    /^sha256:ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73 {2}a\.gguf\n$/
  )
  appendFileSync(join(dir, 'm', 'a.gguf'), '.')
  const changed = model('verify', 'm/a.gguf', '--public-key', 'signer.pub')
  assert.equal(changed.status, 1)
  assert.match(changed.stderr, /VERIT_MODEL_CHANGED/)
})

test('keys that others can use, or of other kinds, are refused', () => {
  writeFileSync(join(dir, 'x.gguf'), '')
  assert.equal(model('keygen', 'other.pem', '--type', 'p384').status, 0)
  chmodSync(join(dir, 'other.pem'), 0o640)
  assert.match(
    model('sign', 'x.gguf', '--key', 'other.pub').stderr,
    /it is a public key.*private key that belongs to it.*VERIT_KEY_FILE/
  )
  assert.match(model('sign', 'x.gguf', '--key', 'other.pem').stderr, /chmod 600.*VERIT_KEY_FILE/)
  chmodSync(join(dir, 'other.pem'), 0o600)
  chmodSync(join(dir, 'x.gguf'), 0o666)
  assert.match(model('sign', 'x.gguf', '--key', 'other.pem').stderr, /chmod go-w.*VERIT_OTHERS_WRITE/)
  assert.match(
    model('verify', 'x.gguf', '--bundle', 'other.pub', '--public-key', 'other.pem').stderr,
    /not one public key.*VERIT_KEY_FILE/
  )
})

test('trust is added, shown and removed; a policy verifies', () => {
  assert.equal(model('keygen', 'team.pem').status, 0)
  writeFileSync(join(dir, 'team-a.gguf'), 'x')
  assert.equal(model('sign', 'team-a.gguf', '--key', 'team.pem').status, 0)
  const trust = (...args: string[]) => model('trust', ...args, '--state', 'state')
  const digest = `sha256:${'0'.repeat(64)}`
  assert.equal(trust('add', '--signer', 'team', '--public-key', 'team.pub', '--model', 'team-*').status, 0)
  assert.equal(trust('add', '--digest', digest, '--name', 'my').status, 0)
  const wrong = trust('add', '--digest', 'nonsense', '--name', 'my')
  assert.match(`${wrong.status} ${wrong.stderr}`, /^2 .*--digest.*64 hexadecimal digits/)
  // without sha256:, as sha256sum prints it
  assert.equal(trust('add', '--digest', digest.slice(7), '--name', 'my').status, 0)
  assert.equal(statSync(join(dir, 'state', 'trust.toml')).mode & 0o777, 0o600)
  const shown = JSON.parse(trust('list', '--json').stdout) as {
    signers: { name: string }[]
    digests: Record<string, string[]>
  }
  assert.deepEqual([shown.signers.map(s => s.name), shown.digests], [['team', 'verit'], { my: [digest] }])
  assert.equal(model('verify', 'team-a.gguf', '--policy', 'state/trust.toml').status, 0)
  assert.equal(trust('remove', '--signer', 'team', '--name', 'my').status, 0)
  assert.match(model('verify', 'team-a.gguf', '--policy', 'state/trust.toml').stderr, /VERIT_SIGNER/)
  const failed = model('verify', 'team-a.gguf', '--policy', 'state/trust.toml', '--json')
  assert.equal(failed.status, 1)
  const { ok, code, problem } = JSON.parse(failed.stdout) as { ok: boolean; code: string; problem: string }
  assert.deepEqual([ok, code], [false, 'VERIT_SIGNER'])
  assert.match(problem, /none of those trusted/)
  assert.match(trust('remove', '--signer', 'team').stderr, /does not have the signer team.*VERIT_USAGE/)
})

test('a policy verifies by digest, too, and says what is missing where it has neither', () => {
  writeFileSync(join(dir, 'plain.gguf'), 'content')
  const trust = (...args: string[]) => model('trust', ...args, '--policy', 'digests.toml')
  assert.equal(trust('add', '--unsigned', 'other').status, 0)
  const missing = model('verify', 'plain.gguf', '--policy', 'digests.toml')
  assert.match(
    `${missing.status} ${missing.stderr}`,
    /^2 .*no signature plain\.gguf\.sig, and digests\.toml has no digest for the name plain\..*verit serve plain\.gguf --check\. \[VERIT_USAGE\]/
  )
  assert.equal(
    trust('add', '--name', 'plain', '--digest', 'ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73')
      .status,
    0
  )
  assert.match(
    model('verify', 'plain.gguf', '--policy', 'digests.toml').stdout,
    /^Trusted by digest: digests\.toml has sha256:ed70.* for the name plain\n$/
  )
  const { ok, by } = JSON.parse(model('verify', 'plain.gguf', '--policy', 'digests.toml', '--json').stdout) as {
    ok: boolean
    by: string
  }
  assert.deepEqual([ok, by], [true, 'digest'])
  appendFileSync(join(dir, 'plain.gguf'), '.')
  assert.match(
    model('verify', 'plain.gguf', '--policy', 'digests.toml').stderr,
    /not one of those that digests\.toml trusts.*--name plain --policy digests\.toml\. \[VERIT_UNTRUSTED\]/
  )
})
