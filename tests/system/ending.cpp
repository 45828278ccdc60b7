// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// Ends in the way that its first argument names, and prints on each rank what rv::run returned there.
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#include <boost/mpi/communicator.hpp>
#include <rankview/rankview.hpp>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace rv = rankview;
using namespace std::chrono_literals;

namespace {

// Makes another build-id of the same source.
#ifdef OTHER_BUILD
constexpr int build = 2;
#else
constexpr int build = 1;
#endif

struct Speechless : std::exception {
  const char* what() const noexcept override { return nullptr; }
};

int brief(int n) {
  std::this_thread::sleep_for(2ms);
  return n * build;
}

// Takes 5 MB of stack.
int stack_use(int n) {
  std::array<volatile char, std::size_t{5} << 20U> room;
  for (std::size_t i = 0; i < room.size(); i += 4096) room[i] = static_cast<char>(n);
  return room[4096 * 100];
}

// Calls itself for ever.
int overflow(int n) {
  volatile int here = n;
  return n == 0 ? 0 : overflow(here + 1) + here;
}

void say(const std::string& text) {
  std::fputs((text + "\n").c_str(), stdout);
  std::fflush(stdout);
}

// Waits until the engine has begun with the task.
template <class T>
void await_start(const rv::Client& rc, const rv::AsyncResult<T>& result) {
  while (result.metadata().status == rv::Status::waiting) rc.spin();
  std::this_thread::sleep_for(100ms);
}

// Says when its frame goes.
rv::Task<int> waiting(rv::AsyncResult<std::vector<int>> result) {
  struct Guard {
    ~Guard() { say("the frame goes"); }
  } guard;
  const std::vector<int> values = co_await result;
  say("resumed");
  co_return values.front();
}

int client(rv::Client& rc, const std::vector<std::string>& words) {
  const std::string& how = words[0];
  const rv::LoadBalancedView pool = rc.load_balanced_view();
  const auto code = words.size() > 1 ? std::atoi(words[1].c_str()) : 0;

  if (how == "void" || how == "options") {
    say(std::to_string(rc.size()) + " engines");
    if (words.size() > 1) say("argument <" + words[1] + ">");
    return 0;
  }
  if (how == "seven") return 7;
  if (how == "hub") {
    for (const auto& row : rc.hub().query("select outcome, reason from run order by id").rows)
      say(row[0].value_or("?") + ": " + row[1].value_or("?"));
    return 0;
  }
  if (how == "status") {
    // Asks for it itself, once the task runs.
    const auto asked = rc[0]
                           .with({.label = "asking"})
                           .apply(
                               [](long client) {
                                 ::kill(static_cast<pid_t>(client), SIGUSR2);
                                 if (getpid() != client) ::kill(getpid(), SIGUSR2);
                                 return sleep(1) == 0;
                               },
                               static_cast<long>(getpid()));
    say(asked.get() ? "slept undisturbed" : "was disturbed");
    std::this_thread::sleep_for(100ms);
    return 0;
  }
  if (how == "crash") {
    rc[-1].apply_sync(
        [](int) {
          const volatile int* const nowhere = nullptr;
          return *nowhere;
        },
        1);
  }
  if (how == "talk") {
    const auto talk = [](int n) {
      say("task " + std::to_string(n));
      return n;
    };
    const auto talked = pool.map(talk, std::views::iota(0, 3));
    talked.wait();
    for (const rv::Metadata& task : talked.metadata_all()) say("kept: " + task.stdout_text);
    return 0;
  }
  if (how == "talk_exit") {
    rc[-1].apply_sync(
        [](int n) {
          say("about to leave");
          std::exit(n);
        },
        3);
  }
  if (how == "talk_crash") {
    rc[-1].apply_sync(
        [](int) {
          say("about to crash");
          const volatile int* const nowhere = nullptr;
          return *nowhere;
        },
        1);
  }
  if (how == "overflow") {
    rc[-1].apply_sync([](int) { return overflow(1); }, 1);
  }
  if (how == "crash_client") std::abort();
  if (how == "desert") {
    const auto lonely = [](const boost::mpi::communicator& comm) {
      if (comm.rank() == 0) throw std::runtime_error("left the others alone");
      comm.barrier();
    };
    const auto result = words.size() > 1 ? rc[rv::all].apply(lonely) : rc.team_view(2).apply(lonely);
    say("waiting");
    result.wait();
    say("not reached");
    return 0;
  }
  if (how == "throw") {
    const auto running = pool.map(brief, std::views::iota(0, 1000));
    static_cast<void>(*running.begin());
    throw std::runtime_error("giving up");
  }
  if (how == "throw_polled") {
    const auto poll = [] {
      rv::this_task::publish("began", true);
      const auto end = std::chrono::steady_clock::now() + 30s;
      while (!rv::this_task::stop_requested() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(1ms);
      say(rv::this_task::stop_requested() ? "told to stop" : "never told");
    };
    const auto polling = rc[rv::all].apply(poll);
    for (const std::size_t i : std::views::iota(std::size_t{0}, rc.size())) {
      while (!polling.data(i).contains("began")) rc.spin();
    }
    throw std::runtime_error("giving up");
  }
  if (how == "big_stack") {
    say("the task has " + std::to_string(rc[0].apply_sync(stack_use, 3)));
    return 0;
  }
  if (how == "throw_int") throw 42;
  if (how == "throw_speechless") throw Speechless();
  if (how == "name_error") static_cast<void>(rc[0]["nope"].get<double>());
  if (how == "type_error") {
    rc[0]["x"] = 1;
    static_cast<void>(rc[0]["x"].get<std::string>());
  }
  if (how == "pthread_exit") pthread_exit(nullptr);
  if (how == "task_pthread_exit") rc[rc.ids().back()].apply_sync([] { pthread_exit(nullptr); });
  if (how == "predicate_pthread_exit") pool.with({.depend = []() -> bool { pthread_exit(nullptr); }}).apply_sync([] {});
  if (how == "op_pthread_exit")
    pool.with({.chunksize = 5})
        .map_reduce_sync(
            brief, [](int, int) -> int { pthread_exit(nullptr); }, std::views::iota(0, 10));
  if (how == "fold_pthread_exit") {
    rc[rv::all]["x"] = std::vector<int>(10);
    rc[rv::all].reduce_all_sync<int>("x", [](int, int) -> int { pthread_exit(nullptr); });
  }
  if (how == "continuation_pthread_exit") pool.apply(brief, 1).then([](int) { pthread_exit(nullptr); }).get();
  if (how == "unwanted_arguments") {
    // Long arguments are on their way to tasks that do not run.
    const std::vector<double> values(1'000'000, 1.0);
    const auto look = [](const std::vector<double>& v) { return v.front(); };
    const auto running = rc[0].apply([] {
      while (!rv::this_task::stop_requested()) std::this_thread::sleep_for(1ms);
    });
    await_start(rc, running);
    const auto given_up = rc[0].apply(look, values);
    await_start(rc, given_up);
    given_up.abort();
    running.abort();
    const auto refused = pool.with({.depend = [] { return false; }}).apply(look, values);
    try {
      static_cast<void>(refused.get());
    } catch (const rv::ImpossibleDependency&) {
      say("refused everywhere");
    }
    return 0;
  }
  if (how == "throw_forwarding") {
    // Engines that are in a task have results to deliver to each other, and are to take some in.
    const auto make = [](double x) { return std::vector<double>(1'000'000, x); };
    const auto look = [](const std::vector<double>& v) { return v.front(); };
    const auto sit = [] { std::this_thread::sleep_for(500ms); };
    std::vector<rv::AsyncResult<std::vector<double>>> made;
    for (const int id : rc.ids()) made.push_back(rc[id].apply(make, 1.0 * id));
    for (const auto& result : made) result.wait();
    std::vector<rv::AsyncResult<double>> looks;
    for (const int id : rc.ids()) {
      if (id != 0) static_cast<void>(rc[id].apply(sit));
      for (const auto& result : made) looks.push_back(rc[id].apply(look, result));
    }
    static_cast<void>(looks.front().get());
    throw std::runtime_error("giving up");
  }
  if (how == "throw_continuing") {
    // Long enough for the client to fail first; what is due then refers to what has gone.
    const auto result = pool.map(brief, std::views::iota(0, 1000));
    const auto task = waiting(result);
    static_cast<void>(task.result().then([](int) { say("not reached"); }));
    static_cast<void>(result.then([](const rv::AsyncResult<std::vector<int>>&) { say("not reached"); }));
    static_cast<void>(*result.begin());
    throw std::runtime_error("giving up");
  }
  if (how == "continuing") {
    static_cast<void>(waiting(pool.map(brief, std::views::iota(0, 100))));
    static_cast<void>(pool.apply(brief, 1).then([](int) { say("continued"); }));
    return 0;
  }
  if (how == "continuing_exit") pool.apply(brief, 1).then([code](int) { std::exit(code); }).get();
  if (how == "uncaught") {
    rc[0].apply_sync([] { throw std::domain_error("in the task"); });
  } else if (how == "uncaught_later") {
    const auto result = pool.map([](int n) -> int { return n == 1 ? n : throw std::domain_error("in the task"); }, std::vector{0, 1, 2});
    static_cast<void>(result.get());
  } else if (how == "stuck") {
    const auto endless = rc[0].apply([] { std::this_thread::sleep_for(1h); });
    const auto waiting = pool.map(brief, std::views::iota(0, 50));
    await_start(rc, endless);
    throw std::runtime_error("giving up");
  } else if (how == "exit") {
    std::exit(code);
  } else if (how == "busy_exit") {
    const auto running = pool.map(brief, std::views::iota(0, 1000));
    static_cast<void>(*running.begin());
    std::exit(code);
  } else if (how == "task_exit") {
    rc[0].apply_sync([](int c) { std::exit(c); }, code);
  } else if (how == "terminate") {
    const auto running = pool.map(brief, std::views::iota(0, 1000));
    std::terminate();
  } else if (how == "abort") {
    const auto running = pool.map(brief, std::views::iota(0, 1000));
    std::abort();
  } else if (how == "task_abort") {
    rc[0].apply_sync([] { std::abort(); });
  } else if (how == "dropped") {
    static_cast<void>(pool.apply([] { throw std::runtime_error("nobody will read this"); }));
    return 0;
  } else if (how == "dropped_subtask") {
    // One handle goes before the task has ended, one when it has.
    pool.apply_sync([] {
      static_cast<void>(rv::this_task::submit([] { throw std::runtime_error("dropped at once"); }));
      auto ended = rv::this_task::submit([]() -> int { throw std::runtime_error("dropped later"); });
      while (!ended.ready()) static_cast<void>(rv::this_task::submit([] {}).get());
      auto taken = rv::this_task::submit([]() -> int { throw std::runtime_error("taken"); });
      try {
        static_cast<void>(taken.get());
      } catch (const rv::RemoteError& error) {
        say(error.what());
      }
      static_cast<void>(rv::this_task::submit([] { return std::string("well"); }));
    });
    return 0;
  } else if (how == "unread") {
    const auto result = rc[rc.ids()].apply([] {
      if (rv::this_engine::id() == 0) throw std::runtime_error("nobody will read this");
    });
    result.wait();
    return 0;
  } else if (how == "unfinished") {
    // What was submitted is done before the run ends, whether somebody waits for it or not.
    const auto count = [](int) { ++rv::this_engine::vars().get<int>("count"); };
    rc[rv::all]["count"] = 0;
    auto all = pool.map(count, std::views::iota(0, 200));
    all = {};
    rc.wait();
    int total = 0;
    for (const int some : rc[rv::all]["count"].get<int>()) total += some;
    say("all " + std::to_string(total) + " tasks ran");
    pool.map(brief, std::views::iota(0, 100));
    return 0;
  }
  say("not reached");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  rv::Options options;
  if (words.at(0) == "stuck") options.shutdown_grace = 300ms;
  if (words[0] == "options") options.idle_spin = 123us;

  // Of another life than the run that they come from.
  std::optional<rv::DirectView> view;
  rv::AsyncResult<int> kept;
  const int returned = rv::run(
      argc, argv,
      [&](rv::Client& rc) {
        if (words[0] != "kept") return client(rc, words);
        view = rc[rv::all];
        kept = rc[0].apply([] { return 42; });
        return 0;
      },
      options);
  if (kept.valid()) {
    say("kept: " + std::to_string(kept.get()));
    say("continued: " + std::to_string(kept.then([](int n) { return n + 1; }).get()));
    try {
      static_cast<void>(waiting({}));
    } catch (const rv::UsageError&) {
      say("refused");
    }
    try {
      view->apply_sync([] {});
    } catch (const rv::UsageError&) {
      say("refused");
    }
  }
  say("rv::run returned " + std::to_string(returned));
  return returned;
}
