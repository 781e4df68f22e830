#include "node/session.h"

#include <algorithm>

namespace moescope {
namespace {

/** Sessions whose threads are not joined yet. One list a main thread suffices: the addon serves one
 * environment a thread. */
thread_local std::vector<std::shared_ptr<Session>> all;

}  // namespace

std::shared_ptr<Session> Session::start() {
  // Those that have ended are joined now; it does not wait.
  std::erase_if(all, [](const std::shared_ptr<Session>& s) {
    if (!s->finished_) return false;
    s->thread_.join();
    return true;
  });
  std::shared_ptr<Session> session(new Session);
  session->thread_ = std::thread([s = session.get()] { s->loop(); });
  all.push_back(session);
  return session;
}

Session::~Session() {
  if (thread_.joinable()) {
    stop();
    thread_.join();
  }
}

bool Session::push(std::shared_ptr<Job> job) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return false;
    queue_.push_back(std::move(job));
  }
  wake_.notify_one();
  return true;
}

void Session::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (current_) current_->release();
  }
  wake_.notify_one();
}

void Session::stop_all() {
  for (const auto& s : all) s->stop();
  for (const auto& s : all)
    if (s->thread_.joinable()) s->thread_.join();
  all.clear();
}

void Session::loop() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (stopping_) break;
      current_ = std::move(queue_.front());
      queue_.pop_front();
    }
    current_->run();
    std::shared_ptr<Job> done;
    const std::lock_guard lock(mutex_);
    done.swap(current_);
  }
  std::deque<std::shared_ptr<Job>> left;
  {
    const std::lock_guard lock(mutex_);
    left.swap(queue_);
  }
  for (const auto& job : left) job->drop();
  finished_ = true;
}

}  // namespace moescope
