/** `verit pull`, `verit models` and names of pulled models, as a user runs them. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { HubServer, Place, sha256 } from '../../test/hub-server.ts'

const main = fileURLToPath(new URL('main.ts', import.meta.url))
const MODEL = readFileSync(new URL('../../models/verit-sotu.gguf', import.meta.url))
let hub: HubServer
const place = new Place()
before(async () => {
  hub = await HubServer.start({ secure: false })
  hub.put('model.gguf', MODEL)
})
after(async () => {
  await hub.stop()
  place[Symbol.dispose]()
})

async function verit(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  const env = { ...process.env, VERIT_MODELS: place.models, HF_ENDPOINT: hub.origin('127.0.0.1'), HF_TOKEN: 'hf_secret', HF_TOKEN_FILE: '' }
  const child = spawn(process.execPath, [main, ...args], { env, cwd: place.folder, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  child.stdout.on('data', (d: Buffer) => void (out += d.toString()))
  child.stderr.on('data', (d: Buffer) => void (err += d.toString()))
  const [status] = await once(child, 'close') as [number]
  return { status, out, err }
}

test('a model is pulled, listed, run by its name, given up and removed', async () => {
  const nothing = await verit('models', 'list', '--json')
  assert.deepEqual([nothing.status, nothing.out, existsSync(place.models)], [0, '[]\n', false])
  const pulled = await verit('pull', 'hf:owner/repo/model.gguf', '--name', 'mine', '--allow-private', '--sha256', sha256(MODEL).toUpperCase())
  assert.equal(pulled.status, 0, pulled.err)
  assert.match(pulled.out, new RegExp(`^mine: 5.1 MB, sha256:${sha256(MODEL)}\nfetched from hf:owner/repo@main/model.gguf, commit [0-9a-f]{40}\npinned in verit.lock\n$`))
  assert.equal(hub.seen[0]!.headers.authorization, 'Bearer hf_secret')
  const [listed] = JSON.parse((await verit('models', 'list', '--json')).out) as { name: string; digest: string }[]
  assert.deepEqual([listed!.name, listed!.digest], ['mine', `sha256:${sha256(MODEL)}`])
  const [run, checked] = await Promise.all([verit('generate', 'mine', 'The', '--max-tokens', '2', '--seed', '1'), verit('serve', 'mine', '--check')])
  assert.deepEqual([run.status, checked.status], [0, 0], run.err + checked.err)
  assert.equal((await verit('models', 'remove', 'mine')).status, 0)
  assert.match((await verit('models', 'gc')).out, /^0 files/) // verit.lock refers to it
})

test('an interrupted pull keeps what has come, and the same command goes on there', async () => {
  const bytes = Buffer.alloc(3_000_000, 'verit')
  hub.put('long.bin', bytes)
  hub.misbehave = (_, response) => {
    response.writeHead(200, { 'Content-Length': bytes.length, ETag: `"${sha256(bytes)}"` })
    response.write(bytes.subarray(0, 2_000_000))
  }
  const args = ['pull', 'hf:owner/repo/long.bin', '--allow-private', '--models', place.models, '--endpoint', hub.origin('127.0.0.1')]
  const child = spawn(process.execPath, [main, ...args], { cwd: place.folder, stdio: 'ignore' })
  const quarantine = join(place.models, 'quarantine')
  const came = (): boolean => readdirSync(quarantine).some(n => (statSync(join(quarantine, n, 'data'), { throwIfNoEntry: false })?.size ?? 0) > 0)
  while (!existsSync(quarantine) || !came()) await new Promise(resolve => setTimeout(resolve, 20))
  child.kill('SIGINT')
  assert.deepEqual(await once(child, 'close'), [130, null])
  hub.misbehave = undefined
  hub.seen.length = 0
  assert.equal((await verit(...args)).status, 0)
  assert.match(hub.seen[0]!.headers.range!, /^bytes=[1-9]\d*-$/)
})

test('wrong use ends with 2 and says what is right; a refused host with 1', async () => {
  const all = await Promise.all([['pull', 'model.gguf'], ['pull', 'hf:o/r/f', '--max-size', 'much'], ['pull', 'hf:o/r/f', '--sha256', '12'], ['models', 'show', 'nothing'], ['pull', 'https://127.1/x']].map(args => verit(...args)))
  assert.deepEqual(all.map(r => r.status), [2, 2, 2, 2, 1])
  assert.match(all[0]!.err, /hf:OWNER\/REPO\/FILE.*\[VERIT_PULL_SOURCE\]/)
  assert.match(all[4]!.err, /127\.0\.0\.1 was not asked: it is an address of this machine.*--allow-private/)
})
