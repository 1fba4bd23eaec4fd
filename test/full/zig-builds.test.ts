/** The kernels build with zig for every system that packages are made for, and what it builds for this one loads: it links otherwise than the C compiler of the system. Takes about two minutes. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'

const root = resolve(import.meta.dirname, '../..')
const here = `${process.platform}-${process.arch}`

test('zig builds the kernels for every system, and those for this one load', { skip: here !== 'linux-x64' && 'zig is fetched for linux-x64 alone' }, t => {
  const copy = mkdtempSync(join(tmpdir(), 'verit-zig-'))
  t.after(() => rmSync(copy, { recursive: true, force: true }))
  mkdirSync(join(copy, 'scripts'))
  mkdirSync(join(copy, 'tools'))
  for (const part of ['native', 'package.json', 'scripts/build-native.mjs']) cpSync(join(root, part), join(copy, part), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
  symlinkSync(join(root, 'tools/zig'), join(copy, 'tools/zig'))
  for (const target of [here, 'linux-arm64', 'darwin-arm64', 'darwin-x64']) {
    const built = spawnSync(process.execPath, [join(copy, 'scripts/build-native.mjs'), '--compiler', 'zig', '--target', target], { encoding: 'utf8' })
    if (/could not be installed/.test(built.stderr)) return t.skip('no zig, and it cannot be fetched')
    assert.equal(built.status, 0, built.stderr)
    assert.ok(existsSync(join(copy, 'build', target, 'verit.node')), target)
  }
  const load = createRequire(import.meta.url)
  const [ours, own] = [join(copy, 'build', here, 'verit.node'), join(root, 'build', here, 'verit.node')].map(file => load(file) as { instructionSets: string[], vbmi: boolean, ops: string[] })
  for (const name of ['instructionSets', 'vbmi', 'ops'] as const) assert.deepEqual(ours![name], own![name])
})
