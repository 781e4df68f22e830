#include "base/read_rate.h"

#include <algorithm>
#include <atomic>
#include <barrier>
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
    __builtin_prefetch(from + i + 4096);
    std::memcpy(x, from + i, 64);
    for (int j = 0; j < 8; ++j) sums[j] += x[j];
  }
  uint64_t all = 0;
  for (const uint64_t s : sums) all += s;
  return all;
}

/** The best of many short stretches: others who use the machine disturb a long one for certain. */
double measure(const Block& block, size_t threads) {
  constexpr size_t stretch = size_t{32} << 20;
  const size_t stretches = std::max<size_t>(1, block.bytes() / stretch), rounds = 3 * stretches;
  const size_t part = std::min(stretch, block.bytes()) / threads / 64 * 64;
  std::atomic<uint64_t> sink{0};
  std::barrier gate(static_cast<std::ptrdiff_t>(threads));
  double best = 0;
  const auto work = [&](size_t t) {
    for (size_t i = 0; i < rounds; ++i) {
      const std::byte* from = block.data() + i % stretches * stretch + t * part;
      gate.arrive_and_wait();
      const Clock::time_point start = Clock::now();
      sink += sum(from, part);
      gate.arrive_and_wait();
      const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
      if (t == 0) best = std::max(best, static_cast<double>(part * threads) / seconds);
    }
  };
  std::vector<std::thread> others;
  for (size_t t = 1; t < threads; ++t) others.emplace_back(work, t);
  work(0);
  for (std::thread& t : others) t.join();
  return best;
}

}  // namespace

double read_rate() {
  const size_t threads = std::max(1u, std::thread::hardware_concurrency());
  const size_t bytes = std::min<uint64_t>(size_t{512} << 20, machine_memory().free / 8);
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
