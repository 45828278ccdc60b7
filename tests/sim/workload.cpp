// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "workload.hpp"

#include "disk.hpp"
#include "printing.hpp"
#include "work.hpp"

#include "controller/controller.hpp"

#include <csignal>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace rv = rankview;
using namespace std::chrono_literals;

namespace sim {
namespace {

int alive = 0;

}  // namespace

void take_time() {
  const std::uint64_t kind = world().draw(20);
  if (kind < 10) return;
  world().sleep(std::chrono::nanoseconds(kind < 18 ? world().draw(30'000) : world().draw(2'000'000)));
}

namespace {

// ---- what tasks do -----------------------------------------------------------------------------------------------------------

int twice(int n) {
  print(std::to_string(n));
  take_time();
  print("!");
  return 2 * n;
}
int slowly_twice(int n) {
  print(std::to_string(n) + "!");
  world().sleep(std::chrono::nanoseconds(world().draw(4'000'000)));
  return 2 * n;
}
int sum_of(int a, int b) {
  take_time();
  return a + b;
}
std::vector<double> long_vector(int n) {
  take_time();
  return std::vector<double>(5'000, n);
}
double total(const std::vector<double>& values) {
  take_time();
  return std::accumulate(values.begin(), values.end(), 0.0);
}
int odd_fails(int n) {
  take_time();
  if (n % 2 == 1) throw std::domain_error("odd");
  return n;
}
// Fails the first few times.
int fails_at_first(int n, int times) {
  rv::Variables& vars = rv::this_engine::vars();
  if (vars.find<int>("failed") == nullptr) vars.set("failed", 0);
  take_time();
  if (++vars.get<int>("failed") % (times + 1) != 0) throw std::runtime_error("not yet");
  return n;
}
int fibonacci(int n) {
  take_time();
  if (n < 2) return n;
  auto before = rv::this_task::submit(fibonacci, n - 1);
  const int last = fibonacci(n - 2);
  print("(" + std::to_string(n));
  const int sum = before.get() + last;
  print(")");
  return sum;
}
// What it prints, without that of those that it submits.
std::string printed_by_fibonacci(int n) { return n < 2 ? "" : printed_by_fibonacci(n - 2) + "(" + std::to_string(n) + ")"; }
int until_stopped() {
  world().wait_until(&rv::this_task::stop_requested);
  return 1;
}

// Its results are kept.
struct KeptTwice {
  int operator()(int n) const {
    if (kept().second_run && kept().promised.contains(n)) world().give_up("what was promised to be kept is run again");
    take_time();
    return 2 * n;
  }
};

// A value of the user's, whose code is not the library's to run where it likes.
struct Value {
  int number = 0;

  Value() { ++alive; }
  explicit Value(int n) : number(n) { ++alive; }
  Value(const Value& other) : number(other.number) { ++alive; }
  Value& operator=(const Value&) = default;
  ~Value() { --alive; }

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& number;
    world().yield();
  }
};
Value valued(int n) {
  take_time();
  return Value(n);
}
int number_of(const Value& value) {
  take_time();
  return value.number;
}

// ---- what the client does ----------------------------------------------------------------------------------------------------

class Tasks : public Work {
 public:
  using Work::Work;

  void step() {
    using Verb = void (Tasks::*)();
    static constexpr Verb verbs[] = {
        &Tasks::apply,     &Tasks::apply,      &Tasks::map,          &Tasks::map,          &Tasks::direct_map,   &Tasks::direct_apply,
        &Tasks::fold,      &Tasks::chain,      &Tasks::dependency,   &Tasks::failure,      &Tasks::retries,      &Tasks::values,
        &Tasks::subtasks,  &Tasks::abort_some, &Tasks::abort_some,   &Tasks::look_at_some, &Tasks::look_at_some, &Tasks::then,
        &Tasks::streaming, &Tasks::forget,     &Tasks::idle,         &Tasks::stop,         &Tasks::queue_status, &Tasks::isolated,
        &Tasks::crashing,  &Tasks::drain,      &Tasks::checkpointed, &Tasks::checkpointed, &Tasks::impatient,    &Tasks::impatient,
        &Tasks::overdue,   &Tasks::too_late};
    try {
      if (world().chance(25)) {
        do_together(*this);
      } else {
        (this->*verbs[world().draw(std::size(verbs))])();
      }
    } catch (const rv::UsageError& error) {
      expect(client().size() == 0, error.what());
    } catch (const rv::Draining& error) {
      expect(client().draining(), error.what());
    }
  }

  void begin() {
    if (!kept().second_run) return;
    try {
      checkpointed();
    } catch (const rv::UsageError& error) {
      expect(client().size() == 0, error.what());
    } catch (const rv::Draining& error) {
      expect(client().draining(), error.what());
    }
  }
  void finish() {
    while (any_later()) look_at_some();
  }

 private:
  void apply() {
    const int n = number();
    auto view = pool();
    if (world().chance(20)) view = view.with({.crash_limit = 1});
    keep(view.apply(world().chance(50) ? twice : slowly_twice, n), [n](const auto& result) {
      check_value(result, [n](int value) { return value == 2 * n; });
      check_printed(result, std::to_string(n) + "!");
    });
  }
  void map() {
    const int n = static_cast<int>(world().draw(40));
    const int chunk = 1 + static_cast<int>(world().draw(5));
    keep(pool().with({.chunksize = chunk}).map(twice, std::views::iota(0, n)), [n](const auto& result) {
      check_value(result, [n](const std::vector<int>& values) {
        bool right = values.size() == static_cast<std::size_t>(n);
        for (int i = 0; right && i < n; ++i) right = values[static_cast<std::size_t>(i)] == 2 * i;
        return right;
      });
    });
  }
  void direct_map() {
    const int n = static_cast<int>(world().draw(20));
    keep(client()[rv::all].map(twice, std::views::iota(0, n)), [n](const auto& result) {
      check_value(result, [n](const std::vector<int>& values) {
        return std::accumulate(values.begin(), values.end(), 0) == n * (n - 1) && values.size() == static_cast<std::size_t>(n);
      });
    });
  }
  void direct_apply() {
    const int n = number();
    const std::size_t engines = client().size();
    keep(client()[rv::all].apply(twice, n), [n, engines](const auto& result) {
      check_value(result, [n, engines](const std::vector<int>& values) {
        const bool all = values.size() == engines || (values.size() < engines && world().deaths() != 0);
        return all && values == std::vector<int>(values.size(), 2 * n);
      });
    });
  }
  void fold() {
    const int n = 1 + static_cast<int>(world().draw(40));
    const int chunk = 1 + static_cast<int>(world().draw(8));
    keep(pool().with({.chunksize = chunk}).map_reduce(twice, std::plus<>(), std::views::iota(0, n)),
         [n](const auto& result) { check_value(result, [n](int value) { return value == n * (n - 1); }); });
  }
  // Results as arguments, short and long.
  void chain() {
    const int n = number();
    const auto first = pool().apply(twice, n);
    keep(pool().apply(sum_of, first, 1), [n](const auto& result) { check_value(result, [n](int value) { return value == 2 * n + 1; }); });
    const auto values = pool().apply(long_vector, n);
    keep(pool().apply(total, values), [n](const auto& result) { check_value(result, [n](double value) { return value == 5'000.0 * n; }); });
  }
  void dependency() {
    if (!any_later()) return;
    rv::Dependency on = some_task();
    on.failure = true;
    const int n = number();
    keep(pool().with({.after = on}).apply(twice, n),
         [n](const auto& result) { check_value(result, [n](int value) { return value == 2 * n; }); });
  }
  void failure() {
    const auto result = pool().map(odd_fails, std::vector{0, 1, 2, 3});
    keep(result, [](const auto& failed) {
      try {
        static_cast<void>(failed.get());
        expect(false, "some must fail");
      } catch (const rv::CompositeError& error) {
        expect(error.size() >= 2 && error.size() <= 4, "half of them fail");
      }
    });
  }
  void retries() {
    const int n = number();
    keep(pool().with({.retries = 50}).apply(fails_at_first, n, 2),
         [n](const auto& result) { check_value(result, [n](int value) { return value == n; }); });
  }
  void values() {
    const int n = number();
    const auto made = pool().apply(valued, n);
    if (world().chance(50)) {
      keep(pool().apply(number_of, made), [n](const auto& result) { check_value(result, [n](int value) { return value == n; }); });
    } else {
      keep(pool().map(valued, std::views::iota(0, 10)), [](const auto& result) {
        check_value(result, [](const std::vector<Value>& all) { return all.size() == 10 && all[7].number == 7; });
      });
    }
  }
  void subtasks() {
    const int n = static_cast<int>(world().draw(6));
    static constexpr int right[] = {0, 1, 1, 2, 3, 5};
    keep(pool().apply(fibonacci, n), [n](const auto& result) {
      check_value(result, [n](int value) { return value == right[n]; });
      check_printed(result, printed_by_fibonacci(n));
    });
  }
  void then() {
    const int n = number();
    const auto parent = pool().apply(twice, n);
    keep(parent.then([](int value) { return value + 1; }),
         [n](const auto& result) { check_value(result, [n](int value) { return value == 2 * n + 1; }); });
  }
  // A range that does not know its length, which takes its time.
  void streaming() {
    auto some = std::views::iota(0, 30) | std::views::filter([](int n) {
                  world().yield();
                  return n % 3 == 0;
                });
    keep(pool().map(valued, some), [](const auto& result) {
      check_value(result, [](const std::vector<Value>& all) { return all.size() == 10 && all[9].number == 27; });
    });
  }
  void forget() {
    static_cast<void>(pool().map(valued, std::views::iota(0, 5)));
    static_cast<void>(pool().apply(long_vector, 1));
  }
  void idle() { world().sleep(std::chrono::microseconds(world().draw(300))); }
  // A task that runs until it is told to stop.
  void stop() {
    const auto result = pool().apply(until_stopped);
    world().sleep(std::chrono::microseconds(world().draw(500)));
    result.abort();
    keep(result, [](const auto& stopped) { check_value(stopped, [](int value) { return value == 1; }); });
  }
  // Tasks in processes of their own, which are tried again until they have not crashed.
  void isolated() {
    const int n = number();
    const auto careful = pool().with({.retries = 50, .isolation = rv::process});
    keep(careful.apply(twice, n), [n](const auto& result) {
      check_value(result, [n](int value) { return value == 2 * n; });
      check_printed(result, std::to_string(n) + "!");
    });
    const auto values = careful.apply(long_vector, n);
    keep(careful.apply(total, values),
         [n](const auto& result) { check_value(result, [n](double value) { return value == 5'000.0 * n; }); });
  }
  void crashing() {
    const int n = static_cast<int>(world().draw(20));
    auto view = pool().with({.timeout = 1s, .isolation = rv::process});
    if (world().chance(20)) view = view.with({.policy = rv::pack});
    if (world().chance(50)) {
      const int slots = 1 + static_cast<int>(world().draw(3));
      view = view.with({.slots = slots});
      if (slots > most_slots()) {
        try {
          view.apply(twice, n);
          world().give_up("what no engine has slots for is taken");
        } catch (const rv::UsageError&) {
          return;
        }
      }
    }
    keep(view.map(twice, std::views::iota(0, n)), [n](const auto& result) {
      result.wait();
      for (int i = 0; i < n; ++i) {
        try {
          expect(result[static_cast<std::size_t>(i)] == 2 * i, "an item");
        } catch (const rv::TaskCrashed& crash) {
          expect(crash.signal() == SIGSEGV, "how it crashed");
        } catch (const rv::RemoteError& error) {
          expect(error.message() == "no process can be made", error.what());
        } catch (const rv::TaskAborted&) {
          continue;
        } catch (const rv::TimeoutError&) {
          continue;
        } catch (const rv::EngineError&) {
          expect(world().deaths() != 0, "an engine is said to have died");
        }
      }
    });
  }
  // The run is to end before its work does, seldom; some time later tasks that run are told to stop.
  void drain() {
    if (!world().chance(10)) return;
    client().drain();
    expect(client().draining(), "it drains");
    if (world().chance(50)) return;
    world().sleep(std::chrono::microseconds(world().draw(500)));
    rv::detail::running_controller()->hurry();
  }
  // Results that are kept: those of arguments that nobody has had, and of some that somebody has.
  void checkpointed() {
    std::vector<int> arguments;
    const int most = kept().asked;
    for (std::uint64_t i = 1 + world().draw(6); i > 0; --i) {
      const bool again = !kept().handed_out.empty() || kept().second_run;
      arguments.push_back(again && most != 0 && world().chance(50) ? static_cast<int>(world().draw(static_cast<std::uint64_t>(most)))
                                                                   : kept().asked++);
    }
    if (!kept().second_run) std::erase_if(arguments, [most](int n) { return n < most && !kept().handed_out.contains(n); });
    auto view = pool().with({.checkpoint = Kept::directory});
    if (kept().strict) view = view.with({.durable = rv::strict});
    keep(view.map(KeptTwice(), arguments), [arguments](const auto& result) {
      result.wait();
      for (std::size_t i = 0; i < arguments.size(); ++i) {
        try {
          expect(result[i] == 2 * arguments[i], "what was kept");
          if (!kept().strict) continue;
          kept().handed_out.insert(arguments[i]);
          // Just when something has been promised.
          if (kept().cut && world().chance(20)) kept().cut();
        } catch (const rv::TaskAborted&) {
          continue;
        } catch (const rv::Draining&) {
          continue;
        } catch (const rv::EngineError& error) {
          expect(world().deaths() != 0, error.what());
        } catch (const rv::Error& error) {
          expect(std::string(error.what()).find("the world has drawn it") != std::string::npos, error.what());
        }
      }
    });
  }
  // Who does not wait for ever may ask again.
  void impatient() {
    const int n = number();
    const auto result = pool().apply(twice, n);
    const auto limit = std::chrono::microseconds(world().draw(400));
    const std::int64_t begin = world().now();
    const auto waited = [&] { return world().now() - begin >= std::chrono::nanoseconds(limit).count(); };
    switch (world().draw(4)) {
      case 0:
        try {
          expect(result.get(limit) == 2 * n, "a value in time");
        } catch (const rv::TimeoutError&) {
          expect(waited(), "it gives up too early");
        } catch (const rv::EngineError& error) {
          expect(world().deaths() != 0, error.what());
        }
        break;
      case 1:
        expect(result.wait(limit) || waited(), "it waits too little");
        break;
      case 2:
        expect(client().wait(limit) || waited(), "it waits too little for all");
        break;
      default:
        expect(client().wait(rv::Dependency(result), limit) || waited(), "it waits too little for one");
    }
    keep(result, [n](const auto& later) { check_value(later, [n](int value) { return value == 2 * n; }); });
  }
  // Attempts that take too long, and are tried again.
  void overdue() {
    const int n = number();
    const auto time = std::chrono::microseconds(1 + world().draw(2'500));
    keep(pool().with({.retries = static_cast<int>(world().draw(3)), .timeout = time}).apply(slowly_twice, n), [n](const auto& result) {
      try {
        check_value(result, [n](int value) { return value == 2 * n; });
      } catch (const rv::TimeoutError&) {
        return;
      }
    });
  }
  void too_late() {
    const int n = number();
    const auto time = std::chrono::microseconds(1 + world().draw(500));
    keep(pool().with({.queue_timeout = time}).apply(twice, n), [n](const auto& result) {
      try {
        check_value(result, [n](int value) { return value == 2 * n; });
      } catch (const rv::TimeoutError&) {
        return;
      }
    });
  }
  void queue_status() {
    const std::size_t most = client().size();
    expect(client().queue_status().engines.size() <= most, "an entry for each engine");
  }
};

}  // namespace

void work(rv::Client& client, int steps, int most_slots, int thread) {
  Tasks work(client, most_slots, thread);
  work.begin();
  for (int i = 0; i < steps; ++i) {
    work.step();
    world().yield();
  }
  work.finish();
}

int values_alive() { return alive; }

}  // namespace sim
