// Sampling on the device by the rule of `Sampler` (`model/logits.h`): the likeliest id, or one of
// softmax(logits / temperature) within the top_k largest and the smallest set that reaches top_p, by
// inversion with the uniform number Philox(seed, n).
//
// Probabilities are whole numbers of 2^-44, so that sums do not depend on their order and the same seed gives
// the same text. The limits are found byte by byte of the logits' order, like a radix sort that looks at one
// bucket: four passes of 4 bytes a logit.
#include <cmath>

#include "backend/cuda/launch.cuh"
#include "backend/cuda/reduce.cuh"
#include "backend/cuda/sample.cuh"
#include "base/random.h"

namespace moescope::cuda {
namespace {

constexpr int threads = 1024, know_threads = 256;
using Mass = unsigned long long;

/** Larger floats, larger numbers. */
__device__ uint32_t order(float x) {
  const uint32_t bits = __float_as_uint(x);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/** The ids that may be drawn: those above a place in the order, and at it the lowest. */
struct Kept {
  uint32_t least = 0;
  int last = INT32_MAX;
  __device__ bool operator()(uint32_t place, int id) const {
    return place > least || (place == least && id <= last);
  }
};

/** The id at which the running sum of value(i) over all ids exceeds `target`; -1: nowhere. Each warp takes a
 * run of ids. */
template <class Value>
__device__ int find(int vocab, Mass target, Value value) {
  __shared__ Mass sums[threads / 32];
  __shared__ int found;
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int each = (vocab + threads / 32 - 1) / (threads / 32), from = warp * each,
            to = min(vocab, from + each);
  Mass sum = 0;
  for (int i = from + lane; i < to; i += 32) sum += value(i);
  for (int i = 16; i > 0; i /= 2) sum += __shfl_xor_sync(all_lanes, sum, i);
  __syncthreads();
  if (threadIdx.x == 0) found = -1;
  if (lane == 0) sums[warp] = sum;
  __syncthreads();
  Mass before = 0;
  for (int i = 0; i < warp; ++i) before += sums[i];
  if (before <= target && target < before + sum) {
    for (int i = from; i < to; i += 32) {
      Mass own = i + lane < to ? value(i + lane) : 0, upto = own;
      for (int j = 1; j < 32; j *= 2) {
        const Mass other = __shfl_up_sync(all_lanes, upto, j);
        if (lane >= j) upto += other;
      }
      const bool over = before + upto > target;
      const unsigned which = __ballot_sync(all_lanes, over);
      if (which) {
        if (lane == 0) found = i + __ffs(static_cast<int>(which)) - 1;
        break;
      }
      before += __shfl_sync(all_lanes, upto, 31);
    }
  }
  __syncthreads();
  return found;
}

/** The smallest set of the first in the order, within `kept`, whose weights reach `wanted`. */
template <class Weight>
__device__ Kept limit(const float* logits, int vocab, const Kept& kept, Mass wanted, Weight weight) {
  __shared__ Mass bucket[256];
  __shared__ uint32_t prefix;
  __shared__ Mass above;
  if (threadIdx.x == 0) prefix = 0, above = 0;
  for (int shift = 24; shift >= 0; shift -= 8) {
    if (threadIdx.x < 256) bucket[threadIdx.x] = 0;
    __syncthreads();
    const uint32_t begin = prefix;
    for (int i = static_cast<int>(threadIdx.x); i < vocab; i += threads) {
      const uint32_t place = order(logits[i]);
      const bool here = shift == 24 || place >> (shift + 8) == begin >> (shift + 8);
      if (here && kept(place, i)) atomicAdd(&bucket[place >> shift & 255u], weight(i));
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      int b = 255;
      while (b > 0 && above + bucket[b] < wanted) above += bucket[b--];
      prefix |= static_cast<uint32_t>(b) << shift;
    }
    __syncthreads();
  }
  // Of those at the last place, the lowest ids that are still needed.
  const uint32_t least = prefix;
  const Mass missing = wanted > above ? wanted - above - 1 : 0;
  const int last = find(vocab, missing, [&](int i) {
    const uint32_t place = order(logits[i]);
    return place == least && kept(place, i) ? weight(i) : Mass{0};
  });
  return {least, last < 0 ? INT32_MAX : last};
}

__device__ int32_t sampled(const Logits& l, float top) {
  const double factor = 1 / l.sampling.temperature;
  Mass sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < l.vocab; i += threads) {
    const double p = exp((static_cast<double>(l.logits[i]) - top) * factor);
    const Mass mass = p > 0 ? static_cast<Mass>(p * 0x1p44) : 0;
    l.mass[i] = mass;
    sum += mass;
  }
  Kept kept;
  const auto mass = [&](int i) { return l.mass[i]; };
  if (l.sampling.top_k > 0 && l.sampling.top_k < l.vocab) {
    kept = limit(l.logits, l.vocab, kept, static_cast<Mass>(l.sampling.top_k), [](int) { return Mass{1}; });
    sum = 0;
    for (int i = static_cast<int>(threadIdx.x); i < l.vocab; i += threads)
      if (kept(order(l.logits[i]), i)) sum += l.mass[i];
  }
  sum = block_sum(sum);
  if (l.sampling.top_p < 1) {
    const Mass wanted = static_cast<Mass>(ceil(l.sampling.top_p * static_cast<double>(sum)));
    kept = limit(l.logits, l.vocab, kept, wanted > 0 ? wanted : 1, mass);
    sum = 0;
    for (int i = static_cast<int>(threadIdx.x); i < l.vocab; i += threads)
      if (kept(order(l.logits[i]), i)) sum += l.mass[i];
    sum = block_sum(sum);
  }
  const double u = uniform(l.sampling.seed, static_cast<uint64_t>(l.row->step));
  Mass target = static_cast<Mass>(u * static_cast<double>(sum));
  if (target >= sum) target = sum - 1;
  const int id =
      find(l.vocab, target, [&](int i) { return kept(order(l.logits[i]), i) ? l.mass[i] : Mass{0}; });
  return id < 0 ? l.row->best : id;
}

__device__ bool stops(const Logits& l, int32_t id) {
  for (int i = 0; i < l.stop_count; ++i)
    if (l.stop_ids[i] == id) return true;
  return false;
}

/** One block. */
__global__ void __launch_bounds__(threads) draw(const __grid_constant__ Logits l) {
  let_successor_begin();
  after_predecessor();
  const Row before = *l.row;
  const float top = l.logits[before.best];
  int32_t id = before.best;
  int rank = 0;
  if (l.sampling.temperature > 0) {
    id = sampled(l, top);
    const float own = l.logits[id];
    for (int i = static_cast<int>(threadIdx.x); i < l.vocab; i += threads)
      rank += l.logits[i] > own || (l.logits[i] == own && i < id);
    rank = block_sum(rank);
  }
  for (int i = static_cast<int>(threadIdx.x); i < l.bad_count; i += threads) l.bad[i] = INT32_MAX;
  __syncthreads();
  if (threadIdx.x != 0) return;
  Told& told = *reinterpret_cast<Told*>(l.ring.slot(before));
  told.id = id;
  told.logprob = l.logits[id] - before.lse;
  told.rank = rank;
  const bool over = before.step > 0 && stops(l, before.id);
  // The row stays where it was: it leaves nothing behind, and sees nothing that was not written.
  if (over && !before.done) --l.row->position;
  l.row->done = before.done || over;
  l.row->id = id;
}

__global__ void __launch_bounds__(know_threads) know_part(const __grid_constant__ Logits l) {
  let_successor_begin();
  after_predecessor();
  const bool keep = l.row->step >= 0 && !l.row->done && stops(l, l.row->id);
  const int stride = static_cast<int>(gridDim.x) * know_threads;
  float top = -INFINITY;
  int best = INT32_MAX;
  for (int i = static_cast<int>(blockIdx.x * know_threads + threadIdx.x); i < l.vocab; i += stride) {
    const float x = l.logits[i];
    if (x > top) top = x, best = i;
    if (keep) l.kept[i] = x;
  }
  const float all = block_max(top);
  best = block_reduce(top == all ? best : INT32_MAX, INT32_MAX, [](int x, int y) { return x < y ? x : y; });
  double sum = 0, weighted = 0;
  for (int i = static_cast<int>(blockIdx.x * know_threads + threadIdx.x); i < l.vocab; i += stride) {
    const float shifted = l.logits[i] - all, e = expf(shifted);
    sum += e;
    if (e > 0) weighted += static_cast<double>(e) * shifted;
  }
  sum = block_sum(sum);
  weighted = block_sum(weighted);
  if (threadIdx.x == 0) l.parts[blockIdx.x] = {sum, weighted, all, best};
}

/** One block. */
__global__ void __launch_bounds__(know_threads) know(const __grid_constant__ Logits l, int parts, bool told) {
  let_successor_begin();
  after_predecessor();
  float top = -INFINITY;
  for (int i = static_cast<int>(threadIdx.x); i < parts; i += know_threads) top = fmaxf(top, l.parts[i].top);
  top = block_max(top);
  int best = INT32_MAX;
  double sum = 0, weighted = 0;
  for (int i = static_cast<int>(threadIdx.x); i < parts; i += know_threads) {
    const LogitPart p = l.parts[i];
    if (p.top == top) best = min(best, p.best);
    if (p.top == -INFINITY) continue;
    const double shrink = exp(static_cast<double>(p.top) - top);
    sum += shrink * p.sum;
    weighted += shrink * (p.weighted + p.sum * (static_cast<double>(p.top) - top));
  }
  best = block_reduce(best, INT32_MAX, [](int x, int y) { return x < y ? x : y; });
  sum = block_sum(sum);
  weighted = block_sum(weighted);
  int wrong = 0;
  for (int i = static_cast<int>(threadIdx.x); i < l.bad_count; i += know_threads)
    wrong |= l.bad[i] != INT32_MAX;
  wrong = __syncthreads_or(wrong);
  if (threadIdx.x != 0) return;
  const double log_sum = log(sum);
  Row& row = *l.row;
  row.lse = static_cast<float>(static_cast<double>(top) + log_sum);
  row.entropy = static_cast<float>(log_sum - weighted / sum);
  row.best = best < l.vocab ? best : 0;
  if (!told) return;
  Told& out = *reinterpret_cast<Told*>(l.ring.slot(row));
  out.entropy = row.entropy;
  out.lse = row.lse;
  out.finite = !wrong && isfinite(row.lse);
  if (!row.done) ++row.position;
  ++row.step;
  row.variant = l.variants ? l.variants[row.step] : 0;
}

}  // namespace

void launch_draw(const Logits& l, cudaStream_t stream) {
  launch_after(draw, dim3(1), threads, 0, true, stream, "sample", l);
}

void launch_know(const Logits& l, bool told, cudaStream_t stream) {
  const int parts = multiprocessors();
  launch_after(know_part, dim3(static_cast<unsigned>(parts)), know_threads, 0, true, stream, "logits", l);
  launch_after(know, dim3(1), know_threads, 0, true, stream, "logits", l, parts, told);
}

}  // namespace moescope::cuda
