// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// Looks up what an earlier run has left in the task database (RANKVIEW_HUB), and runs it again, also built differently.
#include <rankview/rankview.hpp>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace rv = rankview;

namespace {

#ifdef OTHER_BUILD
// Where something lies changes with what lies before it.
constexpr bool mended = true;
double before(double x) {
  for (int i = 0; i < 10; ++i) x = x * x - 0.5;
  return x;
}
#else
constexpr bool mended = false;
#endif

void say(const std::string& text) {
  std::fputs((text + "\n").c_str(), stdout);
  std::fflush(stdout);
}

struct Scaled {
  double by = 1;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& by;
  }
  double operator()(const std::vector<double>& values) const {
    if (!mended) throw std::runtime_error("broken");
    return by * std::accumulate(values.begin(), values.end(), 0.0);
  }
};

}  // namespace

double solve(double x) {
  if (!mended && x > 1) throw std::runtime_error("broken");
  return x / 2;
}

#ifndef OTHER_BUILD
double only_here(double x) { throw std::runtime_error("broken for " + std::to_string(x)); }
int crash(int n) { return n == 3 ? std::abort(), n : 0; }
#endif

int client(rv::Client& rc, const std::string& how) {
  const rv::LoadBalancedView pool = rc.load_balanced_view();
  const auto lambda = [](int n) { return mended ? n + 1 : throw std::runtime_error("broken"); };
#ifdef OTHER_BUILD
  if (how == "before") return static_cast<int>(rc[0].apply_sync(before, 1.0));
#endif
  if (how == "make" || how == "die") {
    auto solved = pool.with({.label = "solve"}).map(solve, std::vector<double>{1, 2, 3});
    auto scaled = rc[-1].with({.label = "scaled"}).apply(Scaled{3}, std::vector<double>(10'000, 0.5));
    auto called = pool.with({.label = "lambda"}).apply(lambda, 4);
#ifndef OTHER_BUILD
    auto other = pool.with({.label = "only"}).apply(only_here, 1.0);
    other.wait();
    static_cast<void>(other.successful());
    auto crashing = pool.with({.label = "crash", .isolation = rv::process}).apply(crash, 3);
    crashing.wait();
    static_cast<void>(crashing.successful());
#endif
    rc.wait();
    for (const bool well : {solved.successful(), scaled.successful(), called.successful()}) say(well ? "went well" : "failed");
    if (how == "make") return 0;
    static_cast<void>(rc.hub().run());
    static_cast<void>(rc.history());  // which has all of it written
    std::raise(SIGKILL);
  }
  const std::int64_t earlier = rc.hub().run() - 1;
  if (how == "look") {
    for (const rv::CallRecord& call : rc.history(earlier))
      say(call.label + ": " + std::to_string(call.completed) + " of " + std::to_string(call.tasks));
    say("the first is " + std::to_string(rc.get_result<double>(earlier, {1, 0})));
    try {
      static_cast<void>(rc.get_result<double>(earlier, {1, 1}));
    } catch (const rv::Error& error) {
      say(error.what());
    }
    return 0;
  }
  const auto failed = [&](const char* label) { return rc.db_query({.run = 1, .status = rv::Status::failed, .label = label}); };
  const auto tell = [](const auto& result) {
    for (auto it = result.begin(); it != result.end(); ++it) {
      try {
        say("gives " + std::to_string(*it));
      } catch (const rv::RemoteError& error) {
        say("gives " + error.message());
      }
    }
  };
  tell(rc.resubmit<double>(failed("solve")));
  tell(rc.resubmit<double>(failed("scaled")));
  tell(rc.resubmit<int>(failed("lambda")));
  try {
    tell(rc.resubmit<double>(failed("only")));
  } catch (const rv::UsageError& error) {
    say(error.what());
  }
  return 0;
}

int main(int argc, char** argv) {
  return rv::run(argc, argv, [&](rv::Client& rc) { return client(rc, argc > 1 ? argv[1] : "make"); });
}
