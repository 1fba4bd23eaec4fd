/** The documentation site builds without a broken link, and the library reference is that of the docstrings. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'node:test'

const root = fileURLToPath(new URL('../..', import.meta.url))

test('npm run docs builds every page, finds no broken link and no exported name without a docstring', () => {
  const build = spawnSync(process.execPath, ['tools/docs/build.mjs', '--check'], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1' }
  })
  assert.equal(build.status, 0, build.stdout + build.stderr)
  const pages = readdirSync(`${root}/build/site/docs`, { recursive: true, encoding: 'utf8' })
  assert.ok(pages.filter(path => path.endsWith('.html')).length > 30)
  assert.ok(existsSync(`${root}/build/site/index.html`))
})
