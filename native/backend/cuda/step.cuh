// A tile as the device sees it: everything of `Step` that kernels read, sent in one pinned copy.
#pragma once

#include <cstring>
#include <unordered_map>
#include <vector>

#include "backend/backend.h"
#include "backend/cuda/memory.cuh"

namespace moescope::cuda {

struct Row;

/** The rows of the tile that a tap keeps. */
struct KeptRows {
  std::vector<int32_t> rows;           // of the tile, ascending
  const int32_t* on_device = nullptr;  // the same
};

struct DeviceTap {
  const KeptRows* kept = nullptr;
  std::vector<int32_t> groups;         // heads or slots that are kept
  const int32_t* on_device = nullptr;  // the same
};

class DeviceStep {
 public:
  /** Sends the tile's tables. The stream must have no reader of the last ones. */
  void send(const Step&, const Config&, cudaStream_t);

  size_t pinned_bytes() const { return pinned_.bytes(); }

  const int32_t *ids = nullptr, *positions = nullptr, *segment_of = nullptr;
  const Segment* segments = nullptr;
  const KvLayer* caches = nullptr;     // [segments, layers]
  const float* embeds = nullptr;       // given rows, one after the other
  const int32_t* embed_row = nullptr;  // [rows] of `embeds`, -1: the id's; null: all
  EditTables edits;
  /** From here on a row that moves by itself: its place is read there. */
  void follow(const Row*);
  /** Not 0: the row leaves no trace in the caches. Null: it does. */
  const int32_t* done = nullptr;

  /** The same edit with its pointers on the device; a patch has the values of this tile's rows alone. */
  const SiteEdit& edit(const SiteEdit* e) const { return edits_.at(e); }
  const DeviceTap& tap(const Tap* t) const { return taps_.at(t); }

 private:
  /** Adds to what is sent; the place in it. */
  template <class T>
  size_t add(const T* from, size_t n) {
    const size_t at = (bytes_.size() + 15) / 16 * 16;
    bytes_.resize(at + n * sizeof(T));
    if (n) std::memcpy(bytes_.data() + at, from, n * sizeof(T));
    return at;
  }
  /** Adds, and sets the pointer once the copy's address is known. */
  template <class T>
  void add(const T*& pointer, const T* from, size_t n) {
    const size_t at = add(from, n);
    places_.push_back({&pointer, at});
  }
  void add_rows(const Step&, const Config&);
  void add_tables(const Step&, const Config&, size_t variants);
  void add_edit(const Step&, const SiteEdit&, const SiteShape&, size_t variants);
  void add_tap(const Step&, const Tap&, const SiteShape&);

  struct Place {
    void* pointer;  // to a pointer
    size_t at;
  };
  std::vector<std::byte> bytes_;
  std::vector<Place> places_;
  std::unordered_map<const SiteEdit*, SiteEdit> edits_;
  std::unordered_map<const Tap*, DeviceTap> taps_;
  std::unordered_map<const int32_t*, KeptRows> kept_;
  Buffer<In::pinned> pinned_;
  Buffer<In::device> device_;
};

}  // namespace moescope::cuda
