// Random models for the tests: weights by slot as plain numbers, the same in a file of mixed layouts, and
// runs over them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/forward.h"
#include "model/model.h"
#include "model/state.h"

namespace fixture {

using namespace moescope;

using Values = std::map<std::string, std::vector<float>>;

constexpr Format all_formats[] = {Format::f32, Format::bf16, Format::int4_32, Format::int4_64,
                                  Format::int4_128};
std::string name_of(Format);

/** RoPE without scaling, for the head's width. */
void set_frequencies(Config&, double theta = 10000);

struct Draw {
  uint64_t key;
  uint64_t count = 0;
  double uniform();
  float normal(float std);
  int below(int n) { return static_cast<int>(uniform() * n); }
};

/** A small random shape with every rule in it: odd widths, grouped heads, RoPE and NoPE, chunked and global,
 * dense and MoE. */
Config random_config(Draw&);
/** All numbers are bf16 numbers, so that f32 and bf16 hold the same model. */
Values random_weights(const Config&, Draw&);

/** Where tests ask for the fast path, they get the CUDA backend. */
inline bool fast_is_cuda = false;

/** And of that backend, its fast mode. */
inline bool cuda_is_fast = false;

/** Of n models, as many as MOESCOPE_MODELS percent, at least one: a sanitizer takes its time. */
int models_of(int n);

/** Loads the values through a file in which matrices lie plainly, transposed, or inside of larger ones. The
 * file is emptied afterwards, unless matrices may stay in it (`mapped`). */
std::shared_ptr<Model> load(const Config&, const Values&, bool fast, Format = Format::f32, int threads = 2,
                            bool mapped = false);

std::vector<int32_t> random_ids(const Config&, Draw&, int n);

/** Captures of all sites of all layers, all rows. */
std::vector<CaptureSpec> every_site(const Config&);

RunResult forward(State&, const RunSpec&);
RunSpec spec_of(std::vector<std::vector<int32_t>> sequences, std::vector<CaptureSpec> captures = {});
/** One sequence through a fresh state. */
RunResult forward(const std::shared_ptr<Model>&, const std::vector<int32_t>& ids,
                  std::vector<CaptureSpec> captures, std::vector<Edit> edits = {}, int tile = 0);

/** Makes a run choose what `r` chose, which has captured it. */
Edit replay_of(const RunResult& r, const Config&, int rows);
const Captured& find(const RunResult&, Site, int layer);
std::string label(Site, int layer);
/** The error code of what f throws; -1: nothing. */
template <class F>
int code_of(F f, std::string* where = nullptr) {
  try {
    f();
  } catch (const Error& e) {
    if (where) *where = e.where();
    return static_cast<int>(e.code());
  }
  return -1;
}

}  // namespace fixture
