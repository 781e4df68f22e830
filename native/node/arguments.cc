#include "node/arguments.h"

#include <cmath>
#include <limits>

#include "base/error.h"

namespace moescope {
namespace {

constexpr int64_t int_max = std::numeric_limits<int32_t>::max();
/** Widths beyond this are typing errors, and products of two of them still fit an int64. */
constexpr int64_t width_max = int64_t{1} << 24;
constexpr int64_t exact_max = int64_t{1} << 53;

int small(const Fields& f, const char* key, int64_t least = 1, int64_t most = width_max) {
  return static_cast<int>(f.integer(key, least, most));
}

template <class T>
T one_of(const Fields& f, const char* key, std::initializer_list<std::pair<const char*, T>> choices) {
  const std::string given = f.text(key);
  std::string all;
  for (const auto& [text, value] : choices) {
    if (given == text) return value;
    all += (all.empty() ? "" : ", ") + std::string(text);
  }
  fail(Code::argument, f.path(key), "is \"" + given + "\", not one of " + all);
}

SourceType read_type(const Fields& f) {
  return one_of<SourceType>(f, "dtype",
                            {{"BF16", SourceType::bf16}, {"F16", SourceType::f16}, {"F32", SourceType::f32}});
}

Site read_site(const Fields& f) {
  const std::string given = f.text("site");
  Site site;
  if (!find_site(given, site)) fail(Code::argument, f.path("site"), "\"" + given + "\" is not a site");
  return site;
}

Edit read_edit(const Fields& f) {
  Edit e;
  const Fields rows = f.fields("rows");
  e.rows = {rows.optional_ints("t"), rows.optional_ints("pos"), rows.optional_ints("step"),
            rows.optional_ints("ids")};
  e.layers = f.bytes("layers");
  struct Name {
    Edit::Op op;
    SiteEdit::Kind kind;
  };
  using Op = Edit::Op;
  using Kind = SiteEdit::Kind;
  const Name op = one_of<Name>(f, "op",
                               {{"route.ban", {Op::ban, {}}},
                                {"route.force", {Op::force, {}}},
                                {"route.bias", {Op::bias, {}}},
                                {"route.replay", {Op::replay, {}}},
                                {"attn.temperature", {Op::temperature, {}}},
                                {"site.zero", {Op::site, Kind::zero}},
                                {"site.scale", {Op::site, Kind::scale}},
                                {"site.add", {Op::site, Kind::add}},
                                {"site.patch", {Op::site, Kind::patch}}});
  e.op = op.op;
  e.kind = op.kind;
  switch (e.op) {
    case Op::ban:
      e.experts = f.ints("experts");
      break;
    case Op::force:
      e.force.forced = small(f, "expert", 0);
      e.force.score = one_of<RouteLaw::Score>(f, "score",
                                              {{"own", RouteLaw::Score::own},
                                               {"original", RouteLaw::Score::original},
                                               {"constant", RouteLaw::Score::constant}});
      if (e.force.score == RouteLaw::Score::constant) e.force.value = static_cast<float>(f.number("value"));
      break;
    case Op::bias:
      e.expert = small(f, "expert", 0);
      e.delta = static_cast<float>(f.number("delta"));
      break;
    case Op::replay:
      e.choice = f.ints("choice");
      e.recorded = f.integer("rowsRecorded", 0, int_max);
      break;
    case Op::temperature:
      e.law.kind = one_of<TemperatureLaw::Kind>(
          f, "law", {{"off", TemperatureLaw::Kind::off}, {"floor", TemperatureLaw::Kind::floor}});
      if (e.law.kind == TemperatureLaw::Kind::floor) {
        e.law.floor = f.number("floor");
        e.law.scale = f.number("scale");
      }
      break;
    case Op::site:
      e.site = read_site(f);
      e.heads = f.optional_ints("heads");
      e.amount = static_cast<float>(f.number("amount"));
      if (e.kind == Kind::add || e.kind == Kind::patch) e.values = f.floats("values");
      if (e.kind == Kind::patch) e.patch_rows = f.ints("patchRows");
      break;
  }
  return e;
}

}  // namespace

Config read_config(const Fields& f) {
  Config c;
  c.vocab = small(f, "vocab");
  c.d = small(f, "d");
  c.heads = small(f, "heads", 1, 1 << 16);
  c.kv_heads = small(f, "kvHeads", 1, 1 << 16);
  c.head_dim = small(f, "headDim", 2, 1 << 16);
  c.ff = small(f, "ff", 0);
  c.ff_dense = small(f, "ffDense", 0);
  c.experts = small(f, "experts", 0, 1 << 16);
  c.topk = small(f, "topk", 0, 1 << 16);
  c.chunk = f.integer("chunk", 0, int_max);
  c.eps = static_cast<float>(f.number("eps"));
  c.qk_norm = f.boolean("qkNorm");
  c.temperature_tuning = f.boolean("temperatureTuning");
  c.floor_scale = f.number("floorScale");
  c.attn_scale = f.number("attnScale");
  c.tied_embeddings = f.boolean("tiedEmbeddings");
  c.rope = one_of<Rope>(f, "rope", {{"hf", Rope::hf}, {"accurate", Rope::accurate}});
  c.inv_freq = f.floats("invFreq");
  c.inv_freq64 = f.doubles("invFreq64");
  bool moe = false, dense = false;
  for (const Fields& l : f.list("layers")) {
    c.layers.push_back({l.boolean("rope"), l.boolean("chunked"), l.boolean("moe")});
    (c.layers.back().moe ? moe : dense) = true;
  }
  const auto wrong = [&](const char* key, const char* what) { fail(Code::argument, f.path(key), what); };
  if (c.heads % c.kv_heads != 0) wrong("kvHeads", "does not divide heads");
  if (c.heads > width_max / c.head_dim) wrong("heads", "times headDim is too wide");
  if (c.head_dim % 2 != 0) wrong("headDim", "is odd; RoPE rotates pairs");
  if (c.inv_freq.size() * 2 != static_cast<size_t>(c.head_dim)) wrong("invFreq", "needs headDim / 2 values");
  if (c.inv_freq64.size() * 2 != static_cast<size_t>(c.head_dim))
    wrong("invFreq64", "needs headDim / 2 values");
  if (c.layers.empty() || c.layers.size() > 4096) wrong("layers", "must be 1 to 4096 layers");
  if (!(c.eps >= 0 && std::isfinite(c.eps))) wrong("eps", "must be finite and not negative");
  if (!(c.floor_scale > 0)) wrong("floorScale", "must be above 0");
  if (!std::isfinite(c.attn_scale)) wrong("attnScale", "must be finite");
  if (moe && (c.experts < 1 || c.topk < 1 || c.topk > c.experts)) wrong("topk", "must be 1 to experts");
  if (moe && c.ff < 1) wrong("ff", "must be above 0 in a model with experts");
  if (dense && c.ff_dense < 1) wrong("ffDense", "must be above 0 in a model with dense layers");
  if (!moe) c.experts = c.topk = 0;
  return c;
}

LoadSpec read_load_spec(const Fields& f) {
  LoadSpec s;
  s.config = read_config(f.fields("config"));
  s.files = f.texts("files");
  for (const Fields& w : f.list("weights"))
    s.weights.push_back({w.text("slot"), w.integer("file", 0, int_max), w.integer("offset", 0, exact_max),
                         read_type(w), w.integer("rows", 1, exact_max), w.integer("cols", 1, exact_max),
                         w.integer("rowStride", 0, exact_max), w.integer("colStride", 0, exact_max)});
  if (f.has("random")) {
    const Fields r = f.fields("random");
    s.random = {static_cast<uint64_t>(r.integer("seed", 0, exact_max)), r.number("std")};
    if (!std::isfinite(s.random->std)) fail(Code::argument, r.path("std"), "must be finite");
  }
  s.format = one_of<Format>(f, "format",
                            {{"f32", Format::f32},
                             {"bf16", Format::bf16},
                             {"int4_32", Format::int4_32},
                             {"int4_64", Format::int4_64},
                             {"int4_128", Format::int4_128}});
  if (f.has("device")) s.cuda = one_of<bool>(f, "device", {{"cpu", false}, {"cuda", true}});
  s.fast = one_of<bool>(f, "math", {{"exact", false}, {"fast", true}});
  s.threads = small(f, "threads", 0, 1024);
  return s;
}

RunSpec read_run_spec(const Fields& f, bool generate) {
  RunSpec s;
  const Fields batch = f.fields("batch");
  s.batch.ids = batch.ints("ids");
  s.batch.lengths = batch.ints("lengths");
  if (batch.has("embeds")) {
    const Fields e = batch.fields("embeds");
    s.batch.embed_rows = e.ints("rows");
    s.batch.embed_values = e.floats("values");
  }
  for (const Fields& c : f.list("captures"))
    s.captures.push_back({read_site(c), static_cast<int>(c.integer("layer", -1, 4096)),
                          c.optional_ints("rows"), c.boolean("decode"), c.optional_ints("heads"),
                          c.optional_ints("experts")});
  for (const Fields& e : f.list("edits")) s.edits.push_back(read_edit(e));
  if (f.has("tile")) s.tile = small(f, "tile", 0, 1 << 20);
  if (f.has("firstRow")) s.first_row = static_cast<int32_t>(f.integer("firstRow", 0, int_max / 2));
  if (f.has("profile")) s.profile = f.boolean("profile");
  if (!generate) return s;
  Generation g;
  g.max_tokens = small(f, "maxTokens", 0, 1 << 24);
  g.sampling.temperature = f.number("temperature");
  g.sampling.top_p = f.number("topP");
  g.sampling.top_k = static_cast<int>(f.integer("topK", 0, int_max));
  g.sampling.seed = static_cast<uint64_t>(f.integer("seed", 0, exact_max));
  g.stop_ids = f.ints("stopIds");
  if (!(g.sampling.temperature >= 0 && std::isfinite(g.sampling.temperature)))
    fail(Code::argument, f.path("temperature"), "must be finite and not negative");
  if (!(g.sampling.top_p > 0 && g.sampling.top_p <= 1))
    fail(Code::argument, f.path("topP"), "must be above 0 and at most 1");
  s.generation = std::move(g);
  return s;
}

}  // namespace moescope
