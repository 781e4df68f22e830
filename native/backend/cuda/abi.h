// The border between the engine and `libmoescope-cuda.so`: one table of plain functions. What goes wrong
// comes back in a `Fault`, since no exception may cross two runtimes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>

#include "backend/backend.h"
#include "model/work.h"

namespace moescope::cuda {

struct Fault {
  int code = -1;  // of `Code`; -1: all went well; `lost`: no later call of the process will
  char where[96] = {};
  char what[416] = {};
};

struct Api {
  /** What both sides must agree on, as `signature` says it. */
  char signature[96];

  /** `fast`: bf16 on the tensor cores, fused decode; else f32 activations. */
  void* (*create)(const Config*, const Weights*, bool fast, Fault*);
  void (*destroy)(void*);
  const char* (*device_name)(void*);

  /** Where cuBLASLt comes from, or what is slower without it: a sentence. Opens it. */
  const char* (*products)();

  void* (*take)(void*, size_t bytes, const char* what, Fault*);
  void (*give_back)(void*, void*);
  uint64_t (*free_bytes)(void*, Fault*);
  /** Without a backend: what the first GPU has free, and in all. */
  void (*device_memory)(uint64_t* free, uint64_t* total, Fault*);
  double (*copy_rate)(void*, Fault*);
  double (*read_rate)(void*, Fault*);
  void (*upload)(void*, void* to, const void* from, size_t bytes, Fault*);
  void (*download)(void*, void* to, const void* from, size_t bytes, Fault*);

  int64_t (*store)(void*, const Matrix*, void* dst, const void* rows, SourceType, int64_t begin, int64_t end,
                   Fault*);
  void (*draw)(void*, const Matrix*, void* dst, const RandomFill*, int64_t begin, int64_t end, Fault*);
  void (*unpack)(void*, const Matrix*, float* dst, int64_t begin, int64_t end, Fault*);
  void (*loaded)(void*);
  size_t (*kv_bytes)(void*);

  void (*reserve)(void*, int rows, Fault*);
  size_t (*scratch_bytes)(void*);
  size_t (*pinned_bytes)(void*);
  /** All but head and sample. */
  void (*verb)(void*, Verb, const Step*, int layer, Fault*);
  void (*head)(void*, const Step*, const HeadOut*, Fault*);
  NonFinite (*finish)(void*, const Step*, Fault*);

  bool (*ahead)(void*, const Step*, const Ahead*, Fault*);
  int (*ahead_most)(void*);
  void (*ahead_queue)(void*, Fault*);
  Drawn (*ahead_wait)(void*, Fault*);
  void (*ahead_end)(void*, float* logits, Fault*);
  void (*lap)(void*, Fault*);
  void (*laps)(void*, double* ms, size_t n, Fault*);
};

/** The structs travel as they lie in memory, so both sides must come from one tree and one standard library.
 */
inline void signature(char (&out)[96]) {
#ifdef _LIBCPP_VERSION
  const char* library = "libc++";
#else
  const char* library = "libstdc++";
#endif
  std::snprintf(out, sizeof out, "9 %s %zu %zu %zu %zu %zu %d", library, sizeof(Config), sizeof(Weights),
                sizeof(Step), sizeof(Tap), sizeof(SiteEdit), site_count);
}

/** The library's only symbol. */
constexpr const char* entry = "moescope_cuda_api";
using Entry = const Api* (*)();

}  // namespace moescope::cuda
