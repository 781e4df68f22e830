#include "model/locate.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace moescope {

Site first_nonfinite(Backend& backend, const Config& config, Step step, int layer, int row) {
  const Site shown = backend.nonfinite_site(step, layer, row);
  // The same edits, but one row of one layer watched instead of what the user watches.
  std::vector<Point> points(step.points,
                            step.points + static_cast<std::ptrdiff_t>(step.layers + 1) * site_count);
  std::vector<int32_t> to(static_cast<size_t>(step.rows), -1);
  to[static_cast<size_t>(row)] = 0;
  std::vector<std::vector<float>> values(site_count);
  std::vector<Tap> taps(site_count);
  for (Point& p : points) p.taps = nullptr;
  for (int i = 0; i < site_count; ++i) {
    const Site site = static_cast<Site>(i);
    if (!has_layer(site) || !exists(site, config, layer) || site == Site::attn_pattern) continue;
    const size_t size = static_cast<size_t>(i);
    values[size].resize(static_cast<size_t>(shape_of(site, config, layer).total()));
    taps[size].data = values[size].data();
    taps[size].width = static_cast<int64_t>(values[size].size());
    taps[size].to = to.data();
    points[static_cast<size_t>(layer) * site_count + size].taps = &taps[size];
  }
  step.points = points.data();
  backend.embed(step);
  for (int l = 0; l <= layer; ++l) {
    backend.qkv(step, l);
    backend.attend(step, l);
    backend.out(step, l);
    backend.route_ffn(step, l);
    backend.ffn_down(step, l);
  }
  for (int i = 0; i < site_count; ++i) {
    const auto& x = values[static_cast<size_t>(i)];
    if (!std::all_of(x.begin(), x.end(), [](float y) { return std::isfinite(y); }))
      return static_cast<Site>(i);
  }
  return shown;
}

}  // namespace moescope
