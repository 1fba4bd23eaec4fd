import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { defaultConfig } from './config.ts'
import type { GatewayContext } from './context.ts'
import { Ending } from './ending.ts'
import { HeldAnswers } from './held-answers.ts'
import { JsonPieces } from './json-pieces.ts'
import { checkWholeSize, sendWhole } from './whole-answer.ts'

test('a whole answer has a number of log probabilities at most, counted by what it can have', () => {
  const check = (logprobs: number | undefined, maxTokens: number, context = 1 << 20): void =>
    checkWholeSize(logprobs, { maxTokens, context, promptBounds: [1] })
  const refused = { code: 'VERIT_REQUEST', message: /^max_tokens must be at most 24966 .*\. Ask for a stream/ }
  check(20, 24_966)
  assert.throws(() => check(20, 24_967), refused)
  check(20, 1 << 20, 24_966) // the context ends the answer before
  check(0, 1 << 19)
  assert.throws(() => check(0, (1 << 19) + 1), { code: 'VERIT_REQUEST' })
  check(undefined, 1 << 20)
})

test('an answer that has to make room while nobody takes it is cut, so that its memory is free', async () => {
  const context = { config: defaultConfig(), stopping: new AbortController().signal } as unknown as GatewayContext
  const answers = new HeldAnswers(4)
  const server = createServer(async (incoming, raw) => {
    using ending = new Ending(context, raw)
    using held = answers.open(why => ending.end(why))
    held.add({ type: 'token', id: 0, token: 0, text: 'x'.repeat(1 << 20) })
    const answer = new JsonPieces()
    for (let i = 0; i < 512; i++) answer.add('y'.repeat(1 << 14))
    const reply = { hijack: () => undefined, getHeaders: () => ({}), raw } as unknown as FastifyReply
    const request = { verit: { caller: {} }, raw: incoming } as unknown as FastifyRequest
    await sendWhole(context, request, reply, answer, ending)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const clients = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const socket = connect(port, '127.0.0.1').pause()
      await once(socket, 'connect')
      socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n')
      return socket
    })
  )
  const open = async (): Promise<number> =>
    await new Promise((resolve, reject) => {
      server.getConnections((e, n) => (e === null ? resolve(n) : reject(e)))
    })
  while ((await open()) > 2) await new Promise(resolve => setTimeout(resolve, 10))
  for (const socket of clients) socket.destroy()
  server.close()
})
