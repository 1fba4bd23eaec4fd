/**
 * Every file that holds a secret or decides something, by the function that reads it, with each permission that its
 * class forbids: one sibling must not accept what another refuses (finding 9). test/file-openings.test.ts finds a file
 * that has no row here.
 */
import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { loadTextsKey, openAuditLog } from '../src/audit/audit-log.ts'
import { newTextsKey } from '../src/audit/sealed-texts.ts'
import { tokenFrom } from '../src/cli/hub-token.ts'
import { newKeyPair, readKeyFile, writeKeyFile } from '../src/client/key-file.ts'
import { readLock, writeLock } from '../src/hub/lock-file.ts'
import { defaultModelPath } from '../src/lib/default-model.ts'
import { VeritError } from '../src/lib/errors.ts'
import { secretSetting } from '../src/lib/secret-setting.ts'
import { defaultConfig } from '../src/server/config.ts'
import { loadConfig } from '../src/server/config-file.ts'
import { serverKey } from '../src/server/server-key.ts'
import { readTls } from '../src/server/tls.ts'
import { askTrust } from '../src/server/trust-check.ts'
import { databaseUrl } from '../src/store/database-url.ts'
import { openStore } from '../src/store/open-store.ts'
import { rateUrl } from '../src/store/rate-url.ts'
import { newModelKey, readPrivateModelKey } from '../src/trust/model-key.ts'
import { loadTrustPolicy } from '../src/trust/trust-policy.ts'
import { makeCertificate } from './certificates.ts'
import { veritSync } from './cli.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-trusted-files-'))
after(() => rmSync(dir, { recursive: true }))
const posix = { skip: process.platform === 'win32' && 'Windows has no such modes' }

const at = (name: string, content: string | Buffer): string => {
  const path = join(dir, name)
  writeFileSync(path, content, { mode: 0o600 })
  return path
}
const certificate = makeCertificate({ subject: 'server', purpose: 'server' })
const authority = makeCertificate({ subject: 'authority', purpose: 'ca' })
const tls = {
  tlsCert: at('cert.pem', certificate.cert),
  tlsKey: at('key.pem', certificate.key),
  tlsClientCa: at('ca.pem', authority.cert)
}
const texts = at('texts.pub', newTextsKey().publicKey)
const trust = at('trust.toml', '')
const config = at('verit.toml', '')
const model = at('verit-sotu.gguf', readFileSync(defaultModelPath()))
const signature = `${model}.sig`
copyFileSync(`${defaultModelPath()}.sig`, signature)
chmodSync(signature, 0o600)
const lock = join(dir, 'verit.lock')
writeLock(lock, new Map())
chmodSync(lock, 0o600)
const clientKey = join(dir, 'client.key.json')
writeKeyFile(clientKey, { kind: 'ed25519', keyid: 'key_00000000000a.1', privateKey: newKeyPair().privateKey })
const modelKey = at('model.pem', newModelKey('ed25519').privateKey)
const [database, rate] = [at('database', 'postgresql://verit:x@localhost/verit'), at('rate', 'redis://localhost')]
const [webhook, token, apiKey] = [at('webhook', 'whsec_x'), at('token', 'hf_x'), at('api', 'verit_x')]
const state = join(dir, 'state')
const inState = async (): Promise<void> => {
  await (await openStore({ stateFolder: state })).close()
  await (await openAuditLog(join(state, 'audit'))).close()
  serverKey(state)
}
await inState()
const setting = (name: string, path: string) => (): unknown => secretSetting(name, { [`${name}_FILE`]: path })
const audit = join(state, 'audit')
const openState = async (): Promise<void> => (await openStore({ stateFolder: state })).close()
const served = (): Promise<unknown> => askTrust({ path: model }, defaultConfig().trust, state)

/** The token of a hub is taken from the environment of the process alone. */
function withHubToken(path: string): unknown {
  process.env['HF_TOKEN_FILE'] = path
  try {
    return tokenFrom('HF_TOKEN')
  } finally {
    delete process.env['HF_TOKEN_FILE']
  }
}

type Kind = 'secret' | 'decides' | 'state'
/** What is read, the file, how it is read, its class. */
const files: readonly (readonly [name: string, path: string, read: () => unknown, kind: Kind])[] = [
  ['VERIT_DATABASE_URL_FILE', database, () => databaseUrl({ VERIT_DATABASE_URL_FILE: database }), 'secret'],
  ['VERIT_RATE_URL_FILE', rate, () => rateUrl({ VERIT_RATE_URL_FILE: rate }), 'secret'],
  ['VERIT_WEBHOOK_SECRET_FILE', webhook, setting('VERIT_WEBHOOK_SECRET', webhook), 'secret'],
  ['VERIT_API_KEY_FILE', apiKey, setting('VERIT_API_KEY', apiKey), 'secret'],
  ['HF_TOKEN_FILE', token, () => withHubToken(token), 'secret'],
  ['a key file of a client', clientKey, () => readKeyFile(clientKey), 'secret'],
  ['the private key of a signer', modelKey, () => readPrivateModelKey(modelKey), 'secret'],
  ['listen.tls_key', tls.tlsKey, () => readTls(tls), 'secret'],
  ['listen.tls_cert', tls.tlsCert, () => readTls(tls), 'decides'],
  ['listen.tls_client_ca', tls.tlsClientCa, () => readTls(tls), 'decides'],
  ['audit.texts_key', texts, () => loadTextsKey(texts), 'decides'],
  ['the configuration', config, () => loadConfig({ file: config }), 'decides'],
  ['trust.toml', trust, () => loadTrustPolicy(trust), 'decides'],
  ['the model', model, served, 'decides'],
  ['the signature of the model', signature, served, 'decides'],
  ['verit.lock', lock, () => readLock(lock), 'decides'],
  ['the secret of the server', join(state, 'secret'), openState, 'state'],
  ['the database', join(state, 'verit.sqlite'), openState, 'state'],
  ['the key that signs answers', join(state, 'server-key.pem'), () => serverKey(state), 'state'],
  ['the key of the audit log', join(audit, 'key'), async () => (await openAuditLog(audit)).close(), 'state']
]
const forbidden = {
  secret: [0o644, 0o640, 0o604, 0o660, 0o666, 0o602],
  decides: [0o666, 0o664, 0o620, 0o602],
  state: [0o644, 0o640, 0o604, 0o666]
}

/** The message of the refusal; '' where there is none. */
async function refusal(read: () => unknown): Promise<string> {
  try {
    await read()
    return ''
  } catch (e) {
    assert.ok(VeritError.is(e), String(e))
    return e.message
  }
}

test('no file is accepted with a permission that its class forbids; each refusal says what to run', posix, async () => {
  const wrong: string[] = []
  for (const [name, path, read, kind] of files) {
    assert.equal(await refusal(read), '', name)
    for (const mode of forbidden[kind]) {
      chmodSync(path, mode)
      const said = await refusal(read)
      const bits = `mode ${mode.toString(8)}`
      const isRight = said.includes(bits) && /chmod (600|go-w) /.test(said)
      if (!isRight) wrong.push(`${name} with ${bits}: ${said || 'accepted'}`)
    }
    chmodSync(path, 0o600)
  }
  assert.deepEqual(wrong, [])
})

const asRoot = { skip: process.geteuid?.() === 0 ? false : 'only root can give files away' }
test('no file of another user is accepted', asRoot, async () => {
  const wrong: string[] = []
  for (const [name, path, read] of files) {
    const { uid, gid } = statSync(path)
    chownSync(path, 65534, 65534)
    const said = await refusal(read)
    if (!/belongs to another user \(user id 65534\)/.test(said)) wrong.push(`${name}: ${said || 'accepted'}`)
    chownSync(path, uid, gid)
  }
  assert.deepEqual(wrong, [])
})

test('a command that is given a file others can use or change says so, and does nothing', posix, () => {
  const verit = (args: readonly string[], env: Record<string, string> = {}): string => {
    const { status, stderr } = veritSync(args, { env })
    return `${status} ${stderr}`
  }
  const open = (name: string, content: string, mode: number): string => {
    const path = at(name, content)
    chmodSync(path, mode)
    return path
  }
  const fresh = join(dir, 'fresh')
  const [openKey, openVerifier] = [open('open-api', 'verit_x', 0o644), open('open.vkey', 'x', 0o662)]
  const openRate = open('open-rate', 'redis://u:hunter2@localhost', 0o644)
  for (const [args, env, pattern] of [
    [['call', '/x', '--url', 'http://127.0.0.1:1'], { VERIT_API_KEY_FILE: openKey }, /^1 .*holds a secret.*mode 644/],
    [['audit', 'verify', '--state', state, '--key', openVerifier], {}, /^1 .*mode 662.*VERIT_OTHERS_WRITE/],
    [['serve', '--state', fresh, '--check'], { VERIT_RATE_URL_FILE: openRate }, /^1 .*mode 644.*VERIT_OTHERS_READ/]
  ] as const) {
    const said = verit([...args], env)
    assert.match(said, pattern, args.join(' '))
    assert.doesNotMatch(said, /hunter2|verit_x/)
  }
  assert.ok(!existsSync(join(fresh, 'verit.sqlite')))
})
