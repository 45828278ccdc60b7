// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "capture/outputs.hpp"
#include "controller/engines.hpp"

#include <rankview/detail/call.hpp>
#include <rankview/lost_engine.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace rankview::controller {

// Hears what happens to items, ranges of them at a time, and to the run. Called with the controller's lock, so it must neither wait nor
// call back; what it is given may be looked at only meanwhile.
class Recorder {
 public:
  Recorder() = default;
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;
  virtual ~Recorder() = default;

  // These are the engines.
  virtual void run_begins(const std::vector<EngineInfo>& engines) = 0;
  // All items of the call are known. Some may have been granted before.
  virtual void submitted(const detail::Call& call) = 0;
  // An engine has been given items [begin, end), or rank 0, which is -1, has begun them.
  virtual void granted(const detail::Call& call, std::uint64_t begin, std::uint64_t end, int engine) = 0;
  // An attempt at an item has failed, and there will be another.
  virtual void retried(const detail::Call& call, std::uint64_t item) = 0;
  // Asked where an item is about to end that failed, or that has a value and is of a call that keeps these (CallLife::saves): its arguments
  // are still there. `value`: written flat, null where it has none.
  virtual void ending(const detail::Call& /*call*/, std::uint64_t /*item*/, const std::span<const std::byte>* /*value*/) {}
  // An attempt at an item has printed that on an engine. Before it has ended, or, if it has run out of time, after that.
  virtual void printed(const detail::Call& /*call*/, std::uint64_t /*item*/, int /*engine*/, const capture::Texts& /*texts*/) {}
  // Items [begin, end) have ended; their records say how.
  virtual void ended(const detail::Call& call, std::uint64_t begin, std::uint64_t end) = 0;
  // An engine has died, or does not answer. What its tasks come to is told as of any others.
  virtual void engine_lost(const LostEngine& lost) = 0;
  // The call is over: nothing more will be said of it.
  virtual void over(const detail::Call& call) = 0;
  // Nothing more will be submitted. `failed`: the client has, for that reason.
  virtual void run_ends(bool failed, const std::string& reason) = 0;
};

}  // namespace rankview::controller
