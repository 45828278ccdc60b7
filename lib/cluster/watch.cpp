// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cluster/watch.hpp"

#include "transport/posted_receives.hpp"

#include <cstdio>
#include <utility>

namespace rankview {
namespace {

constexpr auto period = std::chrono::seconds(3);

}  // namespace

Watch::Watch(std::function<std::optional<std::uint64_t>()> resting) : resting_(std::move(resting)), thread_([this] { watch(); }) {}

Watch::~Watch() {
  {
    const std::lock_guard guard(mutex_);
    end_ = true;
  }
  ended_.notify_all();
  thread_.join();
}

void Watch::watch() {
  std::optional<std::uint64_t> before;
  std::unique_lock guard(mutex_);
  while (!ended_.wait_for(guard, period, [this] { return end_; })) {
    std::optional<std::uint64_t> now = resting_();
    if (now && transport::posted_receives_on_world() == 0) now.reset();
    if (now && now == before) {
      std::fputs(
          "rankview: rank 0 waits in MPI for a message on MPI_COMM_WORLD, while the other ranks serve as engines and have nothing to do: "
          "the "
          "client is in a collective (MPI_Barrier, MPI_Reduce, ...) or a receive that no engine comes to. Call MPI in tasks that take a "
          "communicator, or between the runs of a Cluster.\n",
          stderr);
      return;
    }
    before = now;
  }
}

}  // namespace rankview
