// The fast path is not here yet: the exact one answers.
#include "backend/backend.h"

namespace moescope {

std::unique_ptr<Backend> fast_cpu(const Config& c, const Weights& w, int) { return exact_cpu(c, w); }

}  // namespace moescope
