// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "checkpoint/sharing.hpp"

#include <utility>

namespace rankview::checkpoint {
namespace {

void append(std::vector<std::uint32_t>& to, const std::vector<std::uint32_t>& from) { to.insert(to.end(), from.begin(), from.end()); }

}  // namespace

Sharing::Sharing(Disk& disk, const std::string& directory, Settings settings)
    : settings_(std::move(settings)), leases_(std::in_place, disk, directory, settings_.job, settings_.stale, settings_.clock) {
  // Whoever submits something right away knows how things are.
  std::unique_lock guard(mutex_);
  step(guard, true);
  guard.unlock();
  thread_ = transport::Thread(settings_.clock, [this] { run(); });
}

Sharing::~Sharing() { stop(); }

void Sharing::stop() {
  {
    const std::lock_guard guard(mutex_);
    quitting_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Sharing::leave() {
  stop();
  leases_.reset();
}

bool Sharing::splits() const {
  const std::lock_guard guard(mutex_);
  return news_.splits;
}

Sharing::News Sharing::take_news() {
  const std::lock_guard guard(mutex_);
  any_news_.store(false, std::memory_order_relaxed);
  News news = news_;
  news_.gained.clear();
  news_.lost.clear();
  return news;
}

void Sharing::want(std::vector<std::uint32_t> order, std::size_t most) {
  {
    const std::lock_guard guard(mutex_);
    wanted_ = std::move(order);
    most_ = most;
    news_.answered = wanted_.empty();
    kicked_ = true;
  }
  changed_.notify_all();
}

void Sharing::share(std::vector<std::uint32_t> begun) {
  {
    const std::lock_guard guard(mutex_);
    begun_ = std::move(begun);
    says_begun_ = true;
    kicked_ = true;
  }
  changed_.notify_all();
}

void Sharing::give_back(std::vector<std::uint32_t> buckets) {
  {
    const std::lock_guard guard(mutex_);
    append(given_back_, buckets);
    kicked_ = true;
  }
  changed_.notify_all();
}

void Sharing::run() {
  std::unique_lock guard(mutex_);
  const transport::Clock& clock = settings_.clock;
  auto next_look = clock.steady_now() + settings_.look;
  while (!quitting_) {
    clock.wait_for(changed_, guard, next_look - clock.steady_now(), [this] { return quitting_ || kicked_; });
    if (quitting_) return;
    const bool looks = clock.steady_now() >= next_look;
    if (looks) next_look = clock.steady_now() + settings_.look;
    step(guard, looks);
    if (!looks || !settings_.attend || !(any_news() || news_.splits)) continue;
    guard.unlock();
    settings_.attend();
    guard.lock();
  }
}

// Does what was asked for, without the lock meanwhile.
void Sharing::step(std::unique_lock<std::mutex>& guard, bool looks) {
  kicked_ = false;
  const std::vector<std::uint32_t> given_back = std::exchange(given_back_, {});
  const std::vector<std::uint32_t> begun = std::exchange(begun_, {});
  const bool says_begun = std::exchange(says_begun_, false);
  const std::vector<std::uint32_t> wanted = wanted_;
  const std::size_t most = most_;
  const Leases::Mode before = leases_->mode();
  guard.unlock();
  Leases::Changes changes;
  const auto add = [&changes](const Leases::Changes& more) {
    append(changes.gained, more.gained);
    append(changes.lost, more.lost);
  };
  if (looks) add(leases_->look());
  // What has ended here, and others may look for from here on, is where they find it.
  if ((says_begun || !given_back.empty()) && settings_.flush) settings_.flush();
  if (says_begun) add(leases_->mode() == Leases::Mode::asked ? leases_->share(begun) : leases_->get(begun, begun.size()));
  for (const std::uint32_t bucket : given_back) leases_->give_back(bucket);
  const Leases::Changes got = leases_->get(wanted, most);
  add(got);
  const Leases::Mode mode = leases_->mode();
  // What others have finished before they gave it back is found now. Who was not alone before may have missed something.
  const bool opens = splits(before) && !splits(mode);
  if ((!got.gained.empty() || opens) && settings_.read_on) settings_.read_on();
  if (mode == Leases::Mode::off && before != Leases::Mode::off && settings_.warn)
    settings_.warn("jobs that use one checkpoint at the same time do not split the work, since leases cannot be had: " +
                   leases_->trouble());
  const bool had_all = before == Leases::Mode::alone || (before == Leases::Mode::asked && !says_begun);
  if ((!changes.lost.empty() || (had_all && splits(mode))) && settings_.warn)
    settings_.warn("other jobs have taken over tasks of this one, which gave no sign of life for " +
                   std::to_string(settings_.stale.count()) + " ms (RANKVIEW_LEASE_MS); some may be done twice");
  guard.lock();
  note_changes(changes);
  const bool answers = !news_.answered && wanted == wanted_ && (!got.gained.empty() || !splits(mode));
  if (answers) {
    news_.answered = true;
    wanted_.clear();
  }
  const bool news = answers || !changes.gained.empty() || !changes.lost.empty() || news_.splits != splits(mode) ||
                    (mode == Leases::Mode::asked) != news_.asked;
  news_.splits = splits(mode);
  news_.asked = mode == Leases::Mode::asked;
  if (news) any_news_.store(true, std::memory_order_release);
}

// What was lost and gained again is gained; what was gained and lost before anybody heard of it is only lost.
void Sharing::note_changes(const Leases::Changes& changes) {
  for (const std::uint32_t bucket : changes.lost) std::erase(news_.gained, bucket);
  append(news_.lost, changes.lost);
  append(news_.gained, changes.gained);
}

}  // namespace rankview::checkpoint
