#include "base/budget.h"

#include <string>

#include "base/error.h"

namespace moescope {

Budget::Budget() : limit_(machine_memory().total / 3) {}

Budget& Budget::instance() {
  static Budget budget;
  return budget;
}

void Budget::check(uint64_t bytes) const {
  const uint64_t live = live_.load(), limit = limit_.load();
  if (bytes <= limit && live <= limit - bytes) return;
  fail(Code::budget, "",
       "what is to be captured takes " + std::to_string(bytes) + " bytes; " + std::to_string(live) +
           " of the budget of " + std::to_string(limit) + " bytes are in use");
}

}  // namespace moescope
