// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/controller.hpp"

#include <rankview/detail/caught.hpp>
#include <rankview/detail/imap_window.hpp>
#include <rankview/detail/results.hpp>
#include <rankview/errors.hpp>

#include <utility>

namespace rankview::inline abi_0_1::detail {

TaskSource::~TaskSource() = default;

ImapWindow::ImapWindow(std::unique_ptr<TaskSource> source, std::uint64_t most, bool in_order)
    : source_(std::move(source)), most_(most), in_order_(in_order) {
  if (most_ == 0) throw UsageError("imap with max_outstanding of 0: no task could ever begin");
  if (!in_order_) feed_ = std::make_shared<CompletionFeed>();
}

ImapWindow::~ImapWindow() {
  for (const auto& [index, call] : pending_) {
    try {
      abort(*call);
    } catch (...) {
      // The message could not be sent, which whoever drives will find out, too.
    }
  }
}

void ImapWindow::start() {
  if (!std::exchange(started_, true)) fill();
}

void ImapWindow::advance() {
  if (pending_.empty()) {
    input_error_ = nullptr;
    return;
  }
  settle();
  pending_.erase(std::exchange(place_, pending_.end()));
  fill();
}

// Reading may take its time, so what is there goes first.
void ImapWindow::fill() {
  while (source_ != nullptr && pending_.size() < most_ && !arrived()) read();
}

void ImapWindow::read() {
  try {
    if (auto call = source_->next(feed_, read_)) {
      pending_.emplace(read_++, CallHandle(call));
      return;
    }
  } catch (...) {
    input_error_ = caught();
  }
  source_.reset();
}

// Whether the result for the place is there. Looks for it.
bool ImapWindow::arrived() {
  if (pending_.empty()) return false;
  Call& first = *pending_.begin()->second;
  if (in_order_) return poll(first);
  spin(*first.controller);
  return first.controller->locked([this] { return !feed_->ended.empty(); });
}

Call& ImapWindow::settle() {
  if (pending_.empty()) {
    if (input_error_) std::rethrow_exception(input_error_);
    throw UsageError("imap: there is nothing at the end of the range");
  }
  if (place_ == pending_.end()) {
    if (in_order_) {
      place_ = pending_.begin();
    } else {
      place_ = pending_.find(*next_ended(*pending_.begin()->second, *feed_, 0));
    }
  }
  wait(*place_->second, {});
  return *place_->second;
}

std::uint64_t ImapWindow::index() {
  settle();
  return place_->first;
}

}  // namespace rankview::detail
