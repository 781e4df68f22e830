#include "pool.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace moescope::kernels {
namespace {

constexpr int max_threads = 1024;
constexpr auto spin_time = std::chrono::microseconds(5);

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/** Waits for `ready` without a system call for a few microseconds; false: not yet. */
template <class F>
bool spin(F ready) {
  static const bool alone = Pool::cores() == 1;
  if (ready()) return true;
  if (alone) return false;
  const auto end = std::chrono::steady_clock::now() + spin_time;
  do {
    for (int i = 0; i < 16; ++i) {
      pause();
      if (ready()) return true;
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

struct Buffer {
  void* data = nullptr;
  size_t size = 0;
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { release(); }
  void release() {
    if (data) ::operator delete(data, std::align_val_t(64));
    data = nullptr;
    size = 0;
  }
  void grow(size_t bytes) {
    if (bytes <= size) return;
    release();
    data = ::operator new(bytes, std::align_val_t(64));
    size = bytes;
  }
};

// The gate of a region: who may still enter, and how many are inside. A worker that wakes after the last
// block was taken finds it closed and goes back to sleep; the caller never waits for a thread that has
// nothing to do.
constexpr uint64_t count_mask = 0xffff, closed = 1u << 16;
constexpr uint64_t make_gate(uint32_t epoch, int threads) {
  return uint64_t{epoch} << 32 | uint64_t(threads) << 17 | 0;
}
constexpr uint32_t gate_epoch(uint64_t g) { return uint32_t(g >> 32); }
constexpr int gate_threads(uint64_t g) { return int(g >> 17 & 0x7fff); }

}  // namespace

struct Pool::State {
  std::mutex turn;  // one region at a time
  std::vector<std::thread> workers;
  Buffer scratch[max_threads];
  std::atomic<size_t> reserved_bytes{0};
  std::atomic<int> reserved_threads{0};

  alignas(64) std::atomic<uint32_t> epoch{0};  // workers park on it
  alignas(64) std::atomic<uint64_t> gate{closed};
  alignas(64) std::atomic<uint32_t> emptied{0};  // the caller parks on it
  alignas(64) std::atomic<int64_t> next{0};
  std::atomic<bool> stopping{false};

  // The region; written by the caller while the gate is closed and empty.
  int64_t n = 0, grain = 1, blocks = 0;
  const std::atomic<bool>* cancel = nullptr;
  void* body = nullptr;
  Call call = nullptr;
  std::atomic<bool> cut{false};

  void work(int worker) {
    for (;;) {
      const int64_t block = next.fetch_add(1, std::memory_order_relaxed);
      if (block >= blocks) return;
      if (cancel && cancel->load(std::memory_order_relaxed)) {
        cut.store(true, std::memory_order_relaxed);
        return;
      }
      call(body, block * grain, std::min(n, (block + 1) * grain), worker);
    }
  }

  bool enter(uint32_t at, int worker) {
    uint64_t g = gate.load(std::memory_order_acquire);
    while (gate_epoch(g) == at && !(g & closed) && worker < gate_threads(g))
      if (gate.compare_exchange_weak(g, g + 1, std::memory_order_acq_rel)) return true;
    return false;
  }

  void leave() {
    const uint64_t g = gate.fetch_sub(1, std::memory_order_acq_rel) - 1;
    if ((g & closed) && !(g & count_mask)) {
      emptied.fetch_add(1, std::memory_order_release);
      emptied.notify_one();
    }
  }

  void worker_loop(int worker, uint32_t seen) {
    for (;;) {
      if (!spin([&] { return epoch.load(std::memory_order_acquire) != seen; }))
        epoch.wait(seen, std::memory_order_acquire);
      const uint32_t now = epoch.load(std::memory_order_acquire);
      if (now == seen) continue;
      seen = now;
      if (stopping.load(std::memory_order_acquire)) return;
      if (enter(now, worker)) {
        work(worker);
        leave();
      }
    }
  }

  void start(int threads) {
    while (static_cast<int>(workers.size()) + 1 < threads) {
      const int worker = static_cast<int>(workers.size()) + 1;
      workers.emplace_back([this, worker, seen = epoch.load()] { worker_loop(worker, seen); });
    }
  }
};

Pool::Pool() : state_(std::make_unique<State>()) {}
Pool::~Pool() { stop(); }

Pool& Pool::instance() {
  // Never destroyed: threads of other modules may still compute while the process leaves.
  static Pool* pool = new Pool();
  return *pool;
}

void Pool::stop() {
  State& s = *state_;
  std::lock_guard lock(s.turn);
  s.stopping.store(true, std::memory_order_release);
  s.epoch.fetch_add(1, std::memory_order_release);
  s.epoch.notify_all();
  for (auto& t : s.workers) t.join();
  s.workers.clear();
  s.stopping.store(false);
}

bool Pool::run(int threads, int64_t n, int64_t grain, const std::atomic<bool>* cancel, void* body,
               Call call) {
  if (n <= 0) return true;
  grain = std::max<int64_t>(grain, 1);
  State& s = *state_;
  const int64_t blocks = (n + grain - 1) / grain;
  threads = static_cast<int>(std::min<int64_t>({threads, blocks, max_threads}));
  std::lock_guard lock(s.turn);
  s.n = n;
  s.grain = grain;
  s.blocks = blocks;
  s.cancel = cancel;
  s.body = body;
  s.call = call;
  s.cut.store(false, std::memory_order_relaxed);
  s.next.store(0, std::memory_order_relaxed);
  if (threads > 1) {
    s.start(threads);
    const uint32_t epoch = s.epoch.load(std::memory_order_relaxed) + 1;
    s.gate.store(make_gate(epoch, threads), std::memory_order_release);
    s.epoch.store(epoch, std::memory_order_release);
    s.epoch.notify_all();
  }
  s.work(0);
  if (threads > 1) {
    s.gate.fetch_or(closed, std::memory_order_acq_rel);
    const auto empty = [&] { return !(s.gate.load(std::memory_order_acquire) & count_mask); };
    while (!spin(empty)) {
      const uint32_t seen = s.emptied.load(std::memory_order_acquire);
      if (empty()) break;
      s.emptied.wait(seen, std::memory_order_acquire);
    }
  }
  return !s.cut.load(std::memory_order_relaxed);
}

void* Pool::scratch(int worker) const { return state_->scratch[worker].data; }

void Pool::reserve(int threads, size_t bytes) {
  State& s = *state_;
  threads = std::clamp(threads, 1, max_threads);
  if (s.reserved_bytes.load() >= bytes && s.reserved_threads.load() >= threads) return;
  std::lock_guard lock(s.turn);
  bytes = std::max(bytes, s.reserved_bytes.load());
  threads = std::max(threads, s.reserved_threads.load());
  for (int i = 0; i < threads; ++i) s.scratch[i].grow(bytes);
  s.reserved_bytes.store(bytes);
  s.reserved_threads.store(threads);
}

void* Pool::caller_scratch(size_t bytes) {
  thread_local Buffer buffer;
  buffer.grow(bytes);
  return buffer.data;
}

int Pool::cores() {
  static const int cores = [] {
#if defined(__APPLE__)
    int n = 0;
    size_t size = sizeof n;
    if (!sysctlbyname("hw.perflevel0.physicalcpu", &n, &size, nullptr, 0) && n > 0) return n;
#elif defined(__linux__)
    cpu_set_t set;
    if (!sched_getaffinity(0, sizeof set, &set)) {
      int physical = 0;
      for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(cpu, &set)) continue;
        // A core is counted at its first thread that we may use.
        char path[96];
        std::snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
        int first = cpu;
        if (std::FILE* f = std::fopen(path, "r")) {
          if (std::fscanf(f, "%d", &first) != 1) first = cpu;
          std::fclose(f);
        }
        physical += first == cpu || first < 0 || first >= CPU_SETSIZE || !CPU_ISSET(first, &set);
      }
      if (std::FILE* f = std::fopen("/sys/fs/cgroup/cpu.max", "r")) {
        long quota = 0, period = 0;
        if (std::fscanf(f, "%ld %ld", &quota, &period) == 2 && quota > 0 && period > 0)
          physical = std::min<int>(physical, std::max<long>(1, (quota + period - 1) / period));
        std::fclose(f);
      }
      if (physical > 0) return physical;
    }
#endif
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  }();
  return cores;
}

}  // namespace moescope::kernels
