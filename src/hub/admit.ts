/**
 * The check between quarantine and store, on the descriptor that was downloaded to: digest first, then the structure of
 * the formats that are known. A file of another kind is kept by its digest alone; nothing here runs or unpacks it.
 */
import { GgufFile } from '../formats/gguf-reader.ts'
import { parseSafetensorsHeader } from '../formats/safetensors-header.ts'
import { RegularFile } from '../lib/regular-file.ts'
import { digestDescriptor } from '../trust/digest.ts'
import type { Digest } from '../trust/digest.ts'

/**
 * @param name of the file in errors; its ending or first bytes decide the format @throws VeritError VERIT_GGUF,
 *   VERIT_SAFETENSORS, VERIT_FILE_IO
 */
export function admit(fd: number, name: string): void {
  const file = new RegularFile(fd, name, false)
  const magic = Buffer.alloc(Math.min(4, file.size))
  file.read(0, magic)
  if (/\.gguf$/i.test(name) || magic.toString('latin1') === 'GGUF') void new GgufFile(file)
  else if (/\.safetensors$/i.test(name)) parseSafetensorsHeader(file)
}

/** The digest of the descriptor's current content. */
export function digestOf(
  fd: number,
  name: string,
  onProgress?: (done: number, total: number) => void
): Promise<Digest> {
  return digestDescriptor(fd, name, onProgress === undefined ? {} : { onProgress })
}
