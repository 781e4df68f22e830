#include "base/read_rate.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/memory.h"

namespace moescope {
namespace {

using Clock = std::chrono::steady_clock;

/** Eight independent sums, so that loads need not wait for each other. */
uint64_t sum(const std::byte* from, size_t bytes) {
  uint64_t sums[8] = {};
  for (size_t i = 0; i + 64 <= bytes; i += 64) {
    uint64_t x[8];
    std::memcpy(x, from + i, 64);
    for (int j = 0; j < 8; ++j) sums[j] += x[j];
  }
  uint64_t all = 0;
  for (const uint64_t s : sums) all += s;
  return all;
}

double measure(const Block& block, size_t threads) {
  constexpr int times = 5;
  const size_t part = block.bytes() / threads / 64 * 64;
  std::atomic<uint64_t> sink{0};
  double best = 0;
  for (int i = 0; i < times; ++i) {
    const Clock::time_point start = Clock::now();
    std::vector<std::thread> others;
    for (size_t t = 1; t < threads; ++t)
      others.emplace_back([&, t] { sink += sum(block.data() + t * part, part); });
    sink += sum(block.data(), part);
    for (std::thread& t : others) t.join();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, static_cast<double>(part * threads) / seconds);
  }
  return best;
}

}  // namespace

double read_rate() {
  const size_t threads = std::max(1u, std::thread::hardware_concurrency());
  const size_t bytes = std::min<uint64_t>(size_t{256} << 20, machine_memory().free / 8);
  if (bytes < (size_t{1} << 20)) return 0;
  try {
    Block block(bytes, "read rate", Contents::any);
    block.prefer_huge_pages();
    std::memset(block.data(), 1, bytes);  // pages that were never written are all one page of zeros
    return measure(block, threads);
  } catch (const Error&) {
    return 0;
  }
}

}  // namespace moescope
