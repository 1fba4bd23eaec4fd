/** Named training runs: a model shape and the options that suit it. Everything in them can be overridden. */
import type { ModelConfig } from '../model/config.ts'
import { parameterCount } from '../model/parameters.ts'
import { trainingOf } from '../model/presets.ts'
import type { ModelPreset } from '../model/presets.ts'
import type { TrainOptions } from './options.ts'

/** Default options of a run. */
export const trainDefaults: TrainOptions = {
  schedule: 'cosine',
  steps: 2000,
  warmup: 100,
  lr: 1e-3,
  lrFloor: 1e-4,
  weightDecay: 0.1,
  batch: 16,
  microBatches: 1,
  beta1: 0.9,
  beta2: 0.95,
  eps: 1e-8,
  clip: 1,
  seed: 1,
  evalEvery: 250,
  evalTokens: 131_072
}

export interface TrainPreset {
  /** One line for `--help`. */
  readonly about: string
  readonly model: ModelPreset
  readonly options: Partial<TrainOptions>
  /** How text is prepared when the run begins with a text file. Default: byte-level BPE. */
  readonly characters?: true
}

const shakespeare = { steps: 2000, warmup: 100, batch: 12, beta2: 0.99, evalTokens: 0 } as const

export const trainPresets = {
  shakespeare: {
    about: "nanoGPT's CPU Shakespeare run, 0.8M parameters, 2,000 steps",
    model: 'nano',
    options: { ...shakespeare, lr: 1e-3, lrFloor: 1e-4 },
    characters: true
  },
  'shakespeare-bitnet': {
    about: 'the same size with ternary weights',
    model: 'bitnet-nano',
    options: { ...shakespeare, lr: 3e-3, lrFloor: 3e-4 },
    characters: true
  },
  'shakespeare-10m': {
    about: '10.7M parameters, context 256, 2,000 steps',
    model: 'mini',
    options: { ...shakespeare, batch: 16, lr: 1e-3, lrFloor: 1e-4 },
    characters: true
  },
  small: {
    about: 'GPT of 36M parameters',
    model: 'small',
    options: { steps: 20_000, warmup: 500, batch: 1, microBatches: 16, lr: 6e-4, lrFloor: 6e-5 }
  },
  medium: {
    about: 'GPT of 111M parameters',
    model: 'medium',
    options: { steps: 50_000, warmup: 1000, batch: 1, microBatches: 32, lr: 6e-4, lrFloor: 6e-5 }
  },
  large: {
    about: 'GPT of 337M parameters',
    model: 'large',
    options: { steps: 100_000, warmup: 2000, batch: 1, microBatches: 64, lr: 3e-4, lrFloor: 3e-5 }
  },
  gpt: {
    about: 'GPT of 5.8M parameters (4,096 tokens), context 256',
    model: 'gpt-mini',
    options: { steps: 1500, batch: 8, lr: 1e-3, lrFloor: 1e-4 }
  },
  bitnet: {
    about: 'BitNet of 5.8M parameters (4,096 tokens), context 256',
    model: 'bitnet-mini',
    options: { steps: 1500, batch: 8, lr: 3e-3, lrFloor: 3e-4 }
  },
  'bitnet-small': {
    about: 'BitNet of 26M parameters',
    model: 'bitnet-small',
    options: { steps: 20_000, warmup: 500, batch: 8, microBatches: 2, lr: 2e-3, lrFloor: 2e-4 }
  },
  'bitnet-medium': {
    about: 'BitNet of 79M parameters',
    model: 'bitnet-medium',
    options: { steps: 50_000, warmup: 1000, batch: 4, microBatches: 8, lr: 1.5e-3, lrFloor: 1.5e-4 }
  }
} as const satisfies Record<string, TrainPreset>

export type TrainPresetName = keyof typeof trainPresets

/**
 * Options that follow from a model made by the one dial: the rate falls with the root of the width (3e-3 for gpt, 4e-3
 * for bitnet at width 128), and the run is as long as 20 tokens a parameter, but at most 8 passes over the data.
 */
export function optionsOfDepth(config: ModelConfig, trainTokens: number): Partial<TrainOptions> {
  const lr = Number((trainingOf(config).rate * Math.sqrt(128 / config.hidden)).toPrecision(2))
  const batch = Math.max(1, Math.floor(4096 / config.context))
  const tokens = Math.min(20 * parameterCount(config), 8 * trainTokens)
  const steps = Math.max(100, Math.ceil(tokens / (batch * config.context)))
  return {
    batch,
    steps,
    warmup: Math.min(500, Math.ceil(steps / 20)),
    lr,
    lrFloor: lr / 10,
    evalEvery: Math.max(50, Math.ceil(steps / 20))
  }
}
