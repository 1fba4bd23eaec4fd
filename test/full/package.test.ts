/** The package as npm would publish it, installed in an empty project: the library with its types, the command, the kernels and the default model. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

test('npm pack and an install in an empty project give a library with types and a command that work', () => {
  const folder = mkdtempSync(join(tmpdir(), 'verit-package-'))
  const env = { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH']}` }
  const run = (command: string, ...args: string[]): string => execFileSync(command, args, { cwd: folder, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  try {
    const packed = execFileSync('npm', ['pack', '--json', '--pack-destination', folder], { cwd: root, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
    const [{ filename, files }] = JSON.parse(packed.slice(packed.indexOf('[\n'))) as [{ filename: string; files: { path: string }[] }]
    const paths = files.map(f => f.path)
    assert.deepEqual(paths.filter(p => /\.test\.|^test\/|^src\/|node_modules|\.log$/.test(p)), [])
    writeFileSync(join(folder, 'package.json'), '{"name": "empty", "private": true, "type": "module"}')
    run('npm', 'install', '--no-audit', '--no-fund', '--silent', join(folder, filename))
    writeFileSync(join(folder, 'use.ts'), `
import { defaultModelPath, loadModel, VeritError } from 'verit'
import type { GenerateEvent } from 'verit'
const model = await loadModel(defaultModelPath())
let text = ''
for await (const event of model.generate({ prompt: 'Fellow citizens', maxTokens: 8, temperature: 0 }) as AsyncIterable<GenerateEvent>) if (event.type === 'token') text += event.text
await model.close()
console.log(JSON.stringify({ executor: model.info.executor, text, error: VeritError.name }))
`)
    const { executor, text } = JSON.parse(run(process.execPath, 'use.ts')) as { executor: string; text: string }
    assert.match(executor, /^native /)
    assert.ok(text.length > 8)
    const tsc = join(root, 'node_modules/.bin/tsc')
    run(tsc, '--noEmit', '--strict', '--module', 'nodenext', '--target', 'esnext', '--types', 'node', '--typeRoots', join(root, 'node_modules/@types'), 'use.ts')
    assert.match(run('npx', 'verit', '--version'), /^\d+\.\d+\.\d+\n$/)
    assert.ok(run('npx', 'verit', 'generate', '--max-tokens', '8', '--temperature', '0', 'Fellow citizens').includes(text.trim()))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
