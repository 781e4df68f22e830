// The library's only symbol: the table of its functions. What is thrown inside becomes a `Fault` here.
#include <cstring>

#include "backend/cuda/abi.h"
#include "backend/cuda/cuda.cuh"
#include "backend/cuda/queue.cuh"

namespace moescope::cuda {
namespace {

Cuda& self(void* p) { return *static_cast<Cuda*>(p); }

void describe(Fault* out, int code, const char* where, const char* what) {
  out->code = code;
  std::snprintf(out->where, sizeof out->where, "%s", where);
  std::snprintf(out->what, sizeof out->what, "%s", what);
}

/** Runs f; what it throws is described in `out`. */
template <class F>
auto guard(Fault* out, F f) -> decltype(f()) {
  try {
    return f();
  } catch (const Error& e) {
    describe(out, static_cast<int>(e.code()), e.where().c_str(), e.what());
  } catch (const std::exception& e) {
    describe(out, static_cast<int>(Code::internal), "CUDA backend", e.what());
  }
  return decltype(f())();
}

void verb(void* p, Verb v, const Step* s, int l, Fault* fault) {
  guard(fault, [&] {
    switch (v) {
      case Verb::embed:
        return self(p).embed(*s);
      case Verb::qkv:
        return self(p).qkv(*s, l);
      case Verb::attend:
        self(p).attend(*s, l);
        return self(p).injected(l);
      case Verb::out:
        return self(p).out(*s, l);
      case Verb::route_ffn:
        return self(p).route_ffn(*s, l);
      case Verb::ffn_down:
        return self(p).ffn_down(*s, l);
      case Verb::head:
      case Verb::sample:
        fail(Code::internal, "CUDA backend", "head and sample have calls of their own");
    }
  });
}

Api table() {
  Api api{};
  signature(api.signature);
  api.create = [](const Config* c, const Weights* w, bool fast, Fault* f) -> void* {
    return guard(f, [&]() -> void* { return new Cuda(*c, *w, fast); });
  };
  api.destroy = [](void* p) { delete static_cast<Cuda*>(p); };
  api.device_name = [](void* p) { return self(p).device_name(); };
  api.products = lt_status;
  api.take = [](void* p, size_t n, const char* what, Fault* f) {
    return guard(f, [&] { return self(p).take(n, what); });
  };
  api.give_back = [](void* p, void* memory) { self(p).give_back(memory); };
  api.free_bytes = [](void* p, Fault* f) { return guard(f, [&] { return self(p).free_bytes(); }); };
  api.device_memory = [](uint64_t* free, uint64_t* total, Fault* f) {
    guard(f, [&] { device_memory(free, total); });
  };
  api.copy_rate = [](void* p, Fault* f) { return guard(f, [&] { return self(p).copy_rate(); }); };
  api.read_rate = [](void* p, Fault* f) { return guard(f, [&] { return self(p).read_rate(); }); };
  api.upload = [](void* p, void* to, const void* from, size_t n, Fault* f) {
    guard(f, [&] { self(p).upload(to, from, n); });
  };
  api.download = [](void* p, void* to, const void* from, size_t n, Fault* f) {
    guard(f, [&] { self(p).download(to, from, n); });
  };
  api.store = [](void* p, const Matrix* m, void* dst, const void* rows, SourceType type, int64_t begin,
                 int64_t end, Fault* f) {
    return guard(f, [&] { return self(p).store(*m, dst, rows, type, begin, end); });
  };
  api.draw = [](void* p, const Matrix* m, void* dst, const RandomFill* d, int64_t begin, int64_t end,
                Fault* f) { guard(f, [&] { self(p).draw(*m, dst, *d, begin, end); }); };
  api.unpack = [](void* p, const Matrix* m, float* dst, int64_t begin, int64_t end, Fault* f) {
    guard(f, [&] { self(p).unpack(*m, dst, begin, end); });
  };
  api.loaded = [](void* p) { self(p).loaded(); };
  api.kv_bytes = [](void* p) { return self(p).kv_bytes(); };
  api.reserve = [](void* p, int rows, Fault* f) { guard(f, [&] { self(p).reserve(rows); }); };
  api.scratch_bytes = [](void* p) { return self(p).scratch_bytes(); };
  api.pinned_bytes = [](void* p) { return self(p).pinned_bytes(); };
  api.verb = verb;
  api.head = [](void* p, const Step* s, const HeadOut* o, Fault* f) {
    guard(f, [&] { self(p).head(*s, *o); });
  };
  api.finish = [](void* p, const Step* s, Fault* f) { return guard(f, [&] { return self(p).finish(*s); }); };
  api.ahead = [](void* p, const Step* s, const Ahead* a, Fault* f) {
    return guard(f, [&] { return self(p).ahead(*s, *a); });
  };
  api.ahead_most = [](void*) { return Queue::slots; };
  api.ahead_queue = [](void* p, Fault* f) { guard(f, [&] { self(p).ahead_queue(); }); };
  api.ahead_wait = [](void* p, Fault* f) { return guard(f, [&] { return self(p).ahead_wait(); }); };
  api.ahead_end = [](void* p, float* logits, Fault* f) { guard(f, [&] { self(p).ahead_end(logits); }); };
  api.lap = [](void* p, Fault* f) { guard(f, [&] { self(p).lap(); }); };
  api.laps = [](void* p, double* ms, size_t n, Fault* f) { guard(f, [&] { self(p).laps(ms, n); }); };
  return api;
}

}  // namespace
}  // namespace moescope::cuda

extern "C" __attribute__((visibility("default"))) const moescope::cuda::Api* moescope_cuda_api() {
  static const moescope::cuda::Api api = moescope::cuda::table();
  return &api;
}
