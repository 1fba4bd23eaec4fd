/**
 * Looks for everything that keeps a GGUF file from being run, where loading stops at the first: its structure, its
 * configuration, its tokenizer, its list of tensors, and every value in them.
 */
import { checkGguf } from '../formats/gguf-header.ts'
import { GgufFile } from '../formats/gguf-reader.ts'
import type { VeritError } from '../lib/errors.ts'
import type { Problem, ProblemList } from '../lib/problem-list.ts'
import type { RegularFile } from '../lib/regular-file.ts'
import { ggufName, readConfig } from './gguf-config.ts'
import { readTokenizer } from './gguf-tokenizer.ts'
import { checkValues, checkVocabulary, tensorFaults } from './load-gguf.ts'
import { parametersOf } from './parameters.ts'

/** The text of an error without the name of the file, and its byte if it has one. */
function described(e: VeritError): Problem {
  const { problem, offset, fix } = e.fields as { problem?: string; offset?: number; fix?: string }
  return {
    problem: fix === undefined ? (problem ?? e.what) : `${problem}. ${fix}`,
    ...(offset !== undefined && { offset })
  }
}

/**
 * @param found collects the problems; none for a file that `loadModel` would load
 * @param onProgress receives the checked bytes of tensors
 * @returns the file, if its structure is sound
 */
export async function examineGguf(
  source: RegularFile,
  found: ProblemList,
  onProgress: (bytes: number) => void = () => {}
): Promise<GgufFile | undefined> {
  await found.attempt(() => checkGguf(source, found), described)
  if (!found.none) return undefined // what is read wrongly cannot be judged further
  const file = new GgufFile(source)
  const tokenizer = await found.attempt(() => readTokenizer(file.name, file.metadata), described)
  const config = await found.attempt(() => readConfig(file), described)
  if (config === undefined) return file
  if (tokenizer !== undefined) await found.attempt(() => checkVocabulary(file, tokenizer, config), described)
  const parameters = parametersOf(config)
  for (const fault of tensorFaults(file, config, parameters)) {
    const { problem, offset } = described(fault)
    found.add(problem, offset)
  }
  let done = 0
  for (const p of parameters) {
    const name = ggufName(config, p.name)
    if (!file.has(name) || file.tensor(name).shape.join() !== p.shape.join()) continue
    const { offset, byteLength } = file.tensor(name)
    await found.attempt(
      () => checkValues(file, config, p),
      e => {
        const { problem } = described(e)
        return { problem: e.code === 'VERIT_TENSOR' ? `tensor ${name}: ${problem}` : problem, offset }
      }
    )
    onProgress((done += byteLength))
  }
  return file
}
