#include "node/model_object.h"

#include "node/arguments.h"
#include "node/closure.h"
#include "node/run_task.h"

namespace moescope {
namespace {

/** A model as the main thread knows it; when nobody knows it any more, its session ends. */
struct ModelHandle {
  std::shared_ptr<Dispatch> dispatch;
  std::shared_ptr<Session> session;
  std::shared_ptr<Model> model;  // null: released
  napi_env env = nullptr;
  int64_t told = 0;  // bytes that the garbage collector knows of

  Model& get() const {
    if (!model) fail(Code::released, "", "the model was released");
    return *model;
  }
  void tell(int64_t bytes) {
    int64_t ignored = 0;
    napi_adjust_external_memory(env, bytes - told, &ignored);
    told = bytes;
  }
  void release() {
    if (!model) return;
    session->stop();
    model.reset();
    tell(0);
  }
  ~ModelHandle() { release(); }
};

void release_state(StateHandle& handle) {
  for (const auto& weak : handle.tasks)
    if (const auto task = weak.lock()) task->release();
  handle.tasks.clear();
  handle.state.reset();
}

napi_value start(napi_env env, ModelHandle& model, const std::shared_ptr<StateHandle>& handle,
                 napi_value argument, bool generate) {
  model.get();
  if (!handle->state) fail(Code::released, "", "the state was released");
  RunSpec spec = read_run_spec(Fields(env, argument, ""), generate);
  check_batch(model.model->config, spec, handle->state->sequences());
  const auto task = std::make_shared<RunTask>(model.dispatch, handle, std::move(spec));
  const napi_value object = task->object(env);
  std::erase_if(handle->tasks, [](const auto& weak) { return weak.expired(); });
  handle->tasks.push_back(task);
  if (!model.session->push(task)) task->drop();
  return object;
}

napi_value state_object(napi_env env, const std::shared_ptr<ModelHandle>& model,
                        std::shared_ptr<State> state) {
  const auto handle = std::make_shared<StateHandle>();
  handle->position.resize(state->position.size());
  handle->state = std::move(state);
  const napi_value out = js::object(env);
  js::getter(env, out, "position", [handle](napi_env e, napi_value) {
    const std::lock_guard lock(handle->mutex);
    return js::int32_array(e, handle->position);
  });
  js::method(env, out, "forward",
             [=](napi_env e, napi_value argument) { return start(e, *model, handle, argument, false); });
  js::method(env, out, "generate",
             [=](napi_env e, napi_value argument) { return start(e, *model, handle, argument, true); });
  js::method(env, out, "release", [=](napi_env e, napi_value) {
    release_state(*handle);
    return js::undefined(e);
  });
  return out;
}

napi_value weight(napi_env env, const Model& m, napi_value argument) {
  size_t n = 0;
  if (napi_get_value_string_utf8(env, argument, nullptr, 0, &n) != napi_ok)
    fail(Code::argument, "weight", "takes the name of a slot");
  std::string name(n + 1, '\0');
  napi_get_value_string_utf8(env, argument, name.data(), n + 1, &n);
  name.resize(n);
  const Matrix& matrix = *m.slot(name).matrix;
  const size_t bytes = sizeof(float) * static_cast<size_t>(matrix.rows * matrix.cols);
  Budget::instance().check(bytes);
  Counted copy(bytes, "weights");
  copy.trim(bytes);
  m.backend->unpack(matrix, copy.as<float>(), 0, matrix.rows);
  return Arrays().take(env, napi_float32_array, std::move(copy));
}

napi_value model_object(napi_env env, const std::shared_ptr<ModelHandle>& model) {
  const napi_value out = js::object(env);
  js::method(env, out, "state", [=](napi_env e, napi_value argument) {
    Model& m = model->get();
    (void)m;
    const Fields f(e, argument, "state");
    const int sequences = static_cast<int>(f.integer("sequences", 1, 1 << 20));
    const int64_t context = f.integer("context", 1, INT32_MAX);
    return state_object(e, model, std::make_shared<State>(model->model, sequences, context));
  });
  js::method(env, out, "weight",
             [=](napi_env e, napi_value argument) { return weight(e, model->get(), argument); });
  js::method(env, out, "memory", [=](napi_env e, napi_value) {
    const auto parts = model->get().memory();
    return js::array(e, parts.size(), [&](size_t i) {
      const napi_value part = js::object(e);
      js::set(e, part, "part", parts[i].part);
      js::set(e, part, "place", parts[i].place);
      js::set(e, part, "bytes", static_cast<double>(parts[i].bytes));
      return part;
    });
  });
  js::method(env, out, "readRate",
             [=](napi_env e, napi_value) { return js::number(e, model->get().backend->read_rate()); });
  js::method(env, out, "copyRate",
             [=](napi_env e, napi_value) { return js::number(e, model->get().backend->copy_rate()); });
  js::method(env, out, "nonFinite", [=](napi_env e, napi_value) {
    const auto& all = model->get().nonfinite;
    return js::array(e, all.size(), [&](size_t i) {
      const napi_value slot = js::object(e);
      js::set(e, slot, "slot", all[i].slot);
      js::set(e, slot, "count", static_cast<double>(all[i].count));
      return slot;
    });
  });
  js::method(env, out, "release", [=](napi_env e, napi_value) {
    model->release();
    return js::undefined(e);
  });
  return out;
}

class LoadTask final : public Task {
 public:
  LoadTask(std::shared_ptr<Dispatch> dispatch, std::shared_ptr<Session> session, LoadSpec spec)
      : Task(std::move(dispatch)), session_(std::move(session)), spec_(std::move(spec)) {}

 private:
  Value work(RunWatch& watch) override {
    std::shared_ptr<Model> model = load_model(std::move(spec_), watch.control);
    return [model = std::move(model), session = session_, dispatch = dispatch()](napi_env env) {
      const auto handle = std::make_shared<ModelHandle>();
      handle->dispatch = dispatch;
      handle->session = session;
      handle->model = model;
      handle->env = env;
      handle->tell(static_cast<int64_t>(model->store.bytes()));
      return model_object(env, handle);
    };
  }
  void ended() override {}

  std::shared_ptr<Session> session_;
  LoadSpec spec_;
};

}  // namespace

std::shared_ptr<Task> load_task(std::shared_ptr<Dispatch> dispatch, std::shared_ptr<Session> session,
                                LoadSpec spec) {
  return std::make_shared<LoadTask>(std::move(dispatch), std::move(session), std::move(spec));
}

}  // namespace moescope
