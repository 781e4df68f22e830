#pragma once

#include "kernels.h"

void pool_suite();
void matmul_suite(const moescope::kernels::Kernels&);
void attention_suite(const moescope::kernels::Kernels&);
void rows_suite(const moescope::kernels::Kernels&);
