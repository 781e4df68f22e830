// Decode in fused kernels, and what is queued ahead (`decode.cu`).
#pragma once

#include "backend/backend.h"
#include "backend/cuda/stream.cuh"
#include "model/positional.h"

namespace moescope::cuda {

/** Where a sequence that is being continued stands: on the device, moved on by the step itself. */
struct Row {
  int32_t id, position, step, best;
  int32_t done;  // the row before had a stop id: what follows leaves no trace
  float lse, entropy;
  uint16_t variant;
};

/** attend of one row: rotation, norm or temperature, the cache, and z (`decode_attend.cu`). */
struct DecodeAttention {
  const float *q, *k, *v, *cos, *sin;
  float *z, *lse, *part;
  const Row* row;
  KvLayer kv;
  EditTables edits;
  TemperatureLaw law;
  unsigned* arrived;  // [kv_heads], zero before
  int layers, layer, heads, kv_heads, head_dim, splits;
  int64_t chunk;  // 0: global
  float scale, eps;
  bool rope, norm;
};
bool decode_attention_fits(const Config&);
int decode_splits(const Config&);
int64_t decode_attention_floats(const Config&);
void launch_decode_attention(const DecodeAttention&, cudaStream_t);

/** route_ffn and ffn_down of one row (`decode_ffn.cu`). */
struct DecodeFfn {
  float* x;
  const float* norm;
  float eps;
  int d, ff, experts;            // experts 0: a dense layer
  Int4 gate, up, down;           // the shared expert's, or the dense ones
  const void* const* routed[3];  // gate, up, down: [experts]
  const float* router;           // [experts, d]
  float *logit, *score, *choice_f, *act, *routed_act;
  int32_t* choice;
  int32_t* bad;  // lowered to `mark` where the residual stream is not finite
  int32_t mark;
  EditTables edits;
  int layers, layer;
  unsigned* arrived;  // zero before
};
bool decode_ffn_fits(int d, int ff, int experts);
void launch_decode_up(const DecodeFfn&, int group, cudaStream_t);
void launch_decode_down(const DecodeFfn&, int group, cudaStream_t);

}  // namespace moescope::cuda
