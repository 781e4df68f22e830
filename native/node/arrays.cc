#include "node/arrays.h"

#include "node/js.h"

namespace moescope {

napi_value Arrays::take(napi_env env, napi_typedarray_type type, Counted block) {
  const size_t bytes = block.used(), count = bytes / 4;
  const float* data = block.as<float>();
  if (bytes == 0) return js::copied(env, type, data, 0);
  auto held = std::make_shared<Held>(Held{std::move(block)});
  auto* owner = new std::shared_ptr<Held>(held);
  napi_value buffer = nullptr;
  const napi_status status = napi_create_external_arraybuffer(
      env, const_cast<float*>(data), bytes,
      [](napi_env, void*, void* hint) { delete static_cast<std::shared_ptr<Held>*>(hint); }, owner, &buffer);
  if (status != napi_ok) {
    // Runtimes with a memory cage refuse external buffers (napi_no_external_buffers_allowed).
    delete owner;
    return js::copied(env, type, data, count);
  }
  Entry& entry = entries_.emplace_back();
  entry.held = held;
  napi_create_reference(env, buffer, 0, &entry.buffer);
  napi_value array = nullptr;
  napi_create_typedarray(env, type, count, buffer, 0, &array);
  return array;
}

void Arrays::release(napi_env env) {
  for (Entry& e : entries_) {
    napi_value buffer = nullptr;
    napi_get_reference_value(env, e.buffer, &buffer);
    bool detached = true;
    if (buffer) napi_is_detached_arraybuffer(env, buffer, &detached);
    // A buffer that was transferred away lives on elsewhere; its finalizer frees it.
    if (!detached && napi_detach_arraybuffer(env, buffer) == napi_ok)
      if (const auto held = e.held.lock()) held->block.reset();
    napi_delete_reference(env, e.buffer);
  }
  entries_.clear();
}

}  // namespace moescope
