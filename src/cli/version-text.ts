/** The answer of `verit --version`: version and build. */
import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { kernelFiles, PLATFORM } from '../exec/kernel-files.ts'
import { addon } from '../exec/native.ts'
import { runsFromSource } from '../lib/package-root.ts'
import { ARITHMETIC_CONTRACT, VERSION } from '../lib/version.ts'

/** Several lines, the first one `verit VERSION`. Never throws: a file that cannot be read is named as such. */
export function versionText(): string {
  const [kernels] = kernelFiles()
  const sets = [...(addon()?.instructionSets ?? []), 'reference']
  const rows = [
    ['arithmetic contract', String(ARITHMETIC_CONTRACT)],
    ['kernels', kernels === undefined ? `none for ${PLATFORM}` : `${PLATFORM}, sha256 ${shortDigest(kernels)}`],
    ['instruction sets', sets.join(', ')],
    ['node', process.versions.node],
    ['source', runsFromSource ? 'source files' : 'package']
  ] as const
  const width = Math.max(...rows.map(([name]) => name.length)) + 2
  return [`verit ${VERSION}`, ...rows.map(([name, value]) => `  ${name.padEnd(width)}${value}`)].join('\n')
}

function shortDigest(file: string): string {
  try {
    return hash('sha256', readFileSync(file)).slice(0, 16)
  } catch {
    return 'unknown: the file cannot be read'
  }
}
