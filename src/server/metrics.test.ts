import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Admission } from './admission.ts'
import { Metrics } from './metrics.ts'

test("what happens is counted, in Prometheus' text format, by route, status and code", async () => {
  const metrics = new Metrics()
  const admission = new Admission({ parallel: 1, queue: 1 })
  metrics.watch({ proven: 0, ended: 0, open: 3, refused: 2, handshakesFailed: 1 }, admission)
  metrics.watchEngine(async () => ({ pages: 9, held: 2, promised: 3, kept: 4, drafted: 6, accepted: 5 }))
  metrics.requestEnded({
    route: 'POST /v1/completions',
    status: 200,
    code: undefined,
    seconds: 0.2,
    promptTokens: 70,
    cachedTokens: 64,
    completionTokens: 5
  })
  metrics.requestEnded({
    route: 'POST /v1/completions',
    status: 429,
    code: 'VERIT_RATE_LIMIT',
    seconds: 0.001,
    promptTokens: undefined,
    completionTokens: undefined
  })
  metrics.firstToken(0.04)
  metrics.auditAppended(0.0008)
  metrics.alerted('sweep')
  metrics.webhook('failed')
  metrics.runnerDied()
  const text = await metrics.text()
  for (const line of [
    'verit_requests_total{route="POST /v1/completions",status="200"} 1',
    'verit_requests_total{route="POST /v1/completions",status="429"} 1',
    'verit_errors_total{code="VERIT_RATE_LIMIT"} 1',
    'verit_tokens_total{kind="prompt"} 70',
    'verit_tokens_total{kind="completion"} 5',
    'verit_request_seconds_count{route="POST /v1/completions"} 2',
    'verit_first_token_seconds_bucket{le="0.05"} 1',
    'verit_audit_append_seconds_count 1',
    'verit_alerts_total{rule="sweep"} 1',
    'verit_webhook_total{result="failed"} 1',
    'verit_runner_deaths_total 1',
    'verit_connections 3',
    'verit_connections_refused 2',
    'verit_tls_handshakes_failed 1',
    'verit_generations_running 0',
    'verit_generations_waiting 0',
    'verit_cache_pages 9',
    'verit_cache_pages_held 2',
    'verit_cache_pages_promised 3',
    'verit_cache_pages_kept 4',
    'verit_cache_reused_tokens_total 64',
    'verit_draft_tokens_total 6',
    'verit_draft_tokens_accepted_total 5',
    'verit_guessed_tokens_total 6',
    'verit_guessed_tokens_accepted_total 5'
  ])
    assert.ok(text.includes(`${line}\n`), line)
  assert.match(text, /^process_resident_memory_bytes \d{7,}$/m)
  assert.match(text, /^process_start_time_seconds \d{10}/m)
  assert.match(metrics.contentType, /^text\/plain; version=0\.0\.4/)
})

test('two servers in one process count apart', async () => {
  const [one, two] = [new Metrics(), new Metrics()]
  one.watchEngine(async () => undefined)
  assert.match(await one.text(), /verit_cache_pages_held 0/)
  one.runnerDied()
  assert.match(await one.text(), /verit_runner_deaths_total 1/)
  assert.match(await two.text(), /verit_runner_deaths_total 0/)
})
