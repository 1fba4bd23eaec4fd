/**
 * The configuration of a model: it fixes the shapes of its parameters and the sequence of its operations. It is stored
 * in checkpoints, training records and GGUF files, so every field from outside passes `parseModelConfig`. Architectures
 * are described in src/arch.
 */
export type { ModelConfig } from '../arch/architecture.ts'
export type { BitnetConfig } from '../arch/bitnet.ts'
export type { GptConfig } from '../arch/gpt.ts'
export { architecture, parseModelConfig, trainableKinds } from '../arch/registry.ts'
