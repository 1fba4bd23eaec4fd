/**
 * Writes docs/reference/errors.md from the one table in src/lib/error-table.ts: `node scripts/error-docs.ts`. With
 * --check it only says whether the page is current. The fields of a message appear as <name>.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { errorTable } from '../src/lib/error-table.ts'

const file = new URL('../docs/reference/errors.md', import.meta.url)

/** Fields that replace other words where they are there. */
const OPTIONAL = new Set<string | symbol>(['instead'])
/** Fields that print as their own names, however a message uses them. */
const fields: object = new Proxy({}, { get: (_, name) => (OPTIONAL.has(name) ? undefined : placeholder(String(name))) })
function placeholder(name: string): unknown {
  return new Proxy(() => '', {
    get: (_, key) => {
      if ([Symbol.toPrimitive, 'toString', 'toJSON', 'join'].includes(key)) return () => `<${name}>`
      return key === 'length' ? 0 : placeholder(name)
    },
    apply: () => placeholder(name)
  })
}

type Words = (fields: never) => string

export function errorPage(): string {
  const rows = Object.entries(errorTable).map(([code, row]) => {
    const r = row as Record<'what' | 'next', Words> & { overHttp?: Words; status?: number; exit?: number }
    const overHttp = r.overHttp === undefined ? '' : ` Over HTTP: ${r.overHttp(fields as never)}.`
    const text = `${r.what(fields as never)}.\n\n${r.next(fields as never)}.${overHttp}`
    // In a message a path is quoted where a shell needs it; the placeholder is none.
    const shown = text.replaceAll(/'(?:\.\/)?(<\w+>)'/g, '$1')
    return `## ${code}\n\n${shown} HTTP ${r.status ?? 500}, exit status ${r.exit ?? 1}.\n`
  })
  return (
    `# Errors\n\nEvery error Verit raises on purpose, by its stable code: what is wrong, what to do next, ` +
    `the HTTP status and the exit status of the command.\nMade from \`src/lib/error-table.ts\` by \`node ` +
    `scripts/error-docs.ts\`.\n\n${rows.join('\n')}`
  )
}

if (import.meta.main) {
  const page = errorPage()
  if (process.argv.includes('--check')) process.exitCode = readFileSync(file, 'utf8') === page ? 0 : 1
  else writeFileSync(file, page)
}
