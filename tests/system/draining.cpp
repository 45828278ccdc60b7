// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// rankview_draining HOW: runs that end before their work does.
#include <rankview/rankview.hpp>

#include <sys/wait.h>
#include <unistd.h>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <functional>
#include <numeric>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace rv = rankview;
using namespace std::chrono_literals;

constexpr int many = 2000;

void say(const std::string& what) {
  std::printf("%s\n", what.c_str());
  std::fflush(stdout);
}

void expect(bool right, const std::string& what) {
  if (!right) throw std::runtime_error("not right: " + what);
}

std::vector<int> numbers(int count) {
  std::vector<int> all(static_cast<std::size_t>(count));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

int brief(int n) {
  std::this_thread::sleep_for(2ms);
  return n + 1;
}

int asks(int n) { return rv::this_task::submit(brief, n).get() + 1; }

// Until it is told to stop, or for ever.
int polls(int) {
  rv::this_task::publish("began", true);
  while (!rv::this_task::stop_requested()) std::this_thread::sleep_for(1ms);
  return -1;
}

int ignores(int) {
  rv::this_task::publish("began", true);
  std::this_thread::sleep_for(60s);
  return -1;
}

bool is_draining(const std::function<void()>& f) {
  try {
    f();
  } catch (const rv::Draining& error) {
    expect(std::string(error.what()).find("drain") != std::string::npos, error.what());
    return true;
  }
  return false;
}

// A map that is interrupted when some of it is done: what has run is there, and the rest is told to be left.
void interrupt(rv::Client& rc, int (*task)(int), int more, const std::function<void()>& drain) {
  const auto result = rc.load_balanced_view().with({.retries = 2}).map(task, numbers(many));
  const auto chunks = rc.load_balanced_view().with({.chunksize = 50}).map(task, numbers(many));
  const auto bound = rc[rv::all].map(brief, numbers(20));
  const auto waits = rc.load_balanced_view().with({.after = result}).apply(brief, 1);
  expect(result[3] == 3 + more, "a result");
  expect(!rc.draining(), "it drains already");
  drain();
  while (!rc.draining()) rc.spin();
  expect(is_draining([&] { result.get(); }), "get() throws Draining");
  std::size_t ended = 0;
  std::size_t left = 0;
  for (std::size_t i = 0; i < result.size(); ++i) {
    try {
      expect(result[static_cast<int>(i)] == static_cast<int>(i) + more, "a result");
      ++ended;
    } catch (const rv::Draining&) {
      ++left;
    }
  }
  expect(ended >= 1 && left > many / 2 && ended + left == many, std::to_string(ended) + " ended");
  expect(is_draining([&] { chunks.get(); }) && is_draining([&] { waits.get(); }), "the others drain");
  // What is submitted from here on is left, too, but for what is for certain engines.
  expect(is_draining([&] { rc.load_balanced_view().apply_sync(brief, 1); }), "no more is handed out");
  expect(is_draining([&] { rc.load_balanced_view().map_sync(brief, numbers(5000)); }), "no more is handed out");
  rc[rv::all].push_sync("x", 7);
  expect(rc[0]["x"].get<int>() == 7, "a direct view");
  bound.wait();
  expect(rc.wait(30s), "all has ended");
  say("the rest was left");
}

void wait_until_begun(rv::Client& rc, const rv::AsyncResult<std::vector<int>>& result, std::size_t tasks) {
  for (std::size_t i = 0; i < tasks; ++i) {
    while (!result.data(i).contains("began")) rc.spin();
  }
}

int main_of(rv::Client& rc, const std::string& how) {
  if (how == "usr1" || how == "term") {
    interrupt(rc, brief, 1, [&how] { kill(getpid(), how == "term" ? SIGTERM : SIGUSR1); });
  } else if (how == "subtasks") {
    interrupt(rc, asks, 2, [] { raise(SIGUSR1); });
  } else if (how == "client" || how == "own_code") {
    interrupt(rc, brief, 1, [&rc] { rc.drain(); });
    if (how == "own_code") return 3;
  } else if (how == "uncaught") {
    const auto result = rc.load_balanced_view().map(brief, numbers(many));
    static_cast<void>(result[0]);
    rc.drain();
    result.get();
    say("not reached");
  } else if (how == "finished") {
    rc.load_balanced_view().map_sync(brief, numbers(10));
    rc.drain();
    expect(rc.draining(), "it drains");
  } else if (how == "walltime") {
    while (!is_draining([&] { rc.load_balanced_view().apply_sync(brief, 1); })) {
    }
  } else if (how == "hurry" || how == "stuck") {
    const auto result = rc.load_balanced_view().map(how == "hurry" ? polls : ignores, numbers(static_cast<int>(rc.size())));
    wait_until_begun(rc, result, rc.size());
    raise(SIGUSR1);
    while (!rc.draining()) rc.spin();
    raise(SIGTERM);
    expect(result.get() == std::vector<int>(rc.size(), -1), "they stop");
    say("they have stopped");
  } else if (how == "direct") {
    // While a map of a direct view is being read, which goes on.
    auto slow = std::views::iota(0, 5000) | std::views::transform([&rc](int n) {
                  if (n == 2500) rc.drain();
                  return n;
                });
    const auto result = rc[rv::all].map([](int n) { return n + 1; }, slow);
    std::vector<int> right = numbers(5000);
    for (int& n : right) ++n;
    expect(result.get() == right, "a map of a direct view");
    // One of a pool ends where it is, and is not run.
    auto more = std::views::iota(0, 5000) | std::views::transform([](int n) { return n; });
    expect(is_draining([&] { rc.load_balanced_view().map_sync(brief, more); }), "a map that is read while it drains");
  } else if (how == "child_throws") {
    const pid_t child = fork();
    if (child == 0) throw std::runtime_error("in the child");
    int status = 0;
    waitpid(child, &status, 0);
    raise(SIGUSR1);
    while (!rc.draining()) rc.spin();
    say("the parent drains");
  } else if (how == "child") {
    const pid_t child = fork();
    if (child == 0) {
      pause();
      _exit(0);
    }
    kill(child, SIGTERM);
    int status = 0;
    waitpid(child, &status, 0);
    expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "a child ends by the signal");
    expect(!rc.draining(), "only the child got it");
  } else {
    expect(false, how);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string how = argc > 1 ? argv[1] : "";
  const int code = rv::run(argc, argv, [&how](rv::Client& rc) { return main_of(rc, how); });
  say("rv::run returned " + std::to_string(code));
  // After the run they are the program's again.
  if (how == "child") {
    struct sigaction there = {};
    sigaction(SIGTERM, nullptr, &there);
    if (there.sa_handler != SIG_DFL) return 1;
  }
  return code;
}
