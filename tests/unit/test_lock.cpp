// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/lock.hpp"

#include "support.hpp"

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

using rankview::controller::SharedLock;

TEST_CASE("one thread at a time holds the lock, and all get it", "[lock]") {
  SharedLock lock;
  std::int64_t sum = 0;
  constexpr int each = 20'000;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < each; ++i) {
        const std::lock_guard guard(lock);
        ++sum;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(sum == 4 * each);
  CHECK_FALSE(lock.wanted());
}

TEST_CASE("its holder sees that others want it, and lets them in", "[lock]") {
  SharedLock lock;
  std::atomic<bool> been_in{false};
  lock.lock();
  std::thread other([&] {
    const std::lock_guard guard(lock);
    been_in = true;
  });
  while (!lock.wanted()) std::this_thread::yield();
  CHECK_FALSE(been_in);
  while (!been_in) lock.let_others_in();
  lock.unlock();
  other.join();
}

TEST_CASE("whoever has a limit does not wait for longer", "[lock]") {
  SharedLock lock;
  CHECK(lock.try_lock());
  CHECK_FALSE(lock.try_lock());
  bool had = true;
  std::thread([&] { had = lock.try_lock_for(std::chrono::milliseconds(20)); }).join();
  CHECK_FALSE(had);
  CHECK_FALSE(lock.wanted());
  lock.unlock();
  std::thread([&] {
    had = lock.try_lock_for(std::chrono::milliseconds(20));
    if (had) lock.unlock();
  }).join();
  CHECK(had);
}
