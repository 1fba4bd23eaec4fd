import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('main.ts', import.meta.url))

test('wrong use ends with 2 and names the help, in commands of commands, too: 1 is what `audit verify` says of a log', () => {
  for (const args of [['audit', 'verify', '--tpyo'], ['keys', 'lst'], ['serve', '--port', 'x']]) {
    const { status, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' })
    assert.deepEqual([status, stderr.includes('--help')], [2, true], args.join(' '))
  }
  assert.equal(spawnSync(process.execPath, [main, 'keys', '--help']).status, 0)
})
