// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "isolation/threaded_slots.hpp"

#include "isolation/direct_forker.hpp"
#include "isolation/process_runner.hpp"

#include <rankview/errors.hpp>

#include <algorithm>
#include <utility>

namespace rankview::isolation {

// What one thread has.
class ThreadedSlots::Slot {
 public:
  explicit Slot(ThreadedSlots& slots) : slots_(slots), in_fork_(std::make_unique<DirectForker>(slots.variables_)) {}
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  ~Slot() {
    if (thread.joinable()) thread.join();
  }

  void run(SlotTask& task) {
    try {
      task.outcome = (task.forked ? in_fork_ : in_process()).run(task.task, task);
    } catch (...) {
      task.error = std::current_exception();
    }
  }

  std::thread thread;

 private:
  ProcessRunner& in_process() {
    if (in_process_ == nullptr) {
      if (slots_.server_ == nullptr) throw UsageError(no_server);
      const std::lock_guard guard(slots_.mutex_);
      in_process_ = std::make_unique<ProcessRunner>(slots_.server_->connect());
    }
    return *in_process_;
  }

  ThreadedSlots& slots_;
  ProcessRunner in_fork_;
  std::unique_ptr<ProcessRunner> in_process_;
};

ThreadedSlots::ThreadedSlots(std::size_t size, TaskServer* server, Variables& variables)
    : size_(size), server_(server), variables_(variables) {}

ThreadedSlots::~ThreadedSlots() {
  {
    const std::lock_guard guard(mutex_);
    quitting_ = true;
    for (const auto& task : running_) task->stop();
  }
  changed_.notify_all();
  slots_.clear();
}

void ThreadedSlots::start(std::shared_ptr<SlotTask> task) {
  std::unique_lock guard(mutex_);
  if (running_.size() + to_run_.size() == slots_.size()) {
    auto slot = std::make_unique<Slot>(*this);
    slot->thread = std::thread([this, own = slot.get()] { run_slot(*own); });
    slots_.push_back(std::move(slot));
  }
  to_run_.push_back(std::move(task));
  guard.unlock();
  changed_.notify_one();
}

std::vector<std::shared_ptr<SlotTask>> ThreadedSlots::take_ended() {
  const std::lock_guard guard(mutex_);
  any_ended_.store(false, std::memory_order_relaxed);
  return std::exchange(ended_, {});
}

void ThreadedSlots::run_slot(Slot& slot) {
  std::unique_lock guard(mutex_);
  for (;;) {
    changed_.wait(guard, [this] { return quitting_ || !to_run_.empty(); });
    if (quitting_) return;
    std::shared_ptr<SlotTask> task = std::move(to_run_.front());
    to_run_.pop_front();
    running_.push_back(task);
    guard.unlock();
    slot.run(*task);
    guard.lock();
    std::erase(running_, task);
    ended_.push_back(std::move(task));
    any_ended_.store(true, std::memory_order_release);
  }
}

}  // namespace rankview::isolation
