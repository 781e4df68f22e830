// attend: appends k and v to the caches, then z = softmax(q k) v within what each row sees, in one online
// pass; the seven numbers of attn.summary come from the same pass, with and without the temperature.
//
// A block a (row, head), 128 keys at a time: keys * head_dim * 8 bytes to move, a KV head's rows again for
// each of its query heads (they meet in L2). Simple, f32 throughout. Long contexts at batch 1 leave most of
// the device idle: `decode_attend.cu` splits the keys over blocks. The slow twin of `flash.cu`.
#include <algorithm>
#include <cmath>

#include "backend/cuda/convert.cuh"
#include "backend/cuda/cuda.cuh"
#include "backend/cuda/reduce.cuh"

namespace moescope::cuda {
namespace {

constexpr int threads = 128, tile = threads;

struct Attention {
  const float *q, *k, *v, *temperature;
  float *z, *lse, *stats;  // stats null: nobody asks
  const int32_t *segment_of, *positions;
  const Segment* segments;
  const KvLayer* caches;
  const int32_t* done;
  int layers, layer, heads, kv_heads, head_dim, row0;
  int64_t chunk;  // 0: global
  float scale;
};

/** The cache that a row's sequence has in the layer, and how many keys the row sees; their first has position
 * `base`. */
struct Seen {
  KvLayer kv;
  int64_t base, keys;
};
__device__ Seen seen_by(const Attention& a, int r) {
  const int64_t position = a.positions[r], base = a.chunk > 0 ? position / a.chunk * a.chunk : 0;
  return {a.caches[int64_t{a.segment_of[r]} * a.layers + a.layer], base, position - base + 1};
}

__device__ void keep_as(float& to, float x) { to = x; }
__device__ void keep_as(uint16_t& to, float x) { to = to_bf16(x); }

/** grid (rows, KV heads); T: how keys and values are kept. */
template <class T>
__global__ void append(Attention a) {
  if (a.done && *a.done) return;
  const int r = a.row0 + static_cast<int>(blockIdx.x), h = static_cast<int>(blockIdx.y);
  const Seen s = seen_by(a, r);
  const int64_t from = (int64_t{r} * a.kv_heads + h) * a.head_dim,
                to = (h * s.kv.slots + s.keys - 1) * a.head_dim;
  for (int i = static_cast<int>(threadIdx.x); i < a.head_dim; i += threads) {
    keep_as(static_cast<T*>(s.kv.k)[to + i], a.k[from + i]);
    keep_as(static_cast<T*>(s.kv.v)[to + i], a.v[from + i]);
  }
}

/** Scores of keys [t0, t0 + tile) into `score`, a warp a key; -inf beyond the last. */
template <class T>
__device__ void score_tile(float* score, const float* q, const T* k, int64_t t0, int64_t keys, int head_dim,
                           float scale) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  for (int j = warp; j < tile; j += threads / 32) {
    float sum = -INFINITY;
    if (t0 + j < keys) {
      sum = 0;
      const T* key = k + (t0 + j) * head_dim;
      for (int i = lane; i < head_dim; i += 32) sum += element(key, i) * q[i];
      sum = warp_sum(sum) * scale;
    }
    if (lane == 0) score[j] = sum;
  }
  __syncthreads();
}

/** Running sums of one softmax: of e^(s - top), and of that times (s - top). */
struct Running {
  float top = -INFINITY, sum = 0, weighted = 0;
  /** Moves to a new largest score; returns what the old sums shrink by. */
  __device__ float raise(float to) {
    if (to <= top) return 1;
    const float shrink = top == -INFINITY ? 0.0f : expf(top - to);
    weighted = sum > 0 ? shrink * (weighted + sum * (top - to)) : 0;
    sum *= shrink;
    top = to;
    return shrink;
  }
  /** Entropy in nats. */
  __device__ float entropy() const { return logf(sum) - weighted / sum; }
};

/** Lowest index of the largest score. */
struct Best {
  float score;
  int at;
};
__device__ Best block_best(float score, int at) {
  const float top = block_max(score);
  const int first =
      block_reduce(score == top ? at : INT32_MAX, INT32_MAX, [](int x, int y) { return x < y ? x : y; });
  return {top, first};
}

/** grid (rows, heads), shared memory (2 head_dim + tile) floats. */
template <class T>
__global__ void __launch_bounds__(threads) attention(Attention a) {
  extern __shared__ float shared[];
  float *q = shared, *z = q + a.head_dim, *score = z + a.head_dim;
  const int r = a.row0 + static_cast<int>(blockIdx.x), h = static_cast<int>(blockIdx.y);
  const int t = static_cast<int>(threadIdx.x);
  const Seen seen = seen_by(a, r);
  const int64_t head = (h / (a.heads / a.kv_heads)) * seen.kv.slots * a.head_dim;
  const T *k = static_cast<const T*>(seen.kv.k) + head, *v = static_cast<const T*>(seen.kv.v) + head;
  const int64_t at = (int64_t{r} * a.heads + h) * a.head_dim;
  for (int i = t; i < a.head_dim; i += threads) {
    q[i] = a.q[at + i];
    z[i] = 0;
  }
  __syncthreads();

  Running hot, cold;  // with the temperature, and without
  const float temperature = a.temperature[r];
  float local = 0, distance = 0, sink = 0;
  int64_t best = 0;
  for (int64_t t0 = 0; t0 < seen.keys; t0 += tile) {
    score_tile(score, q, k, t0, seen.keys, a.head_dim, a.scale);
    const float own = score[t];
    if (t0 == 0) sink = score[0];
    const Best top = block_best(own, t);
    if (top.score > hot.top) best = t0 + top.at;
    const float shrink = hot.raise(top.score);
    const float e = own == -INFINITY ? 0.0f : expf(own - hot.top);
    hot.sum += block_sum(e);
    if (a.stats) {
      const int64_t back = seen.keys - 1 - (t0 + t);
      hot.weighted += block_sum(e > 0 ? e * (own - hot.top) : 0.0f);
      local = local * shrink + block_sum(back < 128 ? e : 0.0f);
      distance = distance * shrink + block_sum(e * static_cast<float>(back));
      const float cool = own / temperature;
      cold.raise(block_max(cool));
      const float f = own == -INFINITY ? 0.0f : expf(cool - cold.top);
      cold.sum += block_sum(f);
      cold.weighted += block_sum(f > 0 ? f * (cool - cold.top) : 0.0f);
    }
    score[t] = e;
    __syncthreads();
    const int count =
        static_cast<int>(min(static_cast<long long>(tile), static_cast<long long>(seen.keys - t0)));
    for (int i = t; i < a.head_dim; i += threads) {
      float sum = z[i] * shrink;
      for (int j = 0; j < count; ++j) sum += score[j] * element(v, (t0 + j) * a.head_dim + i);
      z[i] = sum;
    }
    __syncthreads();
  }
  for (int i = t; i < a.head_dim; i += threads) a.z[at + i] = z[i] / hot.sum;
  if (t != 0) return;
  a.lse[int64_t{r} * a.heads + h] = hot.top + logf(hot.sum);
  if (!a.stats) return;
  float* out = a.stats + (int64_t{r} * a.heads + h) * summary_width;
  out[0] = hot.entropy();
  out[1] = cold.entropy();
  out[2] = 1.0f / hot.sum;
  out[3] = static_cast<float>(seen.base + best);
  out[4] = expf(sink - hot.top) / hot.sum;
  out[5] = local / hot.sum;
  out[6] = distance / hot.sum;
}

/** The weights themselves, again from q and k: row rows[b], head heads[j] at out + (b * gridDim.y + j) *
 * stride. */
template <class T>
__global__ void __launch_bounds__(threads)
    weights(Attention a, const int32_t* rows, const int32_t* heads, float* out, int64_t stride) {
  extern __shared__ float shared[];
  float *q = shared, *score = q + a.head_dim;
  const int r = rows[blockIdx.x], h = heads[blockIdx.y], t = static_cast<int>(threadIdx.x);
  const Seen seen = seen_by(a, r);
  const T* k = static_cast<const T*>(seen.kv.k) + (h / (a.heads / a.kv_heads)) * seen.kv.slots * a.head_dim;
  for (int i = t; i < a.head_dim; i += threads) q[i] = a.q[(int64_t{r} * a.heads + h) * a.head_dim + i];
  __syncthreads();
  const float lse = a.lse[int64_t{r} * a.heads + h];
  out += (int64_t{blockIdx.x} * gridDim.y + blockIdx.y) * stride;
  for (int64_t t0 = 0; t0 < seen.keys; t0 += tile) {
    score_tile(score, q, k, t0, seen.keys, a.head_dim, a.scale);
    if (t0 + t < seen.keys) out[t0 + t] = expf(score[t] - lse);
    __syncthreads();
  }
}

Attention describe(const Config& c, const Activations& act, const DeviceStep& step, int l, int row0) {
  Attention a{};
  a.q = act.q, a.k = act.k, a.v = act.v, a.temperature = act.temperature;
  a.z = act.z, a.lse = act.lse;
  a.segment_of = step.segment_of, a.positions = step.positions, a.segments = step.segments,
  a.caches = step.caches;
  a.done = step.done;
  a.layers = c.layer_count(), a.layer = l;
  a.heads = c.heads, a.kv_heads = c.kv_heads, a.head_dim = c.head_dim;
  a.row0 = row0;
  a.chunk = c.chunks(l) ? c.chunk : 0;
  a.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(c.head_dim)));
  return a;
}

}  // namespace

void Cuda::attend_rows(int l, int row0, int rows, bool summary) {
  const size_t bytes = sizeof(float) * static_cast<size_t>(2 * c.head_dim + tile);
  if (bytes > 48 * 1024)
    fail(Code::argument, "config.headDim", "is too wide for the CUDA backend's attention");
  Attention d = describe(c, a, step_, l, row0);
  d.stats = summary ? a.stats : nullptr;
  const dim3 blocks(static_cast<unsigned>(rows), static_cast<unsigned>(c.heads));
  if (kv_bytes_ == 2) attention<uint16_t><<<blocks, threads, bytes, stream_>>>(d);
  else attention<float><<<blocks, threads, bytes, stream_>>>(d);
  launched("attention");
}

void Cuda::attend(const Step& s, int l) {
  use();
  const bool summary = watched(s, Site::attn_summary, l);
  // A later segment of a sequence overwrites a chunk that an earlier one still reads: one after the other
  // then.
  for (int g = 0; g < s.segment_count;) {
    int end = g + 1;
    while (end < s.segment_count && s.segments[end].kv != s.segments[end - 1].kv) ++end;
    const int row0 = s.segments[g].row, rows = s.segments[end - 1].row + s.segments[end - 1].count - row0;
    const Attention a = describe(c, this->a, step_, l, row0);
    const dim3 blocks(static_cast<unsigned>(rows), static_cast<unsigned>(c.kv_heads));
    if (kv_bytes_ == 2) append<uint16_t><<<blocks, threads, 0, stream_>>>(a);
    else append<float><<<blocks, threads, 0, stream_>>>(a);
    launched("append");
    // The summary comes with the weights, which only the plain kernel has.
    const Segment *from = s.segments + g, *to = s.segments + end;
    if (!summary && std::any_of(from, to, [&](const Segment& x) { return flash_ok(x); })) {
      for (const Segment* x = from; x < to; ++x) {
        if (flash_ok(*x)) flash(*x, l);
        else attend_rows(l, x->row, x->count, false);
      }
    } else {
      attend_rows(l, row0, rows, summary);
    }
    keep_pattern(s, l, row0, rows);
    g = end;
  }
  if (summary) watch(s, Site::attn_summary, l, a.stats);
  watch(s, Site::attn_z, l, a.z);
}

void Cuda::keep_pattern(const Step& s, int l, int row0, int rows) {
  for (const Tap* t = s.at(Site::attn_pattern, l).taps; t; t = t->next) {
    const DeviceTap& where = step_.tap(t);
    const std::vector<int32_t>& kept = where.kept->rows;
    const size_t heads = where.groups.size();
    const auto keys_of = [&](int r) {
      const int64_t p = s.positions[r];
      return static_cast<size_t>((c.chunks(l) ? p % c.chunk : p) + 1);
    };
    for (size_t at = 0; at < kept.size() && heads > 0;) {
      if (kept[at] < row0 || kept[at] >= row0 + rows) {
        ++at;
        continue;
      }
      // As many rows as fit, each with room for the longest of them.
      size_t n = 0, stride = 0;
      while (at + n < kept.size() && kept[at + n] < row0 + rows && n < 4096) {
        const size_t longest = std::max(stride, keys_of(kept[at + n]));
        if (n > 0 && (n + 1) * heads * longest * sizeof(float) > outbox_.capacity() / 2) break;
        stride = longest;
        ++n;
      }
      float* out = outbox_.room<float>(n * heads * stride, stream_);
      const size_t bytes = sizeof(float) * static_cast<size_t>(c.head_dim + tile);
      const dim3 blocks(static_cast<unsigned>(n), static_cast<unsigned>(heads));
      const auto launch = [&](auto kernel) {
        kernel<<<blocks, threads, bytes, stream_>>>(describe(c, a, step_, l, row0),
                                                    where.kept->on_device + at, where.on_device, out,
                                                    static_cast<int64_t>(stride));
      };
      if (kv_bytes_ == 2) launch(weights<uint16_t>);
      else launch(weights<float>);
      launched("attention pattern");
      std::vector<size_t> keys(n);
      for (size_t i = 0; i < n; ++i) keys[i] = keys_of(kept[at + i]);
      outbox_.then([t, rows = &kept, at, n, heads, stride, out, keys = std::move(keys)] {
        for (size_t i = 0; i < n; ++i) {
          float* to = t->pattern[t->to[(*rows)[at + i]]];
          for (size_t j = 0; j < heads; ++j)
            std::copy_n(out + (i * heads + j) * stride, keys[i], to + j * keys[i]);
        }
      });
      at += n;
    }
  }
}

}  // namespace moescope::cuda
