// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/result_transfers.hpp"

#include "controller/call_life.hpp"
#include "controller/items.hpp"
#include "controller/task_errors.hpp"
#include "wire/error_text.hpp"

#include <rankview/detail/caught.hpp>
#include <rankview/errors.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace rankview::controller {

using detail::Call;
using detail::Claims;

// Values of one call, of one message, whose reading runs code of the user's.
class ResultTransfers::Reading final : public UserWork::Piece {
 public:
  Reading(ResultTransfers& transfers, const transport::Frame& frame, Call& call)
      : Piece(call.life().self),
        transfers_(transfers),
        total_(call.life().items.size()),
        expected_(call.life().items.capacity()),
        attachment_sizes_(frame.attachment_sizes.begin(), frame.attachment_sizes.end()) {
    frame_.peer = frame.peer;
    frame_.tag = frame.tag;
    frame_.attachment_sizes = attachment_sizes_;
    // What comes from this process is attached to the message itself.
    if (frame.local != nullptr && !attachment_sizes_.empty()) {
      local_ = std::move(*frame.local);
      frame_.local = &local_;
    }
  }

  void add(std::uint64_t item, std::span<const std::byte> value) {
    values_.push_back({item, bytes_.size(), value.size(), Claims(attachment_sizes_), nullptr});
    bytes_.append(value.data(), value.size());
  }

  void run() noexcept override {
    try {
      call().grow(total_, expected_);
    } catch (...) {
      no_room_ = detail::with_text(detail::caught());
      for (Value& value : values_) value.error = no_room_.error;
      return;
    }
    for (Value& value : values_) value.error = read(call(), value.item, bytes_.bytes().subspan(value.offset, value.size), value.claims);
  }
  void finish() override {
    detail::keep(call(), std::move(no_room_));
    for (Value& value : values_) transfers_.has_read(frame_, call(), value.item, value.claims.places(), std::move(value.error));
  }

 private:
  struct Value {
    std::uint64_t item;
    std::size_t offset;
    std::size_t size;
    Claims claims;
    std::exception_ptr error;
  };

  ResultTransfers& transfers_;
  const std::uint64_t total_;  // items of the call
  const std::uint64_t expected_;
  std::vector<std::uint64_t> attachment_sizes_;
  transport::Frame frame_;
  detail::Writer local_;
  detail::Buffer bytes_;
  std::vector<Value> values_;
  detail::ToldError no_room_;
};

ResultTransfers::ResultTransfers(transport::Endpoint& endpoint, const transport::Clock& clock, ItemLedger& ledger, UserWork& work,
                                 ResultKeeper& keeper)
    : endpoint_(endpoint), clock_(clock), ledger_(ledger), work_(work), keeper_(keeper) {}

ResultTransfers::~ResultTransfers() = default;

void ResultTransfers::receive_any(transport::Frame& frame, Call& call, std::uint64_t item, std::span<const std::byte> value) {
  const bool wanted = reads_results(call);
  if (!call.plain && wanted) {
    if (collecting_ == nullptr) collecting_ = std::make_unique<Reading>(*this, frame, call);
    collecting_->add(item, value);
    return;
  }
  Claims claims(frame.attachment_sizes);
  std::exception_ptr error;
  if (wanted) error = read(call, item, value, claims);
  has_read(frame, call, item, claims.places(), std::move(error));
}

void ResultTransfers::flush() {
  if (collecting_ != nullptr) work_.add(std::move(collecting_));
}

void ResultTransfers::has_read(const transport::Frame& frame, Call& call, std::uint64_t item, const std::vector<Claims::Place>& places,
                               std::exception_ptr error) {
  if (frame.attachment_sizes.empty()) {
    arrived(call, item, std::move(error));
    return;
  }
  if (std::find(forgotten_.begin(), forgotten_.end(), frame.peer) != forgotten_.end()) {
    lost_.push_back({call.id, item});
    return;
  }
  const bool wanted = error == nullptr && places.size() == frame.attachment_sizes.size();
  auto transfer = endpoint_.receive(frame, wanted ? places : std::vector<Claims::Place>());
  under_way_.push_back({frame.peer, std::move(transfer), call.life().self, item, std::move(error)});
}

// All of a value is there, or it cannot be read.
void ResultTransfers::arrived(Call& call, std::uint64_t item, std::exception_ptr error) {
  if (call.life().saves && error == nullptr) {
    keeper_.keep(call, item);
  } else {
    const Status status = error ? Status::failed : Status::completed;
    ledger_.finished(call, item, status, std::move(error));
  }
}

// Why a value cannot be read, from within the catch.
std::exception_ptr ResultTransfers::unreadable(const Call& call, std::uint64_t item) {
  return std::make_exception_ptr(DecodeError("the result of task " + to_string(TaskId{call.id, item}) + " from engine " +
                                             std::to_string(call.life().items[item].engine) +
                                             " cannot be read: " + wire::error_text(detail::caught())));
}

bool ResultTransfers::writing(const Call& call) const {
  return std::any_of(under_way_.begin(), under_way_.end(), [&call](const Incoming& incoming) { return incoming.call.get() == &call; });
}

void ResultTransfers::forget(int peer) {
  forgotten_.push_back(peer);
  std::erase_if(unwanted_, [peer](const auto& transfer) { return transfer.first == peer; });
  for (Incoming& incoming : under_way_) {
    if (incoming.peer != peer) continue;
    lost_.push_back({incoming.call->id, incoming.item});
    incoming.transfer.reset();
    work_.leave(std::move(incoming.call));
  }
  std::erase_if(under_way_, [peer](const Incoming& incoming) { return incoming.peer == peer; });
}

void ResultTransfers::drop(const transport::Frame& frame) { unwanted_.emplace_back(frame.peer, endpoint_.receive(frame, {})); }

bool ResultTransfers::progress() {
  bool any = false;
  std::erase_if(unwanted_, [](const auto& transfer) { return transfer.second->done(); });
  for (std::size_t i = 0; i < under_way_.size();) {
    if (!under_way_[i].transfer->done()) {
      ++i;
      continue;
    }
    Incoming incoming = std::move(under_way_[i]);
    under_way_.erase(under_way_.begin() + static_cast<std::ptrdiff_t>(i));
    Call& call = *incoming.call;
    detail::ItemRecord& record = call.life().items[incoming.item];
    record.received = clock_.now();
    call.life().last_received = record.received;
    if (call.keeps && !incoming.error) call.life().cached_on = record.engine;
    arrived(call, incoming.item, incoming.error);
    if (!reads_results(call) && !writing(call)) discard_results(work_, call);
    work_.leave(std::move(incoming.call));
    any = true;
  }
  return any;
}

}  // namespace rankview::controller
