// route_ffn: norm; router, gate, up and SwiGLU of the chosen experts and the shared one, or of the dense MLP.
// A decoded row reads 2 d ff (topk + 1) weights and the router's d * experts.
#include "backend/cpu/route.h"
#include "backend/cuda/cuda.cuh"

namespace moescope::cuda {
namespace {

constexpr int threads = 256;

/** A thread a row: the rule of `cpu/route.h`. */
__global__ void route(int32_t* choice, float* score, float* choice_f, const float* logit, EditTables edits,
                      int layers, int layer, int experts, int topk, int rows) {
  const int r = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (r >= rows) return;
  choice += int64_t{r} * topk;
  route_row(edits, layers, layer, experts, topk, r, logit + int64_t{r} * experts, choice,
            score + int64_t{r} * topk);
  for (int k = 0; k < topk; ++k) choice_f[int64_t{r} * topk + k] = static_cast<float>(choice[k]);
}

/** Slots by expert, a counting sort in one block. The order within an expert is open; no value depends on it.
 */
__global__ void sort_slots(int32_t* begin, int32_t* cursor, int32_t* slots, const int32_t* choice,
                           int experts, int n) {
  const int t = static_cast<int>(threadIdx.x);
  for (int e = t; e < experts; e += threads) cursor[e] = 0;
  __syncthreads();
  for (int i = t; i < n; i += threads) atomicAdd(&cursor[choice[i]], 1);
  __syncthreads();
  if (t == 0) {
    begin[0] = 0;
    for (int e = 0; e < experts; ++e) {
      begin[e + 1] = begin[e] + cursor[e];
      cursor[e] = begin[e];
    }
  }
  __syncthreads();
  for (int i = t; i < n; i += threads) slots[atomicAdd(&cursor[choice[i]], 1)] = i;
}

/** The score multiplies the routed experts' input. A block a slot. */
__global__ void weigh(float* in, const float* n, const float* score, int topk, int d) {
  const float factor = score[blockIdx.x];
  n += int64_t{blockIdx.x} / topk * d;
  in += int64_t{blockIdx.x} * d;
  for (int i = static_cast<int>(threadIdx.x); i < d; i += threads) in[i] = factor * n[i];
}

}  // namespace

void Cuda::group(int rows) {
  sort_slots<<<1, threads, 0, stream_>>>(begin_, cursor_, a.slots, a.choice, c.experts, rows * c.topk);
  launched("group");
}

void Cuda::route_ffn(const Step& s, int l) {
  use();
  const LayerWeights& weights = layer(l);
  rmsnorm(a.n, a.x, weights.norm_ffn, s.rows);
  if (!kind(l).moe) {
    multiply(weight(weights.mlp.gate), a.n, a.gate, s.rows);
    multiply(weight(weights.mlp.up), a.n, a.up, s.rows);
    swiglu(a.act, a.gate, a.up, int64_t{s.rows} * c.ff_dense);
    watch(s, Site::mlp_act, l, a.act);
    return;
  }
  watch(s, Site::router_in, l, a.n);
  multiply(weight(weights.router), a.n, a.logit, s.rows);
  watch(s, Site::router_logits, l, a.logit);
  route<<<static_cast<unsigned>(s.rows + 127) / 128, 128, 0, stream_>>>(
      a.choice, a.score, a.choice_f, a.logit, step_.edits, s.layers, l, c.experts, c.topk, s.rows);
  launched("route");
  watch(s, Site::router_score, l, a.score);
  watch(s, Site::router_choice, l, a.choice_f);
  group(s.rows);

  // Whichever of the three products is a wide one waits for them.
  if (s.rows > few_rows && (wide_ok(weight(l, &Mlp::gate)) || wide_ok(weight(l, &Mlp::down))))
    counts_to_host();

  multiply(weight(weights.shared.gate), a.n, a.shared_gate, s.rows);
  multiply(weight(weights.shared.up), a.n, a.shared_up, s.rows);
  swiglu(a.shared, a.shared_gate, a.shared_up, int64_t{s.rows} * c.ff);
  watch(s, Site::shared_act, l, a.shared);

  const int slots = s.rows * c.topk;
  weigh<<<static_cast<unsigned>(slots), threads, 0, stream_>>>(a.in, a.n, a.score, c.topk, c.d);
  launched("weigh");
  watch(s, Site::expert_in, l, a.in);
  multiply_experts(weight(l, &Mlp::gate), a.in, a.gate, s.rows);
  multiply_experts(weight(l, &Mlp::up), a.in, a.up, s.rows);
  watch(s, Site::expert_gate, l, a.gate);
  watch(s, Site::expert_up, l, a.up);
  swiglu(a.act, a.gate, a.up, int64_t{slots} * c.ff);
  watch(s, Site::expert_act, l, a.act);
}

}  // namespace moescope::cuda
