/**
 * Which models a real `verit serve` starts with: signed ones, those whose digest is trusted, and none besides unless
 * told.
 */
// long: it starts a server for each way to be trusted
import assert from 'node:assert/strict'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { defaultModelPath } from '../src/lib/default-model.ts'
import { veritSync } from './cli.ts'
import { refusedStarts } from './refused-starts.ts'
import { killServers, served, tinyModel } from './served.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-served-trust-'))
after(() => {
  killServers()
  rmSync(dir, { recursive: true })
})
const state = join(dir, 'state')
/** What each of these starts says. */
const refused = (...starts: string[][]): string[] =>
  refusedStarts(starts.map(args => ['--state', state, ...args])).map(({ status, stderr }) => {
    assert.equal(status, 1, stderr)
    assert.doesNotMatch(stderr, /the runner/) // nothing of the file was parsed
    return stderr
  })
const model = await tinyModel(dir)

test(
  'an unsigned model is refused with the command that would trust it; then it is served, and no other file ' +
    'under its name',
  async () => {
    const command = /run: verit (model trust add --digest (sha256:[0-9a-f]{64}) --name tiny) /.exec(
      refused([model])[0]!
    )!
    const added = veritSync([...command[1]!.split(' '), '--state', state])
    assert.equal(added.status, 0, added.stderr)
    const server = await served(model, state)
    assert.match(server.stderr(), /Trusted by its digest/)
    assert.equal(await server.stop(), 0)
    const entries = veritSync(['audit', 'tail', '--json', '--state', state]).stdout.split('\n')
    const refusal = entries.find(l => l.includes('"event":"refused"'))!
    assert.deepEqual((JSON.parse(refusal) as { entry: { detail: object } }).entry.detail, {
      digest: command[2],
      model: 'tiny',
      reason: 'VERIT_UNTRUSTED'
    })
    const entry = entries.find(l => l.includes('"event":"model"'))!
    const { trust, cacheType } = (JSON.parse(entry) as { entry: { detail: { trust: object; cacheType: string } } })
      .entry.detail
    assert.deepEqual([trust, cacheType], [{ by: 'digest' }, 'f32'])

    mkdirSync(join(dir, 'other'))
    const other = await tinyModel(join(dir, 'other'), 256)
    assert.match(
      refused([other, '--allow-unsigned'])[0]!,
      /not one of those trusted under the name tiny.*VERIT_UNTRUSTED/
    )
  }
)

test(
  'the default model is served by its signature; with one byte changed, or under another name, it is ' + 'refused',
  async () => {
    const server = await served(defaultModelPath(), join(dir, 'default'))
    assert.match(server.stderr(), /Signed by verit/)
    assert.equal(await server.stop(), 0)

    const copy = join(dir, 'verit-sotu.gguf')
    copyFileSync(defaultModelPath(), copy)
    copyFileSync(`${defaultModelPath()}.sig`, `${copy}.sig`)
    writeFileSync(copy, Buffer.from([0]), { flag: 'r+' })
    copyFileSync(defaultModelPath(), join(dir, 'mine.gguf'))
    copyFileSync(`${defaultModelPath()}.sig`, join(dir, 'mine.gguf.sig'))
    const [changed, renamed] = refused([copy, '--allow-unsigned'], [join(dir, 'mine.gguf')])
    assert.match(changed!, /SHA-256.*VERIT_MODEL_CHANGED/)
    assert.match(renamed!, /none of those trusted.*VERIT_UNTRUSTED/)
  }
)

test('a model or a policy that others may write to is refused', () => {
  const open = join(dir, 'open.gguf')
  copyFileSync(model, open)
  chmodSync(open, 0o664)
  writeFileSync(join(dir, 'policy.toml'), 'unsigned = "allow"')
  chmodSync(join(dir, 'policy.toml'), 0o666)
  for (const text of refused([open, '--allow-unsigned'], [model, '--trust-policy', join(dir, 'policy.toml')])) {
    assert.match(text, /chmod go-w.*VERIT_OTHERS_WRITE/)
  }
  writeFileSync(join(dir, 'wrong.toml'), 'unsigned = "perhaps"')
  assert.match(
    veritSync(['serve', model, '--check', '--trust-policy', join(dir, 'wrong.toml')]).stderr,
    /unsigned.*VERIT_TRUST/
  )
})
