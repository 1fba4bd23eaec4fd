/**
 * What the store takes of each request, on SQLite and on PostgreSQL on this machine: finding a key, and the
 * transactions that must be on disk, one after the other and many at once.
 *
 *     node bench/store.ts
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openStore } from '../src/store/open-store.ts'
import { startPostgres } from '../test/postgres.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-bench-'))
const postgres = await startPostgres()

/** Median µs of a call, of calls one after the other. */
async function alone(times: number, call: (i: number) => Promise<unknown>): Promise<number> {
  const took: number[] = []
  for (let i = 0; i < times; i++) {
    const start = performance.now()
    await call(i)
    took.push(performance.now() - start)
  }
  return took.sort((a, b) => a - b)[times >> 1]! * 1000
}

/** µs of a call, where `width` callers make one after the other. */
async function together(times: number, width: number, call: (i: number) => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await Promise.all(
    Array.from({ length: width }, async (_, w) => {
      for (let i = w; i < times; i += width) await call(i)
    })
  )
  return ((performance.now() - start) / times) * 1000
}

try {
  for (const [name, databaseUrl] of [
    ['SQLite', undefined],
    ['PostgreSQL', await postgres.createDatabase()]
  ] as const) {
    const store = await openStore({ stateFolder: join(dir, name), databaseUrl })
    const made = await store.keys.create({ name: 'bench' }, 'cli')
    const { id } = made.record
    const calls: Record<string, (i: number) => Promise<unknown>> = {
      'find a key by its secret': () => store.keys.bySecret(made.key!),
      'reserve and settle': async () => {
        const answer = await store.budgets.reserve(id, 100, { tokensPerDay: 1e12 }, new Date())
        if (answer.ok) await store.budgets.settle(answer.reservation, 10)
      },
      'use a nonce': i => store.replay.use(made.credentialId, `${process.hrtime.bigint()}-${i}`, Date.now() + 1000)
    }
    for (const [what, call] of Object.entries(calls)) {
      await alone(600, call) // until SQLite's log has its size and code is compiled
      const times = [await alone(300, call), await together(3000, 64, call)]
      console.log(`${name}: ${what}: ${times.map(t => `${t.toFixed(0)} µs`).join(' alone, ')} each with 64 callers`)
    }
    await store.close()
  }
} finally {
  await postgres.stop()
  rmSync(dir, { recursive: true })
}
