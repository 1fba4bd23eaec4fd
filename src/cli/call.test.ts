import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { verit } from '../../test/cli.ts'
import { signedServer } from '../../test/signed-server.ts'
import type { SignedServerOptions } from '../../test/signed-server.ts'
import { newKeyPair, writeKeyFile } from '../client/index.ts'
import { defined } from '../lib/defined.ts'
import { VeritError } from '../lib/errors.ts'
import type { ErrorCode } from '../lib/errors.ts'
import { command } from './call.ts'

// what the developer has set must not decide
for (const name of ['VERIT_API_KEY', 'VERIT_API_KEY_FILE']) delete process.env[name]

const folder = mkdtempSync(join(tmpdir(), 'verit-call-'))
after(() => rmSync(folder, { recursive: true }))
const keyFile = join(folder, 'key.json')
const pair = newKeyPair()
writeKeyFile(keyFile, { kind: 'ed25519', keyid: 'key_0123456789ab.1', privateKey: pair.privateKey })
const signing = (more: SignedServerOptions = {}): ReturnType<typeof signedServer> =>
  signedServer({ credential: { publicKey: pair.publicKey, signingSecret: undefined }, ...more })

interface Called {
  status: number
  out: string
  err: string
}

async function call(args: string[], input?: string, env: Record<string, string> = {}): Promise<Called> {
  const { status, stdout: out, stderr: err } = await verit(['call', ...args], { env, ...defined({ input }) })
  return { status, out, err }
}

test(
  'requests are signed, bodies come from the option, a file or standard input, and answers are ' + 'checked',
  async () => {
    await using server = await signing({ answers: { '/v1/models': '{"object": "list"}' } })
    const serverFile = join(folder, 'server.key')
    writeFileSync(serverFile, `${server.serverKey}\n`)
    writeFileSync(join(folder, 'body.json'), '{"c":1}')
    const common = ['--url', server.url, '--key-file', keyFile]
    const results = await Promise.all([
      call(['/v1/models', ...common, '--server-key', server.serverKey, '--include']),
      call(['GET', `${server.url}/v1/models`, '--key-file', keyFile, '--server-key', serverFile, '--json']),
      call(['/x', '--data', '{"a":1}', ...common]),
      call(['put', '/x', '--data', '-', ...common], '{"b":1}'),
      call(['/x', '--data', `@${join(folder, 'body.json')}`, ...common])
    ])
    for (const { status, err } of results) assert.deepEqual([status, err], [0, ''])
    assert.match(results[0]!.out, /^200 OK\n[^]*signature-input: verit=[^]*\n\n\{"object": "list"\}$/)
    assert.equal(results[1]!.out, '{"object":"list"}\n')
    assert.deepEqual(server.accepted.map(a => a.body).sort(), ['', '', '{"a":1}', '{"b":1}', '{"c":1}'])
  }
)

test('--prompt prints the text as it comes, or with --json the whole answer', async () => {
  await using server = await signing()
  const common = ['--url', server.url, '--key-file', keyFile, '--server-key', server.serverKey]
  const [text, json, piped] = await Promise.all([
    call(['--prompt', 'Hi', ...common]),
    call(['-p', 'Hi', '--json', ...common]),
    call(['-p', '-', ...common], 'from a pipe')
  ])
  assert.deepEqual(text, { status: 0, out: 'Hello\n', err: '' })
  assert.equal(
    (JSON.parse(json.out) as { choices: { message: { content: string } }[] }).choices[0]!.message.content,
    'Hello there'
  )
  assert.equal(piped.out, 'Hello\n')
  assert.ok(
    server.accepted.some(a => a.body === '{"messages":[{"role":"user","content":"from a pipe"}],"stream":true}')
  )
})

test('a plain key comes from the environment', async () => {
  await using server = await signedServer()
  const { status } = await call(['/v1/models', '--url', server.url, '--server-key', server.serverKey], undefined, {
    VERIT_API_KEY: 'verit_x'
  })
  assert.equal(status, 0)
  assert.equal(server.accepted[0]!.headers.authorization, 'Bearer verit_x')
})

test('errors of the server and broken streams are one clear sentence and exit status 1', async () => {
  const error = 'data: {"error":{"message":"It broke.","code":"VERIT_RUNNER_DIED"}}\n\n'
  await using server = await signing({ answers: { '/no': 403, '/v1/chat/completions': [error] } })
  await using cut = await signing({ tamper: { end: () => '' } })
  const common = ['--url', server.url, '--key-file', keyFile]
  const [refused, died, broken] = await Promise.all([
    call(['/no', '--json', ...common]),
    call(['-p', 'Hi', ...common]),
    call(['-p', 'Hi', '--url', cut.url, '--key-file', keyFile, '--server-key', cut.serverKey])
  ])
  assert.match(refused.err, /^verit: The server answered 403: refused\. .*\[VERIT_CALL\]\n$/)
  assert.equal((JSON.parse(refused.out) as { error: { code: string } }).error.code, 'VERIT_TEST')
  assert.match(died.err, /The server answered 200: It broke\. /)
  assert.match(broken.err, /cut short.*\[VERIT_ANSWER\]/)
  assert.deepEqual([refused.status, died.status, broken.status], [1, 1, 1])
})

test('wrong uses are refused before anything is sent', async () => {
  await using server = await signing()
  const gone = await signing()
  await gone[Symbol.asyncDispose]()
  const open = join(folder, 'open.json')
  writeKeyFile(open, { kind: 'hmac-sha256', keyid: 'key_0123456789ab.1', key: 'verit_SECRET' })
  if (process.platform !== 'win32') chmodSync(open, 0o644)
  const common = ['--url', server.url, '--key-file', keyFile]
  const cases: [string[], ErrorCode, RegExp][] = [
    [['/no', '--url', server.url], 'VERIT_CALL', /The server answered 401: .*signature-input/],
    [['/x', '--url', gone.url, '--key-file', keyFile], 'VERIT_CONNECT', /could not be reached: ECONNREFUSED/],
    [[], 'VERIT_USAGE', /no address/],
    [['models'], 'VERIT_USAGE', /neither a path nor a URL/],
    [['//evil.example/x', ...common], 'VERIT_USAGE', /neither a path nor a URL/],
    [['G3T', '/x'], 'VERIT_USAGE', /not a method/],
    [['/x', '--url', 'ftp://x'], 'VERIT_USAGE', /not an http or https/],
    [['http://u:p@127.0.0.1/x'], 'VERIT_USAGE', /no place for a password/],
    [['/x', '-p', 'Hi'], 'VERIT_USAGE', /makes its own/],
    [['/x?a=b', ...common], 'VERIT_CLIENT', /query/],
    [['/x', '--key-file', join(folder, 'none.json')], 'VERIT_FILE_NOT_FOUND', /There is no file/]
  ]
  if (process.platform !== 'win32') cases.push([['/x', '--key-file', open], 'VERIT_KEY_FILE', /others can use it/])
  for (const [args, code, message] of cases) {
    await assert.rejects(
      command().parseAsync(args, { from: 'user' }),
      e => VeritError.is(e, code) && message.test(e.message) && !e.message.includes('SECRET'),
      args.join(' ')
    )
  }
  assert.equal(server.accepted.length, 0)
})

test('an error that never ends, and an answer that unpacks to far more than it was, are given up', async () => {
  const bomb = gzipSync(Buffer.alloc(128 << 20))
  const server = createServer((request, response) => {
    response.on('error', () => undefined)
    if (request.url === '/bomb') return void response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb)
    const more = (): void => {
      while (response.write(Buffer.alloc(1 << 16, ' ')));
      response.once('drain', more)
    }
    response.writeHead(500)
    more()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const results = await Promise.all([call(['/endless', '--url', url]), call(['/bomb', '--json', '--url', url])])
  for (const { status, out, err } of results) {
    assert.deepEqual([status, out], [1, ''])
    assert.match(err, /its body has more than \d+ bytes .*\[VERIT_ANSWER\]\n$/)
  }
  server.closeAllConnections()
  server.close()
})
