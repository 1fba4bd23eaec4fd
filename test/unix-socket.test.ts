/**
 * The Unix socket: who may connect, who is believed, what is refused before it listens, and that clients of every kind
 * can use it.
 */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { readEntries } from '../src/audit/reader.ts'
import { newKeyPair, veritFetch } from '../src/client/index.ts'
import { socketFetch } from '../src/client/socket-fetch.ts'
import { VeritError } from '../src/lib/errors.ts'
import { parseConfig } from '../src/server/config-file.ts'
import { startListening } from '../src/server/listen.ts'
import { testGateway } from './gateway-context.ts'
import type { TestGateway } from './gateway-context.ts'

const skip = process.platform === 'win32' ? 'Windows has no such sockets' : false
const dir = mkdtempSync(join(tmpdir(), 'verit-socket-'))
after(() => rmSync(dir, { recursive: true }))
let made = 0

async function gatewayAt(socket: string, trustedProxies: string[] = []): Promise<TestGateway & { state: string }> {
  const state = join(dir, `state${++made}`)
  const gateway = await testGateway(state, config => Object.assign(config.listen, { socket, trustedProxies }))
  return { ...gateway, state }
}

/** What a command prints; undefined where it is not installed. */
const run = (name: string, ...args: string[]): Promise<string | undefined> =>
  new Promise(
    resolve => void execFile(name, args, (e, out) => resolve(e !== null && e.code === 'ENOENT' ? undefined : out))
  )

const refused = (gateway: TestGateway, reason: RegExp): Promise<void> =>
  assert.rejects(
    startListening(gateway.app, gateway.context.config.listen, 'http'),
    (e: unknown) => VeritError.is(e, 'VERIT_LISTEN') && reason.test(e.what)
  )

test(
  'a server on a Unix socket answers with keys as on a port; the socket is for its user and group, and goes with ' +
    'the server',
  { skip },
  async () => {
    const socket = join(dir, 'verit.sock')
    const g = await gatewayAt(socket)
    assert.equal(await startListening(g.app, g.context.config.listen, 'http'), 'http://localhost')
    assert.equal(statSync(socket).mode & 0o777, 0o660)
    const ask = socketFetch(socket)
    const { key } = await g.context.store.keys.create({ name: 'x' }, 'cli')
    const health = await ask('http://localhost/health')
    assert.deepEqual([health.status, await health.json()], [503, { status: 'loading' }])
    const headers = { authorization: `Bearer ${key}`, 'x-forwarded-for': '203.0.113.9' }
    assert.equal((await ask('http://localhost/v1/models', { headers })).status, 200)
    assert.equal((await ask('http://localhost/v1/models')).status, 401)
    assert.equal((await ask('http://evil.example/v1/models', { headers })).status, 403)
    const curl = await run('curl', '-s', '--unix-socket', socket, 'http://localhost/health')
    if (curl !== undefined) assert.equal(curl, '{"status":"loading"}')

    // signed requests, by the client of the package
    const pair = newKeyPair()
    const { credentialId } = await g.context.store.keys.create(
      { name: 'signer', kind: 'ed25519', public: pair.publicKey },
      'cli'
    )
    const signing = veritFetch({
      socket,
      keyFile: { kind: 'ed25519', keyid: credentialId, privateKey: pair.privateKey }
    })
    assert.equal((await signing('http://localhost/v1/models')).status, 200)
    const answer = await signing('http://localhost/v1/completions', {
      method: 'POST',
      body: '{"prompt":"x"}',
      headers: { 'content-type': 'application/json' }
    })
    assert.equal(answer.status, 503)

    await g.close()
    assert.ok(!existsSync(socket))
    const remotes = new Set(
      [...readEntries(join(g.state, 'audit'))].flatMap(({ entry }) => ('remote' in entry ? [entry.remote] : []))
    )
    assert.deepEqual([...remotes], ['unix'], 'what a client says of its address is not believed')
  }
)

test(
  'a proxy on the Unix socket is believed where "unix" is declared, and keys bound to addresses work through it',
  { skip },
  async () => {
    const socket = join(dir, 'proxied.sock')
    const g = await gatewayAt(socket, ['unix'])
    await startListening(g.app, g.context.config.listen, 'http')
    const { key } = await g.context.store.keys.create({ name: 'x', addresses: ['203.0.113.0/24'] }, 'cli')
    const ask = async (from: string | undefined): Promise<number> => {
      const headers = { authorization: `Bearer ${key}`, ...(from !== undefined && { 'x-forwarded-for': from }) }
      return (await socketFetch(socket)('http://localhost/v1/models', { headers })).status
    }
    assert.deepEqual(
      [await ask('203.0.113.9'), await ask('198.51.100.1'), await ask(undefined), await ask('unix')],
      [200, 403, 403, 400]
    )
    await g.close()
  }
)

test(
  'the socket of a server that was killed is replaced; one that is in use, or is something else, is not',
  { skip },
  async () => {
    const socket = join(dir, 'stale.sock')
    const child = spawn(process.execPath, [
      '-e',
      'require("net").createServer().listen(process.argv[1], () => console.log("up"))',
      socket
    ])
    await once(child.stdout, 'data')
    const running = await gatewayAt(socket)
    await refused(running, /stale\.sock: another server listens there/)
    child.kill('SIGKILL')
    await once(child, 'exit')
    assert.ok(existsSync(socket))
    await startListening(running.app, running.context.config.listen, 'http')
    const second = await gatewayAt(socket)
    await refused(second, /another server listens there/)
    assert.equal((await socketFetch(socket)('http://localhost/health')).status, 503, 'and the first goes on')
    await Promise.all([running.close(), second.close()])

    const file = join(dir, 'file.sock')
    writeFileSync(file, 'kept')
    const third = await gatewayAt(file)
    await refused(third, /a file that is no socket has this name/)
    rmSync(file)
    symlinkSync(join(dir, 'elsewhere'), file)
    await refused(third, /a file that is no socket has this name/)
    await third.close()
  }
)

test(
  'a folder in which others could put a socket of their own is refused, and so is one below such a folder',
  { skip },
  async () => {
    for (const [name, mode, below] of [
      ['open', 0o777, ''],
      ['sticky', 0o1777, ''],
      ['group', 0o770, ''],
      ['above', 0o777, 'own']
    ] as const) {
      const folder = join(dir, name)
      mkdirSync(join(folder, below), { recursive: true, mode: 0o700 })
      chmodSync(folder, mode)
      const g = await gatewayAt(join(folder, below, 'v.sock'))
      await refused(g, /others may write to the folder/)
      await g.close()
    }
    const missing = await gatewayAt(join(dir, 'missing', 'v.sock'))
    await refused(missing, /its folder does not exist/)
    await missing.close()
  }
)

test('the setting is a path, and stands alone: no host, port or certificate beside it', { skip }, () => {
  const problem = (text: string): string => {
    try {
      parseConfig(`[listen]\n${text}`, 'test')
      return ''
    } catch (e) {
      return VeritError.is(e, 'VERIT_CONFIG') ? e.what : String(e)
    }
  }
  assert.equal(problem('socket = "/run/verit/verit.sock"\ntrusted_proxies = ["unix"]'), '')
  for (const [text, pattern] of [
    ['socket = "verit.sock"', /must be an absolute path/],
    ['socket = "/run/"', /must be an absolute path/],
    [`socket = "/${'x'.repeat(103)}"`, /at most 103 bytes/],
    ['socket = "/run/a\\u0000b"', /control characters/],
    ['socket = "/run/v.sock"\nport = 9000', /listen\.socket replaces listen\.host and listen\.port/],
    ['socket = "/run/v.sock"\nhost = "0.0.0.0"', /listen\.socket replaces/],
    ['socket = "/run/v.sock"\ntls_cert = "/a"\ntls_key = "/b"', /listen\.tls_cert has no effect on a Unix socket/],
    ['trusted_proxies = ["unix"]', /names "unix", but listen\.socket is not set/]
  ] as const)
    assert.match(problem(text), pattern, text)
})
