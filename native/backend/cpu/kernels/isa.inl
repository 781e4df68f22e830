// The body of every isa_*.cc: the kernels over this file's vectors, and their table.
#pragma once

#include "attention_decode.inl"
#include "attention_prefill.inl"
#include "kernels.h"
#include "logits.inl"
#include "matmul.inl"
#include "rows.inl"
#include "softmax.inl"

namespace moescope::kernels {
namespace {

constexpr Kernels table(Isa isa) {
  return {isa, matmul, rmsnorm, heads, attention, attention_weights, swiglu, sigmoid, exp, add, logit_stats};
}

}  // namespace
}  // namespace moescope::kernels
