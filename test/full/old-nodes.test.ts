/**
 * The package on the oldest Node that it takes, where it gives the same bits, and on an older one, where it says so.
 * Both come from npm.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { NODE_NEEDED } from '../../src/lib/node-version.ts'
import { App, GENERATE, pack, root } from '../packed.ts'
import type { Generated } from '../packed.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-old-nodes-'))
after(() => rmSync(dir, { recursive: true, force: true }))
const tools = join(root, 'tools/old-nodes')
const here = process.platform === 'linux' && process.arch === 'x64'
const fetched = here && spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--silent'], { cwd: tools }).status === 0
const skip = !fetched && 'the old versions of Node cannot be fetched here'
const nodeAt = (line: string): string => join(tools, `node_modules/node-${line}/bin/node`)

test(
  'the oldest Node gives the same text, the same training and a server; an older one gets one sentence',
  { skip },
  async () => {
    const { tarball } = pack(dir)
    const app = new App(join(dir, 'now'), [tarball])
    const old = new App(join(dir, 'node-22'), [tarball], nodeAt('22'))
    assert.equal(old.run('node', '--version').stdout.split('.')[0], 'v22')
    const expected = JSON.parse(app.program('use.mjs', GENERATE)) as Generated
    assert.deepEqual(JSON.parse(old.program('use.mjs', GENERATE)), expected)
    const model = (at: App): string => {
      writeFileSync(join(at.folder, 'text.txt'), 'It was the best of times, it was the worst of times. '.repeat(200))
      const args = [
        'train',
        'text.txt',
        '--out',
        'run',
        '--depth',
        '1',
        '--steps',
        '4',
        '--vocab-size',
        '300',
        '--name',
        'same'
      ]
      const { status, stderr } = at.run('npx', 'verit', ...args)
      assert.equal(status, 0, stderr)
      return hash('sha256', readFileSync(join(at.folder, 'run/model.gguf')))
    }
    assert.equal(model(old), model(app))
    const { status, answer, wrote, exit } = await old.serve({
      prompt: 'Fellow citizens',
      max_tokens: 8,
      temperature: 0
    })
    assert.deepEqual(
      [status, (answer as { choices: { text: string }[] }).choices[0]!.text, exit],
      [200, expected.text, 0]
    )
    if (process.platform === 'linux') assert.match(wrote, /locked: no files, network, processes or new code/)

    const older = new App(join(dir, 'node-20'), [tarball], nodeAt('20'))
    for (const args of [['--help'], ['serve'], ['generate', 'x']]) {
      const refused = older.run('npx', 'verit', ...args)
      assert.deepEqual([refused.status, refused.stdout], [1, ''])
      assert.match(
        refused.stderr,
        /^verit: Verit needs [^\n]*; this is Node 20\.20\.2\. Install a newer Node [^\n]*\[VERIT_NODE\]\n$/
      )
      assert.ok(refused.stderr.includes(NODE_NEEDED))
    }
    for (const entry of ['verit', 'verit/client']) {
      writeFileSync(join(older.folder, 'use.mjs'), `import { VeritError } from '${entry}'`)
      assert.match(
        older.run('node', 'use.mjs').stderr,
        /VeritError: Verit needs Node .*; this is Node 20\.20\.2\. Install a newer Node/
      )
    }
  }
)
