// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/quoting.hpp"

#include <algorithm>

namespace rankview::farm {
namespace {

// Whether it means nothing but itself to any shell, wherever it stands.
bool is_harmless(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.' || c == '/' ||
         c == '_';
}

}  // namespace

std::string shell_quoted(std::string_view text) {
  if (text.empty()) return "''";
  if (std::all_of(text.begin(), text.end(), is_harmless)) return std::string(text);
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\"'\"'";
    } else {
      quoted += c;
    }
  }
  quoted += '\'';
  // An empty pair of quotes at either end says nothing.
  if (text.front() == '\'') quoted.erase(0, 2);
  if (text.back() == '\'') quoted.erase(quoted.size() - 2);
  return quoted;
}

}  // namespace rankview::farm
