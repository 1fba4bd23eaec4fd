/**
 * Attacks that a review of the finished work found: requests that are held open while the key behind them ends, answers
 * that nobody reads, and the like.
 */
// long: it waits for what ends by time
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { killServers } from '../served.ts'
import { Target, each, eventually } from './target.ts'

let target: Target
before(async () => {
  target = await Target.start({ http: { request_seconds: 20 } })
})
after(async () => {
  await target.stop()
  killServers()
})

/** Sends a request but for the last byte of its body; gives what sends that, and what came back. */
function heldOpen(first: string, body: string, key: string): { finish: () => Promise<string>; end: () => void } {
  const socket = target.socket()
  let text = ''
  socket.setEncoding('utf8').on('data', (chunk: string) => void (text += chunk))
  socket.write(
    target.request(first, ['Content-Type: application/json', `Content-Length: ${body.length}`], body.slice(0, -1), key)
  )
  return {
    finish: async () => {
      socket.write(body.slice(-1))
      await eventually(() => text.includes('\r\n\r\n'), 'the request is answered')
      socket.destroy()
      return text
    },
    end: () => void socket.destroy()
  }
}

test(
  'a request whose body is held back is refused when its key has ended meanwhile: no key is made with it, none ' +
    'changed, nothing generated',
  async () => {
    const { keys } = target.store
    const endings: readonly [string, (id: string) => Promise<unknown>][] = [
      ['revoked', id => keys.revoke(id, 'cli')],
      ['rotated', id => keys.rotate(id, { overlapSeconds: 0 }, 'cli')],
      ['without the scope', id => keys.change(id, { scopes: ['models'] }, 'cli')],
      ['from elsewhere', id => keys.change(id, { addresses: ['192.0.2.1'] }, 'cli')]
    ]
    const requests: readonly [string, string][] = [
      ['POST /v1/admin/keys', JSON.stringify({ name: 'back door', scopes: ['admin'] })],
      [`PATCH /v1/admin/keys/${target.all.record.id}`, JSON.stringify({ owner: 'mallory' })],
      ['POST /v1/completions', JSON.stringify({ prompt: 'x', max_tokens: 1 })]
    ]
    for (const [how, end] of endings) {
      const { key, record } = await target.key({ scopes: ['admin', 'infer'] })
      const held = requests.map(([first, body]) => heldOpen(first, body, key))
      await sleep(200) // until its head has been read
      await end(record.id)
      for (const [i, { finish }] of held.entries()) {
        const text = await finish()
        assert.match(text, /^HTTP\/1\.1 401 /, `${requests[i]![0]}, ${how}`)
        assert.match(text, /"code":"VERIT_UNAUTHORIZED"/)
      }
    }
    const { key, record } = await target.key()
    const held = [
      heldOpen(...requests[2]!, key),
      heldOpen('POST /v1/completions', JSON.stringify({ prompt: 'x', max_tokens: 9 }), key)
    ]
    await sleep(200)
    await keys.change(record.id, { limits: { tokensPerDay: 5 } }, 'cli')
    assert.match(await held[0]!.finish(), /^HTTP\/1\.1 200 /, 'what the new limit allows')
    assert.match(
      await held[1]!.finish(),
      /^HTTP\/1\.1 429 [^]*VERIT_BUDGET/,
      'a limit that is lowered holds for requests that are under way'
    )
    const names = (await keys.list()).map(k => k.name)
    assert.ok(!names.includes('back door'))
    assert.equal((await keys.get(target.all.record.id))!.owner, '')
    await target.survives()
  }
)

test('who asks a real server for the probabilities of next tokens, again and again, draws the alert', async () => {
  const { key } = await target.key()
  await each(
    Array.from({ length: 320 }, (_, i) => i),
    async i => {
      assert.equal((await target.complete({ prompt: `The ${i}`, max_tokens: i % 2, logprobs: 5 }, { key })).status, 200)
    }
  )
  await eventually(
    async () => (await target.gauge(String.raw`verit_alerts_total\{rule="logprobs"\}`)) >= 1,
    'the alert is counted'
  )
})
