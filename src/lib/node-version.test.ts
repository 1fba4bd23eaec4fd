/** The oldest Node is named in three places, and the version of the package in two: they agree. What each place does on an older Node is tried with a Node that says it is one. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { LEAST_NODE, runsHere } from './node-version.ts'
import { VERSION } from './version.ts'

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const own = JSON.parse(readFileSync(at('package.json'), 'utf8')) as { version: string; engines: { node: string }; bin: { verit: string } }

test('package.json, the command and the library want the same Node, and the version constant is that of package.json', () => {
  assert.equal(own.engines.node, `>=${LEAST_NODE}`)
  assert.match(readFileSync(at(own.bin.verit), 'utf8'), new RegExp(`LEAST = \\[${LEAST_NODE.replaceAll('.', ', ')}\\]`))
  assert.equal(VERSION, own.version)
})

test('versions are compared as numbers', () => {
  for (const version of ['22.14.0', '22.100.0', '23.0.0', '24.21.0', '100.1.0']) assert.equal(runsHere(version), true, version)
  for (const version of ['0.10.48', '9.11.2', '18.20.8', '20.20.2', '22.9.0', '22.13.1']) assert.equal(runsHere(version), false, version)
})

/** Runs code on this Node with another version number. */
const pretending = (version: string, code: string) => spawnSync(
  process.execPath, ['-e', `Object.defineProperty(process.versions, 'node', { value: '${version}' }); ${code}`], { encoding: 'utf8' })

test('an older Node gets one sentence from the command and a VERIT_NODE error from the library', () => {
  const command = `require(${JSON.stringify(at(own.bin.verit))})`
  for (const version of ['20.20.2', '22.13.1', '0.10.48']) {
    const { status, stdout, stderr } = pretending(version, command)
    assert.deepEqual([status, stdout], [1, ''])
    assert.match(stderr, new RegExp(`^verit: Verit needs Node ${LEAST_NODE} or newer; this is Node ${version}\\. Install a newer Node [^\\n]*\\[VERIT_NODE\\]\\n$`))
  }
  for (const entry of ['src/index.ts', 'src/client/index.ts', 'src/cli/main.ts']) {
    const { status, stderr } = pretending('20.20.2', `import(${JSON.stringify(at(entry))})`)
    assert.equal(status, 1)
    assert.match(stderr, /VeritError: Verit needs Node [\d.]+ or newer; this is Node 20\.20\.2\. Install/, entry)
  }
})

test('the command is written so that the oldest Node can read it', () => {
  const text = readFileSync(at(own.bin.verit), 'utf8').replace(/\/\*[^]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
  assert.doesNotMatch(text, /=>|`|\b(let|const|class|import|async|await)\b|\?\.|\?\?|\.\.\./)
})
