// own process: a busy one would hold its slow client up too long
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { OneAtATime } from './one-at-a-time.ts'

const SLOW_MS = 200
/** More than the system takes of an answer before its client does. */
const LARGE = 32 << 20

/** A connection to a server that gives this answer, and the server's end of it. */
async function connected(
  answer: (request: IncomingMessage, response: ServerResponse) => void
): Promise<{ client: Socket; server: Socket; close: () => void }> {
  const server = createServer(new OneAtATime(() => undefined, SLOW_MS).listener(answer)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [socket] = (await once(server, 'connection')) as [Socket]
  const close = (): void => {
    client.destroy()
    server.closeAllConnections()
    server.close()
  }
  return { client, server: socket, close }
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`

test('a client that takes nothing of a complete answer is disconnected', async () => {
  const { client, server, close } = await connected((_request, response) => void response.end(Buffer.alloc(LARGE)))
  client.on('error', () => undefined).write(get('/'))
  await once(server, 'close')
  close()
})

test('a client that is slow but takes something gets the whole answer', async () => {
  const { client, close } = await connected((_request, response) => void response.end(Buffer.alloc(LARGE)))
  client.write(get('/'))
  let bytes = 0
  for await (const chunk of client) {
    bytes += (chunk as Buffer).length
    if (bytes >= LARGE) break
    await sleep(1)
  }
  assert.ok(bytes >= LARGE)
  close()
})

test('an answer that takes its time is waited for, also behind another on the same connection', async () => {
  const { client, close } = await connected(
    (request, response) => void setTimeout(() => response.end(request.url), request.url === '/slow' ? 4 * SLOW_MS : 0)
  )
  client.write(get('/quick') + get('/slow'))
  let text = ''
  client.setEncoding('utf8').on('data', (chunk: string) => void (text += chunk))
  const gone = once(client, 'close')
  while (!text.includes('/slow'))
    if ((await Promise.race([gone.then(() => true), sleep(20)])) === true)
      assert.fail(`the connection was ended: ${text}`)
  close()
})
