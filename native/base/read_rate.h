// How fast this machine reads its memory: the limit that figures of the CPU stand beside.
#pragma once

namespace moescope {

/** Bytes a second, measured now by all cores over memory beyond their caches: takes some tenths of a second.
 * 0: there is no memory to read. */
double read_rate();

}  // namespace moescope
