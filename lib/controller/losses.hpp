// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/call_life.hpp"
#include "controller/late_items.hpp"
#include "liveness/signs.hpp"

#include <rankview/detail/call.hpp>
#include <rankview/lost_engine.hpp>

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace rankview::controller {

class Engines;

// Engines that have died or do not answer: what is known of each, what follows for the tasks that they had, and who wants to hear of it.
class Losses {
 public:
  explicit Losses(const Engines& engines) : engines_(engines) {}

  // What was noticed of an engine.
  LostEngine& note(int engine, const liveness::Sign& sign, bool aside);
  // Whether there were any; may be asked without the lock.
  [[nodiscard]] bool any() const { return any_.load(std::memory_order_acquire); }
  // How many have died.
  [[nodiscard]] std::uint64_t deaths() const;
  [[nodiscard]] LostEngine& at(int engine) { return lost_.at(engine); }
  // It answers again.
  void forget(int engine) { lost_.erase(engine); }
  [[nodiscard]] std::vector<LostEngine> list() const;
  // In words: which engine, where, and what was noticed of it. The engine is one of those.
  [[nodiscard]] std::string describe(int engine) const;
  // The error of what was for that engine, or ran there.
  [[nodiscard]] std::exception_ptr error(int engine, const TaskId& task, const std::string& why) const;

  // What may still be said of items by those that do not answer.
  [[nodiscard]] LateItems& late() { return late_; }

  // What becomes of a task that an engine had when it died.
  enum class Verdict : std::uint8_t { rerun, fail };
  // `ran`: it is known to have run then. `suspect`: it, or another, has.
  [[nodiscard]] static Verdict judge(detail::Call& call, std::uint64_t item, bool ran, bool suspect, const std::string& death);

  // What the client wants done when an engine is lost. Copied as it stands, not by the program's code.
  using Listener = std::shared_ptr<const std::function<void(const LostEngine&)>>;
  void on_lost(Listener f) { listeners_.push_back(std::move(f)); }
  [[nodiscard]] const std::vector<Listener>& listeners() const { return listeners_; }

 private:
  const Engines& engines_;
  std::map<int, LostEngine> lost_;  // by engine
  std::atomic<bool> any_{false};
  LateItems late_;
  std::vector<Listener> listeners_;
};

}  // namespace rankview::controller
