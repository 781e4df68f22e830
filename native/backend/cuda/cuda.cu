// Memory of the backend: weights and caches as they are asked for, one block of activations for the tile.
#include <algorithm>

#include "backend/cuda/cuda.cuh"
#include "backend/cuda/queue.cuh"

namespace moescope::cuda {

namespace {
/** Logits of prefill are formed for so many rows at a time: at least some, more while they take less than so
 * many bytes. */
constexpr int64_t logits_rows = 64, logits_bytes = int64_t{512} << 20;
}  // namespace

Cuda::Cuda(const Config& config, const Weights& weights, bool fast, Bare)
    : c(config), w(weights), fast_(fast), kv_bytes_(fast ? 2 : 4) {}

Cuda::Cuda(const Config& config, const Weights& weights, bool fast) : Cuda(config, weights, fast, Bare{}) {
  use();
  inject_ = read_injections();
  obey(inject_);
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device_), "device");
  std::snprintf(name_, sizeof name_, "%.127s", properties.name);
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "stream");
  for (cudaEvent_t& e : layer_done_) check(cudaEventCreateWithFlags(&e, cudaEventDisableTiming), "event");
  check(cudaEventCreateWithFlags(&counted_, cudaEventDisableTiming), "event");
  const size_t pairs = c.inv_freq.size(), experts = static_cast<size_t>(c.experts);
  const auto make = [](auto*& p, size_t n) {
    p = static_cast<std::remove_reference_t<decltype(p)>>(
        take_memory(In::device, n * sizeof *p, "tables of the model"));
  };
  make(inv_freq_, pairs);
  make(inv_freq64_, pairs);
  make(begin_, experts + 1);
  make(cursor_, experts);
  make(bad_, c.layers.size() + 1);
  upload(inv_freq_, c.inv_freq.data(), pairs * sizeof(float));
  upload(inv_freq64_, c.inv_freq64.data(), pairs * sizeof(double));
  expert_tables_.resize(c.layers.size() * 3);
}

Cuda::~Cuda() {
  (void)cudaSetDevice(device_);
  if (stream_) (void)cudaStreamSynchronize(stream_);
  for (const void** table : expert_tables_) give_back_memory(In::device, table);
  for (void* p : {static_cast<void*>(inv_freq_), static_cast<void*>(inv_freq64_), static_cast<void*>(begin_),
                  static_cast<void*>(cursor_), static_cast<void*>(bad_)})
    give_back_memory(In::device, p);
  for (const cudaEvent_t e : {layer_done_[0], layer_done_[1], counted_})
    if (e) (void)cudaEventDestroy(e);
  if (stream_) (void)cudaStreamDestroy(stream_);
}

void* Cuda::take(size_t bytes, const char* what) {
  use();
  return take_memory(In::device, bytes, what);
}

void Cuda::give_back(void* memory) {
  (void)cudaSetDevice(device_);
  give_back_memory(In::device, memory);
}

uint64_t Cuda::free_bytes() const {
  (void)cudaSetDevice(device_);
  uint64_t free = 0, total = 0;
  device_memory(&free, &total);
  return free;
}

void Cuda::upload(void* to, const void* from, size_t bytes) const {
  use();
  check(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice), "upload");
  // The copy may still be on its way from where the driver has put it, and other streams do not wait for it.
  check(cudaStreamSynchronize(cudaStreamLegacy), "upload");
}

void Cuda::download(void* to, const void* from, size_t bytes) const {
  use();
  check(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost), "download");
}

void Cuda::reserve(int rows) {
  use();
  if (rows <= rows_) return;
  check(cudaStreamSynchronize(stream_), "scratch");
  const int64_t k = c.topk, half = c.head_dim / 2, wide = std::max(k * c.ff, int64_t{c.ff_dense});
  const int head_rows =
      static_cast<int>(std::min<int64_t>(rows, std::max(logits_rows, logits_bytes / (4 * int64_t{c.vocab}))));
  int64_t total = 0;
  std::byte* base = nullptr;
  const auto place = [&](auto*& p, int64_t n) {
    p = base ? reinterpret_cast<std::remove_reference_t<decltype(p)>>(base + total) : nullptr;
    total += (n * 4 + 255) / 256 * 256;
  };
  // Twice over the same list: once to count, once to place.
  const auto all = [&] {
    total = 0;
    const int64_t n = rows;
    for (float** p : {&a.x, &a.n, &a.out, &a.routed}) place(*p, n * c.d);
    for (float** p : {&a.q, &a.z}) place(*p, n * c.q_width());
    for (float** p : {&a.k, &a.v}) place(*p, n * c.kv_width());
    place(a.lse, n * c.heads);
    place(a.stats, n * c.heads * summary_width);
    place(a.logit, n * c.experts);
    for (float** p : {&a.score, &a.choice_f}) place(*p, n * k);
    place(a.temperature, n);
    for (float** p : {&a.in, &a.each}) place(*p, n * k * c.d);
    for (float** p : {&a.gate, &a.up, &a.act}) place(*p, n * wide);
    for (float** p : {&a.shared, &a.shared_gate, &a.shared_up}) place(*p, n * c.ff);
    for (float** p : {&a.cos, &a.sin, &a.cos_global, &a.sin_global}) place(*p, n * half);
    place(a.logits, int64_t{head_rows} * c.vocab);
    for (int32_t** p : {&a.choice, &a.slots}) place(*p, n * k);
  };
  all();
  rows_ = 0;
  block_.reserve(static_cast<size_t>(total), "scratch");
  base = block_.as<std::byte>();
  all();
  rows_ = rows;
  head_rows_ = head_rows;
  count_scratch();
}

void Cuda::count_scratch() {
  scratch_bytes_ = block_.bytes() + widened_.bytes() + x16_.bytes() + sorted_.bytes() + lt_.bytes() +
                   (queue_ ? queue_->bytes() : 0);
}

/** Work is queued at most two layers ahead when tiles are large, so that a stop takes effect soon. */
void Cuda::pace(const Step& s, int l) {
  if (s.rows <= 32) return;
  if (l >= 2) check(cudaEventSynchronize(layer_done_[l % 2]), "pace");
  if (s.cancel && s.cancel->load(std::memory_order_relaxed)) fail(Code::cancelled, "", "stopped");
  check(cudaEventRecord(layer_done_[l % 2], stream_), "pace");
}

}  // namespace moescope::cuda
