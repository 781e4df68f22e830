// A stand-in for libmoescope-cuda.so, for machines without a GPU: the same table of functions over the exact
// CPU path. It has a device's memory (counted, and as large as MOESCOPE_INJECT says) and loses its context as
// a device does; whoever asks it after that has not looked whether it lives, and the process is aborted.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "backend/cpu/plain_store.h"
#include "backend/cuda/abi.h"
#include "backend/cuda/ledger.h"
#include "backend/laps.h"
#include "base/random.h"

namespace moescope::cuda {
namespace {

constexpr uint64_t device_bytes = uint64_t{8} << 30;

std::atomic<bool> lost{false};
Ledger& ledger() {
  static Ledger* const one = new Ledger;
  return *one;
}

uint64_t free_bytes() { return ledger().allowed(device_bytes); }

void* take(size_t bytes, const char* what, bool pinned) {
  return ledger().take(
      bytes, what, pinned, [](size_t n) { return std::calloc(1, n + 1); }, [] { return device_bytes; });
}
void give_back(void* memory) {
  ledger().gave_back(memory);
  std::free(memory);
}

class Fake {
 public:
  Fake(const Config& config, const Weights& weights)
      : c(config), inject_(read_injections()), cpu_(exact_cpu(config, weights)) {
    ledger().obey(inject_);
    tables_ = take(4096, "tables of the model", false);
  }
  ~Fake() {
    for (void* p : {tables_, scratch_, box_}) give_back(p);
  }

  void reserve(int rows) {
    if (rows <= rows_) return;
    give_back(scratch_);
    scratch_ = nullptr;
    rows_ = 0;
    const size_t bytes = static_cast<size_t>(rows) * static_cast<size_t>(c.d) * 64;
    scratch_ = take(bytes, "scratch", false);
    scratch_bytes_ = bytes;
    rows_ = rows;
    cpu_->reserve(rows);
  }

  void verb(Verb v, const Step& s, int l) {
    switch (v) {
      case Verb::embed:
        bad_ = {};
        cpu_->embed(s);
        break;
      case Verb::qkv:
        cpu_->qkv(s, l);
        break;
      case Verb::attend:
        cpu_->attend(s, l);
        // Told at the end of the tile, as by a device.
        fault_ |= l == inject_.fault;
        break;
      case Verb::out:
        cpu_->out(s, l);
        break;
      case Verb::route_ffn:
        cpu_->route_ffn(s, l);
        break;
      case Verb::ffn_down:
        cpu_->ffn_down(s, l);
        break;
      case Verb::head:
      case Verb::sample:
        fail(Code::internal, "stand-in", "head and sample have calls of their own");
    }
    if ((v == Verb::embed || v == Verb::ffn_down) && bad_.row < 0) {
      const int row = cpu_->nonfinite_row(s);
      if (row >= 0) bad_ = {row, l, l < 0 ? Site::embed : cpu_->nonfinite_site(s, l, row)};
    }
  }

  void head(const Step& s, const HeadOut& o) {
    if (!box_) box_ = take(box_bytes, "captures", true);
    cpu_->head(s, o);
  }

  NonFinite finish() {
    if (!fault_) return bad_;
    lost = true;
    fail(Code::lost, "captures", "CUDA says: an illegal instruction was encountered");
  }

  size_t scratch_bytes() const { return scratch_bytes_; }
  size_t pinned_bytes() const { return box_ ? box_bytes : 0; }
  Laps laps;

 private:
  static constexpr size_t box_bytes = 1 << 20;
  const Config& c;
  Inject inject_;
  std::unique_ptr<Backend> cpu_;
  void *tables_ = nullptr, *scratch_ = nullptr, *box_ = nullptr;
  std::atomic<size_t> scratch_bytes_{0};
  int rows_ = 0;
  bool fault_ = false;
  NonFinite bad_;
};

Fake& self(void* p) { return *static_cast<Fake*>(p); }

/** Rows [begin, end), one after the other, into the matrix as it lies on the CPU. */
int64_t store(const Matrix& m, void* dst, const void* rows, SourceType type, int64_t begin, int64_t end) {
  const int64_t before = begin * m.cols * (type == SourceType::f32 ? 4 : 2);
  return store_rows(m, dst, {static_cast<const std::byte*>(rows) - before, type, m.cols, 1}, begin, end);
}

template <class F>
auto guard(Fault* out, F f) -> decltype(f()) {
  if (lost) {
    std::fprintf(stderr, "a lost device was asked\n");
    std::abort();
  }
  try {
    return f();
  } catch (const Error& e) {
    out->code = static_cast<int>(e.code());
    std::snprintf(out->where, sizeof out->where, "%s", e.where().c_str());
    std::snprintf(out->what, sizeof out->what, "%s", e.what());
  }
  return decltype(f())();
}

Api table() {
  Api api{};
  signature(api.signature);
  api.create = [](const Config* c, const Weights* w, bool, Fault* f) -> void* {
    return guard(f, [&]() -> void* { return new Fake(*c, *w); });
  };
  api.destroy = [](void* p) { delete static_cast<Fake*>(p); };
  api.device_name = [](void*) { return "a stand-in"; };
  api.products = [] { return "no cuBLASLt"; };
  api.take = [](void*, size_t n, const char* what, Fault* f) {
    return guard(f, [&] { return take(n, what, false); });
  };
  api.give_back = [](void*, void* memory) { give_back(memory); };
  api.free_bytes = [](void*, Fault* f) { return guard(f, [] { return free_bytes(); }); };
  api.device_memory = [](uint64_t* free, uint64_t* total, Fault* f) {
    guard(f, [&] {
      *free = free_bytes();
      *total = device_bytes;
    });
  };
  api.copy_rate = [](void*, Fault* f) { return guard(f, [] { return 1e10; }); };
  api.read_rate = api.copy_rate;
  api.upload = [](void*, void* to, const void* from, size_t n, Fault* f) {
    guard(f, [&] { std::memcpy(to, from, n); });
  };
  api.download = api.upload;
  api.store = [](void*, const Matrix* m, void* dst, const void* rows, SourceType type, int64_t begin,
                 int64_t end,
                 Fault* f) { return guard(f, [&] { return store(*m, dst, rows, type, begin, end); }); };
  api.draw = [](void*, const Matrix* m, void* dst, const RandomFill* d, int64_t begin, int64_t end,
                Fault* f) {
    guard(f, [&] {
      std::vector<float> rows;
      for (int64_t i = begin * m->cols; i < end * m->cols; ++i)
        rows.push_back(d->std *
                       normal4(d->seed, static_cast<uint64_t>(i / 4), d->slot)[static_cast<size_t>(i % 4)]);
      store(*m, dst, rows.data(), SourceType::f32, begin, end);
    });
  };
  api.unpack = [](void*, const Matrix* m, float* dst, int64_t begin, int64_t end, Fault* f) {
    guard(f, [&] { load_rows(*m, dst, begin, end); });
  };
  api.loaded = [](void*) {};
  api.kv_bytes = [](void*) { return sizeof(float); };
  // It draws nothing by itself.
  api.ahead = [](void*, const Step*, const Ahead*, Fault*) { return false; };
  api.ahead_most = [](void*) { return 0; };
  api.reserve = [](void* p, int rows, Fault* f) { guard(f, [&] { self(p).reserve(rows); }); };
  api.scratch_bytes = [](void* p) { return self(p).scratch_bytes(); };
  api.pinned_bytes = [](void* p) { return self(p).pinned_bytes(); };
  api.verb = [](void* p, Verb v, const Step* s, int l, Fault* f) {
    guard(f, [&] { self(p).verb(v, *s, l); });
  };
  api.head = [](void* p, const Step* s, const HeadOut* o, Fault* f) {
    guard(f, [&] { self(p).head(*s, *o); });
  };
  api.finish = [](void* p, const Step*, Fault* f) { return guard(f, [&] { return self(p).finish(); }); };
  api.lap = [](void* p, Fault* f) { guard(f, [&] { self(p).laps.note(); }); };
  api.laps = [](void* p, double* ms, size_t n, Fault* f) {
    guard(f, [&] {
      const std::vector<double> all = self(p).laps.take();
      std::copy_n(all.begin(), std::min(n, all.size()), ms);
    });
  };
  return api;
}

}  // namespace
}  // namespace moescope::cuda

extern "C" __attribute__((visibility("default"))) const moescope::cuda::Api* moescope_cuda_api() {
  static const moescope::cuda::Api api = moescope::cuda::table();
  return &api;
}
