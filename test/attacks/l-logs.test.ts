/**
 * Class L: attacks on what is written down. Texts of clients cannot forge a line or move a cursor; the audit log shows
 * every change. Ways to change it are tried one by one, over whole logs, in test/audit-tampering.test.ts and
 * test/audit-crash.test.ts; here they are tried on the log of a real server, with the command that an auditor uses.
 */
// long: it writes hostile texts on every route, and kills the server
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { cpSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, mock, test } from 'node:test'
import { openAuditLog } from '../../src/audit/audit-log.ts'
import { verifyLog } from '../../src/audit/verify.ts'
import { parseVerifierKey } from '../../src/trust/note-key.ts'
import { veritSync } from '../cli.ts'
import { killServers } from '../served.ts'
import { Target, each } from './target.ts'

process.umask(0o077) // copies of the log are as private as the log
let t: Target
before(async () => {
  t = await Target.start({ listen: { trusted_proxies: ['127.0.0.1'] } })
})
after(async () => {
  setTimeout(killServers, 5000).unref()
  await t.stop()
})

const verit = (...args: string[]): { status: number; text: string } => {
  const { status, stdout, stderr } = veritSync(args)
  return { status, text: stdout + stderr }
}
/** Control and direction characters, but for the line feed that ends lines. */
const UNSAFE = /[^\n\P{Cc}]|[\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff]/u

test(
  'L1 no text of a client can forge a line, colour a terminal or turn the direction of writing, in the log, ' +
    'the audit log or what commands show',
  async () => {
    const evil = [
      '\r\n{"level":30,"msg":"forged"}',
      '\u001b[2J\u001b[31mforged',
      '\u202egnp.exe',
      '\u2028forged',
      '\u0007\u0008\u0000',
      '\u009b31m',
      '%0d%0aforged',
      '\ufeff',
      '\u2066x\u2069',
      '\\u000a'
    ]
    const latin = evil.map(text => Buffer.from(text, 'utf8').toString('latin1'))
    const lines = t.server.stderr().split('\n').length
    await each(latin, async text => {
      const names = [
        'User-Agent',
        'X-Request-Id',
        'X-Forwarded-For',
        'Authorization',
        'Signature-Input',
        'Host',
        'Origin',
        'Referer',
        'Content-Type'
      ]
      const inHeaders = names.map(name => {
        const host = name === 'Host' ? [] : [`Host: 127.0.0.1:${t.port}`]
        return ['GET /v1/models HTTP/1.1', ...host, `${name}: ${text}`, 'Connection: close', '', ''].join('\r\n')
      })
      const firstLines = [`GET /${text}`, `${text} /`, `GET /v1/models${text}`, `GET /v1/admin/keys/${text}`]
      await Promise.all(
        [...inHeaders, ...firstLines.map(first => t.request(first, ['Connection: close']))].map(request =>
          t.raw(request)
        )
      )
    })
    await each(evil, async text => {
      for (const body of [
        { prompt: text },
        { model: text },
        { [text]: 1 },
        { stop: text.slice(0, 200) || 'x' },
        { prompt: text, user: text }
      ]) {
        await (await t.complete(body)).arrayBuffer()
      }
      for (const body of [
        { name: text },
        { name: 'x', owner: text },
        { name: 'x', models: [text] },
        { name: 'x', addresses: [text] },
        { name: 'x', expires: text },
        { [text]: 1 }
      ]) {
        const response = await t.fetch('/v1/admin/keys', { method: 'POST', body: JSON.stringify(body) })
        assert.ok(response.status === 400 || response.status === 200)
        await response.arrayBuffer()
      }
    })
    await t.survives()
    const log = t.server.stderr()
    assert.doesNotMatch(log, UNSAFE)
    for (const line of log
      .split('\n')
      .slice(lines)
      .filter(l => l !== '')) {
      assert.equal(typeof (JSON.parse(line) as { msg: string }).msg, 'string', line)
    }
    assert.doesNotMatch(log, /"msg":"forged"/)
    for (const args of [
      ['keys', 'list'],
      ['audit', 'tail', '-n', '500'],
      ['audit', 'tail', '-n', '500', '--json'],
      ['keys', 'list', '--json']
    ]) {
      const { status, text } = verit(...args, '--state', t.state)
      assert.equal(status, 0, text)
      assert.doesNotMatch(text, UNSAFE, args.join(' '))
    }
  }
)

test('L4 what was answered is in the log, also when the gateway is killed the moment after', async () => {
  const answered = new Set<number>()
  for (let round = 0; round < 2; round++) {
    const asks = Array.from({ length: 40 }, async () => {
      const {
        verit: { audit_entry: entry }
      } = (await (await t.complete()).json()) as { verit: { audit_entry: number } }
      answered.add(entry)
    })
    await Promise.any(asks)
    const gone = once(t.server.process, 'exit')
    t.server.process.kill('SIGKILL')
    await gone
    await Promise.allSettled(asks)
    await t.restart()
  }
  assert.ok(answered.size >= 2)
  const lines = verit('audit', 'tail', '-n', '2000', '--json', '--state', t.state)
    .text.trim()
    .split('\n')
    .map(l => JSON.parse(l) as { index: number; entry: { type: string; status?: number } })
  for (const index of answered) assert.equal(lines.find(l => l.index === index)?.entry.status, 200, `entry ${index}`)
  const { status, text } = verit('audit', 'verify', '--state', t.state)
  assert.equal(status, 0, text)
  await t.survives()
})

test('L5 a clock that jumps back or far ahead puts no entry before another, and the log still verifies', async () => {
  const folder = join(t.dir, 'clock')
  const start = Date.UTC(2030, 0, 1)
  mock.timers.enable({ apis: ['Date'], now: start })
  const log = await openAuditLog(folder)
  for (const at of [0, -86_400_000, 5000, -1, 4_000_000_000, 0, 4_000_000_001]) {
    mock.timers.setTime(start + at)
    await log.append({ type: 'server', event: 'start', detail: {} })
  }
  await log.close()
  mock.timers.reset()
  const lines = verit('audit', 'tail', '--json', '--folder', folder)
    .text.trim()
    .split('\n')
    .map(l => (JSON.parse(l) as { entry: { time: string } }).entry.time)
  assert.equal(lines.length, 7)
  assert.deepEqual(lines, lines.toSorted())
})

test(
  'L6 no key, signature, prompt or answer stands in the log or the audit log, whatever went wrong with the ' +
    'request',
  async () => {
    const { key } = await t.key({ signing: 'optional' })
    const prompt = 'prompt-that-no-log-may-hold'
    const texts: string[] = []
    for (const body of [
      { prompt },
      { prompt, stop: 'x' },
      { prompt, model: 'none' },
      { prompt, temperature: 9 },
      { prompt: prompt.repeat(100) }
    ]) {
      const response = await t.complete({ ...body, max_tokens: 30, ignore_eos: true }, { key })
      const { choices } = (await response.json()) as { choices?: { text: string }[] }
      if (choices !== undefined && choices[0]!.text.length > 12) texts.push(choices[0]!.text)
    }
    await (await t.fetch('/v1/completions', { method: 'POST', body: `{"prompt":"${prompt}`, key })).arrayBuffer()
    await (await t.fetch(`/${prompt}`, { key })).arrayBuffer()
    await (await t.fetch(`/v1/models`, { key: `${key.slice(0, -1)}!` })).arrayBuffer()
    assert.ok(texts.length > 0)
    const written = [
      t.server.stderr(),
      verit('audit', 'tail', '-n', '2000', '--json', '--state', t.state).text,
      ...readdirSync(join(t.state, 'audit'), { recursive: true, withFileTypes: true })
        .filter(f => f.isFile())
        .map(f => readFileSync(join(f.parentPath, f.name), 'utf8'))
    ].join('\n')
    for (const hidden of [key, key.slice(6, 49), prompt, ...texts, JSON.stringify(texts[0]).slice(1, -1)]) {
      assert.ok(!written.includes(hidden), hidden.slice(0, 10))
    }
  }
)

/** Copies the log of the server, which has stopped for the rest of this file, and changes the copy. */
function copyWith(change: (folder: string) => void): string {
  const folder = join(t.dir, 'copy')
  rmSync(folder, { recursive: true, force: true })
  cpSync(join(t.state, 'audit'), folder, { recursive: true })
  rmSync(join(folder, 'lock'), { force: true })
  change(folder)
  return folder
}
const openBundle = (folder: string): string => {
  const name = readdirSync(join(folder, 'tile/entries'), { recursive: true, encoding: 'utf8' }).find(f =>
    f.endsWith('.open')
  )
  return join(folder, 'tile/entries', name!)
}

test(
  'L2 an entry that is changed, removed, moved or cut off, and a log that was set back, are found with the key ' +
    'and an older checkpoint',
  async () => {
    for (let i = 0; i < 5; i++) await (await t.complete()).arrayBuffer()
    const older = join(t.dir, 'older-checkpoint')
    writeFileSync(older, await (await t.fetch('/v1/audit/checkpoint')).text())
    const key = readFileSync(join(t.state, 'audit', 'verifier-key'), 'utf8').trim()
    await (await t.complete()).arrayBuffer()
    await t.server.stop()
    const command = (folder: string): { status: number; text: string } =>
      verit('audit', 'verify', '--folder', folder, '--key', key, '--checkpoint', older)
    const { status, text } = command(copyWith(() => undefined))
    assert.equal(status, 0, text)
    const changes: Record<string, (folder: string) => void> = {
      changed: folder => {
        const bytes = readFileSync(openBundle(folder))
        bytes[bytes.indexOf('"status":200') + 9] = 0x34
        writeFileSync(openBundle(folder), bytes)
      },
      removed: folder => {
        const bytes = readFileSync(openBundle(folder))
        writeFileSync(openBundle(folder), bytes.subarray(2 + bytes.readUInt16BE(0)))
      },
      moved: folder => {
        const bytes = readFileSync(openBundle(folder))
        const [a, b] = [2 + bytes.readUInt16BE(0), 2 + bytes.readUInt16BE(2 + bytes.readUInt16BE(0))]
        writeFileSync(
          openBundle(folder),
          Buffer.concat([bytes.subarray(a, a + b), bytes.subarray(0, a), bytes.subarray(a + b)])
        )
      },
      'cut off': folder => truncateSync(openBundle(folder), readFileSync(openBundle(folder)).length - 40),
      'set back': folder => rmSync(openBundle(folder)),
      'another key': folder =>
        writeFileSync(
          join(folder, 'checkpoint'),
          readFileSync(join(folder, 'checkpoint'), 'utf8').replace(/.{8}\n$/, 'AAAAAAA=\n')
        )
    }
    for (const [name, change] of Object.entries(changes)) {
      const { problems } = await verifyLog(copyWith(change), {
        key: parseVerifierKey(key, 'the key'),
        older: [readFileSync(older, 'utf8')]
      })
      assert.ok(problems.length > 0, name)
    }
    assert.equal(command(copyWith(changes['changed']!)).status, 1)
  }
)

test(
  'L3 a log that is shown to some with other entries than to others (a fork, signed with the real key) is ' +
    'found by an older checkpoint',
  async () => {
    await t.server.stop()
    const grow = async (folder: string, detail: string): Promise<void> => {
      const log = await openAuditLog(folder)
      for (let i = 0; i < 3; i++) await log.append({ type: 'server', event: 'start', detail: { branch: detail } })
      await log.close()
    }
    const branches = ['one', 'two'].map(name => join(t.dir, `branch-${name}`))
    for (const folder of branches) {
      cpSync(join(t.state, 'audit'), folder, { recursive: true })
      rmSync(join(folder, 'lock'), { force: true })
      await grow(folder, folder)
    }
    const shown = join(t.dir, 'shown')
    writeFileSync(shown, readFileSync(join(branches[0]!, 'checkpoint')))
    assert.equal(verit('audit', 'verify', '--folder', branches[0]!, '--checkpoint', shown).status, 0)
    assert.equal(verit('audit', 'verify', '--folder', branches[1]!).status, 0, 'alone it agrees with itself')
    const found = verit('audit', 'verify', '--folder', branches[1]!, '--checkpoint', shown)
    assert.equal(found.status, 1)
    assert.match(found.text, /fork|continue/i)
  }
)
