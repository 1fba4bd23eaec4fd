import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync, chmodSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { defaultModelPath } from '../lib/default-model.ts'
import { VeritError } from '../lib/errors.ts'
import type { ErrorCode } from '../lib/errors.ts'
import { digestBytes, digestFile } from './digest.ts'
import { modelKey, publicPem } from './model-key.ts'
import { decideTrust } from './model-trust.ts'
import type { TrustQuestion } from './model-trust.ts'
import { signModel } from './oms-sign.ts'
import { changeTrustPolicy, fitsAny, loadTrustPolicy, parseTrustPolicy, writeTrustPolicy } from './trust-policy.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-trust-'))
after(() => rmSync(dir, { recursive: true }))
const code =
  (expected: ErrorCode, problem = /./) =>
  (e: unknown): boolean =>
    (VeritError.is(e, expected) && problem.test(e.message)) || assert.fail(`not ${expected} ${problem}: ${String(e)}`)
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
const key = { ...modelKey(publicKey, 'test'), privateKey }
const path = join(dir, 'team-a.gguf')
writeFileSync(path, 'weights')
const digest = digestBytes('weights')
const bundle = { bytes: Buffer.from(await signModel(path, key)), source: `${path}.sig` }
const question: TrustQuestion = { path, digest, bundle: undefined, allowUnsigned: false }
const policy = (more = '', models = '["team-*"]') =>
  parseTrustPolicy(
    `${more}\n[signers.team]\nmodels = ${models}\npublic_key = ${JSON.stringify(publicPem(publicKey))}`,
    'trust.toml'
  )

test('without a policy the default model is trusted by its signature, offline, and no other', async () => {
  const none = loadTrustPolicy(join(dir, 'none.toml'), true)
  const model = defaultModelPath()
  const asked = {
    path: model,
    digest: await digestFile(model),
    bundle: { bytes: readFileSync(`${model}.sig`), source: `${model}.sig` },
    allowUnsigned: false
  }
  assert.deepEqual(decideTrust(none, asked), { by: 'signature', signer: 'verit' })
  assert.throws(() => decideTrust(none, { ...asked, digest }), code('VERIT_MODEL_CHANGED'))
  assert.throws(() => decideTrust(none, { ...asked, bundle: undefined }), code('VERIT_UNTRUSTED'))
  assert.throws(
    () => decideTrust(none, question),
    code('VERIT_UNTRUSTED', new RegExp(`not signed.*verit model trust add --digest ${digest} --name team-a `))
  )
  assert.throws(() => decideTrust(parseTrustPolicy('default_model = false', 'x'), asked), code('VERIT_UNTRUSTED'))
})

test('a signer counts for the names that it may sign', () => {
  assert.deepEqual(decideTrust(policy(), { ...question, bundle }), { by: 'signature', signer: 'team' })
  assert.throws(
    () => decideTrust(policy('', '["other"]'), { ...question, bundle }),
    code('VERIT_UNTRUSTED', /none of those trusted/)
  )
  assert.throws(
    () => decideTrust(policy(), { ...question, bundle, digest: digestBytes('x') }),
    code('VERIT_MODEL_CHANGED')
  )
  assert.throws(
    () =>
      decideTrust(policy('unsigned = "allow"'), { ...question, bundle, digest: digestBytes('x'), allowUnsigned: true }),
    code('VERIT_MODEL_CHANGED')
  )
  assert.throws(
    () => decideTrust(policy(), { ...question, bundle, path: join(dir, 'team-b.gguf') }),
    code('VERIT_MODEL_CHANGED', /named team-a/)
  )
  assert.throws(
    () => decideTrust(policy(), { ...question, bundle: { ...bundle, bytes: Buffer.from('gpg') } }),
    code('VERIT_UNTRUSTED')
  )
})

test('a digest is trusted under its name, which may then have no other', () => {
  const pinned = parseTrustPolicy(`unsigned = "allow"\n[digests]\nteam-a = ["${digest}"]`, 'x')
  assert.deepEqual(decideTrust(pinned, question), { by: 'digest' })
  assert.throws(
    () => decideTrust(pinned, { ...question, digest: digestBytes('x'), allowUnsigned: true }),
    code('VERIT_UNTRUSTED', /meant to change/)
  )
  const other = parseTrustPolicy(`[digests]\nother = ["${digest}"]`, 'x')
  assert.throws(() => decideTrust(other, question), code('VERIT_UNTRUSTED'))
  assert.deepEqual(decideTrust(other, { ...question, name: 'other' }), { by: 'digest' })
})

test('a model may go without where the policy or the operator says so', () => {
  const without = { by: 'unsigned' }
  assert.deepEqual(decideTrust(parseTrustPolicy('unsigned = "allow"', 'x'), question), without)
  assert.deepEqual(decideTrust(parseTrustPolicy('allow_unsigned = ["team-*"]', 'x'), question), without)
  assert.deepEqual(decideTrust(parseTrustPolicy('', 'x'), { ...question, allowUnsigned: true }), without)
  assert.throws(() => decideTrust(parseTrustPolicy('allow_unsigned = ["x*"]', 'x'), question), code('VERIT_UNTRUSTED'))
})

test('a policy says what it means or is refused', () => {
  for (const text of [
    'unsigned = "maybe"',
    'unsinged = "allow"',
    'allow_unsigned = "x"',
    '[digests]\na = "sha256:00"',
    '[digests]\na = ["sha256:00"]',
    '[signers.a]\nmodels = ["x"]',
    '= 1',
    `[signers.verit]\nmodels = ["*"]\npublic_key = ${JSON.stringify(publicPem(publicKey))}`,
    `[signers."a b"]\nmodels = ["*"]\npublic_key = ${JSON.stringify(publicPem(publicKey))}`
  ])
    assert.throws(() => parseTrustPolicy(text, 'trust.toml'), code('VERIT_TRUST'), text)
  assert.throws(() => parseTrustPolicy('[signers.a]\nmodels = ["*"]\npublic_key = "x"', 'x'), code('VERIT_KEY_FILE'))
  fc.assert(
    fc.property(fc.string(), text => {
      try {
        parseTrustPolicy(text, 'x')
      } catch (e) {
        assert.ok(VeritError.is(e), String(e))
      }
    })
  )
})

test('what is written is read again; a file that others may write to is refused', () => {
  const file = join(dir, 'trust.toml')
  const written = changeTrustPolicy(loadTrustPolicy(file, true), {
    ...policy('allow_ed25519 = true').file,
    digests: { 'a b': [digest], ['__proto__']: [digest] },
    allow_unsigned: ['x*']
  })
  writeTrustPolicy(written)
  assert.deepEqual(loadTrustPolicy(file).file, written.file)
  assert.ok(Object.hasOwn(loadTrustPolicy(file).file.digests!, '__proto__'))
  chmodSync(file, 0o620)
  assert.throws(() => loadTrustPolicy(file), code('VERIT_OTHERS_WRITE'))
  assert.throws(() => loadTrustPolicy(join(dir, 'none.toml')), code('VERIT_FILE_NOT_FOUND'))
})

test('names with stars fit as the same regular expression would', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 8 })
  fc.assert(
    fc.property(text, text, (name, pattern) => {
      assert.equal(fitsAny(name, [pattern]), new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(name))
    }),
    { numRuns: 2000 }
  )
})
