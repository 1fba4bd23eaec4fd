/**
 * Class I: attacks on fetching and keeping models: `verit pull` is led to other hosts, other files, other places. The
 * server of test/hub-server.ts does what a hostile or taken-over hub would; 127.0.0.1 stands for a public address, and
 * a second server on 127.0.0.2 for one that must never be asked.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { loadModel } from '../../src/engine/load.ts'
import { roomFor } from '../../src/hub/download.ts'
import { ModelStore } from '../../src/hub/model-store.ts'
import { pull } from '../../src/hub/pull.ts'
import type { PullOptions } from '../../src/hub/pull.ts'
import { resolveModel } from '../../src/hub/resolve-model.ts'
import { VeritError } from '../../src/lib/errors.ts'
import type { ErrorCode } from '../../src/lib/errors.ts'
import { ModelRunner } from '../../src/runner/model-runner.ts'
import { HubServer, Place, sha256 } from '../hub-server.ts'

const MODEL = readFileSync(new URL('../../models/verit-sotu.gguf', import.meta.url))
const SMALL = Buffer.from('a small file')
const SOURCE = 'hf:owner/repo/small.bin'
let hub: HubServer
/** On 127.0.0.2, which is loopback and no public address. */
let inside: HubServer
before(async () => {
  hub = await HubServer.start()
  inside = await HubServer.start({ address: '127.0.0.2' })
})
after(async () => {
  await hub.stop()
  await inside.stop()
})
beforeEach(() => {
  hub.misbehave = undefined
  hub.misbehaveForSignatures = undefined
  hub.seen.length = hub.seenSignatures.length = inside.seen.length = inside.seenSignatures.length = 0
  hub.files.clear()
  hub.put('small.bin', SMALL)
  hub.put('model.gguf', MODEL)
})

/** Pulls into a place of its own, which must be as empty afterwards as before. */
async function refused(
  source: string,
  codes: ErrorCode | readonly ErrorCode[],
  more: Partial<PullOptions> = {}
): Promise<VeritError> {
  using place = new Place()
  try {
    await pull(source, place.options(hub, more))
  } catch (e) {
    assert.ok(VeritError.is(e), `${source}: ${String(e)}`)
    assert.ok([codes].flat().includes(e.code), `${source}: ${e.message} [${e.code}]`)
    assert.deepEqual([existsSync(join(place.models, 'sha256')), existsSync(place.lock)], [false, false], source)
    return e
  }
  return assert.fail(`${source} was pulled`)
}
const redirect = (location: string) => {
  hub.misbehave = (request, response, behave) => {
    if (request.url!.startsWith('/owner/')) response.writeHead(302, { Location: location, 'Content-Length': 0 }).end()
    else behave()
  }
}

test('I1 private, loopback, link-local and other special addresses are not asked, in any notation', async () => {
  const hosts = [
    '127.0.0.1',
    '127.0.0.2',
    '0.0.0.0',
    '10.0.0.1',
    '172.16.0.1',
    '192.168.0.1',
    '169.254.169.254',
    '100.64.0.1',
    '192.0.0.1',
    '198.18.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '2130706434',
    '0x7f000002',
    '0177.0.0.2',
    '0x7f.1',
    '127.2',
    '127.0.2',
    '0',
    '00000000',
    '0xa9fea9fe',
    '2852039166',
    '017700000002',
    '127.0.0.2.',
    '%31%32%37.0.0.2',
    '127。0。0。2',
    '１２７.0.0.2',
    '①②⑦.0.0.2',
    '[::]',
    '[::1]',
    '[::ffff:127.0.0.2]',
    '[::ffff:7f00:2]',
    '[::127.0.0.2]',
    '[0:0:0:0:0:ffff:a9fe:a9fe]',
    '[64:ff9b::7f00:2]',
    '[64:ff9b::169.254.169.254]',
    '[2002:7f00:2::]',
    '[fe80::1]',
    '[fc00::1]',
    '[fd00:ec2::254]',
    '[fec0::1]',
    '[ff02::1]',
    '[2001:db8::1]',
    '[2001:0:7f00:2::]'
  ]
  for (const host of hosts) {
    // 127.0.0.1 passes for a public address in other tests; not here
    await refused(`https://${host}:${inside.port}/owner/repo/x.gguf`, ['VERIT_PULL_ADDRESS', 'VERIT_PULL_SOURCE'], {
      judgeAddress: undefined as never
    })
  }
  assert.deepEqual([hub.seen.length, inside.seen.length], [0, 0])
})

test('I1 user parts, backslashes and other text that two readers of addresses read otherwise is refused', async () => {
  for (const text of [
    `https://hub.test@127.0.0.2:${inside.port}/x`,
    `https://hub.test:${hub.port}\\@127.0.0.2:${inside.port}/x`,
    `https:\\\\127.0.0.2:${inside.port}\\x`,
    `https://hub.test:${hub.port}#@127.0.0.2/x`,
    `https://hub.test:${hub.port}?@127.0.0.2/x`,
    `https://127.0.0.2:${inside.port}\t/x`,
    `https://hub.test%00.127.0.0.2/x`,
    'https://[fe80::1%25eth0]/x',
    '//127.0.0.2/x',
    'https:/\u200b/127.0.0.2/x'
  ]) {
    await refused(text, ['VERIT_PULL_SOURCE', 'VERIT_PULL_ADDRESS'])
  }
  assert.equal(inside.seen.length, 0)
})

test('I1 the words for allowing it allow only that: http on loopback, and no http elsewhere', async () => {
  const plain = await HubServer.start({ secure: false })
  plain.put('small.bin', SMALL)
  try {
    await refused(SOURCE, 'VERIT_PULL_ADDRESS', { endpoint: plain.origin('127.0.0.1') })
    await refused(SOURCE, 'VERIT_PULL_ADDRESS', { endpoint: 'http://10.0.0.1', allowPrivate: true })
    await refused(SOURCE, 'VERIT_PULL_ADDRESS', { endpoint: plain.origin('hub.test'), allowPrivate: true })
    await refused(SOURCE, 'VERIT_PULL_ADDRESS', {
      endpoint: plain.origin('localhost'),
      allowPrivate: true,
      resolve: async () => ['8.8.8.8']
    })
    using place = new Place()
    const { judgeAddress: _, ...asAlways } = place.options(plain, {
      endpoint: plain.origin('127.0.0.1'),
      allowPrivate: true
    })
    assert.ok((await pull(SOURCE, asAlways)).fetched)
  } finally {
    await plain.stop()
  }
})

test(
  'I2 a redirect to a private address, by number or name, is not followed, not even when private addresses are ' +
    'allowed',
  async () => {
    for (const allowPrivate of [false, true]) {
      for (const host of ['127.0.0.2', 'inside.test', '2130706434', '[::ffff:127.0.0.2]', '127.2']) {
        redirect(`https://${host}:${inside.port}/x`)
        await refused(SOURCE, 'VERIT_PULL_ADDRESS', { allowPrivate })
      }
    }
    for (const location of [
      `https://u:p@127.0.0.2:${inside.port}/x`,
      `https://hub.test\\@127.0.0.2:${inside.port}/x`
    ]) {
      redirect(location)
      await refused(SOURCE, 'VERIT_PULL_REDIRECT')
    }
    assert.equal(inside.seen.length, 0)
  }
)

test('I2 a redirect to http is refused; a circle of redirects ends after five', async () => {
  redirect(`http://hub.test:${hub.port}/x`)
  await refused(SOURCE, 'VERIT_PULL_REDIRECT')
  redirect(`http://127.0.0.1:${hub.port}/x`)
  await refused(SOURCE, 'VERIT_PULL_REDIRECT', { allowPrivate: true })
  redirect(`/owner/repo/again`)
  hub.seen.length = 0
  await refused(SOURCE, 'VERIT_PULL_REDIRECT')
  assert.equal(hub.seen.length, 6)
  hub.misbehave = (_, response) => void response.writeHead(302).end()
  await refused(SOURCE, 'VERIT_PULL_REDIRECT')
})

test(
  'I2 the address that was judged is the one that is connected to, whatever the name server says next; one bad ' +
    'address spoils a name',
  async () => {
    const answers: string[] = []
    const rebinding = async (): Promise<string[]> => {
      answers.push(answers.length === 0 ? '127.0.0.1' : '127.0.0.2')
      return [answers.at(-1)!]
    }
    using place = new Place()
    const { signatureProblem } = await pull(SOURCE, place.options(hub, { resolve: rebinding }))
    // the signatures are asked for anew, and judged anew
    assert.deepEqual(
      [hub.seen.length, hub.seenSignatures.length, inside.seen.length, inside.seenSignatures.length],
      [1, 0, 0, 0]
    )
    assert.match(signatureProblem!, /127\.0\.0\.2/)
    // a second request of the same download resolves anew, and is judged anew
    hub.misbehave = (_, response) => void response.writeHead(503, { 'Retry-After': '0' }).end()
    answers.length = 0
    await refused(SOURCE, 'VERIT_PULL_ADDRESS', { resolve: rebinding })
    await refused(`https://both.test:${hub.port}/x`, 'VERIT_PULL_ADDRESS')
    for (const nothing of [[], ['not an address'], ['127.0.0.1%lo']])
      await refused(SOURCE, 'VERIT_PULL_ADDRESS', { resolve: async () => nothing })
    assert.equal(inside.seen.length, 0)
  }
)

test('I2 proxies and weakened TLS of the environment change nothing', () => {
  using place = new Place()
  const proxy = `http://127.0.0.2:${inside.port}`
  const { status, stderr } = spawnSync(
    process.execPath,
    [
      new URL('../../src/cli/main.ts', import.meta.url).pathname,
      'pull',
      'https://localhost:1/x.gguf',
      '--allow-private',
      '--models',
      place.models,
      '--lock',
      place.lock,
      '--timeout',
      '20s'
    ],
    {
      encoding: 'utf8',
      env: {
        ...process.env,
        NODE_USE_ENV_PROXY: '1',
        HTTPS_PROXY: proxy,
        HTTP_PROXY: proxy,
        ALL_PROXY: proxy,
        NODE_TLS_REJECT_UNAUTHORIZED: '0'
      }
    }
  )
  assert.equal(status, 1)
  assert.match(stderr, /localhost:1 was interrupted: nothing listens there/)
  assert.equal(inside.seen.length, 0)
})

test('I2 a server without a certificate for the name is not believed', async () => {
  await refused(SOURCE, 'VERIT_PULL_CONNECTION', {
    endpoint: hub.origin('evil.test'),
    resolve: async () => ['127.0.0.1']
  })
  await refused(SOURCE, 'VERIT_PULL_CONNECTION', { ca: undefined as never })
  assert.equal(hub.seen.length, 0)
})

test('I3 file:, data:, ftp: and gopher: are refused as source, endpoint and redirect', async () => {
  const others = [
    'file:///etc/passwd',
    'file://127.0.0.2/x',
    'data:text/plain,x',
    'ftp://127.0.0.2/x',
    'gopher://127.0.0.2/x',
    'blob:https://hub.test/x',
    'javascript:1',
    'jar:file:///x',
    'ws://127.0.0.2/x',
    'unix:/run/x'
  ]
  for (const text of others) {
    await refused(text, 'VERIT_PULL_SOURCE')
    await refused(SOURCE, 'VERIT_PULL_SOURCE', { endpoint: text })
    redirect(text)
    await refused(SOURCE, ['VERIT_PULL_REDIRECT', 'VERIT_PULL_ADDRESS'])
    hub.misbehave = undefined
  }
})

test('I4 a file over the limit is refused by its announced size, before its bytes', async () => {
  await refused(SOURCE, 'VERIT_PULL_SIZE', { maxSize: SMALL.length - 1 })
  hub.misbehave = (_, response) => {
    response.writeHead(200, { 'Content-Length': 10 ** 15 - 1 })
    response.write('x')
  }
  await refused(SOURCE, 'VERIT_PULL_SIZE')
  await refused(SOURCE, 'VERIT_PULL_SIZE', { maxSize: Number.MAX_SAFE_INTEGER }) // the disk
})

test('I4 a file that would fill the disk to the last byte is refused: the audit log may lie there', async () => {
  using place = new Place()
  mkdirSync(place.models, { mode: 0o700, recursive: true })
  const { bavail, blocks, bsize } = statfsSync(place.models)
  const kept = Math.min(2 ** 30, (blocks * bsize) / 20)
  assert.ok(Math.abs(roomFor(place.models) - Math.max(0, bavail * bsize - kept)) < kept / 2)
  hub.misbehave = (_, response) => {
    response.writeHead(200, { 'Content-Length': Math.floor(bavail * bsize - kept / 2) })
    response.write('x')
  }
  assert.match((await refused(SOURCE, 'VERIT_PULL_SIZE', { maxSize: Number.MAX_SAFE_INTEGER })).what, /stay free/)
})

test('I4 bodies without length, compressed, of another length than announced', async () => {
  const answers: [string, Record<string, string | number>, ErrorCode][] = [
    ['no length', { 'Transfer-Encoding': 'chunked' }, 'VERIT_PULL_ANSWER'],
    ['gzip', { 'Content-Encoding': 'gzip', 'Content-Length': SMALL.length }, 'VERIT_PULL_ANSWER'],
    ['br', { 'Content-Encoding': 'br', 'Content-Length': SMALL.length }, 'VERIT_PULL_ANSWER'],
    ['another size than the hub says', { 'X-Linked-Size': 5, 'Content-Length': SMALL.length }, 'VERIT_PULL_ANSWER'],
    [
      'a range that was not asked for',
      { 'Content-Range': `bytes 0-${SMALL.length - 1}/${SMALL.length}`, 'Content-Length': SMALL.length, status: 206 },
      'VERIT_PULL_ANSWER'
    ]
  ]
  for (const [name, { status = 200, ...headers }, code] of answers) {
    hub.misbehave = (_, response) => void response.writeHead(Number(status), headers).end(SMALL)
    await refused(SOURCE, code).catch((e: unknown) => assert.fail(`${name}: ${String(e)}`))
  }
  hub.misbehave = (_, response) => {
    response.writeHead(200, { 'Content-Length': SMALL.length + 5 })
    response.write(SMALL, () => setTimeout(() => response.destroy(), 10))
  }
  hub.seen.length = 0
  await refused(SOURCE, 'VERIT_PULL_CONNECTION')
  assert.ok(hub.seen.length <= 10, `${hub.seen.length} requests`)
  assert.equal(hub.seen[0]!.headers['accept-encoding'], 'identity')
})

test('I4 hosts that send nothing, drip, never end their head, or send a head without end', async () => {
  const limits = { idleMs: 100, connectMs: 300, totalMs: 1500 }
  hub.misbehave = () => undefined
  await refused(SOURCE, 'VERIT_PULL_CONNECTION', limits)
  hub.misbehave = (_, response) => {
    response.writeHead(200, { 'Content-Length': 1e6 })
    response.write('x')
  }
  await refused(SOURCE, 'VERIT_PULL_CONNECTION', limits)
  hub.misbehave = (_, response) => {
    response.writeHead(200, { 'Content-Length': 1e6, ETag: '"x"' })
    const drip = setInterval(() => response.write('x'), 20)
    response.on('close', () => clearInterval(drip))
  }
  assert.match((await refused(SOURCE, 'VERIT_PULL_CONNECTION', limits)).message, /time for the whole download/)
  hub.misbehave = (request, response) => {
    request.socket.write('HTTP/1.1 200 OK\r\n')
    const drip = setInterval(() => request.socket.write('a: b\r\n'), 20)
    response.on('close', () => clearInterval(drip))
  }
  await refused(SOURCE, 'VERIT_PULL_CONNECTION', limits)
  hub.misbehave = request => void request.socket.write(`HTTP/1.1 200 OK\r\na: ${'b'.repeat(100_000)}\r\n`)
  assert.match((await refused(SOURCE, 'VERIT_PULL_CONNECTION')).message, /head of its answer is too large/)
})

/** A text that is not the name of a pulled model is the user's own path. A folder without a model is an error. */
function pulledModel(text: string, models: string): unknown {
  try {
    return resolveModel(text, models).pulled
  } catch (e) {
    assert.ok(VeritError.is(e, 'VERIT_USAGE') && statSync(text).isDirectory(), String(e))
    return undefined
  }
}

test('I5 no text of a hub, a lock file or a user becomes a path outside the store', async () => {
  hub.misbehave = (_, response, behave) => {
    response.setHeader('X-Linked-Etag', '"../../../../tmp/evil"')
    response.setHeader('X-Repo-Commit', '../../evil')
    response.setHeader('Content-Disposition', 'attachment; filename="../../evil.gguf"')
    behave()
  }
  using place = new Place()
  const { path } = await pull(SOURCE, place.options(hub))
  assert.equal(path, join(place.models, 'sha256', sha256(SMALL).slice(0, 2), sha256(SMALL)))
  assert.deepEqual(readdirSync(place.folder).toSorted(), ['models', 'verit.lock'])
  for (const name of ['../evil', '/evil', 'a/b', 'a\\b', '..', '.', '', '-x', 'a\u0000b', 'x.gguf']) {
    await refused(SOURCE, 'VERIT_MODEL_NAME', { name })
    assert.equal(pulledModel(name, place.models), undefined)
  }
  for (const sha of ['../../../../etc/passwd', `../${'0'.repeat(61)}`, '0'.repeat(63)]) {
    writeFileSync(
      place.lock,
      JSON.stringify({ version: 1, models: { 'hf:owner/repo@main/small.bin': { size: 1, sha256: sha } } })
    )
    await assert.rejects(pull(SOURCE, place.options(hub)), { code: 'VERIT_LOCK_FILE' })
  }
  for (const file of ['../x', 'a/../../x', '%2e%2e/x', '..%2fx', 'a\\..\\x'])
    await refused(`hf:owner/repo/${file}`, 'VERIT_PULL_SOURCE')
})

test('I5 archives are not unpacked, and what is called a model and is none stays outside', async () => {
  const zip = Buffer.concat([Buffer.from('PK\u0003\u0004'), Buffer.alloc(26), Buffer.from('../../evil')])
  hub.put('model.zip', zip)
  using place = new Place()
  assert.deepEqual(readFileSync((await pull('hf:owner/repo/model.zip', place.options(hub))).path), zip)
  hub.put('bad.gguf', zip)
  hub.put('bad.safetensors', zip)
  hub.put('cut.gguf', MODEL.subarray(0, -32))
  hub.put('disguised.bin', Buffer.concat([Buffer.from('GGUF'), Buffer.alloc(100, 255)]))
  await refused('hf:owner/repo/bad.gguf', 'VERIT_GGUF')
  await refused('hf:owner/repo/cut.gguf', 'VERIT_GGUF')
  await refused('hf:owner/repo/disguised.bin', 'VERIT_GGUF')
  await refused('hf:owner/repo/bad.safetensors', 'VERIT_SAFETENSORS')
})

test('I6 the token goes only to the origin of the hub; cookies are neither sent nor kept', async () => {
  const token = 'hf_secretsecretsecret'
  const cdn = await HubServer.start()
  cdn.files.set('/file?signature=alsosecret', SMALL)
  try {
    hub.misbehave = (request, response, behave) => {
      response.setHeader('Set-Cookie', 'session=1')
      if (request.url!.startsWith('/moved/'))
        response.writeHead(302, { Location: `${cdn.origin('cdn.test')}/file?signature=alsosecret` }).end()
      else if (request.url!.startsWith('/owner/'))
        response.writeHead(307, { Location: `/moved/`, 'Set-Cookie': 'session=2' }).end()
      else behave()
    }
    using place = new Place()
    await pull(SOURCE, place.options(hub, { token }))
    assert.deepEqual(
      hub.seen.map(s => s.headers.authorization),
      [`Bearer ${token}`, `Bearer ${token}`]
    )
    assert.deepEqual(
      cdn.seen.map(s => s.headers.authorization),
      [undefined]
    )
    // signatures are asked for under the same rules
    hub.misbehaveForSignatures = (_, response) =>
      void response.writeHead(302, { Location: `${cdn.origin('cdn.test')}/x.sig?signature=alsosecret` }).end()
    using signed = new Place()
    await pull(SOURCE, signed.options(hub, { token }))
    assert.deepEqual(
      hub.seenSignatures.slice(-2).map(s => s.headers.authorization),
      [`Bearer ${token}`, `Bearer ${token}`]
    )
    assert.deepEqual(
      [...cdn.seen, ...cdn.seenSignatures].filter(s => s.path.startsWith('/x.sig')).map(s => s.headers.authorization),
      [undefined, undefined]
    )
    cdn.seen.length = 0
    assert.ok([...hub.seen, ...cdn.seen].every(s => s.headers.cookie === undefined && s.headers.referer === undefined))
    const kept = readdirSync(place.folder, { recursive: true, withFileTypes: true })
      .filter(f => f.isFile())
      .map(f => readFileSync(join(f.parentPath, f.name), 'latin1'))
      .join()
    assert.ok(!kept.includes(token) && !kept.includes('alsosecret'))
    // the same host at another port, and a source that is an address, are no hub
    cdn.seen.length = 0
    cdn.files.clear()
    redirect(`${cdn.origin('hub.test')}/file?signature=alsosecret`)
    const e = await refused(SOURCE, 'VERIT_PULL_ANSWER', { token })
    assert.ok(!/secret/.test(e.message))
    assert.equal(cdn.seen[0]!.headers.authorization, undefined)
    hub.misbehave = undefined
    hub.seen.length = 0
    using other = new Place()
    await pull(`${hub.origin()}/owner/repo/resolve/main/small.bin`, other.options(hub, { token }))
    assert.equal(hub.seen[0]!.headers.authorization, undefined)
    // what the host behind a redirect says of commits and digests counts for nothing
    cdn.misbehave = (_, response) =>
      void response
        .writeHead(200, {
          'Content-Length': SMALL.length,
          'X-Repo-Commit': 'f'.repeat(40),
          'X-Linked-Etag': `"${'f'.repeat(64)}"`
        })
        .end(SMALL)
    redirect(`${cdn.origin('cdn.test')}/file`)
    using third = new Place()
    assert.equal((await pull(SOURCE, third.options(hub, { token }))).model.revision, undefined)
  } finally {
    await cdn.stop()
  }
})

test('I7 a pulled model that was changed in the store is not loaded, and no other source takes its name', async () => {
  using place = new Place()
  await pull('hf:owner/repo/model.gguf', place.options(hub))
  hub.put('else/model.gguf', MODEL)
  await assert.rejects(pull('hf:owner/repo/else/model.gguf', place.options(hub)), { code: 'VERIT_MODEL_NAME' })
  const { path, pulled } = resolveModel('model', place.models)
  const store = new ModelStore(place.models)
  writeFileSync(join(place.folder, 'evil'), Buffer.concat([MODEL.subarray(0, -1), Buffer.from([1])]))
  store.promote(join(place.folder, 'evil'), pulled!.digest)
  store[Symbol.dispose]()
  await assert.rejects(loadModel(path, { expectedDigest: pulled!.digest }), { code: 'VERIT_MODEL_STORE' })
  await assert.rejects(ModelRunner.start(path, { expectedDigest: pulled!.digest }), { code: 'VERIT_MODEL_STORE' })
})

test('I8 a file that someone put beside the pulled ones has no name, is never used, and goes with gc', async () => {
  using place = new Place()
  const { path } = await pull(SOURCE, place.options(hub))
  const planted = join(place.models, 'sha256', '00')
  mkdirSync(planted, { mode: 0o700 })
  writeFileSync(join(planted, '0'.repeat(64)), MODEL)
  writeFileSync(join(place.models, 'sha256', sha256(SMALL).slice(0, 2), 'small.gguf'), MODEL)
  assert.equal(resolveModel('0'.repeat(64), place.models).pulled, undefined)
  using store = new ModelStore(place.models)
  assert.deepEqual(
    store
      .gc(false)
      .map(r => r.path.split('/').at(-1))
      .toSorted(),
    ['0'.repeat(64), 'small.gguf']
  )
  assert.deepEqual(readFileSync(path), SMALL)
})

test('I8 a store that others can write to is refused', async () => {
  using place = new Place()
  mkdirSync(place.models, { mode: 0o777 })
  spawnSync('chmod', ['777', place.models])
  await assert.rejects(pull(SOURCE, place.options(hub)), { code: 'VERIT_STATE' })
  assert.equal(hub.seen.length, 0)
})
