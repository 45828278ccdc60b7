// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/result_transfers.hpp"

#include "wire/error_text.hpp"

#include <rankview/detail/caught.hpp>
#include <rankview/errors.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace rankview::controller {

using detail::Call;
using detail::Claims;

void ResultTransfers::receive(transport::Frame& frame, Call& call, std::uint64_t item, std::span<const std::byte> value) {
  Claims claims(frame.attachment_sizes);
  std::exception_ptr error;
  if (!call.abandoned) {
    try {
      detail::Reader in(value, &claims);
      call.load(item, in);
    } catch (...) {
      error = std::make_exception_ptr(DecodeError("the result of task " + to_string(TaskId{call.id, item}) + " from engine " +
                                                  std::to_string(call.items[item].engine) +
                                                  " cannot be read: " + wire::error_text(detail::caught())));
    }
  }
  if (frame.attachment_sizes.empty()) {
    const Status status = error ? Status::failed : Status::completed;
    ledger_.finished(call, item, status, std::move(error));
    return;
  }
  const bool wanted = error == nullptr && claims.places().size() == frame.attachment_sizes.size();
  auto transfer = endpoint_.receive(frame, wanted ? claims.places() : std::vector<Claims::Place>());
  under_way_.push_back({std::move(transfer), call.self, item, error});
}

bool ResultTransfers::writing(const Call& call) const {
  return std::any_of(under_way_.begin(), under_way_.end(), [&call](const Incoming& incoming) { return incoming.call.get() == &call; });
}

bool ResultTransfers::progress() {
  bool any = false;
  for (std::size_t i = 0; i < under_way_.size();) {
    if (!under_way_[i].transfer->done()) {
      ++i;
      continue;
    }
    const Incoming arrived = std::move(under_way_[i]);
    under_way_.erase(under_way_.begin() + static_cast<std::ptrdiff_t>(i));
    Call& call = *arrived.call;
    detail::ItemRecord& record = call.items[arrived.item];
    record.received = clock_.now();
    call.last_received = record.received;
    if (call.keeps && !arrived.error) call.kept_on = record.engine;
    ledger_.finished(call, arrived.item, arrived.error ? Status::failed : Status::completed, arrived.error);
    if (call.abandoned && !writing(call)) call.discard();
    any = true;
  }
  return any;
}

}  // namespace rankview::controller
