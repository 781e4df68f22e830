// qkv: norm, three products, then RoPE and QK norm, or the attention temperature. Weights: d * (q + 2 kv
// width).
#include "backend/cuda/cuda.cuh"
#include "backend/cuda/reduce.cuh"
#include "model/positional.h"

namespace moescope::cuda {
namespace {

/** The factor of each row on a layer without RoPE; the model's law is used where no edit gives another. */
__global__ void temperatures(float* out, const int32_t* positions, EditTables edits, int layers, int layer,
                             bool rope, TemperatureLaw model, int rows) {
  const int r = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (r >= rows) return;
  TemperatureLaw law = model;
  if (edits.temperature) {
    const TemperatureLaw& edited =
        edits.temperature[int64_t{edits.variant ? edits.variant[r] : 0} * layers + layer];
    if (edited.kind != TemperatureLaw::Kind::model) law = edited;
  }
  out[r] = rope || law.kind == TemperatureLaw::Kind::off ? 1.0f
                                                         : temperature_at(positions[r], law.floor, law.scale);
}

/** A warp a head: rotates the pairs (2j, 2j + 1) and, with eps >= 0, norms the head. grid (rows, heads). */
__global__ void rotate(float* x, const float* cos, const float* sin, int head_dim, float eps) {
  x += (int64_t{blockIdx.x} * gridDim.y + blockIdx.y) * head_dim;
  const int half = head_dim / 2;
  cos += int64_t{blockIdx.x} * half;
  sin += int64_t{blockIdx.x} * half;
  float squares = 0;
  for (int j = static_cast<int>(threadIdx.x); j < half; j += 32) {
    const float a = x[2 * j], b = x[2 * j + 1];
    const float even = a * cos[j] - b * sin[j], odd = a * sin[j] + b * cos[j];
    x[2 * j] = even;
    x[2 * j + 1] = odd;
    squares += even * even + odd * odd;
  }
  if (eps < 0) return;
  const float factor = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(head_dim) + eps);
  for (int j = static_cast<int>(threadIdx.x); j < half; j += 32) {
    x[2 * j] *= factor;
    x[2 * j + 1] *= factor;
  }
}

/** Each row times its factor. A block a row. */
__global__ void warm(float* q, const float* temperature, int width) {
  q += int64_t{blockIdx.x} * width;
  for (int i = static_cast<int>(threadIdx.x); i < width; i += static_cast<int>(blockDim.x))
    q[i] *= temperature[blockIdx.x];
}

}  // namespace

TemperatureLaw Cuda::temperature_law() const {
  TemperatureLaw law;
  if (c.temperature_tuning) law = {TemperatureLaw::Kind::floor, c.floor_scale, c.attn_scale};
  else law.kind = TemperatureLaw::Kind::off;
  return law;
}

void Cuda::qkv(const Step& s, int l) {
  use();
  pace(s, l);
  const unsigned rows = static_cast<unsigned>(s.rows);
  watch(s, Site::resid_pre, l, a.x);
  rmsnorm(a.n, a.x, layer(l).norm_attn, s.rows);
  watch(s, Site::attn_in, l, a.n);
  multiply(weight(layer(l).q), a.n, a.q, s.rows);
  multiply(weight(layer(l).k), a.n, a.k, s.rows);
  multiply(weight(layer(l).v), a.n, a.v, s.rows);
  watch(s, Site::attn_q, l, a.q);
  watch(s, Site::attn_k, l, a.k);
  watch(s, Site::attn_v, l, a.v);

  temperatures<<<(rows + 127) / 128, 128, 0, stream_>>>(a.temperature, step_.positions, step_.edits, s.layers,
                                                        l, kind(l).rope, temperature_law(), s.rows);
  launched("temperature");
  if (kind(l).rope) {
    const bool own = c.rope == Rope::hf || c.chunks(l);
    const float *cos = own ? a.cos : a.cos_global, *sin = own ? a.sin : a.sin_global,
                eps = c.qk_norm ? c.eps : -1.0f;
    rotate<<<dim3(rows, static_cast<unsigned>(c.heads)), 32, 0, stream_>>>(a.q, cos, sin, c.head_dim, eps);
    rotate<<<dim3(rows, static_cast<unsigned>(c.kv_heads)), 32, 0, stream_>>>(a.k, cos, sin, c.head_dim, eps);
  } else {
    warm<<<rows, 256, 0, stream_>>>(a.q, a.temperature, c.q_width());
  }
  launched("rotate");
  watch(s, Site::attn_temperature, l, a.temperature);
  watch(s, Site::attn_q_used, l, a.q);
  watch(s, Site::attn_k_used, l, a.k);
}

}  // namespace moescope::cuda
