// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/halt.hpp"

#include <rankview/errors.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <system_error>
#include <utility>

namespace rankview::farm {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 5> short_forms{
    {{"1", "soon,fail=1"}, {"2", "now,fail=1"}, {"-1", "soon,success=1"}, {"-2", "now,success=1"}, {"never", "0"}}};

// More than so many that failed are not told apart.
constexpr std::uint64_t many_failures = 101;

}  // namespace

Halt::Halt(const std::string& text) {
  std::string_view rest = text;
  for (const auto& [brief, full] : short_forms) {
    if (rest == brief) rest = full;
  }
  if (rest == "0") return;
  if (rest.find('%') != std::string_view::npos)
    throw UsageError("--halt with a percentage is not offered yet; a number of commands is: --halt soon,fail=10");
  const auto skip = [&rest](std::string_view word) {
    if (rest.substr(0, word.size()) != word) return false;
    rest.remove_prefix(word.size());
    return true;
  };
  if (skip("now,")) {
    when_ = When::now;
  } else if (skip("soon,")) {
    when_ = When::soon;
  }
  bool known = true;
  if (skip("fail=")) {
    why_ = Why::failed;
  } else if (skip("success=")) {
    why_ = Why::succeeded;
  } else {
    known = skip("done=");
    why_ = Why::done;
  }
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), limit_);
  if (when_ == When::never || !known || error != std::errc() || end != rest.data() + rest.size() || limit_ == 0)
    throw UsageError("--halt should be never, or now or soon with fail, success or done, as in now,fail=1, and is " + text);
}

void Halt::count(bool succeeded, int code) {
  ++(succeeded ? succeeded_ : failed_);
  if (when_ == When::never || reached_) return;
  const std::uint64_t counted = why_ == Why::failed ? failed_ : why_ == Why::succeeded ? succeeded_ : failed_ + succeeded_;
  if (counted < limit_) return;
  reached_ = true;
  code_ = code;
}

int Halt::exit_code() const {
  if (reached_ && why_ == Why::failed && limit_ == 1) return code_;
  if (reached_ && why_ == Why::succeeded) return 0;
  return static_cast<int>(std::min(failed_, many_failures));
}

}  // namespace rankview::farm
