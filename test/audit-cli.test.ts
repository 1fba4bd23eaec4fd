/** `verit audit` from end to end, on a log that was really written. */
import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { openAuditLog } from '../src/audit/audit-log.ts'
import { requestEntry } from './audit-entries.ts'
import { verit } from './cli.ts'

const root = mkdtempSync(join(tmpdir(), 'verit-audit-cli-'))
const state = join(root, 'state')
const file = (name: string): string => join(root, name)

interface Ended {
  status: number
  out: string
  err: string
}

async function run(args: string[]): Promise<Ended> {
  const {
    status,
    stdout: out,
    stderr: err
  } = await verit(['audit', ...args], { cwd: root, env: { XDG_STATE_HOME: root } })
  return { status, out, err }
}

async function audit(...args: string[]): Promise<string> {
  const { status, out, err } = await run([...args, '--state', state])
  assert.equal(status, 0, `${args.join(' ')}: ${err}${out}`)
  return out
}

before(async () => {
  const made = await run(['texts-key', file('texts.pem')])
  assert.equal(made.status, 0, made.err)
  const log = await openAuditLog(join(state, 'audit'), { origin: 'verit.test/cli', textsKey: file('texts.pem.pub') })
  await Promise.all(
    Array.from({ length: 300 }, (_, i) =>
      log.append(requestEntry(i), { prompt: `question ${i}\n`, answer: `answer ${i} \x1b[2J` })
    )
  )
  writeFileSync(file('older.txt'), log.checkpoint())
  await log.append({
    type: 'auth',
    request: 'req_bad',
    result: 'refused',
    code: 'VERIT_UNAUTHORIZED',
    remote: '192.0.2.1',
    route: 'GET /\x1b[2J\n'
  })
  await log.append({
    type: 'key',
    event: 'key.created',
    outbox: 1,
    actor: 'cli',
    at: '2026-11-22T00:00:00.000Z',
    detail: { id: 'key_new' }
  })
  await log.close()
  writeFileSync(file('log.vkey'), `${log.verifierKey}\n`)
})
after(() => rmSync(root, { recursive: true }))

test('tail and search show entries, escaped', async () => {
  const [tail, json, all, none] = await Promise.all([
    audit('tail', '-n', '2'),
    audit('tail', '-n', '1', '--json'),
    audit('search', '--type', 'auth', '--code', 'VERIT_UNAUTHORIZED', '--since', '2020-01-01'),
    audit('search', '--until', '2020-01-01')
  ])
  assert.equal(tail.split('\n').length, 3)
  assert.match(tail, /^ {4}300 {2}.*refused GET \/\\u\{1b\}\[2J\\n {2}VERIT_UNAUTHORIZED/)
  assert.deepEqual(JSON.parse(json).index, 301)
  assert.match(all, /req_bad/)
  assert.equal(none, '')
  const [byKey, byRequest] = await Promise.all([
    audit('search', '--key', 'key_new'),
    audit('search', '--request', 'req_42', '--json')
  ])
  assert.match(byKey, /key\.created/)
  assert.equal(JSON.parse(byRequest).index, 42)
})

test('a text is found by its commitment, and opened by the holder of its key only', async () => {
  writeFileSync(file('prompt'), 'question 7\n')
  writeFileSync(file('answer'), 'answer 8 \x1b[2J')
  const [byPrompt, byAnswer, texts] = await Promise.all([
    audit('search', '--prompt-file', file('prompt'), '--json'),
    audit('search', '--answer-file', file('answer'), '--json'),
    audit('texts', '--key', file('texts.pem'), '--request', 'req_9')
  ])
  assert.deepEqual([JSON.parse(byPrompt).index, JSON.parse(byAnswer).index], [7, 8])
  assert.equal(texts, 'question 9\n\n-----\nanswer 9 \\u{1b}[2J\n')
  assert.equal(statSync(file('texts.pem')).mode & 0o777, 0o600)
  await run(['texts-key', file('other.pem')])
  assert.match(
    (await run(['texts', '--key', file('other.pem'), '--request', 'req_9', '--state', state])).err,
    /VERIT_USAGE/
  )
})

test('a log is verified with its key and an older checkpoint, live and exported; tampering gives 1', async () => {
  const [whole, key, newest, exported, lines] = await Promise.all([
    audit('verify', '--key', file('log.vkey'), '--checkpoint', file('older.txt')),
    audit('key'),
    audit('checkpoint'),
    audit('export', file('copy')),
    audit('export', '--jsonl', file('entries.jsonl'))
  ])
  assert.match(whole, /302 entries, all as they were logged; it continues 1 older checkpoint\./)
  assert.equal(key, readFileSync(file('log.vkey'), 'utf8'))
  assert.match(newest, /^verit\.test\/cli\n302\n/)
  assert.match(exported + lines, /302 entries.*\n302 entries/)
  assert.equal(readFileSync(file('entries.jsonl'), 'utf8').split('\n').length, 303)
  assert.ok(
    existsSync(file('copy/tile/entries/001.p/46')) &&
      existsSync(file('copy/tile/0/001.p/46')) &&
      existsSync(file('copy/tile/1/000.p/1'))
  )
  cpSync(file('copy'), file('changed'), { recursive: true })
  writeFileSync(
    file('changed/tile/entries/000'),
    readFileSync(file('copy/tile/entries/000'), 'latin1').replace('"status":200', '"status":500'),
    'latin1'
  )
  const [copy, changed] = await Promise.all(
    ['copy', 'changed'].map(name => run(['verify', '--folder', file(name), '--key', file('log.vkey'), '--json']))
  )
  assert.deepEqual(
    [copy!.status, JSON.parse(copy!.out).ok, changed!.status, JSON.parse(changed!.out).problems[0].kind],
    [0, true, 1, 'edited'],
    copy!.err
  )
})

test('proofs are made, checked without the log, and refused when changed', async () => {
  const proofs = ['entry.tlog-proof', 'request.tlog-proof', 'growth.proof'].map(file) as [string, string, string]
  await Promise.all([
    audit('prove', '0', '-o', proofs[0]),
    audit('prove', 'req_bad', '-o', proofs[1]),
    audit('prove', '--consistency', file('older.txt'), '-o', proofs[2])
  ])
  const check = (path: string, ...more: string[]): Promise<Ended> =>
    run(['verify', '--proof', path, '--key', file('log.vkey'), ...more])
  const text = readFileSync(proofs[0], 'utf8')
  writeFileSync(file('changed.proof'), text.replace('index 0', 'index 1'))
  const [a, b, c, d] = await Promise.all([
    check(proofs[0]),
    check(proofs[1], '--json'),
    check(proofs[2], '--checkpoint', file('older.txt')),
    check(file('changed.proof'))
  ])
  assert.match(a.out, /Entry 0 of verit\.test\/cli \(302 entries\):\n.*req_0/)
  assert.equal(JSON.parse(b.out).entry.request, 'req_bad')
  assert.match(c.out, /the log of 302 entries begins with that of 300/)
  assert.deepEqual([a.status, b.status, c.status, d.status], [0, 0, 0, 1])
  assert.match(d.err, /VERIT_PROOF/)
  const usage = await Promise.all([
    run(['prove', '302', '--state', state]),
    run(['prove', 'req_none', '--state', state]),
    run(['prove', '--consistency', '303', '--state', state]),
    run(['verify', '--proof', proofs[0]])
  ])
  assert.deepEqual(
    usage.map(u => u.status),
    [2, 2, 2, 2]
  )
})

test('a witness on another machine cosigns, its cosignature is kept, asked for and proved under', async () => {
  const vkey = await run(['witness-key', file('w1.key'), '--name', 'witness.test/w1'])
  writeFileSync(file('w1.vkey'), vkey.out)
  const witness = (...more: string[]): Promise<Ended> =>
    run(['witness', '--key', file('w1.key'), '--log-key', file('log.vkey'), ...more])
  const first = await witness('--checkpoint', file('older.txt'))
  assert.equal(first.status, 0, first.err)
  await audit('prove', '--consistency', '300', '-o', file('w.proof'))
  const second = await witness('--proof', file('w.proof'))
  assert.equal(second.status, 0, second.err)
  assert.match((await witness('--checkpoint', file('older.txt'))).err, /set back.*VERIT_WITNESS/)
  writeFileSync(file('cosigned.txt'), second.out)
  await audit('add-cosignature', file('cosigned.txt'), '--witness', file('w1.vkey'))
  const [verified, shown] = await Promise.all([
    audit('verify', '--key', file('log.vkey'), '--witness', file('w1.vkey')),
    audit('checkpoint', '--cosigned'),
    audit('prove', '5', '--cosigned', '-o', file('c.proof'))
  ])
  assert.match(verified, /cosigned by witness\.test\/w1 at 302 entries/)
  assert.equal(shown, second.out)
  const proof = await run([
    'verify',
    '--proof',
    file('c.proof'),
    '--key',
    file('log.vkey'),
    '--witness',
    file('w1.vkey')
  ])
  assert.match(proof.out, /cosigned by witness/)
})

test('without a log, each command says so', async () => {
  for (const args of [['tail'], ['verify'], ['key'], ['checkpoint'], ['prove', '0']]) {
    const { status, err } = await run([...args, '--state', file('nothing')])
    assert.ok(status === 2 && /VERIT_FILE_NOT_FOUND/.test(err), `${args[0]}: ${status} ${err}`)
  }
})
