// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/engine.hpp"
#include "engine/failure.hpp"

#include <utility>

// Items whose results are folded on the engine: they end together, and the last of them has the value.
namespace rankview::engine {

// Reports what has been folded so far.
void Engine::end_fold(std::uint64_t call, const Code& code) {
  if (folded_items_.empty()) return;
  scratch_.rewind({0, 0, 0});
  bool failed = false;
  try {
    fold(code, code.thunk->finish);
  } catch (...) {
    scratch_.rewind({0, 0, 0});
    wire::write(scratch_, describe_current_exception());
    failed = true;
  }
  end_folded_items(call, failed);
}

// An item has failed behind those that have been folded. If that was in folding, what they made is lost, and they have failed, too.
void Engine::fail_fold(std::uint64_t call, const Code& code) {
  detail::Writer failure = std::exchange(scratch_, {});
  if (folded_ != nullptr) {
    end_fold(call, code);
  } else {
    scratch_.raw(failure.bytes.data(), failure.bytes.size());
    end_folded_items(call, true);
  }
  scratch_ = std::move(failure);
}

// scratch_ has the value of all of them, or why they failed.
void Engine::end_folded_items(std::uint64_t call, bool failed) {
  detail::Writer value = std::exchange(scratch_, {});
  for (const FoldedItem& item : folded_items_) {
    const bool last = &item == &folded_items_.back();
    scratch_.rewind({0, 0, 0});
    if (failed) {
      // NOLINTNEXTLINE(bugprone-use-after-move): only the last turn moves it
      scratch_.raw(value.bytes.data(), value.bytes.size());
    } else if (last) {
      scratch_ = std::move(value);
    }
    add_result(call, item.item, item.started, item.completed, failed);
  }
  folded_items_.clear();
  scratch_.rewind({0, 0, 0});
}

}  // namespace rankview::engine
