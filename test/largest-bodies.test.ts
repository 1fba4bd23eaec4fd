/**
 * No body, however large, keeps another client waiting: while the four worst of 1 MiB are worked on, four at once, another key gets its one token within
 * 250 ms (VERIT_TEST_CEILING_MS on a slow machine). All bodies, on all kinds of tokenizer: test/full/largest-bodies.test.ts.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { openStore } from '../src/store/open-store.ts'
import { ceiling, largestLoads, modelWith, quietWait, waitsDuring } from './latency.ts'
import { killServers, served } from './served.ts'
import { testTokenizers } from './tokenizers.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-largest-'))
after(() => {
  killServers()
  rmSync(dir, { recursive: true })
})
const WORST = ['text: line feeds', 'chat: beyond Latin', 'chat: every mark but one', 'ids: 1e9']
const config = join(dir, 'verit.toml'), state = join(dir, 'state')
writeFileSync(config, '[http]\nidle_seconds = 600\n[keys]\nrequests_per_minute = 0\n[addresses]\nrequests_per_minute = 0\n', { mode: 0o600 })
const server = await served(await modelWith(dir, 'm', testTokenizers().get('pieces-unused')!), state, '--config', config)
const store = await openStore({ stateFolder: state })
const { key: loading } = await store.keys.create({ name: 'loading' }, 'cli')
await store.close()

for (const load of largestLoads(name => WORST.includes(name))) {
  test(`${load.name}: another client has its token soon`, async () => {
    const tries: string[] = []
    // What the machine does besides can make any one of them slow.
    for (let i = 0; i < 3; i++) {
      const quiet = await quietWait(server.url, server.key)
      const { times, statuses } = await waitsDuring(server.url, load, { loading: loading!, other: server.key }, 4)
      assert.ok(statuses.every(s => s === 400), statuses.join())
      if (times.at(-1)! <= ceiling(quiet)) return
      tries.push(`${Math.round(times.at(-1)!)} ms, ${Math.round(quiet)} ms without`)
    }
    assert.fail(tries.join('; '))
  })
}
