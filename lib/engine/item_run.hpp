// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/stream.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <typeinfo>
#include <vector>

namespace rankview::engine {

// An item whose result has been folded into that of its neighbours.
struct FoldedItem {
  std::uint64_t item;
  std::int64_t started;
  std::int64_t completed;
};

// All that belongs to the item that runs. While it waits for a subtask, others run with an ItemRun of their own, so that nothing of one
// is visible to another.
struct ItemRun {
  // Where it stands in its batch.
  std::uint64_t call = 0;
  std::uint64_t item = 0;
  std::uint64_t end = 0;     // behind the batch's last item
  std::uint64_t number = 0;  // the batch's, in the inbox
  std::uint64_t team = 0;    // whose engines run it with a communicator, or 0
  bool movable = false;      // what has not begun may be given back
  std::int64_t began = 0;    // nanoseconds of the clock, when the item did

  std::int64_t deadline = 0;                    // nanoseconds of the clock, 0 for none
  bool told_overdue = false;                    // rank 0 knows that it has run out of time
  std::optional<std::stop_source> stop_source;  // where it has asked for one

  detail::Writer result;                        // what it gave, or why it failed
  const std::type_info* result_type = nullptr;  // of what owns the result's attachments
  std::shared_ptr<void> folded;                 // what a thunk keeps from item to item where results are folded
  std::vector<FoldedItem> folded_items;         // what that is made of

  ItemRun* waiting = nullptr;  // that which waits for a subtask while this one runs
};

}  // namespace rankview::engine
