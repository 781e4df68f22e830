// Results as typed arrays over our own memory, freed by `release()` or, at the latest, with the ArrayBuffer.
#pragma once

#include <node_api.h>

#include <memory>
#include <vector>

#include "base/budget.h"

namespace moescope {

/** The buffers of one result. `release` detaches them, so that every view on them is empty, and frees their
 * memory at once. */
class Arrays : public std::enable_shared_from_this<Arrays> {
 public:
  /** A typed array over the block's used bytes, without a copy where the runtime allows that. */
  napi_value take(napi_env env, napi_typedarray_type type, Counted block);
  /** Main thread. */
  void release(napi_env env);

 private:
  struct Held {
    Counted block;
  };
  struct Entry {
    napi_ref buffer;  // weak
    std::weak_ptr<Held> held;
  };
  std::vector<Entry> entries_;
};

}  // namespace moescope
