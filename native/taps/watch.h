// The edits and taps of one site, applied to the rows that pass it: first what changes them, then what keeps
// them, so that a captured value shows the edit.
#pragma once

#include <cstring>

#include "backend/backend.h"

namespace moescope {

class Watch {
 public:
  Watch(const Step& step, const Config& config, Site site, int layer)
      : step_(step), point_(step.at(site, layer)) {
    if (point_) shape_ = shape_of(site, config, layer);
  }

  /** Anything to do here? */
  explicit operator bool() const { return static_cast<bool>(point_); }
  bool taps() const { return point_.taps != nullptr; }

  /** The whole row, [groups, width]. `choice`: [topk] of the row, for expert sites. */
  void row(int r, float* values, const int32_t* choice = nullptr) const {
    for (const SiteEdit* e = point_.edits; e; e = e->next) edit(*e, r, values);
    keep(r, values, choice);
  }

  void keep(int r, const float* values, const int32_t* choice = nullptr) const {
    for (const Tap* t = point_.taps; t; t = t->next) {
      const int32_t to = t->to[r];
      if (to < 0 || (t->experts && !chose(*t, choice))) continue;
      if (t->kept) t->kept[to] = 1;
      float* out = t->data + to * t->width;
      if (!t->heads) {
        std::memcpy(out, values, sizeof(float) * static_cast<size_t>(t->width));
        continue;
      }
      for (int g = 0; g < shape_.groups; ++g) {
        if (!t->heads[g]) continue;
        std::memcpy(out, values + g * shape_.width, sizeof(float) * static_cast<size_t>(shape_.width));
        out += shape_.width;
      }
    }
  }

 private:
  bool chose(const Tap& t, const int32_t* choice) const {
    for (int g = 0; choice && g < shape_.groups; ++g)
      if (t.experts[choice[g]]) return true;
    return false;
  }

  void edit(const SiteEdit& e, int r, float* values) const {
    if (!e.active[step_.variant(r)]) return;
    const float* from = e.values;
    if (e.kind == SiteEdit::Kind::patch) {
      if (e.patch_row[r] < 0) return;
      from += int64_t{e.patch_row[r]} * shape_.total();
    }
    for (int g = 0; g < shape_.groups; ++g) {
      if (e.heads && !e.heads[g]) continue;
      float* x = values + g * shape_.width;
      const float* y = from ? from + g * shape_.width : nullptr;
      switch (e.kind) {
        case SiteEdit::Kind::zero:
          std::memset(x, 0, sizeof(float) * static_cast<size_t>(shape_.width));
          break;
        case SiteEdit::Kind::patch:
          std::memcpy(x, y, sizeof(float) * static_cast<size_t>(shape_.width));
          break;
        case SiteEdit::Kind::scale:
          for (int i = 0; i < shape_.width; ++i) x[i] *= e.amount;
          break;
        case SiteEdit::Kind::add:
          for (int i = 0; i < shape_.width; ++i) x[i] += e.amount * y[i];
          break;
      }
    }
  }

  const Step& step_;
  const Point& point_;
  SiteShape shape_;
};

}  // namespace moescope
