// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace rankview::inline abi_0_1 {

/// An engine that has died, or does not answer.
struct LostEngine {
  int engine = -1;   ///< its number
  int rank = -1;     ///< its rank in the cluster's communicator
  std::string host;  ///< its host name
  long pid = 0;      ///< its process
  std::string seen;  ///< what was noticed: a signal, the end of its process or connection, silence
  int signal = 0;    ///< the signal that ended it, as far as it could tell; 0 if it could not
  /// It has not died, but says nothing: it is handed nothing, and comes back when it answers.
  bool aside = false;
  std::chrono::system_clock::time_point when;  ///< when that was noticed
  std::uint64_t rerun = 0;                     ///< tasks that it had and others were given
  std::uint64_t failed = 0;                    ///< tasks that it had and that failed with EngineError
};

}  // namespace rankview
