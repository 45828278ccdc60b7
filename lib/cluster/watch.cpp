// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cluster/watch.hpp"

#include "transport/stuck_in_mpi.hpp"

#include <unistd.h>
#include <chrono>
#include <cstdio>
#include <string>
#include <utility>

namespace rankview::inline abi_0_1 {
namespace {

constexpr auto period = std::chrono::seconds(2);

}  // namespace

Watch::Watch(std::function<std::optional<std::uint64_t>()> resting)
    : client_(gettid()), resting_(std::move(resting)), thread_([this] { watch(); }) {}

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
  std::string call_before;
  std::unique_lock guard(mutex_);
  while (!ended_.wait_for(guard, period, [this] { return end_; })) {
    const std::optional<std::uint64_t> now = resting_();
    std::string call;
    if (now && now == before) call = transport::mpi_call_of(client_);
    if (!call.empty() && call == call_before) {
      std::fprintf(stderr,
                   "rankview: the client is in %s, while the other ranks serve as engines, have nothing to do, and do not come to it. "
                   "Call MPI in tasks that take a communicator, or between the runs of a Cluster.\n",
                   call.c_str());
      return;
    }
    before = now;
    call_before = std::move(call);
  }
}

}  // namespace rankview
