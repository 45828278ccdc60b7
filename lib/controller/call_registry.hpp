// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/call_life.hpp"
#include "controller/call_table.hpp"

#include <rankview/detail/call.hpp>

#include <cstdint>
#include <memory>
#include <vector>

namespace rankview::controller {

// The calls of a run by their numbers: those that have not ended, and those that have and that somebody may still ask for.
//
// Keeps a call alive from enlist() until it has ended and nobody asks for it any more.
class CallRegistry {
 public:
  CallRegistry();

  // Numbers the call. It is in flight from here on.
  void enlist(const std::shared_ptr<detail::Call>& call);
  // The call is over: it is in flight no longer. If nobody will ask for it, it is not kept any more, but given to the caller; else null.
  std::shared_ptr<detail::Call> end(detail::Call& call);
  // Nobody will ask for the call any more. Gives it, or null if it was not kept.
  std::shared_ptr<detail::Call> drop(detail::Call& call);

  // A call that is in flight, or null.
  [[nodiscard]] detail::Call* find(std::uint64_t number) const;
  // The same for one that may have ended.
  [[nodiscard]] detail::Call* known(std::uint64_t number) const { return calls_.find(number); }
  // Calls `f` with those in flight, in no order.
  template <class F>
  void for_each(F f) const {
    calls_.for_each([&f](detail::Call& call) {
      if (call.life().in_flight) f(call);
    });
  }
  // With those, too, that have ended and are kept.
  template <class F>
  void for_each_known(F f) const {
    calls_.for_each(f);
  }
  // Those in flight, in the order in which they were made.
  [[nodiscard]] std::vector<std::shared_ptr<detail::Call>> unfinished() const;

  [[nodiscard]] std::uint64_t in_flight() const { return in_flight_; }
  [[nodiscard]] std::uint64_t next_number() const { return next_number_; }
  // A number of this registry, of which others of the process have another; they come round after some ten thousand.
  [[nodiscard]] std::uint16_t run() const { return run_; }

 private:
  const std::uint16_t run_;
  detail::CallTable calls_;
  std::uint64_t in_flight_ = 0;
  std::uint64_t next_number_ = 1;
};

}  // namespace rankview::controller
