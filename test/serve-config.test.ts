/**
 * `verit serve` as a person starts it: configuration files, flags, TLS, and what it says before anything is started.
 */
// long: each check of a configuration loads the model in a runner
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { addon } from '../src/exec/native.ts'
import { allowedProcessors, processorList } from '../src/lib/processor-list.ts'
import { parseConfig } from '../src/server/config-file.ts'
import { makeCertificate } from './certificates.ts'
import { veritSync } from './cli.ts'
import type { Ended } from './cli.ts'
import { refusedStarts } from './refused-starts.ts'
import { killServers, served, tinyModel } from './served.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-serve-config-'))
const authority = makeCertificate({ subject: 'authority', purpose: 'ca' })
const server = makeCertificate({
  subject: 'server',
  issuer: authority,
  purpose: 'server',
  names: ['localhost', '127.0.0.1']
})
const write = (name: string, text: string): string => {
  const path = join(dir, name)
  writeFileSync(path, text, { mode: 0o600 })
  return path
}
const cert = write('cert.pem', server.cert)
const key = write('key.pem', server.key)
const WARNING = /Warning: other machines can reach this address/
let model = ''
before(async () => void (model = await tinyModel(dir)))
after(() => {
  killServers()
  rmSync(dir, { recursive: true })
})

/** `verit serve` with --check or --print-config, which start nothing. */
const looks = (args: string[], env: NodeJS.ProcessEnv = {}): Ended =>
  veritSync(['serve', model, '--state', join(dir, 'none'), ...args], { env })

test('--check reads everything and starts nothing', () => {
  const file = write('good.toml', `[listen]\ntls_cert = ${JSON.stringify(cert)}\ntls_key = ${JSON.stringify(key)}\n`)
  const good = looks(['--config', file, '--check', '--allow-unsigned'])
  assert.deepEqual(
    [good.status, good.stdout],
    [0, `${file} is good, and ${model} may be served; nothing was started.\n`]
  )
  const unsigned = looks(['--config', file, '--check'])
  assert.match(`${unsigned.status} ${unsigned.stderr}`, /^1 .*model trust add.*VERIT_UNTRUSTED/)
  for (const [args, env, pattern] of [
    [
      ['--config', write('bad.toml', '[listen]\nprot = 1\n')],
      {},
      /bad\.toml: listen\.prot is not a setting; perhaps port is meant/
    ],
    [['--tls-cert', cert, '--tls-key', write('other.pem', authority.key)], {}, /is not the key of the certificate/],
    [[], { VERIT_DATABASE_URL: 'mysql://u:hunter2@h/d' }, /VERIT_DATABASE_URL/],
    [
      ['--config', write('hook.toml', '[watch]\nwebhook_url = "https://a.example/"\n')],
      { VERIT_WEBHOOK_SECRET: 'hunter2' },
      /VERIT_WEBHOOK_SECRET/
    ]
  ] as [string[], NodeJS.ProcessEnv, RegExp][]) {
    const { status, stdout, stderr } = looks([...args, '--check'], env)
    assert.ok(status === 2 || status === 1, stderr)
    assert.match(stderr, pattern)
    assert.doesNotMatch(stdout + stderr, /hunter2/)
  }
  assert.ok(!existsSync(join(dir, 'none')))
})

test('--check finds every problem of a start: model, chat template, end tokens, context, state folder', () => {
  const checked = (path: string, ...args: string[]): Ended =>
    veritSync(['serve', path, '--check', '--allow-unsigned', ...args])
  const within = join(dir, 'made', 'for', 'the', 'check')
  const good = checked(model, '--state', within)
  assert.equal(good.status, 0, good.stderr)
  assert.ok(!existsSync(join(dir, 'made')), 'no folder is left')
  const damaged = join(dir, 'damaged.gguf')
  writeFileSync(damaged, readFileSync(model).subarray(0, 2000))
  const none = ['--state', join(dir, 'none')]
  for (const [path, args, pattern] of [
    [damaged, none, /damaged\.gguf.*VERIT_GGUF/],
    [
      model,
      [...none, '--chat-template', write('bad.jinja', '{% if %}')],
      /The chat template \S*bad\.jinja cannot be read: .*VERIT_CHAT/
    ],
    [model, [...none, '--end-token', 'nope'], /"nope", which is not a token of this model.*VERIT_USAGE/],
    [model, ['--state', '/proc/verit/state'], /\/proc\/verit.*VERIT_FILE_IO/],
    [model, ['--state', join(dir, 'made', 'x'.repeat(300))], /VERIT_FILE_IO/],
    [model, ['--state', join(model, 'below')], /VERIT_FILE_IO/]
  ] as [string, string[], RegExp][]) {
    const { status, stdout, stderr } = checked(path, ...args)
    assert.notEqual(status, 0, `${args.join(' ')}: ${stdout}`)
    assert.match(stderr, pattern)
  }
  assert.ok(!existsSync(join(dir, 'made')))
})

test('a file that is no model is named before the question of trust', () => {
  const others: [string, RegExp][] = [
    ['<!DOCTYPE html>\n<html><body>Not here</body></html>', /it is an HTML page.*\/resolve\//],
    ['\0'.repeat(64), /it does not begin with GGUF/],
    ['version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n', /it is a Git LFS pointer.*git lfs pull/],
    [`\x7f${'\0'.repeat(7)}{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, /it is a safetensors file.*convert/]
  ]
  for (const [content, pattern] of others) {
    const path = write('other.gguf', content)
    const checked = veritSync(['serve', path, '--state', join(dir, 'none'), '--check'])
    for (const { status, stderr } of [checked, ...refusedStarts([[path, '--state', join(dir, 'kinds')]])]) {
      assert.match(`${status} ${stderr}`, pattern)
      assert.match(stderr, /VERIT_GGUF/)
      assert.doesNotMatch(stderr, /trust/)
    }
  }
})

test('--print-config prints what would hold, and that is a configuration', () => {
  const { stdout, status } = looks([
    '--config',
    write('print.toml', '[keys]\nstreams = 3\n[listen]\nport = 5\n'),
    '--port',
    '6',
    '--trusted-proxy',
    '10.0.0.1',
    '--trusted-proxy',
    '10.0.0.2',
    '--print-config'
  ])
  assert.equal(status, 0)
  const config = parseConfig(stdout, 'printed')
  assert.deepEqual(
    [config.keys.streams, config.listen.port, config.listen.trustedProxies],
    [3, 6, ['10.0.0.1', '10.0.0.2']]
  )
})

test(
  'a server with a certificate speaks TLS alone, with HSTS; its limits are those of the file; a client ' +
    'certificate is a key',
  async () => {
    const file = write(
      'tls.toml',
      `[listen]\ntls_cert = ${JSON.stringify(cert)}\ntls_key = ${JSON.stringify(key)}\n[http]\nheaders = ` +
        `8\n[security_txt]\ncontact = ["mailto:a@b.example"]\n`
    )
    const running = await served(
      model,
      join(dir, 'state'),
      '--config',
      file,
      '--tls-client-ca',
      write('ca.pem', authority.cert)
    )
    assert.match(running.url, /^https:\/\/127\.0\.0\.1:\d+$/)
    assert.match(running.stderr(), /TLS 1\.2 and 1\.3, certificate from/)
    const get = async (
      path: string,
      headers: Record<string, string> = {},
      own: object = {}
    ): Promise<IncomingMessage> =>
      new Promise((resolve, reject) => {
        request(running.url + path, { ca: authority.cert, headers, agent: false, ...own }, response =>
          resolve(response.resume())
        )
          .on('error', reject)
          .end()
      })
    const models = await get('/v1/models', { authorization: `Bearer ${running.key}` })
    assert.deepEqual([models.statusCode, models.headers['strict-transport-security']], [200, 'max-age=31536000'])
    assert.equal(
      (await get('/health', Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`x${i}`, '']))))!.statusCode,
      400
    )
    const client = makeCertificate({ subject: 'client', issuer: authority, purpose: 'client' })
    const own = { cert: client.cert, key: client.key }
    assert.equal((await get('/v1/models', {}, own)).statusCode, 401)
    const made = veritSync([
      'keys',
      'create',
      '--state',
      join(dir, 'state'),
      '--kind',
      'certificate',
      '--certificate',
      write('client.pem', client.cert)
    ])
    assert.equal(made.status, 0, made.stderr)
    assert.equal((await get('/v1/models', {}, own)).statusCode, 200)
    assert.equal((await get('/v1/models')).statusCode, 401)
    const contact = await get('/.well-known/security.txt')
    assert.deepEqual([contact.statusCode, contact.headers['content-type']], [200, 'text/plain; charset=utf-8'])
    await assert.rejects(fetch(`${running.url.replace('https', 'http')}/health`))
    assert.equal(await running.stop(), 0)
  }
)

test(
  'what computes is chosen in the file, and flags come after it; cores that there are not are refused before ' +
    'anything starts',
  { skip: addon() === undefined },
  async () => {
    const core = processorList(allowedProcessors().allowed)?.at(-1)
    const file = write(
      'compute.toml',
      `[inference]\nthreads = 3\npacking = "base3"\ninstruction_set = ` +
        `"baseline"\n${core === undefined ? '' : `cores = "${core}"\n`}`
    )
    const running = await served(
      model,
      join(dir, 'compute'),
      '--config',
      file,
      '--threads',
      '2',
      '--host',
      '0.0.0.0',
      '--trusted-proxy',
      '10.0.0.5'
    )
    assert.match(running.stderr(), /native baseline on 2 threads/)
    assert.doesNotMatch(running.stderr(), WARNING) // a proxy is declared
    if (core !== undefined && process.platform === 'linux') {
      const pid = running.runnerPid()
      const tied = readdirSync(`/proc/${pid}/task`).filter(t =>
        new RegExp(`^Cpus_allowed_list:\\s*${core}$`, 'm').test(readFileSync(`/proc/${pid}/task/${t}/status`, 'utf8'))
      )
      assert.ok(tied.length >= 2, 'its threads are tied')
    }
    assert.equal(await running.stop(), 0)
    for (const [args, pattern] of [
      [['--cores', '8000'], /no processor 8000.*VERIT_USAGE|on Linux only.*VERIT_USAGE/],
      [['--cores', '1-0'], /must be processors as the system numbers them/],
      [['--packing', 'tight'], /must be one of "auto", "base3", "two-bit"/],
      [['--instruction-set', 'mmx'], /must be one of "auto", "avx512"/],
      [['--threads', '1025'], /from 0 to 1,024/],
      [['--instruction-set', process.arch === 'arm64' ? 'avx512' : 'neon'], /cannot run the instruction set/]
    ] as const) {
      const { status, stderr } = looks([...args, '--check', '--allow-unsigned'])
      assert.deepEqual([status, pattern.test(stderr)], [2, true], stderr)
    }
  }
)

test('a server does not start where the head is to be screened and cannot be', () => {
  const file = write('screened.toml', '[inference]\nhead_screen = "on"\n[trust]\nallow_unsigned = true\n')
  const [{ status, stderr } = { status: 0, stderr: '' }] = refusedStarts([
    [model, '--config', file, '--state', join(dir, 'screened')]
  ])
  assert.deepEqual([status, /cannot be screened: .*\[VERIT_USAGE\]\n$/.test(stderr)], [2, true], stderr)
})

test('a warning is given where others can reach a server without TLS, unless a proxy is declared', async () => {
  const warned = async (...args: string[]): Promise<boolean> => {
    const running = await served(model, join(dir, 'state'), '--host', '0.0.0.0', ...args)
    assert.equal(await running.stop(), 0)
    return WARNING.test(running.stderr())
  }
  assert.equal(await warned(), true)
  assert.equal(await warned('--tls-cert', cert, '--tls-key', key), false)
})
