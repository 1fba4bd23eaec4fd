/** The buckets of addresses, with a clock of their own: how much a network of many addresses may take. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VeritError } from '../lib/errors.ts'
import { MemoryRateState } from '../store/memory-rate-state.ts'
import { defaultConfig } from './config.ts'
import type { GatewayContext } from './context.ts'
import { takeAddress } from './rates.ts'

/** A context with what the limits of addresses need. The clock stands still. */
function still(requestsPerMinute: number): { context: GatewayContext; rates: MemoryRateState } {
  const config = defaultConfig()
  config.addresses.requestsPerMinute = requestsPerMinute
  const rates = new MemoryRateState({ now: () => 0 })
  return { rates, context: { config, rates } as unknown as GatewayContext }
}

/** How many of these requests without a key are counted before one is refused. */
async function taken(context: GatewayContext, addresses: readonly string[]): Promise<number> {
  let n = 0
  for (const address of addresses) {
    try {
      await takeAddress(context, address)
      n++
    } catch (e) {
      assert.ok(VeritError.is(e, 'VERIT_RATE_LIMIT'), String(e))
    }
  }
  return n
}

const many = (n: number, name: (i: number) => string): string[] => Array.from({ length: n }, (_, i) => name(i))

test('a network has more than an address, but not for each of its addresses', async () => {
  for (const [addresses, most] of [
    [many(100, () => '192.0.2.1'), 10],
    [many(256, i => `192.0.2.${i}`), 80],
    [many(255, i => `127.0.0.${i + 1}`), 10],
    [many(100, i => `2001:db8::${i}`), 10],
    [many(256, i => `2001:db8:0:${i.toString(16)}::1`), 20],
    [many(1000, i => `2001:db8:0:${(64 * i).toString(16)}::1`), 40],
    [many(100, () => 'unix'), 10]
  ] as const)
    assert.equal(await taken(still(10).context, addresses), most, addresses[1])
})

test('strangers with any number of addresses fill few buckets', async () => {
  const { context, rates } = still(10)
  const addresses = many(20_000, i => (i % 2 === 0 ? `${1 + (i >> 9)}.${i & 255}.7.1` : `2001:${i.toString(16)}::1`))
  assert.equal(await taken(context, addresses), 640)
  assert.ok(rates.names <= 4 * 640 + 4, `${rates.names} buckets`)
})
