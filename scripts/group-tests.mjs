/**
 * Writes build/tests/GROUP.test.mjs. Each of them imports many test files, so that one process runs them: starting
 * Node and loading the test runner and the modules under test costs a second a file, most unit tests milliseconds.
 * A file keeps a process of its own when it says `// own process: WHY`, or when it starts processes. Prints these
 * files, for `node --test`:
 *   node scripts/group-tests.mjs > build/own-process.txt
 *   node --test build/tests/*.test.mjs $(cat build/own-process.txt)
 * Each file is a suite of its group: its hooks hold for its own tests, and a failure names it.
 * Files that say `// long: WHY` are left out; --long prints them alone, and writes no group (npm run test:long).
 */
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const out = join(root, 'build/tests')

/** Most files of a group: more would make the longest process longer than the rest of the tests. */
const MOST = 24

/** By folder; groups of many files are divided. */
const GROUPS = {
  base: /^src\/(lib|formats|weights|ops|exec|graph|tokenizer|data|client|trust)\//,
  server: /^src\/(store|audit|watch|server|hub|doctor|runner)\//,
  models: /^src\/(arch|model|sampler|engine|bench|train|eval|cli)\//,
  whole: /^test\//
}

const OWN = /^\/\/ own process: \S|from 'node:child_process'|\/served\.ts'|\/target\.ts'|\/cli\.ts'|\/hub-server\.ts'/m

function testsIn(folder) {
  return readdirSync(join(root, folder), { recursive: folder === 'src', encoding: 'utf8' })
    .filter(name => name.endsWith('.test.ts'))
    .map(name => `${folder}/${name}`)
}

const says = (file, what) => what.test(readFileSync(join(root, file), 'utf8'))
const all = ['src', 'test', 'test/attacks'].flatMap(testsIn).sort()
const long = all.filter(file => says(file, /^\/\/ long: \S/m))
if (process.argv.includes('--long')) {
  process.stdout.write(`${long.join('\n')}\n`)
  process.exit()
}
const files = all.filter(file => !long.includes(file))
const own = files.filter(file => says(file, OWN))

rmSync(out, { recursive: true, force: true })
mkdirSync(out, { recursive: true })
const grouped = new Set(own)
for (const [group, pattern] of Object.entries(GROUPS)) {
  const members = files.filter(file => pattern.test(file) && !grouped.has(file))
  for (const file of members) grouped.add(file)
  const parts = Math.ceil(members.length / MOST)
  for (let part = 0; part < parts; part++) {
    // Files of one folder weigh alike, so each part takes some of each.
    const suites = members
      .filter((_, i) => i % parts === part)
      .map(file => {
        const url = pathToFileURL(join(root, file)).href
        return `describe(${JSON.stringify(file)}, async () => void await import(${JSON.stringify(url)}))`
      })
    const lines = [`import { describe } from 'node:test'`, '', ...suites]
    writeFileSync(join(out, `${group}-${part}.test.mjs`), `${lines.join('\n')}\n`)
  }
}
const forgotten = files.filter(file => !grouped.has(file))
if (forgotten.length > 0) throw new Error(`no group takes ${forgotten.join(', ')}`)
process.stdout.write(`${own.join('\n')}\n`)
