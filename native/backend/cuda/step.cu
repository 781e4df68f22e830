// Sending a tile: [rows] ids, positions and segments, caches, edit tables, the rows that taps keep: some KB,
// one copy. Values of patches are those of the tile's rows.
#include <algorithm>

#include "backend/cuda/decode.cuh"
#include "backend/cuda/step.cuh"

namespace moescope::cuda {

void DeviceStep::send(const Step& s, const Config& c, cudaStream_t stream) {
  bytes_.clear();
  places_.clear();
  edits_.clear();
  done = nullptr;
  taps_.clear();
  kept_.clear();
  const size_t variants = static_cast<size_t>(s.edits.variants);
  add_rows(s, c);
  add_tables(s, c, variants);
  for (int line = 0; line <= s.layers; ++line)
    for (int i = 0; i < site_count; ++i) {
      const Point& point = s.points[line * site_count + i];
      if (!point) continue;
      const SiteShape shape = shape_of(static_cast<Site>(i), c, line == s.layers ? -1 : line);
      for (const SiteEdit* e = point.edits; e; e = e->next) add_edit(s, *e, shape, variants);
      for (const Tap* t = point.taps; t; t = t->next) add_tap(s, *t, shape);
    }

  if (pinned_.bytes() < bytes_.size()) {
    pinned_.reserve(2 * bytes_.size(), "tables of the step");
    device_.reserve(2 * bytes_.size(), "tables of the step");
  }
  std::copy(bytes_.begin(), bytes_.end(), pinned_.as<std::byte>());
  check(cudaMemcpyAsync(device_.as<std::byte>(), pinned_.as<std::byte>(), bytes_.size(),
                        cudaMemcpyHostToDevice, stream),
        "tables of the step");
  for (const Place& p : places_) {
    const std::byte* address = device_.as<std::byte>() + p.at;
    std::memcpy(p.pointer, &address, sizeof address);
  }
}

void DeviceStep::follow(const Row* row) {
  ids = &row->id;
  positions = &row->position;
  done = &row->done;
  if (edits.variant) edits.variant = &row->variant;
}

void DeviceStep::add_rows(const Step& s, const Config& c) {
  const size_t n = static_cast<size_t>(s.rows);
  add(ids, s.ids, n);
  add(positions, s.positions, n);
  std::vector<int32_t> of(n);
  std::vector<KvLayer> kv;
  for (int g = 0; g < s.segment_count; ++g) {
    const Segment& segment = s.segments[g];
    std::fill_n(of.begin() + segment.row, segment.count, g);
    kv.insert(kv.end(), segment.kv, segment.kv + c.layer_count());
  }
  add(segment_of, of.data(), n);
  add(segments, s.segments, static_cast<size_t>(s.segment_count));
  add(caches, kv.data(), kv.size());

  embeds = nullptr;
  embed_row = nullptr;
  if (!s.embeds) return;
  std::vector<int32_t> row(n, -1);
  std::vector<float> values;
  int32_t given = 0;
  for (size_t r = 0; r < n; ++r) {
    if (!s.embeds[r]) continue;
    row[r] = given++;
    values.insert(values.end(), s.embeds[r], s.embeds[r] + c.d);
  }
  if (given == 0) return;
  add(embed_row, row.data(), n);
  add(embeds, values.data(), values.size());
}

void DeviceStep::add_tables(const Step& s, const Config& c, size_t variants) {
  const EditTables& e = s.edits;
  const size_t n = static_cast<size_t>(s.rows), cells = variants * static_cast<size_t>(s.layers);
  edits = {};
  edits.variants = e.variants;
  if (e.variant) add(edits.variant, e.variant, n);
  if (e.route) add(edits.route, e.route, cells);
  if (e.bias) add(edits.bias, e.bias, cells * static_cast<size_t>(c.experts));
  if (e.temperature) add(edits.temperature, e.temperature, cells);
  if (e.replay) add(edits.replay, e.replay, n * static_cast<size_t>(s.layers * c.topk));
}

void DeviceStep::add_edit(const Step& s, const SiteEdit& e, const SiteShape& shape, size_t variants) {
  SiteEdit& out = edits_[&e];
  out = e;
  const size_t width = static_cast<size_t>(shape.total());
  add(out.active, e.active, variants);
  if (e.heads) add(out.heads, e.heads, static_cast<size_t>(shape.groups));
  if (e.kind == SiteEdit::Kind::add) add(out.values, e.values, width);
  if (e.kind != SiteEdit::Kind::patch) return;
  std::vector<int32_t> row(static_cast<size_t>(s.rows), -1);
  std::vector<float> values;
  int32_t used = 0;
  for (size_t r = 0; r < row.size(); ++r) {
    if (e.patch_row[r] < 0) continue;
    row[r] = used++;
    const float* from = e.values + static_cast<size_t>(e.patch_row[r]) * width;
    values.insert(values.end(), from, from + width);
  }
  add(out.patch_row, row.data(), row.size());
  add(out.values, values.data(), values.size());
}

void DeviceStep::add_tap(const Step& s, const Tap& t, const SiteShape& shape) {
  DeviceTap& out = taps_[&t];
  KeptRows& kept = kept_[t.to];  // taps with one row filter share it
  if (!kept.on_device && kept.rows.empty()) {
    for (int r = 0; r < s.rows; ++r)
      if (t.to[r] >= 0) kept.rows.push_back(r);
    add(kept.on_device, kept.rows.data(), kept.rows.size());
  }
  out.kept = &kept;
  for (int g = 0; g < shape.groups; ++g)
    if (!t.heads || t.heads[g]) out.groups.push_back(g);
  add(out.on_device, out.groups.data(), out.groups.size());
}

}  // namespace moescope::cuda
