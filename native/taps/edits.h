// Edits as data, compiled to the tables that the verbs read. Each row carries the number of its variant: the
// set of edits whose filter it meets. Variants are found as rows come; few rows differ, so the tables stay
// small.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "backend/backend.h"
#include "taps/rows.h"

namespace moescope {

/** Half-open ranges [from, to), flat; an absent list matches every row. */
struct RowFilter {
  std::optional<std::vector<int32_t>> t, position, step, ids;
  bool meets(const TileRow&) const;
};

struct Edit {
  enum class Op : uint8_t { ban, force, bias, replay, temperature, site } op = Op::site;
  RowFilter rows;
  std::vector<uint8_t> layers;  // [layers]

  std::vector<int32_t> experts;  // ban
  RouteLaw force;
  int32_t expert = 0;  // bias
  float delta = 0;
  std::vector<int32_t> choice;  // replay, [recorded, layers, topk], -1: free
  int64_t recorded = 0;
  TemperatureLaw law;

  Site site = Site::embed;
  SiteEdit::Kind kind = SiteEdit::Kind::zero;
  float amount = 1;
  std::optional<std::vector<int32_t>> heads;
  std::vector<float> values;
  std::vector<int32_t> patch_rows;
};

class EditSet {
 public:
  /** Throws `argument` for what does not fit the model. */
  EditSet(const Config&, std::vector<Edit>);

  bool empty() const { return edits_.empty(); }
  void attach(Point* points);
  /** Whether a row's variant is known before its id, and the tables hold for any row. */
  bool ahead() const;
  /** Fills the tables for the next tile. */
  void prepare(const TileRows&, EditTables&);

 private:
  struct Hook {
    size_t edit;
    int layer;
    SiteEdit data;
  };
  struct SiteData {
    std::vector<uint8_t> heads, active;
    std::vector<float> values;
    std::vector<int32_t> patch_row;
    std::unordered_map<int32_t, int32_t> row_of;  // t -> row of values
  };
  void check(const Edit&, const std::string& where) const;
  void compile_site(size_t edit, const std::string& where);
  uint16_t variant_of(const std::vector<uint8_t>& met);
  void add_variant(const std::vector<uint8_t>& met);
  void fill_replay(const TileRows&);

  const Config& config_;
  std::vector<Edit> edits_;
  std::deque<SiteData> site_data_;  // one an edit
  std::deque<Hook> hooks_;
  bool routes_ = false, biases_ = false, temperatures_ = false, replays_ = false;

  std::vector<std::vector<uint8_t>> variants_;  // which edits each meets
  std::vector<RouteLaw> route_;
  std::vector<float> bias_;
  std::vector<TemperatureLaw> temperature_;
  std::vector<uint16_t> variant_;
  std::vector<int32_t> replay_;
};

}  // namespace moescope
