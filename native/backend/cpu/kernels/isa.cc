// Which instruction set this machine offers, and the table that goes with it.
#include <cstdlib>
#include <cstring>

#include "kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if MOESCOPE_HAVE_AMX
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace moescope::kernels {

extern const Kernels generic_kernels;
#if MOESCOPE_HAVE_AVX2
extern const Kernels avx2_kernels;
#endif
#if MOESCOPE_HAVE_AVX512
extern const Kernels avx512_kernels;
#endif
#if MOESCOPE_HAVE_AMX
extern const Kernels amx_kernels;
#endif
#if MOESCOPE_HAVE_NEON
extern const Kernels neon_kernels;
#endif

namespace {

/** Linux gives a process the tiles' registers when it asks. */
[[maybe_unused]] bool tiles_granted() {
#if MOESCOPE_HAVE_AMX
  constexpr long request = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, request, tile_data) == 0;
#else
  return false;
#endif
}

/** What the x86-64-v3 and v4 levels, and AMX, ask for in the processor and in the operating system. */
Isa widest() {
#if defined(__x86_64__)
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return Isa::generic;
  constexpr unsigned fma = 1u << 12, movbe = 1u << 22, osxsave = 1u << 27, avx = 1u << 28, f16c = 1u << 29;
  constexpr unsigned need = fma | movbe | osxsave | avx | f16c;
  if ((c & need) != need) return Isa::generic;
  unsigned xcr0, high;
  asm volatile("xgetbv" : "=a"(xcr0), "=d"(high) : "c"(0));
  if ((xcr0 & 0x6) != 0x6) return Isa::generic;
  unsigned e, f, g, h;
  if (!__get_cpuid_count(0x80000001, 0, &e, &f, &g, &h) || !(g & 1u << 5)) return Isa::generic;  // lzcnt
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return Isa::generic;
  constexpr unsigned bmi1 = 1u << 3, avx2 = 1u << 5, bmi2 = 1u << 8;
  if ((b & (bmi1 | avx2 | bmi2)) != (bmi1 | avx2 | bmi2)) return Isa::generic;
  constexpr unsigned avx512 = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;  // f dq cd bw vl
  if ((b & avx512) != avx512 || (xcr0 & 0xe6) != 0xe6) return Isa::avx2;
  constexpr unsigned amx = 1u << 22 | 1u << 24;  // bf16 tile
  const bool tiles = (d & amx) == amx && (xcr0 & 0x60000) == 0x60000 && tiles_granted();
  return tiles ? Isa::amx : Isa::avx512;
#elif defined(__aarch64__)
  return Isa::neon;
#else
  return Isa::generic;
#endif
}

const Kernels* table(Isa isa) {
  switch (isa) {
#if MOESCOPE_HAVE_AVX2
    case Isa::avx2:
      return &avx2_kernels;
#endif
#if MOESCOPE_HAVE_AVX512
    case Isa::avx512:
      return &avx512_kernels;
#endif
#if MOESCOPE_HAVE_AMX
    case Isa::amx:
      return &amx_kernels;
#endif
#if MOESCOPE_HAVE_NEON
    case Isa::neon:
      return &neon_kernels;
#endif
    case Isa::generic:
      return &generic_kernels;
    default:
      return nullptr;
  }
}

}  // namespace

const char* name(Isa isa) {
  constexpr const char* names[] = {"generic", "neon", "avx2", "avx512", "amx"};
  return names[static_cast<int>(isa)];
}

bool available(Isa isa) {
  static const Isa best = widest();
  if (!table(isa)) return false;
  if (isa == Isa::generic || isa == best) return true;
  // Of one family, narrower ones come before.
  return isa != Isa::neon && best != Isa::neon && isa < best;
}

Isa detect() {
  static const Isa chosen = [] {
    constexpr Isa order[] = {Isa::amx, Isa::avx512, Isa::avx2, Isa::neon, Isa::generic};
    if (const char* forced = std::getenv("MOESCOPE_ISA"))
      for (Isa isa : order)
        if (!std::strcmp(forced, name(isa)) && available(isa)) return isa;
    for (Isa isa : order)
      if (available(isa)) return isa;
    return Isa::generic;
  }();
  return chosen;
}

const Kernels& kernels(Isa isa) { return *table(available(isa) ? isa : Isa::generic); }

}  // namespace moescope::kernels
