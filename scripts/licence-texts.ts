/**
 * The licences of the packages whose code is in dist/vendor/ and of Node's headers, as those licences ask for: name,
 * version and whole text of each.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Lock } from './sbom.ts'

const README = /^readme(\.(md|txt|markdown))?$/i
const FILE = /^(licen[cs]e|copying|notice)(\.(md|txt))?$/i

/** A few packages have their licence in their README, under a heading of its own. */
function licenceInReadme(folder: string): string[] {
  const readme = readdirSync(folder).find(file => README.test(file))
  const text = readme === undefined ? '' : readFileSync(join(folder, readme), 'utf8').replaceAll('\r\n', '\n')
  const section = /^(?:#+ *licen[cs]e[^\n]*|licen[cs]e *\n[-=]+)\n([^]*?)(?=\n#|$(?![^]))/im.exec(text)?.[1]?.trim()
  return section === undefined || section === '' ? [] : [section]
}

/** @param places in node_modules */
export function licenceTexts(root: string, lock: Lock, places: readonly string[]): string {
  const sections = places.toSorted().map(place => {
    const { version, license } = lock[place]!
    const name = place.slice(place.lastIndexOf('node_modules/') + 13)
    const files = readdirSync(join(root, place))
      .filter(file => FILE.test(file))
      .toSorted()
    const own = files.map(file =>
      readFileSync(join(root, place, file), 'utf8')
        .replaceAll('\r\n', '\n')
        .trim()
    )
    const texts = own.length > 0 ? own : licenceInReadme(join(root, place))
    return [`${name} ${version} (${license})`, ...texts].join('\n\n').concat('\n')
  })
  const head = 'Code of these packages is part of Verit, or was used to build its kernels.\n'
  return [head, ...sections].join(`\n${'-'.repeat(80)}\n\n`)
}
