/** `verit pull`, `verit models` and names of pulled models, as a user runs them. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { digestOption, sizeOption } from '../src/cli/models-options.ts'
import { HubServer, Place, sha256, verit } from './hub-server.ts'

const MODEL = readFileSync(new URL('../models/verit-sotu.gguf', import.meta.url))
const DIGEST = `sha256:${sha256(MODEL)}`
let hub: HubServer
const place = new Place()
const state = join(place.folder, 'state')
before(async () => {
  hub = await HubServer.start({ secure: false })
  hub.put('model.gguf', MODEL)
})
after(async () => {
  await hub.stop()
  place[Symbol.dispose]()
})

const run = (...args: string[]) => verit(place, hub, { HF_TOKEN: 'hf_secret' }, ...args)

test('a model is pulled, trusted in one step, listed, run by its name, and given up', async () => {
  const pulled = await run(
    'pull',
    'hf:owner/repo/model.gguf',
    '--name',
    'mine',
    '--allow-private',
    '--sha256',
    sha256(MODEL).toUpperCase(),
    '--state',
    state
  )
  assert.equal(pulled.status, 0, pulled.err)
  assert.equal(
    pulled.out.replace(/commit [0-9a-f]{40}/, 'commit C'),
    `mine: 5.1 MB, ${DIGEST}\nfetched from hf:owner/repo@main/model.gguf, commit C\npinned in verit.lock\n` +
      `not trusted: it is not signed\nverit serve refuses it; if you know that this digest is right, trust it:\n  ` +
      `verit model trust add --digest ${DIGEST} --name mine --state ${state}\n`
  )
  assert.deepEqual([hub.seen[0]!.headers.authorization, existsSync(state)], ['Bearer hf_secret', false])
  const trusted = await run(
    'pull',
    'hf:owner/repo/model.gguf',
    '--name',
    'mine',
    '--allow-private',
    '--state',
    state,
    '--trust',
    '--json'
  )
  const { trust, fetched } = JSON.parse(trusted.out) as { trust: unknown; fetched: boolean }
  assert.deepEqual([trust, fetched], [{ by: 'digest' }, false])
  assert.match(readFileSync(join(state, 'trust.toml'), 'utf8'), new RegExp(`mine = \\[ "${DIGEST}" \\]`))
  const [listed] = JSON.parse((await run('models', 'list', '--json')).out) as { name: string; digest: string }[]
  assert.deepEqual([listed!.name, listed!.digest], ['mine', DIGEST])
  writeFileSync(join(place.folder, 'text.txt'), 'The state of the union')
  const used = await Promise.all(
    [
      ['generate', 'mine', 'The', '--max-tokens', '2', '--seed', '1'],
      ['eval', 'mine', 'text.txt'],
      ['inspect', 'mine', '--json']
    ].map(args => run(...args))
  )
  assert.deepEqual(
    used.map(r => r.status),
    [0, 0, 0],
    used.map(r => r.err).join()
  )
  assert.equal((JSON.parse(used[2]!.out) as { sha256: string }).sha256, DIGEST)
  const absent = await run('bench', '--model', 'absent')
  assert.match(`${absent.status} ${absent.err}`, /^2 .*absent.*\[VERIT_FILE_NOT_FOUND\]/)
  assert.equal((await run('models', 'remove', 'mine')).status, 0)
  assert.match((await run('models', 'gc')).out, /^0 files, .*\nKept, .*\nsha256\/.*\n {2}\/.*\/verit\.lock\n$/)
})

test('wrong use ends with 2 and says what is right; a refused host with 1', async () => {
  const [source, host] = await Promise.all([run('pull', 'model.gguf'), run('pull', 'https://127.1/x')])
  assert.deepEqual([source.status, host.status], [2, 1])
  assert.match(source.err, /hf:OWNER\/REPO\/FILE.*\[VERIT_PULL_SOURCE\]/)
  assert.match(host.err, /No request was sent to 127\.0\.0\.1: it is an address of this machine.*--allow-private/)
  assert.deepEqual([sizeOption('1.5GiB'), sizeOption('500MB'), sizeOption('7')], [1.5 * 2 ** 30, 5e8, 7])
  for (const wrong of ['much', '1 PB', '', '-1']) assert.throws(() => sizeOption(wrong), /must be a size/)
  for (const wrong of ['12', `sha512:${'0'.repeat(64)}`]) assert.throws(() => digestOption(wrong), /must be a SHA-256/)
})
