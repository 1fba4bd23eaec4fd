/**
 * Writes docs/reference/cli.md and man/verit.1 from the commands themselves: `node scripts/cli-docs.ts`. With --check
 * it only compares.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { commandTree } from '../src/cli/command-tree.ts'
import type { CommandNode, OptionNode } from '../src/cli/command-tree.ts'

// Defaults that these set would be those of this machine.
delete process.env['XDG_STATE_HOME']
delete process.env['VERIT_MODELS']

const PAGES = {
  markdown: fileURLToPath(new URL('../docs/reference/cli.md', import.meta.url)),
  man: fileURLToPath(new URL('../man/verit.1', import.meta.url))
}

/** Defaults that name the home folder of whoever runs this are shown with ~. */
const withoutHome = (text: string): string => text.replaceAll(homedir(), '~')

const cell = (text: string): string => text.replaceAll('|', String.raw`\|`).replaceAll('<', '&lt;')

/** The command lines under "Examples:" of the help. */
function examples(node: CommandNode): string {
  const [, text] = /\nExamples:\n(.*)$/s.exec(node.help) ?? []
  const lines = (text ?? '').split('\n').filter(line => line.startsWith('  '))
  return lines.map(line => `    ${line.trimStart()}\n`).join('')
}

function optionRow(o: OptionNode): string {
  const choices = o.choices.length > 0 ? `; one of ${o.choices.map(c => `\`${c}\``).join(', ')}` : ''
  const value = o.default === undefined ? '' : `\`${withoutHome(o.default)}\``
  return `| \`${o.flags.replaceAll('|', String.raw`\|`)}\` | ${cell(o.description)}${choices} | ${value} |`
}

function section(node: CommandNode, path: string, depth: number): string {
  const heading = `${'#'.repeat(depth)} ${path}\n\n${cell(node.description)}\n\n    ${path} ${node.usage}\n`
  const lines = examples(node)
  const code = lines === '' ? '' : `\nExamples:\n\n${lines}`
  const given = node.arguments.filter(a => a.description !== '')
  const rows = given.map(a => `| \`${a.name}\` | ${cell(a.description)} |\n`).join('')
  const argumentTable = rows === '' ? '' : `\n| argument | meaning |\n|---|---|\n${rows}`
  const options = node.options.map(optionRow).join('\n')
  const optionTable = options === '' ? '' : `\n| option | meaning | default |\n|---|---|---|\n${options}\n`
  const below = node.commands.map(each => `\n${section(each, `${path} ${each.name}`, depth + 1)}`).join('')
  return `${heading}${argumentTable}${optionTable}${code}${below}`
}

/** The text of docs/reference/cli.md. */
export function cliPage(tree: readonly CommandNode[]): string {
  const list = tree.map(c => `| [\`verit ${c.name}\`](#verit-${c.name}) | ${c.summary} |\n`).join('')
  return `# Command line

For everyone who uses \`verit\`. Every command and option, made from the code by \`node scripts/cli-docs.ts\`.

In a checkout, type \`npm run verit --\` instead of \`verit\`. Exit status: 0 success, 1 failure, 2 wrong usage, 128 plus
the number of the signal after a signal. \`verit --version\` shows the version and the build. Verit uses no colours, so
\`NO_COLOR\` has nothing to change.

| command | purpose |
|---|---|
${list}
${tree.map(c => section(c, `verit ${c.name}`, 2)).join('\n')}`
}

const roff = (text: string): string =>
  withoutHome(text)
    .replaceAll('\\', String.raw`\e`)
    .replaceAll('-', String.raw`\-`)
    .replaceAll(/^([.'])/gm, String.raw`\&$1`)

function manSection(node: CommandNode, path: string): string {
  const options = node.options.map(o => {
    const value = o.default === undefined ? '' : `; default: ${o.default}`
    const choices = o.choices.length > 0 ? `; one of ${o.choices.join(', ')}` : ''
    return `.TP\n.B ${roff(o.flags)}\n${roff(o.description + choices + value)}\n`
  })
  const below = node.commands.map(each => manSection(each, `${path} ${each.name}`))
  const usage = `.SS ${roff(`${path} ${node.usage}`)}\n${roff(node.description)}\n`
  return `${usage}${options.join('')}${below.join('')}`
}

/** The text of man/verit.1, in the man macros of roff. */
export function manPage(tree: readonly CommandNode[]): string {
  const list = tree.map(c => `.TP\n.B verit ${roff(c.name)}\n${roff(c.summary)}\n`).join('')
  return `.\\" Made by scripts/cli-docs.ts; do not edit.
.TH VERIT 1
.SH NAME
verit \\- train, verify and serve small language models on CPUs
.SH SYNOPSIS
.B verit
.I command
.RI [ options ]
.SH DESCRIPTION
${list}.SH COMMANDS
${tree.map(c => manSection(c, `verit ${c.name}`)).join('')}.SH EXIT STATUS
0 success, 1 failure, 2 wrong usage, 128 plus the number of the signal after a signal.
.SH SEE ALSO
The folder docs of the package, beginning with docs/index.md.
`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const tree = await commandTree()
  const texts = { markdown: cliPage(tree), man: manPage(tree) }
  for (const kind of ['markdown', 'man'] as const) {
    if (process.argv.includes('--check') && readFileSync(PAGES[kind], 'utf8') !== texts[kind]) {
      process.stderr.write(`${PAGES[kind]} is out of date: run node scripts/cli-docs.ts\n`)
      process.exitCode = 1
    } else if (!process.argv.includes('--check')) writeFileSync(PAGES[kind], texts[kind])
  }
}
