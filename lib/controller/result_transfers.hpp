// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/item_ledger.hpp"
#include "controller/result_keeper.hpp"
#include "controller/user_work.hpp"
#include "transport/clock.hpp"
#include "transport/endpoint.hpp"

#include <rankview/detail/call.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace rankview::controller {

// Puts results where the client will find them. What is long arrives on its own, straight into its place.
class ResultTransfers {
 public:
  ResultTransfers(transport::Endpoint& endpoint, const transport::Clock& clock, ItemLedger& ledger, UserWork& work, ResultKeeper& keeper);
  ResultTransfers(const ResultTransfers&) = delete;
  ResultTransfers& operator=(const ResultTransfers&) = delete;
  ~ResultTransfers();

  // Takes in the value of an item, which ends when it has been read and everything that belongs to it has arrived.
  void receive(transport::Frame& frame, detail::Call& call, std::uint64_t item, std::span<const std::byte> value) {
    if (!call.plain || !frame.attachment_sizes.empty() || call.life().abandoned || call.life().saves) {
      receive_any(frame, call, item, value);
      return;
    }
    detail::Claims nothing({});
    std::exception_ptr error = read(call, item, value, nothing);
    const Status status = error ? Status::failed : Status::completed;
    ledger_.finished(call, item, status, std::move(error));
  }
  // What is attached to the message is not wanted, and is received for nothing.
  void drop(const transport::Frame& frame);
  // Behind the last of several values of one call.
  void flush();

  // A peer has died: gives up what is on its way from there, and what it has announced.
  void forget(int peer);
  // Items whose values did not come, since whoever sent them has died.
  [[nodiscard]] bool any_lost() const { return !lost_.empty(); }
  std::vector<TaskId> take_lost() { return std::exchange(lost_, {}); }

  // Whether nothing is on its way, though something may have to be read.
  [[nodiscard]] bool empty() const { return under_way_.empty() && unwanted_.empty(); }
  // Whether parts of the call's results are being written into their places.
  [[nodiscard]] bool writing(const detail::Call& call) const;
  // Ends the items of which everything has arrived. Whether there were any.
  bool progress();

 private:
  class Reading;

  // A result of which something is on its way.
  struct Incoming {
    int peer = -1;
    std::unique_ptr<transport::Transfer> transfer;
    std::shared_ptr<detail::Call> call;
    std::uint64_t item = 0;
    std::exception_ptr error;  // what there was cannot be read, and the rest is received for nothing
  };

  // Reads a value into its place. The error if that throws.
  static std::exception_ptr read(detail::Call& call, std::uint64_t item, std::span<const std::byte> value,
                                 detail::Claims& claims) noexcept {
    try {
      detail::Reader in(value, &claims);
      call.load(item, in);
      return nullptr;
    } catch (...) {
      return unreadable(call, item);
    }
  }
  static std::exception_ptr unreadable(const detail::Call& call, std::uint64_t item);
  void receive_any(transport::Frame& frame, detail::Call& call, std::uint64_t item, std::span<const std::byte> value);
  void arrived(detail::Call& call, std::uint64_t item, std::exception_ptr error);
  void has_read(const transport::Frame& frame, detail::Call& call, std::uint64_t item, const std::vector<detail::Claims::Place>& places,
                std::exception_ptr error);

  transport::Endpoint& endpoint_;
  const transport::Clock& clock_;
  ItemLedger& ledger_;
  UserWork& work_;
  ResultKeeper& keeper_;
  std::unique_ptr<Reading> collecting_;  // values that are read together
  std::vector<Incoming> under_way_;
  std::vector<std::pair<int, std::unique_ptr<transport::Transfer>>> unwanted_;  // from whom
  std::vector<int> forgotten_;                                                  // peers
  std::vector<TaskId> lost_;
};

}  // namespace rankview::controller
