/**
 * Writes the library reference and builds the documentation site: `npm run docs`.
 *
 *     node tools/docs/build.mjs            # docs/reference/library.md and client.md, then build/site
 *     node tools/docs/build.mjs --check    # compares the two pages, then builds the site all the same
 *
 * An exported name without a docstring and a broken link are errors.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
const root = join(here, '../..')
const check = process.argv.includes('--check')

function run(command, ...args) {
  const { status } = spawnSync(command, args, { cwd: here, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

/** A page of typedoc's under the title and the purpose of ours. */
function page(name, title, purpose) {
  const text = readFileSync(join(root, 'build/docs/api', name), 'utf8').replaceAll('](index.md#', '](library.md#')
  // The plugin numbers a heading that it sees twice, though the page has it once.
  const headings = [...text.matchAll(/^#+ (\w+)$/gm)].map(([, heading]) => heading.toLowerCase())
  const once = heading => headings.filter(other => other === heading).length === 1
  const linked = text.replaceAll(/\]\(#(\w+)-1\)/g, (link, heading) => (once(heading) ? `](#${heading})` : link))
  const [, ...body] = linked.split('\n')
  return `# ${title}\n\n${purpose} Made from the docstrings by \`npm run docs\`.\n${body.join('\n').trimEnd()}\n`
}

function place(path, text) {
  const file = join(root, path)
  if (!check) writeFileSync(file, text)
  else if (!existsSync(file) || readFileSync(file, 'utf8') !== text) {
    process.stderr.write(`${path} is out of date: run npm run docs\n`)
    process.exitCode = 1
  }
}

if (!existsSync(join(here, 'node_modules'))) run('npm', 'ci', '--no-audit', '--no-fund')
run(join(here, 'node_modules/.bin/typedoc'), '--treatWarningsAsErrors')
place(
  'docs/reference/library.md',
  page('index.md', 'Library API', "For TypeScript developers: everything that `import { ... } from 'verit'` exports.")
)
place(
  'docs/reference/client.md',
  page('client.md', 'Client API', "For programs that sign requests: everything that `import { ... } from 'verit/client'` exports.")
)

const pages = join(here, 'pages')
rmSync(pages, { recursive: true, force: true })
mkdirSync(pages)
cpSync(join(root, 'docs'), join(pages, 'docs'), { recursive: true })
for (const name of readdirSync(root)) if (name.endsWith('.md')) cpSync(join(root, name), join(pages, name))
run(join(here, 'node_modules/.bin/vitepress'), 'build', '.')
