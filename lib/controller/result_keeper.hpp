// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/checkpointed.hpp"
#include "controller/checkpoints.hpp"
#include "controller/item_ledger.hpp"
#include "controller/user_work.hpp"

#include <rankview/detail/call.hpp>

#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <utility>

namespace rankview::controller {

// Of calls that have a checkpoint: has their results kept, and puts in place what earlier runs have kept. Of calls that the database of
// tasks is to have whole: tells the recorder the values of items.
class ResultKeeper {
 public:
  // `recorder`: hears of values, null for nobody.
  ResultKeeper(ItemLedger& ledger, UserWork& work, Checkpoints::Settings settings, Recorder* recorder = nullptr)
      : ledger_(ledger), work_(work), recorder_(recorder), checkpoints_(std::move(settings)) {}

  // The directories that they are kept in; has a lock of its own.
  [[nodiscard]] Checkpoints& checkpoints() { return checkpoints_; }

  // The value of an item is in its place. It is kept, and the item ends: at once, or, if that is to be strict, when it is on disk.
  void keep(detail::Call& call, std::uint64_t item);
  // Items from `first` on, which rank 0 has begun, end with what was found of them.
  void recall(detail::Call& call, std::uint64_t first, detail::Recalled&& found);

  // Whether no item waits for the disk, though one may have to be written or read.
  [[nodiscard]] bool empty() const { return waiting_.empty(); }
  // Ends those whose results are on disk. Whether there were any.
  bool progress();

 private:
  class Saving;
  class Recalling;

  // An item whose result is not handed out before it is on disk.
  struct Waiting {
    std::shared_ptr<detail::Call> call;
    std::uint64_t item = 0;
    std::uint64_t addition = 0;
  };

  void add(detail::Call& call, std::uint64_t item, std::span<const std::byte> value);
  void end(detail::Call& call, std::uint64_t item, std::exception_ptr error);

  ItemLedger& ledger_;
  UserWork& work_;
  Recorder* const recorder_;
  Checkpoints checkpoints_;
  std::deque<Waiting> waiting_;
};

}  // namespace rankview::controller
