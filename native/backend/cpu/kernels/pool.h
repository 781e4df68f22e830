// The thread pool of the CPU backend: one per process, fork-join, no allocation per call.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace moescope::kernels {

/** Threads that sleep between parallel regions. After a region a worker spins for a few microseconds (the
 * next region of a decode step usually comes within them), then parks in the kernel until it is woken: an
 * idle pool costs nothing. */
class Pool {
 public:
  static Pool& instance();

  /** Cores that may run this process (affinity and cgroup quota respected), hyper-threads counted once where
   * that is known. */
  static int cores();

  /** Calls `fn(begin, end, worker)` over blocks of at most `grain` that cover [0, n), on up to `threads`
   * threads; the caller is worker 0. Returns when all are done. `cancel` is polled between blocks: when it
   * turns true, blocks not yet begun are left out and the result is false. Regions of different callers take
   * turns. Regions must not nest and `fn` must not throw. */
  template <class F>
  bool parallel_for(int threads, int64_t n, int64_t grain, const std::atomic<bool>* cancel, F&& fn) {
    using Body = std::remove_reference_t<F>;
    return run(threads, n, grain, cancel, const_cast<void*>(static_cast<const void*>(std::addressof(fn))),
               [](void* body, int64_t begin, int64_t end, int worker) {
                 (*static_cast<Body*>(body))(begin, end, worker);
               });
  }

  /** Memory of a worker's own, 64-byte aligned, as large as the largest `reserve` so far; valid within the
   * region. */
  void* scratch(int worker) const;
  /** Makes `scratch` hold at least `bytes` for each of the first `threads` workers. Call outside regions; it
   * is free when nothing has to grow. Throws std::bad_alloc. */
  void reserve(int threads, size_t bytes);
  /** Memory of the calling thread's own (a region's workers may share it through `fn`), 64-byte aligned,
   * valid until the thread asks again. */
  static void* caller_scratch(size_t bytes);

  /** Ends the threads (they start again when needed). For tests and for leaving the process. */
  void stop();

  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

 private:
  using Call = void (*)(void* body, int64_t begin, int64_t end, int worker);
  Pool();
  ~Pool();
  bool run(int threads, int64_t n, int64_t grain, const std::atomic<bool>* cancel, void* body, Call call);
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moescope::kernels
