// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstdint>
#include <string>

namespace rankview::farm {

// When a farm ends before its work does, and with what exit code: GNU parallel's --halt.
class Halt {
 public:
  enum class When { never, soon, now };
  enum class Why { failed, succeeded, done };

  Halt() = default;
  // Such as now,fail=1; also 0, 1, 2, -1 and -2, as GNU parallel has them. Throws UsageError for what means nothing, and for percentages.
  explicit Halt(const std::string& text);

  [[nodiscard]] bool possible() const { return when_ != When::never; }
  // One has ended for good. `code`: its exit status, or 128 and the signal.
  void count(bool succeeded, int code);
  // never, as long as it is not so far.
  [[nodiscard]] When reached() const { return reached_ ? when_ : When::never; }
  // Of the farm, from how many have failed.
  [[nodiscard]] int exit_code() const;
  [[nodiscard]] std::uint64_t failed() const { return failed_; }
  [[nodiscard]] std::uint64_t succeeded() const { return succeeded_; }

 private:
  When when_ = When::never;
  Why why_ = Why::failed;
  std::uint64_t limit_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t succeeded_ = 0;
  bool reached_ = false;
  int code_ = 0;  // of the one that made it so
};

}  // namespace rankview::farm
