// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "scheduler/work.hpp"

#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <tuple>
#include <unordered_map>
#include <utility>

// How work is to be handed out, and how long it takes.
namespace rankview::scheduler {

struct TargetSet;

// How long items of one kind take.
struct Duration {
  double mean = 0;  // nanoseconds an item, of late
  std::uint64_t samples = 0;

  // A few items count for half, so that a drift shows soon; a single one, which may be far from the mean, for an eighth.
  void learn(std::uint64_t items, Nanoseconds busy) {
    const auto count = static_cast<double>(items);
    samples += items;
    const double weight = std::max(count / static_cast<double>(samples), std::min(count, 4.0) / 8);
    mean += weight * (static_cast<double>(busy) / count - mean);
  }
};

// By kind. What it gives stays where it is.
class Durations {
 public:
  Duration& of(std::uint64_t kind) {
    if (last_.second == nullptr || last_.first != kind) last_ = {kind, &durations_[kind]};
    return *last_.second;
  }

 private:
  std::unordered_map<std::uint64_t, Duration> durations_;
  std::pair<std::uint64_t, Duration*> last_{0, nullptr};  // looked up
};

// How pieces of work are to be handed out; shared by those that have the same, one thread at a time.
struct Terms : boost::intrusive_ref_counter<Terms, boost::thread_unsafe_counter> {
  TargetSet* targets = nullptr;
  Duration* kind = nullptr;
  std::uint64_t item_bytes = 0;
  std::uint64_t submitter = 0;
  std::uint32_t hwm = 0;
  std::int32_t priority = 0;
  std::uint16_t slots = 0;
  std::uint16_t least_slots = 0;
  Policy policy = Policy::least_load;
  bool alone = false;
  bool in_chunks = false;  // which are not to be split
  std::shared_ptr<const Avoid> avoid{};

  [[nodiscard]] auto tie() const {
    return std::tie(targets, kind, item_bytes, submitter, hwm, priority, slots, least_slots, policy, alone, in_chunks, avoid);
  }
};
using SharedTerms = boost::intrusive_ptr<const Terms>;

}  // namespace rankview::scheduler
