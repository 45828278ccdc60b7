// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "observer.hpp"

#include "controller/call_life.hpp"

#include <stdexcept>

namespace sim {

using rankview::detail::Call;

void Observer::expect(bool right, const Call& call, const char* what) {
  if (!right && wrong_.empty()) wrong_ = "call " + std::to_string(call.id) + ": " + what;
}

Observer::Known& Observer::known(const Call& call, std::uint64_t items) {
  Known& known = calls_[call.id];
  expect(!known.over, call, "something is recorded behind its end");
  if (known.ended.size() < items) known.ended.resize(items);
  return known;
}

void Observer::run_begins(const std::vector<rankview::controller::EngineInfo>& engines) { engines_ = engines.size(); }

void Observer::submitted(const Call& call) {
  Known& of_call = known(call, call.life().items.size());
  expect(!of_call.submitted, call, "submitted twice");
  of_call.submitted = true;
}

void Observer::granted(const Call& call, std::uint64_t begin, std::uint64_t end, int engine) {
  expect(engine >= -1 && engine < static_cast<int>(engines_), call, "granted to whom there is not");
  expect(begin < end && end <= call.life().items.size(), call, "granted what there is not");
  const Known& of_call = known(call, end);
  for (std::uint64_t item = begin; item < end; ++item) expect(!of_call.ended[item], call, "granted what has ended");
}

void Observer::retried(const Call& call, std::uint64_t item) {
  expect(!known(call, item + 1).ended[item], call, "tried again behind its end");
}

void Observer::ended(const Call& call, std::uint64_t begin, std::uint64_t end) {
  Known& of_call = known(call, end);
  for (std::uint64_t item = begin; item < end; ++item) {
    expect(!of_call.ended[item], call, "an item ends twice");
    of_call.ended[item] = true;
    ++of_call.count;
  }
}

void Observer::over(const Call& call) {
  Known& of_call = known(call, 0);
  expect(of_call.submitted, call, "over before it was submitted");
  expect(of_call.count == call.life().items.size(), call, "over with items that have not ended");
  of_call.over = true;
}

void Observer::run_ends(bool /*failed*/, const std::string& /*reason*/) { ends_ = true; }

void Observer::check_end() const {
  if (!wrong_.empty()) throw std::logic_error("recorded: " + wrong_);
  if (!ends_) throw std::logic_error("recorded: the run has not ended");
  for (const auto& [number, call] : calls_) {
    if (!call.over) throw std::logic_error("recorded: call " + std::to_string(number) + " was never over");
  }
}

}  // namespace sim
