import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLog } from './log.ts'

const written = (
  options: { json?: boolean; isTTY?: boolean },
  write: (log: ReturnType<typeof createLog>) => void
): string => {
  let text = ''
  write(createLog({ ...options, stream: { isTTY: options.isTTY ?? false, write: line => (text += line) } }))
  return text
}

test('a line is JSON, or short text on a terminal, as asked or by what the stream is', () => {
  const entry = JSON.parse(written({}, log => log.info({ status: 200 }, 'GET /health'))) as {
    msg: string
    status: number
    time: string
  }
  assert.deepEqual([entry.msg, entry.status], ['GET /health', 200])
  assert.match(entry.time, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
  assert.match(
    written({ isTTY: true }, log => log.warn({ status: 200 }, 'x')),
    /^\d\d:\d\d:\d\d warning: x {2}status=200\n$/
  )
  assert.match(
    written({ isTTY: true, json: true }, log => log.info('x')),
    /^\{/
  )
})

test('text of others stays on its line and moves no cursor', () => {
  for (const json of [true, false]) {
    const text = written({ json }, log => log.info({ line: 'a\nb\x1b[2J' }, 'c\rd'))
    assert.equal(text.split('\n').length, 2)
    assert.doesNotMatch(text.trimEnd(), /\p{Cc}/u)
  }
})
