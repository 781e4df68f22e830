// The thread of one model: tasks run on it one after the other.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "model/forward.h"

namespace moescope {

/** Work for a session's thread. */
class Job {
 public:
  virtual ~Job() = default;
  /** On the session's thread. */
  virtual void run() = 0;
  /** Any thread: end soon, with `released`, whether begun or not. */
  virtual void release() = 0;
  /** Instead of `run`, for a job that was still waiting when the session stopped. */
  virtual void drop() = 0;
};

class Session {
 public:
  /** A running session, known to `stop_all`. */
  static std::shared_ptr<Session> start();
  ~Session();

  /** False when stopped. */
  bool push(std::shared_ptr<Job>);
  /** Releases the running job and drops the waiting ones; does not wait. */
  void stop();
  /** Stops every session of the process's environment and waits for them. */
  static void stop_all();

 private:
  Session() = default;
  void loop();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Job>> queue_;
  std::shared_ptr<Job> current_;
  bool stopping_ = false;
  std::atomic<bool> finished_{false};
  std::thread thread_;
};

}  // namespace moescope
