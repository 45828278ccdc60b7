// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "scheduler/engine.hpp"
#include "scheduler/id_set.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace rankview::scheduler {

// All engines, and of how many of them what is true, so that nobody has to count.
class Roster {
 public:
  // Has no work, and takes so much side by side.
  Engine& add(int id, std::uint16_t slots) {
    const std::size_t size = std::max(engines_.size(), static_cast<std::size_t>(id) + 1);
    engines_.resize(size);
    rests_.resize(size);
    granted_.resize(size);
    crowded_.reserve(size);
    Engine& added = (*this)[id];
    added.id = id;
    added.live = true;
    added.slots = slots;
    least_slots_ = size == 1 ? slots : std::min(least_slots_, slots);
    most_slots_ = std::max(most_slots_, slots);
    ++live_;
    ++idle_;
    return added;
  }

  Engine& operator[](int id) { return engines_[static_cast<std::size_t>(id)]; }
  const Engine& operator[](int id) const { return engines_[static_cast<std::size_t>(id)]; }
  Rest& rest(int id) { return rests_[static_cast<std::size_t>(id)]; }
  [[nodiscard]] const Rest& rest(int id) const { return rests_[static_cast<std::size_t>(id)]; }
  [[nodiscard]] auto begin() { return engines_.begin(); }
  [[nodiscard]] auto end() { return engines_.end(); }
  [[nodiscard]] auto begin() const { return engines_.begin(); }
  [[nodiscard]] auto end() const { return engines_.end(); }

  // Whether there is an engine of this number, and it lives.
  [[nodiscard]] bool live(int id) const { return static_cast<std::size_t>(id) < engines_.size() && (*this)[id].live; }
  [[nodiscard]] std::size_t live() const { return live_; }
  // Those that do not answer, and live.
  [[nodiscard]] std::size_t aside() const { return aside_; }
  // Those that are present and have nothing in hand.
  [[nodiscard]] std::size_t idle() const { return idle_; }
  // Those that have something in slots, and those that have an item for themselves.
  [[nodiscard]] std::size_t slotted() const { return slotted_; }
  [[nodiscard]] std::size_t taken_whole() const { return live_ - aside_ - idle_ - slotted_; }
  // So many slots every engine has, and the one that has most.
  [[nodiscard]] std::uint16_t least_slots() const { return least_slots_; }
  [[nodiscard]] std::uint16_t most_slots() const { return most_slots_; }

  // It has died.
  void bury(Engine& engine) {
    if (engine.aside) --aside_;
    if (!engine.aside && engine.idle()) --idle_;
    --live_;
    engine.live = engine.aside = false;
  }
  void set_aside(Engine& engine) {
    if (engine.idle()) --idle_;
    ++aside_;
    engine.aside = true;
  }
  // It has nothing in hand.
  void take_back(Engine& engine) {
    engine.aside = false;
    --aside_;
    ++idle_;
  }
  // What it has in hand has changed.
  void note_idle(Engine& engine, bool was_idle) {
    if (engine.idle() == was_idle || !engine.present()) return;
    if (was_idle) {
      --idle_;
      engine.watched = false;
    } else {
      ++idle_;
    }
  }
  void set_used(Engine& engine, int used) {
    if (engine.used == 0 && used != 0) ++slotted_;
    if (engine.used != 0 && used == 0) --slotted_;
    engine.used = static_cast<std::uint16_t>(used);
  }
  void set_items(Engine& engine, std::uint64_t items) {
    // What takes slots is not handed out ahead of need.
    const bool crowded = items > 1 && engine.used == 0;
    if (engine.crowded != crowded) crowded_.set(engine.id, crowded);
    engine.crowded = crowded;
    engine.items = items;
  }

  // Those that have more than one item: how many, and one after the other.
  [[nodiscard]] std::size_t crowded() const { return crowded_.size(); }
  Engine& next_crowded() {
    Engine& next = (*this)[crowded_.next(next_watched_)];
    next_watched_ = next.id + 1;
    return next;
  }

  // When it was last handed something, in grants of all.
  void note_granted(const Engine& engine) { granted_[static_cast<std::size_t>(engine.id)] = ++grants_; }
  [[nodiscard]] std::uint64_t granted(int id) const { return granted_[static_cast<std::size_t>(id)]; }

 private:
  std::vector<Engine> engines_;         // by number
  std::vector<Rest> rests_;             // likewise
  std::vector<std::uint64_t> granted_;  // likewise
  IdSet crowded_;
  int next_watched_ = 0;  // where next_crowded() goes on
  std::uint64_t grants_ = 0;
  std::size_t live_ = 0;
  std::size_t aside_ = 0;
  std::size_t idle_ = 0;
  std::size_t slotted_ = 0;
  std::uint16_t least_slots_ = 0;
  std::uint16_t most_slots_ = 0;
};

}  // namespace rankview::scheduler
