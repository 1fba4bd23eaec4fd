/**
 * The largest bodies of each route, on each kind of tokenizer: whatever they hold, another client has its one token
 * soon. Some of them in npm test: H12 in test/attacks/h-resources.test.ts, test/largest-bodies.test.ts.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { openStore } from '../../src/store/open-store.ts'
import { largestLoads, modelWith, waitsDuring } from '../latency.ts'
import { killServers, served } from '../served.ts'
import { testTokenizers } from '../tokenizers.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-largest-'))
after(() => {
  killServers()
  rmSync(dir, { recursive: true })
})
const config = join(dir, 'verit.toml')
writeFileSync(
  config,
  '[http]\nidle_seconds = 600\n[keys]\nrequests_per_minute = 0\n[addresses]\nrequests_per_minute = 0\n',
  { mode: 0o600 }
)
const loads = largestLoads()

for (const [name, kind] of testTokenizers()) {
  test(`${name}: beside each of ${loads.length} bodies of 1 MiB, another client has its token soon`, async () => {
    const state = join(dir, name)
    const server = await served(await modelWith(dir, name, kind), state, '--config', config)
    const store = await openStore({ stateFolder: state })
    const slow: string[] = []
    for (const load of loads) {
      const { key } = await store.keys.create({ name: load.name.slice(0, 60) }, 'cli') // a key has a rate of bytes
      const tries: string[] = []
      for (let i = 0; i === tries.length && i < 3; i++) {
        const { times, statuses, allowed } = await waitsDuring(
          server.url,
          load,
          { loading: key!, other: server.key },
          2
        )
        assert.ok(
          statuses.every(s => s === 400 || s === 200),
          `${load.name}: ${statuses.join()}`
        )
        if (times.at(-1)! > allowed) tries.push(`${Math.round(times.at(-1)!)} ms of ${Math.round(allowed)}`)
      }
      if (tries.length === 3) slow.push(`${load.name}: ${tries.join('; ')}`)
    }
    await store.close()
    assert.equal(await server.stop(), 0)
    assert.deepEqual(slow, [])
  })
}
