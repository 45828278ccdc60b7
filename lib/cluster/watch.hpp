// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <sys/types.h>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

namespace rankview::inline abi_0_1 {

// Says on stderr, once, that the client, whose thread makes this, waits in MPI for ranks that serve, which else would be a hang without a
// word. Looks now and then, from a thread of its own.
class Watch {
 public:
  // `resting` gives nothing while something is under way, and else a number that changes with every call.
  explicit Watch(std::function<std::optional<std::uint64_t>()> resting);
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch();

 private:
  void watch();

  const pid_t client_;
  std::function<std::optional<std::uint64_t>()> resting_;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool end_ = false;
  std::thread thread_;
};

}  // namespace rankview
