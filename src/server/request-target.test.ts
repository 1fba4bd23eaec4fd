import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import { toOriginForm } from './request-target.ts'

const read = (
  url: string,
  host: string | undefined,
  httpVersion = '1.1'
): { url: string | undefined; host: string | undefined } => {
  const raw = { url, httpVersion, headers: host === undefined ? {} : { host } } as unknown as IncomingMessage
  toOriginForm(raw)
  return { url: raw.url, host: raw.headers.host }
}

test('a target in absolute form becomes its path where it names the same server as Host', () => {
  for (const [url, host, path] of [
    ['http://localhost:8081/health', 'localhost:8081', '/health'],
    ['HTTP://LocalHost/v1/models', 'localhost', '/v1/models'],
    ['https://[::1]:1/x', '[::1]:1', '/x'],
    ['http://localhost', 'localhost', '/']
  ] as const)
    assert.deepEqual(read(url, host), { url: path, host })
  assert.deepEqual(read('http://localhost/health', undefined, '1.0'), { url: '/health', host: 'localhost' })
})

test('any other target is left as it is, for the checks of the request to refuse', () => {
  for (const [url, host] of [
    ['http://evil.example/health', 'localhost'],
    ['http://localhost/health', undefined],
    ['http://localhost:80/health', 'localhost'],
    ['http://a@localhost/health', 'localhost'],
    ['http://a@localhost/health', 'a@localhost'],
    ['http://localhost/x?y', 'localhost'],
    ['http://localhost/x#y', 'localhost'],
    ['ftp://localhost/x', 'localhost'],
    ['http:/localhost/x', 'localhost'],
    ['//localhost/x', 'localhost'],
    ['/health', 'localhost'],
    ['*', 'localhost'],
    ['', 'localhost']
  ] as const)
    assert.equal(read(url, host).url, url)
})
