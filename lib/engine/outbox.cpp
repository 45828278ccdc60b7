// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/outbox.hpp"

namespace rankview::engine {

void Outbox::add_result(std::uint64_t call, std::uint64_t item, std::int64_t started, std::int64_t completed, bool failed,
                        detail::Writer& value) {
  const bool alone = !value.attachments.empty();
  if (alone) flush();
  results_.add(call, item, started, completed, failed, value.bytes.bytes());
  if (oldest_result_ == 0) oldest_result_ = completed;
  if (!alone && !full()) return;
  message_.attachments = std::exchange(value.attachments, {});
  message_.kept = std::exchange(value.kept, {});
  flush();
}

void Outbox::send() {
  endpoint_->send(0, std::exchange(message_, endpoint_->message()));
  results_.close();
  oldest_result_ = 0;
}

}  // namespace rankview::engine
