// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/progress.hpp"

#include <array>
#include <cstdio>

namespace rankview::farm {
namespace {

constexpr std::chrono::seconds quiet_at_first{1};
constexpr std::chrono::milliseconds shown_every{200};

}  // namespace

std::string progress_text(const FarmCounts& counts, std::chrono::nanoseconds elapsed) {
  const double seconds = std::chrono::duration<double>(elapsed).count();
  const double rate = seconds > 0 ? static_cast<double>(counts.succeeded + counts.failed) / seconds : 0;
  std::array<char, 32> per_second{};
  std::snprintf(per_second.data(), per_second.size(), "%.*f/s", rate < 10 ? 2 : 0, rate);
  std::string text = std::to_string(counts.succeeded) + " done, " + std::to_string(counts.failed) + " failed, " +
                     std::to_string(counts.running) + " in hand, " + per_second.data();
  if (counts.skipped != 0) text += ", " + std::to_string(counts.skipped) + " left out";
  return text;
}

void ProgressLine::show(const FarmCounts& counts, Time now) {
  if (now - begun_ < quiet_at_first || now - shown_at_ < shown_every) return;
  terminal_.write("\r" + progress_text(counts, now - begun_) + "\033[K");
  shown_at_ = now;
  shown_ = true;
}

void ProgressLine::clear() {
  if (!shown_) return;
  terminal_.write("\r\033[K");
  shown_ = false;
}

void BesideProgress::write(std::string_view text) {
  if (line_ != nullptr) line_->clear();
  to_.write(text);
}

}  // namespace rankview::farm
