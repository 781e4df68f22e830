// ffn_down: x += the down projections. A decoded row reads d ff (topk + 1) weights. At the end of the layer
// the residual stream is looked through for what is not finite.
#include "backend/cuda/cuda.cuh"

namespace moescope::cuda {
namespace {

constexpr int threads = 256;

/** What a row's experts give, added up in the order of the slots. A block a row. */
__global__ void collect(float* routed, const float* each, int topk, int d) {
  each += int64_t{blockIdx.x} * topk * d;
  for (int i = static_cast<int>(threadIdx.x); i < d; i += threads) {
    float sum = each[i];
    for (int k = 1; k < topk; ++k) sum += each[int64_t{k} * d + i];
    routed[int64_t{blockIdx.x} * d + i] = sum;
  }
}

/** Activations of the layer in the order in which they are made. */
struct Trail {
  static constexpr int most = 12;
  struct Part {
    const float* data;
    int width;
    Site site;
  } parts[most];
  int count;
};

__device__ bool row_is_finite(const float* x, int width, int r) {
  int bad = 0;
  x += int64_t{r} * width;
  for (int i = static_cast<int>(threadIdx.x); i < width; i += threads) bad |= !isfinite(x[i]);
  return !__syncthreads_or(bad);
}

/** bad = the lowest row whose residual stream is not finite, * 64 + the first site of that row that is not. A
 * block a row. */
__global__ void look(int32_t* bad, const float* x, int d, Trail trail) {
  const int r = static_cast<int>(blockIdx.x);
  if (row_is_finite(x, d, r)) return;
  int i = 0;
  while (i + 1 < trail.count && row_is_finite(trail.parts[i].data, trail.parts[i].width, r)) ++i;
  if (threadIdx.x == 0) atomicMin(bad, r * 64 + static_cast<int>(trail.parts[i].site));
}

}  // namespace

void Cuda::look_for_nonfinite(const Step& s, int l) {
  Trail trail{};
  const auto part = [&](const float* data, int width, Site site) {
    trail.parts[trail.count++] = {data, width, site};
  };
  if (l >= 0) {
    const bool moe = kind(l).moe;
    part(a.q, c.q_width(), Site::attn_q);
    part(a.k, c.kv_width(), Site::attn_k);
    part(a.v, c.kv_width(), Site::attn_v);
    part(a.z, c.q_width(), Site::attn_z);
    part(a.n, c.d, Site::resid_mid);
    if (moe) part(a.logit, c.experts, Site::router_logits);
    part(a.act, moe ? c.topk * c.ff : c.ff_dense, moe ? Site::expert_act : Site::mlp_act);
    if (moe) part(a.shared, c.ff, Site::shared_act);
    part(a.out, c.d, Site::ffn_out);
  }
  part(a.x, c.d, l < 0 ? Site::embed : Site::resid_post);
  look<<<static_cast<unsigned>(s.rows), threads, 0, stream_>>>(bad_ + l + 1, a.x, c.d, trail);
  launched("finite");
}

void Cuda::ffn_down(const Step& s, int l) {
  use();
  const LayerWeights& weights = layer(l);
  const int64_t n = int64_t{s.rows} * c.d;
  if (kind(l).moe) {
    multiply_experts(weight(l, &Mlp::down), a.act, a.each, s.rows);
    watch(s, Site::expert_out, l, a.each);
    collect<<<static_cast<unsigned>(s.rows), threads, 0, stream_>>>(a.routed, a.each, c.topk, c.d);
    launched("collect");
    watch(s, Site::routed_out, l, a.routed);
    multiply(weight(weights.shared.down), a.shared, a.out, s.rows);
    watch(s, Site::shared_out, l, a.out);
    add(a.out, a.routed, n);
  } else {
    multiply(weight(weights.mlp.down), a.act, a.out, s.rows);
    watch(s, Site::mlp_out, l, a.out);
  }
  watch(s, Site::ffn_out, l, a.out);
  add(a.x, a.out, n);
  watch(s, Site::resid_post, l, a.x);
  look_for_nonfinite(s, l);
}

}  // namespace moescope::cuda
