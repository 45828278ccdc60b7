// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/shares.hpp"
#include "memory_disk.hpp"
#include "rooms.hpp"

#include "checkpoint/checkpoint.hpp"
#include "controller/call_registry.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

namespace cp = rankview::checkpoint;
using rankview::Status;
using rankview::controller::CallRegistry;
using rankview::controller::Shares;
using unit::checkpoint::MemoryDisk;

namespace {

bool anybody_has_all(MemoryDisk& disk) {
  const std::vector<std::string> names = disk.list("d");
  const auto is_of_all = [](const std::string& name) { return name.starts_with("lease-256-256-"); };
  return std::any_of(names.begin(), names.end(), is_of_all);
}

// What the controller is for its shares, with an engine that is done with a task at once.
class Job {
 public:
  explicit Job(MemoryDisk& disk) {
    cp::Checkpoint::Settings settings = unit::checkpoint::settings(warnings);
    // Nothing is ever stale here, since on this disk time stands still; but jobs look often.
    settings.lease = std::chrono::milliseconds(50);
    in_ = std::make_shared<cp::Checkpoint>(disk, "d", settings);
    number_ = in_->enlist(unit::checkpoint::squares);
    shares_.add(in_);
  }

  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  // The call may stay, since it keeps itself; it is not to keep the checkpoint.
  ~Job() {
    if (call_ == nullptr) return;
    call_->life().more.edit().checkpointed.edit() = {};
    calls_.end(*call_);
    calls_.drop(*call_);
  }

  void submit(std::uint64_t count) {
    call_ = std::make_shared<unit::TestCall>();
    call_->life().items.resize(count);
    rankview::detail::Checkpointed checkpointed;
    checkpointed.in = in_;
    for (std::uint64_t item = 0; item < count; ++item) checkpointed.keys.push_back(unit::checkpoint::key(item));
    call_->life().more.edit().checkpointed.edit() = std::move(checkpointed);
    call_->life().checkpointed = true;
    calls_.enlist(call_);
    ran.resize(count);
    enqueue_all();
  }
  // A round.
  void look() {
    if (!shares_.any_to_look_at()) return;
    const Shares::Round round = shares_.look(time_ += 1'000'000'000, ready_.size() < 2, 1);
    for (const cp::Checkpoint* const in : round.to_split) {
      shares_.forget(in);
      if (call_ != nullptr) enqueue_all();
      shares_.tell_begun(in);
    }
    for (const auto& [number, items] : round.released) {
      shares_.note_released(*call_, items);
      for (const std::uint64_t item : items) find_or_enqueue(item);
    }
  }
  void run_one() {
    if (ready_.empty()) return;
    const std::uint64_t item = ready_.front();
    ready_.pop_front();
    ++ran[item];
    REQUIRE(in_->add(number_, unit::checkpoint::key(item), unit::checkpoint::bytes_of(unit::checkpoint::value(item))) != 0);
    end(item);
  }
  [[nodiscard]] bool done() const { return ended_ == ran.size(); }
  [[nodiscard]] bool splits() const { return in_->sharing()->splits(); }

  unit::checkpoint::Warnings warnings;
  std::vector<int> ran;  // how often, by item

 private:
  void enqueue_all() {
    if (shares_.splits(*call_)) {
      const std::vector<std::uint64_t> ours = shares_.withhold(*call_, 0, ran.size());
      ready_.assign(ours.begin(), ours.end());
      return;
    }
    ready_.resize(ran.size());
    std::iota(ready_.begin(), ready_.end(), std::uint64_t{0});
  }
  void find_or_enqueue(std::uint64_t item) {
    rankview::detail::Buffer into;
    if (in_->find(unit::checkpoint::key(item), into) == cp::Found::nothing) {
      ready_.push_back(item);
      return;
    }
    CHECK(unit::checkpoint::text_of(into) == unit::checkpoint::value(item));
    end(item);
  }
  void end(std::uint64_t item) {
    call_->life().items[item].status = Status::completed;
    ++ended_;
  }

  std::shared_ptr<cp::Checkpoint> in_;
  std::uint32_t number_ = 0;
  CallRegistry calls_;
  Shares shares_{calls_};
  std::shared_ptr<unit::TestCall> call_;
  std::deque<std::uint64_t> ready_;
  std::size_t ended_ = 0;
  std::int64_t time_ = 0;
};

// Lets them look until that is so.
template <class Ready>
void await(const std::vector<Job*>& jobs, Ready ready) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!ready()) {
    REQUIRE(std::chrono::steady_clock::now() < limit);
    for (Job* const job : jobs) job->look();
    std::this_thread::yield();
  }
}

}  // namespace

TEST_CASE("A job that has nothing to run lets others have all of it", "[shares]") {
  MemoryDisk disk;
  Job first(disk);
  Job second(disk);
  REQUIRE(!first.splits());
  REQUIRE(second.splits());
  second.submit(20);
  await({&first, &second}, [&] {
    second.run_one();
    return second.done();
  });
  CHECK(second.ran == std::vector<int>(20, 1));
}

TEST_CASE("A job that has waited and comes to have everything shares it at once with another that waits", "[shares]") {
  MemoryDisk disk;
  auto first = std::make_unique<Job>(disk);
  Job second(disk);
  Job third(disk);
  second.submit(20);
  third.submit(20);
  REQUIRE(anybody_has_all(disk));
  // Whoever has it next finds itself asked in the very look in which it gets it.
  first.reset();
  await({&second, &third}, [&] {
    second.run_one();
    third.run_one();
    return second.done() && third.done();
  });
  CHECK(!anybody_has_all(disk));
  for (std::size_t item = 0; item < 20; ++item) CHECK(second.ran[item] + third.ran[item] == 1);
}

TEST_CASE("Of what one job had begun alone others do the rest", "[shares]") {
  MemoryDisk disk;
  Job first(disk);
  constexpr std::size_t count = 300;
  first.submit(count);
  for (int i = 0; i < 10; ++i) first.run_one();
  auto second = std::make_unique<Job>(disk);
  second->submit(count);
  await({&first, second.get()}, [&] { return !anybody_has_all(disk); });
  // One that goes leaves what it has.
  std::vector<int> ran;
  await({&first, second.get()}, [&] {
    second->run_one();
    return std::accumulate(second->ran.begin(), second->ran.end(), 0) > 5;
  });
  ran = second->ran;
  second.reset();
  Job third(disk);
  third.submit(count);
  await({&first, &third}, [&] {
    first.run_one();
    third.run_one();
    return first.done() && third.done();
  });
  for (std::size_t item = 0; item < count; ++item) CHECK(first.ran[item] + ran[item] + third.ran[item] == 1);
  CHECK(first.warnings.lines.empty());
  CHECK(third.warnings.lines.empty());
}
