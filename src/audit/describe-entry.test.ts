import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeEntry } from './describe-entry.ts'
import type { AuditEntry } from './entry.ts'

const request = {
  type: 'request',
  time: '2026-11-22T08:31:05.123Z',
  request: 'req_1',
  remote: '192.0.2.7',
  route: 'GET /v1/models',
  key: 'key_0123456789ab',
  credential: 'key_0123456789ab.2',
  status: 200,
  ms: 1.4
} as unknown as AuditEntry

test(
  'the line of a request says from where it came and with which credential: that is what is asked for when a ' +
    'key has leaked or was rotated',
  () => {
    assert.equal(
      describeEntry(request),
      '2026-11-22 08:31:05  request       200 GET /v1/models  key_0123456789ab.2  192.0.2.7  1 ms  req_1'
    )
  }
)

test('what came from outside cannot write to the terminal', () => {
  assert.ok(!describeEntry({ ...request, remote: 'a\u001b[2Jb' } as AuditEntry).includes('\u001b'))
})
