/**
 * Class I, the other way: attacks on `verit push` by a hub, or by whoever took it over: the token, the model and the
 * machine's network are what they are after.
 * 127.0.0.1 stands for a public address, and a second server on 127.0.0.2 for one that must never be asked.
 */
// own process: it runs for long
// long: hosts stall and time out
import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { push } from '../../src/hub/push.ts'
import { VeritError } from '../../src/lib/errors.ts'
import { HubServer, Place, rules, sha256 } from '../hub-server.ts'
import type { Misbehave } from '../hub-server.ts'
import { signer, writeSigned } from '../signed-file.ts'

let hub: HubServer
let inside: HubServer
const place = new Place()
const MODEL = join(place.folder, 'small.bin')
const BYTES = Buffer.alloc(200_000, 'a model ')
const TOKEN = 'hf_secretsecretsecret'
before(async () => {
  hub = await HubServer.start()
  inside = await HubServer.start({ address: '127.0.0.2' })
  await writeSigned(MODEL, BYTES, signer(place.folder, 'team'))
})
after(async () => {
  await hub.stop()
  await inside.stop()
  place[Symbol.dispose]()
})
beforeEach(() => {
  hub.token = TOKEN
  hub.uploadHost = 'cdn.test'
  hub.misbehave = hub.misbehaveForSignatures = undefined
  hub.seen.length = hub.seenSignatures.length = hub.commits.length = inside.seen.length = 0
  hub.files.clear()
  hub.objects.clear()
})

const to = (more: object = {}) => ({ ...rules, allowPrivate: false, endpoint: hub.origin(), token: TOKEN, ...more })
async function refused(text: RegExp, more: object = {}, target = 'hf:owner/repo'): Promise<void> {
  try {
    await push(MODEL, target, to(more))
  } catch (e) {
    assert.ok(VeritError.is(e) && /^VERIT_(?:PUSH|PULL)_/.test(e.code), String(e))
    assert.match(e.message, text)
    assert.doesNotMatch(e.message, /secret/)
    assert.equal(inside.seen.length, 0)
    return
  }
  assert.fail(`not refused: ${String(text)}`)
}
/** Answers one step of a push in place of the hub. */
const at =
  (step: string, answer: (response: ServerResponse) => void): Misbehave =>
  (request, response, behave) =>
    request.url!.includes(step) ? answer(response) : behave()
const json =
  (value: unknown) =>
  (response: ServerResponse): void =>
    void response.writeHead(200).end(JSON.stringify(value))
const object = (upload: unknown) => json({ objects: [{ oid: sha256(BYTES), size: BYTES.length, actions: { upload } }] })
const STEPS = ['/preupload/', '/objects/batch', '?signature=', '/commit/'] as const

test(
  "I6 the token of a push goes to the hub's origin only: not to the host that takes the bytes, nor along a " +
    'redirect',
  async () => {
    await push(MODEL, 'hf:owner/repo', to())
    const by = Map.groupBy(hub.seen, s => s.host.replace(/:\d+$/, ''))
    assert.ok(by.get('hub.test')!.every(s => s.headers.authorization === `Bearer ${TOKEN}`))
    assert.deepEqual(
      by.get('cdn.test')!.map(s => [s.method, s.headers.authorization]),
      [
        ['PUT', undefined],
        ['PUT', undefined]
      ]
    )
    assert.ok(
      hub.seen.every(s => s.headers.cookie === undefined && s.headers.referer === undefined && !s.path.includes(TOKEN))
    )
    // the same name at another port is another origin
    const cdn = await HubServer.start()
    hub.objects.clear()
    hub.files.clear()
    try {
      hub.misbehave = at('/objects/batch', object({ href: `${cdn.origin()}/lfs/${sha256(BYTES)}` }))
      await refused(/does not answer for/) // for the signature, once the model was sent
      assert.deepEqual(
        cdn.seen.map(s => [s.method, s.headers.authorization]),
        [['PUT', undefined]]
      )
    } finally {
      await cdn.stop()
    }
  }
)

test('I2 no step of a push follows a redirect, wherever it leads', async () => {
  for (const step of STEPS) {
    for (const location of [
      `https://127.0.0.2:${inside.port}/x`,
      `http://hub.test:${hub.port}/x`,
      '/elsewhere',
      `https://cdn.test:${hub.port}/x`
    ]) {
      for (const status of [302, 307, 308]) {
        hub.seen.length = 0
        hub.objects.clear()
        hub.misbehave = at(step, r => void r.writeHead(status, { Location: location }).end())
        await refused(/it redirects, which is not followed/)
        assert.ok(!hub.seen.some(s => s.path === '/x' || s.path === '/elsewhere'))
      }
    }
  }
  hub.misbehave = at('/put/', r => void r.writeHead(307, { Location: '/put/else' }).end())
  await refused(/it redirects/, {}, `${hub.origin()}/put/small.bin`)
})

test(
  'I1 an upload to a private address, over http, or to no address is refused, not sent; also where private ' +
    'hosts are allowed and the hub is public',
  async () => {
    for (const allowPrivate of [false, true]) {
      for (const href of [
        `https://127.0.0.2:${inside.port}/x`,
        `https://inside.test:${inside.port}/x`,
        'https://2130706434/x',
        'https://[::ffff:127.0.0.2]/x',
        'https://169.254.169.254/latest/meta-data',
        `http://cdn.test:${hub.port}/x`,
        `http://127.0.0.1:${hub.port}/x`,
        'file:///etc/passwd',
        '/x',
        'unix:/run/x',
        `https://u:p@cdn.test:${hub.port}/x`,
        `https://cdn.test\\@127.0.0.2:${inside.port}/x`
      ]) {
        hub.misbehave = at('/objects/batch', object({ href }))
        hub.seen.length = 0
        await refused(/No request was sent|not a plain https address|go to http/, { allowPrivate })
        assert.ok(
          hub.seen.every(s => s.method !== 'PUT'),
          href
        )
      }
    }
    for (const name of [
      'Host',
      'content-length',
      'Transfer-Encoding',
      'Cookie',
      'Connection',
      'bad name',
      'x\r\ny',
      'Proxy-Authorization'
    ]) {
      hub.misbehave = at('/objects/batch', object({ href: `${hub.origin('cdn.test')}/lfs/x`, header: { [name]: '1' } }))
      await refused(/headers to be sent that are not its to choose/)
    }
    hub.misbehave = at(
      '/objects/batch',
      object({ href: `${hub.origin('cdn.test')}/lfs/x`, header: { 'x-a': 'a\r\nb: c' } })
    )
    await refused(/headers to be sent/)
  }
)

test('I4 answers without end, too large, of another form, errors and silence end a push at each step', async () => {
  const drip =
    (chunk: Buffer | string, ms: number) =>
    (response: ServerResponse): void => {
      response.writeHead(200)
      const each = setInterval(() => response.write(chunk), ms)
      response.on('close', () => clearInterval(each))
    }
  for (const step of STEPS.filter(s => s !== '?signature=')) {
    const cases: [answer: (response: ServerResponse) => void, says: RegExp, more?: object][] = [
      [drip(Buffer.alloc(1 << 20, ' '), 0), /more than 1,048,576 bytes/],
      [drip(' ', 10), /no whole answer came in time/, { answerMs: 150 }],
      [() => undefined, /no answer came in time|no whole answer/, { answerMs: 100 }],
      [r => void r.writeHead(200).end('<html>'), /cannot be read/],
      [json('['.repeat(9)), /not what a hub answers/],
      [r => void r.writeHead(200).end('['.repeat(100_000)), /cannot be read/],
      [
        json({ files: [{ path: '../x', uploadMode: 'lfs' }], objects: [], commitOid: '../../etc' }),
        /does not say how|does not answer for|not what a hub answers/
      ],
      [r => void r.writeHead(200, { 'Content-Encoding': 'gzip' }).end(Buffer.from([31, 139, 8])), /cannot be read/],
      [r => r.destroy(), /was interrupted/],
      [r => void r.writeHead(429, { 'Retry-After': '86400' }).end(), /asks to wait 86400 s/],
      [r => void r.writeHead(503, { 'Retry-After': '0' }).end(), /asks to wait/],
      [r => void r.writeHead(401).end('secret page'), /wants permission/],
      [r => void r.writeHead(403).end(), /may not write there/],
      [r => void r.writeHead(404).end(), /Create it on the hub first/],
      [r => void r.writeHead(409).end(), /changed meanwhile/],
      [r => void r.writeHead(412).end(), /changed meanwhile/],
      [r => void r.writeHead(500).end(), /status 500/]
    ]
    for (const [answer, says, more] of cases) {
      hub.misbehave = at(step, answer)
      hub.objects.clear()
      await refused(says, more)
    }
  }
})

test(
  'I4 a host that takes the bytes and stalls, cuts off or never answers ends the push; one that asks to wait ' +
    'gets them again',
  async () => {
    const big = join(place.folder, 'big.bin')
    await writeSigned(big, Buffer.alloc(32 << 20, 7), signer(place.folder, 'other'))
    const send = (more: object) => push(big, 'hf:owner/repo', to(more))
    hub.misbehave = (request, _, behave) => (request.method === 'PUT' ? void request.pause() : behave())
    await assert.rejects(send({ idleMs: 200 }), { code: 'VERIT_PUSH_CONNECTION' })
    hub.misbehave = (request, _, behave) =>
      request.method === 'PUT' ? void request.once('data', () => request.destroy()) : behave()
    await assert.rejects(send({}), { code: 'VERIT_PUSH_CONNECTION' })
    hub.misbehave = (request, _, behave) => (request.method === 'PUT' ? void request.resume() : behave())
    await assert.rejects(send({ answerMs: 200 }), { code: 'VERIT_PUSH_CONNECTION' })
    let left = 2
    hub.misbehave = (request, response, behave) =>
      request.method === 'PUT' && left-- > 0
        ? void request.resume().on('end', () => response.writeHead(503, { 'Retry-After': '0' }).end())
        : behave()
    assert.equal((await send({})).confirmed, true)
  }
)

test('I7 a hub that stores or names another content than what was sent is told on', async () => {
  const other = Buffer.from('f'.repeat(64), 'hex')
  hub.misbehave = at(
    '?signature=',
    r => void r.writeHead(200, { 'x-amz-checksum-sha256': other.toString('base64') }).end()
  )
  await refused(/it has stored another content: sha256:f+/)
  hub.misbehave = at('/resolve/', r => void r.writeHead(200, { 'X-Linked-Etag': `"${other.toString('hex')}"` }).end())
  await refused(/it made the commit [0-9a-f]{40}, in which small\.bin is sha256:f+/)
  // a hub that says nothing confirms nothing
  hub.files.clear()
  hub.objects.clear()
  hub.misbehave = at('/resolve/', r => r.destroy())
  assert.equal((await push(MODEL, 'hf:owner/repo', to())).confirmed, undefined)
})
