// The thread pool: every block once, any number of threads and callers, cancellation, starting again.
#include <chrono>
#include <ctime>
#include <thread>

#include "check.h"
#include "suites.h"

using namespace moescope::kernels;

void pool_suite() {
  Pool& pool = Pool::instance();
  for (int round = 0; round < 3000; ++round) {
    const int threads = 1 + round % 5, n = 1 + round % 37, grain = 1 + round % 3;
    std::vector<std::atomic<int>> times(static_cast<size_t>(n));
    const bool done =
        pool.parallel_for(threads, n, grain, nullptr, [&](int64_t begin, int64_t end, int worker) {
          for (int64_t i = begin; i < end; ++i) times[size_t(i)] += worker < threads ? 1 : 100;
        });
    bool once = done;
    for (const auto& t : times) once &= t == 1;
    check::that(once, "every index once, round " + std::to_string(round));
  }

  std::atomic<bool> cancel{false};
  std::atomic<int> ran{0};
  check::that(!pool.parallel_for(3, 1000, 1, &cancel,
                                 [&](int64_t, int64_t, int) {
                                   if (++ran == 10) cancel = true;
                                 }),
              "a cancelled region says so");
  check::that(ran < 20, "a cancelled region stops");

  std::atomic<int64_t> total{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&] {
      for (int i = 0; i < 500; ++i)
        pool.parallel_for(3, 20, 1, nullptr, [&](int64_t begin, int64_t end, int) { total += end - begin; });
    });
  for (auto& t : callers) t.join();
  check::that(total == 4 * 500 * 20, "callers take turns");

  // An idle pool parks: the process uses next to no processor time.
  pool.parallel_for(4, 4, 1, nullptr, [](int64_t, int64_t, int) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const std::clock_t before = std::clock();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  check::that(double(std::clock() - before) / CLOCKS_PER_SEC < 0.01, "an idle pool burns no core");

  pool.stop();
  int after = 0;
  pool.parallel_for(2, 1, 1, nullptr, [&](int64_t, int64_t, int) { ++after; });
  std::atomic<int> again{0};
  pool.parallel_for(2, 8, 1, nullptr, [&](int64_t, int64_t, int) { ++again; });
  check::that(after == 1 && again == 8, "a stopped pool starts again");
}
