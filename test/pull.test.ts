/**
 * `verit pull` against a server that behaves like a hub, and one that does not (test/hub-server.ts); attacks are in
 * test/attacks/i-fetch.test.ts.
 */
// long: hosts stall and time out
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { ModelStore } from '../src/hub/model-store.ts'
import { pull } from '../src/hub/pull.ts'
import { resolveModel } from '../src/hub/resolve-model.ts'
import { VeritError } from '../src/lib/errors.ts'
import type { ErrorCode } from '../src/lib/errors.ts'
import { COMMIT, HubServer, Place, sha256 } from './hub-server.ts'

const MODEL = readFileSync(new URL('../models/verit-sotu.gguf', import.meta.url))
const SOURCE = 'hf:owner/repo/model.gguf'
let hub: HubServer
before(async () => {
  hub = await HubServer.start()
})
after(() => hub.stop())
beforeEach(() => {
  hub.misbehave = undefined
  hub.seen.length = 0
  hub.files.clear()
  hub.put('model.gguf', MODEL)
})

const fails = async (work: Promise<unknown>, code: ErrorCode): Promise<VeritError> => {
  try {
    await work
  } catch (e) {
    assert.ok(VeritError.is(e), String(e))
    assert.equal(e.code, code, e.message)
    return e
  }
  return assert.fail(`no ${code}`)
}
const inQuarantine = (place: Place): string[] =>
  existsSync(place.models) ? readdirSync(join(place.models, 'quarantine')) : []

test(
  'a first pull stores the file under its digest, names it, and pins commit, size and digest; a second one ' +
    'fetches nothing',
  async () => {
    using place = new Place()
    const first = await pull(SOURCE, place.options(hub))
    const digest = sha256(MODEL)
    assert.deepEqual(
      [first.fetched, first.pinned, first.model.name, first.model.digest, first.model.revision],
      [true, true, 'model', `sha256:${digest}`, COMMIT]
    )
    assert.equal(first.path, join(place.models, 'sha256', digest.slice(0, 2), digest))
    assert.deepEqual(readFileSync(first.path), MODEL)
    assert.equal(statSync(first.path).mode & 0o777, 0o400)
    assert.deepEqual(JSON.parse(readFileSync(place.lock, 'utf8')), {
      version: 1,
      models: { 'hf:owner/repo@main/model.gguf': { revision: COMMIT, size: MODEL.length, sha256: digest } }
    })
    assert.deepEqual(inQuarantine(place), [])
    const asked = hub.seen.length
    const second = await pull(SOURCE, place.options(hub))
    assert.deepEqual([second.fetched, second.pinned, hub.seen.length], [false, false, asked])
    assert.deepEqual(resolveModel('model', place.models), {
      path: first.path,
      pulled: { name: 'model', digest: `sha256:${digest}`, signature: undefined }
    })
    assert.deepEqual(resolveModel('./model', place.models), { path: './model', pulled: undefined })
    assert.deepEqual(resolveModel('unknown', place.models), { path: 'unknown', pulled: undefined })
  }
)

test(
  'a pinned source is fetched at its commit; another file there is refused, and taken and pinned with ' + '--update',
  async () => {
    using place = new Place()
    const { path } = await pull(SOURCE, place.options(hub))
    using elsewhere = new Place()
    hub.put('model.gguf', Buffer.concat([MODEL.subarray(0, -1), Buffer.from([1])]))
    hub.seen.length = 0
    const e = await fails(pull(SOURCE, elsewhere.options(hub, { lock: place.lock })), 'VERIT_PULL_LOCK')
    assert.match(e.message, /--update/)
    assert.equal(hub.seen[0]!.path, `/owner/repo/resolve/${COMMIT}/model.gguf`)
    assert.deepEqual(readdirSync(join(elsewhere.models, 'quarantine')), [])
    assert.ok(!existsSync(join(elsewhere.models, 'sha256')))
    const updated = await pull(SOURCE, place.options(hub, { update: true }))
    assert.ok(updated.pinned && updated.path !== path)
    assert.equal(resolveModel('model', place.models).path, updated.path)
  }
)

test('a file that was changed in the store is fetched again', async () => {
  using place = new Place()
  const { path } = await pull(SOURCE, place.options(hub))
  const store = new ModelStore(place.models)
  writeFileSync(join(place.folder, 'other'), 'something else')
  store.promote(join(place.folder, 'other'), `sha256:${sha256(MODEL)}`)
  store[Symbol.dispose]()
  const again = await pull(SOURCE, place.options(hub))
  assert.ok(again.fetched)
  assert.deepEqual(readFileSync(path), MODEL)
})

test('a file that gc removes while it is compared with its pin gets no name', async () => {
  using place = new Place()
  const { path } = await pull(SOURCE, place.options(hub))
  using store = new ModelStore(place.models)
  store.remove('model')
  await fails(pull(SOURCE, place.options(hub, { onHash: () => rmSync(path, { force: true }) })), 'VERIT_MODEL_STORE')
  assert.deepEqual(store.list(), [])
  assert.ok((await pull(SOURCE, place.options(hub))).fetched)
})

test("a digest given by the user, or announced by the hub, must be the file's", async () => {
  using place = new Place()
  await fails(pull(SOURCE, place.options(hub, { digest: `sha256:${'0'.repeat(64)}` })), 'VERIT_PULL_DIGEST')
  hub.misbehave = (_, response, behave) => {
    response.setHeader('X-Linked-Etag', `"${'0'.repeat(64)}"`)
    behave()
  }
  await fails(pull(SOURCE, place.options(hub)), 'VERIT_PULL_DIGEST')
  assert.deepEqual([inQuarantine(place), existsSync(place.lock)], [[], false])
  hub.misbehave = undefined
  await pull(SOURCE, place.options(hub, { digest: `sha256:${sha256(MODEL)}` }))
  const asked = hub.seen.length
  await fails(pull(SOURCE, place.options(hub, { digest: `sha256:${'0'.repeat(64)}` })), 'VERIT_PULL_PINNED')
  assert.equal(hub.seen.length, asked)
})

test('a connection that is cut again and again is gone on with, at the byte where it was', async () => {
  using place = new Place()
  hub.misbehave = (request, response, behave) => {
    if (hub.seen.length > 4) return behave()
    const from = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0)
    const whole = {
      'Content-Length': MODEL.length - from,
      ETag: `"${sha256(MODEL)}"`,
      'Content-Range': `bytes ${from}-${MODEL.length - 1}/${MODEL.length}`
    }
    response.writeHead(from > 0 ? 206 : 200, whole)
    response.write(MODEL.subarray(from, from + 1_000_000), () => setTimeout(() => response.destroy(), 20))
  }
  const { path } = await pull(SOURCE, place.options(hub))
  assert.deepEqual(readFileSync(path), MODEL)
  const starts = hub.seen.map(s => Number(/\d+/.exec(s.headers.range ?? '')?.[0] ?? 0))
  assert.ok(
    starts.every((n, i) => i === 0 || n > starts[i - 1]!),
    String(starts)
  )
})

test('a failed pull is resumed by the next; a file that changed meanwhile starts over', async () => {
  const cut = (bytes: Buffer, n: number) => (_: unknown, response: import('node:http').ServerResponse) => {
    response.writeHead(200, { 'Content-Length': bytes.length, ETag: `"${sha256(bytes)}"` })
    response.write(bytes.subarray(0, n), () => setTimeout(() => response.destroy(), 20))
  }
  for (const changed of [false, true]) {
    using place = new Place()
    hub.misbehave = cut(MODEL, 2_000_000)
    await fails(pull(SOURCE, place.options(hub)), 'VERIT_PULL_CONNECTION')
    assert.equal(inQuarantine(place).length, 1)
    hub.misbehave = undefined
    hub.seen.length = 0
    const now = changed ? Buffer.concat([MODEL.subarray(0, -1), Buffer.from([7])]) : MODEL
    hub.put('model.gguf', now)
    const { path } = await pull(SOURCE, place.options(hub))
    assert.match(hub.seen[0]!.headers.range!, /^bytes=[1-9]\d*-$/)
    assert.deepEqual(readFileSync(path), now)
  }
})

test('without a strong entity tag nothing is gone on with', async () => {
  using place = new Place()
  hub.misbehave = (_, response) => {
    const whole = hub.seen.length > 1
    response.writeHead(200, { 'Content-Length': MODEL.length, ETag: 'W/"1"' })
    if (whole) response.end(MODEL)
    else response.write(MODEL.subarray(0, 1000), () => setTimeout(() => response.destroy(), 20))
  }
  await pull(SOURCE, place.options(hub))
  assert.deepEqual(
    hub.seen.map(s => s.headers.range),
    [undefined, undefined]
  )
})

test('a host that goes on with other bytes, or says 416, gets asked for the whole file', async () => {
  for (const answer of ['other bytes', '416']) {
    using place = new Place()
    let left = 1
    hub.misbehave = (request, response, behave) => {
      if (left-- > 0) {
        response.writeHead(200, { 'Content-Length': MODEL.length, ETag: '"a"' })
        return void response.write(MODEL.subarray(0, 1000), () => setTimeout(() => response.destroy(), 20))
      }
      if (request.headers.range === undefined) return behave()
      if (answer === '416') return void response.writeHead(416).end()
      response
        .writeHead(206, { 'Content-Length': 10, ETag: '"a"', 'Content-Range': `bytes 5-14/${MODEL.length}` })
        .end(MODEL.subarray(5, 15))
    }
    assert.deepEqual(readFileSync((await pull(SOURCE, place.options(hub))).path), MODEL, answer)
  }
})

test('429 with Retry-After is waited for, within bounds', async () => {
  using place = new Place()
  const waits: number[] = []
  hub.misbehave = (_, response, behave) => {
    if (hub.seen.length < 2) response.writeHead(429, { 'Retry-After': '1' }).end()
    else behave()
  }
  await pull(SOURCE, place.options(hub, { onWait: s => waits.push(s) }))
  assert.deepEqual(waits, [1])
  using other = new Place()
  hub.misbehave = (_, response) => void response.writeHead(429, { 'Retry-After': '86400' }).end()
  assert.match((await fails(pull(SOURCE, other.options(hub)), 'VERIT_PULL_ANSWER')).message, /86400 s/)
  hub.misbehave = (_, response) => void response.writeHead(503, { 'Retry-After': '0' }).end()
  hub.seen.length = 0
  await fails(pull(SOURCE, other.options(hub)), 'VERIT_PULL_ANSWER')
  assert.equal(hub.seen.length, 5)
})

test('401, 404 and other refusals are told with what to do', async () => {
  using place = new Place()
  for (const [status, text] of [
    [401, /HF_TOKEN/],
    [404, /revision/],
    [500, /status 500/]
  ] as const) {
    hub.misbehave = (_, response) => void response.writeHead(status).end('secret page')
    const e = await fails(pull(SOURCE, place.options(hub)), 'VERIT_PULL_ANSWER')
    assert.match(e.message, text)
    assert.doesNotMatch(e.message, /secret/)
  }
})

test('two pulls of one source at once do not disturb each other', async () => {
  using place = new Place()
  const both = await Promise.all([pull(SOURCE, place.options(hub)), pull(SOURCE, place.options(hub))])
  for (const { path } of both) assert.deepEqual(readFileSync(path), MODEL)
  assert.deepEqual(inQuarantine(place), [])
})

test('a name keeps its source until it is removed; gc removes what no name or lock file refers to', async () => {
  using place = new Place()
  const { path } = await pull(SOURCE, place.options(hub))
  hub.put('other/model.gguf', MODEL)
  await fails(pull('hf:owner/repo/other/model.gguf', place.options(hub)), 'VERIT_MODEL_NAME')
  using store = new ModelStore(place.models)
  assert.deepEqual(
    store.kept().map(k => k.by),
    [['the name model', place.lock]]
  )
  assert.ok(store.remove('model'))
  assert.deepEqual(store.gc(false), [])
  assert.deepEqual(
    store.kept().map(k => k.by),
    [[place.lock]]
  )
  writeFileSync(place.lock, '{"version":1,"models":{}}')
  assert.deepEqual(
    store.gc(true).map(r => r.bytes),
    [MODEL.length]
  )
  assert.ok(existsSync(path))
  store.gc(false)
  assert.ok(!existsSync(path))
  writeFileSync(place.lock, 'damaged')
  assert.throws(() => store.gc(false), { code: 'VERIT_LOCK_FILE' })
})

test('a process that is killed in the middle leaves no model, and its download is gone on with', async () => {
  using place = new Place()
  const plain = await HubServer.start({ secure: false })
  plain.put('model.gguf', MODEL)
  const big = Buffer.concat([randomBytes(70 << 20)])
  plain.put('big.bin', big)
  plain.misbehave = (_, response) => {
    response.writeHead(200, { 'Content-Length': big.length, ETag: `"${sha256(big)}"` })
    response.write(big.subarray(0, 66 << 20))
  }
  const args = (source: string): string[] => [
    new URL('../src/cli/main.ts', import.meta.url).pathname,
    'pull',
    source,
    '--allow-private',
    '--endpoint',
    plain.origin('127.0.0.1'),
    '--models',
    place.models,
    '--lock',
    place.lock,
    '--json'
  ]
  const child = spawn(process.execPath, args('hf:owner/repo/big.bin'), { stdio: 'ignore' })
  const exited = once(child, 'exit')
  const kept = (): boolean =>
    existsSync(join(place.models, 'quarantine')) &&
    inQuarantine(place).some(n => existsSync(join(place.models, 'quarantine', n, 'about.json')))
  while (!kept()) await new Promise(resolve => setTimeout(resolve, 20))
  child.kill('SIGKILL')
  await exited
  using store = new ModelStore(place.models)
  assert.deepEqual([store.list(), existsSync(join(place.models, 'sha256')), existsSync(place.lock)], [[], false, false])
  plain.misbehave = undefined
  plain.seen.length = 0
  const again = spawn(process.execPath, args('hf:owner/repo/big.bin'), { stdio: ['ignore', 'pipe', 'inherit'] })
  let out = ''
  again.stdout.on('data', (d: Buffer) => void (out += d.toString()))
  assert.deepEqual(await once(again, 'close'), [0, null])
  assert.equal((JSON.parse(out) as { digest: string }).digest, `sha256:${sha256(big)}`)
  assert.ok(Number(/\d+/.exec(plain.seen[0]!.headers.range!)![0]) >= 64 << 20)
  await plain.stop()
})
