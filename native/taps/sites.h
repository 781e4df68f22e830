// The places of the step that can be watched and edited, by the names of `engine/sites/`.
#pragma once

#include <cstdint>
#include <string_view>

#include "model/config.h"

namespace moescope {

enum class Site : uint8_t {
  embed,
  resid_pre,
  attn_in,
  attn_q,
  attn_k,
  attn_v,
  attn_q_used,
  attn_k_used,
  attn_temperature,
  attn_summary,
  attn_pattern,
  attn_z,
  attn_out,
  resid_mid,
  router_in,
  router_logits,
  router_score,
  router_choice,
  expert_in,
  expert_gate,
  expert_up,
  expert_act,
  expert_out,
  shared_act,
  shared_out,
  routed_out,
  mlp_act,
  mlp_out,
  ffn_out,
  resid_post,
  final_norm,
  logits,
};
constexpr int site_count = static_cast<int>(Site::logits) + 1;
constexpr int summary_width = 7;

/** A row of a site is [groups, width]: heads of head_dim, slots of ff, or one group. */
struct SiteShape {
  int groups = 1;
  int width = 0;
  /** The groups are heads (captured one by one) or expert slots. */
  enum class Kind : uint8_t { flat, heads, slots } kind = Kind::flat;
  int total() const { return groups * width; }
};

const char* name(Site);
/** False when there is no site of that name. */
bool find_site(std::string_view name, Site&);
bool has_layer(Site);
/** Whether the layer (or, with layer -1, the model) has the site. */
bool exists(Site, const Config&, int layer);
SiteShape shape_of(Site, const Config&, int layer);
/** Values that later values are computed from, and that site.* edits may therefore change. */
bool editable(Site);

}  // namespace moescope
