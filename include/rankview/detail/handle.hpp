// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

namespace rankview::inline abi_0_1::detail {

class Call;

// What is asked of a call most often. It lies apart from the call, next to those of its neighbours: a graph of a million tasks looks up
// millions of these, in no order.
struct CallSlot {
  Call* call = nullptr;
  std::atomic<std::uint32_t> handles{0};
  std::uint16_t run = 0;  // some number of the controller's, under whose lock the rest is, too
  bool well = false;      // its only task has ended, and well
};

// The last handle of a call has gone: nobody reads its results any more.
void let_go(Call& call) noexcept;

// What the holders of a result share for as long as they want it.
//
// Thread-safe as std::shared_ptr is.
class CallHandle {
 public:
  CallHandle() = default;
  // The first handle of a call.
  explicit CallHandle(const std::shared_ptr<Call>& call);
  CallHandle(const CallHandle& other) noexcept : slot_(other.slot_) {
    if (slot_ != nullptr) slot_->handles.fetch_add(1, std::memory_order_relaxed);
  }
  CallHandle(CallHandle&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
  CallHandle& operator=(CallHandle other) noexcept {
    std::swap(slot_, other.slot_);
    return *this;
  }
  ~CallHandle() {
    if (slot_ != nullptr && slot_->handles.fetch_sub(1, std::memory_order_acq_rel) == 1) let_go(*slot_->call);
  }

  [[nodiscard]] const CallSlot* slot() const noexcept { return slot_; }
  Call& operator*() const noexcept { return *slot_->call; }
  Call* operator->() const noexcept { return slot_->call; }
  explicit operator bool() const noexcept { return slot_ != nullptr; }
  // Whether this handle has a call, and no other has it.
  [[nodiscard]] bool unique() const noexcept { return slot_ != nullptr && slot_->handles.load(std::memory_order_acquire) == 1; }

 private:
  CallSlot* slot_ = nullptr;
};

}  // namespace rankview::detail
