/**
 * What the log cannot say of itself, the database does (finding 8b, 8c): a time without a log, a folder that was set
 * back or replaced alone. And only one server has a state folder, so that none can run without a log beside one that
 * keeps it.
 */
// long: it starts and kills a server a dozen times
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openAuditLog } from '../src/audit/audit-log.ts'
import type { AuditEntry, ServerEntry } from '../src/audit/entry.ts'
import { openLogKey } from '../src/audit/log-key.ts'
import { readEntries } from '../src/audit/reader.ts'
import { checkRemembered, isUncovered } from '../src/audit/remembered.ts'
import { recover } from '../src/audit/recover.ts'
import { VeritError } from '../src/lib/errors.ts'
import type { ErrorCode } from '../src/lib/errors.ts'
import { createLog } from '../src/lib/log.ts'
import { openKeptLog } from '../src/server/audit-memory.ts'
import { defaultConfig } from '../src/server/config.ts'
import { checkStart } from '../src/server/start-check.ts'
import { UnauditedTime } from '../src/server/unaudited.ts'
import { openStore } from '../src/store/open-store.ts'
import { requestEntry } from './audit-entries.ts'
import { testGateway } from './gateway-context.ts'
import { killServers, served, tinyModel } from './served.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-memory-'))
after(() => {
  killServers()
  rmSync(dir, { recursive: true })
})
const main = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))
/** The exit status of a command, and all that it wrote. */
function verit(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' })
  return `${status} ${stdout}${stderr}`
}
const { audit: settings } = defaultConfig()
const lines: string[] = []
const log = createLog({ json: true, stream: { write: line => lines.push(line) } })
const refused =
  (code: ErrorCode, what: RegExp) =>
  (e: unknown): boolean =>
    VeritError.is(e, code) && what.test(e.what)
const entriesOf = (folder: string): AuditEntry[] => [...readEntries(folder)].map(({ entry }) => entry)
const serverEvents = (folder: string): ServerEntry[] => entriesOf(folder).filter(entry => entry.type === 'server')

/** Copies the folder of a log, modes and all. */
function copy(from: string, to: string): void {
  cpSync(from, to, { recursive: true })
  chmodSync(to, 0o700)
}

/** Opens the store and the log of a state folder as a server does, and closes both. */
async function kept(state: string, entries = 0): Promise<void> {
  const store = await openStore({ stateFolder: state })
  try {
    const { audit, [Symbol.asyncDispose]: close } = await openKeptLog(settings, state, store.evidence, log)
    try {
      await Promise.all(Array.from({ length: entries }, (_, i) => audit.append(requestEntry(i))))
    } finally {
      await close()
    }
  } finally {
    await store.close()
  }
}

test('a server without a log says so, counts, and keeps its state folder; the next log records the time', async () => {
  const state = join(dir, 'unaudited')
  const model = await tinyModel(dir)
  const config = join(dir, 'no-log.toml')
  writeFileSync(config, '[audit]\nenabled = false\n', { mode: 0o600 })
  const server = await served(model, state, '--config', config)
  await server.logged(/no audit log is kept \(audit\.enabled = false\)/)
  assert.match(server.stderr(), /^ {2}No audit log is kept \(audit\.enabled = false\)/m)
  const ask = await fetch(`${server.url}/v1/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ prompt: [1, 2, 3], max_tokens: 4, ignore_eos: true })
  })
  assert.equal(((await ask.json()) as { usage: { total_tokens: number } }).usage.total_tokens, 7)
  const second = verit('serve', model, '--state', state, '--port', '0', '--allow-unsigned')
  assert.match(second, /^1 .*Another server uses the state folder .*unaudited.*VERIT_STATE_LOCKED/)
  assert.equal(await server.stop(), 0)
  await kept(state)
  const [start, gap] = serverEvents(join(state, 'audit'))
  assert.deepEqual([start?.event, gap?.event], ['start', 'gap'])
  const { since, until, ...detail } = gap!.detail
  assert.deepEqual(detail, { reason: 'audit.enabled = false', requests: 1, tokens: 7 })
  assert.ok(String(since) < String(until) && String(until) <= gap!.time)
  await kept(state)
  assert.equal(serverEvents(join(state, 'audit')).filter(e => e.event === 'gap').length, 1, 'it is recorded once')
})

test('a time without a log goes on over starts and kills until a log has it', async () => {
  const state = join(dir, 'twice')
  const store = await openStore({ stateFolder: state })
  const first = await UnauditedTime.begin(store.evidence, 'audit.enabled = false', log)
  const { since } = (await store.evidence.unaudited())!
  first.count(10)
  await first[Symbol.asyncDispose]()
  const killed = await UnauditedTime.begin(store.evidence, 'audit.enabled = false', log)
  killed.count(5)
  const reason = 'audit.enabled = false'
  const once = { since, until: '', reason, requests: 1, tokens: 10 }
  assert.deepEqual({ ...(await store.evidence.unaudited()), until: '' }, once)
  await killed[Symbol.asyncDispose]()
  await store.close()
  await kept(state)
  const gaps = serverEvents(join(state, 'audit'))
    .filter(e => e.event === 'gap')
    .map(e => e.detail)
  assert.deepEqual(
    gaps.map(detail => ({ ...detail, until: '' })),
    [{ ...once, requests: 2, tokens: 15 }]
  )
})

test('a log that could not be written has a gap before its next entry, also after a restart', async () => {
  const state = join(dir, 'failing')
  const gateway = await testGateway(state)
  const { app, context } = gateway
  const { key } = await context.store.keys.create({ name: 'x', scopes: ['models'] }, 'cli')
  const headers = { authorization: `Bearer ${key!}`, host: 'localhost' }
  const ask = async (): Promise<number> => (await app.inject({ url: '/v1/models', headers })).statusCode
  const { audit } = context
  const broken = await openAuditLog(join(dir, 'broken'))
  await broken.close()
  context.audit = broken
  assert.deepEqual([await ask(), await ask()], [503, 503])
  const since = context.auditFailing
  await context.keepingGap
  const reason = 'the audit log could not be written'
  assert.deepEqual(await context.store.evidence.unaudited(), { since, until: since, reason, requests: 0, tokens: 0 })
  context.audit = audit
  assert.deepEqual(await Promise.all([ask(), ask(), ask()]), [200, 200, 200])
  await context.keepingGap
  assert.equal(await context.store.evidence.unaudited(), undefined)
  const recorded = entriesOf(join(state, 'audit')).filter(e => e.type !== 'key')
  const found = recorded.map(e => (e.type === 'server' ? [e.event, e.detail['since']] : e.type))
  assert.deepEqual(found, [['gap', since], 'request', 'request', 'request'])
  context.audit = broken
  assert.equal(await ask(), 503)
  await context.keepingGap
  context.audit = audit
  await gateway.close()
  await kept(state)
  assert.equal(serverEvents(join(state, 'audit')).at(-1)?.detail['reason'], reason)
})

test('a log whose folder alone was set back is not opened, verified or served; nothing in it is touched', async () => {
  const state = join(dir, 'rollback')
  const folder = join(state, 'audit')
  await kept(state, 20)
  copy(folder, join(dir, 'earlier'))
  await kept(state, 20)
  rmSync(folder, { recursive: true })
  copy(join(dir, 'earlier'), folder)
  const bytes = (): string[] =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter(f => f.isFile() && f.name !== 'lock')
      .map(f => `${f.name} ${readFileSync(join(f.parentPath, f.name)).toString('base64')}`)
  const before = bytes()
  const setBack = refused('VERIT_AUDIT_ROLLBACK', /it has 21 entries, and the database has its signed checkpoint of 42/)
  await assert.rejects(kept(state), setBack)
  await assert.rejects(checkStart({ config: defaultConfig(), state }), setBack)
  assert.deepEqual(bytes(), before)
  const verified = verit('audit', 'verify', '--state', state)
  assert.match(verified, /^1 PROBLEM rollback.*The checkpoint in the database covers 42 entries, and the log has 21/)

  // grown again by whoever has its key, it is another history
  const forger = await openAuditLog(folder)
  await Promise.all(Array.from({ length: 40 }, (_, i) => forger.append(requestEntry(i + 1000))))
  await forger.close()
  await assert.rejects(kept(state), refused('VERIT_AUDIT_ROLLBACK', /its first 42 entries are others/))

  // moved away, as a restore asks for, it leaves a trace in its successor
  renameSync(folder, join(dir, 'moved'))
  await kept(state)
  const [start] = serverEvents(folder)
  assert.equal(start?.event, 'start')
  const key = readFileSync(join(dir, 'moved', 'verifier-key'), 'utf8').trim()
  assert.deepEqual({ ...(start.detail['before'] as object), root: '' }, { key, size: 42, root: '' })
})

test('the database may lag behind the log by any number of entries: only what contradicts it is refused', async () => {
  const folder = join(dir, 'lag')
  const writer = await openAuditLog(folder)
  const notes: string[] = [writer.checkpoint()]
  for (let i = 0; i < 540; i++) {
    await writer.append(requestEntry(i))
    if (i % 7 === 0 || (i + 2) % 256 < 4) notes.push(writer.checkpoint())
  }
  await writer.close()
  const { verifier } = openLogKey(folder, '')
  for (const note of notes) {
    recover(folder, verifier, note, false)
    checkRemembered(folder, verifier, note)
  }
  // as a power cut may leave it: the entries are there, and an older checkpoint
  const cut = join(dir, 'lag-cut')
  copy(folder, cut)
  writeFileSync(join(cut, 'checkpoint'), notes.at(-3)!)
  checkRemembered(cut, verifier, notes.at(-1)!)
  assert.deepEqual(
    [cut, folder].map(log => isUncovered(log, verifier, notes.at(-1)!)),
    [true, false]
  )
  const other = join(dir, 'lag-other')
  copy(folder, other)
  const more = await openAuditLog(other)
  await more.append(requestEntry(1))
  await more.close()
  const tooFar = refused('VERIT_AUDIT_ROLLBACK', /it has 540 entries, and .* of 541/)
  assert.throws(() => recover(folder, verifier, more.checkpoint(), false), tooFar)
  const stranger = await openAuditLog(join(dir, 'stranger'))
  await stranger.close()
  const unsigned = refused('VERIT_NOTE_UNSIGNED', /is not signed/)
  assert.throws(() => recover(folder, verifier, stranger.checkpoint(), false), unsigned)
})
