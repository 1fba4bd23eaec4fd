/** The links of the documents: each file and each heading that one names is there, and the index names every page. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const pages = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
  .filter(path => path.endsWith('.md') && !path.includes('node_modules'))
  .map(path => join('docs', path))
const documents = [...pages, ...readdirSync(root).filter(path => path.endsWith('.md'))]

/** Without blocks of code and code in a line, where brackets are no links. */
const prose = (text: string): string => text.replaceAll(/^```.*?^```/gms, '').replaceAll(/`[^`\n]*`/g, '')

/** The names of headings in links, as GitHub and VitePress make them. */
function anchors(text: string): Set<string> {
  const names = new Map<string, number>()
  const all = new Set<string>()
  const headings = text.replaceAll(/^```.*?^```/gms, '').matchAll(/^#{1,6} +(.+?) *$/gm)
  for (const [, heading] of headings) {
    const name = heading!
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\- _]/gu, '')
      .replaceAll(' ', '-')
    const seen = names.get(name) ?? 0
    names.set(name, seen + 1)
    all.add(seen === 0 ? name : `${name}-${seen}`)
  }
  for (const [, id] of text.matchAll(/<a (?:id|name)="([^"]+)"/g)) all.add(id!)
  return all
}

test('each link of a document leads to a file and a heading that exist', () => {
  const broken: string[] = []
  for (const document of documents) {
    const text = readFileSync(join(root, document), 'utf8')
    for (const [, target] of prose(text).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target!)) continue
      const [path, anchor] = target!.split('#') as [string, string?]
      const file = path === '' ? document : normalize(join(dirname(document), path))
      if (!existsSync(join(root, file))) broken.push(`${document}: ${target}`)
      else if (anchor !== undefined && file.endsWith('.md')) {
        if (!anchors(readFileSync(join(root, file), 'utf8')).has(anchor)) broken.push(`${document}: ${target}`)
      }
    }
  }
  assert.deepEqual(broken, [])
})

test('the index links every page', () => {
  const index = readFileSync(join(root, 'docs/index.md'), 'utf8')
  const linked = new Set([...index.matchAll(/\]\(([^)#\s]+)/g)].map(([, path]) => path))
  const missing = pages.map(page => relative('docs', page)).filter(page => page !== 'index.md' && !linked.has(page))
  assert.deepEqual(missing, [])
})
