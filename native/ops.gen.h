/* Written by scripts/op-table.ts from src/ops; do not edit. */
/* clang-format off */
#ifndef VERIT_OPS_GEN_H
#define VERIT_OPS_GEN_H

/* name, inputs, outputs, attributes, bits of inputs and of outputs that may be absent */
#define OPS(X) \
  X(matmul, 3, 1, 6, 4, 0) \
  X(panels, 1, 1, 3, 0, 0) \
  X(columnSum, 1, 1, 2, 0, 0) \
  X(add, 2, 1, 2, 0, 0) \
  X(addBias, 2, 1, 2, 0, 0) \
  X(embedding, 2, 1, 3, 0, 0) \
  X(embeddingGrad, 2, 1, 3, 0, 0) \
  X(split, 1, 3, 4, 0, 0) \
  X(concat, 3, 1, 4, 7, 0) \
  X(layerNorm, 3, 2, 4, 4, 0) \
  X(layerNormGrad, 4, 1, 2, 0, 0) \
  X(layerNormParamGrad, 3, 2, 3, 0, 0) \
  X(rmsNorm, 2, 2, 4, 0, 0) \
  X(rmsNormGrad, 4, 1, 3, 0, 0) \
  X(rmsNormParamGrad, 3, 1, 3, 0, 0) \
  X(gelu, 1, 1, 2, 0, 0) \
  X(geluGrad, 2, 1, 2, 0, 0) \
  X(reluSquareGate, 2, 1, 2, 0, 0) \
  X(reluSquareGateGrad, 3, 2, 2, 0, 0) \
  X(siluGate, 2, 1, 2, 0, 0) \
  X(siluGateGrad, 3, 2, 2, 0, 0) \
  X(geluTanh, 1, 1, 2, 0, 0) \
  X(geluTanhGrad, 2, 1, 2, 0, 0) \
  X(geluTanhGate, 2, 1, 2, 0, 0) \
  X(geluTanhGateGrad, 3, 2, 2, 0, 0) \
  X(softcap, 1, 1, 3, 0, 0) \
  X(softcapGrad, 2, 1, 3, 0, 0) \
  X(multiply, 2, 1, 2, 0, 0) \
  X(dropout, 2, 1, 5, 0, 0) \
  X(rope, 4, 1, 6, 0, 0) \
  X(writeKeys, 2, 1, 5, 0, 0) \
  X(writeValues, 2, 1, 5, 0, 0) \
  X(attention, 7, 3, 12, 64, 6) \
  X(attentionGrad, 6, 3, 7, 0, 0) \
  X(attentionSinkGrad, 3, 1, 3, 0, 0) \
  X(crossEntropy, 2, 2, 2, 0, 0) \
  X(crossEntropyGrad, 4, 1, 2, 0, 0) \
  X(mean, 1, 1, 1, 0, 0) \
  X(meanGrad, 1, 1, 1, 0, 0) \
  X(quantizeRows, 1, 3, 2, 0, 0) \
  X(dequantizeRows, 2, 1, 2, 0, 0) \
  X(ternarize, 1, 2, 2, 0, 0) \
  X(unternarize, 2, 1, 2, 0, 0) \
  X(ternaryMatmul, 5, 1, 3, 0, 0) \
  X(squareSum, 1, 1, 1, 0, 0) \
  X(clipFactor, 1, 1, 2, 0, 0) \
  X(adamw, 6, 3, 2, 0, 0) \
  X(scale, 2, 1, 2, 0, 0) \
  X(ternaryMatmulBase3, 5, 1, 3, 0, 0) \
  X(halfPanels, 1, 1, 3, 0, 0) \
  X(panelRows, 2, 1, 4, 0, 0) \
  X(repackTernary, 1, 1, 4, 0, 0) \
  X(quantizeFine, 1, 3, 2, 0, 0) \
  X(fineMatmulQ6_K, 6, 1, 3, 0, 0) \
  X(fineRowsQ6_K, 4, 1, 3, 0, 0) \
  X(fineRepackQ6_K, 1, 3, 2, 0, 0) \
  X(fineMatmulQ8_0, 5, 1, 3, 0, 0) \
  X(fineRowsQ8_0, 3, 1, 3, 0, 0) \
  X(fineRepackQ8_0, 1, 2, 2, 0, 0) \
  X(shortConv, 5, 1, 6, 0, 0) \
  X(shortConvGrad, 3, 2, 4, 0, 0) \
  X(topExperts, 2, 2, 7, 2, 0) \
  X(topExpertsGrad, 3, 1, 6, 0, 0) \
  X(expertSum, 2, 1, 4, 2, 0) \
  X(expertSumGrad, 3, 2, 4, 3, 0) \
  X(expertMatmul, 3, 1, 7, 0, 0) \
  X(expertMatmulGrad, 3, 1, 6, 0, 0) \
  X(screenQ6_K, 1, 4, 2, 0, 0) \
  X(screenLimits, 5, 1, 3, 0, 0) \
  X(screenedMatmul, 5, 1, 3, 0, 0) \
  X(halfRows, 2, 1, 3, 0, 0) \
  X(readProbe, 1, 1, 1, 0, 0) \
  X(dotProbe, 2, 1, 2, 0, 0) \
  X(quantizeBlocks, 1, 3, 2, 0, 0) \
  X(matmulQ4_0, 4, 1, 3, 0, 0) \
  X(expertMatmulQ4_0, 5, 1, 6, 0, 0) \
  X(rowsQ4_0, 2, 1, 3, 0, 0) \
  X(repackQ4_0, 1, 1, 2, 0, 0) \
  X(matmulQ4_1, 4, 1, 3, 0, 0) \
  X(expertMatmulQ4_1, 5, 1, 6, 0, 0) \
  X(rowsQ4_1, 2, 1, 3, 0, 0) \
  X(repackQ4_1, 1, 1, 2, 0, 0) \
  X(matmulQ5_0, 4, 1, 3, 0, 0) \
  X(expertMatmulQ5_0, 5, 1, 6, 0, 0) \
  X(rowsQ5_0, 2, 1, 3, 0, 0) \
  X(repackQ5_0, 1, 1, 2, 0, 0) \
  X(matmulQ5_1, 4, 1, 3, 0, 0) \
  X(expertMatmulQ5_1, 5, 1, 6, 0, 0) \
  X(rowsQ5_1, 2, 1, 3, 0, 0) \
  X(repackQ5_1, 1, 1, 2, 0, 0) \
  X(matmulQ8_0, 4, 1, 3, 0, 0) \
  X(expertMatmulQ8_0, 5, 1, 6, 0, 0) \
  X(rowsQ8_0, 2, 1, 3, 0, 0) \
  X(repackQ8_0, 1, 1, 2, 0, 0) \
  X(matmulQ2_K, 4, 1, 3, 0, 0) \
  X(expertMatmulQ2_K, 5, 1, 6, 0, 0) \
  X(rowsQ2_K, 2, 1, 3, 0, 0) \
  X(repackQ2_K, 1, 1, 2, 0, 0) \
  X(matmulQ3_K, 4, 1, 3, 0, 0) \
  X(expertMatmulQ3_K, 5, 1, 6, 0, 0) \
  X(rowsQ3_K, 2, 1, 3, 0, 0) \
  X(repackQ3_K, 1, 1, 2, 0, 0) \
  X(matmulQ4_K, 4, 1, 3, 0, 0) \
  X(expertMatmulQ4_K, 5, 1, 6, 0, 0) \
  X(rowsQ4_K, 2, 1, 3, 0, 0) \
  X(repackQ4_K, 1, 1, 2, 0, 0) \
  X(matmulQ5_K, 4, 1, 3, 0, 0) \
  X(expertMatmulQ5_K, 5, 1, 6, 0, 0) \
  X(rowsQ5_K, 2, 1, 3, 0, 0) \
  X(repackQ5_K, 1, 1, 2, 0, 0) \
  X(matmulQ6_K, 4, 1, 3, 0, 0) \
  X(expertMatmulQ6_K, 5, 1, 6, 0, 0) \
  X(rowsQ6_K, 2, 1, 3, 0, 0) \
  X(repackQ6_K, 1, 1, 2, 0, 0) \
  X(matmulIQ4_NL, 4, 1, 3, 0, 0) \
  X(expertMatmulIQ4_NL, 5, 1, 6, 0, 0) \
  X(rowsIQ4_NL, 2, 1, 3, 0, 0) \
  X(repackIQ4_NL, 1, 1, 2, 0, 0) \
  X(matmulIQ4_XS, 4, 1, 3, 0, 0) \
  X(expertMatmulIQ4_XS, 5, 1, 6, 0, 0) \
  X(rowsIQ4_XS, 2, 1, 3, 0, 0) \
  X(repackIQ4_XS, 1, 1, 2, 0, 0) \
  X(matmulMXFP4, 4, 1, 3, 0, 0) \
  X(expertMatmulMXFP4, 5, 1, 6, 0, 0) \
  X(rowsMXFP4, 2, 1, 3, 0, 0) \
  X(repackMXFP4, 1, 1, 2, 0, 0)

enum { MAX_IN = 7, MAX_OUT = 4 };
enum { MAX_ATTRIBUTES = 12 };

/* ggml type, weights and bytes of a block, weights of a group, bits of a code, bytes of its scales,
 * f16 factors, place of the first, minimums, groups joined */
#define BLOCK_FORMATS(X) \
  X(Q4_0, 32, 18, 32, 4, 0, 1, 0, 0, 0) \
  X(Q4_1, 32, 20, 32, 4, 0, 2, 0, 1, 0) \
  X(Q5_0, 32, 22, 32, 5, 0, 1, 0, 0, 0) \
  X(Q5_1, 32, 24, 32, 5, 0, 2, 0, 1, 0) \
  X(Q8_0, 32, 34, 32, 8, 0, 1, 0, 0, 0) \
  X(Q2_K, 256, 84, 16, 2, 1, 2, 80, 1, 1) \
  X(Q3_K, 256, 110, 16, 3, 1, 1, 108, 0, 1) \
  X(Q4_K, 256, 144, 32, 4, 2, 2, 0, 1, 0) \
  X(Q5_K, 256, 176, 32, 5, 2, 2, 0, 1, 0) \
  X(Q6_K, 256, 210, 16, 6, 1, 1, 208, 0, 0) \
  X(IQ4_NL, 32, 18, 32, 4, 0, 1, 0, 0, 0) \
  X(IQ4_XS, 256, 136, 32, 4, 1, 1, 0, 0, 0) \
  X(MXFP4, 32, 17, 32, 4, 1, 0, 0, 0, 0)

enum { IN_matmul_a, IN_matmul_b, IN_matmul_bias };
typedef struct { wide_t a, b, bias; } matmul_in;
enum { OUT_matmul_c };
typedef struct { wide_t c; } matmul_out;
enum { AT_matmul_M, AT_matmul_Nc, AT_matmul_K, AT_matmul_transposeA, AT_matmul_layoutB, AT_matmul_hasBias };
typedef struct { wide_t M, Nc, K, transposeA, layoutB, hasBias; } matmul_at;

enum { IN_panels_b };
typedef struct { wide_t b; } panels_in;
enum { OUT_panels_p };
typedef struct { wide_t p; } panels_out;
enum { AT_panels_Nc, AT_panels_K, AT_panels_layoutB };
typedef struct { wide_t Nc, K, layoutB; } panels_at;

enum { IN_columnSum_x };
typedef struct { wide_t x; } columnSum_in;
enum { OUT_columnSum_y };
typedef struct { wide_t y; } columnSum_out;
enum { AT_columnSum_N, AT_columnSum_C };
typedef struct { wide_t N, C; } columnSum_at;

enum { IN_add_a, IN_add_b };
typedef struct { wide_t a, b; } add_in;
enum { OUT_add_y };
typedef struct { wide_t y; } add_out;
enum { AT_add_N, AT_add_C };
typedef struct { wide_t N, C; } add_at;

enum { IN_addBias_x, IN_addBias_bias };
typedef struct { wide_t x, bias; } addBias_in;
enum { OUT_addBias_y };
typedef struct { wide_t y; } addBias_out;
enum { AT_addBias_N, AT_addBias_C };
typedef struct { wide_t N, C; } addBias_at;

enum { IN_embedding_table, IN_embedding_ids };
typedef struct { wide_t table, ids; } embedding_in;
enum { OUT_embedding_y };
typedef struct { wide_t y; } embedding_out;
enum { AT_embedding_N, AT_embedding_C, AT_embedding_V };
typedef struct { wide_t N, C, V; } embedding_at;

enum { IN_embeddingGrad_dy, IN_embeddingGrad_ids };
typedef struct { wide_t dy, ids; } embeddingGrad_in;
enum { OUT_embeddingGrad_dtable };
typedef struct { wide_t dtable; } embeddingGrad_out;
enum { AT_embeddingGrad_N, AT_embeddingGrad_C, AT_embeddingGrad_V };
typedef struct { wide_t N, C, V; } embeddingGrad_at;

enum { IN_split_x };
typedef struct { wide_t x; } split_in;
enum { OUT_split_y0, OUT_split_y1, OUT_split_y2 };
typedef struct { wide_t y0, y1, y2; } split_out;
enum { AT_split_N, AT_split_w0, AT_split_w1, AT_split_w2 };
typedef struct { wide_t N, w0, w1, w2; } split_at;

enum { IN_concat_x0, IN_concat_x1, IN_concat_x2 };
typedef struct { wide_t x0, x1, x2; } concat_in;
enum { OUT_concat_y };
typedef struct { wide_t y; } concat_out;
enum { AT_concat_N, AT_concat_w0, AT_concat_w1, AT_concat_w2 };
typedef struct { wide_t N, w0, w1, w2; } concat_at;

enum { IN_layerNorm_x, IN_layerNorm_g, IN_layerNorm_b };
typedef struct { wide_t x, g, b; } layerNorm_in;
enum { OUT_layerNorm_y, OUT_layerNorm_stats };
typedef struct { wide_t y, stats; } layerNorm_out;
enum { AT_layerNorm_N, AT_layerNorm_C, AT_layerNorm_hasBias, AT_layerNorm_eps };
typedef struct { wide_t N, C, hasBias, eps; } layerNorm_at;

enum { IN_layerNormGrad_x, IN_layerNormGrad_g, IN_layerNormGrad_stats, IN_layerNormGrad_dy };
typedef struct { wide_t x, g, stats, dy; } layerNormGrad_in;
enum { OUT_layerNormGrad_dx };
typedef struct { wide_t dx; } layerNormGrad_out;
enum { AT_layerNormGrad_N, AT_layerNormGrad_C };
typedef struct { wide_t N, C; } layerNormGrad_at;

enum { IN_layerNormParamGrad_x, IN_layerNormParamGrad_stats, IN_layerNormParamGrad_dy };
typedef struct { wide_t x, stats, dy; } layerNormParamGrad_in;
enum { OUT_layerNormParamGrad_dg, OUT_layerNormParamGrad_db };
typedef struct { wide_t dg, db; } layerNormParamGrad_out;
enum { AT_layerNormParamGrad_N, AT_layerNormParamGrad_C, AT_layerNormParamGrad_hasBias };
typedef struct { wide_t N, C, hasBias; } layerNormParamGrad_at;

enum { IN_rmsNorm_x, IN_rmsNorm_g };
typedef struct { wide_t x, g; } rmsNorm_in;
enum { OUT_rmsNorm_y, OUT_rmsNorm_stats };
typedef struct { wide_t y, stats; } rmsNorm_out;
enum { AT_rmsNorm_N, AT_rmsNorm_C, AT_rmsNorm_H, AT_rmsNorm_eps };
typedef struct { wide_t N, C, H, eps; } rmsNorm_at;

enum { IN_rmsNormGrad_x, IN_rmsNormGrad_g, IN_rmsNormGrad_stats, IN_rmsNormGrad_dy };
typedef struct { wide_t x, g, stats, dy; } rmsNormGrad_in;
enum { OUT_rmsNormGrad_dx };
typedef struct { wide_t dx; } rmsNormGrad_out;
enum { AT_rmsNormGrad_N, AT_rmsNormGrad_C, AT_rmsNormGrad_H };
typedef struct { wide_t N, C, H; } rmsNormGrad_at;

enum { IN_rmsNormParamGrad_x, IN_rmsNormParamGrad_stats, IN_rmsNormParamGrad_dy };
typedef struct { wide_t x, stats, dy; } rmsNormParamGrad_in;
enum { OUT_rmsNormParamGrad_dg };
typedef struct { wide_t dg; } rmsNormParamGrad_out;
enum { AT_rmsNormParamGrad_N, AT_rmsNormParamGrad_C, AT_rmsNormParamGrad_H };
typedef struct { wide_t N, C, H; } rmsNormParamGrad_at;

enum { IN_gelu_x };
typedef struct { wide_t x; } gelu_in;
enum { OUT_gelu_y };
typedef struct { wide_t y; } gelu_out;
enum { AT_gelu_N, AT_gelu_C };
typedef struct { wide_t N, C; } gelu_at;

enum { IN_geluGrad_x, IN_geluGrad_dy };
typedef struct { wide_t x, dy; } geluGrad_in;
enum { OUT_geluGrad_dx };
typedef struct { wide_t dx; } geluGrad_out;
enum { AT_geluGrad_N, AT_geluGrad_C };
typedef struct { wide_t N, C; } geluGrad_at;

enum { IN_reluSquareGate_gate, IN_reluSquareGate_up };
typedef struct { wide_t gate, up; } reluSquareGate_in;
enum { OUT_reluSquareGate_y };
typedef struct { wide_t y; } reluSquareGate_out;
enum { AT_reluSquareGate_N, AT_reluSquareGate_C };
typedef struct { wide_t N, C; } reluSquareGate_at;

enum { IN_reluSquareGateGrad_gate, IN_reluSquareGateGrad_up, IN_reluSquareGateGrad_dy };
typedef struct { wide_t gate, up, dy; } reluSquareGateGrad_in;
enum { OUT_reluSquareGateGrad_dgate, OUT_reluSquareGateGrad_dup };
typedef struct { wide_t dgate, dup; } reluSquareGateGrad_out;
enum { AT_reluSquareGateGrad_N, AT_reluSquareGateGrad_C };
typedef struct { wide_t N, C; } reluSquareGateGrad_at;

enum { IN_siluGate_gate, IN_siluGate_up };
typedef struct { wide_t gate, up; } siluGate_in;
enum { OUT_siluGate_y };
typedef struct { wide_t y; } siluGate_out;
enum { AT_siluGate_N, AT_siluGate_C };
typedef struct { wide_t N, C; } siluGate_at;

enum { IN_siluGateGrad_gate, IN_siluGateGrad_up, IN_siluGateGrad_dy };
typedef struct { wide_t gate, up, dy; } siluGateGrad_in;
enum { OUT_siluGateGrad_dgate, OUT_siluGateGrad_dup };
typedef struct { wide_t dgate, dup; } siluGateGrad_out;
enum { AT_siluGateGrad_N, AT_siluGateGrad_C };
typedef struct { wide_t N, C; } siluGateGrad_at;

enum { IN_geluTanh_x };
typedef struct { wide_t x; } geluTanh_in;
enum { OUT_geluTanh_y };
typedef struct { wide_t y; } geluTanh_out;
enum { AT_geluTanh_N, AT_geluTanh_C };
typedef struct { wide_t N, C; } geluTanh_at;

enum { IN_geluTanhGrad_x, IN_geluTanhGrad_dy };
typedef struct { wide_t x, dy; } geluTanhGrad_in;
enum { OUT_geluTanhGrad_dx };
typedef struct { wide_t dx; } geluTanhGrad_out;
enum { AT_geluTanhGrad_N, AT_geluTanhGrad_C };
typedef struct { wide_t N, C; } geluTanhGrad_at;

enum { IN_geluTanhGate_gate, IN_geluTanhGate_up };
typedef struct { wide_t gate, up; } geluTanhGate_in;
enum { OUT_geluTanhGate_y };
typedef struct { wide_t y; } geluTanhGate_out;
enum { AT_geluTanhGate_N, AT_geluTanhGate_C };
typedef struct { wide_t N, C; } geluTanhGate_at;

enum { IN_geluTanhGateGrad_gate, IN_geluTanhGateGrad_up, IN_geluTanhGateGrad_dy };
typedef struct { wide_t gate, up, dy; } geluTanhGateGrad_in;
enum { OUT_geluTanhGateGrad_dgate, OUT_geluTanhGateGrad_dup };
typedef struct { wide_t dgate, dup; } geluTanhGateGrad_out;
enum { AT_geluTanhGateGrad_N, AT_geluTanhGateGrad_C };
typedef struct { wide_t N, C; } geluTanhGateGrad_at;

enum { IN_softcap_x };
typedef struct { wide_t x; } softcap_in;
enum { OUT_softcap_y };
typedef struct { wide_t y; } softcap_out;
enum { AT_softcap_N, AT_softcap_C, AT_softcap_cap };
typedef struct { wide_t N, C, cap; } softcap_at;

enum { IN_softcapGrad_x, IN_softcapGrad_dy };
typedef struct { wide_t x, dy; } softcapGrad_in;
enum { OUT_softcapGrad_dx };
typedef struct { wide_t dx; } softcapGrad_out;
enum { AT_softcapGrad_N, AT_softcapGrad_C, AT_softcapGrad_cap };
typedef struct { wide_t N, C, cap; } softcapGrad_at;

enum { IN_multiply_a, IN_multiply_b };
typedef struct { wide_t a, b; } multiply_in;
enum { OUT_multiply_y };
typedef struct { wide_t y; } multiply_out;
enum { AT_multiply_N, AT_multiply_C };
typedef struct { wide_t N, C; } multiply_at;

enum { IN_dropout_x, IN_dropout_rng };
typedef struct { wide_t x, rng; } dropout_in;
enum { OUT_dropout_y };
typedef struct { wide_t y; } dropout_out;
enum { AT_dropout_N, AT_dropout_C, AT_dropout_purpose, AT_dropout_threshold, AT_dropout_scale };
typedef struct { wide_t N, C, purpose, threshold, scale; } dropout_at;

enum { IN_rope_x, IN_rope_positions, IN_rope_cos, IN_rope_sin };
typedef struct { wide_t x, positions, cos, sin; } rope_in;
enum { OUT_rope_y };
typedef struct { wide_t y; } rope_out;
enum { AT_rope_N, AT_rope_H, AT_rope_D, AT_rope_T, AT_rope_inverse, AT_rope_R };
typedef struct { wide_t N, H, D, T, inverse, R; } rope_at;

enum { IN_writeKeys_k, IN_writeKeys_cacheRow };
typedef struct { wide_t k, cacheRow; } writeKeys_in;
enum { OUT_writeKeys_cache };
typedef struct { wide_t cache; } writeKeys_out;
enum { AT_writeKeys_N, AT_writeKeys_G, AT_writeKeys_D, AT_writeKeys_R, AT_writeKeys_half };
typedef struct { wide_t N, G, D, R, half; } writeKeys_at;

enum { IN_writeValues_v, IN_writeValues_cacheRow };
typedef struct { wide_t v, cacheRow; } writeValues_in;
enum { OUT_writeValues_cache };
typedef struct { wide_t cache; } writeValues_out;
enum { AT_writeValues_N, AT_writeValues_G, AT_writeValues_D, AT_writeValues_R, AT_writeValues_half };
typedef struct { wide_t N, G, D, R, half; } writeValues_at;

enum { IN_attention_q, IN_attention_keys, IN_attention_values, IN_attention_pages, IN_attention_sequence,
  IN_attention_length, IN_attention_sinks };
typedef struct { wide_t q, keys, values, pages, sequence, length, sinks; } attention_in;
enum { OUT_attention_o, OUT_attention_p, OUT_attention_rest };
typedef struct { wide_t o, p, rest; } attention_out;
enum { AT_attention_N, AT_attention_H, AT_attention_G, AT_attention_D, AT_attention_T, AT_attention_R, AT_attention_S,
  AT_attention_window, AT_attention_hasSinks, AT_attention_half, AT_attention_scale, AT_attention_softcap };
typedef struct { wide_t N, H, G, D, T, R, S, window, hasSinks, half, scale, softcap; } attention_at;

enum { IN_attentionGrad_q, IN_attentionGrad_k, IN_attentionGrad_v, IN_attentionGrad_p, IN_attentionGrad_o,
  IN_attentionGrad_dO };
typedef struct { wide_t q, k, v, p, o, dO; } attentionGrad_in;
enum { OUT_attentionGrad_dq, OUT_attentionGrad_dk, OUT_attentionGrad_dv };
typedef struct { wide_t dq, dk, dv; } attentionGrad_out;
enum { AT_attentionGrad_N, AT_attentionGrad_H, AT_attentionGrad_G, AT_attentionGrad_D, AT_attentionGrad_T,
  AT_attentionGrad_scale, AT_attentionGrad_softcap };
typedef struct { wide_t N, H, G, D, T, scale, softcap; } attentionGrad_at;

enum { IN_attentionSinkGrad_o, IN_attentionSinkGrad_dO, IN_attentionSinkGrad_rest };
typedef struct { wide_t o, dO, rest; } attentionSinkGrad_in;
enum { OUT_attentionSinkGrad_dsinks };
typedef struct { wide_t dsinks; } attentionSinkGrad_out;
enum { AT_attentionSinkGrad_N, AT_attentionSinkGrad_H, AT_attentionSinkGrad_D };
typedef struct { wide_t N, H, D; } attentionSinkGrad_at;

enum { IN_crossEntropy_logits, IN_crossEntropy_targets };
typedef struct { wide_t logits, targets; } crossEntropy_in;
enum { OUT_crossEntropy_loss, OUT_crossEntropy_stats };
typedef struct { wide_t loss, stats; } crossEntropy_out;
enum { AT_crossEntropy_N, AT_crossEntropy_V };
typedef struct { wide_t N, V; } crossEntropy_at;

enum { IN_crossEntropyGrad_logits, IN_crossEntropyGrad_targets, IN_crossEntropyGrad_stats, IN_crossEntropyGrad_dloss };
typedef struct { wide_t logits, targets, stats, dloss; } crossEntropyGrad_in;
enum { OUT_crossEntropyGrad_dlogits };
typedef struct { wide_t dlogits; } crossEntropyGrad_out;
enum { AT_crossEntropyGrad_N, AT_crossEntropyGrad_V };
typedef struct { wide_t N, V; } crossEntropyGrad_at;

enum { IN_mean_x };
typedef struct { wide_t x; } mean_in;
enum { OUT_mean_y };
typedef struct { wide_t y; } mean_out;
enum { AT_mean_N };
typedef struct { wide_t N; } mean_at;

enum { IN_meanGrad_dy };
typedef struct { wide_t dy; } meanGrad_in;
enum { OUT_meanGrad_dx };
typedef struct { wide_t dx; } meanGrad_out;
enum { AT_meanGrad_N };
typedef struct { wide_t N; } meanGrad_at;

enum { IN_quantizeRows_x };
typedef struct { wide_t x; } quantizeRows_in;
enum { OUT_quantizeRows_q, OUT_quantizeRows_scale, OUT_quantizeRows_sum };
typedef struct { wide_t q, scale, sum; } quantizeRows_out;
enum { AT_quantizeRows_N, AT_quantizeRows_K };
typedef struct { wide_t N, K; } quantizeRows_at;

enum { IN_dequantizeRows_q, IN_dequantizeRows_scale };
typedef struct { wide_t q, scale; } dequantizeRows_in;
enum { OUT_dequantizeRows_xhat };
typedef struct { wide_t xhat; } dequantizeRows_out;
enum { AT_dequantizeRows_N, AT_dequantizeRows_K };
typedef struct { wide_t N, K; } dequantizeRows_at;

enum { IN_ternarize_w };
typedef struct { wide_t w; } ternarize_in;
enum { OUT_ternarize_t, OUT_ternarize_m };
typedef struct { wide_t t, m; } ternarize_out;
enum { AT_ternarize_O, AT_ternarize_K };
typedef struct { wide_t O, K; } ternarize_at;

enum { IN_unternarize_t, IN_unternarize_m };
typedef struct { wide_t t, m; } unternarize_in;
enum { OUT_unternarize_what };
typedef struct { wide_t what; } unternarize_out;
enum { AT_unternarize_O, AT_unternarize_K };
typedef struct { wide_t O, K; } unternarize_at;

enum { IN_ternaryMatmul_q, IN_ternaryMatmul_scale, IN_ternaryMatmul_sum, IN_ternaryMatmul_t, IN_ternaryMatmul_m };
typedef struct { wide_t q, scale, sum, t, m; } ternaryMatmul_in;
enum { OUT_ternaryMatmul_y };
typedef struct { wide_t y; } ternaryMatmul_out;
enum { AT_ternaryMatmul_N, AT_ternaryMatmul_O, AT_ternaryMatmul_K };
typedef struct { wide_t N, O, K; } ternaryMatmul_at;

enum { IN_squareSum_x };
typedef struct { wide_t x; } squareSum_in;
enum { OUT_squareSum_s };
typedef struct { wide_t s; } squareSum_out;
enum { AT_squareSum_P };
typedef struct { wide_t P; } squareSum_at;

enum { IN_clipFactor_s };
typedef struct { wide_t s; } clipFactor_in;
enum { OUT_clipFactor_f };
typedef struct { wide_t f; } clipFactor_out;
enum { AT_clipFactor_S, AT_clipFactor_maxNorm };
typedef struct { wide_t S, maxNorm; } clipFactor_at;

enum { IN_adamw_w, IN_adamw_g, IN_adamw_m, IN_adamw_v, IN_adamw_f, IN_adamw_hyper };
typedef struct { wide_t w, g, m, v, f, hyper; } adamw_in;
enum { OUT_adamw_w, OUT_adamw_m, OUT_adamw_v };
typedef struct { wide_t w, m, v; } adamw_out;
enum { AT_adamw_P, AT_adamw_decayed };
typedef struct { wide_t P, decayed; } adamw_at;

enum { IN_scale_x, IN_scale_s };
typedef struct { wide_t x, s; } scale_in;
enum { OUT_scale_y };
typedef struct { wide_t y; } scale_out;
enum { AT_scale_N, AT_scale_C };
typedef struct { wide_t N, C; } scale_at;

enum { IN_ternaryMatmulBase3_q, IN_ternaryMatmulBase3_scale, IN_ternaryMatmulBase3_sum, IN_ternaryMatmulBase3_t,
  IN_ternaryMatmulBase3_m };
typedef struct { wide_t q, scale, sum, t, m; } ternaryMatmulBase3_in;
enum { OUT_ternaryMatmulBase3_y };
typedef struct { wide_t y; } ternaryMatmulBase3_out;
enum { AT_ternaryMatmulBase3_N, AT_ternaryMatmulBase3_O, AT_ternaryMatmulBase3_K };
typedef struct { wide_t N, O, K; } ternaryMatmulBase3_at;

enum { IN_halfPanels_w };
typedef struct { wide_t w; } halfPanels_in;
enum { OUT_halfPanels_p };
typedef struct { wide_t p; } halfPanels_out;
enum { AT_halfPanels_Nc, AT_halfPanels_K, AT_halfPanels_half };
typedef struct { wide_t Nc, K, half; } halfPanels_at;

enum { IN_panelRows_p, IN_panelRows_ids };
typedef struct { wide_t p, ids; } panelRows_in;
enum { OUT_panelRows_y };
typedef struct { wide_t y; } panelRows_out;
enum { AT_panelRows_N, AT_panelRows_C, AT_panelRows_V, AT_panelRows_half };
typedef struct { wide_t N, C, V, half; } panelRows_at;

enum { IN_repackTernary_raw };
typedef struct { wide_t raw; } repackTernary_in;
enum { OUT_repackTernary_t };
typedef struct { wide_t t; } repackTernary_out;
enum { AT_repackTernary_O, AT_repackTernary_K, AT_repackTernary_format, AT_repackTernary_base3 };
typedef struct { wide_t O, K, format, base3; } repackTernary_at;

enum { IN_quantizeFine_x };
typedef struct { wide_t x; } quantizeFine_in;
enum { OUT_quantizeFine_q, OUT_quantizeFine_scale, OUT_quantizeFine_sum };
typedef struct { wide_t q, scale, sum; } quantizeFine_out;
enum { AT_quantizeFine_N, AT_quantizeFine_K };
typedef struct { wide_t N, K; } quantizeFine_at;

enum { IN_fineMatmulQ6_K_q, IN_fineMatmulQ6_K_scale, IN_fineMatmulQ6_K_sum, IN_fineMatmulQ6_K_codes,
  IN_fineMatmulQ6_K_s, IN_fineMatmulQ6_K_d };
typedef struct { wide_t q, scale, sum, codes, s, d; } fineMatmulQ6_K_in;
enum { OUT_fineMatmulQ6_K_y };
typedef struct { wide_t y; } fineMatmulQ6_K_out;
enum { AT_fineMatmulQ6_K_N, AT_fineMatmulQ6_K_O, AT_fineMatmulQ6_K_K };
typedef struct { wide_t N, O, K; } fineMatmulQ6_K_at;

enum { IN_fineRowsQ6_K_codes, IN_fineRowsQ6_K_s, IN_fineRowsQ6_K_d, IN_fineRowsQ6_K_ids };
typedef struct { wide_t codes, s, d, ids; } fineRowsQ6_K_in;
enum { OUT_fineRowsQ6_K_y };
typedef struct { wide_t y; } fineRowsQ6_K_out;
enum { AT_fineRowsQ6_K_N, AT_fineRowsQ6_K_O, AT_fineRowsQ6_K_K };
typedef struct { wide_t N, O, K; } fineRowsQ6_K_at;

enum { IN_fineRepackQ6_K_raw };
typedef struct { wide_t raw; } fineRepackQ6_K_in;
enum { OUT_fineRepackQ6_K_codes, OUT_fineRepackQ6_K_s, OUT_fineRepackQ6_K_d };
typedef struct { wide_t codes, s, d; } fineRepackQ6_K_out;
enum { AT_fineRepackQ6_K_O, AT_fineRepackQ6_K_K };
typedef struct { wide_t O, K; } fineRepackQ6_K_at;

enum { IN_fineMatmulQ8_0_q, IN_fineMatmulQ8_0_scale, IN_fineMatmulQ8_0_sum, IN_fineMatmulQ8_0_codes,
  IN_fineMatmulQ8_0_d };
typedef struct { wide_t q, scale, sum, codes, d; } fineMatmulQ8_0_in;
enum { OUT_fineMatmulQ8_0_y };
typedef struct { wide_t y; } fineMatmulQ8_0_out;
enum { AT_fineMatmulQ8_0_N, AT_fineMatmulQ8_0_O, AT_fineMatmulQ8_0_K };
typedef struct { wide_t N, O, K; } fineMatmulQ8_0_at;

enum { IN_fineRowsQ8_0_codes, IN_fineRowsQ8_0_d, IN_fineRowsQ8_0_ids };
typedef struct { wide_t codes, d, ids; } fineRowsQ8_0_in;
enum { OUT_fineRowsQ8_0_y };
typedef struct { wide_t y; } fineRowsQ8_0_out;
enum { AT_fineRowsQ8_0_N, AT_fineRowsQ8_0_O, AT_fineRowsQ8_0_K };
typedef struct { wide_t N, O, K; } fineRowsQ8_0_at;

enum { IN_fineRepackQ8_0_raw };
typedef struct { wide_t raw; } fineRepackQ8_0_in;
enum { OUT_fineRepackQ8_0_codes, OUT_fineRepackQ8_0_d };
typedef struct { wide_t codes, d; } fineRepackQ8_0_out;
enum { AT_fineRepackQ8_0_O, AT_fineRepackQ8_0_K };
typedef struct { wide_t O, K; } fineRepackQ8_0_at;

enum { IN_shortConv_values, IN_shortConv_w, IN_shortConv_pages, IN_shortConv_sequence, IN_shortConv_length };
typedef struct { wide_t values, w, pages, sequence, length; } shortConv_in;
enum { OUT_shortConv_y };
typedef struct { wide_t y; } shortConv_out;
enum { AT_shortConv_N, AT_shortConv_C, AT_shortConv_L, AT_shortConv_T, AT_shortConv_R, AT_shortConv_S };
typedef struct { wide_t N, C, L, T, R, S; } shortConv_at;

enum { IN_shortConvGrad_x, IN_shortConvGrad_w, IN_shortConvGrad_dy };
typedef struct { wide_t x, w, dy; } shortConvGrad_in;
enum { OUT_shortConvGrad_dx, OUT_shortConvGrad_dw };
typedef struct { wide_t dx, dw; } shortConvGrad_out;
enum { AT_shortConvGrad_N, AT_shortConvGrad_C, AT_shortConvGrad_L, AT_shortConvGrad_T };
typedef struct { wide_t N, C, L, T; } shortConvGrad_at;

enum { IN_topExperts_logits, IN_topExperts_bias };
typedef struct { wide_t logits, bias; } topExperts_in;
enum { OUT_topExperts_experts, OUT_topExperts_weights };
typedef struct { wide_t experts, weights; } topExperts_out;
enum { AT_topExperts_N, AT_topExperts_E, AT_topExperts_k, AT_topExperts_gating, AT_topExperts_normalise,
  AT_topExperts_hasBias, AT_topExperts_scale };
typedef struct { wide_t N, E, k, gating, normalise, hasBias, scale; } topExperts_at;

enum { IN_topExpertsGrad_logits, IN_topExpertsGrad_experts, IN_topExpertsGrad_dweights };
typedef struct { wide_t logits, experts, dweights; } topExpertsGrad_in;
enum { OUT_topExpertsGrad_dlogits };
typedef struct { wide_t dlogits; } topExpertsGrad_out;
enum { AT_topExpertsGrad_N, AT_topExpertsGrad_E, AT_topExpertsGrad_k, AT_topExpertsGrad_gating,
  AT_topExpertsGrad_normalise, AT_topExpertsGrad_scale };
typedef struct { wide_t N, E, k, gating, normalise, scale; } topExpertsGrad_at;

enum { IN_expertSum_y, IN_expertSum_weights };
typedef struct { wide_t y, weights; } expertSum_in;
enum { OUT_expertSum_z };
typedef struct { wide_t z; } expertSum_out;
enum { AT_expertSum_N, AT_expertSum_C, AT_expertSum_k, AT_expertSum_hasWeights };
typedef struct { wide_t N, C, k, hasWeights; } expertSum_at;

enum { IN_expertSumGrad_y, IN_expertSumGrad_weights, IN_expertSumGrad_dz };
typedef struct { wide_t y, weights, dz; } expertSumGrad_in;
enum { OUT_expertSumGrad_dy, OUT_expertSumGrad_dweights };
typedef struct { wide_t dy, dweights; } expertSumGrad_out;
enum { AT_expertSumGrad_N, AT_expertSumGrad_C, AT_expertSumGrad_k, AT_expertSumGrad_hasWeights };
typedef struct { wide_t N, C, k, hasWeights; } expertSumGrad_at;

enum { IN_expertMatmul_x, IN_expertMatmul_w, IN_expertMatmul_experts };
typedef struct { wide_t x, w, experts; } expertMatmul_in;
enum { OUT_expertMatmul_y };
typedef struct { wide_t y; } expertMatmul_out;
enum { AT_expertMatmul_N, AT_expertMatmul_O, AT_expertMatmul_K, AT_expertMatmul_E, AT_expertMatmul_k,
  AT_expertMatmul_shared, AT_expertMatmul_layoutB };
typedef struct { wide_t N, O, K, E, k, shared, layoutB; } expertMatmul_at;

enum { IN_expertMatmulGrad_x, IN_expertMatmulGrad_dy, IN_expertMatmulGrad_experts };
typedef struct { wide_t x, dy, experts; } expertMatmulGrad_in;
enum { OUT_expertMatmulGrad_dw };
typedef struct { wide_t dw; } expertMatmulGrad_out;
enum { AT_expertMatmulGrad_N, AT_expertMatmulGrad_O, AT_expertMatmulGrad_K, AT_expertMatmulGrad_E,
  AT_expertMatmulGrad_k, AT_expertMatmulGrad_shared };
typedef struct { wide_t N, O, K, E, k, shared; } expertMatmulGrad_at;

enum { IN_screenQ6_K_w };
typedef struct { wide_t w; } screenQ6_K_in;
enum { OUT_screenQ6_K_codes, OUT_screenQ6_K_s, OUT_screenQ6_K_d, OUT_screenQ6_K_errors };
typedef struct { wide_t codes, s, d, errors; } screenQ6_K_out;
enum { AT_screenQ6_K_O, AT_screenQ6_K_K };
typedef struct { wide_t O, K; } screenQ6_K_at;

enum { IN_screenLimits_x, IN_screenLimits_scale, IN_screenLimits_y, IN_screenLimits_errors, IN_screenLimits_top };
typedef struct { wide_t x, scale, y, errors, top; } screenLimits_in;
enum { OUT_screenLimits_limits };
typedef struct { wide_t limits; } screenLimits_out;
enum { AT_screenLimits_N, AT_screenLimits_O, AT_screenLimits_K };
typedef struct { wide_t N, O, K; } screenLimits_at;

enum { IN_screenedMatmul_x, IN_screenedMatmul_w, IN_screenedMatmul_y, IN_screenedMatmul_errors,
  IN_screenedMatmul_limits };
typedef struct { wide_t x, w, y, errors, limits; } screenedMatmul_in;
enum { OUT_screenedMatmul_logits };
typedef struct { wide_t logits; } screenedMatmul_out;
enum { AT_screenedMatmul_N, AT_screenedMatmul_O, AT_screenedMatmul_K };
typedef struct { wide_t N, O, K; } screenedMatmul_at;

enum { IN_halfRows_w, IN_halfRows_ids };
typedef struct { wide_t w, ids; } halfRows_in;
enum { OUT_halfRows_y };
typedef struct { wide_t y; } halfRows_out;
enum { AT_halfRows_N, AT_halfRows_C, AT_halfRows_V };
typedef struct { wide_t N, C, V; } halfRows_at;

enum { IN_readProbe_x };
typedef struct { wide_t x; } readProbe_in;
enum { OUT_readProbe_y };
typedef struct { wide_t y; } readProbe_out;
enum { AT_readProbe_N };
typedef struct { wide_t N; } readProbe_at;

enum { IN_dotProbe_c, IN_dotProbe_q };
typedef struct { wide_t c, q; } dotProbe_in;
enum { OUT_dotProbe_y };
typedef struct { wide_t y; } dotProbe_out;
enum { AT_dotProbe_N, AT_dotProbe_rounds };
typedef struct { wide_t N, rounds; } dotProbe_at;

enum { IN_quantizeBlocks_x };
typedef struct { wide_t x; } quantizeBlocks_in;
enum { OUT_quantizeBlocks_q, OUT_quantizeBlocks_scale, OUT_quantizeBlocks_sum };
typedef struct { wide_t q, scale, sum; } quantizeBlocks_out;
enum { AT_quantizeBlocks_N, AT_quantizeBlocks_K };
typedef struct { wide_t N, K; } quantizeBlocks_at;

enum { IN_matmulQ4_0_q, IN_matmulQ4_0_scale, IN_matmulQ4_0_sum, IN_matmulQ4_0_w };
typedef struct { wide_t q, scale, sum, w; } matmulQ4_0_in;
enum { OUT_matmulQ4_0_y };
typedef struct { wide_t y; } matmulQ4_0_out;
enum { AT_matmulQ4_0_N, AT_matmulQ4_0_O, AT_matmulQ4_0_K };
typedef struct { wide_t N, O, K; } matmulQ4_0_at;

enum { IN_expertMatmulQ4_0_q, IN_expertMatmulQ4_0_scale, IN_expertMatmulQ4_0_sum, IN_expertMatmulQ4_0_experts,
  IN_expertMatmulQ4_0_w };
typedef struct { wide_t q, scale, sum, experts, w; } expertMatmulQ4_0_in;
enum { OUT_expertMatmulQ4_0_y };
typedef struct { wide_t y; } expertMatmulQ4_0_out;
enum { AT_expertMatmulQ4_0_N, AT_expertMatmulQ4_0_O, AT_expertMatmulQ4_0_K, AT_expertMatmulQ4_0_E,
  AT_expertMatmulQ4_0_k, AT_expertMatmulQ4_0_U };
typedef struct { wide_t N, O, K, E, k, U; } expertMatmulQ4_0_at;

enum { IN_rowsQ4_0_w, IN_rowsQ4_0_ids };
typedef struct { wide_t w, ids; } rowsQ4_0_in;
enum { OUT_rowsQ4_0_y };
typedef struct { wide_t y; } rowsQ4_0_out;
enum { AT_rowsQ4_0_N, AT_rowsQ4_0_O, AT_rowsQ4_0_K };
typedef struct { wide_t N, O, K; } rowsQ4_0_at;

enum { IN_repackQ4_0_raw };
typedef struct { wide_t raw; } repackQ4_0_in;
enum { OUT_repackQ4_0_w };
typedef struct { wide_t w; } repackQ4_0_out;
enum { AT_repackQ4_0_O, AT_repackQ4_0_K };
typedef struct { wide_t O, K; } repackQ4_0_at;

enum { IN_matmulQ4_1_q, IN_matmulQ4_1_scale, IN_matmulQ4_1_sum, IN_matmulQ4_1_w };
typedef struct { wide_t q, scale, sum, w; } matmulQ4_1_in;
enum { OUT_matmulQ4_1_y };
typedef struct { wide_t y; } matmulQ4_1_out;
enum { AT_matmulQ4_1_N, AT_matmulQ4_1_O, AT_matmulQ4_1_K };
typedef struct { wide_t N, O, K; } matmulQ4_1_at;

enum { IN_expertMatmulQ4_1_q, IN_expertMatmulQ4_1_scale, IN_expertMatmulQ4_1_sum, IN_expertMatmulQ4_1_experts,
  IN_expertMatmulQ4_1_w };
typedef struct { wide_t q, scale, sum, experts, w; } expertMatmulQ4_1_in;
enum { OUT_expertMatmulQ4_1_y };
typedef struct { wide_t y; } expertMatmulQ4_1_out;
enum { AT_expertMatmulQ4_1_N, AT_expertMatmulQ4_1_O, AT_expertMatmulQ4_1_K, AT_expertMatmulQ4_1_E,
  AT_expertMatmulQ4_1_k, AT_expertMatmulQ4_1_U };
typedef struct { wide_t N, O, K, E, k, U; } expertMatmulQ4_1_at;

enum { IN_rowsQ4_1_w, IN_rowsQ4_1_ids };
typedef struct { wide_t w, ids; } rowsQ4_1_in;
enum { OUT_rowsQ4_1_y };
typedef struct { wide_t y; } rowsQ4_1_out;
enum { AT_rowsQ4_1_N, AT_rowsQ4_1_O, AT_rowsQ4_1_K };
typedef struct { wide_t N, O, K; } rowsQ4_1_at;

enum { IN_repackQ4_1_raw };
typedef struct { wide_t raw; } repackQ4_1_in;
enum { OUT_repackQ4_1_w };
typedef struct { wide_t w; } repackQ4_1_out;
enum { AT_repackQ4_1_O, AT_repackQ4_1_K };
typedef struct { wide_t O, K; } repackQ4_1_at;

enum { IN_matmulQ5_0_q, IN_matmulQ5_0_scale, IN_matmulQ5_0_sum, IN_matmulQ5_0_w };
typedef struct { wide_t q, scale, sum, w; } matmulQ5_0_in;
enum { OUT_matmulQ5_0_y };
typedef struct { wide_t y; } matmulQ5_0_out;
enum { AT_matmulQ5_0_N, AT_matmulQ5_0_O, AT_matmulQ5_0_K };
typedef struct { wide_t N, O, K; } matmulQ5_0_at;

enum { IN_expertMatmulQ5_0_q, IN_expertMatmulQ5_0_scale, IN_expertMatmulQ5_0_sum, IN_expertMatmulQ5_0_experts,
  IN_expertMatmulQ5_0_w };
typedef struct { wide_t q, scale, sum, experts, w; } expertMatmulQ5_0_in;
enum { OUT_expertMatmulQ5_0_y };
typedef struct { wide_t y; } expertMatmulQ5_0_out;
enum { AT_expertMatmulQ5_0_N, AT_expertMatmulQ5_0_O, AT_expertMatmulQ5_0_K, AT_expertMatmulQ5_0_E,
  AT_expertMatmulQ5_0_k, AT_expertMatmulQ5_0_U };
typedef struct { wide_t N, O, K, E, k, U; } expertMatmulQ5_0_at;

enum { IN_rowsQ5_0_w, IN_rowsQ5_0_ids };
typedef struct { wide_t w, ids; } rowsQ5_0_in;
enum { OUT_rowsQ5_0_y };
typedef struct { wide_t y; } rowsQ5_0_out;
enum { AT_rowsQ5_0_N, AT_rowsQ5_0_O, AT_rowsQ5_0_K };
typedef struct { wide_t N, O, K; } rowsQ5_0_at;

enum { IN_repackQ5_0_raw };
typedef struct { wide_t raw; } repackQ5_0_in;
enum { OUT_repackQ5_0_w };
typedef struct { wide_t w; } repackQ5_0_out;
enum { AT_repackQ5_0_O, AT_repackQ5_0_K };
typedef struct { wide_t O, K; } repackQ5_0_at;

enum { IN_matmulQ5_1_q, IN_matmulQ5_1_scale, IN_matmulQ5_1_sum, IN_matmulQ5_1_w };
typedef struct { wide_t q, scale, sum, w; } matmulQ5_1_in;
enum { OUT_matmulQ5_1_y };
typedef struct { wide_t y; } matmulQ5_1_out;
enum { AT_matmulQ5_1_N, AT_matmulQ5_1_O, AT_matmulQ5_1_K };
typedef struct { wide_t N, O, K; } matmulQ5_1_at;

enum { IN_expertMatmulQ5_1_q, IN_expertMatmulQ5_1_scale, IN_expertMatmulQ5_1_sum, IN_expertMatmulQ5_1_experts,
  IN_expertMatmulQ5_1_w };
typedef struct { wide_t q, scale, sum, experts, w; } expertMatmulQ5_1_in;
enum { OUT_expertMatmulQ5_1_y };
typedef struct { wide_t y; } expertMatmulQ5_1_out;
enum { AT_expertMatmulQ5_1_N, AT_expertMatmulQ5_1_O, AT_expertMatmulQ5_1_K, AT_expertMatmulQ5_1_E,
  AT_expertMatmulQ5_1_k, AT_expertMatmulQ5_1_U };
typedef struct { wide_t N, O, K, E, k, U; } expertMatmulQ5_1_at;

enum { IN_rowsQ5_1_w, IN_rowsQ5_1_ids };
typedef struct { wide_t w, ids; } rowsQ5_1_in;
enum { OUT_rowsQ5_1_y };
typedef struct { wide_t y; } rowsQ5_1_out;
enum { AT_rowsQ5_1_N, AT_rowsQ5_1_O, AT_rowsQ5_1_K };
typedef struct { wide_t N, O, K; } rowsQ5_1_at;

enum { IN_repackQ5_1_raw };
typedef struct { wide_t raw; } repackQ5_1_in;
enum { OUT_repackQ5_1_w };
typedef struct { wide_t w; } repackQ5_1_out;
enum { AT_repackQ5_1_O, AT_repackQ5_1_K };
typedef struct { wide_t O, K; } repackQ5_1_at;

enum { IN_matmulQ8_0_q, IN_matmulQ8_0_scale, IN_matmulQ8_0_sum, IN_matmulQ8_0_w };
typedef struct { wide_t q, scale, sum, w; } matmulQ8_0_in;
enum { OUT_matmulQ8_0_y };
typedef struct { wide_t y; } matmulQ8_0_out;
enum { AT_matmulQ8_0_N, AT_matmulQ8_0_O, AT_matmulQ8_0_K };
typedef struct { wide_t N, O, K; } matmulQ8_0_at;

enum { IN_expertMatmulQ8_0_q, IN_expertMatmulQ8_0_scale, IN_expertMatmulQ8_0_sum, IN_expertMatmulQ8_0_experts,
  IN_expertMatmulQ8_0_w };
typedef struct { wide_t q, scale, sum, experts, w; } expertMatmulQ8_0_in;
enum { OUT_expertMatmulQ8_0_y };
typedef struct { wide_t y; } expertMatmulQ8_0_out;
enum { AT_expertMatmulQ8_0_N, AT_expertMatmulQ8_0_O, AT_expertMatmulQ8_0_K, AT_expertMatmulQ8_0_E,
  AT_expertMatmulQ8_0_k, AT_expertMatmulQ8_0_U };
typedef struct { wide_t N, O, K, E, k, U; } expertMatmulQ8_0_at;

enum { IN_rowsQ8_0_w, IN_rowsQ8_0_ids };
typedef struct { wide_t w, ids; } rowsQ8_0_in;
enum { OUT_rowsQ8_0_y };
typedef struct { wide_t y; } rowsQ8_0_out;
enum { AT_rowsQ8_0_N, AT_rowsQ8_0_O, AT_rowsQ8_0_K };
typedef struct { wide_t N, O, K; } rowsQ8_0_at;

enum { IN_repackQ8_0_raw };
typedef struct { wide_t raw; } repackQ8_0_in;
enum { OUT_repackQ8_0_w };
typedef struct { wide_t w; } repackQ8_0_out;
enum { AT_repackQ8_0_O, AT_repackQ8_0_K };
typedef struct { wide_t O, K; } repackQ8_0_at;

enum { IN_matmulQ2_K_q, IN_matmulQ2_K_scale, IN_matmulQ2_K_sum, IN_matmulQ2_K_w };
typedef struct { wide_t q, scale, sum, w; } matmulQ2_K_in;
enum { OUT_matmulQ2_K_y };
typedef struct { wide_t y; } matmulQ2_K_out;
enum { AT_matmulQ2_K_N, AT_matmulQ2_K_O, AT_matmulQ2_K_K };
typedef struct { wide_t N, O, K; } matmulQ2_K_at;

enum { IN_expertMatmulQ2_K_q, IN_expertMatmulQ2_K_scale, IN_expertMatmulQ2_K_sum, IN_expertMatmulQ2_K_experts,
  IN_expertMatmulQ2_K_w };
typedef struct { wide_t q, scale, sum, experts, w; } expertMatmulQ2_K_in;
enum { OUT_expertMatmulQ2_K_y };
typedef struct { wide_t y; } expertMatmulQ2_K_out;
enum { AT_expertMatmulQ2_K_N, AT_expertMatmulQ2_K_O, AT_expertMatmulQ2_K_K, AT_expertMatmulQ2_K_E,
  AT_expertMatmulQ2_K_k, AT_expertMatmulQ2_K_U };
typedef struct { wide_t N, O, K, E, k, U; } expertMatmulQ2_K_at;

enum { IN_rowsQ2_K_w, IN_rowsQ2_K_ids };
typedef struct { wide_t w, ids; } rowsQ2_K_in;
enum { OUT_rowsQ2_K_y };
typedef struct { wide_t y; } rowsQ2_K_out;
enum { AT_rowsQ2_K_N, AT_rowsQ2_K_O, AT_rowsQ2_K_K };
typedef struct { wide_t N, O, K; } rowsQ2_K_at;

enum { IN_repackQ2_K_raw };
typedef struct { wide_t raw; } repackQ2_K_in;
enum { OUT_repackQ2_K_w };
typedef struct { wide_t w; } repackQ2_K_out;
enum { AT_repackQ2_K_O, AT_repackQ2_K_K };
typedef struct { wide_t O, K; } repackQ2_K_at;

enum { IN_matmulQ3_K_q, IN_matmulQ3_K_scale, IN_matmulQ3_K_sum, IN_matmulQ3_K_w };
typedef struct { wide_t q, scale, sum, w; } matmulQ3_K_in;
enum { OUT_matmulQ3_K_y };
typedef struct { wide_t y; } matmulQ3_K_out;
enum { AT_matmulQ3_K_N, AT_matmulQ3_K_O, AT_matmulQ3_K_K };
typedef struct { wide_t N, O, K; } matmulQ3_K_at;

enum { IN_expertMatmulQ3_K_q, IN_expertMatmulQ3_K_scale, IN_expertMatmulQ3_K_sum, IN_expertMatmulQ3_K_experts,
  IN_expertMatmulQ3_K_w };
typedef struct { wide_t q, scale, sum, experts, w; } expertMatmulQ3_K_in;
enum { OUT_expertMatmulQ3_K_y };
typedef struct { wide_t y; } expertMatmulQ3_K_out;
enum { AT_expertMatmulQ3_K_N, AT_expertMatmulQ3_K_O, AT_expertMatmulQ3_K_K, AT_expertMatmulQ3_K_E,
  AT_expertMatmulQ3_K_k, AT_expertMatmulQ3_K_U };
typedef struct { wide_t N, O, K, E, k, U; } expertMatmulQ3_K_at;

enum { IN_rowsQ3_K_w, IN_rowsQ3_K_ids };
typedef struct { wide_t w, ids; } rowsQ3_K_in;
enum { OUT_rowsQ3_K_y };
typedef struct { wide_t y; } rowsQ3_K_out;
enum { AT_rowsQ3_K_N, AT_rowsQ3_K_O, AT_rowsQ3_K_K };
typedef struct { wide_t N, O, K; } rowsQ3_K_at;

enum { IN_repackQ3_K_raw };
typedef struct { wide_t raw; } repackQ3_K_in;
enum { OUT_repackQ3_K_w };
typedef struct { wide_t w; } repackQ3_K_out;
enum { AT_repackQ3_K_O, AT_repackQ3_K_K };
typedef struct { wide_t O, K; } repackQ3_K_at;

enum { IN_matmulQ4_K_q, IN_matmulQ4_K_scale, IN_matmulQ4_K_sum, IN_matmulQ4_K_w };
typedef struct { wide_t q, scale, sum, w; } matmulQ4_K_in;
enum { OUT_matmulQ4_K_y };
typedef struct { wide_t y; } matmulQ4_K_out;
enum { AT_matmulQ4_K_N, AT_matmulQ4_K_O, AT_matmulQ4_K_K };
typedef struct { wide_t N, O, K; } matmulQ4_K_at;

enum { IN_expertMatmulQ4_K_q, IN_expertMatmulQ4_K_scale, IN_expertMatmulQ4_K_sum, IN_expertMatmulQ4_K_experts,
  IN_expertMatmulQ4_K_w };
typedef struct { wide_t q, scale, sum, experts, w; } expertMatmulQ4_K_in;
enum { OUT_expertMatmulQ4_K_y };
typedef struct { wide_t y; } expertMatmulQ4_K_out;
enum { AT_expertMatmulQ4_K_N, AT_expertMatmulQ4_K_O, AT_expertMatmulQ4_K_K, AT_expertMatmulQ4_K_E,
  AT_expertMatmulQ4_K_k, AT_expertMatmulQ4_K_U };
typedef struct { wide_t N, O, K, E, k, U; } expertMatmulQ4_K_at;

enum { IN_rowsQ4_K_w, IN_rowsQ4_K_ids };
typedef struct { wide_t w, ids; } rowsQ4_K_in;
enum { OUT_rowsQ4_K_y };
typedef struct { wide_t y; } rowsQ4_K_out;
enum { AT_rowsQ4_K_N, AT_rowsQ4_K_O, AT_rowsQ4_K_K };
typedef struct { wide_t N, O, K; } rowsQ4_K_at;

enum { IN_repackQ4_K_raw };
typedef struct { wide_t raw; } repackQ4_K_in;
enum { OUT_repackQ4_K_w };
typedef struct { wide_t w; } repackQ4_K_out;
enum { AT_repackQ4_K_O, AT_repackQ4_K_K };
typedef struct { wide_t O, K; } repackQ4_K_at;

enum { IN_matmulQ5_K_q, IN_matmulQ5_K_scale, IN_matmulQ5_K_sum, IN_matmulQ5_K_w };
typedef struct { wide_t q, scale, sum, w; } matmulQ5_K_in;
enum { OUT_matmulQ5_K_y };
typedef struct { wide_t y; } matmulQ5_K_out;
enum { AT_matmulQ5_K_N, AT_matmulQ5_K_O, AT_matmulQ5_K_K };
typedef struct { wide_t N, O, K; } matmulQ5_K_at;

enum { IN_expertMatmulQ5_K_q, IN_expertMatmulQ5_K_scale, IN_expertMatmulQ5_K_sum, IN_expertMatmulQ5_K_experts,
  IN_expertMatmulQ5_K_w };
typedef struct { wide_t q, scale, sum, experts, w; } expertMatmulQ5_K_in;
enum { OUT_expertMatmulQ5_K_y };
typedef struct { wide_t y; } expertMatmulQ5_K_out;
enum { AT_expertMatmulQ5_K_N, AT_expertMatmulQ5_K_O, AT_expertMatmulQ5_K_K, AT_expertMatmulQ5_K_E,
  AT_expertMatmulQ5_K_k, AT_expertMatmulQ5_K_U };
typedef struct { wide_t N, O, K, E, k, U; } expertMatmulQ5_K_at;

enum { IN_rowsQ5_K_w, IN_rowsQ5_K_ids };
typedef struct { wide_t w, ids; } rowsQ5_K_in;
enum { OUT_rowsQ5_K_y };
typedef struct { wide_t y; } rowsQ5_K_out;
enum { AT_rowsQ5_K_N, AT_rowsQ5_K_O, AT_rowsQ5_K_K };
typedef struct { wide_t N, O, K; } rowsQ5_K_at;

enum { IN_repackQ5_K_raw };
typedef struct { wide_t raw; } repackQ5_K_in;
enum { OUT_repackQ5_K_w };
typedef struct { wide_t w; } repackQ5_K_out;
enum { AT_repackQ5_K_O, AT_repackQ5_K_K };
typedef struct { wide_t O, K; } repackQ5_K_at;

enum { IN_matmulQ6_K_q, IN_matmulQ6_K_scale, IN_matmulQ6_K_sum, IN_matmulQ6_K_w };
typedef struct { wide_t q, scale, sum, w; } matmulQ6_K_in;
enum { OUT_matmulQ6_K_y };
typedef struct { wide_t y; } matmulQ6_K_out;
enum { AT_matmulQ6_K_N, AT_matmulQ6_K_O, AT_matmulQ6_K_K };
typedef struct { wide_t N, O, K; } matmulQ6_K_at;

enum { IN_expertMatmulQ6_K_q, IN_expertMatmulQ6_K_scale, IN_expertMatmulQ6_K_sum, IN_expertMatmulQ6_K_experts,
  IN_expertMatmulQ6_K_w };
typedef struct { wide_t q, scale, sum, experts, w; } expertMatmulQ6_K_in;
enum { OUT_expertMatmulQ6_K_y };
typedef struct { wide_t y; } expertMatmulQ6_K_out;
enum { AT_expertMatmulQ6_K_N, AT_expertMatmulQ6_K_O, AT_expertMatmulQ6_K_K, AT_expertMatmulQ6_K_E,
  AT_expertMatmulQ6_K_k, AT_expertMatmulQ6_K_U };
typedef struct { wide_t N, O, K, E, k, U; } expertMatmulQ6_K_at;

enum { IN_rowsQ6_K_w, IN_rowsQ6_K_ids };
typedef struct { wide_t w, ids; } rowsQ6_K_in;
enum { OUT_rowsQ6_K_y };
typedef struct { wide_t y; } rowsQ6_K_out;
enum { AT_rowsQ6_K_N, AT_rowsQ6_K_O, AT_rowsQ6_K_K };
typedef struct { wide_t N, O, K; } rowsQ6_K_at;

enum { IN_repackQ6_K_raw };
typedef struct { wide_t raw; } repackQ6_K_in;
enum { OUT_repackQ6_K_w };
typedef struct { wide_t w; } repackQ6_K_out;
enum { AT_repackQ6_K_O, AT_repackQ6_K_K };
typedef struct { wide_t O, K; } repackQ6_K_at;

enum { IN_matmulIQ4_NL_q, IN_matmulIQ4_NL_scale, IN_matmulIQ4_NL_sum, IN_matmulIQ4_NL_w };
typedef struct { wide_t q, scale, sum, w; } matmulIQ4_NL_in;
enum { OUT_matmulIQ4_NL_y };
typedef struct { wide_t y; } matmulIQ4_NL_out;
enum { AT_matmulIQ4_NL_N, AT_matmulIQ4_NL_O, AT_matmulIQ4_NL_K };
typedef struct { wide_t N, O, K; } matmulIQ4_NL_at;

enum { IN_expertMatmulIQ4_NL_q, IN_expertMatmulIQ4_NL_scale, IN_expertMatmulIQ4_NL_sum, IN_expertMatmulIQ4_NL_experts,
  IN_expertMatmulIQ4_NL_w };
typedef struct { wide_t q, scale, sum, experts, w; } expertMatmulIQ4_NL_in;
enum { OUT_expertMatmulIQ4_NL_y };
typedef struct { wide_t y; } expertMatmulIQ4_NL_out;
enum { AT_expertMatmulIQ4_NL_N, AT_expertMatmulIQ4_NL_O, AT_expertMatmulIQ4_NL_K, AT_expertMatmulIQ4_NL_E,
  AT_expertMatmulIQ4_NL_k, AT_expertMatmulIQ4_NL_U };
typedef struct { wide_t N, O, K, E, k, U; } expertMatmulIQ4_NL_at;

enum { IN_rowsIQ4_NL_w, IN_rowsIQ4_NL_ids };
typedef struct { wide_t w, ids; } rowsIQ4_NL_in;
enum { OUT_rowsIQ4_NL_y };
typedef struct { wide_t y; } rowsIQ4_NL_out;
enum { AT_rowsIQ4_NL_N, AT_rowsIQ4_NL_O, AT_rowsIQ4_NL_K };
typedef struct { wide_t N, O, K; } rowsIQ4_NL_at;

enum { IN_repackIQ4_NL_raw };
typedef struct { wide_t raw; } repackIQ4_NL_in;
enum { OUT_repackIQ4_NL_w };
typedef struct { wide_t w; } repackIQ4_NL_out;
enum { AT_repackIQ4_NL_O, AT_repackIQ4_NL_K };
typedef struct { wide_t O, K; } repackIQ4_NL_at;

enum { IN_matmulIQ4_XS_q, IN_matmulIQ4_XS_scale, IN_matmulIQ4_XS_sum, IN_matmulIQ4_XS_w };
typedef struct { wide_t q, scale, sum, w; } matmulIQ4_XS_in;
enum { OUT_matmulIQ4_XS_y };
typedef struct { wide_t y; } matmulIQ4_XS_out;
enum { AT_matmulIQ4_XS_N, AT_matmulIQ4_XS_O, AT_matmulIQ4_XS_K };
typedef struct { wide_t N, O, K; } matmulIQ4_XS_at;

enum { IN_expertMatmulIQ4_XS_q, IN_expertMatmulIQ4_XS_scale, IN_expertMatmulIQ4_XS_sum, IN_expertMatmulIQ4_XS_experts,
  IN_expertMatmulIQ4_XS_w };
typedef struct { wide_t q, scale, sum, experts, w; } expertMatmulIQ4_XS_in;
enum { OUT_expertMatmulIQ4_XS_y };
typedef struct { wide_t y; } expertMatmulIQ4_XS_out;
enum { AT_expertMatmulIQ4_XS_N, AT_expertMatmulIQ4_XS_O, AT_expertMatmulIQ4_XS_K, AT_expertMatmulIQ4_XS_E,
  AT_expertMatmulIQ4_XS_k, AT_expertMatmulIQ4_XS_U };
typedef struct { wide_t N, O, K, E, k, U; } expertMatmulIQ4_XS_at;

enum { IN_rowsIQ4_XS_w, IN_rowsIQ4_XS_ids };
typedef struct { wide_t w, ids; } rowsIQ4_XS_in;
enum { OUT_rowsIQ4_XS_y };
typedef struct { wide_t y; } rowsIQ4_XS_out;
enum { AT_rowsIQ4_XS_N, AT_rowsIQ4_XS_O, AT_rowsIQ4_XS_K };
typedef struct { wide_t N, O, K; } rowsIQ4_XS_at;

enum { IN_repackIQ4_XS_raw };
typedef struct { wide_t raw; } repackIQ4_XS_in;
enum { OUT_repackIQ4_XS_w };
typedef struct { wide_t w; } repackIQ4_XS_out;
enum { AT_repackIQ4_XS_O, AT_repackIQ4_XS_K };
typedef struct { wide_t O, K; } repackIQ4_XS_at;

enum { IN_matmulMXFP4_q, IN_matmulMXFP4_scale, IN_matmulMXFP4_sum, IN_matmulMXFP4_w };
typedef struct { wide_t q, scale, sum, w; } matmulMXFP4_in;
enum { OUT_matmulMXFP4_y };
typedef struct { wide_t y; } matmulMXFP4_out;
enum { AT_matmulMXFP4_N, AT_matmulMXFP4_O, AT_matmulMXFP4_K };
typedef struct { wide_t N, O, K; } matmulMXFP4_at;

enum { IN_expertMatmulMXFP4_q, IN_expertMatmulMXFP4_scale, IN_expertMatmulMXFP4_sum, IN_expertMatmulMXFP4_experts,
  IN_expertMatmulMXFP4_w };
typedef struct { wide_t q, scale, sum, experts, w; } expertMatmulMXFP4_in;
enum { OUT_expertMatmulMXFP4_y };
typedef struct { wide_t y; } expertMatmulMXFP4_out;
enum { AT_expertMatmulMXFP4_N, AT_expertMatmulMXFP4_O, AT_expertMatmulMXFP4_K, AT_expertMatmulMXFP4_E,
  AT_expertMatmulMXFP4_k, AT_expertMatmulMXFP4_U };
typedef struct { wide_t N, O, K, E, k, U; } expertMatmulMXFP4_at;

enum { IN_rowsMXFP4_w, IN_rowsMXFP4_ids };
typedef struct { wide_t w, ids; } rowsMXFP4_in;
enum { OUT_rowsMXFP4_y };
typedef struct { wide_t y; } rowsMXFP4_out;
enum { AT_rowsMXFP4_N, AT_rowsMXFP4_O, AT_rowsMXFP4_K };
typedef struct { wide_t N, O, K; } rowsMXFP4_at;

enum { IN_repackMXFP4_raw };
typedef struct { wide_t raw; } repackMXFP4_in;
enum { OUT_repackMXFP4_w };
typedef struct { wide_t w; } repackMXFP4_out;
enum { AT_repackMXFP4_O, AT_repackMXFP4_K };
typedef struct { wide_t O, K; } repackMXFP4_at;

#endif
