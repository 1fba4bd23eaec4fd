/**
 * The commands of `verit`, in the order of `verit --help`. A summary stands here as well as in the command's own
 * file, so that the list needs none of those files; a test keeps the two equal.
 */
import type { Command } from 'commander'

export interface Entry {
  readonly summary: string
  readonly load: () => Promise<{ command: () => Command }>
}

/** Those that lock themselves before they read a model (lock-command.ts). */
export const lockedCommands: readonly string[] = ['eval', 'generate', 'chat', 'bench', 'tune']

export const commands: Readonly<Record<string, Entry>> = {
  prepare: {
    summary: 'text files to a dataset: clean, deduplicate, split, tokenize',
    load: () => import('./prepare.ts')
  },
  tokenizer: { summary: 'train a tokenizer, encode and decode', load: () => import('./tokenizer.ts') },
  train: { summary: 'train a model from scratch', load: () => import('./train.ts') },
  eval: { summary: 'loss, perplexity and bits per byte of a model', load: () => import('./eval.ts') },
  compare: { summary: 'training runs side by side', load: () => import('./compare.ts') },
  generate: { summary: 'continue a text', load: () => import('./generate.ts') },
  chat: { summary: 'talk with a model', load: () => import('./chat.ts') },
  serve: { summary: "serve a model over HTTP with OpenAI's API", load: () => import('./serve.ts') },
  keys: { summary: 'create, list, show, rotate, change and revoke API keys', load: () => import('./keys.ts') },
  call: { summary: 'send a (signed) request to a server', load: () => import('./call.ts') },
  audit: { summary: 'read, prove and verify the audit log', load: () => import('./audit.ts') },
  model: { summary: 'sign models, verify their signatures, say which are trusted', load: () => import('./model.ts') },
  inspect: {
    summary: 'what is in a GGUF, safetensors or SentencePiece file, and what is wrong with it',
    load: () => import('./inspect.ts')
  },
  pull: { summary: 'fetch a model, check it and keep it', load: () => import('./pull.ts') },
  push: { summary: 'send an own model and its signature to a hub or an address', load: () => import('./push.ts') },
  models: { summary: 'list and remove pulled models', load: () => import('./models.ts') },
  doctor: {
    summary: "look for what is wrong or weak in a server's setting, and say how to mend it",
    load: () => import('./doctor.ts')
  },
  convert: {
    summary: 'write a model as GGUF with other types of weights or other chat settings',
    load: () => import('./convert.ts')
  },
  bench: { summary: 'measure the speed of a model here', load: () => import('./bench.ts') },
  tune: { summary: 'find the settings that are fastest here', load: () => import('./tune.ts') }
}
