/**
 * The oldest Node is named in three places, and the version of the package in two: they agree. What each place does on
 * an older Node is tried with a Node that says it is one.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { NODE_NEEDED, NODE_RANGE, runsHere } from './node-version.ts'
import { VERSION } from './version.ts'

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const own = JSON.parse(readFileSync(at('package.json'), 'utf8')) as {
  version: string
  engines: { node: string }
  bin: { verit: string }
}
const command = readFileSync(at(own.bin.verit), 'utf8')

test(
  'package.json, the command and the library want the same Node, and the version constant is that of ' + 'package.json',
  () => {
    assert.equal(own.engines.node, NODE_RANGE)
    assert.ok(command.includes(`'${NODE_NEEDED}'`))
    assert.equal(VERSION, own.version)
  }
)

const runs = ['22.16.0', '22.100.0', '24.0.0', '24.21.0', '25.1.0', '100.1.0']
const not = ['0.10.48', '9.11.2', '18.20.8', '20.20.2', '22.9.0', '22.15.1', '23.0.0', '23.11.1']

/** Runs code on this Node with another version number. */
const pretending = (version: string, code: string) =>
  spawnSync(
    process.execPath,
    ['-e', `Object.defineProperty(process.versions, 'node', { value: '${version}' }); ${code}`],
    { encoding: 'utf8' }
  )

test('the command and the library take the same versions', () => {
  // the condition of the command, with the program left out
  const condition = /if \(([^]*?)\) \{\n/.exec(command)![1]!
  const takes = (version: string): boolean => {
    const [major, minor] = version.split('.').map(Number)
    return Function('major', 'minor', `return ${condition}`)(major, minor) as boolean
  }
  for (const version of runs) assert.deepEqual([runsHere(version), takes(version)], [true, true], version)
  for (const version of not) assert.deepEqual([runsHere(version), takes(version)], [false, false], version)
})

test('an older Node gets one sentence from the command and a VERIT_NODE error from the library', () => {
  const says =
    `Verit needs ${NODE_NEEDED}; this is Node 20.20.2. Install a newer Node ` +
    '(https://nodejs.org/en/download) and run the same command again.'
  const { status, stdout, stderr } = pretending('20.20.2', `require(${JSON.stringify(at(own.bin.verit))})`)
  assert.deepEqual([status, stdout, stderr], [1, '', `verit: ${says} [VERIT_NODE]\n`])
  for (const entry of ['src/index.ts', 'src/client/index.ts', 'src/cli/main.ts']) {
    const failed = pretending('20.20.2', `import(${JSON.stringify(at(entry))})`)
    assert.equal(failed.status, 1)
    assert.ok(failed.stderr.includes(`VeritError: ${says}`), `${entry}: ${failed.stderr}`)
  }
})

test('the command is written so that the oldest Node can read it', () => {
  const text = command.replace(/\/\*[^]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
  assert.doesNotMatch(text, /=>|`|\b(let|const|class|import|async|await)\b|\?\.|\?\?|\.\.\./)
})
