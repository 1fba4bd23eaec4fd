/* The needs of each op: the bytes of every tensor for given attributes. A plan with a shorter tensor is refused, so no
 * kernel can read or write outside its buffers, whatever the plan says. Attributes here are the largest that the plan
 * allows. */
#include "ops.h"
#include "blocksize.h"

static int sizes(const wide_t *a, int n) {
  for (int i = 0; i < n; i++)
    if (a[i] < 0 || a[i] > INT32_MAX) return 0;
  return 1;
}
#define F(n) (4 * (n))
/* The same, with the attributes and the bytes of operands by name; the table has the first form. */
#define NEED(name) static int name##_need(const name##_at *a, name##_in *in, name##_out *out)
/* An op with the operands of another. */
#define NEED_AS(name, other) other##_need((const other##_at *)a, (other##_in *)in, (other##_out *)out)
#define SIZES(n) sizes((const wide_t *)a, n)
#define UNUSED (void)in, (void)out

NEED(matmul) {
  if (!SIZES(6) || a->K < 1 || a->layoutB > 4) return 0;
  in->a = F(a->M * a->K);
  in->b = (a->layoutB >= 3 ? 2 : 4) * ((a->layoutB >= 2 ? round_up(a->Nc, 32) : a->Nc) * a->K);
  in->bias = a->hasBias ? F(a->Nc) : 0;
  out->c = F(a->M * a->Nc);
  return 1;
}
NEED(panels) {
  in->b = F(a->Nc * a->K);
  out->p = F(round_up(a->Nc, 32) * a->K);
  return SIZES(3) && a->K > 0 && a->layoutB < 2;
}
NEED(halfPanels) {
  in->w = 2 * (a->Nc * a->K);
  out->p = 2 * (round_up(a->Nc, 32) * a->K);
  return SIZES(3) && a->Nc > 0 && a->K > 0 && (a->half == 1 || a->half == 2);
}
NEED(panelRows) {
  in->p = (a->half ? 2 : 4) * (round_up(a->V, 32) * a->C);
  in->ids = F(a->N);
  out->y = F(a->N * a->C);
  return SIZES(4) && a->half <= 2;
}
NEED(columnSum) {
  in->x = F(a->N * a->C);
  out->y = F(a->C);
  return SIZES(2);
}
NEED(add) {
  in->a = in->b = out->y = F(a->N * a->C);
  return SIZES(2);
}
NEED(addBias) {
  in->x = out->y = F(a->N * a->C);
  in->bias = F(a->C);
  return SIZES(2);
}
NEED(scale) {
  in->x = out->y = F(a->N * a->C);
  in->s = 4;
  return SIZES(2);
}
NEED(embedding) {
  in->table = F(a->V * a->C);
  in->ids = F(a->N);
  out->y = F(a->N * a->C);
  return SIZES(3);
}
NEED(embeddingGrad) {
  in->dy = F(a->N * a->C);
  in->ids = F(a->N);
  out->dtable = F(a->V * a->C);
  return SIZES(3);
}
static int parts(const wide_t *a, wide_t *whole, wide_t *part) {
  if (!SIZES(4)) return 0;
  *whole = F(a[0] * (a[1] + a[2] + a[3]));
  for (int i = 0; i < 3; i++) part[i] = F(a[0] * a[1 + i]);
  return 1;
}
NEED(split) { return parts((const wide_t *)a, &in->x, (wide_t *)out); }
NEED(concat) { return parts((const wide_t *)a, &out->y, (wide_t *)in); }
NEED(layerNorm) {
  in->x = out->y = F(a->N * a->C);
  in->g = F(a->C);
  in->b = a->hasBias ? F(a->C) : 0;
  out->stats = F(a->N * 2);
  return SIZES(3) && a->C > 0;
}
NEED(layerNormGrad) {
  in->x = in->dy = out->dx = F(a->N * a->C);
  in->g = F(a->C);
  in->stats = F(a->N * 2);
  return SIZES(2) && a->C > 0;
}
NEED(layerNormParamGrad) {
  in->x = in->dy = F(a->N * a->C);
  in->stats = F(a->N * 2);
  out->dg = F(a->C);
  out->db = a->hasBias ? F(a->C) : 0;
  return SIZES(3);
}
/* the width of a head; 0 where there are no whole heads */
static wide_t head_width(wide_t C, wide_t H) { return H > 0 && C % H == 0 ? C / H : 0; }
NEED(rmsNorm) {
  in->x = out->y = F(a->N * a->C);
  in->g = F(head_width(a->C, a->H));
  out->stats = F(a->N * a->H);
  return SIZES(3) && in->g > 0;
}
NEED(rmsNormGrad) {
  in->x = in->dy = out->dx = F(a->N * a->C);
  in->g = F(head_width(a->C, a->H));
  in->stats = F(a->N * a->H);
  return SIZES(3) && in->g > 0;
}
NEED(rmsNormParamGrad) {
  in->x = in->dy = F(a->N * a->C);
  in->stats = F(a->N * a->H);
  out->dg = F(head_width(a->C, a->H));
  return SIZES(3) && out->dg > 0;
}
NEED(gelu) {
  in->x = out->y = F(a->N * a->C);
  return SIZES(2);
}
NEED(geluGrad) {
  in->x = in->dy = out->dx = F(a->N * a->C);
  return SIZES(2);
}
NEED(reluSquareGate) {
  in->gate = in->up = out->y = F(a->N * a->C);
  return SIZES(2);
}
NEED(reluSquareGateGrad) {
  in->gate = in->up = in->dy = out->dgate = out->dup = F(a->N * a->C);
  return SIZES(2);
}
NEED(siluGate) { return NEED_AS(siluGate, reluSquareGate); }
NEED(siluGateGrad) { return NEED_AS(siluGateGrad, reluSquareGateGrad); }
NEED(geluTanh) { return NEED_AS(geluTanh, gelu); }
NEED(geluTanhGrad) { return NEED_AS(geluTanhGrad, geluGrad); }
NEED(geluTanhGate) { return NEED_AS(geluTanhGate, reluSquareGate); }
NEED(geluTanhGateGrad) { return NEED_AS(geluTanhGateGrad, reluSquareGateGrad); }
NEED(softcap) { return NEED_AS(softcap, gelu); }
NEED(softcapGrad) { return NEED_AS(softcapGrad, geluGrad); }
NEED(multiply) { return NEED_AS(multiply, add); }
NEED(dropout) {
  in->x = out->y = F(a->N * a->C);
  in->rng = 12;
  return SIZES(2);
}
NEED(rope) {
  in->x = out->y = F(a->N * a->H * a->D);
  in->positions = F(a->N);
  in->cos = in->sin = F(a->T * (a->R / 2));
  return SIZES(6) && a->R % 2 == 0 && a->R <= a->D && a->H * a->D <= INT32_MAX;
}
NEED(writeKeys) {
  in->k = F(a->N * a->G * a->D);
  in->cacheRow = F(a->N);
  out->cache = (a->half ? 2 : 4) * (a->G * a->R * a->D);
  return SIZES(5) && a->half <= 1 && a->R % 16 == 0 && a->G * a->D <= INT32_MAX;
}
NEED(writeValues) { return NEED_AS(writeValues, writeKeys); }
static int heads(wide_t H, wide_t G, wide_t D, wide_t T) {
  return H > 0 && G > 0 && H % G == 0 && D > 0 && T > 0 && H * D <= INT32_MAX;
}
NEED(attention) {
  if (!SIZES(10) || !heads(a->H, a->G, a->D, a->T) || a->R % 16 || a->H * a->T > INT32_MAX || a->half > 1) return 0;
  in->q = out->o = F(a->N * a->H * a->D);
  in->keys = in->values = (a->half ? 2 : 4) * (a->G * a->R * a->D);
  in->sinks = a->hasSinks ? F(a->H) : 0;
  out->rest = a->hasSinks ? F(a->N * a->H) : 0;
  in->pages = F(a->S * ((a->T + 15) / 16));
  in->sequence = in->length = F(a->N);
  out->p = F(a->N * a->H * a->T);
  return 1;
}
NEED(attentionGrad) {
  if (!SIZES(5) || !heads(a->H, a->G, a->D, a->T) || a->D * a->T > INT32_MAX) return 0;
  in->q = in->o = in->dO = out->dq = F(a->N * a->H * a->D);
  in->k = in->v = out->dk = out->dv = F(a->N * a->G * a->D);
  in->p = F(a->N * a->H * a->T);
  return 1;
}
NEED(attentionSinkGrad) {
  in->o = in->dO = F(a->N * a->H * a->D);
  in->rest = F(a->N * a->H);
  out->dsinks = F(a->H);
  return SIZES(3) && a->H * a->D <= INT32_MAX;
}
NEED(shortConv) {
  in->values = F(a->R * a->C);
  in->w = F(a->C * a->L);
  in->pages = F(a->S * ((a->T + 15) / 16));
  in->sequence = in->length = F(a->N);
  out->y = F(a->N * a->C);
  return SIZES(6) && a->C > 0 && a->L > 0 && a->T > 0 && a->R % 16 == 0;
}
NEED(shortConvGrad) {
  in->x = in->dy = out->dx = F(a->N * a->C);
  in->w = out->dw = F(a->C * a->L);
  return SIZES(4) && a->C > 0 && a->L > 0 && a->T > 0;
}
NEED(topExperts) {
  in->logits = F(a->N * a->E);
  in->bias = a->hasBias ? F(a->E) : 0;
  out->experts = out->weights = F(a->N * a->k);
  return SIZES(6) && a->k > 0 && a->k <= a->E && a->gating <= 2 && a->normalise <= 1;
}
NEED(topExpertsGrad) {
  in->logits = out->dlogits = F(a->N * a->E);
  in->experts = in->dweights = F(a->N * a->k);
  return SIZES(5) && a->k > 0 && a->k <= a->E && a->gating <= 2 && a->normalise <= 1;
}
NEED(expertSum) {
  in->y = F(a->N * a->k * a->C);
  in->weights = a->hasWeights ? F(a->N * a->k) : 0;
  out->z = F(a->N * a->C);
  return SIZES(4) && a->k > 0;
}
NEED(expertSumGrad) {
  in->dz = F(a->N * a->C);
  out->dy = F(a->N * a->k * a->C);
  in->y = a->hasWeights ? out->dy : 0;
  in->weights = out->dweights = a->hasWeights ? F(a->N * a->k) : 0;
  return SIZES(4) && a->k > 0 && a->C > 0;
}
enum { MOST_EXPERTS = 1 << 16 };
NEED(expertMatmul) {
  if (!SIZES(7) || a->O < 1 || a->K < 1 || a->E < 1 || a->E > MOST_EXPERTS || a->k < 1 || a->layoutB > 4) return 0;
  in->x = F(a->N * (a->shared ? 1 : a->k) * a->K);
  in->w = (a->layoutB >= 3 ? 2 : 4) * (a->E * (a->layoutB >= 2 ? round_up(a->O, 32) : a->O) * a->K);
  in->experts = F(a->N * a->k);
  out->y = F(a->N * a->k * a->O);
  return a->N * a->k <= INT32_MAX;
}
NEED(expertMatmulGrad) {
  in->x = F(a->N * (a->shared ? 1 : a->k) * a->K);
  in->dy = F(a->N * a->k * a->O);
  in->experts = F(a->N * a->k);
  out->dw = F(a->E * a->O * a->K);
  return SIZES(6) && a->O > 0 && a->K > 0 && a->E > 0 && a->E <= MOST_EXPERTS && a->k > 0 && a->N * a->k <= INT32_MAX;
}
NEED(crossEntropy) {
  in->logits = F(a->N * a->V);
  in->targets = out->loss = F(a->N);
  out->stats = F(a->N * 2);
  return SIZES(2) && a->V > 0;
}
NEED(crossEntropyGrad) {
  in->logits = out->dlogits = F(a->N * a->V);
  in->targets = in->dloss = F(a->N);
  in->stats = F(a->N * 2);
  return SIZES(2) && a->V > 0;
}
NEED(mean) {
  in->x = F(a->N);
  out->y = 4;
  return SIZES(1) && a->N > 0;
}
NEED(meanGrad) {
  in->dy = 4;
  out->dx = F(a->N);
  return SIZES(1) && a->N > 0;
}
/* 768 times as many is below 2^31: the sum of products with codes stays within an int32, also with code 3, and that of
 * half of them with fourfold codes (AVX2, one row) */
enum { LONGEST_ROW = 1 << 21 };
NEED(quantizeRows) {
  in->x = F(a->N * a->K);
  out->q = a->N * round_up(a->K, 16);
  out->scale = out->sum = F(a->N);
  return SIZES(2) && a->K > 0 && a->K <= LONGEST_ROW;
}
NEED(dequantizeRows) {
  in->q = a->N * round_up(a->K, 16);
  in->scale = F(a->N);
  out->xhat = F(a->N * a->K);
  return SIZES(2);
}
static int64_t packed(int64_t outputs, int64_t k) { return round_up(outputs, 16) * round_up(k, 16) / 4; }
NEED(ternarize) {
  in->w = F(a->O * a->K);
  out->t = packed(a->O, a->K);
  out->m = 4;
  return SIZES(2) && a->O > 0 && a->K > 0;
}
NEED(unternarize) {
  in->t = packed(a->O, a->K);
  in->m = 4;
  out->what = F(a->O * a->K);
  return SIZES(2) && a->O > 0 && a->K > 0;
}
NEED(ternaryMatmul) {
  in->q = a->N * round_up(a->K, 16);
  in->scale = in->sum = F(a->N);
  in->t = packed(a->O, a->K);
  in->m = 4;
  out->y = F(a->N * a->O);
  return SIZES(3) && a->O > 0 && a->K > 0 && a->K <= LONGEST_ROW;
}
static wide_t base3(wide_t outputs, wide_t k) { return (outputs + 15) / 16 * ((k + 19) / 20) * 64; }
NEED(ternaryMatmulBase3) {
  const int ok = NEED_AS(ternaryMatmulBase3, ternaryMatmul);
  in->t = base3(a->O, a->K);
  return ok;
}
NEED(repackTernary) {
  const wide_t n = a->O * a->K;
  in->raw = a->format == 0 ? n / 4 + 32 : n / 256 * (a->format == 1 ? 66 : 54);
  out->t = a->base3 ? base3(a->O, a->K) : packed(a->O, a->K);
  return SIZES(4) && a->O > 0 && a->K > 0 && a->format <= 2 && a->base3 <= 1 &&
         (a->format == 0 ? n % 128 : a->K % 256) == 0; /* TQ1_0 and TQ2_0: whole blocks in each row */
}
NEED(quantizeFine) {
  const wide_t k16 = round_up((int64_t)a->K, 16);
  in->x = F(a->N * a->K);
  out->q = 2 * a->N * k16;
  out->scale = F(a->N);
  out->sum = F(a->N * (k16 / 16));
  return SIZES(2) && a->K > 0 && a->K <= LONGEST_ROW;
}
/* codes, scales and factors of a matrix of 6-bit weights */
static int fine_q6_k(wide_t O, wide_t K, wide_t *codes, wide_t *scales, wide_t *factors) {
  if (O < 1 || K < 1 || K % 256 || K > LONGEST_ROW) return 0;
  const wide_t n = round_up((int64_t)O, 16) * K;
  *codes = n / 4 * 3;
  *scales = n / 16;
  *factors = F(n / 256);
  return 1;
}
NEED(fineMatmulQ6_K) {
  in->q = 2 * a->N * a->K;
  in->scale = F(a->N);
  in->sum = F(a->N * (a->K / 16));
  out->y = F(a->N * a->O);
  return SIZES(3) && fine_q6_k(a->O, a->K, &in->codes, &in->s, &in->d);
}
NEED(fineRowsQ6_K) {
  in->ids = F(a->N);
  out->y = F(a->N * a->K);
  return SIZES(3) && fine_q6_k(a->O, a->K, &in->codes, &in->s, &in->d);
}
NEED(fineRepackQ6_K) {
  in->raw = a->O * a->K / 256 * 210;
  return SIZES(2) && fine_q6_k(a->O, a->K, &out->codes, &out->s, &out->d);
}
NEED(readProbe) {
  in->x = a->N;
  out->y = F((a->N + (1 << 20) - 1) / (1 << 20));
  return SIZES(1) && a->N % 64 == 0;
}
NEED(dotProbe) { /* 12 * 2 * 4 products of 3 * 128 at most a round */
  in->c = 128;
  in->q = 28 * 4;
  out->y = F(a->N * 16);
  return SIZES(2) && a->rounds <= 1 << 15;
}
/* codes and factors of a matrix of 8-bit weights */
static int fine_q8_0(wide_t O, wide_t K, wide_t *codes, wide_t *factors) {
  if (O < 1 || K < 1 || K % 32 || K > LONGEST_ROW) return 0;
  const wide_t n = round_up((int64_t)O, 16) * K;
  *codes = n;
  *factors = n / 16;
  return 1;
}
NEED(fineMatmulQ8_0) {
  in->q = 2 * a->N * a->K;
  in->scale = F(a->N);
  in->sum = F(a->N * (a->K / 16));
  out->y = F(a->N * a->O);
  return SIZES(3) && fine_q8_0(a->O, a->K, &in->codes, &in->d);
}
NEED(fineRowsQ8_0) {
  in->ids = F(a->N);
  out->y = F(a->N * a->K);
  return SIZES(3) && fine_q8_0(a->O, a->K, &in->codes, &in->d);
}
NEED(fineRepackQ8_0) {
  in->raw = a->O * a->K / 32 * 34;
  return SIZES(2) && fine_q8_0(a->O, a->K, &out->codes, &out->d);
}
/* a product's bound holds for rows of at most this many inputs */
enum { LONGEST_SCREENED = 1 << 20 };
static int screened(wide_t O, wide_t K) { return O > 0 && K > 0 && K % 256 == 0 && K <= LONGEST_SCREENED; }
NEED(screenQ6_K) {
  in->w = 2 * (a->O * a->K);
  out->errors = F(round_up(a->O, 16) * 2);
  return SIZES(2) && screened(a->O, a->K) && fine_q6_k(a->O, a->K, &out->codes, &out->s, &out->d);
}
NEED(screenLimits) {
  in->x = F(a->N * a->K);
  in->scale = in->top = F(a->N);
  in->y = F(a->N * a->O);
  in->errors = F(round_up(a->O, 16) * 2);
  out->limits = F(a->N * 3);
  return SIZES(3) && screened(a->O, a->K);
}
NEED(screenedMatmul) {
  in->x = F(a->N * a->K);
  in->w = 2 * (a->O * a->K);
  in->y = out->logits = F(a->N * a->O);
  in->errors = F(round_up(a->O, 16) * 2);
  in->limits = F(a->N * 3);
  return SIZES(3) && screened(a->O, a->K);
}
NEED(halfRows) {
  in->w = 2 * (a->V * a->C);
  in->ids = F(a->N);
  out->y = F(a->N * a->C);
  return SIZES(3);
}
/* activations for products with block-quantised weights: codes, a scale for 32, a sum for 16 */
static void block_rows(wide_t n, wide_t k, wide_t *q, wide_t *scale, wide_t *sum) {
  *q = n * k;
  *scale = F(n * (k / 32));
  *sum = F(n * (k / 16));
}
NEED(quantizeBlocks) {
  in->x = F(a->N * a->K);
  block_rows(a->N, a->K, &out->q, &out->scale, &out->sum);
  return SIZES(2) && a->K > 0 && a->K % 32 == 0 && a->K <= LONGEST_ROW;
}
static int block_matrix(int type, wide_t O, wide_t K) {
  return O > 0 && K > 0 && K % block_sizes[type].block == 0 && K <= LONGEST_ROW;
}
#define X(name, ...)                                                                             \
  NEED(matmul##name) {                                                                           \
    if (!SIZES(3) || !block_matrix(BLOCK_##name, a->O, a->K)) return 0;                          \
    block_rows(a->N, a->K, &in->q, &in->scale, &in->sum);                                        \
    in->w = packed_bytes(BLOCK_##name, (int64_t)a->O, (int64_t)a->K);                            \
    out->y = F(a->N * a->O);                                                                     \
    return 1;                                                                                    \
  }                                                                                              \
  NEED(expertMatmul##name) {                                                                     \
    if (!SIZES(6) || !block_matrix(BLOCK_##name, a->O, a->K) || a->N * a->k > INT32_MAX ||       \
        (a->U != 1 && a->U != a->k))                                                             \
      return 0;                                                                                  \
    block_rows(a->N * a->U, a->K, &in->q, &in->scale, &in->sum);                                 \
    in->experts = F(a->N * a->k);                                                                \
    in->w = a->E * packed_bytes(BLOCK_##name, (int64_t)a->O, (int64_t)a->K);                     \
    out->y = F(a->N * a->k * a->O);                                                              \
    return 1;                                                                                    \
  }                                                                                              \
  NEED(rows##name) {                                                                             \
    if (!SIZES(3) || !block_matrix(BLOCK_##name, a->O, a->K)) return 0;                          \
    in->w = packed_bytes(BLOCK_##name, (int64_t)a->O, (int64_t)a->K);                            \
    in->ids = F(a->N);                                                                           \
    out->y = F(a->N * a->K);                                                                     \
    return 1;                                                                                    \
  }                                                                                              \
  NEED(repack##name) {                                                                           \
    if (!SIZES(2) || !block_matrix(BLOCK_##name, a->O, a->K)) return 0;                          \
    in->raw = a->O * (a->K / block_sizes[BLOCK_##name].block) * block_sizes[BLOCK_##name].bytes; \
    out->w = packed_bytes(BLOCK_##name, (int64_t)a->O, (int64_t)a->K);                           \
    return 1;                                                                                    \
  }
BLOCK_FORMATS(X)
#undef X
NEED(squareSum) {
  in->x = F(a->P);
  out->s = F((a->P + 4095) / 4096);
  return SIZES(1);
}
NEED(clipFactor) {
  in->s = F(a->S);
  out->f = 8;
  return SIZES(1);
}
NEED(adamw) {
  in->w = in->g = in->m = in->v = out->w = out->m = out->v = F(a->P);
  in->f = 8;
  in->hyper = 24;
  return SIZES(2) && a->decayed <= a->P;
}

#define X(name, ...)                                                              \
  static int name##_plain(const wide_t *a, wide_t *in, wide_t *out) {             \
    return name##_need((const name##_at *)a, (name##_in *)in, (name##_out *)out); \
  }
OPS(X)
#undef X

const op_info op_infos[OP_COUNT] = {
#define X(name, ...) {#name, __VA_ARGS__, name##_plain},
    OPS(X)
#undef X
};

#define ISA(name) extern const isa_t verit_isa_##name;
#ifdef HAVE_X86
ISA(avx512)
ISA(avx2vnni)
ISA(avx2)
#endif
#ifdef HAVE_NEON
ISA(neondot)
ISA(neon)
#endif
ISA(baseline)

#ifdef HAVE_X86
#include <cpuid.h>
/* 4: AVX-512 with VNNI; 3: AVX2 with FMA; 1: neither. The feature bits are those of the x86-64 levels that kernels.c is
 * compiled for (Intel SDM vol. 2, CPUID), and the system must save the wide registers (XGETBV). */
static int x86_level(void) {
  unsigned a, b, c, d, b7, c7, cx, xcr0, high;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return 1;
  const unsigned basic = 1u << 12 | 1u << 22 | 1u << 27 | 1u << 28 | 1u << 29; /* FMA, MOVBE, OSXSAVE, AVX, F16C */
  if ((c & basic) != basic) return 1;
  __asm__("xgetbv" : "=a"(xcr0), "=d"(high) : "c"(0));
  if (!__get_cpuid_count(7, 0, &a, &b7, &c7, &d) || !__get_cpuid(0x80000001, &a, &b, &cx, &d)) return 1;
  const unsigned wide = 1u << 3 | 1u << 5 | 1u << 8;                                /* BMI1, AVX2, BMI2 */
  if ((b7 & wide) != wide || !(cx & 1u << 5) || (xcr0 & 6) != 6) return 1;          /* LZCNT; YMM saved */
  const unsigned wider = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;      /* AVX-512 F, DQ, CD, BW, VL */
  return (b7 & wider) == wider && (c7 & 1u << 11) && (xcr0 & 0xe6) == 0xe6 ? 4 : 3; /* VNNI; ZMM saved */
}
static atomic_int vbmi = -1; /* asked once: a guest's CPUID is slow */
int cpu_has_vbmi(void) {
  int known = atomic_load_explicit(&vbmi, memory_order_relaxed);
  if (known < 0) {
    unsigned a, b, c, d;
    known = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & 2) && x86_level() >= 4;
    atomic_store_explicit(&vbmi, known, memory_order_relaxed);
  }
  return known;
}
static int has_avx_vnni(void) {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
}
#endif

#ifdef HAVE_NEON
int cpu_has_vbmi(void) { return 0; }
#ifdef __linux__
#include <sys/auxv.h>
static int has_dot(void) { return (getauxval(AT_HWCAP) & 1ul << 20) != 0; } /* HWCAP_ASIMDDP */
#else
static int has_dot(void) { return 1; } /* every Apple processor that runs macOS has it */
#endif
#endif

int isa_list(const isa_t *list[MAX_ISAS]) {
  int n = 0;
#ifdef HAVE_X86
  const int level = x86_level();
  if (level >= 4) list[n++] = &verit_isa_avx512;
  if (level >= 3 && has_avx_vnni()) list[n++] = &verit_isa_avx2vnni;
  if (level >= 3) list[n++] = &verit_isa_avx2;
#endif
#ifdef HAVE_NEON
  if (has_dot()) list[n++] = &verit_isa_neondot;
  list[n++] = &verit_isa_neon;
#endif
  list[n++] = &verit_isa_baseline;
  return n;
}

const isa_t *isa_find(const char *name) {
  const isa_t *list[MAX_ISAS];
  const int n = isa_list(list);
  for (int i = 0; i < n; i++)
    if (!*name || !strcmp(name, list[i]->name)) return list[i];
  return NULL;
}
