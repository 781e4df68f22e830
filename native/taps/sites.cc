#include "taps/sites.h"

#include <iterator>

namespace moescope {
namespace {

constexpr const char* names[] = {
    "embed",      "resid.pre",   "attn.in",          "attn.q",        "attn.k",       "attn.v",
    "attn.qUsed", "attn.kUsed",  "attn.temperature", "attn.summary",  "attn.pattern", "attn.z",
    "attn.out",   "resid.mid",   "router.in",        "router.logits", "router.score", "router.choice",
    "expert.in",  "expert.gate", "expert.up",        "expert.act",    "expert.out",   "shared.act",
    "shared.out", "routed.out",  "mlp.act",          "mlp.out",       "ffn.out",      "resid.post",
    "final.norm", "logits",
};
static_assert(std::size(names) == site_count);

bool moe_only(Site s) { return s >= Site::router_in && s <= Site::routed_out; }

}  // namespace

const char* name(Site s) { return names[static_cast<int>(s)]; }

bool find_site(std::string_view name, Site& out) {
  for (int i = 0; i < site_count; ++i)
    if (name == names[i]) {
      out = static_cast<Site>(i);
      return true;
    }
  return false;
}

bool has_layer(Site s) { return s != Site::embed && s != Site::final_norm && s != Site::logits; }

bool exists(Site s, const Config& c, int layer) {
  if (!has_layer(s)) return layer == -1;
  if (layer < 0 || layer >= c.layer_count()) return false;
  const LayerKind& kind = c.layers[static_cast<size_t>(layer)];
  if (moe_only(s)) return kind.moe;
  if (s == Site::mlp_act || s == Site::mlp_out) return !kind.moe;
  return true;
}

SiteShape shape_of(Site s, const Config& c, int layer) {
  using Kind = SiteShape::Kind;
  switch (s) {
    case Site::attn_q:
    case Site::attn_q_used:
    case Site::attn_z:
      return {c.heads, c.head_dim, Kind::heads};
    case Site::attn_k:
    case Site::attn_k_used:
    case Site::attn_v:
      return {c.kv_heads, c.head_dim, Kind::heads};
    case Site::attn_summary:
      return {c.heads, summary_width, Kind::heads};
    case Site::attn_pattern:
      return {c.heads, 0, Kind::heads};
    case Site::attn_temperature:
      return {1, 1, Kind::flat};
    case Site::router_logits:
      return {1, c.experts, Kind::flat};
    case Site::router_score:
    case Site::router_choice:
      return {c.topk, 1, Kind::slots};
    case Site::expert_in:
    case Site::expert_out:
      return {c.topk, c.d, Kind::slots};
    case Site::expert_gate:
    case Site::expert_up:
    case Site::expert_act:
      return {c.topk, c.ff, Kind::slots};
    case Site::shared_act:
      return {1, c.ff, Kind::flat};
    case Site::mlp_act:
      return {1, c.ff_dense, Kind::flat};
    case Site::logits:
      return {1, c.vocab, Kind::flat};
    default:
      (void)layer;
      return {1, c.d, Kind::flat};
  }
}

bool editable(Site s) {
  switch (s) {
    case Site::attn_temperature:
    case Site::attn_summary:
    case Site::attn_pattern:
    case Site::router_logits:
    case Site::router_score:
    case Site::router_choice:
      return false;
    default:
      return true;
  }
}

}  // namespace moescope
