/**
 * The commands of `verit`, in the order of `verit --help`. A summary is repeated here from the command's own file, so
 * that the list loads none of those files. A test compares them.
 */
import type { Command } from 'commander'

export interface Entry {
  readonly summary: string
  readonly load: () => Promise<{ command: () => Command }>
}

/** Those that lock themselves before they read a model (lock-command.ts). */
export const lockedCommands: readonly string[] = ['eval', 'generate', 'chat', 'embed', 'bench', 'tune']

export const commands: Readonly<Record<string, Entry>> = {
  prepare: {
    summary: 'clean, deduplicate, split and tokenize text files into a dataset',
    load: () => import('./prepare.ts')
  },
  tokenizer: { summary: 'train a tokenizer; encode and decode text', load: () => import('./tokenizer.ts') },
  train: { summary: 'train a model from scratch', load: () => import('./train.ts') },
  eval: { summary: 'loss, perplexity and task scores of a model', load: () => import('./eval.ts') },
  compare: { summary: 'compare training runs', load: () => import('./compare.ts') },
  generate: { summary: 'continue a text', load: () => import('./generate.ts') },
  chat: { summary: 'chat with a model', load: () => import('./chat.ts') },
  embed: { summary: 'turn texts into vectors, or rank documents for a query', load: () => import('./embed.ts') },
  serve: { summary: "serve a model over HTTP with OpenAI's API", load: () => import('./serve.ts') },
  keys: { summary: 'create, list, show, rotate, change and revoke API keys', load: () => import('./keys.ts') },
  call: { summary: 'send a request to a server, signed if you like', load: () => import('./call.ts') },
  audit: { summary: 'read, prove and verify the audit log', load: () => import('./audit.ts') },
  model: { summary: 'sign models, verify signatures, manage trusted models', load: () => import('./model.ts') },
  inspect: {
    summary: 'show what a model file or folder is, and its problems',
    load: () => import('./inspect.ts')
  },
  pull: { summary: 'download a model, verify it and store it', load: () => import('./pull.ts') },
  push: { summary: 'upload a model and its signature to a hub or an address', load: () => import('./push.ts') },
  models: { summary: 'list and remove pulled models', load: () => import('./models.ts') },
  doctor: {
    summary: "find problems and weaknesses of a server's setup, with their fixes",
    load: () => import('./doctor.ts')
  },
  convert: {
    summary: 'convert and quantise models: GGUF, Hugging Face, PyTorch, ONNX',
    load: () => import('./convert.ts')
  },
  bench: { summary: 'measure the speed of a model here', load: () => import('./bench.ts') },
  tune: { summary: 'find the fastest settings for this machine', load: () => import('./tune.ts') },
  completion: { summary: 'print a script for shell completion', load: () => import('./completion.ts') }
}
