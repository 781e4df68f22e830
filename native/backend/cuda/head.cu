// head: final norm, logits in blocks of rows, and what is to be known of them. Weights: vocab * d; the logits
// themselves are written and read once, and leave the device only where they are kept.
#include <algorithm>

#include "backend/cuda/cuda.cuh"
#include "backend/cuda/reduce.cuh"

namespace moescope::cuda {
namespace {

constexpr int threads = 512;

/** What the host is told of a row. */
struct Told {
  float logprob, lse, entropy;
  int32_t rank;
};

/** Lse, entropy, and the target's logprob and rank. A block a row. */
__global__ void know(Told* out, const float* logits, const int32_t* target, int vocab) {
  logits += int64_t{blockIdx.x} * vocab;
  float top = -INFINITY;
  for (int i = static_cast<int>(threadIdx.x); i < vocab; i += threads) top = fmaxf(top, logits[i]);
  top = block_max(top);
  const int id = target[blockIdx.x];
  const float wanted = id >= 0 ? logits[id] : 0.0f;
  double sum = 0, weighted = 0;
  int rank = 0;
  for (int i = static_cast<int>(threadIdx.x); i < vocab; i += threads) {
    const float x = logits[i], shifted = x - top, e = expf(shifted);
    sum += e;
    if (e > 0) weighted += static_cast<double>(e) * shifted;
    rank += x > wanted || (x == wanted && i < id);
  }
  sum = block_sum(sum);
  weighted = block_sum(weighted);
  rank = block_sum(rank);
  if (threadIdx.x != 0) return;
  const double log_sum = log(sum);
  const float lse = static_cast<float>(static_cast<double>(top) + log_sum);
  out[blockIdx.x] = {wanted - lse, lse, static_cast<float>(log_sum - weighted / sum), rank};
}

}  // namespace

void Cuda::head(const Step& s, const HeadOut& o) {
  use();
  rmsnorm(a.n, a.x, w.final_norm, s.rows);
  watch(s, Site::final_norm, -1, a.n);
  const size_t vocab = static_cast<size_t>(c.vocab);
  std::vector<int32_t> none(o.target ? 0 : static_cast<size_t>(s.rows), -1);
  const int32_t* target = o.target ? o.target : none.data();
  for (int from = 0; from < s.rows; from += head_rows_) {
    const int rows = std::min(head_rows_, s.rows - from);
    const size_t n = static_cast<size_t>(rows);
    multiply(weight(c.tied_embeddings ? w.embed : w.unembed), a.n + int64_t{from} * c.d, a.logits, rows);
    watch(s, Site::logits, -1, a.logits, from, rows);
    // The targets ride in the same room: the kernel reads them over PCIe, some bytes a row.
    Told* told = outbox_.room<Told>(2 * n, stream_);
    int32_t* wanted = reinterpret_cast<int32_t*>(told + n);
    std::copy_n(target + from, n, wanted);
    know<<<static_cast<unsigned>(rows), threads, 0, stream_>>>(told, a.logits, wanted, c.vocab);
    launched("logits");
    outbox_.then([told, wanted, n, from, o] {
      for (size_t i = 0; i < n; ++i) {
        const size_t r = static_cast<size_t>(from) + i;
        if (o.lse) o.lse[r] = told[i].lse;
        if (o.entropy) o.entropy[r] = told[i].entropy;
        if (wanted[i] < 0) continue;
        if (o.logprob) o.logprob[r] = told[i].logprob;
        if (o.rank) o.rank[r] = told[i].rank;
      }
    });
    for (int r = 0; o.keep && r < rows; ++r) {
      float* to = o.keep[from + r];
      if (!to) continue;
      float* out = outbox_.room<float>(vocab, stream_);
      check(cudaMemcpyAsync(out, a.logits + int64_t{r} * c.vocab, vocab * sizeof(float),
                            cudaMemcpyDeviceToHost, stream_),
            "logits");
      outbox_.then([out, to, vocab] { std::copy_n(out, vocab, to); });
    }
  }
}

NonFinite Cuda::finish(const Step& s) {
  use();
  const size_t n = static_cast<size_t>(s.layers) + 1;
  NonFinite found;
  int32_t* bad = outbox_.room<int32_t>(n, stream_);
  check(cudaMemcpyAsync(bad, bad_, n * sizeof(int32_t), cudaMemcpyDeviceToHost, stream_), "finite");
  outbox_.then([bad, n, &found] {
    for (size_t l = 0; l < n && found.row < 0; ++l)
      if (bad[l] != INT32_MAX) found = {bad[l] / 64, static_cast<int>(l) - 1, static_cast<Site>(bad[l] % 64)};
  });
  outbox_.deliver(stream_);
  count_scratch();
  pinned_bytes_ = outbox_.pinned_bytes() + step_.pinned_bytes();
  return found;
}

}  // namespace moescope::cuda
