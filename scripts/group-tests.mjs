/**
 * Writes build/tests/GROUP.test.mjs: each imports many test files, so that one process runs them. Starting Node, its test
 * runner and the modules under test costs a second a file, most unit tests a few milliseconds.
 * A file keeps its own process when it says `// own process: WHY`, or starts processes (it imports node:child_process).
 *   node scripts/group-tests.mjs [--list]     --list prints the files that keep their own process, for `node --test`
 */
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const out = join(root, 'build/tests')

/** Groups of about equal weight, by folder. */
const GROUPS = {
  base: /^src\/(lib|formats|ops|exec|graph|tokenizer|data|client|trust)\//,
  server: /^src\/(store|audit|watch|server|hub|doctor|runner)\//,
  models: /^src\/(model|engine|train|eval|cli)\//,
  whole: /^test\//,
}

const files = ['src', 'test', 'test/attacks'].flatMap(folder => readdirSync(join(root, folder), { recursive: folder === 'src', encoding: 'utf8' })
  .filter(name => name.endsWith('.test.ts') && !name.includes('node_modules')).map(name => `${folder}/${name}`)).sort()

const alone = file => /^\/\/ own process: \S|from 'node:child_process'|\/served\.ts'|\/target\.ts'|\/cli\.ts'/m.test(readFileSync(join(root, file), 'utf8'))

rmSync(out, { recursive: true, force: true })
mkdirSync(out, { recursive: true })
const own = files.filter(alone)
for (const [group, pattern] of Object.entries(GROUPS)) {
  const members = files.filter(file => pattern.test(file) && !own.includes(file))
  const lines = members.map(file => `import ${JSON.stringify(relative(out, join(root, file)))}`)
  writeFileSync(join(out, `${group}.test.mjs`), `${lines.join('\n')}\n`)
}
const ungrouped = files.filter(file => !own.includes(file) && !Object.values(GROUPS).some(pattern => pattern.test(file)))
if (ungrouped.length > 0) throw new Error(`no group takes ${ungrouped.join(', ')}`)
process.stdout.write(`${own.join('\n')}\n`)
