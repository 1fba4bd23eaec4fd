/**
 * What keys, limits, budgets, watch, signatures and audit log cost: the same requests to a gateway with everything on
 * and to one that only checks the key, in turns, so that the machine's moods hit both. Latency one request at a time;
 * requests per second with 32 at once.
 *
 *     node bench/gateway-cost.ts [requests of each sort]
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openStore } from '../src/store/open-store.ts'
import { signRequest } from '../src/trust/request-profile.ts'
import type { Signer } from '../src/trust/request-profile.ts'
import { signingSecret } from '../src/trust/signing-secret.ts'
import { killServers, served, tinyModel } from '../test/served.ts'

const BLOCK = 100
const PARALLEL = 32
const count = Number(process.argv[2] ?? 2000)
const dir = mkdtempSync(join(tmpdir(), 'verit-cost-'))
const model = await tinyModel(dir, 64)
const OFF =
  '[audit]\nenabled = false\n[watch]\nenabled = false\n[keys]\nrequests_per_minute = ' +
  '0\n[addresses]\nrequests_per_minute = 0\n'
const ON = '[addresses]\nrequests_per_minute = 100000000\n'
const UNLIMITED = {
  streams: 10_000,
  requestsPerMinute: 100_000_000,
  tokensPerMinute: 1_000_000_000,
  tokensPerDay: 1_000_000_000_000,
  tokensPerMonth: 1_000_000_000_000
}

interface Target {
  name: string
  url: string
  key: string
  signer?: Signer
}

async function target(name: string, config: string, limits: object, signing: boolean): Promise<Target> {
  const file = join(dir, `${name}.toml`)
  writeFileSync(file, config, { mode: 0o600 })
  const state = join(dir, name)
  const store = await openStore({ stateFolder: state })
  const { key, credentialId } = await store.keys.create(
    { name, limits, signing: signing ? 'optional' : 'never' },
    'cli'
  )
  await store.close()
  const { url } = await served(model, state, '--config', file)
  return {
    name,
    url,
    key: key!,
    ...(signing && { signer: { alg: 'hmac-sha256' as const, secret: signingSecret(key!), keyId: credentialId } })
  }
}

const agent = new Agent({ keepAlive: true, maxSockets: PARALLEL })
const BODY = Buffer.from(JSON.stringify({ prompt: [1], max_tokens: 1 }))

/** One completion of one token; gives ms. */
function ask({ url, key, signer }: Target): Promise<number> {
  const start = performance.now()
  const { host, hostname, port } = new URL(url)
  const headers: Record<string, string> = { 'content-type': 'application/json', 'content-length': String(BODY.length) }
  if (signer === undefined) headers['authorization'] = `Bearer ${key}`
  else
    Object.assign(
      headers,
      signRequest({ method: 'POST', authority: host, path: '/v1/completions', headers, body: BODY }, signer).headers
    )
  return new Promise((resolve, reject) => {
    const outgoing = request({ agent, hostname, port, method: 'POST', path: '/v1/completions', headers }, response => {
      let text = ''
      response
        .setEncoding('utf8')
        .on('data', (t: string) => void (text += t))
        .on('end', () => {
          if (response.statusCode === 200) resolve(performance.now() - start)
          else reject(new Error(text))
        })
    })
    outgoing.on('error', reject).end(BODY)
  })
}

const percentile = (times: number[], p: number): number =>
  Number(times.toSorted((a, b) => a - b)[Math.min(times.length - 1, Math.floor(p * times.length))]!.toFixed(3))

try {
  const targets = [
    await target('authentication', OFF, { streams: 10_000 }, false),
    await target('everything', ON, UNLIMITED, false),
    await target('everything-signed', ON, UNLIMITED, true)
  ]
  const alone = new Map<string, number[]>(targets.map(t => [t.name, []]))
  const rates = new Map<string, number[]>(targets.map(t => [t.name, []]))
  for (const t of targets) for (let i = 0; i < 300; i++) await ask(t)
  for (let done = 0; done < count; done += BLOCK) {
    for (const t of targets) for (let i = 0; i < BLOCK; i++) alone.get(t.name)!.push(await ask(t))
    for (const t of targets) {
      const start = performance.now()
      let left = 4 * BLOCK
      await Promise.all(
        Array.from({ length: PARALLEL }, async () => {
          while (left-- > 0) await ask(t)
        })
      )
      rates.get(t.name)!.push((4 * BLOCK) / ((performance.now() - start) / 1000))
    }
  }
  const base = alone.get('authentication')!
  const report = targets.map(({ name }) => ({
    name,
    p50: percentile(alone.get(name)!, 0.5),
    p99: percentile(alone.get(name)!, 0.99),
    addedP50: Number((percentile(alone.get(name)!, 0.5) - percentile(base, 0.5)).toFixed(3)),
    addedP99: Number((percentile(alone.get(name)!, 0.99) - percentile(base, 0.99)).toFixed(3)),
    requestsPerSecond: Math.round(percentile(rates.get(name)!, 0.5))
  }))
  process.stdout.write(`${JSON.stringify({ requests: count, unit: 'ms', report }, undefined, 1)}\n`)
} finally {
  killServers()
  agent.destroy()
  rmSync(dir, { recursive: true })
}
