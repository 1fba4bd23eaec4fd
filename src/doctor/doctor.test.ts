import assert from 'node:assert/strict'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { requestEntry } from '../../test/audit-entries.ts'
import { makeCertificate } from '../../test/certificates.ts'
import { openAuditLog } from '../audit/audit-log.ts'
import { defaultModelPath } from '../lib/default-model.ts'
import { memoryCeiling } from '../runner/memory-ceiling.ts'
import { defaultConfig } from '../server/config.ts'
import { parseConfig } from '../server/config-file.ts'
import type { KeyRecord } from '../store/key-store.ts'
import { openStore } from '../store/open-store.ts'
import { checkAdvisories } from './advisories.ts'
import { examine } from './examine.ts'
import { checkHost } from './host.ts'
import { checkKeys } from './keys-in-use.ts'
import { checkListening } from './listening.ts'
import { checkLog, checkUnaudited } from './log-kept.ts'
import { checkPlatform } from './platform.ts'
import type { Finding } from './finding.ts'
import { checkModel } from './served-model.ts'
import { checkSandbox, judge, serverMemory } from './sandbox.ts'
import { checkStateFiles } from './state-files.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-doctor-'))
after(() => rmSync(dir, { recursive: true }))
const DAY = 86_400_000
const now = Date.parse('2026-11-22T12:00:00Z')

const levelsOf = (findings: readonly Finding[]): Record<string, string> =>
  Object.fromEntries(findings.map(f => [f.check, f.level]))

test('a platform is judged by its Node, kernels, user, umask and environment', () => {
  const good = { node: '24.21.0', kernels: ['avx2', 'reference'], uid: 1000, umask: 0o077, env: {} }
  assert.ok(checkPlatform(good).every(f => f.level === 'ok'))
  const bad = {
    node: '23.1.0',
    kernels: ['reference'],
    uid: 0,
    umask: 0o002,
    env: { NODE_TLS_REJECT_UNAUTHORIZED: '0', NODE_DEBUG: 'http' }
  }
  assert.deepEqual(
    checkPlatform(bad).map(f => [f.check, f.level]),
    [
      ['node.version', 'problem'],
      ['kernels', 'warning'],
      ['user.root', 'warning'],
      ['user.umask', 'warning'],
      ['environment', 'problem'],
      ['environment', 'warning']
    ]
  )
  assert.equal(levelsOf(checkPlatform({ ...good, node: '25.0.0' }))['node.version'], 'warning')
  assert.equal(
    levelsOf(checkPlatform({ ...good, env: { NODE_OPTIONS: '--max-old-space-size=100 --inspect=0.0.0.0' } }))[
      'environment'
    ],
    'problem'
  )
  assert.equal(
    levelsOf(checkPlatform({ ...good, env: { NODE_OPTIONS: '--max-old-space-size=100' } }))['environment'],
    undefined
  )
})

test('what a kernel offers is read from its files, and what cannot be read is said to be unknown', () => {
  const root = (files: Record<string, string>): string => {
    const folder = mkdtempSync(join(dir, 'root-'))
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      writeFileSync(join(folder, path), text)
    }
    return folder
  }
  const status = 'Name:\tnode\nNoNewPrivs:\t1\nSeccomp:\t0\n'
  const full = root({
    'proc/self/status': status,
    'sys/kernel/security/lsm': 'capability,landlock,yama\n',
    'proc/self/limits': 'Max core file size        0                    unlimited            bytes\n',
    'proc/sys/kernel/core_pattern': 'core\n',
    'run/systemd/timesync/synchronized': '',
    'proc/sys/kernel/yama/ptrace_scope': '1'
  })
  assert.ok(checkHost('6.1.0-13-amd64', full).every(f => f.level === 'ok'))
  const poor = root({
    'proc/self/status': 'Name:\tnode\n',
    'sys/kernel/security/lsm': 'capability,yama',
    'proc/self/limits': 'Max core file size        unlimited            unlimited            bytes\n',
    'proc/sys/kernel/core_pattern': 'core',
    'proc/sys/kernel/yama/ptrace_scope': '0',
    'proc/sys/kernel/unprivileged_userns_clone': '1'
  })
  assert.deepEqual(levelsOf(checkHost('6.1.0', poor)), {
    'host.landlock': 'warning',
    'host.seccomp': 'warning',
    'host.user-namespaces': 'note',
    'host.core': 'warning',
    'host.ptrace': 'note',
    'host.clock': 'note'
  })
  const piped = root({
    'proc/self/status': status,
    'proc/sys/kernel/core_pattern': '|/usr/lib/systemd/systemd-coredump %P'
  })
  assert.equal(levelsOf(checkHost('5.10.0', piped))['host.core'], 'note')
  assert.equal(levelsOf(checkHost('5.10.0', piped))['host.landlock'], 'warning')
  assert.equal(levelsOf(checkHost('5.13.0', piped))['host.landlock'], undefined)
  assert.deepEqual(levelsOf(checkHost('6.1.0', root({}))), { host: 'note' })
})

test('listening beyond this machine without TLS or a proxy is a problem; a certificate near its end is named', () => {
  const judged = (toml: string, env = {}): Record<string, string> =>
    levelsOf(checkListening(parseConfig(toml, 'a test'), env, now))
  assert.deepEqual(judged(''), { 'listen.exposure': 'ok' })
  assert.equal(judged('[listen]\nhost = "0.0.0.0"')['listen.exposure'], 'problem')
  assert.deepEqual(judged('[listen]\nhost = "::"\ntrusted_proxies = ["10.0.0.5"]'), {
    'listen.exposure': 'warning',
    'listen.proxies': 'ok',
    'security-txt': 'note'
  })
  assert.equal(judged('[listen]\ntrusted_proxies = ["10.0.0.0/8"]')['listen.proxies'], 'warning')
  assert.equal(judged('[listen]\ntrusted_proxies = ["10.0.0.5"]')['listen.proxies'], 'note')
  assert.equal(judged('[listen]\ntrusted_proxies = ["127.0.0.1"]')['listen.proxies'], 'note')
  const socket = '[listen]\nsocket = "/run/verit/verit.sock"\ntrusted_proxies = ["unix"]'
  assert.deepEqual(judged(socket), { 'listen.exposure': 'ok', 'listen.proxies': 'ok' })
  assert.deepEqual(judged('[audit]\nenabled = false\n[watch]\nenabled = false'), {
    'listen.exposure': 'ok',
    'audit.enabled': 'warning',
    'watch.enabled': 'note'
  })
  assert.equal(judged('[watch]\nwebhook_url = "https://a.example/x"')['watch.webhook'], 'note')
  assert.equal(
    judged('[watch]\nwebhook_url = "https://a.example/x"', { VERIT_WEBHOOK_SECRET: 'x' })['watch.webhook'],
    undefined
  )

  const untilIn = (days: number): string => {
    const c = makeCertificate({
      subject: 'models.example',
      purpose: 'server',
      names: ['models.example'],
      from: new Date(now - DAY),
      to: new Date(now + days * DAY)
    })
    const folder = mkdtempSync(join(dir, 'tls-'))
    writeFileSync(join(folder, 'cert.pem'), c.cert, { mode: 0o600 })
    writeFileSync(join(folder, 'key.pem'), c.key, { mode: 0o600 })
    return `[listen]\nhost = "0.0.0.0"\ntls_cert = "${folder}/cert.pem"\ntls_key = "${folder}/key.pem"`
  }
  assert.deepEqual(
    [60, 10, 2, -0.5].map(days => judged(untilIn(days))['listen.certificate']),
    ['ok', 'warning', 'problem', 'problem']
  )
  assert.equal(judged(untilIn(60))['listen.exposure'], 'ok')
})

test(
  'keys that are old, unused, endless, or administer with a secret are named; those that are over are ' + 'counted',
  () => {
    const ago = (days: number): string => new Date(now - days * DAY).toISOString()
    const key = (id: string, changes: Partial<KeyRecord>): KeyRecord => ({
      id,
      kind: 'secret',
      name: 'x',
      owner: '',
      scopes: ['infer'],
      models: [],
      addresses: [],
      signing: 'never',
      limits: {},
      created: ago(1),
      expires: ago(-10),
      revoked: undefined,
      lastUsed: ago(0),
      credentials: [],
      ...changes
    })
    const credential = (days: number): KeyRecord['credentials'] => [
      { id: 'x.1', created: ago(days), expires: undefined, fingerprint: undefined }
    ]
    assert.deepEqual(levelsOf(checkKeys([], now)), { keys: 'note' })
    assert.deepEqual(levelsOf(checkKeys([key('a', {})], now)), { keys: 'ok' })
    assert.deepEqual(levelsOf(checkKeys([key('a', { revoked: ago(1), scopes: ['admin'] })], now)), { keys: 'note' })
    const found = checkKeys(
      [
        key('key_old', { created: ago(400), credentials: credential(181) }),
        key('key_rotated', { created: ago(400), credentials: credential(2) }),
        key('key_admin', { scopes: ['admin', 'infer'] }),
        key('key_signs', { scopes: ['admin'], kind: 'ed25519', signing: 'required', addresses: ['10.0.0.1/32'] }),
        key('key_unused', { created: ago(31), lastUsed: undefined }),
        key('key_idle', { lastUsed: ago(200) }),
        key('key_endless', { expires: undefined }),
        key('key_over', { expires: ago(1), scopes: ['admin'] })
      ],
      now
    )
    assert.deepEqual(
      found.filter(f => f.level === 'warning').map(f => /key_\w+/.exec(f.says)?.[0]),
      ['key_old', 'key_admin']
    )
    assert.deepEqual(
      found.filter(f => f.level === 'note').map(f => [f.check, /key_\w+/.exec(f.says)?.[0]]),
      [
        ['keys.admin-address', 'key_admin'],
        ['keys.admin-mixed', 'key_admin'],
        ['keys.unused', 'key_unused'],
        ['keys.idle', 'key_idle'],
        ['keys.no-end', 'key_endless'],
        ['keys.over', undefined]
      ]
    )
    assert.match(
      checkKeys(
        Array.from({ length: 7 }, () => key('key_x', { expires: undefined })),
        now
      ).at(-1)!.says,
      /7 keys \(.*, \.\.\.\)$/
    )
  }
)

test('a log whose newest entries, tiles, checkpoint or key were changed is found in the quick look', async () => {
  const folder = join(dir, 'log')
  assert.deepEqual(levelsOf(checkLog(folder, now)), { 'audit.log': 'note' })
  const log = await openAuditLog(folder)
  assert.equal(levelsOf(checkLog(folder, now))['audit.log'], 'ok')
  await Promise.all(Array.from({ length: 300 }, (_, i) => log.append(requestEntry(i))))
  await log.close()
  const found = checkLog(folder, Date.now() + 3 * DAY)
  assert.deepEqual(levelsOf(found), { 'audit.log': 'ok', 'audit.kept': 'note' })
  assert.match(found[0]!.says, /300 entries, the newest 3 days old/)
  for (const name of ['checkpoint', 'tile/entries/001.open', 'tile/0/000', 'verifier-key']) {
    const path = join(folder, name)
    const before = readFileSync(path)
    const changed = Buffer.from(before)
    changed[60]! ^= 1
    writeFileSync(path, changed)
    const found = checkLog(folder, now)
    assert.equal(levelsOf(found)['audit.log'], 'problem', name)
    const fix = String(found.find(f => f.check === 'audit.log')?.fix)
    assert.equal(fix.match(/keep the folder as evidence/gi)?.length, 1, fix)
    writeFileSync(path, before)
  }
  rmSync(join(folder, 'key'))
  assert.deepEqual(levelsOf(checkLog(folder, now)), { 'audit.key': 'problem' })
})

test('a log that was set back alone, replaced or left out is told from the database', async () => {
  const folder = join(dir, 'remembered')
  const log = await openAuditLog(folder)
  await Promise.all(Array.from({ length: 3 }, (_, i) => log.append(requestEntry(i))))
  cpSync(folder, join(dir, 'set-back'), { recursive: true })
  await Promise.all(Array.from({ length: 3 }, (_, i) => log.append(requestEntry(i))))
  await log.close()
  const lastLog = { key: log.verifierKey, checkpoint: log.synced }
  const remembered = { checkpoint: log.synced, lastLog, unaudited: undefined }
  assert.deepEqual(levelsOf(checkLog(folder, now, remembered)), { 'audit.log': 'ok', 'audit.kept': 'note' })
  const back = checkLog(join(dir, 'set-back'), now, remembered)
  assert.deepEqual(
    back.map(f => f.level),
    ['problem']
  )
  assert.match(back[0]!.says, /it has 3 entries, and the database has its signed checkpoint of 6: it was set back/)
  const other = join(dir, 'other')
  await (await openAuditLog(other)).close()
  assert.equal(levelsOf(checkLog(other, now, { ...remembered, checkpoint: undefined }))['audit.replaced'], 'warning')
  assert.equal(levelsOf(checkLog(join(dir, 'gone'), now, remembered))['audit.replaced'], 'warning')
  const [since, until] = ['2026-11-20T10:00:00.000Z', '2026-11-21T10:00:00.000Z']
  const unaudited = { since, until, reason: 'audit.enabled = false', requests: 7, tokens: 900 }
  const [gap] = checkUnaudited({ ...remembered, unaudited })
  assert.deepEqual([gap?.check, gap?.level], ['audit.gap', 'warning'])
  assert.match(gap!.says, /^Since 2026-11-20.*\(audit\.enabled = false\): 7 requests with 900 tokens/)
  assert.deepEqual(checkUnaudited(remembered), [])
})

test('the stored result of npm audit is judged by what it found and by its age', () => {
  const path = join(dir, 'audit.json')
  const judged = (value: unknown): string[] => {
    writeFileSync(path, typeof value === 'string' ? value : JSON.stringify(value))
    return checkAdvisories(now, path).map(f => f.level)
  }
  const date = '2026-11-01T00:00:00Z'
  assert.deepEqual(
    [true, false].map(checkout => checkAdvisories(now, join(dir, 'none.json'), checkout).map(f => f.level)),
    [['note'], ['warning']]
  )
  assert.deepEqual(judged({ date, packages: 60, advisories: [] }), ['ok'])
  assert.deepEqual(judged({ date: '2026-08-01T00:00:00Z', packages: 60, advisories: [] }), ['warning'])
  const found = { package: 'x', title: 'y', url: 'https://a.example', range: '<2' }
  assert.deepEqual(
    judged({
      date,
      packages: 60,
      advisories: [
        { ...found, severity: 'low' },
        { ...found, severity: 'critical' }
      ]
    }),
    ['warning', 'problem']
  )
  for (const wrong of [
    '',
    '{',
    '[]',
    { date, packages: -1, advisories: [] },
    { date: 'then', packages: 1, advisories: [] }
  ])
    assert.deepEqual(judged(wrong), ['warning'])
})

const posix = { skip: process.platform === 'win32' && 'Windows has no such modes' }
test(
  'a state folder or file that others can use is a problem, and so is a folder on the way that others can change',
  posix,
  () => {
    const parent = join(dir, 'parent')
    const state = join(parent, 'state')
    mkdirSync(state, { recursive: true, mode: 0o700 })
    assert.deepEqual(
      checkStateFiles(join(dir, 'none')).map(f => f.level),
      ['note']
    )
    writeFileSync(join(state, 'secret'), 'x', { mode: 0o600 })
    const judged = (): Record<string, string> => levelsOf(checkStateFiles(state))
    assert.equal(judged()['state.private'], 'ok')
    chmodSync(join(state, 'secret'), 0o640)
    assert.equal(judged()['state.private'], 'problem')
    chmodSync(join(state, 'secret'), 0o600)
    chmodSync(parent, 0o777)
    assert.equal(judged()['state.parent'], 'problem')
    chmodSync(parent, 0o775)
    assert.equal(judged()['state.parent'], 'warning')
    chmodSync(parent, 0o755)
    chmodSync(state, 0o750)
    assert.deepEqual(judged(), { 'state.private': 'problem' })
  }
)

test('an examination makes nothing: neither the folder it is told of nor anything in it', async () => {
  const options = {
    state: join(dir, 'nothing'),
    kernels: ['avx2', 'reference'],
    model: { path: defaultModelPath() },
    env: {},
    now
  }
  assert.equal(levelsOf(await examine(options))['store'], 'note')
  assert.ok(!existsSync(options.state))
  const store = await openStore({ stateFolder: join(dir, 'used') })
  await store.keys.create({ name: 'x', scopes: ['admin'] }, 'cli')
  await store.close()
  const found = levelsOf(await examine({ ...options, state: join(dir, 'used'), env: { VERIT_RATE_URL: 'ftp://x' } }))
  assert.deepEqual([found['store'], found['keys.admin-secret'], found['rates']], ['ok', 'warning', 'problem'])
  const broken = join(dir, 'broken.toml')
  writeFileSync(broken, '[listen]\nprot = 1\n', { mode: 0o600 })
  assert.equal(levelsOf(await examine({ ...options, config: broken }))['config'], 'problem')
})

test('the runner is asked how far it is locked; what is missing is a problem where the lock is required', async () => {
  const inference = { ...defaultConfig().inference, memoryMib: 3000 }
  const memory = serverMemory(inference, defaultModelPath())
  const asked = await checkSandbox(false, memory)
  assert.match(asked.says, /^The runner is (not )?locked: /)
  // the figure that the server's banner has, not one of a probe with another context
  if (asked.level === 'ok') assert.match(asked.says, /at most 3\.1 GB of memory/)
  const ceiling = memoryCeiling(statSync(defaultModelPath()).size, {})
  assert.equal(serverMemory(defaultConfig().inference, defaultModelPath()), ceiling)
  assert.equal(serverMemory(inference, join(dir, 'none.gguf')), undefined)
  const whole = {
    native: true,
    noNewPrivs: true,
    landlock: 6,
    seccomp: true,
    codeRange: true,
    noRing: true,
    ownDescriptors: true,
    memoryBytes: 1 << 30
  }
  const partly = { ...whole, seccomp: false }
  if (process.platform === 'linux') assert.equal(judge(whole, true).level, 'ok')
  assert.deepEqual([judge(partly, false).level, judge(partly, true).level], ['warning', 'problem'])
})

test('a model is trusted by its signature or not at all, unless the operator lets it go without', async () => {
  const { trust } = defaultConfig()
  const own = join(dir, 'own.gguf')
  writeFileSync(own, 'GGUF', { mode: 0o600 })
  const judged = async (path: string, changes = {}): Promise<Record<string, string>> =>
    levelsOf(await checkModel({ path }, { ...trust, ...changes }, join(dir, 'nothing')))
  assert.deepEqual(await judged(defaultModelPath()), { 'model.trust': 'ok' })
  assert.deepEqual(await judged(own), { 'model.trust': 'problem' })
  assert.deepEqual(await judged(own, { allowUnsigned: true }), {
    'model.allow-unsigned': 'warning',
    'model.trust': 'warning'
  })
  assert.deepEqual(await judged(join(dir, 'none.gguf')), { 'model.trust': 'problem' })
  chmodSync(own, 0o666)
  if (process.platform !== 'win32')
    assert.match((await checkModel({ path: own }, { ...trust, allowUnsigned: true }, dir)).at(-1)!.says, /others|666/)
})
