// The engine's side of CUDA: asks the driver, opens the library, and passes the verbs on.
#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "backend/cpu/plain_store.h"
#include "backend/cuda/abi.h"
#include "backend/cuda/context.h"
#include "backend/cuda/open.h"
#include "base/error.h"
#include "model/logits.h"

namespace moescope {
namespace {

using cuda::Api;
using cuda::Fault;
using State = CudaStatus::State;

/** The library's CUDA runtime needs this driver interface at least. */
constexpr int driver_needed = 13000;

const Api* api = nullptr;

/** A folder's file beside the one this code lies in. */
std::string beside(const char* file) {
  Dl_info self{};
  dladdr(reinterpret_cast<void*>(&cuda_status), &self);
  const std::string path = self.dli_fname ? self.dli_fname : "";
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? file : path.substr(0, slash + 1) + file;
}

template <class F>
F find(void* library, const char* symbol) {
  return reinterpret_cast<F>(dlsym(library, symbol));
}

CudaStatus ask_driver(std::string& device) {
  void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!driver)
    return {State::no_driver,
            "there is no NVIDIA driver (libcuda.so.1); install one, or in a container use NVIDIA's runtime"};
  const auto init = find<int (*)(unsigned)>(driver, "cuInit");
  const auto version_of = find<int (*)(int*)>(driver, "cuDriverGetVersion");
  const auto count_of = find<int (*)(int*)>(driver, "cuDeviceGetCount");
  const auto name_of = find<int (*)(char*, int, int)>(driver, "cuDeviceGetName");
  if (!init || !version_of || !count_of || !name_of)
    return {State::no_driver, "libcuda.so.1 is not a driver's library"};
  int version = 0, count = 0;
  const int failed = init(0);
  version_of(&version);
  if (version > 0 && version < driver_needed)
    return {State::old_driver, "the NVIDIA driver knows CUDA " + std::to_string(version / 1000) + "." +
                                   std::to_string(version % 1000 / 10) +
                                   "; 13.0 is needed, which driver 580 and newer have"};
  if (failed || count_of(&count) || count == 0)
    return {State::no_device, "the NVIDIA driver is there but shows no device" +
                                  (failed ? " (cuInit says " + std::to_string(failed) + ")" : std::string()) +
                                  "; in a container, pass the GPU in"};
  char text[128] = "NVIDIA GPU";
  name_of(text, sizeof text, 0);
  device = text;
  return {State::ready, device};
}

CudaStatus look() {
  std::string device;
  // Another library stands in for the device, too: tests have one that computes on the CPU.
  const char* other = std::getenv("MOESCOPE_CUDA_LIBRARY");
  CudaStatus status = other ? CudaStatus{State::ready, device = other} : ask_driver(device);
  if (status.state != State::ready) return status;
  const std::string path = other ? other : beside("libmoescope-cuda.so");
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return {State::not_built,
            device + ", but this build has no CUDA backend that opens (npm run build:cuda makes it)"};
  const auto entry = find<cuda::Entry>(library, cuda::entry);
  char own[96];
  cuda::signature(own);
  if (!entry || std::strcmp(entry()->signature, own) != 0)
    return {State::mismatch, path + " was built from other sources; run npm run build:cuda"};
  api = entry();
  return status;
}

/** A call's own fault. Nothing is asked of a device that is lost: it would only say so again, or hang. */
struct Call : Fault {
  Call() { DeviceContext::instance().check(); }
};

/** `place`: what was asked, where that says more than the library does. */
void check(const Fault& fault, const std::string& place = "") {
  if (fault.code < 0) return;
  if (static_cast<Code>(fault.code) != Code::lost)
    fail(static_cast<Code>(fault.code), fault.where, fault.what);
  DeviceContext& context = DeviceContext::instance();
  context.lose(place.empty() ? fault.where : place + " (" + fault.where + ")", fault.what);
  context.check();
}

std::string place_of(Verb verb, int layer) {
  return layer < 0 ? name(verb) : name(verb) + (" of layer " + std::to_string(layer));
}

/** Rows [begin, end) one after the other. */
void gather(std::vector<std::byte>& out, const Source& s, int64_t cols, int64_t begin, int64_t end) {
  const size_t size = s.type == SourceType::f32 ? 4 : 2;
  out.resize(static_cast<size_t>((end - begin) * cols) * size);
  const auto at = [&](int64_t r, int64_t c) {
    return s.data + (r * s.row_stride + c * s.col_stride) * static_cast<int64_t>(size);
  };
  const auto to = [&](int64_t r, int64_t c) {
    return out.data() + ((r - begin) * cols + c) * static_cast<int64_t>(size);
  };
  if (s.col_stride == 1) {
    for (int64_t r = begin; r < end; ++r) std::memcpy(to(r, 0), at(r, 0), static_cast<size_t>(cols) * size);
    return;
  }
  // In-major sources are read along their own rows.
  for (int64_t c = 0; c < cols; ++c)
    for (int64_t r = begin; r < end; ++r) std::memcpy(to(r, c), at(r, c), size);
}

class Device final : public Backend {
 public:
  Device(const Config& config, const Weights& weights, bool fast) : c(config) {
    Call fault;
    self_ = api->create(&config, &weights, fast, &fault);
    check(fault);
  }
  ~Device() override { api->destroy(self_); }

  std::byte* take(size_t bytes, const char* what) override {
    Call fault;
    void* memory = api->take(self_, bytes, what, &fault);
    check(fault);
    return static_cast<std::byte*>(memory);
  }
  void give_back(std::byte* memory) override { api->give_back(self_, memory); }
  bool on_device() const override { return true; }
  const char* place() const override { return "cuda"; }
  uint64_t free_bytes() const override {
    Call fault;
    const uint64_t free = api->free_bytes(self_, &fault);
    check(fault);
    return free;
  }
  double copy_rate() override {
    Call fault;
    const double rate = api->copy_rate(self_, &fault);
    check(fault);
    return rate;
  }
  double read_rate() override {
    Call fault;
    const double rate = api->read_rate(self_, &fault);
    check(fault);
    return rate;
  }

  size_t matrix_bytes(Format f, int64_t rows, int64_t cols) const override { return bytes_of(f, rows, cols); }
  bool plain() const override { return true; }
  void loaded() override { api->loaded(self_); }
  size_t kv_bytes() const override { return api->kv_bytes(self_); }
  /** Sent as the checkpoint has them, a few MiB a thread, so loading needs no second copy of the model. */
  int64_t pack(const Matrix& m, void* dst, const Source& s, int64_t begin, int64_t end) const override {
    thread_local std::vector<std::byte> rows;
    gather(rows, s, m.cols, begin, end);
    Call fault;
    const int64_t bad = api->store(self_, &m, dst, rows.data(), s.type, begin, end, &fault);
    check(fault);
    return bad;
  }
  bool draw(const Matrix& m, void* dst, const RandomFill& d, int64_t begin, int64_t end) override {
    Call fault;
    api->draw(self_, &m, dst, &d, begin, end, &fault);
    check(fault);
    return true;
  }
  void unpack(const Matrix& m, float* dst, int64_t begin, int64_t end) const override {
    Call fault;
    if (group_of(m.format) > 0) {
      api->unpack(self_, &m, dst, begin, end, &fault);
      check(fault);
      return;
    }
    const size_t row = static_cast<size_t>(m.cols) * bytes_of(m.format);
    std::vector<std::byte> rows(static_cast<size_t>(end - begin) * row);
    api->download(self_, rows.data(),
                  static_cast<const std::byte*>(m.data) + static_cast<size_t>(begin) * row, rows.size(),
                  &fault);
    check(fault);
    Matrix copy = m;
    copy.data = rows.data();
    load_rows(copy, dst, 0, end - begin);
  }

  void reserve(int rows) override {
    Call fault;
    api->reserve(self_, rows, &fault);
    check(fault);
  }
  size_t scratch_bytes() const override { return api->scratch_bytes(self_); }
  size_t pinned_bytes() const override { return api->pinned_bytes(self_); }
  /** Long tiles pay where a tile is fast: what has begun cannot be stopped. */
  int tile_rows() const override { return api->kv_bytes(self_) == 2 ? 4096 : 512; }

  void embed(const Step& s) override { call(Verb::embed, s, -1); }
  void qkv(const Step& s, int l) override { call(Verb::qkv, s, l); }
  void attend(const Step& s, int l) override { call(Verb::attend, s, l); }
  void out(const Step& s, int l) override { call(Verb::out, s, l); }
  void route_ffn(const Step& s, int l) override { call(Verb::route_ffn, s, l); }
  void ffn_down(const Step& s, int l) override { call(Verb::ffn_down, s, l); }
  void head(const Step& s, const HeadOut& o) override {
    Call fault;
    api->head(self_, &s, &o, &fault);
    check(fault, "head");
  }
  NonFinite finish(const Step& s) override {
    Call fault;
    const NonFinite bad = api->finish(self_, &s, &fault);
    check(fault, "the end of a tile of " + std::to_string(s.rows) + " rows");
    return bad;
  }

  bool ahead(const Step& s, const Ahead& a) override {
    Call fault;
    const bool begun = api->ahead(self_, &s, &a, &fault);
    check(fault);
    profile_ = a.profile;
    return begun;
  }
  int ahead_most() const override { return api->ahead_most(self_); }
  void ahead_queue() override {
    Call fault;
    api->ahead_queue(self_, &fault);
    check(fault);
  }
  Drawn ahead_wait() override {
    Call fault;
    const Drawn drawn = api->ahead_wait(self_, &fault);
    check(fault);
    if (profile_) notes_ = static_cast<size_t>(4 + 5 * c.layer_count());
    return drawn;
  }
  void ahead_end(float* logits) override {
    Call fault;
    api->ahead_end(self_, logits, &fault);
    check(fault);
  }
  void lap() override {
    Call fault;
    api->lap(self_, &fault);
    check(fault);
    ++notes_;
  }
  std::vector<double> laps() override {
    std::vector<double> ms(std::max<size_t>(1, notes_) - 1);
    notes_ = 0;
    Call fault;
    api->laps(self_, ms.data(), ms.size(), &fault);
    check(fault);
    return ms;
  }

  int32_t sample(const float* logits, const Sampling& s, uint64_t n) override {
    return sampler_.draw(logits, c.vocab, s, n);
  }
  /** Told by `finish`. */
  int nonfinite_row(const Step&) const override { return -1; }
  Site nonfinite_site(const Step&, int, int) const override { return Site::resid_post; }

 private:
  void call(Verb verb, const Step& s, int layer) {
    Call fault;
    api->verb(self_, verb, &s, layer, &fault);
    check(fault, place_of(verb, layer));
  }

  const Config& c;
  Sampler sampler_;
  void* self_ = nullptr;
  size_t notes_ = 0;
  bool profile_ = false;  // of steps ahead
};

}  // namespace

CudaStatus cuda_status() {
  static const CudaStatus status = look();
  const DeviceContext& context = DeviceContext::instance();
  if (context.lost()) return {State::lost, context.text()};
  return status;
}

std::string cuda_products() { return cuda_status().state == State::ready ? api->products() : ""; }

const char* name(State s) {
  switch (s) {
    case State::ready:
      return "ready";
    case State::no_driver:
      return "no-driver";
    case State::no_device:
      return "no-device";
    case State::old_driver:
      return "old-driver";
    case State::not_built:
      return "not-built";
    case State::lost:
      return "lost";
    case State::mismatch:
      break;
  }
  return "mismatch";
}

namespace {

void need_device() {
  const CudaStatus status = cuda_status();
  DeviceContext::instance().check();
  if (status.state != State::ready) fail(Code::device, "device \"cuda\"", status.text);
}

}  // namespace

DeviceMemory cuda_memory() {
  need_device();
  DeviceMemory memory;
  Fault fault;
  api->device_memory(&memory.free, &memory.total, &fault);
  check(fault);
  return memory;
}

std::unique_ptr<Backend> cuda_gpu(const Config& c, const Weights& w, bool fast) {
  need_device();
  return std::make_unique<Device>(c, w, fast);
}

}  // namespace moescope
