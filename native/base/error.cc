#include "base/error.h"

namespace moescope {

const char* name(Code code) {
  switch (code) {
    case Code::cancelled:
      return "cancelled";
    case Code::released:
      return "released";
    case Code::memory:
      return "memory";
    case Code::budget:
      return "budget";
    case Code::file:
      return "file";
    case Code::nonfinite:
      return "nonfinite";
    case Code::argument:
      return "argument";
    case Code::device:
      return "device";
    case Code::lost:
      return "lost";
    case Code::internal:
      break;
  }
  return "internal";
}

}  // namespace moescope
