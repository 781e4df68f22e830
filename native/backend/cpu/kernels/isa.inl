// The body of every isa_*.cc: the kernels over this file's vectors, and their table.
#include "kernels.h"
#include "simd.h"

namespace moescope::kernels {
namespace {

#include "matmul.inl"
// In this order: each uses the helpers above it.
#include "rows.inl"
#include "logits.inl"
#include "softmax.inl"
#include "attention_prefill.inl"
#include "attention_decode.inl"

constexpr Kernels table(Isa isa) {
  return {isa, matmul, rmsnorm, heads, attention, attention_weights, swiglu, sigmoid, exp, add, logit_stats};
}

}  // namespace
}  // namespace moescope::kernels
