// The way from native threads to the main one: closures run there in order. Promises are settled by them; no
// function of JavaScript is ever called.
#pragma once

#include <node_api.h>

#include <functional>
#include <memory>
#include <mutex>

namespace moescope {

class Dispatch : public std::enable_shared_from_this<Dispatch> {
 public:
  explicit Dispatch(napi_env env);
  ~Dispatch() = default;

  /** Any thread. Dropped when the environment is gone. */
  void post(std::function<void(napi_env)> f);

  /** Main thread: between begin and end the process stays alive for the answer. */
  void begin();
  void end();
  /** Main thread, when the environment goes down. */
  void close();

 private:
  static void call(napi_env env, napi_value, void* context, void* data);

  napi_env env_;
  napi_threadsafe_function function_ = nullptr;
  std::mutex mutex_;
  bool closed_ = false;
  int pending_ = 0;
};

}  // namespace moescope
