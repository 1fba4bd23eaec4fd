/* All kernels for one instruction set: this file is compiled once for each, with VERIT_ISA the name and one of the
 * VERIT_<set> macros defined. */
#include "ops.h"
#include "functions.h"

#include "elementwise.c"
#include "tanh.c"
#include "panels.c"
#include "matmul.c"
#include "norm.c"
#include "rope.c"
#include "attention.c"
#include "attentiongrad.c"
#include "conv.c"
#include "experts.c"
#include "loss.c"
#include "ternary.c"
#include "base3.c"
#include "repack.c"
#include "fine.c"
#include "fine_q6_k.c"
#include "fine_q8_0.c"
#include "screen.c"
#include "blockrows.c"
#include "blockstream.c"
#include "blocktile.c"
#include "blockmatmul.c"
#include "blockrepack.c"
#include "optimizer.c"
#include "probe.c"

#define ONE(chunks_, run_)        \
  {                               \
    .phases = { {chunks_, run_} } \
  }
static const op_kernel KERNELS[OP_COUNT] = {
    [OP_matmul] = {.phases = {{matmul_chunks, matmul_run}}, .scratch = matmul_scratch},
    [OP_panels] = ONE(panels_chunks, panels_run),
    [OP_columnSum] = ONE(column_chunks, columnSum_run),
    [OP_add] = ONE(flat_chunks, add_run),
    [OP_addBias] = ONE(row_chunks, addBias_run),
    [OP_scale] = ONE(flat_chunks, scale_run),
    [OP_embedding] = ONE(row_chunks, embedding_run),
    [OP_embeddingGrad] = ONE(embeddingGrad_chunks, embeddingGrad_run),
    [OP_split] = ONE(split_chunks, split_run),
    [OP_concat] = ONE(split_chunks, concat_run),
    [OP_layerNorm] = ONE(row_chunks, layerNorm_run),
    [OP_layerNormGrad] = ONE(row_chunks, layerNormGrad_run),
    [OP_layerNormParamGrad] = ONE(block_chunks, layerNormParamGrad_run),
    [OP_rmsNorm] = ONE(row_chunks, rmsNorm_run),
    [OP_rmsNormGrad] = ONE(row_chunks, rmsNormGrad_run),
    [OP_rmsNormParamGrad] = ONE(rmsNormParamGrad_chunks, rmsNormParamGrad_run),
    [OP_gelu] = ONE(flat_chunks, gelu_run),
    [OP_geluGrad] = ONE(flat_chunks, geluGrad_run),
    [OP_reluSquareGate] = ONE(flat_chunks, reluSquareGate_run),
    [OP_reluSquareGateGrad] = ONE(flat_chunks, reluSquareGateGrad_run),
    [OP_siluGate] = ONE(flat_chunks, siluGate_run),
    [OP_siluGateGrad] = ONE(flat_chunks, siluGateGrad_run),
    [OP_geluTanh] = ONE(flat_chunks, geluTanh_run),
    [OP_geluTanhGrad] = ONE(flat_chunks, geluTanhGrad_run),
    [OP_geluTanhGate] = ONE(flat_chunks, geluTanhGate_run),
    [OP_geluTanhGateGrad] = ONE(flat_chunks, geluTanhGateGrad_run),
    [OP_softcap] = ONE(flat_chunks, softcap_run),
    [OP_softcapGrad] = ONE(flat_chunks, softcapGrad_run),
    [OP_multiply] = ONE(flat_chunks, multiply_run),
    [OP_dropout] = ONE(flat_chunks, dropout_run),
    [OP_rope] = ONE(rope_chunks, rope_run),
    [OP_writeKeys] = ONE(write_chunks, writeKeys_run),
    [OP_writeValues] = ONE(write_chunks, writeValues_run),
    [OP_attention] = {.phases = {{attention_chunks, attention_run}}, .scratch = attention_scratch},
    [OP_attentionGrad] = {.phases = {{attentionGrad_chunks, attentionGrad_run}}, .scratch = attentionGrad_scratch},
    [OP_attentionSinkGrad] = ONE(attentionSinkGrad_chunks, attentionSinkGrad_run),
    [OP_shortConv] = {.phases = {{shortConv_chunks, shortConv_run}}, .scratch = shortConv_scratch},
    [OP_shortConvGrad] = {.phases = {{shortConvGrad_chunks, shortConvGrad_run}}, .scratch = shortConvGrad_scratch},
    [OP_topExperts] = {.phases = {{topExperts_chunks, topExperts_run}}, .scratch = topExperts_scratch},
    [OP_topExpertsGrad] = {.phases = {{topExperts_chunks, topExpertsGrad_run}}, .scratch = topExperts_scratch},
    [OP_expertSum] = ONE(row_chunks, expertSum_run),
    [OP_expertSumGrad] = ONE(row_chunks, expertSumGrad_run),
    [OP_expertMatmul] = {.phases = {{expertMatmul_chunks, expertMatmul_run}}, .scratch = expertMatmul_scratch},
    [OP_expertMatmulGrad] = {.phases = {{expertMatmulGrad_chunks, expertMatmulGrad_run}},
                             .scratch = expertMatmulGrad_scratch},
    [OP_crossEntropy] = ONE(row_chunks, crossEntropy_run),
    [OP_crossEntropyGrad] = ONE(row_chunks, crossEntropyGrad_run),
    [OP_mean] = ONE(one_chunk, mean_run),
    [OP_meanGrad] = ONE(one_chunk, meanGrad_run),
    [OP_quantizeRows] = ONE(row_chunks, quantizeRows_run),
    [OP_dequantizeRows] = ONE(row_chunks, dequantizeRows_run),
    [OP_ternarize] = {.phases = {{block16_chunks, ternarize_sums},
                                 {one_chunk, ternarize_scale},
                                 {block16_chunks, ternarize_codes}}},
    [OP_unternarize] = ONE(block16_chunks, unternarize_run),
    [OP_ternaryMatmul] = ONE(ternaryMatmul_chunks, ternaryMatmul_run),
    [OP_repackTernary] = {.phases = {{block16_chunks, repackTernary_run}}, .scratch = repackTernary_scratch},
    [OP_halfPanels] = ONE(halfPanels_chunks, halfPanels_run),
    [OP_panelRows] = ONE(row_chunks, panelRows_run),
    [OP_ternaryMatmulBase3] = {.phases = {{ternaryMatmul_chunks, ternaryMatmulBase3_run}},
                               .scratch = ternaryMatmulBase3_scratch},
    [OP_quantizeFine] = ONE(row_chunks, quantizeFine_run),
    [OP_fineMatmulQ6_K] = {.phases = {{fineMatmul_chunks, fineMatmulQ6_K_run}}, .scratch = fineMatmul_scratch},
    [OP_fineRowsQ6_K] = ONE(fineRows_chunks, fineRowsQ6_K_run),
    [OP_fineRepackQ6_K] = ONE(block16_chunks, fineRepackQ6_K_run),
    [OP_screenQ6_K] = ONE(block16_chunks, screenQ6_K_run),
    [OP_screenLimits] = ONE(screenLimits_chunks, screenLimits_run),
    [OP_screenedMatmul] = {.phases = {{screenedMatmul_chunks, screenedMatmul_run}}, .scratch = screenedMatmul_scratch},
    [OP_halfRows] = ONE(row_chunks, halfRows_run),
    [OP_readProbe] = ONE(readProbe_chunks, readProbe_run),
    [OP_dotProbe] = ONE(dotProbe_chunks, dotProbe_run),
    [OP_fineMatmulQ8_0] = {.phases = {{fineMatmul_chunks, fineMatmulQ8_0_run}}, .scratch = fineMatmul_scratch},
    [OP_fineRowsQ8_0] = ONE(fineRows_chunks, fineRowsQ8_0_run),
    [OP_fineRepackQ8_0] = ONE(block16_chunks, fineRepackQ8_0_run),
    [OP_squareSum] = ONE(squareSum_chunks, squareSum_run),
    [OP_clipFactor] = ONE(one_chunk, clipFactor_run),
    [OP_adamw] = ONE(adamw_chunks, adamw_run),
    [OP_quantizeBlocks] = ONE(row_chunks, quantizeBlocks_run),
#define X(name, ...)                                                                                                  \
  [OP_matmul##name] = {.phases = {{blockMatmul_chunks, matmul##name##_run}}, .scratch = matmul##name##_scratch},      \
  [OP_expertMatmul##                                                                                                  \
      name] = {.phases = {{blockExperts_chunks, expertMatmul##name##_run}}, .scratch = expertMatmul##name##_scratch}, \
  [OP_rows##name] = ONE(blockRows_chunks, rows##name##_run),                                                          \
  [OP_repack##name] = ONE(block16_chunks, repack##name##_run),
    BLOCK_FORMATS(X)
#undef X
};

/* the functions themselves, for tests: 0 exp, 1 log, 2 tanh, 3 erf, 4 sin, 5 cos over n values */
static void functions_run(int which, const float *x, float *y, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) {
    const int left = (int)at_most(n - i, 16);
    v16 v = f_load_n(x + i, left);
    if (which == 0)
      f_store_n(y + i, f_exp(v), left);
    else if (which == 2)
      f_store_n(y + i, f_tanh(v), left);
    else if (which == 3)
      f_store_n(y + i, d_to_f(d_erf(f_to_d(v))), left);
    else
      for (int j = 0; j < left; j++) {
        const float s = x[i + j];
        y[i + j] = which == 1 ? log_1(s) : sincos_1(s, which == 5);
      }
  }
}

#define NAME2(isa) verit_isa_##isa
#define NAME(isa) NAME2(isa)
#define TEXT2(isa) #isa
#define TEXT(isa) TEXT2(isa)
const isa_t NAME(VERIT_ISA) = {TEXT(VERIT_ISA), KERNELS, functions_run};
