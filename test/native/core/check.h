// Counted checks. A program of them ends with `finish()`: the counts, and the exit status.
#pragma once

#include <cmath>
#include <cstdio>
#include <string>

namespace check {

inline int passed = 0, failed = 0;

inline bool that(bool ok, const std::string& what) {
  ++(ok ? passed : failed);
  if (!ok && failed <= 40) std::printf("FAILED  %s\n", what.c_str());
  return ok;
}

/** |got - want| <= tolerance. */
inline bool near(double got, double want, double tolerance, const std::string& what) {
  char text[96];
  std::snprintf(text, sizeof text, ": got %.9g, wanted %.9g +- %.2g", got, want, tolerance);
  const bool ok = std::isnan(want) ? std::isnan(got) : std::fabs(got - want) <= tolerance;
  return that(ok, ok ? std::string() : what + text);
}

inline int finish() {
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed ? 1 : 0;
}

}  // namespace check
