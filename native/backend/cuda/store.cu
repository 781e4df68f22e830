// Weights on their way in: rows as the checkpoint has them are sent as they are, and brought into the
// matrix's format here; random ones are drawn here. What is stored is, bit for bit, what the CPU stores.
#include <algorithm>

#include "backend/cuda/cuda.cuh"
#include "base/random.h"

namespace moescope::cuda {
namespace {

constexpr int threads = 256;

/** Element i of rows as the checkpoint has them. */
struct Sent {
  const void* data;
  SourceType type;
  __device__ float operator()(int64_t i) const {
    if (type == SourceType::f32) return static_cast<const float*>(data)[i];
    const uint16_t x = static_cast<const uint16_t*>(data)[i];
    return type == SourceType::bf16 ? from_bf16(x) : from_f16(x);
  }
};

/** Element i of a slot of a random model: the loader's rule (`model/load.cc`). */
struct Drawn {
  uint64_t seed, slot;
  float std;
  __device__ float operator()(int64_t i) const {
    return std * normal_of(philox(seed, static_cast<uint64_t>(i / 4), slot)[static_cast<size_t>(i % 4)]);
  }
};

/** Where rows [begin, end) go; `first` is the number that `read` gives their first element. */
struct Rows {
  void* matrix;
  Format format;
  int64_t rows, cols, begin, end, first;
};

/** A thread an element. */
template <class Read>
__global__ void store_plain(Rows to, Read read, unsigned long long* bad) {
  const int64_t n = (to.end - to.begin) * to.cols;
  for (int64_t i = int64_t{blockIdx.x} * threads + threadIdx.x; i < n; i += int64_t{gridDim.x} * threads) {
    const float x = read(to.first + i);
    if (!isfinite(x)) atomicAdd(bad, 1ull);
    const int64_t at = to.begin * to.cols + i;
    if (to.format == Format::f32) static_cast<float*>(to.matrix)[at] = x;
    else static_cast<uint16_t*>(to.matrix)[at] = to_bf16(x);
  }
}

/** A thread a group; rows up to the end of the last tile are filled too, so that every byte is written. */
template <class Read>
__global__ void store_int4(Rows to, int group, Read read, unsigned long long* bad) {
  const Int4Layout at{to.rows, to.cols, group};
  const int64_t groups = at.col_tiles() * (Int4Layout::tile_cols / group);
  const int64_t last = to.end == to.rows ? at.row_tiles() * Int4Layout::tile_rows : to.end;
  const int64_t n = (last - to.begin) * groups, shift = to.first - to.begin * to.cols;
  for (int64_t i = int64_t{blockIdx.x} * threads + threadIdx.x; i < n; i += int64_t{gridDim.x} * threads) {
    const int64_t r = to.begin + i / groups, from = shift + r * to.cols;
    const int64_t wrong =
        int4_store_group(to.matrix, at, r, i % groups * group, [&](int64_t c) { return read(from + c); });
    if (wrong) atomicAdd(bad, static_cast<unsigned long long>(wrong));
  }
}

__global__ void load_int4(float* out, const void* matrix, Int4Layout at, int64_t begin, int64_t end) {
  const int64_t n = (end - begin) * at.cols;
  for (int64_t i = int64_t{blockIdx.x} * threads + threadIdx.x; i < n; i += int64_t{gridDim.x} * threads)
    out[i] = int4_element(matrix, at, begin + i / at.cols, i % at.cols);
}

unsigned blocks(int64_t n) {
  return static_cast<unsigned>(std::clamp<int64_t>((n + threads - 1) / threads, 1, 1 << 16));
}

template <class Read>
void launch(const Rows& to, Read read, unsigned long long* bad, cudaStream_t stream) {
  if (const int group = group_of(to.format); group > 0)
    store_int4<<<blocks((to.end - to.begin) * to.cols / group), threads, 0, stream>>>(to, group, read, bad);
  else store_plain<<<blocks((to.end - to.begin) * to.cols), threads, 0, stream>>>(to, read, bad);
  launched("store");
}

size_t bytes_of(SourceType t) { return t == SourceType::f32 ? 4 : 2; }

}  // namespace

std::unique_ptr<Cuda::Stage> Cuda::take_stage() {
  const std::lock_guard lock(stages_mutex_);
  if (stages_.empty()) {
    auto stage = std::make_unique<Stage>();
    check(cudaStreamCreateWithFlags(&stage->stream, cudaStreamNonBlocking), "stream");
    stage->bad.reserve(sizeof(unsigned long long), "staging");
    return stage;
  }
  std::unique_ptr<Stage> stage = std::move(stages_.back());
  stages_.pop_back();
  return stage;
}

void Cuda::give_stage(std::unique_ptr<Stage> stage) {
  const std::lock_guard lock(stages_mutex_);
  stages_.push_back(std::move(stage));
}

void Cuda::loaded() {
  const std::lock_guard lock(stages_mutex_);
  stages_.clear();
}

int64_t Cuda::store(const Matrix& m, void* dst, const void* rows, SourceType type, int64_t begin,
                    int64_t end) {
  use();
  std::unique_ptr<Stage> stage = take_stage();
  const size_t bytes = static_cast<size_t>((end - begin) * m.cols) * bytes_of(type);
  stage->host.reserve(bytes, "staging");
  stage->device.reserve(bytes, "staging");
  std::memcpy(stage->host.as<std::byte>(), rows, bytes);
  auto* bad = stage->bad.as<unsigned long long>();
  check(cudaMemcpyAsync(stage->device.as<std::byte>(), stage->host.as<std::byte>(), bytes,
                        cudaMemcpyHostToDevice, stage->stream),
        "weights");
  check(cudaMemsetAsync(bad, 0, sizeof *bad, stage->stream), "weights");
  launch(Rows{dst, m.format, m.rows, m.cols, begin, end, 0}, Sent{stage->device.as<std::byte>(), type}, bad,
         stage->stream);
  unsigned long long count = 0;
  check(cudaMemcpyAsync(&count, bad, sizeof count, cudaMemcpyDeviceToHost, stage->stream), "weights");
  check(cudaStreamSynchronize(stage->stream), "weights");
  give_stage(std::move(stage));
  return static_cast<int64_t>(count);
}

void Cuda::draw(const Matrix& m, void* dst, const RandomFill& d, int64_t begin, int64_t end) {
  use();
  std::unique_ptr<Stage> stage = take_stage();
  launch(Rows{dst, m.format, m.rows, m.cols, begin, end, begin * m.cols}, Drawn{d.seed, d.slot, d.std},
         stage->bad.as<unsigned long long>(), stage->stream);
  // Several jobs at once are enough; a thread that ran ahead would only fill the queue.
  check(cudaStreamSynchronize(stage->stream), "weights");
  give_stage(std::move(stage));
}

void Cuda::unpack(const Matrix& m, float* dst, int64_t begin, int64_t end) {
  use();
  std::unique_ptr<Stage> stage = take_stage();
  const size_t bytes = static_cast<size_t>((end - begin) * m.cols) * sizeof(float);
  stage->device.reserve(bytes, "staging");
  load_int4<<<blocks((end - begin) * m.cols), threads, 0, stage->stream>>>(
      stage->device.as<float>(), m.data, Int4Layout{m.rows, m.cols, group_of(m.format)}, begin, end);
  launched("load");
  check(cudaMemcpyAsync(dst, stage->device.as<float>(), bytes, cudaMemcpyDeviceToHost, stage->stream),
        "weights");
  check(cudaStreamSynchronize(stage->stream), "weights");
  give_stage(std::move(stage));
}

}  // namespace moescope::cuda
