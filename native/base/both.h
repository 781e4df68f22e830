// Functions that host and device share.
#pragma once

#ifdef __CUDACC__
#define MOESCOPE_BOTH __host__ __device__
#else
#define MOESCOPE_BOTH
#endif
