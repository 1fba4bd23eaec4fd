import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { AuditLog, NewAuditEntry } from '../audit/entry.ts'
import { createLog } from '../lib/log.ts'
import type { Observation } from '../watch/observation.ts'
import { AlertDesk } from './alert-desk.ts'
import { Metrics } from './metrics.ts'

const observation = (i: number): Observation => ({
  keyId: 'key_0123456789ab',
  at: Date.UTC(2026, 10, 22) + i,
  route: 'POST /v1/completions',
  remote: '192.0.2.1',
  status: 200,
  code: undefined,
  promptTokens: 10,
  completionTokens: 10,
  prompt: 'private words of a client',
  promptIds: undefined,
  parameters: { temperature: i / 100 }
})

test('an alert reaches log, metrics, audit log and webhook without the words of the client', async t => {
  const state = mkdtempSync(join(tmpdir(), 'verit-'))
  const bodies: string[] = []
  const server = createServer((request, response) => {
    request
      .setEncoding('utf8')
      .on('data', (chunk: string) => bodies.push(chunk))
      .on('end', () => response.end())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
    rmSync(state, { recursive: true })
  })
  const config = {
    enabled: true,
    throttle: true,
    webhookUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  }
  const metrics = new Metrics()
  const entries: NewAuditEntry[] = []
  const audit = { append: (entry: NewAuditEntry) => Promise.resolve(entries.push(entry)) } as unknown as AuditLog
  let lines = ''
  const log = createLog({ json: true, stream: { write: (text: string) => (lines += text) } })
  const desk = await AlertDesk.open(config, state, [`whsec_${Buffer.alloc(32, 7).toString('base64')}`], {
    log,
    metrics,
    audit
  })
  const alerts = Array.from({ length: 24 }, (_, i) => desk.watch!.observe(observation(i))).flat()
  assert.deepEqual(
    alerts.map(a => a.rule),
    ['sweep']
  )
  desk.tell(alerts)
  while (!(await metrics.text()).includes('verit_webhook_total{result="sent"} 1'))
    await new Promise(resolve => setTimeout(resolve, 5))
  assert.match(await metrics.text(), /verit_alerts_total\{rule="sweep"\} 1/)
  assert.deepEqual(entries, [
    { type: 'alert', key: 'key_0123456789ab', rule: 'sweep', detail: { settings: 24, seeds: 0 } }
  ])
  assert.equal(desk.watch!.factor('key_0123456789ab', alerts[0]!.at), 0.1)
  for (const text of [lines, bodies.join(''), JSON.stringify(entries)]) {
    assert.match(text, /sweep/)
    assert.doesNotMatch(text, /private|192\.0\.2/)
  }
  assert.doesNotMatch(await metrics.text(), /key_|192\.0\.2/)
  await desk.close()
  const again = await AlertDesk.open({ ...config, webhookUrl: '' }, state, [], { log, metrics, audit: undefined })
  assert.deepEqual(Object.keys(again.watch!.baselines()), ['key_0123456789ab'])
  await again.close()
})

test('a watch that is switched off sees nothing and keeps nothing', async () => {
  const targets = { log: createLog(), metrics: new Metrics(), audit: undefined }
  const desk = await AlertDesk.open({ enabled: false, throttle: false, webhookUrl: '' }, '/nowhere', [], targets)
  assert.equal(desk.watch, undefined)
  await desk.close()
})
