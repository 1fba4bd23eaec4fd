/** The connections that a server of default limits takes, all held by strangers of the same machine. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Target, eventually } from '../attacks/target.ts'
import { killServers } from '../served.ts'

const HOLD = fileURLToPath(new URL('../attacks/hold.ts', import.meta.url))

let t: Target
before(async () => {
  t = await Target.start({
    http: { connections: 1024, connections_per_address: 64, idle_seconds: 5, header_seconds: 10, request_seconds: 30 },
    addresses: { requests_per_minute: 1200 }
  })
})
after(async () => {
  setTimeout(killServers, 5000).unref()
  await t.stop()
})

test('H10 1,024 connections of 16 addresses, held in every way, leave a valid key its answer: 10 of 10', async () => {
  for (const how of ['health', 'silent', 'headers']) {
    const strangers = spawn(process.execPath, [HOLD, String(t.port), '16', '64', how], {
      stdio: ['pipe', 'pipe', 'inherit']
    })
    const gone = once(strangers, 'exit')
    let open = 0
    strangers.stdout.setEncoding('utf8').on('data', (line: string) => void (open = Math.max(open, parseInt(line))))
    await eventually(() => open > 700, 'they hold what they can')
    for (let i = 0; i < 10; i++) {
      const answer = await t.complete({}, { headers: { connection: 'close' } })
      assert.deepEqual(
        [answer.status, (await answer.text()).includes('"choices"')],
        [200, true],
        `${how}, request ${i + 1}`
      )
    }
    strangers.kill()
    await gone
  }
})
