// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "workload.hpp"

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

void expect(bool right, const std::string& what) {
  if (!right) throw std::logic_error("not right: " + what);
}

// ---- what tasks do -----------------------------------------------------------------------------------------------------------

// Some take no time, some a little, and few long.
void take_time() {
  const std::uint64_t kind = world().draw(20);
  if (kind < 10) return;
  world().sleep(std::chrono::nanoseconds(kind < 18 ? world().draw(30'000) : world().draw(2'000'000)));
}

int twice(int n) {
  take_time();
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
  return before.get() + last;
}
int until_stopped() {
  while (!rv::this_task::stop_requested()) world().sleep(50us);
  return 1;
}

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

// Results whose ends are looked at later.
struct Later {
  std::function<void()> check;
  rv::Dependency task;
  std::function<void()> abort;
  std::shared_ptr<bool> aborted;
};

class Work {
 public:
  Work(rv::Client& client, int most_slots) : client_(client), most_slots_(most_slots) {}

  void step() {
    using Verb = void (Work::*)();
    static constexpr Verb verbs[] = {
        &Work::apply, &Work::apply,        &Work::map,      &Work::map,      &Work::direct_map, &Work::direct_apply, &Work::fold,
        &Work::chain, &Work::dependency,   &Work::failure,  &Work::retries,  &Work::values,     &Work::subtasks,     &Work::abort,
        &Work::abort, &Work::look,         &Work::look,     &Work::then,     &Work::streaming,  &Work::forget,       &Work::idle,
        &Work::stop,  &Work::queue_status, &Work::isolated, &Work::crashing, &Work::drain};
    try {
      (this->*verbs[world().draw(std::size(verbs))])();
    } catch (const rv::UsageError& error) {
      expect(client_.size() == 0, error.what());
    } catch (const rv::Draining& error) {
      expect(client_.draining(), error.what());
    }
  }

  void finish() {
    while (!later_.empty()) look();
  }

 private:
  [[nodiscard]] rv::LoadBalancedView pool() {
    auto view = client_.load_balanced_view();
    if (world().chance(20)) return view.with({.priority = static_cast<int>(world().draw(3))});
    return view;
  }
  int number() { return static_cast<int>(world().draw(1000)); }

  template <class Result, class Check>
  void keep(Result result, Check check) {
    auto kept = std::make_shared<Result>(std::move(result));
    Later later;
    later.task = rv::Dependency(*kept);
    later.aborted = std::make_shared<bool>(false);
    later.check = [this, kept, check, aborted = later.aborted] {
      try {
        check(*kept);
      } catch (const rv::Draining& error) {
        expect(client_.draining(), error.what());
      } catch (const rv::EngineError& error) {
        expect(world().deaths() != 0, error.what());
      } catch (const rv::RemoteError& error) {
        // A task whose subtask was given up with it, or had nobody to run it.
        expect(*aborted || world().deaths() != 0, error.what());
      }
    };
    later.abort = [kept] { kept->abort(); };
    later_.push_back(std::move(later));
  }

  // A result that may have been given up.
  template <class T, class Right>
  static void check_value(const rv::AsyncResult<T>& result, Right right) {
    try {
      expect(right(result.get()), "a value");
    } catch (const rv::TaskAborted&) {
      return;
    } catch (const rv::CompositeError& several) {
      for (const auto& failure : several.failures()) {
        try {
          std::rethrow_exception(failure.error);
        } catch (const rv::TaskAborted&) {
          continue;
        } catch (const rv::Draining&) {
          continue;
        } catch (const rv::EngineError&) {
          expect(world().deaths() != 0, "an engine is said to have died");
        }
      }
    } catch (const rv::ImpossibleDependency&) {
      return;
    }
  }

  void apply() {
    const int n = number();
    keep(pool().apply(twice, n), [n](const auto& result) { check_value(result, [n](int value) { return value == 2 * n; }); });
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
    keep(client_[rv::all].map(twice, std::views::iota(0, n)), [n](const auto& result) {
      check_value(result, [n](const std::vector<int>& values) {
        return std::accumulate(values.begin(), values.end(), 0) == n * (n - 1) && values.size() == static_cast<std::size_t>(n);
      });
    });
  }
  void direct_apply() {
    const int n = number();
    const std::size_t engines = client_.size();
    keep(client_[rv::all].apply(twice, n), [n, engines](const auto& result) {
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
    if (later_.empty()) return;
    rv::Dependency on = later_[world().draw(later_.size())].task;
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
    keep(pool().apply(fibonacci, n), [n](const auto& result) { check_value(result, [n](int value) { return value == right[n]; }); });
  }
  void abort() {
    if (later_.empty()) return;
    Later& some = later_[world().draw(later_.size())];
    *some.aborted = true;
    some.abort();
  }
  void look() {
    if (later_.empty()) return;
    const std::size_t place = world().draw(later_.size());
    const Later some = std::move(later_[place]);
    later_.erase(later_.begin() + static_cast<std::ptrdiff_t>(place));
    some.check();
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
    keep(careful.apply(twice, n), [n](const auto& result) { check_value(result, [n](int value) { return value == 2 * n; }); });
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
      if (slots > most_slots_) {
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
    client_.drain();
    expect(client_.draining(), "it drains");
    if (world().chance(50)) return;
    world().sleep(std::chrono::microseconds(world().draw(500)));
    rv::detail::running_controller()->hurry();
  }
  void queue_status() {
    const std::size_t most = client_.size();
    expect(client_.queue_status().engines.size() <= most, "an entry for each engine");
  }

  rv::Client& client_;
  int most_slots_;
  std::vector<Later> later_;
};

}  // namespace

void work(rv::Client& client, int steps, int most_slots) {
  Work work(client, most_slots);
  for (int i = 0; i < steps; ++i) {
    work.step();
    world().yield();
  }
  work.finish();
}

int values_alive() { return alive; }

}  // namespace sim
