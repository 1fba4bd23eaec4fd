/** The TypeScript examples of the library in README.md and the guide run as they are written. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = new URL('../', import.meta.url)
const library = new URL('src/index.ts', root).href
const model = fileURLToPath(new URL('models/verit-sotu.gguf', root))

/** Blocks of TypeScript; one that needs a loaded model and loads none gets the first lines of the page. */
function examples(page: string): string[] {
  const blocks = [...readFileSync(new URL(page, root), 'utf8').matchAll(/^```ts\n(.*?)^```/gms)].map(
    ([, code]) => code!
  )
  return blocks.map(code =>
    /\bmodel\./.test(code) && !code.includes('loadModel')
      ? `import { loadModel } from 'verit'\nawait using model = await loadModel('model.gguf')\n${code}`
      : code
  )
}

for (const page of ['README.md', 'docs/guide/library.md']) {
  test(`the examples of ${page} run`, () => {
    const found = examples(page)
    assert.ok(found.length > 0)
    const folder = mkdtempSync(join(tmpdir(), 'verit-examples-'))
    try {
      for (const [i, code] of found.entries()) {
        const file = join(folder, `example-${i}.ts`)
        writeFileSync(file, code.replaceAll("'verit'", `'${library}'`).replaceAll("'model.gguf'", `'${model}'`))
        const { status, stderr, stdout } = spawnSync(process.execPath, [file], { encoding: 'utf8', timeout: 60_000 })
        assert.equal(status, 0, `${code}\n${stderr}`)
        assert.ok(stdout.length + stderr.length > 0, code)
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
}
