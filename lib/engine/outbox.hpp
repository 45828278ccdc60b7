// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "transport/endpoint.hpp"
#include "wire/messages.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>

namespace rankview::engine {

// What goes to rank 0 next. Results wait a little for company.
class Outbox {
 public:
  // Results wait so long, in nanoseconds and bytes.
  static constexpr std::int64_t flush_after = 50'000;
  static constexpr std::size_t flush_bytes = 32 * 1024;

  // From here on messages leave by this endpoint.
  void attach(transport::Endpoint& endpoint) { endpoint_ = &endpoint; }
  void detach() { endpoint_ = nullptr; }
  // By which all of the engine's messages come and go.
  [[nodiscard]] transport::Endpoint& endpoint() const { return *endpoint_; }

  template <class Record>
  void write(const Record& record) {
    wire::write(message_, record);
    results_.close();
  }
  // The result of an item; `value` is left without attachments. What is long leaves at once.
  void add_result(std::uint64_t call, std::uint64_t item, std::int64_t started, std::int64_t completed, bool failed, detail::Writer& value);
  // The next result begins a record of its own.
  void close_results() { results_.close(); }

  // Sends all.
  void flush() {
    if (!message_.empty()) send();
  }
  [[nodiscard]] bool full() const { return message_.size() >= flush_bytes; }
  // Sends what has been published, unless something of that was sent a moment ago.
  void flush_published(std::int64_t now) {
    if (now - last_published_ < flush_after && !full()) return;
    last_published_ = now;
    flush();
  }
  // Whether there is a result that has waited for long enough.
  [[nodiscard]] bool due(std::int64_t now) const { return oldest_result_ != 0 && now - oldest_result_ >= flush_after; }
  [[nodiscard]] bool has_results() const { return oldest_result_ != 0; }

 private:
  void send();

  transport::Endpoint* endpoint_ = nullptr;
  transport::Message message_;
  wire::ResultsWriter results_{message_};
  std::int64_t oldest_result_ = 0;  // when the first unsent one was finished, 0 if all are sent
  std::int64_t last_published_ = 0;
};

}  // namespace rankview::engine
