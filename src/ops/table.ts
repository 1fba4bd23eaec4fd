/** All ops by name: the one table behind graph, executors and tests. */
import { attention, attentionGrad, attentionSinkGrad, writeKeys, writeValues } from './attention.ts'
import { ternaryMatmulBase3 } from './base3.ts'
import { blockOps, quantizeBlocks } from './block-matmul.ts'
import { concat, embedding, embeddingGrad, split } from './columns.ts'
import {
  add,
  addBias,
  dropout,
  gelu,
  geluGrad,
  reluSquareGate,
  reluSquareGateGrad,
  scale,
  siluGate,
  siluGateGrad
} from './elementwise.ts'
import { expertMatmul, expertMatmulGrad } from './expert-matmul.ts'
import { expertSum, expertSumGrad, topExperts, topExpertsGrad } from './experts.ts'
import { fineMatmulQ6_K, fineRepackQ6_K, fineRowsQ6_K } from './fine-q6-k.ts'
import { fineMatmulQ8_0, fineRepackQ8_0, fineRowsQ8_0 } from './fine-q8-0.ts'
import { quantizeFine } from './fine.ts'
import { layerNorm, layerNormGrad, layerNormParamGrad } from './layer-norm.ts'
import { crossEntropy, crossEntropyGrad, mean, meanGrad } from './loss.ts'
import { columnSum, matmul, panels } from './matmul.ts'
import type { Op } from './op.ts'
import { adamw, clipFactor, squareSum } from './optimizer.ts'
import { halfPanels, panelRows } from './panels.ts'
import { dotProbe, readProbe } from './probe.ts'
import { repackTernary } from './repack.ts'
import { rmsNorm, rmsNormGrad, rmsNormParamGrad } from './rms-norm.ts'
import { rope } from './rope.ts'
import { halfRows, screenLimits, screenQ6_K, screenedMatmul } from './screen.ts'
import { shortConv, shortConvGrad } from './short-conv.ts'
import { geluTanh, geluTanhGate, geluTanhGateGrad, geluTanhGrad, multiply, softcap, softcapGrad } from './tanh.ts'
import { dequantizeRows, quantizeRows, ternarize, ternaryMatmul, unternarize } from './ternary.ts'

export const opTable: ReadonlyMap<string, Op> = new Map(
  [
    matmul,
    panels,
    columnSum,
    add,
    addBias,
    embedding,
    embeddingGrad,
    split,
    concat,
    layerNorm,
    layerNormGrad,
    layerNormParamGrad,
    rmsNorm,
    rmsNormGrad,
    rmsNormParamGrad,
    gelu,
    geluGrad,
    reluSquareGate,
    reluSquareGateGrad,
    siluGate,
    siluGateGrad,
    geluTanh,
    geluTanhGrad,
    geluTanhGate,
    geluTanhGateGrad,
    softcap,
    softcapGrad,
    multiply,
    dropout,
    rope,
    writeKeys,
    writeValues,
    attention,
    attentionGrad,
    attentionSinkGrad,
    crossEntropy,
    crossEntropyGrad,
    mean,
    meanGrad,
    quantizeRows,
    dequantizeRows,
    ternarize,
    unternarize,
    ternaryMatmul,
    squareSum,
    clipFactor,
    adamw,
    scale,
    ternaryMatmulBase3,
    halfPanels,
    panelRows,
    repackTernary,
    quantizeFine,
    fineMatmulQ6_K,
    fineRowsQ6_K,
    fineRepackQ6_K,
    fineMatmulQ8_0,
    fineRowsQ8_0,
    fineRepackQ8_0,
    shortConv,
    shortConvGrad,
    topExperts,
    topExpertsGrad,
    expertSum,
    expertSumGrad,
    expertMatmul,
    expertMatmulGrad,
    screenQ6_K,
    screenLimits,
    screenedMatmul,
    halfRows,
    readProbe,
    dotProbe,
    quantizeBlocks,
    ...blockOps
  ].map(row => [row.name, row])
)
