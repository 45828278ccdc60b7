// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cluster/start_guard.hpp"

#include "liveness/quiet_thread.hpp"
#include "transport/process.hpp"

#include <utility>

namespace rankview::inline abi_0_1 {

StartGuard::StartGuard(std::chrono::seconds limit, std::string what) {
  if (limit.count() == 0) return;
  thread_ = liveness::quiet_thread([this, limit, what = std::move(what)] {
    std::unique_lock lock(mutex_);
    if (over_.wait_for(lock, limit, [this] { return is_over_; })) return;
    transport::end_process(1, what + " has not come about within " + std::to_string(limit.count()) +
                                  " s (RANKVIEW_START_LIMIT_S): a rank has died, or never came");
  });
}

StartGuard::~StartGuard() {
  {
    const std::lock_guard guard(mutex_);
    is_over_ = true;
  }
  over_.notify_one();
  if (thread_.joinable()) thread_.join();
}

}  // namespace rankview
