// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "checkpoint/leases.hpp"
#include "transport/clock.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace rankview::checkpoint {

// Leases of a directory, in a thread of its own: renews them, gets those that are wanted, and tells what has changed. Thread-safe.
class Sharing {
 public:
  struct Settings {
    std::string job;                          // its name among others
    std::chrono::milliseconds look{1000};     // how often to look at the directory
    std::chrono::milliseconds stale{30'000};  // see Leases
    transport::Clock clock;                   // by which it waits
    // Reads what others have finished; called before a bucket that was another's counts as gained.
    std::function<void()> read_on;
    // Has what was finished here put on disk; called before a bucket is given back.
    std::function<void()> flush;
    std::function<void(const std::string&)> warn;
    // Called after a look where there is news that nobody has asked for yet, and as long as the work is split, so that others who wait for
    // this job get what it does not need, whatever its client does.
    std::function<void()> attend;
  };

  Sharing(Disk& disk, const std::string& directory, Settings settings);
  Sharing(const Sharing&) = delete;
  Sharing& operator=(const Sharing&) = delete;
  ~Sharing();

  struct News {
    bool splits = false;   // what is not held here waits
    bool asked = false;    // share() is waited for
    bool answered = true;  // nothing is wanted any more
    std::vector<std::uint32_t> gained;
    std::vector<std::uint32_t> lost;
  };
  [[nodiscard]] bool any_news() const { return any_news_.load(std::memory_order_acquire); }
  // Whether what is not held here waits, as of now; what is news remains so.
  [[nodiscard]] bool splits() const;
  // What has changed since it was asked before.
  News take_news();

  // Gets some of these, in that order, until it has `most`; tries until it has one. Replaces what was wanted before.
  void want(std::vector<std::uint32_t> order, std::size_t most);
  // What has begun, when asked; otherwise, what has begun of what may be another's: it is this job's if it is nobody's.
  void share(std::vector<std::uint32_t> begun);
  void give_back(std::vector<std::uint32_t> buckets);
  // From here on nothing changes, and nothing is renewed.
  void stop();
  // Likewise, and others may have what was this job's at once.
  void leave();

 private:
  void run();
  void step(std::unique_lock<std::mutex>& guard, bool looks);
  void note_changes(const Leases::Changes& changes);
  [[nodiscard]] static bool splits(Leases::Mode mode) { return mode == Leases::Mode::waiting || mode == Leases::Mode::sharing; }

  const Settings settings_;
  std::optional<Leases> leases_;  // the thread's

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool quitting_ = false;
  bool kicked_ = false;
  std::vector<std::uint32_t> wanted_;
  std::size_t most_ = 0;
  std::vector<std::uint32_t> begun_;
  bool says_begun_ = false;
  std::vector<std::uint32_t> given_back_;
  News news_;
  std::atomic<bool> any_news_{false};
  transport::Thread thread_;
};

}  // namespace rankview::checkpoint
