/**
 * No request holds the gateway's event loop for long, whatever its body holds and however long its answer is: another
 * client waits for one slice of the work. The ceiling is generous, for old machines (a quiet new one needs a quarter
 * of it); VERIT_HOLD_MS sets another.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { ModelRunner } from '../src/runner/model-runner.ts'
import { leastHold } from './event-loop-hold.ts'
import { testGateway } from './gateway-context.ts'
import type { TestGateway } from './gateway-context.ts'
import { tinyModel } from './served.ts'

const CEILING_MS = Number(process.env['VERIT_HOLD_MS'] ?? 60)
const CONTEXT = 16_384
const BODY = 1 << 20

const dir = mkdtempSync(join(tmpdir(), 'verit-loop-'))
let gateway: TestGateway
let runner: ModelRunner
let port = 0
let key = ''
before(async () => {
  gateway = await testGateway(join(dir, 'state'), config => {
    config.keys.requestsPerMinute = 0
    config.keys.bytesPerMinute = 0
    config.addresses.requestsPerMinute = 0
  })
  runner = await ModelRunner.start(await tinyModel(dir, CONTEXT), { threads: 1 })
  gateway.context.model = { id: 'tiny', created: 0, runner }
  key = (await gateway.context.store.keys.create({ name: 'all', scopes: ['infer', 'admin'] }, 'cli')).key!
  await gateway.app.listen({ host: '127.0.0.1', port: 0 })
  port = (gateway.app.server.address() as AddressInfo).port
})
after(async () => {
  await gateway.close()
  await runner.close()
  rmSync(dir, { recursive: true })
})

interface Answer {
  status: number
  bytes: number
  text: string
}

/** Sends a body and gives the answer; of a long one only its length. */
function send(path: string, body: string | Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const length = Buffer.byteLength(body)
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'content-length': length }
    const sent = httpRequest({ host: '127.0.0.1', port, path, method: 'POST', headers }, response => {
      let bytes = 0
      let text = ''
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes < 4096) text += chunk.toString()
      })
      response.on('end', () => resolve({ status: response.statusCode!, bytes, text }))
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

/** As many items as make a body of 1 MiB. */
function fill(head: string, item: string, tail: string): string {
  const items = Math.floor((BODY - Buffer.byteLength(head + tail)) / Buffer.byteLength(item))
  return head + item.repeat(items).replace(/,$/, '') + tail
}

const COMPLETION = '/v1/completions'
const CHAT = '/v1/chat/completions'
const prompt = (item: string, open = '[', close = ']'): string =>
  fill(`{"max_tokens":1,"prompt":${open}`, item, `${close}}`)
const field = (name: string, item: string, open = '[', close = ']'): string =>
  fill(`{"max_tokens":1,"prompt":"x","${name}":${open}`, item, `${close}}`)
const message = (item: string, open: string, close: string): string =>
  fill(`{"max_tokens":1,"messages":[${open}`, item, `${close}]}`)

const longNames = Array.from({ length: 250 }, (_, i) => `"${'n'.repeat(1000)}${i}":1`).join()
/** Its last letter is no UTF-8. */
const notUtf8 = Buffer.from(prompt('x', '"', '"'))
notUtf8[notUtf8.length - 3] = 0xff

/** As many parts as the number of values allows, each with a field that is ignored. */
const part = '{"type":"text","text":"","cache_control":{"type":"ephemeral"}}'
const marked = `{"role":"user","content":[${Array(256).fill(part).join()}]}`
const marks = `{"max_tokens":1,"messages":[${Array(25).fill(marked).join()}]}`

/** What a body of up to 1 MiB is made of, the route, the status of its answer. */
const bodies: readonly [string, string, string | Buffer, number][] = [
  ['token ids of few characters', COMPLETION, prompt('0,'), 400],
  ['token ids that grow when they are written out', COMPLETION, prompt('1e9,'), 400],
  ['token ids in a list', COMPLETION, prompt('7,', '[[', ']]'), 400],
  ['lists of token ids', COMPLETION, prompt('[0],'), 400],
  ['empty lists', COMPLETION, prompt('[],'), 400],
  ['empty objects', COMPLETION, prompt('{},'), 400],
  ['empty texts', COMPLETION, prompt('"",'), 400],
  ['nulls', COMPLETION, prompt('null,'), 400],
  ['nested lists in an ignored field', COMPLETION, field('metadata', '[[[[[[[[[[[[[]]]]]]]]]]]]],'), 400],
  ['nested lists in a refused field', COMPLETION, field('tools', '[[[[[[[[[[[[[]]]]]]]]]]]]],'), 400],
  ['an ignored text', COMPLETION, field('user', 'é', '"', '"'), 400],
  ['names of an ignored object', COMPLETION, fill('{"max_tokens":1,"prompt":"x","metadata":{', '"a":1,', '}}'), 400],
  ['a long name', COMPLETION, fill('{"prompt":"x","', 'n', '":1}'), 400],
  ['many long names', COMPLETION, `{${longNames}}`, 400],
  ['a number', COMPLETION, fill('{"prompt":"x","seed":1', '1', '}'), 400],
  ['white space', COMPLETION, fill('{"max_tokens":1,"prompt":"x"', ' ', '}'), 200],
  ['stop strings', COMPLETION, field('stop', '"a",'), 400],
  ['one text', COMPLETION, prompt('word ', '"', '"'), 400],
  ['escapes', COMPLETION, prompt('\\n', '"', '"'), 400],
  ['escaped letters', COMPLETION, prompt('\\u0041', '"', '"'), 400],
  ['halves of surrogate pairs', COMPLETION, prompt('\\ud800', '"', '"'), 400],
  ['characters of three bytes', COMPLETION, prompt('\u4e2d', '"', '"'), 400],
  ['a text without an end', COMPLETION, fill('{"prompt":"', 'x', ''), 400],
  ['bytes that are no UTF-8 at the end', COMPLETION, notUtf8, 415],
  ['messages', CHAT, message('{"role":"user","content":"x"},', '', ''), 400],
  ['messages of an unknown role', CHAT, message('{"role":"r"},', '', ''), 400],
  ['messages that are lists', CHAT, message('[],', '', ''), 400],
  ['parts of a message', CHAT, message('{"type":"text","text":""},', '{"role":"user","content":[', ']}'), 400],
  ['a long message', CHAT, message('word ', '{"role":"user","content":"', '"}'), 400],
  ['a long message of halves', CHAT, message('\\ud800', '{"role":"user","content":"', '"}'), 400],
  ['an ignored list', CHAT, message('[[[[[[[[]]]]]]]],', '{"role":"user","content":"x","annotations":[', ']}'), 400],
  ['marks on parts of messages', CHAT, marks, 200],
  ['a list of scopes', '/v1/admin/keys', fill('{"name":"x","scopes":[', '"infer",', ']}'), 400],
  ['a list of addresses', '/v1/admin/keys', fill('{"name":"x","addresses":[', '[],', ']}'), 400]
]

for (const [what, path, text, status] of bodies) {
  test(`a large body, ${what}, does not hold the event loop`, async () => {
    const body = Buffer.from(text)
    const hold = await leastHold(3, CEILING_MS, async () => {
      const answer = await send(path, body)
      assert.equal(answer.status, status, answer.text.slice(0, 300))
    })
    assert.ok(hold < CEILING_MS, `${hold} ms of processor time in one round`)
  })
}

test('sixteen such bodies at once do not hold it either', async () => {
  const all = bodies.slice(0, 16).map(([, path, text]) => ({ path, body: Buffer.from(text) }))
  const hold = await leastHold(3, 2 * CEILING_MS, () => Promise.all(all.map(({ path, body }) => send(path, body))))
  assert.ok(hold < 2 * CEILING_MS, `${hold} ms of processor time in one round`)
})

const large = { max_tokens: 3000, ignore_eos: true, seed: 1 }
const answers: readonly [string, object, number][] = [
  [CHAT, { ...large, messages: [{ role: 'user', content: 'x' }], logprobs: true, top_logprobs: 20 }, 3_000_000],
  [COMPLETION, { ...large, prompt: 'x', logprobs: 20 }, 800_000]
]
for (const [path, body, least] of answers) {
  test(`a whole answer with log probabilities does not hold the event loop, however large (${path})`, async () => {
    const hold = await leastHold(3, CEILING_MS, async () => {
      const answer = await send(path, JSON.stringify(body))
      assert.equal(answer.status, 200, answer.text.slice(0, 300))
      assert.ok(answer.bytes > least, `${answer.bytes} bytes`)
    })
    assert.ok(hold < CEILING_MS, `${hold} ms of processor time in one round`)
  })
}
