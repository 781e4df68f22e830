#include <chrono>
#include <cstdio>

#include "check.h"
#include "suites.h"

int main() {
  struct Suite {
    const char* name;
    void (*run)();
  };
  for (const Suite& s : {Suite{"basics", test_basics}, Suite{"model", test_model}, Suite{"order", test_order},
                         Suite{"edits", test_edits}, Suite{"faults", test_faults}}) {
    const auto start = std::chrono::steady_clock::now();
    const int before = check::passed;
    s.run();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::printf("%-8s %6d checks  %.2f s\n", s.name, check::passed - before, seconds);
  }
  return check::finish();
}
