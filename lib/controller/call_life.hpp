// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/item_record.hpp"
#include "controller/uncommon.hpp"

#include <rankview/detail/call.hpp>
#include <rankview/metadata.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <vector>

// What the runtime knows of a call.
namespace rankview::inline abi_0_1::detail {

struct ShippedCode;

// The records of a call's items. A single one, which most calls have, lies in the call.
class Items {
 public:
  Items() = default;
  Items(const Items&) = delete;
  Items& operator=(const Items&) = delete;

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t capacity() const { return many_->capacity(); }
  ItemRecord& operator[](std::size_t i) { return data_[i]; }
  const ItemRecord& operator[](std::size_t i) const { return data_[i]; }
  [[nodiscard]] const ItemRecord* begin() const { return data_; }
  [[nodiscard]] const ItemRecord* end() const { return data_ + size_; }

  void reserve(std::size_t size) {
    if (size > 1) many_.edit().reserve(size);
  }
  // Items come, and never go.
  void resize(std::size_t size) {
    if (size > 1) {
      std::vector<ItemRecord>& many = many_.edit();
      if (size_ == 1 && many.empty()) many.push_back(one_);
      many.resize(size);
      data_ = many.data();
    }
    size_ = size;
  }

 private:
  std::size_t size_ = 0;
  ItemRecord* data_ = &one_;
  ItemRecord one_;
  Rare<std::vector<ItemRecord>> many_;
};

// On what terms the scheduler may run a call's items; see Flags.
struct Terms {
  int retries = 0;
  std::int64_t timeout = 0;        // nanoseconds, 0 for none
  std::int64_t queue_timeout = 0;  // likewise
  std::int32_t priority = 0;
  std::uint32_t hwm = 0;
  std::uint8_t policy = 0;
  bool (*predicate)() = nullptr;
  Isolation isolation = Isolation::none;
  std::uint64_t memory_limit = 0;  // bytes, 0 for none
  double memory_growth = 1;        // from one attempt to the next
  std::uint16_t slots = 1;         // isolated: of an engine's
  OnEngineDeath on_engine_death = OnEngineDeath::rerun;
  int crash_limit = 3;

  friend bool operator==(const Terms&, const Terms&) = default;
};

// What becomes of a call. The first few are set before the submission; the rest is under the controller's lock, but for what is atomic.
struct CallLife {
  Rare<Terms> terms;
  const ShippedCode* code = nullptr;  // of the function
  bool subtask = false;               // an engine's task submitted it, and gets its result, encoded flat
  bool answered = false;              // it has got it
  bool checkpointed = false;          // results are looked for in a checkpoint, and kept there
  bool saves = false;                 // results are kept: there, or in the database of tasks
  std::uint64_t submitter = 0;        // the thread that submitted it
  std::int64_t submitted = 0;         // nanoseconds of the wall clock
  Rare<Uncommon> more;                // what few calls have

  std::vector<ArgumentBlock> blocks;
  Items items;
  Rare<std::map<std::uint64_t, std::exception_ptr>> errors;  // by item
  std::exception_ptr failure;                                // of a collective call as a whole
  std::uint64_t team = 0;                                    // where the call is handed out to one
  std::int64_t last_received = 0;
  std::uint32_t node = static_cast<std::uint32_t>(-1);  // among the dependencies, if it has or is one
  std::int32_t cached_on = -1;                          // the engine that may still have its only result, which is long
  bool waits = false;                                   // for others
  bool laid_out = false;                                // its items are all there
  bool aborted = false;                                 // given up as a whole
  bool in_flight = false;                               // it has not ended
  bool has_handles = false;                             // an AsyncResult will refer to it; false for `_sync`, whose call goes at its end
  bool abandoned = false;                               // nobody has a handle any more
  std::atomic<bool> sealed{false};                      // no more items will come, and rank 0's own part is over
  std::atomic<bool> error_seen{false};                  // somebody looked at how it ended
  std::atomic<std::uint64_t> ended{0};
  CallSlot* slot = nullptr;
  std::shared_ptr<Call> self;  // until it has ended, and its handles have gone

  [[nodiscard]] bool done() const {
    return sealed.load(std::memory_order_acquire) && ended.load(std::memory_order_acquire) == items.size();
  }
};

}  // namespace rankview::detail
