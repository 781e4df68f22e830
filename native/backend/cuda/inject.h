// Faults on purpose, for tests alone: MOESCOPE_INJECT, read whenever a backend is made. Words with commas
// between:
//   cuda-fault:<layer>       a kernel of that layer traps, in every run
//   cuda-memory:<bytes>      the device is believed to have so many bytes in all
//   cuda-allocation:<n>      n more allocations succeed, on the device or pinned; the next one fails
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"

namespace moescope::cuda {

struct Inject {
  int64_t fault = -1;
  int64_t memory = -1;
  int64_t allocation = -1;
};

inline Inject read_injections(const char* text) {
  Inject out;
  std::string rest = text ? text : "";
  while (!rest.empty()) {
    const size_t comma = rest.find(','), colon = rest.find(':');
    const std::string word = rest.substr(0, comma), key = word.substr(0, colon);
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
    int64_t* target = key == "cuda-fault"        ? &out.fault
                      : key == "cuda-memory"     ? &out.memory
                      : key == "cuda-allocation" ? &out.allocation
                                                 : nullptr;
    char* end = nullptr;
    const char* number = word.c_str() + key.size() + 1;
    const bool there = target && key.size() + 1 < word.size();
    if (there) *target = std::strtoll(number, &end, 10);
    if (!there || *end != '\0' || *target < 0)
      fail(Code::argument, "MOESCOPE_INJECT",
           "\"" + word +
               "\" is not one of cuda-fault:<layer>, "
               "cuda-memory:<bytes>, cuda-allocation:<n>");
  }
  return out;
}
inline Inject read_injections() { return read_injections(std::getenv("MOESCOPE_INJECT")); }

}  // namespace moescope::cuda
