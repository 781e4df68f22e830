// The one interface between the model and what computes it: verbs of the size of the model, and plain structs
// of pointers.
//
// A layer is qkv, attend, out, route_ffn, ffn_down; before the layers embed, after them head. A backend keeps
// the activations; what goes in and out is in `Step`. Taps and edits are tables of pointers that every verb
// reads: a null pointer costs nothing.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "backend/laps.h"
#include "base/memory.h"
#include "base/read_rate.h"
#include "model/config.h"
#include "model/weights.h"
#include "taps/sites.h"

namespace moescope {

// -------------------------------------------------------------------------------------------------------------------
// taps

/** Where the rows of one site of one layer go. */
struct Tap {
  float* data = nullptr;
  /** Floats of one kept row. */
  int64_t width = 0;
  /** Row of `data` for each row of the tile, -1: not kept. */
  const int32_t* to = nullptr;
  /** [heads] 1: kept; null: all. */
  const uint8_t* heads = nullptr;
  /** expert.*: [experts] 1: rows that chose one of these are kept and flagged in `kept[to]`; null: all. */
  const uint8_t* experts = nullptr;
  uint8_t* kept = nullptr;
  /** attn.pattern: rows are as long as what they see; row r of the tile and kept head j go to pattern[to[r]]
   * + j * (keys of r). */
  float* const* pattern = nullptr;
  const Tap* next = nullptr;
};

// ------------------------------------------------------------------------------------------------------------------
// edits

/** A change of the values of one site. Row r is touched when `active[variant[r]]`. */
struct SiteEdit {
  enum class Kind : uint8_t { zero, scale, add, patch } kind = Kind::zero;
  float amount = 1;
  /** add: one row; patch: [n] rows of the site's full width. */
  const float* values = nullptr;
  /** patch: for each row of the tile a row of `values`, -1: none. */
  const int32_t* patch_row = nullptr;
  /** [groups] 1: touched; null: all. */
  const uint8_t* heads = nullptr;
  /** [variants] */
  const uint8_t* active = nullptr;
  const SiteEdit* next = nullptr;
};

struct RouteLaw {
  enum class Score : uint8_t { own, original, constant };
  int32_t forced = -1;  // expert, or -1: free choice
  Score score = Score::own;
  float value = 0;
};

struct TemperatureLaw {
  enum class Kind : uint8_t { model, off, floor } kind = Kind::model;
  double floor = 0;
  double scale = 0;
};

/** What is done differently, by edit variant of the row. All pointers may be null. */
struct EditTables {
  int variants = 1;
  const uint16_t* variant = nullptr;  // [rows of the tile]
  const RouteLaw* route = nullptr;    // [variants, layers]
  const float* bias = nullptr;        // [variants, layers, experts], added for the choice only; -inf bans
  const TemperatureLaw* temperature = nullptr;  // [variants, layers]
  const int32_t* replay = nullptr;              // [rows of the tile, layers, topk], -1: free
};

/** What is watched and changed at one site of one layer. */
struct Point {
  const SiteEdit* edits = nullptr;
  const Tap* taps = nullptr;
  explicit operator bool() const { return edits || taps; }
};

// -------------------------------------------------------------------------------------------------------------------
// step

/** Keys and values of one sequence in one layer: head h of slot s at (h * slots + s) * head_dim elements of
 * `Backend::kv_bytes`: f32, or bf16. A global layer's slot is the position; a chunked layer keeps one chunk,
 * and its slot is the position modulo the chunk. */
struct KvLayer {
  void* k = nullptr;
  void* v = nullptr;
  int64_t slots = 0;
};

/** Rows [row, row + count) of the tile: consecutive positions of one sequence, within one chunk. */
struct Segment {
  int row = 0;
  int count = 0;
  int64_t position = 0;
  const KvLayer* kv = nullptr;  // [layers]
};

/** One tile of rows on its way through the model. */
struct Step {
  int rows = 0;
  const int32_t* ids = nullptr;        // [rows]
  const int32_t* positions = nullptr;  // [rows], absolute
  const Segment* segments = nullptr;
  int segment_count = 0;
  /** Row r takes embeds[r] instead of its id's embedding, unless that is null. May be null as a whole. */
  const float* const* embeds = nullptr;
  EditTables edits;
  /** [layers + 1][site_count]; the last line is for sites without layer. */
  const Point* points = nullptr;
  int layers = 0;
  const std::atomic<bool>* cancel = nullptr;

  const Point& at(Site s, int layer) const {
    const int line = layer < 0 ? layers : layer;
    return points[line * site_count + static_cast<int>(s)];
  }
  int variant(int row) const { return edits.variant ? edits.variant[row] : 0; }
};

/** What the head says of each row's prediction. Pointers may be null. */
struct HeadOut {
  const int32_t* target = nullptr;  // [rows] the id that follows, -1: not known
  float* logprob = nullptr;         // [rows] of the target
  int32_t* rank = nullptr;          // [rows] of the target, 0 = most likely, equal logits by lower id
  float* entropy = nullptr;         // [rows] nats
  float* lse = nullptr;             // [rows] log of the sum of exponentials
  float* const* keep = nullptr;     // [rows] where the row's logits go, null: nowhere
};

struct Sampling {
  double temperature = 0;  // 0: greedy
  double top_p = 1;
  int top_k = 0;  // 0: all
  uint64_t seed = 0;
};

/** Tokens of one sequence that are drawn and run without the host in between. */
struct Ahead {
  Sampling sampling;
  const int32_t* stop_ids = nullptr;  // [stops]
  int stops = 0;
  int most = 0;                        // steps
  const uint16_t* variants = nullptr;  // [most] of each step's row; null: 0
  const float* logits = nullptr;       // [vocab] that the first id is drawn from
  float lse = 0;
  /** Each step waits for the one before, and leaves laps: the draw, embed, the five verbs of each layer, and
   * the head. */
  bool profile = false;
};

/** A step of those: the id that was drawn, its log probability and rank before, and what is known after its
 * row. */
struct Drawn {
  int32_t id = -1;
  float logprob = 0;
  int32_t rank = 0;
  float entropy = 0, lse = 0;
  /** False: something in the row is not finite. The row counts as not made. */
  bool finite = true;
};

// ----------------------------------------------------------------------------------------------------------------
// weights

enum class SourceType : uint8_t { f32, bf16, f16 };

/** Element (r, c) lies at data + (r * row_stride + c * col_stride) elements. */
struct Source {
  const std::byte* data = nullptr;
  SourceType type = SourceType::f32;
  int64_t row_stride = 0;
  int64_t col_stride = 1;
};

/** Random weights, the same on every machine: element i of slot number `slot` is `std` times normal i of
 * (seed, slot). */
struct RandomFill {
  uint64_t seed = 0;
  uint64_t slot = 0;
  float std = 0;
};

// ----------------------------------------------------------------------------------------------------------------
// backend

/** Where a value first was not finite, told when a tile is finished. */
struct NonFinite {
  int row = -1;  // of the tile; -1: nowhere
  int layer = -1;
  Site site = Site::embed;
};

class Backend {
 public:
  virtual ~Backend() = default;

  /** Bytes of a device's memory, where weights and caches then lie and only this backend reads them; null:
   * they lie in the machine's. Throws `memory`, naming `what`. From any thread. */
  virtual std::byte* take(size_t /*bytes*/, const char* /*what*/) { return nullptr; }
  virtual void give_back(std::byte*) {}
  /** Whether it has such memory, how it is called, and how much of it is free. */
  virtual bool on_device() const { return false; }
  virtual const char* place() const { return "memory"; }
  virtual uint64_t free_bytes() const { return machine_memory().free; }
  /** Of the machine's memory, what is pinned for a device to write into. */
  virtual size_t pinned_bytes() const { return 0; }
  /** Bytes a second of a large copy there, read plus written, measured now: the limit that figures stand
   * beside. 0: not measured. */
  virtual double copy_rate() { return 0; }
  /** Of reading: the limit of what must come from memory. */
  virtual double read_rate() { return moescope::read_rate(); }

  /** Bytes of a multiplying matrix as this backend keeps it, and whether rows are simply one after the other.
   */
  virtual size_t matrix_bytes(Format, int64_t rows, int64_t cols) const = 0;
  virtual bool plain() const = 0;
  /** Rows that `pack` likes to be given together: begin is a multiple of it. */
  virtual int64_t pack_rows() const { return 1; }
  /** Fills rows [begin, end) of a matrix from a source; returns how many elements are not finite. Called from
   * several threads. */
  virtual int64_t pack(const Matrix&, void* dst, const Source&, int64_t begin, int64_t end) const = 0;
  /** Fills rows [begin, end) with random numbers; false: the caller draws and packs them. From several
   * threads. */
  virtual bool draw(const Matrix&, void* /*dst*/, const RandomFill&, int64_t /*begin*/, int64_t /*end*/) {
    return false;
  }
  /** Rows [begin, end) as f32, one after the other. */
  virtual void unpack(const Matrix&, float* dst, int64_t begin, int64_t end) const = 0;

  /** All weights are there: what only loading needs may go. */
  virtual void loaded() {}
  /** Of an element of keys and values. */
  virtual size_t kv_bytes() const { return sizeof(float); }

  /** Makes room for tiles of so many rows. */
  virtual void reserve(int rows) = 0;
  virtual size_t scratch_bytes() const = 0;
  /** Rows a prefill tile when nobody says otherwise. */
  virtual int tile_rows() const = 0;

  /** x = embedding (or the given row). */
  virtual void embed(const Step&) = 0;
  /** n = norm(x); q, k, v = W n; RoPE and QK norm, or attention temperature. */
  virtual void qkv(const Step&, int layer) = 0;
  /** Appends k and v to the cache; z = softmax(q k) v within what each row sees. */
  virtual void attend(const Step&, int layer) = 0;
  /** x += W_o z. */
  virtual void out(const Step&, int layer) = 0;
  /** n = norm(x); router, gate, up and SwiGLU of the chosen experts and the shared one, or of the dense MLP.
   */
  virtual void route_ffn(const Step&, int layer) = 0;
  /** x += what the down projections give. */
  virtual void ffn_down(const Step&, int layer) = 0;
  /** Final norm and logits, and what is to be known of them. */
  virtual void head(const Step&, const HeadOut&) = 0;

  /** Begins to draw and run tokens of the sequence that the step's only row continues: its id and position
   * count from there, its taps and edits hold for all. False: not here, or not with these taps; the caller
   * goes token by token. */
  virtual bool ahead(const Step&, const Ahead&) { return false; }
  /** How many steps may be on their way. */
  virtual int ahead_most() const { return 0; }
  /** One more step, without a wait. */
  virtual void ahead_queue() {}
  /** The oldest step on its way (with `profile` its laps are noted, too: see there); what its taps keep goes
   * where `to` now says. */
  virtual Drawn ahead_wait() { return {}; }
  /** The end: the logits of the last row that was waited for, [vocab]. Steps beyond leave no trace, if that
   * row had a stop id or none are on their way. */
  virtual void ahead_end(float* /*logits*/) {}

  /** The next id; `n` counts the ids drawn with this seed. */
  virtual int32_t sample(const float* logits, const Sampling&, uint64_t n) = 0;

  /** Row of the tile whose residual stream is not finite after the layer (-1: none). */
  virtual int nonfinite_row(const Step&) const = 0;
  /** After that: the first site of the layer whose values of the row are not finite, as kept in the
   * activations. */
  virtual Site nonfinite_site(const Step&, int layer, int row) const = 0;

  /** After the head: waits for whatever the verbs only began. What taps and `HeadOut` point to is written
   * from here on, and a device says only now what was not finite. */
  virtual NonFinite finish(const Step&) { return {}; }

  /** For profiles alone. Notes the point of time after whatever was called last; does not wait. */
  virtual void lap() { clock_.note(); }
  /** Waits; the milliseconds between the notes, oldest first. The notes are forgotten. */
  virtual std::vector<double> laps() { return clock_.take(); }

 private:
  Laps clock_;
};

/** Straight-line f32, the oracle. */
std::unique_ptr<Backend> exact_cpu(const Config&, const Weights&);
/** SIMD and threads. */
std::unique_ptr<Backend> fast_cpu(const Config&, const Weights&, int threads);

}  // namespace moescope
