// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "engine/inbox.hpp"
#include "wire/messages.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace rankview::engine {

// The callables of calls that have some state, which rank 0 sends once a call and tasks refer to.
class CallableStates {
 public:
  struct State {
    std::span<const std::byte> bytes;
    std::shared_ptr<InMessage> message;  // which they lie in
    std::shared_ptr<const void> object;  // null until a task has needed it
  };

  void add(const wire::CallableState& object, const std::shared_ptr<InMessage>& message) {
    states_[object.call] = {object.state, message, nullptr};
  }
  // Null if there is none.
  [[nodiscard]] State* find(std::uint64_t call) {
    const auto found = states_.find(call);
    return found == states_.end() ? nullptr : &found->second;
  }
  // The call is over. Gives the object: the user's, to be destroyed where no lock is held.
  std::shared_ptr<const void> drop(std::uint64_t call) {
    const auto dropped = states_.extract(call);
    return dropped.empty() ? nullptr : std::move(dropped.mapped().object);
  }
  // All calls are over.
  std::vector<std::shared_ptr<const void>> clear() {
    std::vector<std::shared_ptr<const void>> objects;
    for (auto& [call, state] : states_) objects.push_back(std::move(state.object));
    states_.clear();
    return objects;
  }

 private:
  std::unordered_map<std::uint64_t, State> states_;
};

}  // namespace rankview::engine
