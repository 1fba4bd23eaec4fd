/** Opens the model to convert: a GGUF file, a checkpoint, or a Hugging Face folder with its tokenizer. */
import { existsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { isFirstPart, openParts } from '../formats/gguf-parts.ts'
import { GgufFile } from '../formats/gguf-reader.ts'
import { VeritError } from '../lib/errors.ts'
import { kindOfFile } from '../lib/file-kind.ts'
import { openRegular } from '../lib/regular-file.ts'
import { isRunFolder } from '../lib/run-files.ts'
import type { ConversationOverrides } from '../model/conversation.ts'
import { ggufClaims } from '../model/gguf-conversation.ts'
import { PRETOKENIZER, readTokenizer, textTokenizerEntries } from '../model/gguf-tokenizer.ts'
import { HfSource } from '../model/hf-source.ts'
import type { FolderTokenizer } from '../model/hf-source.ts'
import { ggufSource } from '../model/model-source.ts'
import type { ModelSource } from '../model/model-source.ts'
import { openCheckpointWeights } from '../model/torch-checkpoint.ts'
import { loadTextTokenizer } from '../tokenizer/load-tokenizer.ts'
import { readSentencePieceModel } from '../tokenizer/sentencepiece-model.ts'
import { SentencePieceTokenizer } from '../tokenizer/sentencepiece.ts'
import { checkTokenizerKind, formatOf } from './file-format.ts'
import { openModelFile } from './open-model-file.ts'

/** A source, and whether it is a folder. Close it after use. */
export interface OpenSource extends Disposable {
  readonly source: ModelSource
  readonly folder: boolean
}

/**
 * @param tokenizer file of a folder's tokenizer. Default: the folder's own
 * @throws VeritError VERIT_USAGE, and those of reading the model
 */
export async function openSource(
  model: string,
  tokenizer: string | undefined,
  overrides: ConversationOverrides
): Promise<OpenSource> {
  const folder = existsSync(model) && statSync(model).isDirectory() && !isRunFolder(model)
  if (!folder && isTorchFile(model)) {
    const source = openCheckpoint(model, tokenizer, overrides)
    return { source, folder: true, [Symbol.dispose]: () => source[Symbol.dispose]() }
  }
  if (tokenizer !== undefined && !folder)
    throw new VeritError('VERIT_USAGE', {
      problem: '--tokenizer is for folders and checkpoints of PyTorch',
      hint: 'A GGUF file has its tokenizer: leave the option out'
    })
  if (folder) {
    const source = openFolder(model, tokenizer, overrides)
    return { source, folder, [Symbol.dispose]: () => source[Symbol.dispose]() }
  }
  const file = isFirstPart(model) ? openParts(model) : await openFile(model)
  try {
    return { source: ggufSource(file, overrides), folder, [Symbol.dispose]: () => file.close() }
  } catch (e) {
    file.close()
    throw e
  }
}

async function openFile(model: string): Promise<GgufFile> {
  const file = await openModelFile(model, 'the model to convert')
  try {
    return new GgufFile(file)
  } catch (e) {
    file.close()
    throw e
  }
}

function openFolder(model: string, tokenizer: string | undefined, overrides: ConversationOverrides): HfSource {
  if (!existsSync(join(model, 'config.json'))) {
    throw new VeritError('VERIT_USAGE', {
      problem: `${model} is not a Hugging Face model folder: it has no config.json`,
      hint: 'Name one, or a .gguf file'
    })
  }
  return new HfSource(model, folderTokenizer(model, tokenizer), overrides)
}

/** Whether a file holds weights of PyTorch, by its content. */
function isTorchFile(path: string): boolean {
  if (!existsSync(path) || !statSync(path).isFile()) return false
  using file = openRegular(path, 'the model to convert')
  const { kind } = kindOfFile(file)
  return kind === 'pytorch' || kind === 'pickle'
}

/** A checkpoint of PyTorch. Its tokenizer is the one that is named, or that is beside it. */
function openCheckpoint(model: string, tokenizer: string | undefined, overrides: ConversationOverrides): HfSource {
  const weights = openCheckpointWeights(model)
  try {
    return new HfSource(weights, folderTokenizer(dirname(model), tokenizer), overrides)
  } catch (e) {
    for (const file of weights.files) file[Symbol.dispose]()
    throw e
  }
}

/** Files of a folder that hold its tokenizer, in order of preference. */
const TOKENIZERS = ['tokenizer.json', 'tokenizer.model']

/**
 * The tokenizer of a folder.
 * @throws VeritError VERIT_FILE_NOT_FOUND, VERIT_TOKENIZER_FILE, VERIT_USAGE for another kind of file
 */
function folderTokenizer(folder: string, named: string | undefined): FolderTokenizer {
  const own = TOKENIZERS.map(name => join(folder, name)).find(path => existsSync(path))
  const path = named ?? own
  if (path === undefined) {
    throw new VeritError('VERIT_USAGE', {
      problem: `${folder} has no tokenizer.json and no tokenizer.model`,
      hint: 'Name one, or a .gguf file with the same tokenizer, with --tokenizer'
    })
  }
  using source = openRegular(path, 'the tokenizer')
  const format = formatOf(source)
  checkTokenizerKind(source, format)
  if (format === 'gguf') {
    const { metadata } = new GgufFile(source)
    const tokenizer = readTokenizer(path, metadata)
    return {
      entries: [...metadata.entries].filter(([key]) => key.startsWith('tokenizer.') || key === PRETOKENIZER),
      tokenizer,
      claims: ggufClaims(metadata, tokenizer)
    }
  }
  if (format === 'tokenizer.json') {
    const tokenizer = loadTextTokenizer(path)
    return { entries: textTokenizerEntries(tokenizer), tokenizer }
  }
  if (format === 'SentencePiece model') {
    const tokenizer = new SentencePieceTokenizer(readSentencePieceModel(source).parts, path)
    return { entries: textTokenizerEntries(tokenizer), tokenizer }
  }
  throw new VeritError('VERIT_USAGE', {
    problem: `${path} is a ${format}`,
    hint: 'Give a tokenizer.json or a .gguf file'
  })
}
