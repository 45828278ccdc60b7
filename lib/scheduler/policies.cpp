// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "scheduler/scheduler.hpp"

#include <algorithm>
#include <deque>
#include <random>
#include <vector>

// Whom work goes to that names a policy other than the least load.
namespace rankview::scheduler {

int Scheduler::draw(Queue& queue) {
  TargetSet& targets = *queue.targets;
  const Entry& entry = queue.entries.front();
  std::vector<int> willing;
  for (const std::deque<int>* list : {&targets.idle, &targets.hungry}) {
    for (const int id : *list) {
      // Who stands in both lists counts in the one where it belongs.
      const bool belongs = engine(id).idle() == (list == &targets.idle) && wants(targets, engine(id));
      if (belongs && accepts(engine(id), queue, entry)) willing.push_back(id);
    }
  }
  if (willing.empty()) return -1;
  const auto take = [&](int id) {
    unlist(targets, engine(id));
    return id;
  };
  const auto any = [&] { return willing[std::uniform_int_distribution<std::size_t>(0, willing.size() - 1)(random_)]; };
  const auto items = [this](int id) { return engine(id).items; };
  switch (entry.terms->policy) {
    case Policy::lru:
      return take(
          *std::min_element(willing.begin(), willing.end(), [this](int a, int b) { return engines_.granted(a) < engines_.granted(b); }));
    case Policy::two_bin: {
      const int a = any();
      const int b = any();
      return take(items(b) < items(a) ? b : a);
    }
    case Policy::weighted: {
      std::vector<double> weights;
      weights.reserve(willing.size());
      for (const int id : willing) weights.push_back(1.0 / (1e-6 + static_cast<double>(items(id))));
      return take(willing[std::discrete_distribution<std::size_t>(weights.begin(), weights.end())(random_)]);
    }
    case Policy::pack: {
      const auto left = [this](int id) { return engine(id).slots - engine(id).used; };
      return take(*std::min_element(willing.begin(), willing.end(), [&left](int a, int b) { return left(a) < left(b); }));
    }
    case Policy::random:
    case Policy::least_load:
      break;
  }
  return take(any());
}

}  // namespace rankview::scheduler
