// The addon's entry: `Native` of engine/native.ts.
#include <napi.h>

#include "backend/cpu/kernels/kernels.h"
#include "backend/cuda/open.h"
#include "model/positional.h"
#include "node/arguments.h"
#include "node/arrays.h"
#include "node/closure.h"
#include "node/model_object.h"

namespace moescope {
namespace {

napi_value floats(napi_env env, const std::vector<float>& x) {
  return js::copied(env, napi_float32_array, x.data(), x.size());
}

/** The factors of position, made by the step's own code. */
napi_value positional(napi_env env, napi_value config, napi_value positions) {
  const Config c = read_config(Fields(env, config, "config"));
  const napi_value holder = js::object(env);
  js::set(env, holder, "positions", positions);
  const std::vector<int32_t> at = Fields(env, holder, "").ints("positions");
  const size_t pairs = static_cast<size_t>(c.head_dim / 2);
  std::vector<float> cos(at.size() * pairs), sin(cos.size()), temperature(at.size());
  for (size_t i = 0; i < at.size(); ++i) {
    if (at[i] < 0) fail(Code::argument, "positions", "holds a negative one");
    rope_angles(c, at[i], c.chunk > 0, cos.data() + i * pairs, sin.data() + i * pairs);
    temperature[i] = c.temperature_tuning ? temperature_at(at[i], c.floor_scale, c.attn_scale) : 1.0f;
  }
  const napi_value out = js::object(env);
  js::set(env, out, "cos", floats(env, cos));
  js::set(env, out, "sin", floats(env, sin));
  js::set(env, out, "temperature", floats(env, temperature));
  return out;
}

class Addon : public Napi::Addon<Addon> {
 public:
  Addon(Napi::Env env, Napi::Object exports) : dispatch_(std::make_shared<Dispatch>(env)) {
    DefineAddon(exports,
                {InstanceMethod("info", &Addon::info), InstanceMethod("cuda", &Addon::cuda),
                 InstanceMethod("cudaMemory", &Addon::cuda_memory_),
                 InstanceMethod("cudaProducts", &Addon::cuda_products_),
                 InstanceMethod("setBudget", &Addon::set_budget), InstanceMethod("load", &Addon::load),
                 InstanceMethod("positional", &Addon::positional_)});
    // Threads must have ended before the environment's memory goes.
    napi_add_env_cleanup_hook(
        env,
        [](void* data) {
          static_cast<Dispatch*>(data)->close();
          Session::stop_all();
        },
        dispatch_.get());
  }

 private:
  Napi::Value info(const Napi::CallbackInfo& info) {
    const napi_env env = info.Env();
    return {env, js::guard(env, [&] {
              const MachineMemory memory = machine_memory();
              const napi_value out = js::object(env);
              js::set(env, out, "version", MOESCOPE_VERSION);
              js::set(env, out, "isa", kernels::name(kernels::detect()));
              js::set(env, out, "cores", static_cast<double>(kernels::Pool::cores()));
              js::set(env, out, "free", static_cast<double>(memory.free));
              js::set(env, out, "total", static_cast<double>(memory.total));
              js::set(env, out, "external", static_cast<double>(Budget::instance().live()));
              js::set(env, out, "budget", static_cast<double>(Budget::instance().limit()));
              return out;
            })};
  }

  Napi::Value cuda(const Napi::CallbackInfo& info) {
    const napi_env env = info.Env();
    return {env, js::guard(env, [&] {
              const CudaStatus status = cuda_status();
              const napi_value out = js::object(env);
              js::set(env, out, "state", name(status.state));
              js::set(env, out, "text", status.text);
              return out;
            })};
  }

  Napi::Value cuda_memory_(const Napi::CallbackInfo& info) {
    const napi_env env = info.Env();
    return {env, js::guard(env, [&] {
              const DeviceMemory memory = cuda_memory();
              const napi_value out = js::object(env);
              js::set(env, out, "free", static_cast<double>(memory.free));
              js::set(env, out, "total", static_cast<double>(memory.total));
              return out;
            })};
  }

  Napi::Value cuda_products_(const Napi::CallbackInfo& info) {
    const napi_env env = info.Env();
    return {env, js::guard(env, [&] { return js::string(env, cuda_products()); })};
  }

  Napi::Value set_budget(const Napi::CallbackInfo& info) {
    const napi_env env = info.Env();
    return {env, js::guard(env, [&] {
              double bytes = -1;
              if (napi_get_value_double(env, info[0], &bytes) != napi_ok || !(bytes >= 0 && bytes <= 0x1p53))
                fail(Code::argument, "setBudget", "takes a number of bytes");
              Budget::instance().set_limit(static_cast<uint64_t>(bytes));
              return js::undefined(env);
            })};
  }

  Napi::Value load(const Napi::CallbackInfo& info) {
    const napi_env env = info.Env();
    return {env, js::guard(env, [&] {
              LoadSpec spec = read_load_spec(Fields(env, info[0], ""));
              const std::shared_ptr<Session> session = Session::start();
              const auto task = load_task(dispatch_, session, std::move(spec));
              const napi_value object = task->object(env);
              session->push(task);
              return object;
            })};
  }

  Napi::Value positional_(const Napi::CallbackInfo& info) {
    const napi_env env = info.Env();
    return {env, js::guard(env, [&] { return positional(env, info[0], info[1]); })};
  }

  std::shared_ptr<Dispatch> dispatch_;
};

}  // namespace
}  // namespace moescope

using moescope::Addon;
NODE_API_NAMED_ADDON(moescope, Addon)
