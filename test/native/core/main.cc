#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "backend/cuda/open.h"
#include "check.h"
#include "fixture.h"
#include "suites.h"

// `native-tests`: on the CPU. `native-tests cuda`: the CUDA backend in the place of the fast path, and what
// only it must do. More words choose suites.
int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const bool cuda = !words.empty() && words[0] == "cuda";
  if (cuda && moescope::cuda_status().state != moescope::CudaStatus::State::ready) {
    std::printf("no CUDA here: %s\n", moescope::cuda_status().text.c_str());
    return 2;
  }
  if (cuda) std::printf("%s\n", moescope::cuda_status().text.c_str());
  fixture::fast_is_cuda = cuda;
  struct Suite {
    const char* name;
    void (*run)();
  };
  std::vector<Suite> suites = {Suite{"basics", test_basics}, Suite{"int4", test_int4},
                               Suite{"model", test_model},   Suite{"order", test_order},
                               Suite{"edits", test_edits},   Suite{"profile", test_profile},
                               Suite{"faults", test_faults}};
  // The last one leaves no device behind.
  if (cuda)
    suites.insert(
        suites.end(),
        {{"cuda", test_cuda}, {"cuda_fast", test_cuda_fast}, {"device", test_device}, {"lost", test_lost}});
  for (const Suite& s : suites) {
    const auto chosen = words.begin() + (cuda ? 1 : 0);
    if (chosen != words.end() && std::find(chosen, words.end(), s.name) == words.end()) continue;
    const auto start = std::chrono::steady_clock::now();
    const int before = check::passed;
    s.run();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::printf("%-8s %6d checks  %.2f s\n", s.name, check::passed - before, seconds);
  }
  return check::finish();
}
