// embed: x = a row of the table, or the given one: rows * d * (bytes of a weight + 4). It also begins the
// tile: its tables are sent, and the rotations of its positions made, which are the same in every layer.
#include "backend/cuda/angle.cuh"
#include "backend/cuda/convert.cuh"
#include "backend/cuda/cuda.cuh"

namespace moescope::cuda {
namespace {

constexpr int threads = 256;

/** A block a row. */
template <class W>
__global__ void look_up(float* x, const W* table, const int32_t* ids, const float* given,
                        const int32_t* given_row, int d) {
  const int r = static_cast<int>(blockIdx.x);
  x += int64_t{r} * d;
  const int row = given_row ? given_row[r] : -1;
  for (int i = static_cast<int>(threadIdx.x); i < d; i += threads)
    x[i] = row >= 0 ? given[int64_t{row} * d + i] : element(table, int64_t{ids[r]} * d + i);
}

/** cos and sin of Hugging Face's angles. A block a row. */
__global__ void angles_hf(float* cos_out, float* sin_out, const int32_t* positions, const float* frequency,
                          int half) {
  for (int j = static_cast<int>(threadIdx.x); j < half; j += static_cast<int>(blockDim.x)) {
    const Turn t = turn_hf(positions[blockIdx.x], frequency[j]);
    cos_out[int64_t{blockIdx.x} * half + j] = t.cos;
    sin_out[int64_t{blockIdx.x} * half + j] = t.sin;
  }
}

/** The accurate ones. A block a row. */
__global__ void angles_accurate(float* cos_out, float* sin_out, const int32_t* positions,
                                const double* frequency, int half, int64_t chunk) {
  for (int j = static_cast<int>(threadIdx.x); j < half; j += static_cast<int>(blockDim.x)) {
    const Turn t = turn_accurate(positions[blockIdx.x], frequency[j], chunk);
    cos_out[int64_t{blockIdx.x} * half + j] = t.cos;
    sin_out[int64_t{blockIdx.x} * half + j] = t.sin;
  }
}

__global__ void never_bad(int32_t* bad, int n) {
  for (int i = static_cast<int>(threadIdx.x); i < n; i += threads) bad[i] = INT32_MAX;
}

}  // namespace

void Cuda::embed(const Step& s) {
  use();
  // A step that was given up may have left work behind.
  check(cudaStreamSynchronize(stream_), "step");
  outbox_.drop();
  step_.send(s, c, stream_);
  const unsigned rows = static_cast<unsigned>(s.rows);
  never_bad<<<1, threads, 0, stream_>>>(bad_, c.layer_count() + 1);
  if (w.embed.format == Format::f32)
    look_up<<<rows, threads, 0, stream_>>>(a.x, static_cast<const float*>(w.embed.data), step_.ids,
                                           step_.embeds, step_.embed_row, c.d);
  else
    look_up<<<rows, threads, 0, stream_>>>(a.x, static_cast<const uint16_t*>(w.embed.data), step_.ids,
                                           step_.embeds, step_.embed_row, c.d);
  launched("embed");
  watch(s, Site::embed, -1, a.x);
  look_for_nonfinite(s, -1);

  const int half = c.head_dim / 2;
  if (c.rope == Rope::hf) {
    angles_hf<<<rows, 64, 0, stream_>>>(a.cos, a.sin, step_.positions, inv_freq_, half);
  } else {
    angles_accurate<<<rows, 64, 0, stream_>>>(a.cos, a.sin, step_.positions, inv_freq64_, half, c.chunk);
    angles_accurate<<<rows, 64, 0, stream_>>>(a.cos_global, a.sin_global, step_.positions, inv_freq64_, half,
                                              0);
  }
  launched("angles");
}

}  // namespace moescope::cuda
