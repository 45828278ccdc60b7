// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/user_work.hpp"
#include "rooms.hpp"

#include <functional>
#include <future>
#include <mutex>
#include <string>

using rankview::controller::SharedLock;
using rankview::controller::UserWork;
using rankview::controller::Visit;

namespace {

// Whether anybody holds the lock, as another thread sees it.
bool held(SharedLock& lock) {
  return std::async(std::launch::async,
                    [&lock] {
                      const std::unique_lock attempt(lock, std::try_to_lock);
                      return !attempt.owns_lock();
                    })
      .get();
}

// Writes down when it is run and finished, and whether the lock was held.
class Noted final : public UserWork::Piece {
 public:
  Noted(std::shared_ptr<unit::TestCall> call, std::string name, SharedLock& lock, std::vector<std::string>& notes)
      : Piece(std::move(call)), name_(std::move(name)), lock_(lock), notes_(notes) {}
  void run() noexcept override { notes_.push_back(name_ + (held(lock_) ? " runs locked" : " runs")); }
  void finish() override { notes_.push_back(name_ + (held(lock_) ? " ends" : " ends unlocked")); }

 private:
  std::string name_;
  SharedLock& lock_;
  std::vector<std::string>& notes_;
};

}  // namespace

TEST_CASE("pieces of one call follow each other", "[user_work]") {
  SharedLock lock;
  UserWork work;
  std::vector<std::string> notes;
  const auto a = std::make_shared<unit::TestCall>();
  const auto b = std::make_shared<unit::TestCall>();
  const auto add = [&](const std::shared_ptr<unit::TestCall>& call, const std::string& name) {
    work.add(std::make_unique<Noted>(call, name, lock, notes));
  };
  {
    Visit visit(lock, work);
    CHECK(work.empty());
    CHECK_FALSE(work.busy());
    add(a, "a1");
    add(a, "a2");
    add(b, "b1");
    add(a, "a3");
    CHECK(work.busy(*a));
    // One of each call can begin; the others of `a` wait behind it.
    while (!work.empty()) visit.run_next_piece();
    CHECK_FALSE(work.busy());
    CHECK_FALSE(work.busy(*a));
  }
  CHECK(notes == std::vector<std::string>{"a1 runs", "a1 ends", "b1 runs", "b1 ends", "a2 runs", "a2 ends", "a3 runs", "a3 ends"});
  CHECK(a.use_count() == 1);
}

TEST_CASE("what is left under the lock goes without it", "[user_work]") {
  SharedLock lock;
  UserWork work;
  std::vector<bool> locked;
  const auto thing = [&] { return std::shared_ptr<const void>(nullptr, [&](const void*) { locked.push_back(held(lock)); }); };
  const auto leave = [&] { work.leave(std::vector<std::shared_ptr<const void>>{thing()}); };
  {
    Visit visit(lock, work);
    leave();
    CHECK(locked.empty());
    visit.unlock();
    CHECK(locked == std::vector<bool>{false});
    visit.lock();
    leave();
    leave();
    CHECK(locked.size() == 1);
  }
  CHECK(locked == std::vector<bool>{false, false, false});
}

TEST_CASE("a visit only if the lock is free", "[user_work]") {
  SharedLock lock;
  UserWork work;
  Visit first(lock, work);
  CHECK(first);
  CHECK_FALSE(Visit(lock, work, std::try_to_lock));
  first.unlock();
  CHECK(Visit(lock, work, std::try_to_lock));
  first.lock();
}

TEST_CASE("results are discarded at once only where that is nobody's code", "[user_work]") {
  rankview::controller::UserWork work;
  const auto plain = std::make_shared<unit::TestCall>(true);
  discard_results(work, *plain);
  CHECK(plain->discarded == 1);
  const auto other = std::make_shared<unit::TestCall>(false);
  other->life().self = other;
  discard_results(work, *other);
  CHECK(other->discarded == 0);
  SharedLock lock;
  Visit visit(lock, work);
  visit.run_next_piece();
  CHECK(other->discarded == 1);
  other->life().self.reset();
}
