/**
 * The key ceremony, in a small checkout of its own; and that the pages of this one show the fingerprints of what lies
 * beside them.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { hash } from 'node:crypto'
import {
  chmodSync,
  cpSync,
  existsSync,
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
import { PAGES, fingerprints, withFingerprints } from '../scripts/ceremony.ts'
import { publicKeyFromPem } from '../src/trust/model-key.ts'
import { decideTrust } from '../src/trust/model-trust.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-ceremony-'))
after(() => rmSync(dir, { recursive: true }))
const root = join(import.meta.dirname, '..')
const script = join(root, 'scripts/ceremony.ts')

/** A checkout with the pages and a model that is a few bytes. */
function checkout(name: string): string {
  const at = join(dir, name)
  mkdirSync(join(at, 'models'), { recursive: true })
  for (const page of PAGES) cpSync(join(root, page), join(at, page))
  writeFileSync(join(at, 'models/verit-sotu.gguf'), 'GGUF', { mode: 0o600 })
  return at
}
const ceremony = (at: string, ...args: string[]) =>
  spawnSync(process.execPath, [script, '--root', at, ...args], { encoding: 'utf8' })

/** Whether the model of a checkout is trusted by the key beside it. */
function trusted(at: string): boolean {
  const pem = readFileSync(join(at, 'models/verit.pub'), 'utf8')
  const path = join(at, 'models/verit-sotu.gguf')
  const policy = {
    source: 'here',
    file: {},
    signers: [{ name: 'verit', key: publicKeyFromPem(pem, 'here'), models: ['verit-sotu'] }]
  }
  const bundle = { bytes: readFileSync(`${path}.sig`), source: `${path}.sig` }
  return (
    decideTrust(policy, {
      path,
      name: 'verit-sotu',
      digest: `sha256:${hash('sha256', readFileSync(path))}`,
      bundle,
      signedAs: undefined,
      allowUnsigned: false
    }).by === 'signature'
  )
}

test(
  'SECURITY.md and docs/internals/releases.md show the fingerprints of the key and the model in this ' + 'checkout',
  () => {
    const own = fingerprints(root)
    assert.equal(own.key, hash('sha256', readFileSync(join(root, 'models/verit.pub'))))
    for (const page of PAGES) {
      const text = readFileSync(join(root, page), 'utf8')
      assert.equal(withFingerprints(text, own), text, page)
    }
  }
)

test('a ceremony makes two keys in two places outside of the checkout, and signs the model with the first', () => {
  const at = checkout('both')
  const out = join(dir, 'current')
  const next = join(dir, 'next')
  const done = ceremony(at, '--out', out, '--next', next)
  assert.equal(done.status, 0, done.stderr)
  const keys = [join(out, 'release'), join(next, 'release-next')]
  for (const key of keys) {
    if (process.platform !== 'win32') assert.equal(statSync(`${key}.pem`).mode & 0o777, 0o600)
    assert.ok(done.stdout.includes(hash('sha256', readFileSync(`${key}.pub`))))
    assert.doesNotMatch(done.stdout, /PRIVATE/)
  }
  assert.deepEqual(readFileSync(join(at, 'models/verit.pub')), readFileSync(`${keys[0]}.pub`))
  assert.ok(trusted(at))
  assert.ok(PAGES.every(page => readFileSync(join(at, page), 'utf8').includes(fingerprints(at).key)))

  const before = readFileSync(`${keys[0]}.pem`)
  assert.match(
    ceremony(at, '--out', out, '--next', join(dir, 'third')).stderr,
    /exists already\. A ceremony replaces no key/
  )
  assert.deepEqual(readFileSync(`${keys[0]}.pem`), before)
  const open = join(dir, 'open')
  mkdirSync(open)
  chmodSync(open, 0o755)
  const refused: [string[], RegExp][] = [
    [['--out', join(at, 'keys'), '--next', next], /is in the checkout/],
    [['--out', join(dir, 'same'), '--next', join(dir, 'same')], /different places/],
    [[], /usage/],
    ...(process.platform === 'win32'
      ? []
      : [[['--out', open, '--next', next], /Others can look into/] as [string[], RegExp]])
  ]
  for (const [args, says] of refused) {
    const { status, stderr } = ceremony(at, ...args)
    assert.equal(status, 1)
    assert.match(stderr, says)
  }
  assert.ok(!existsSync(join(at, 'keys')))
})

test('an ephemeral ceremony signs the model and leaves no private key anywhere', () => {
  const at = checkout('ephemeral')
  const { status, stdout, stderr } = ceremony(at, '--ephemeral')
  assert.equal(status, 0, stderr)
  assert.ok(trusted(at))
  const files = ['models/verit.pub', 'models/verit-sotu.gguf.sig', ...PAGES].map(file =>
    readFileSync(join(at, file), 'utf8')
  )
  assert.doesNotMatch([stdout, ...files].join(), /PRIVATE KEY-----/)
  const key = fingerprints(at).key
  assert.ok(stdout.includes(key))
  ceremony(at, '--ephemeral')
  assert.notEqual(fingerprints(at).key, key)
})
