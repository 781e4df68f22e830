// What this machine can do at most: multiply-adds from registers, and reads from memory.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "kernels.h"

namespace bench {

using namespace moescope::kernels;

inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/** Seconds that this thread has computed: what others do on the machine does not count. */
inline double computed() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

/** Least seconds of a call: repeated for `budget` seconds, at least three times. Of one thread its processor
 * time is taken, of several the time that passes. */
template <class F>
double best(F&& call, double budget = 0.15, int threads = 2) {
  const auto clock = threads == 1 ? computed : now;
  call();
  double least = 1e30;
  const double end = now() + budget;
  for (int i = 0; i < 3 || now() < end; ++i) {
    const double start = clock();
    call();
    least = std::min(least, clock() - start);
  }
  return least;
}

/** Memory as the weights would have: aligned, touched, huge pages where the system gives them. */
struct Memory {
  char* data;
  size_t size;
  explicit Memory(size_t bytes) : size(bytes) {
    data = static_cast<char*>(::operator new(bytes, std::align_val_t(2 << 20)));
#if defined(MADV_HUGEPAGE)
    madvise(data, bytes, MADV_HUGEPAGE);
#endif
    std::memset(data, 0, bytes);
  }
  ~Memory() { ::operator delete(data, std::align_val_t(2 << 20)); }
  Memory(const Memory&) = delete;
};

// 12 or 16 independent sums hide the latency of two FMA units (more than 16 the compiler would not unroll).
#define MOESCOPE_PEAK(name, width, count, ...)                  \
  __VA_ARGS__ inline double name(int64_t rounds) {              \
    typedef float V __attribute__((vector_size(width * 4)));    \
    V a = V{} + 0.999f, b = V{} + 1e-3f, sum[count];            \
    for (int i = 0; i < count; ++i) sum[i] = V{} + float(i);    \
    for (int64_t r = 0; r < rounds; ++r) {                      \
      for (int i = 0; i < count; ++i) sum[i] = sum[i] * a + b;  \
    }                                                           \
    double total = 0;                                           \
    for (int i = 0; i < count; ++i) total += double(sum[i][0]); \
    return total;                                               \
  }
#if defined(__x86_64__)
MOESCOPE_PEAK(peak_avx512, 16, 16, __attribute__((target("avx512f,avx512vl,avx512dq,fma"))))
MOESCOPE_PEAK(peak_avx2, 8, 12, __attribute__((target("avx2,fma"))))
#endif
MOESCOPE_PEAK(peak_generic, 4, 12, )
#undef MOESCOPE_PEAK

/** GFLOP/s of f32 multiply-adds from registers on `threads` cores. */
inline double peak(Isa isa, int threads) {
  constexpr int64_t rounds = 400000;
  double flops = 0;
  double (*spin)(int64_t) = nullptr;
#if defined(__x86_64__)
  if (isa == Isa::avx512 || isa == Isa::amx) spin = peak_avx512, flops = 16 * 16 * 2;
  if (isa == Isa::avx2) spin = peak_avx2, flops = 12 * 8 * 2;
#endif
  if (!spin) spin = peak_generic, flops = 12 * 4 * 2;
  static std::atomic<double> sink;
  const double seconds = best(
      [&] {
        Pool::instance().parallel_for(threads, threads, 1, nullptr,
                                      [&](int64_t, int64_t, int) { sink = spin(rounds); });
      },
      0.5, threads);
  return flops * double(rounds) * threads / seconds / 1e9;
}

/** GB/s of reading memory beyond the caches: the best of plain loads and of loads with prefetches, in one
 * stream or four a thread. Stretches of 32 MB of a much larger buffer are timed in turn, as long as a product
 * takes to read its weights. */
inline double read_bandwidth(const Memory& memory, int threads) {
  constexpr int64_t part = 1 << 20, stretch = 32 << 20;
  static std::atomic<uint64_t> sink;
  double least = 1e30;
  int64_t turn = 0;
  for (const bool ahead : {false, true})
    for (const int64_t streams : {1, 4})
      least = std::min(
          least,
          best(
              [&] {
                const char* from = memory.data + turn++ % (int64_t(memory.size) / stretch - 1) * stretch;
                Pool::instance().parallel_for(
                    threads, stretch / part, 1, nullptr, [&](int64_t begin, int64_t, int) {
                      typedef uint64_t V __attribute__((vector_size(64)));
                      V sum[4] = {};
                      const char* at = from + begin * part;
                      const int64_t step = streams == 1 ? 64 : part / 4, each = streams == 1 ? 256 : 64;
                      for (int64_t i = 0; i < part / streams; i += each)
                        for (int u = 0; u < 4; ++u) {
                          V v;
                          if (ahead) __builtin_prefetch(at + i + u * step + 4096);
                          std::memcpy(&v, at + i + u * step, 64);
                          sum[u] |= v;
                        }
                      const V all = (sum[0] | sum[1]) | (sum[2] | sum[3]);
                      sink = all[0] | all[1] | all[2] | all[3] | all[4] | all[5] | all[6] | all[7];
                    });
              },
              0.4, threads));
  return double(stretch) / least / 1e9;
}

}  // namespace bench
