#include "taps/edits.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace moescope {
namespace {

bool within(const std::optional<std::vector<int32_t>>& ranges, int32_t x) {
  if (!ranges) return true;
  for (size_t i = 0; i + 1 < ranges->size(); i += 2)
    if (x >= (*ranges)[i] && x < (*ranges)[i + 1]) return true;
  return false;
}

}  // namespace

bool RowFilter::meets(const TileRow& r) const {
  return within(t, r.t) && within(position, r.position) && within(step, r.step) && within(ids, r.id);
}

EditSet::EditSet(const Config& c, std::vector<Edit> edits) : config_(c), edits_(std::move(edits)) {
  site_data_.resize(edits_.size());
  for (size_t i = 0; i < edits_.size(); ++i) {
    const std::string where = "edit " + std::to_string(i);
    check(edits_[i], where);
    switch (edits_[i].op) {
      case Edit::Op::ban:
      case Edit::Op::bias:
        biases_ = true;
        break;
      case Edit::Op::force:
        routes_ = true;
        break;
      case Edit::Op::replay:
        replays_ = true;
        break;
      case Edit::Op::temperature:
        temperatures_ = true;
        break;
      case Edit::Op::site:
        compile_site(i, where);
        break;
    }
  }
}

void EditSet::check(const Edit& e, const std::string& where) const {
  const auto expert = [&](int32_t x) {
    if (x < 0 || x >= config_.experts)
      fail(Code::argument, where,
           "expert " + std::to_string(x) + " is not below " + std::to_string(config_.experts));
  };
  if (e.layers.size() != config_.layers.size())
    fail(Code::argument, where,
         "layers has " + std::to_string(e.layers.size()) + " entries, the model " +
             std::to_string(config_.layers.size()) + " layers");
  switch (e.op) {
    case Edit::Op::ban:
      std::for_each(e.experts.begin(), e.experts.end(), expert);
      break;
    case Edit::Op::force:
      expert(e.force.forced);
      break;
    case Edit::Op::bias:
      expert(e.expert);
      if (!std::isfinite(e.delta)) fail(Code::argument, where, "the bias is not a finite number");
      break;
    case Edit::Op::replay: {
      const size_t wanted =
          static_cast<size_t>(e.recorded) * config_.layers.size() * static_cast<size_t>(config_.topk);
      if (e.choice.size() != wanted)
        fail(Code::argument, where,
             "choice has " + std::to_string(e.choice.size()) + " entries, not " + std::to_string(wanted));
      for (const int32_t x : e.choice)
        if (x != -1) expert(x);
      break;
    }
    case Edit::Op::temperature:
      if (e.law.kind == TemperatureLaw::Kind::floor && !(e.law.floor > 0 && std::isfinite(e.law.scale)))
        fail(Code::argument, where, "the floor must be above 0 and the scale finite");
      break;
    case Edit::Op::site:
      break;
  }
}

/** One `SiteEdit` a layer that has the site; they share the values. */
void EditSet::compile_site(size_t index, const std::string& where) {
  Edit& e = edits_[index];
  SiteData& d = site_data_[index];
  if (!editable(e.site)) fail(Code::argument, where, std::string(name(e.site)) + " cannot be edited");
  std::vector<int> layers;
  if (!has_layer(e.site)) layers.push_back(-1);
  for (int l = 0; has_layer(e.site) && l < config_.layer_count(); ++l)
    if (e.layers[static_cast<size_t>(l)] && exists(e.site, config_, l)) layers.push_back(l);
  if (layers.empty()) fail(Code::argument, where, std::string("no chosen layer has ") + name(e.site));
  const SiteShape shape = shape_of(e.site, config_, layers[0]);
  const size_t total = static_cast<size_t>(shape.total());

  if (e.heads) {
    if (shape.kind != SiteShape::Kind::heads)
      fail(Code::argument, where, std::string(name(e.site)) + " has no heads");
    d.heads.resize(static_cast<size_t>(shape.groups));
    for (const int32_t h : *e.heads) {
      if (h < 0 || h >= shape.groups)
        fail(Code::argument, where,
             "head " + std::to_string(h) + " is not below " + std::to_string(shape.groups));
      d.heads[static_cast<size_t>(h)] = 1;
    }
  }
  d.values = std::move(e.values);
  if (e.kind == SiteEdit::Kind::add) {
    // A vector as wide as one expert slot is added to every slot.
    if (shape.kind == SiteShape::Kind::slots && d.values.size() == static_cast<size_t>(shape.width))
      for (int g = 1; g < shape.groups; ++g)
        d.values.insert(d.values.end(), d.values.begin(), d.values.begin() + shape.width);
    if (d.values.size() != total)
      fail(Code::argument, where,
           "the vector has " + std::to_string(d.values.size()) + " values, " + name(e.site) + " " +
               std::to_string(total));
  }
  if (e.kind == SiteEdit::Kind::patch) {
    if (d.values.size() != total * e.patch_rows.size())
      fail(Code::argument, where,
           std::to_string(e.patch_rows.size()) + " rows of " + std::to_string(total) +
               " values are patched, but " + std::to_string(d.values.size()) + " values given");
    for (size_t i = 0; i < e.patch_rows.size(); ++i) d.row_of[e.patch_rows[i]] = static_cast<int32_t>(i);
  }
  for (const int l : layers) {
    Hook& h = hooks_.emplace_back();
    h.edit = index;
    h.layer = l;
    h.data.kind = e.kind;
    h.data.amount = e.amount;
    h.data.values = d.values.empty() ? nullptr : d.values.data();
    h.data.heads = d.heads.empty() ? nullptr : d.heads.data();
  }
}

void EditSet::attach(Point* points) {
  // Each hook goes to the end of its point's list: edits apply in the order given.
  for (Hook& h : hooks_) {
    const int line = h.layer < 0 ? config_.layer_count() : h.layer;
    const SiteEdit** end = &points[line * site_count + static_cast<int>(edits_[h.edit].site)].edits;
    while (*end) end = const_cast<const SiteEdit**>(&(*end)->next);
    *end = &h.data;
  }
}

bool EditSet::ahead() const {
  return std::none_of(edits_.begin(), edits_.end(), [](const Edit& e) {
    return e.rows.ids || e.op == Edit::Op::replay ||
           (e.op == Edit::Op::site && e.kind == SiteEdit::Kind::patch);
  });
}

void EditSet::prepare(const TileRows& rows, EditTables& tables) {
  tables = {};
  if (edits_.empty()) return;
  variant_.resize(rows.size());
  std::vector<uint8_t> met(edits_.size());
  for (size_t r = 0; r < rows.size(); ++r) {
    for (size_t i = 0; i < edits_.size(); ++i) met[i] = edits_[i].rows.meets(rows[r]);
    variant_[r] = variant_of(met);
  }
  if (replays_) fill_replay(rows);
  for (size_t i = 0; i < edits_.size(); ++i) {
    if (edits_[i].op != Edit::Op::site || edits_[i].kind != SiteEdit::Kind::patch) continue;
    SiteData& d = site_data_[i];
    d.patch_row.resize(rows.size());
    for (size_t r = 0; r < rows.size(); ++r) {
      const auto found = d.row_of.find(rows[r].t);
      d.patch_row[r] = found == d.row_of.end() ? -1 : found->second;
    }
  }
  for (Hook& h : hooks_) {
    h.data.active = site_data_[h.edit].active.data();
    h.data.patch_row = site_data_[h.edit].patch_row.data();
  }
  tables.variants = static_cast<int>(variants_.size());
  tables.variant = variant_.data();
  if (routes_) tables.route = route_.data();
  if (biases_) tables.bias = bias_.data();
  if (temperatures_) tables.temperature = temperature_.data();
  if (replays_) tables.replay = replay_.data();
}

uint16_t EditSet::variant_of(const std::vector<uint8_t>& met) {
  for (size_t v = variants_.size(); v-- > 0;)
    if (variants_[v] == met) return static_cast<uint16_t>(v);
  if (variants_.size() >= std::numeric_limits<uint16_t>::max())
    fail(Code::argument, "edits", "their filters tell more than 65535 kinds of rows apart");
  add_variant(met);
  return static_cast<uint16_t>(variants_.size() - 1);
}

void EditSet::add_variant(const std::vector<uint8_t>& met) {
  const size_t layers = config_.layers.size(), experts = static_cast<size_t>(config_.experts);
  const size_t at = variants_.size() * layers;
  variants_.push_back(met);
  route_.resize(at + layers);
  temperature_.resize(at + layers);
  if (biases_) bias_.resize((at + layers) * experts);
  for (size_t i = 0; i < edits_.size(); ++i) {
    const Edit& e = edits_[i];
    site_data_[i].active.push_back(met[i]);
    for (size_t l = 0; met[i] && l < layers; ++l) {
      if (!e.layers[l]) continue;
      switch (e.op) {
        case Edit::Op::force:
          route_[at + l] = e.force;
          break;
        case Edit::Op::temperature:
          temperature_[at + l] = e.law;
          break;
        case Edit::Op::bias:
          bias_[(at + l) * experts + static_cast<size_t>(e.expert)] += e.delta;
          break;
        case Edit::Op::ban:
          for (const int32_t x : e.experts)
            bias_[(at + l) * experts + static_cast<size_t>(x)] = -std::numeric_limits<float>::infinity();
          break;
        case Edit::Op::replay:
        case Edit::Op::site:
          break;
      }
    }
  }
  for (size_t l = 0; biases_ && l < layers; ++l) {
    if (!config_.layers[l].moe) continue;
    const auto row = bias_.begin() + static_cast<std::ptrdiff_t>((at + l) * experts);
    const auto banned = std::count(row, row + config_.experts, -std::numeric_limits<float>::infinity());
    if (config_.experts - banned < config_.topk)
      fail(Code::argument, "layers." + std::to_string(l),
           std::to_string(banned) + " of " + std::to_string(config_.experts) + " experts are banned; " +
               std::to_string(config_.topk) + " must remain");
  }
}

/** Later edits win: a replay over an earlier one, a later force over a replay. */
void EditSet::fill_replay(const TileRows& rows) {
  const size_t slots = static_cast<size_t>(config_.topk), layers = config_.layers.size();
  replay_.assign(rows.size() * layers * slots, -1);
  for (size_t r = 0; r < rows.size(); ++r) {
    const std::vector<uint8_t>& met = variants_[variant_[r]];
    for (size_t i = 0; i < edits_.size(); ++i) {
      const Edit& e = edits_[i];
      if (!met[i] || (e.op != Edit::Op::replay && e.op != Edit::Op::force)) continue;
      if (e.op == Edit::Op::replay && (rows[r].t < 0 || rows[r].t >= e.recorded)) continue;
      for (size_t l = 0; l < layers; ++l) {
        if (!e.layers[l]) continue;
        int32_t* out = &replay_[(r * layers + l) * slots];
        if (e.op == Edit::Op::force) std::fill_n(out, slots, -1);
        else std::copy_n(&e.choice[(static_cast<size_t>(rows[r].t) * layers + l) * slots], slots, out);
      }
    }
  }
}

}  // namespace moescope
