// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/engine.hpp"

#include <utility>

// Items whose results are folded on the engine: they end together, and the last of them has the value.
namespace rankview::engine {

// Reports what has been folded so far.
void Engine::end_fold(std::uint64_t call, const Code& code) {
  if (runs_->folded_items.empty()) return;
  runs_->result.rewind({0, 0, 0});
  bool failed = false;
  try {
    fold(code, code.thunk->finish);
  } catch (...) {
    runs_->result.rewind({0, 0, 0});
    wire::write(runs_->result, describe_current_exception());
    failed = true;
  }
  end_folded_items(call, failed);
}

// An item has failed behind those that have been folded. If that was in folding, what they made is lost, and they have failed, too.
void Engine::fail_fold(std::uint64_t call, const Code& code) {
  detail::Writer failure = std::exchange(runs_->result, {});
  if (runs_->folded != nullptr) {
    end_fold(call, code);
  } else {
    runs_->result.raw(failure.bytes.data(), failure.bytes.size());
    end_folded_items(call, true);
  }
  runs_->result = std::move(failure);
}

// runs_->result has the value of all of them, or why they failed.
void Engine::end_folded_items(std::uint64_t call, bool failed) {
  detail::Writer value = std::exchange(runs_->result, {});
  for (const FoldedItem& item : runs_->folded_items) {
    const bool last = &item == &runs_->folded_items.back();
    runs_->result.rewind({0, 0, 0});
    if (failed) {
      // NOLINTNEXTLINE(bugprone-use-after-move): only the last turn moves it
      runs_->result.raw(value.bytes.data(), value.bytes.size());
    } else if (last) {
      runs_->result = std::move(value);
    }
    outbox_.add_result(call, item.item, item.started, item.completed, failed, runs_->result);
  }
  runs_->folded_items.clear();
  runs_->result.rewind({0, 0, 0});
}

}  // namespace rankview::engine
