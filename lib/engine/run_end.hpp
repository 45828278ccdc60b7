// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "wire/messages.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace rankview::engine {

// How the run ends, once rank 0 has said so.
class RunEnd {
 public:
  // `now`: nanoseconds of the clock.
  void note(const wire::End& end, std::int64_t now) {
    end_ = end;
    since_ = now;
  }
  [[nodiscard]] bool known() const { return end_.has_value(); }
  [[nodiscard]] bool client_failed() const { return end_ && end_->ending == wire::Ending::failed; }
  // Whether it has failed so long ago.
  [[nodiscard]] bool client_failed_since(std::chrono::nanoseconds time, std::int64_t now) const {
    return client_failed() && std::chrono::nanoseconds(now - since_) > time;
  }
  // What rank 0 has said; it has to be known.
  [[nodiscard]] const wire::End& operator*() const { return *end_; }
  [[nodiscard]] const wire::End* operator->() const { return &*end_; }
  // That, and the next run begins.
  wire::End take() { return *std::exchange(end_, std::nullopt); }

 private:
  std::optional<wire::End> end_;
  std::int64_t since_ = 0;
};

}  // namespace rankview::engine
