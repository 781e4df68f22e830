// cuBLASLt by dlopen: 500 MB that most machines with CUDA have and that this library must not need. The
// functions and the few numbers of its interface that are used are declared here, as version 13 has them.
#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "backend/cuda/lt.cuh"

namespace moescope::cuda {
namespace {

using Status = int;  // 0: success
constexpr int compute_f32 = 68, type_f32 = 0, type_bf16 = 14, transpose = 1;
constexpr int desc_transpose_a = 3, preference_workspace = 1;
constexpr size_t workspace_bytes = size_t{64} << 20;

struct Algo {
  uint64_t data[8];
};
struct Heuristic {
  Algo algo;
  size_t workspace;
  Status state;
  float waves;
  int reserved[4];
};

struct Functions {
  Status (*create)(void**);
  Status (*destroy)(void*);
  Status (*desc_create)(void**, int compute, int scale);
  Status (*desc_set)(void*, int attribute, const void*, size_t);
  Status (*layout_create)(void**, int type, uint64_t rows, uint64_t cols, int64_t ld);
  Status (*layout_destroy)(void*);
  Status (*desc_destroy)(void*);
  Status (*preference_create)(void**);
  Status (*preference_destroy)(void*);
  Status (*preference_set)(void*, int attribute, const void*, size_t);
  Status (*heuristic)(void*, void* desc, void* a, void* b, void* c, void* d, void* preference, int wanted,
                      Heuristic*, int* found);
  Status (*matmul)(void*, void* desc, const void* alpha, const void* a, void* a_layout, const void* b,
                   void* b_layout, const void* beta, const void* c, void* c_layout, void* d, void* d_layout,
                   const Algo*, void* workspace, size_t, cudaStream_t);
};

struct Library {
  Functions f{};
  bool found = false;
  std::string status;

  Library() {
    const char* wanted = std::getenv("MOESCOPE_CUBLASLT");
    if (wanted && std::strcmp(wanted, "off") == 0) {
      status = "cuBLASLt is switched off (MOESCOPE_CUBLASLT)";
      return;
    }
    void* library = nullptr;
    std::string from;
    for (const char* path :
         {wanted ? wanted : "libcublasLt.so.13", "/usr/local/cuda/lib64/libcublasLt.so.13"}) {
      library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
      from = path;
      if (library) break;
    }
    if (!library) {
      status =
          "cuBLASLt (libcublasLt.so.13) is not found: long prompts are computed by slower kernels; set "
          "MOESCOPE_CUBLASLT to "
          "its path, or LD_LIBRARY_PATH to its folder";
      return;
    }
    const auto take = [&](auto& to, const char* name) {
      to = reinterpret_cast<std::remove_reference_t<decltype(to)>>(dlsym(library, name));
      return to != nullptr;
    };
    found = take(f.create, "cublasLtCreate") && take(f.destroy, "cublasLtDestroy") &&
            take(f.desc_create, "cublasLtMatmulDescCreate") &&
            take(f.desc_set, "cublasLtMatmulDescSetAttribute") &&
            take(f.layout_create, "cublasLtMatrixLayoutCreate") &&
            take(f.layout_destroy, "cublasLtMatrixLayoutDestroy") &&
            take(f.desc_destroy, "cublasLtMatmulDescDestroy") &&
            take(f.preference_create, "cublasLtMatmulPreferenceCreate") &&
            take(f.preference_destroy, "cublasLtMatmulPreferenceDestroy") &&
            take(f.preference_set, "cublasLtMatmulPreferenceSetAttribute") &&
            take(f.heuristic, "cublasLtMatmulAlgoGetHeuristic") && take(f.matmul, "cublasLtMatmul");
    status = found ? "cuBLASLt from " + from : from + " is no cuBLASLt that can be used";
  }
};

Library& library() {
  static Library library;
  return library;
}

}  // namespace

const char* lt_status() { return library().status.c_str(); }

struct Lt::Plan {
  void *desc = nullptr, *w = nullptr, *x = nullptr, *y = nullptr;
  Algo algo{};
  bool usable = false;
};

Lt::~Lt() {
  if (!handle_) return;
  const Functions& f = library().f;
  for (auto& [shape, plan] : plans_) {
    for (void* layout : {plan->w, plan->x, plan->y})
      if (layout) f.layout_destroy(layout);
    if (plan->desc) f.desc_destroy(plan->desc);
    delete plan;
  }
  f.destroy(handle_);
}

bool Lt::open() {
  if (tried_) return handle_ != nullptr;
  tried_ = true;
  if (!library().found || library().f.create(&handle_) != 0) handle_ = nullptr;
  if (handle_) workspace_.reserve(workspace_bytes, "scratch");
  return handle_ != nullptr;
}

/** The library counts columns first: its y is [n, m], from w turned round. */
const Lt::Plan* Lt::plan(int64_t m, int64_t n, int64_t k, int64_t y_stride) {
  Plan*& plan = plans_[{m, n, k, y_stride}];
  if (plan) return plan;
  plan = new Plan;
  const Functions& f = library().f;
  const auto rows = [](int64_t x) { return static_cast<uint64_t>(x); };
  void* preference = nullptr;
  if (f.desc_create(&plan->desc, compute_f32, type_f32) || f.preference_create(&preference) ||
      f.desc_set(plan->desc, desc_transpose_a, &transpose, sizeof transpose) ||
      f.layout_create(&plan->w, type_bf16, rows(k), rows(n), k) ||
      f.layout_create(&plan->x, type_bf16, rows(k), rows(m), k) ||
      f.layout_create(&plan->y, type_f32, rows(n), rows(m), y_stride) ||
      f.preference_set(preference, preference_workspace, &workspace_bytes, sizeof workspace_bytes)) {
    if (preference) f.preference_destroy(preference);
    return plan;
  }
  Heuristic best{};
  int found = 0;
  plan->usable = f.heuristic(handle_, plan->desc, plan->w, plan->x, plan->y, plan->y, preference, 1, &best,
                             &found) == 0 &&
                 found > 0 && best.state == 0;
  plan->algo = best.algo;
  f.preference_destroy(preference);
  return plan;
}

bool Lt::multiply(const uint16_t* w, const uint16_t* x, float* y, int64_t m, int64_t n, int64_t k,
                  int64_t y_stride, cudaStream_t stream) {
  const Plan* p = plan(m, n, k, y_stride);
  if (!p->usable) return false;
  const float one = 1, zero = 0;
  return library().f.matmul(handle_, p->desc, &one, w, p->w, x, p->x, &zero, y, p->y, y, p->y, &p->algo,
                            workspace_.as<void>(), workspace_bytes, stream) == 0;
}

}  // namespace moescope::cuda
