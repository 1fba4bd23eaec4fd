/**
 * Signatures that are fetched with a model: what counts, what does not, and hubs that misuse them. The server is
 * test/hub-server.ts.
 */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { ModelStore } from '../src/hub/model-store.ts'
import { pull } from '../src/hub/pull.ts'
import type { Pulled } from '../src/hub/pull.ts'
import { resolveModel } from '../src/hub/resolve-model.ts'
import type { ErrorCode } from '../src/lib/errors.ts'
import { trustCheck } from '../src/server/trust-check.ts'
import { digestBytes } from '../src/trust/digest.ts'
import type { ModelTrust } from '../src/trust/model-trust.ts'
import { signModel } from '../src/trust/oms-sign.ts'
import { parseTrustPolicy } from '../src/trust/trust-policy.ts'
import { COMMIT, HubServer, Place } from './hub-server.ts'
import { signer } from './signed-file.ts'

const MODEL = Buffer.from('a model of which only the bytes matter here')
const SOURCE = 'hf:owner/repo/model.bin'
const folder = mkdtempSync(join(tmpdir(), 'verit-signed-'))
let hub: HubServer
before(async () => {
  hub = await HubServer.start()
})
after(async () => {
  await hub.stop()
  rmSync(folder, { recursive: true })
})
beforeEach(() => {
  hub.misbehave = hub.misbehaveForSignatures = undefined
  hub.seen.length = hub.seenSignatures.length = 0
  hub.files.clear()
  hub.put('model.bin', MODEL)
})

const team = signer(folder, 'team')
const stranger = signer(folder, 'stranger')
const policyText = `[signers.team]\npublic_key = """\n${team.publicKey}"""\nmodels = ["model.bin", "mine"]\n`
const policy = parseTrustPolicy(policyText, 'trust.toml')

/** A signature over these files, as one model; over a single one by its path alone. */
async function signed(files: Record<string, Uint8Array>, by = team): Promise<Buffer> {
  const root = mkdtempSync(join(folder, 'files-'))
  for (const [path, bytes] of Object.entries(files)) {
    mkdirSync(join(root, path, '..'), { recursive: true })
    writeFileSync(join(root, path), bytes, { mode: 0o600 })
  }
  return Buffer.from(await signModel(root, by.key))
}

/** What `verit serve NAME` decides. */
function serving(place: Place, name: string, text = policyText): ModelTrust {
  const state = join(place.folder, 'state')
  mkdirSync(state, { recursive: true, mode: 0o700 })
  writeFileSync(join(state, 'trust.toml'), text, { mode: 0o600 })
  const { path, pulled } = resolveModel(name, place.models)
  return trustCheck(path, pulled, { policy: '', allowUnsigned: false }, state)(digestBytes(readFileSync(path)))
}
const refuses = (work: () => unknown, code: ErrorCode, text: RegExp): void =>
  assert.throws(work, { code, message: text })

test(
  'a model with the signature of a trusted signer beside it may be served as it was pulled, by any name that ' +
    'signer may sign',
  async () => {
    using place = new Place()
    hub.put('model.bin.sig', await signed({ 'model.bin': MODEL }))
    const first = await pull(SOURCE, place.options(hub, { policy }))
    assert.deepEqual(
      [first.trust, first.signatureProblem, first.model.signature!.signedAs],
      [{ by: 'signature', signer: 'team' }, undefined, 'model.bin']
    )
    assert.deepEqual(
      hub.seenSignatures.map(s => s.path),
      [`/owner/repo/resolve/${COMMIT}/model.bin.sig`]
    )
    assert.deepEqual(serving(place, 'model.bin'), { by: 'signature', signer: 'team' })
    // again: from the store, without asking
    const again = await pull(SOURCE, place.options(hub, { policy }))
    assert.deepEqual(
      [again.fetched, again.trust, hub.seenSignatures.length],
      [false, { by: 'signature', signer: 'team' }, 1]
    )
    // other names
    await pull(SOURCE, place.options(hub, { policy, name: 'mine' }))
    assert.deepEqual(serving(place, 'mine'), { by: 'signature', signer: 'team' })
    const { trust } = await pull(SOURCE, place.options(hub, { policy, name: 'other' }))
    assert.equal(trust!.by, 'nothing')
    refuses(
      () => serving(place, 'other'),
      'VERIT_UNTRUSTED',
      /none of those trusted.*trust add --digest sha256:[0-9a-f]{64} --name other/
    )
    // the signature stays as long as a name needs it
    using store = new ModelStore(place.models)
    assert.deepEqual(store.gc(false), [])
  }
)

test('the signature of a whole repository covers a pulled file under its path there', async () => {
  hub.put('folder/model.bin', MODEL)
  hub.put(
    'model.sig',
    await signed({
      'README.md': Buffer.from('#'),
      'folder/model.bin': MODEL,
      'other/model.bin': Buffer.from('another')
    })
  )
  using place = new Place()
  const { trust, model } = await pull('hf:owner/repo/folder/model.bin', place.options(hub, { policy }))
  assert.deepEqual([trust, model.signature!.signedAs], [{ by: 'signature', signer: 'team' }, 'folder/model.bin'])
  assert.deepEqual(serving(place, 'model.bin'), { by: 'signature', signer: 'team' })
  // one by a trusted signer is taken, whichever it is
  hub.put('folder/model.bin.sig', await signed({ 'model.bin': MODEL }, stranger))
  using elsewhere = new Place()
  assert.deepEqual((await pull('hf:owner/repo/folder/model.bin', elsewhere.options(hub, { policy }))).trust, {
    by: 'signature',
    signer: 'team'
  })
})

test('an address has its signature beside it', async () => {
  hub.files.set('/files/model.bin', MODEL)
  hub.files.set('/files/model.bin.sig', await signed({ 'model.bin': MODEL }))
  using place = new Place()
  assert.deepEqual(
    (await pull(`${hub.origin()}/files/model.bin`, place.options(hub, { policy, token: 'hf_secret' }))).trust,
    { by: 'signature', signer: 'team' }
  )
  assert.deepEqual(
    hub.seenSignatures.map(s => [s.path, s.headers.authorization]),
    [['/files/model.bin.sig', undefined]]
  )
})

test('without a signature by a trusted signer the model is kept, not trusted, and it is said why', async () => {
  const ed = signer(folder, 'ed', 'ed25519')
  const cases: [name: string, signature: Buffer | undefined, says: RegExp][] = [
    ['none', undefined, /^it is not signed$/],
    ['an unknown key', await signed({ 'model.bin': MODEL }, stranger), new RegExp(`hint ${stranger.key.hint}`)],
    ['Ed25519 by a stranger', await signed({ 'model.bin': MODEL }, ed), /none of those trusted/],
    ['no signature at all', Buffer.from('<html>Not found</html>'), /cannot be used as the signature/],
    ['nothing in it', Buffer.alloc(0), /cannot be used as the signature/],
    ['deep', Buffer.from('['.repeat(100_000)), /cannot be used as the signature/]
  ]
  for (const [name, signature, says] of cases) {
    hub.files.clear()
    hub.put('model.bin', MODEL)
    if (signature !== undefined) hub.put('model.bin.sig', signature)
    using place = new Place()
    const { trust, path } = await pull(SOURCE, place.options(hub, { policy }))
    if (trust?.by !== 'nothing') assert.fail(name)
    assert.match(trust.problem, says, name)
    assert.deepEqual(readFileSync(path), MODEL, name)
    refuses(() => serving(place, 'model.bin'), 'VERIT_UNTRUSTED', /trust add --digest/)
    assert.deepEqual(serving(place, 'model.bin', `[digests]\n"model.bin" = ["${digestBytes(MODEL)}"]\n`), {
      by: 'digest'
    })
    // whom the user trusts later counts from then on, without another pull
    if (name === 'an unknown key')
      assert.deepEqual(serving(place, 'model.bin', policyText.replace(team.publicKey, stranger.publicKey)), {
        by: 'signature',
        signer: 'team'
      })
  }
})

test("a trusted signer's signature that does not match the file stops the pull, and nothing is kept", async () => {
  const good = (await signed({ 'model.bin': MODEL })).toString()
  const sig = /"sig":"([^"]+)"/.exec(good)![1]!
  const cases: [name: string, signature: Buffer, place: string, code: ErrorCode][] = [
    ['of another model', await signed({ 'model.bin': Buffer.from('another') }), 'model.bin.sig', 'VERIT_MODEL_CHANGED'],
    ['of another name', await signed({ 'else.bin': MODEL }), 'model.bin.sig', 'VERIT_MODEL_CHANGED'],
    [
      'of other files only',
      await signed({ 'a.bin': MODEL, 'b.bin': MODEL, 'sub/model.bin': MODEL }),
      'model.sig',
      'VERIT_MODEL_CHANGED'
    ],
    [
      'of this path with another content',
      await signed({ 'a.bin': MODEL, 'model.bin': Buffer.from('another') }),
      'model.sig',
      'VERIT_MODEL_CHANGED'
    ],
    [
      'forged',
      Buffer.from(good.replace(sig, stranger.key.hint.slice(0, 4) + sig.slice(4))),
      'model.bin.sig',
      'VERIT_MODEL_SIGNATURE'
    ],
    [
      'by another key under its name',
      Buffer.from(
        (await signed({ 'model.bin': MODEL }, stranger)).toString().replace(stranger.key.hint, team.key.hint)
      ),
      'model.bin.sig',
      'VERIT_MODEL_SIGNATURE'
    ]
  ]
  for (const [name, signature, where, code] of cases) {
    hub.files.clear()
    hub.put('model.bin', MODEL)
    hub.put(where, signature)
    using place = new Place()
    await assert.rejects(pull(SOURCE, place.options(hub, { policy })), { code }, name)
    assert.deepEqual([readdirSync(place.folder), readdirSync(join(place.models, 'quarantine'))], [['models'], []], name)
    assert.equal(resolveModel('model.bin', place.models).pulled, undefined)
  }
})

test(
  'hosts that send too much, nothing, drips, errors or redirects for a signature leave the model unsigned, ' +
    'within bounds',
  async () => {
    const inside = await HubServer.start({ address: '127.0.0.2' })
    const drip = (response: import('node:http').ServerResponse, chunk: Buffer | string, ms: number): void => {
      const each = setInterval(() => response.write(chunk), ms)
      response.on('close', () => clearInterval(each))
    }
    const answers: [name: string, answer: NonNullable<HubServer['misbehave']>, says: RegExp][] = [
      [
        'announces too much',
        (_, r) => void r.writeHead(200, { 'Content-Length': 10 ** 12 }).write('x'),
        /more than 16,777,216 bytes/
      ],
      [
        'sends too much without saying so',
        (_, r) => drip(r.writeHead(200), Buffer.alloc(4 << 20), 0),
        /more than 16,777,216 bytes/
      ],
      ['never answers', () => undefined, /came|time/],
      ['drips', (_, r) => drip(r.writeHead(200), ' ', 5), /time for a signature/],
      ['is compressed', (_, r) => void r.writeHead(200, { 'Content-Encoding': 'gzip' }).end('x'), /compressed/],
      [
        'cuts it off',
        (_, r) => void r.writeHead(200, { 'Content-Length': 100 }).write('x', () => setTimeout(() => r.destroy(), 5)),
        /was interrupted/
      ],
      ['asks to wait', (_, r) => void r.writeHead(429, { 'Retry-After': '9999' }).end(), /status 429/],
      ['has an error', (_, r) => void r.writeHead(500).end('secret page'), /status 500/],
      [
        'redirects to a private address',
        (_, r) => void r.writeHead(302, { Location: `${inside.origin('127.0.0.2')}/x` }).end(),
        /No request was sent to 127\.0\.0\.2/
      ],
      [
        'redirects to http',
        (_, r) => void r.writeHead(302, { Location: `http://hub.test:${hub.port}/x` }).end(),
        /from https to http/
      ],
      [
        'redirects to a file',
        (_, r) => void r.writeHead(302, { Location: 'file:///etc/passwd' }).end(),
        /not a plain https address/
      ],
      [
        'redirects with a password',
        (_, r) => void r.writeHead(302, { Location: `https://u:p@cdn.test:${hub.port}/x` }).end(),
        /not a plain https address/
      ],
      [
        'goes in circles',
        (request, r) => void r.writeHead(302, { Location: request.url! }).end(),
        /more than 5 redirects/
      ]
    ]
    try {
      for (const [name, answer, says] of answers) {
        hub.misbehaveForSignatures = answer
        using place = new Place()
        const done: Pulled = await pull(
          SOURCE,
          place.options(hub, {
            policy,
            signatureMs: name === 'drips' ? 150 : 20_000,
            idleMs: name === 'never answers' ? 100 : 5000
          })
        )
        assert.equal(done.trust!.by, 'nothing', name)
        assert.match(done.signatureProblem ?? '', says, name)
        assert.doesNotMatch(done.signatureProblem!, /secret/, name)
        assert.equal(done.model.signature, undefined)
      }
      assert.equal(inside.seen.length, 0)
    } finally {
      await inside.stop()
    }
  }
)

test('a store of an earlier version gains signatures; a removed name has its signature fetched again', async () => {
  using place = new Place()
  hub.put('model.bin.sig', await signed({ 'model.bin': MODEL }))
  await pull(SOURCE, place.options(hub, { policy }))
  const { DatabaseSync } = await import('node:sqlite')
  const db = new DatabaseSync(join(place.models, 'index.db'))
  db.exec('ALTER TABLE names DROP COLUMN signature; ALTER TABLE names DROP COLUMN signed_as; PRAGMA user_version = 1')
  db.close()
  using store = new ModelStore(place.models)
  assert.equal(store.find('model.bin')!.signature, undefined)
  store.remove('model.bin')
  assert.equal(store.gc(false).length, 1) // the signature; verit.lock refers to the model
  hub.seen.length = 0
  const again = await pull(SOURCE, place.options(hub, { policy }))
  assert.deepEqual([again.fetched, again.trust, hub.seen.length], [false, { by: 'signature', signer: 'team' }, 0])
})
