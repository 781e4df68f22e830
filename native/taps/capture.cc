#include "taps/capture.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/error.h"

namespace moescope {
namespace {

std::string place(const CaptureSpec& s) {
  return (s.layer < 0 ? std::string() : "layers." + std::to_string(s.layer) + ".") + name(s.site);
}

/** A list of indices below `n` as one byte each. */
std::vector<uint8_t> mask_of(const std::vector<int32_t>& list, int n, const std::string& where,
                             const char* what) {
  std::vector<uint8_t> mask(static_cast<size_t>(n));
  for (const int32_t i : list) {
    if (i < 0 || i >= n)
      fail(Code::argument, where,
           std::string(what) + " " + std::to_string(i) + " is not below " + std::to_string(n));
    mask[static_cast<size_t>(i)] = 1;
  }
  return mask;
}

}  // namespace

CaptureSet::CaptureSet(const Config& c, const std::vector<CaptureSpec>& specs, int batch_rows,
                       int decode_rows, int64_t keys, uint64_t also)
    : config_(c), batch_rows_(batch_rows), decode_rows_(decode_rows) {
  double bytes = static_cast<double>(also);
  for (const CaptureSpec& spec : specs) {
    if (!exists(spec.site, c, spec.layer))
      fail(Code::argument, place(spec), "there is no such site in this model");
    Entry& e = entries_.emplace_back();
    e.spec = spec;
    e.plan = plan_for(spec);
    e.shape = shape_of(spec.site, c, spec.layer);
    e.groups = e.shape.groups;
    if (spec.heads) {
      if (e.shape.kind != SiteShape::Kind::heads)
        fail(Code::argument, place(spec), "heads are chosen, but it has none");
      e.heads = mask_of(*spec.heads, e.shape.groups, place(spec), "head");
      e.groups = static_cast<int>(std::count(e.heads.begin(), e.heads.end(), 1));
    }
    if (spec.experts) {
      if (e.shape.kind != SiteShape::Kind::slots || spec.site < Site::expert_in)
        fail(Code::argument, place(spec), "experts are chosen, but it is no site of experts");
      e.experts = mask_of(*spec.experts, c.experts, place(spec), "expert");
      e.kept.resize(static_cast<size_t>(e.plan->capacity));
    }
    const int64_t width = spec.site == Site::attn_pattern ? keys : e.shape.width;
    bytes += 4.0 * static_cast<double>(e.groups) * static_cast<double>(width) *
             static_cast<double>(e.plan->capacity);
  }
  Budget::instance().check(bytes < 1e18 ? static_cast<uint64_t>(bytes) : UINT64_MAX);
  for (Entry& e : entries_) {
    e.tap.width = int64_t{e.groups} * e.shape.width;
    e.tap.heads = e.heads.empty() ? nullptr : e.heads.data();
    e.tap.experts = e.experts.empty() ? nullptr : e.experts.data();
    e.tap.kept = e.kept.empty() ? nullptr : e.kept.data();
    if (e.spec.site == Site::attn_pattern) continue;
    e.data = Counted(sizeof(float) * static_cast<size_t>(e.plan->capacity * e.tap.width), "captures");
    e.tap.data = e.data.as<float>();
  }
}

CaptureSet::RowPlan* CaptureSet::plan_for(const CaptureSpec& spec) {
  std::optional<std::vector<int32_t>> filter = spec.rows;
  if (filter) {
    std::sort(filter->begin(), filter->end());
    filter->erase(std::unique(filter->begin(), filter->end()), filter->end());
    if (!filter->empty() && (filter->front() < 0 || filter->back() >= batch_rows_))
      fail(Code::argument, place(spec),
           "a row is captured that the batch of " + std::to_string(batch_rows_) + " rows lacks");
  }
  for (RowPlan& p : plans_)
    if (p.decode == spec.decode && p.filter == filter) return &p;
  RowPlan& p = plans_.emplace_back();
  p.capacity =
      (filter ? static_cast<int64_t>(filter->size()) : batch_rows_) + (spec.decode ? decode_rows_ : 0);
  p.filter = std::move(filter);
  p.decode = spec.decode;
  return &p;
}

void CaptureSet::attach(Point* points) {
  for (Entry& e : entries_) {
    const int line = e.spec.layer < 0 ? config_.layer_count() : e.spec.layer;
    Point& p = points[line * site_count + static_cast<int>(e.spec.site)];
    e.tap.next = p.taps;
    p.taps = &e.tap;
  }
}

void CaptureSet::prepare(const TileRows& rows) {
  for (RowPlan& p : plans_) {
    p.rows.resize(p.committed);
    p.to.assign(rows.size(), -1);
    for (size_t r = 0; r < rows.size(); ++r) {
      const bool wanted = rows[r].batch < 0 ? p.decode
                          : !p.filter ? true
                                      : std::binary_search(p.filter->begin(), p.filter->end(), rows[r].batch);
      if (!wanted) continue;
      p.to[r] = static_cast<int32_t>(p.rows.size());
      p.rows.push_back(rows[r].t);
    }
  }
  for (Entry& e : entries_) {
    e.tap.to = e.plan->to.data();
    if (e.spec.site != Site::attn_pattern) continue;
    const bool chunked = config_.chunks(e.spec.layer);
    e.visible.resize(e.plan->committed);
    e.pattern.resize(e.plan->committed);
    e.pattern_at.resize(e.plan->committed);
    for (size_t r = 0; r < rows.size(); ++r) {
      if (e.plan->to[r] < 0) continue;
      const int64_t seen = (chunked ? rows[r].position % config_.chunk : rows[r].position) + 1;
      e.visible.push_back(rows[r].position + 1);
      e.pattern.emplace_back(sizeof(float) * static_cast<size_t>(e.groups * seen), "attn.pattern");
      e.pattern_at.push_back(e.pattern.back().as<float>());
    }
    e.tap.pattern = e.pattern_at.data();
  }
}

void CaptureSet::commit() {
  for (RowPlan& p : plans_) p.committed = p.rows.size();
}

std::vector<Captured> CaptureSet::finish() {
  std::vector<Captured> out;
  for (Entry& e : entries_) {
    if (e.spec.site == Site::attn_pattern) {
      out.push_back(finish_pattern(e));
      continue;
    }
    std::vector<int32_t> rows(e.plan->rows.begin(),
                              e.plan->rows.begin() + static_cast<std::ptrdiff_t>(e.plan->committed));
    if (!e.kept.empty()) drop_unchosen(e, rows);
    std::vector<int64_t> shape{static_cast<int64_t>(rows.size())};
    if (e.shape.kind != SiteShape::Kind::flat) shape.push_back(e.groups);
    if (e.shape.width > 1) shape.push_back(e.shape.width);
    e.data.trim(sizeof(float) * rows.size() * static_cast<size_t>(e.tap.width));
    out.push_back({e.spec.site, e.spec.layer, std::move(shape), std::move(e.data), std::move(rows)});
  }
  return out;
}

/** Rows whose experts were not asked for leave no gap. */
void CaptureSet::drop_unchosen(Entry& e, std::vector<int32_t>& rows) {
  const size_t width = static_cast<size_t>(e.tap.width);
  float* data = e.data.as<float>();
  size_t to = 0;
  for (size_t from = 0; from < rows.size(); ++from) {
    if (!e.kept[from]) continue;
    if (to != from) std::memcpy(data + to * width, data + from * width, sizeof(float) * width);
    rows[to++] = rows[from];
  }
  rows.resize(to);
}

/** [heads, rows, keys], key = position in the row's sequence, zero where nothing is seen. */
Captured CaptureSet::finish_pattern(Entry& e) {
  const size_t n = e.plan->committed;
  std::vector<int32_t> rows(e.plan->rows.begin(), e.plan->rows.begin() + static_cast<std::ptrdiff_t>(n));
  int64_t keys = 0;
  for (size_t r = 0; r < n; ++r) keys = std::max(keys, e.visible[r]);
  const int64_t count = static_cast<int64_t>(n);
  const size_t bytes = sizeof(float) * static_cast<size_t>(e.groups * count * keys);
  Counted data(bytes, "attn.pattern");
  data.trim(bytes);
  std::fill_n(data.as<float>(), bytes / sizeof(float), 0.0f);
  const bool chunked = config_.chunks(e.spec.layer);
  for (int64_t r = 0; r < count; ++r) {
    const int64_t last = e.visible[static_cast<size_t>(r)];
    const int64_t first = chunked ? (last - 1) / config_.chunk * config_.chunk : 0;
    const float* from = e.pattern_at[static_cast<size_t>(r)];
    for (int64_t h = 0; h < e.groups; ++h)
      std::copy_n(from + h * (last - first), last - first, data.as<float>() + (h * count + r) * keys + first);
    e.pattern[static_cast<size_t>(r)].reset();
  }
  return {e.spec.site, e.spec.layer, {e.groups, count, keys}, std::move(data), std::move(rows)};
}

}  // namespace moescope
