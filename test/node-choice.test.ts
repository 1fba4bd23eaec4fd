/** Which Node `npm run` uses (scripts/node.sh). */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const dir = mkdtempSync(join(tmpdir(), 'verit-node-'))
after(() => rmSync(dir, { recursive: true }))
const root = fileURLToPath(new URL('..', import.meta.url))

/** A program that says which it is, or, asked for its version, that. */
function fake(folder: string, version: string): string {
  const path = join(dir, folder)
  mkdirSync(path, { recursive: true })
  const body = `if [ "$1" = --version ]; then echo ${version}; else echo "${folder} $*"; fi`
  writeFileSync(join(path, 'node'), `#!/bin/sh\n${body}\n`)
  chmodSync(join(path, 'node'), 0o755)
  return path
}

const skip = process.platform === 'win32' && 'there is no sh'
test("the system's Node is used from 24 on, else the one from npm, else a sentence says so", { skip }, () => {
  const own = fake('checkout/node_modules/.bin', 'v24.21.0')
  mkdirSync(join(dir, 'checkout/scripts'))
  cpSync(join(root, 'scripts/node.sh'), join(dir, 'checkout/scripts/node.sh'))
  const [v20, v24, v26] = [fake('a b/20', 'v20.20.2'), fake('24', 'v24.0.0'), fake('26', 'v26.1.0-nightly')]
  const run = (...path: string[]): string => {
    const env = { PATH: [...path, '/usr/bin', '/bin'].join(':') }
    const words = [join(dir, 'checkout/scripts/node.sh'), 'x', 'y z']
    const { status, stdout, stderr } = spawnSync('/bin/sh', words, { env, encoding: 'utf8' })
    return `${status} ${stdout}${stderr}`.trim()
  }
  assert.equal(run(own, v24, v20), '0 24 x y z')
  assert.equal(run(own, v26), '0 26 x y z')
  assert.equal(run(own, v20, v24), '0 checkout/node_modules/.bin x y z') // the first is the system's
  rmSync(own, { recursive: true })
  assert.match(run(v20), /^1 verit: Node 24 or newer is needed; the system has v20\.20\.2/)
})

test('every script of package.json that needs Node 24 chooses it so', () => {
  const text = readFileSync(join(root, 'package.json'), 'utf8')
  const { scripts } = JSON.parse(text) as { scripts: Record<string, string> }
  const anyNode = /(?<!scripts\/)\bnode (?!scripts\/build-native\.mjs)/
  const direct = Object.entries(scripts).filter(([, script]) => anyNode.test(script))
  assert.deepEqual(direct, [])
  for (const name of ['start', 'verit']) {
    assert.match(scripts[name]!, /^exec sh scripts\/node\.sh --disable-sigusr1 src\/cli\/main\.ts/)
  }
})
