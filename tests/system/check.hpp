// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstdio>
#include <exception>
#include <string>

// Checks for programs of more than one rank: each rank counts its own failures, and says at the end that there were none.
namespace check {

inline int failures = 0;

inline void that(bool right, const std::string& what) {
  if (right) return;
  ++failures;
  std::fputs(("wrong: " + what + "\n").c_str(), stdout);
  std::fflush(stdout);
}

template <class E, class Action>
void throws(const std::string& what, Action&& action) {
  try {
    action();
  } catch (const E&) {
    return;
  } catch (const std::exception& error) {
    that(false, what + ": another exception: " + error.what());
    return;
  }
  that(false, what + ": nothing was thrown");
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// Says how it went; the exit code.
inline int finish() {
  if (failures == 0) {
    std::fputs("all is right\n", stdout);
    std::fflush(stdout);
  }
  return failures == 0 ? 0 : 1;
}

}  // namespace check
