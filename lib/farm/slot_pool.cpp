// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/slot_pool.hpp"

#include <poll.h>
#include <utility>

namespace rankview::farm {
namespace {

// As long as there is more to do, whoever waits for ends is told of those of quick commands together: waking up costs more than it takes to
// look at one.
constexpr std::chrono::milliseconds quick_command{5};
// So many commands wait at each slot, so that there is always more to do; see Workers::wanted.
constexpr std::size_t ahead_of_slot = 16;

Capacity with_cores(Capacity capacity, std::size_t cores) {
  capacity.cores = cores;
  return capacity;
}

}  // namespace

SlotPool::SlotPool(SlotTerms terms) : SlotPool(std::move(terms), capacity_here(1)) {}

SlotPool::SlotPool(SlotTerms terms, Capacity capacity) : terms_(std::move(terms)), stock_(with_cores(std::move(capacity), terms_.slots)) {}

SlotPool::~SlotPool() {
  {
    const std::lock_guard guard(mutex_);
    orders_.state.store(SlotOrders::State::closed);
    wake_all();
  }
  changed_.notify_all();
  slots_.clear();
}

std::size_t SlotPool::wanted(bool ahead) const {
  const std::lock_guard guard(mutex_);
  const std::size_t most = ahead ? (1 + ahead_of_slot) * terms_.slots : terms_.slots;
  return most - std::min(most, in_hand_);
}

void SlotPool::start(Job job) {
  const Capacity& here = stock_.all();
  const std::string trouble = too_much(job.needs, here.cores, here.memory, here.gpus.size());
  std::unique_lock guard(mutex_);
  in_hand_ += job.needs.cores;
  if (!trouble.empty()) {
    End end;
    end.command = with_slot(job.command, 0);
    end.job = std::move(job);
    end.cause = Cause::refused;
    end.status = 255;
    end.trouble = trouble;
    add_ended(std::move(end));
    return;
  }
  queue_.add(std::move(job));
  if (idle_ < queue_.size() && slots_.size() < terms_.slots) {
    auto slot = std::make_unique<Slot>(terms_, orders_, bell_, static_cast<unsigned>(slots_.size() + 1));
    slot->thread = std::thread([this, own = slot.get()] { run_slot(*own); });
    slots_.push_back(std::move(slot));
  }
  guard.unlock();
  changed_.notify_one();
}

std::vector<Job> SlotPool::recall() {
  const std::lock_guard guard(mutex_);
  std::vector<Job> jobs;
  for (Job& job : queue_.take_all()) {
    in_hand_ -= job.needs.cores;
    jobs.push_back(std::move(job));
  }
  return jobs;
}

std::vector<End> SlotPool::take_ended() {
  const std::lock_guard guard(mutex_);
  bell_.clear();
  for (const End& end : ended_) in_hand_ -= end.job.needs.cores;
  return std::exchange(ended_, {});
}

void SlotPool::wait(std::span<const int> descriptors, std::optional<std::chrono::milliseconds> limit) {
  std::vector<pollfd> fds{{bell_.descriptor(), POLLIN, 0}};
  for (const int descriptor : descriptors) fds.push_back({descriptor, POLLIN, 0});
  ::poll(fds.data(), fds.size(), limit ? static_cast<int>(limit->count()) : -1);
}

void SlotPool::set_time_limit(std::chrono::nanoseconds limit) {
  const std::lock_guard guard(mutex_);
  if (orders_.time_limit.exchange(limit.count()) != limit.count()) wake_all();
}

void SlotPool::kill() {
  const std::lock_guard guard(mutex_);
  if (orders_.state.load() == SlotOrders::State::open) orders_.state.store(SlotOrders::State::killing);
  wake_all();
}

// Under the lock.
void SlotPool::wake_all() {
  for (const auto& slot : slots_) slot->wake();
}

void SlotPool::run_slot(Slot& slot) {
  std::unique_lock guard(mutex_);
  for (;;) {
    ++idle_;
    changed_.wait(guard, [this] { return orders_.state.load() == SlotOrders::State::closed || queue_.any_for(stock_); });
    --idle_;
    if (orders_.state.load() == SlotOrders::State::closed) return;
    Job job = *queue_.take(stock_);
    const Needs needs = job.needs;
    const std::vector<std::string> gpus = stock_.take(needs);
    // What has ended may have been large, and leave room for several.
    const bool more = idle_ != 0 && queue_.any_for(stock_);
    guard.unlock();
    if (more) changed_.notify_one();
    End end = slot.run(std::move(job), gpus);
    guard.lock();
    stock_.give_back(needs, gpus);
    add_ended(std::move(end));
  }
}

// Under the lock.
void SlotPool::add_ended(End end) {
  const bool can_wait = end.took < quick_command && end.succeeded() && queue_.size() > terms_.slots;
  ended_.push_back(std::move(end));
  bell_.note();
  if (!can_wait) bell_.ring();
}

}  // namespace rankview::farm
