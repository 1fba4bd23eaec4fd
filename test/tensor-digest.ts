/** One digest of all tensors of a GGUF file, whatever their order: names, types, shapes and bytes. */
import { createHash } from 'node:crypto'
import type { GgufFile } from '../src/formats/gguf-reader.ts'

export function tensorDigest(file: GgufFile): string {
  const lines = file.tensors.map(
    ({ name, type, shape }) =>
      `${name} ${type} ${shape.join('x')} ${createHash('sha256').update(file.readTensor(name)).digest('hex')}\n`
  )
  return createHash('sha256').update(lines.sort().join('')).digest('hex')
}
