// The model in double precision, one token at a time, written from the spec and sharing no code with the
// engine: the slow twin.
#pragma once

#include "fixture.h"

namespace twin {

/** [rows, total] of every site but attn.pattern, by label; patterns are [row][head][key] under
 * "…attn.pattern". */
using Sites = std::map<std::string, std::vector<double>>;

Sites run(const moescope::Config&, const fixture::Values&, const std::vector<int32_t>& ids);

}  // namespace twin
