/**
 * `verit pull` with whole processes at its end: interrupted from the terminal in the middle of a download, and followed
 * by `verit serve`.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { HubServer, Place, sha256, verit } from '../hub-server.ts'

const MAIN = new URL('../../src/cli/main.ts', import.meta.url).pathname

/** Starts `verit serve NAME` and ends it again. @returns what it wrote until it served, or ended */
async function serve(place: Place, name: string): Promise<string> {
  const env = { ...process.env, VERIT_MODELS: place.models }
  const child = spawn(process.execPath, [MAIN, 'serve', name, '--port', '0', '--state', join(place.folder, 'state')], {
    env,
    stdio: ['ignore', 'ignore', 'pipe']
  })
  const closed = once(child, 'close')
  let text = ''
  for await (const chunk of child.stderr.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk
    if (/Try it:/.test(text)) child.kill('SIGTERM')
  }
  await closed
  return text
}

test('an interrupted pull keeps what has come, and the same command goes on there', async () => {
  const hub = await HubServer.start({ secure: false })
  using place = new Place()
  const bytes = Buffer.alloc(3_000_000, 'verit')
  hub.put('long.bin', bytes)
  hub.misbehave = (_, response) => {
    response.writeHead(200, { 'Content-Length': bytes.length, ETag: `"${sha256(bytes)}"` })
    response.write(bytes.subarray(0, 2_000_000))
  }
  const args = [
    'pull',
    'hf:owner/repo/long.bin',
    '--allow-private',
    '--models',
    place.models,
    '--endpoint',
    hub.origin('127.0.0.1'),
    '--state',
    join(place.folder, 'state')
  ]
  const child = spawn(process.execPath, [MAIN, ...args], { cwd: place.folder, stdio: 'ignore' })
  const quarantine = join(place.models, 'quarantine')
  const came = (): boolean =>
    readdirSync(quarantine).some(n => (statSync(join(quarantine, n, 'data'), { throwIfNoEntry: false })?.size ?? 0) > 0)
  while (!existsSync(quarantine) || !came()) await new Promise(resolve => setTimeout(resolve, 20))
  child.kill('SIGINT')
  assert.deepEqual(await once(child, 'close'), [130, null])
  hub.misbehave = undefined
  hub.seen.length = 0
  assert.equal((await verit(place, hub, {}, ...args)).status, 0)
  assert.match(hub.seen[0]!.headers.range!, /^bytes=[1-9]\d*-$/)
  await hub.stop()
})

test('a pulled model is served once its digest is trusted, and one that its signer signed at once', async () => {
  const hub = await HubServer.start({ secure: false })
  using place = new Place()
  hub.put('model.gguf', readFileSync(new URL('../../models/verit-sotu.gguf', import.meta.url)))
  hub.put('verit-sotu.gguf', readFileSync(new URL('../../models/verit-sotu.gguf', import.meta.url)))
  hub.put('verit-sotu.gguf.sig', readFileSync(new URL('../../models/verit-sotu.gguf.sig', import.meta.url)))
  const pull = (file: string, ...more: string[]) =>
    verit(
      place,
      hub,
      {},
      'pull',
      `hf:owner/repo/${file}`,
      '--allow-private',
      '--state',
      join(place.folder, 'state'),
      ...more
    )
  await pull('model.gguf')
  assert.match(await serve(place, 'model'), /VERIT_UNTRUSTED/)
  await pull('model.gguf', '--trust')
  assert.match(await serve(place, 'model'), /Try it:/)
  assert.match((await pull('verit-sotu.gguf')).out, /\ntrusted: signed by verit\n$/)
  assert.match(await serve(place, 'verit-sotu'), /Try it:/)
  const { findings } = JSON.parse(
    (await verit(place, hub, {}, 'doctor', '--model', 'verit-sotu', '--state', join(place.folder, 'state'), '--json'))
      .out
  ) as { findings: { check: string; says: string }[] }
  assert.match(findings.find(f => f.check === 'model.trust')!.says, /is signed by verit, who is trusted/)
  await hub.stop()
})
