// Every kernel against its slow twin, on every instruction set this machine has. Prints "N passed, N failed".
//   kernels-tests detect    only the instruction set that would be used
#include <cstring>

#include "check.h"
#include "suites.h"

int main(int argc, char** argv) {
  using namespace moescope::kernels;
  if (argc > 1 && !std::strcmp(argv[1], "detect")) {
    std::printf("%s\n", name(detect()));
    return 0;
  }
  pool_suite();
  for (Isa isa : {Isa::generic, Isa::neon, Isa::avx2, Isa::avx512, Isa::amx}) {
    if (!available(isa)) continue;
    const int passed = check::passed, failed = check::failed;
    const Kernels& k = kernels(isa);
    check::that(k.isa == isa, "the table is of its set");
    rows_suite(k);
    matmul_suite(k);
    attention_suite(k);
    std::printf("%s: %d passed, %d failed\n", name(isa), check::passed - passed, check::failed - failed);
  }
  std::printf("%d passed, %d failed\n", check::passed, check::failed);
  Pool::instance().stop();
  return check::failed != 0;
}
