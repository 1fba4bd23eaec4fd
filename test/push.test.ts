/**
 * `verit push` against a server that behaves like a hub, and as a user runs it; hubs that misbehave are in
 * test/attacks/i-push.test.ts.
 */
import assert from 'node:assert/strict'
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { pull } from '../src/hub/pull.ts'
import { push } from '../src/hub/push.ts'
import { parseTrustPolicy } from '../src/trust/trust-policy.ts'
import { HubServer, Place, rules, sha256, verit } from './hub-server.ts'
import { signer, writeSigned } from './signed-file.ts'

let hub: HubServer
const place = new Place()
const team = signer(place.folder, 'team')
const policy = parseTrustPolicy(
  `[signers.team]\npublic_key = """\n${team.publicKey}"""\nmodels = ["small.bin"]\n`,
  'trust.toml'
)
const MODEL = join(place.folder, 'small.bin')
const BYTES = Buffer.alloc(3_000_000, 'a model ')
before(async () => {
  hub = await HubServer.start()
  await writeSigned(MODEL, BYTES, team)
})
after(async () => {
  await hub.stop()
  place[Symbol.dispose]()
})
beforeEach(() => {
  hub.misbehave = hub.misbehaveForSignatures = undefined
  hub.seen.length = hub.commits.length = 0
  hub.files.clear()
  hub.objects.clear()
})
const to = (more: object = {}) => ({
  ...rules,
  allowPrivate: false,
  endpoint: hub.origin(),
  token: 'hf_write',
  ...more
})

test('push sends a model and its signature in one commit; pulled again, they verify', async () => {
  const done = await push(MODEL, 'hf:owner/repo', to())
  const commit = done.commit!
  assert.deepEqual(
    { ...done, files: done.files.map(f => [f.path, f.digest, f.size > 0, f.sent]) },
    {
      target: 'hf:owner/repo@main/small.bin',
      commit,
      confirmed: true,
      files: [
        ['small.bin', `sha256:${sha256(BYTES)}`, true, true],
        ['small.bin.sig', done.files[1]!.digest, true, true]
      ]
    }
  )
  assert.deepEqual(
    hub.commits.map(lines => lines.map(l => [l.key, l.value['path'] ?? l.value['summary']])),
    [
      [
        ['header', 'Add small.bin'],
        ['lfsFile', 'small.bin'],
        ['lfsFile', 'small.bin.sig']
      ]
    ]
  )
  using elsewhere = new Place()
  const pulled = await pull('hf:owner/repo/small.bin', elsewhere.options(hub, { policy }))
  assert.deepEqual(
    [pulled.model.digest, pulled.trust],
    [`sha256:${sha256(BYTES)}`, { by: 'signature', signer: 'team' }]
  )
})

test(
  'what the hub has already is not sent again: not the bytes after a push that broke off, and nothing after ' +
    'one that was whole',
  async () => {
    hub.misbehave = (request, response, behave) => {
      if (request.url!.includes('/commit/')) response.writeHead(500).end()
      else behave()
    }
    await assert.rejects(push(MODEL, 'hf:owner/repo', to()), { code: 'VERIT_PUSH_ANSWER' })
    assert.deepEqual([hub.objects.has(sha256(BYTES)), hub.files.size], [true, 0])
    hub.misbehave = undefined
    hub.seen.length = 0
    const again = await push(MODEL, 'hf:owner/repo', to())
    assert.deepEqual(
      [again.files.map(f => f.sent), hub.seen.some(s => s.method === 'PUT'), hub.commits.length],
      [[false, false], false, 1]
    )
    const third = await push(MODEL, 'hf:owner/repo/', to())
    assert.deepEqual([third.commit, third.files.map(f => f.sent), hub.commits.length], [undefined, [false, false], 1])
  }
)

test('push sends small files inside the commit, to the given branch and folder, with the given message', async () => {
  const tiny = join(place.folder, 'tiny.bin')
  writeFileSync(tiny, 'tiny')
  await assert.rejects(push(tiny, 'hf:owner/repo@next/a/tiny.bin', to({ unsigned: true })), {
    code: 'VERIT_PUSH_ANSWER',
    message: /no such repository or branch/
  })
  assert.equal(hub.seen[0]!.path, '/api/models/owner/repo/preupload/next')
  await push(tiny, 'hf:owner/repo/a/tiny.bin', to({ unsigned: true, message: 'One\nmore' }))
  assert.deepEqual(hub.commits, [
    [
      { key: 'header', value: { summary: 'One\nmore', description: '' } },
      { key: 'file', value: { content: 'dGlueQ==', path: 'a/tiny.bin', encoding: 'base64' } }
    ]
  ])
  const again = await push(tiny, 'hf:owner/repo/a/tiny.bin', to({ unsigned: true }))
  assert.equal(again.commit, undefined)
})

test('an address gets the model and then its signature by PUT, with the digest', async () => {
  const done = await push(MODEL, `${hub.origin()}/put/small.bin`, to())
  assert.deepEqual(
    done.files.map(f => [f.path, f.sent]),
    [
      [`${hub.origin()}/put/small.bin`, true],
      [`${hub.origin()}/put/small.bin.sig`, true]
    ]
  )
  assert.equal(hub.seen[0]!.headers['repr-digest'], `sha-256=:${Buffer.from(sha256(BYTES), 'hex').toString('base64')}:`)
  assert.deepEqual(hub.files.get('/put/small.bin'), BYTES)
})

test(
  'a model without a signature, or with that of another, is not sent; nor to a commit, or to something that is ' +
    'no target',
  async () => {
    const sig = `${MODEL}.sig`
    const refuse = async (target: string, code: string, text: RegExp): Promise<void> => {
      await assert.rejects(push(MODEL, target, to()), { code, message: text })
      assert.equal(hub.seen.length, 0)
    }
    await refuse('hf:owner/repo/other.bin', 'VERIT_PUSH_UNSIGNED', /signs the name small\.bin, not other\.bin/)
    renameSync(sig, `${sig}.kept`)
    await refuse('hf:owner/repo', 'VERIT_PUSH_UNSIGNED', /is not there.*--unsigned/s)
    await writeSigned(join(place.folder, 'sub', 'small.bin'), Buffer.from('another'), team)
    renameSync(join(place.folder, 'sub', 'small.bin.sig'), sig)
    await refuse('hf:owner/repo', 'VERIT_PUSH_UNSIGNED', /of another content/)
    writeFileSync(sig, '{}')
    await refuse('hf:owner/repo', 'VERIT_BUNDLE', /cannot be used/)
    rmSync(sig)
    renameSync(`${sig}.kept`, sig)
    await refuse(`hf:owner/repo@${'a'.repeat(40)}/small.bin`, 'VERIT_PUSH_TARGET', /a commit cannot be changed/)
    for (const target of [
      'small.bin',
      'hf:owner',
      'hf:../x',
      'https://u:p@hub.test/x',
      'https://hub.test/x?token=1',
      'ftp://hub.test/x'
    ])
      await refuse(target, 'VERIT_PUSH_TARGET', /cannot be pushed to .*: it .*hf:OWNER/)
  }
)

test('the command takes the token from the environment and prints what was pushed', async () => {
  const plain = await HubServer.start({ secure: false })
  plain.uploadHost = '127.0.0.1'
  const env = { VERIT_HUB_TOKEN: 'hf_write', HF_TOKEN: 'hf_read' }
  const [pushed, unsigned] = await Promise.all([
    verit(place, plain, env, 'push', MODEL, 'hf:owner/repo', '--allow-private', '--json'),
    verit(place, plain, env, 'push', join(place.folder, 'tiny.bin'), 'hf:owner/repo', '--allow-private')
  ]).finally(() => plain.stop())
  assert.equal(pushed.status, 0, pushed.err)
  const { commit, files } = JSON.parse(pushed.out) as { commit: string; files: { digest: string }[] }
  assert.match(commit, /^[0-9a-f]{40}$/)
  assert.equal(files[0]!.digest, `sha256:${sha256(BYTES)}`)
  assert.match(unsigned.err, /VERIT_PUSH_UNSIGNED/)
})
