// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// rankview_hosts TASKS: many tasks of 20 ms, while lost_host.sh does something to one of the hosts that they run on. Says when they are
// under way, whether all results are right, and when the first task was begun that had been begun before. Ends with 0 if all is right.
#include <rankview/rankview.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace rv = rankview;
using namespace std::chrono_literals;

long twice(int n) {
  std::this_thread::sleep_for(20ms);
  return 2L * n;
}

void say(const std::string& what) {
  std::puts(what.c_str());
  std::fflush(stdout);
}

int run(const rv::Client& rc, int count) {
  const std::size_t engines = rc.size();
  std::vector<int> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  const auto results = rc.load_balanced_view().map(twice, numbers);
  // Each engine has begun some.
  while (results.progress() < 10 * engines) rc.spin();
  say("under way");
  const std::vector<long> values = results.get();
  for (int i = 0; i < count; ++i) {
    if (values[static_cast<std::size_t>(i)] != 2L * i) {
      say("not right: item " + std::to_string(i));
      return 1;
    }
  }
  std::vector<double> again;
  for (int i = 0; i < count; ++i) {
    const rv::Metadata task = results.metadata(static_cast<std::size_t>(i));
    if (task.attempt > 1) again.push_back(std::chrono::duration<double>(task.started.time_since_epoch()).count());
  }
  if (!again.empty()) std::printf("again at %.6f\n", *std::min_element(again.begin(), again.end()));
  const auto lost = rc.lost();
  for (const rv::LostEngine& engine : lost) say("engine " + std::to_string(engine.engine) + " on " + engine.host + ": " + engine.seen);
  say("all is right: " + std::to_string(rc.size()) + " of " + std::to_string(engines) + " engines are there");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const int count = argc > 1 ? std::stoi(argv[1]) : 500;
  return rv::run(argc, argv, [count](rv::Client& rc) { return run(rc, count); });
}
