// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "farm/farm.hpp"
#include "farm/printer.hpp"

#include <chrono>
#include <string>
#include <string_view>

namespace rankview::farm {

// How far a farm is, in one line: 12 done, 1 failed, 2 running, 3.4/s.
std::string progress_text(const FarmCounts& counts, std::chrono::nanoseconds elapsed);

// A line on a terminal that is written over again and again. Not in the first second, so that a farm that is done by then says nothing.
class ProgressLine {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit ProgressLine(TextSink& terminal) : terminal_(terminal) {}

  void show(const FarmCounts& counts, Time now);
  // Before something else is written there.
  void clear();

 private:
  TextSink& terminal_;
  const Time begun_ = std::chrono::steady_clock::now();
  Time shown_at_{};
  bool shown_ = false;
};

// What is written to the terminal that has the line.
class BesideProgress final : public TextSink {
 public:
  // `line` may be null.
  BesideProgress(TextSink& to, ProgressLine* line) : to_(to), line_(line) {}
  void write(std::string_view text) override;

 private:
  TextSink& to_;
  ProgressLine* const line_;
};

}  // namespace rankview::farm
