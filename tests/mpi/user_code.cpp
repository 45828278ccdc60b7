// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <numeric>
#include <ranges>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

// Code of the user's that the library runs by the way may itself call the library, on rank 0 and on engines: operations of map_reduce,
// serialize(), destructors.
using test::balanced;
using test::client;
using test::everyone;

namespace {

bool in_task() {
  try {
    return rv::this_engine::id() >= 0;
  } catch (const rv::UsageError&) {
    return false;
  }
}

int one() { return 1; }
int add(int a, int b) { return a + b; }

// What wants a lock of ours: on rank 0 the controller's, and answers from an engine; in a task the engine's.
void call_the_library() {
  if (in_task()) {
    rv::this_task::publish("called", 1);
  } else {
    static_cast<void>(balanced().queue_status());
  }
}

std::atomic<int> destroyed{0};

// Calls the library when it is read, written and destroyed, where it holds something.
struct Caller {
  std::string text;
  int read = 0;

  Caller() = default;
  explicit Caller(std::string of) : text(std::move(of)) {}
  Caller(const Caller&) = default;
  Caller(Caller&& other) noexcept : text(std::exchange(other.text, "")), read(other.read) {}
  Caller& operator=(const Caller&) = default;
  Caller& operator=(Caller&& other) noexcept {
    std::swap(text, other.text);
    std::swap(read, other.read);
    return *this;
  }
  ~Caller() {
    if (text.empty()) return;
    try {
      call_the_library();
    } catch (const rv::Error&) {
      return;  // the run is over, or the task is
    }
    ++destroyed;
  }

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& text;
    call_the_library();
    if (Archive::is_loading::value) ++read;
  }
};

// Waits for an engine when it is read on rank 0.
struct Waiter {
  int value = 0;
  int waited = 0;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& value;
    if (Archive::is_loading::value && !in_task()) waited = balanced().apply_sync(one);
  }
};

// A callable with state.
struct Stateful {
  Caller caller;

  std::size_t operator()(int n) const { return caller.text.size() + static_cast<std::size_t>(n); }
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& caller;
  }
};

// Waits for an engine when it is written on rank 0, and is one more when it is read.
struct Asking {
  int value = 0;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    int sent = value;
    if (!Archive::is_loading::value && !in_task()) sent += balanced().apply_sync(one);
    archive& sent;
    if (Archive::is_loading::value) value = sent;
  }
};

// An error that calls the library when it is asked what it says, and when it goes.
struct CallingError : std::exception {
  CallingError() = default;
  CallingError(const CallingError&) = default;
  CallingError& operator=(const CallingError&) = default;
  ~CallingError() override {
    try {
      call_the_library();
    } catch (const rv::Error&) {
      return;  // the run is over
    }
  }
  [[nodiscard]] const char* what() const noexcept override {
    call_the_library();
    return "it calls";
  }
};

// Throws that when it is read or written on rank 0.
struct Unencodable {
  int value = 0;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& value;
    if (!Archive::is_loading::value && !in_task()) throw CallingError();
  }
};

// Throws it when it is read in a task.
struct Unreadable {
  int value = 0;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& value;
    if (Archive::is_loading::value && in_task()) throw CallingError();
  }
};

struct UnreadableCallable {
  Unreadable state;

  int operator()(int n) const { return n + state.value; }
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& state;
  }
};

// So many of the next are made on rank 0, and no more.
std::atomic<int> to_be_made{0};

struct Unmade {
  int value = 0;

  Unmade() {
    if (!in_task() && --to_be_made < 0) throw CallingError();
  }
  explicit Unmade(int of) : value(of) {}
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& value;
  }
};

// Travels as it lies in memory, and calls the library when it is made.
struct Made {
  int value = 1;

  Made() { call_the_library(); }
};
static_assert(std::is_trivially_copyable_v<Made>);

// Cannot be made on rank 0.
struct NeverMade {
  int value = 1;

  NeverMade() {
    if (!in_task()) throw CallingError();
  }
};

rv::AsyncResult<int> calling_failure() {
  return balanced().apply(one).then([](int) -> int { throw CallingError(); });
}

Caller named(int n) { return Caller("number " + std::to_string(n)); }

}  // namespace

TEST_CASE("an operation of map_reduce waits for tasks") {
  const auto op = [](int a, int b) {
    if (in_task()) return rv::this_task::submit(add, a, b).get();
    return balanced().apply_sync(add, a, b);
  };
  const auto same = [](int n) { return n; };
  for (const int chunk : {1, 7, 100}) {
    INFO("chunks of " << chunk);
    CHECK(balanced().with({.chunksize = chunk}).map_reduce(same, op, std::views::iota(0, 100)).get(test::limit) == 4950);
  }
  const auto fails = [](int, int) -> int {
    if (!in_task()) balanced().apply_sync(one);
    throw std::overflow_error("too many");
  };
  CHECK_THROWS(balanced().map_reduce(same, fails, std::views::iota(0, 10)).get(test::limit));
  CHECK(test::alive());
}

TEST_CASE("a map_reduce all of whose tasks have ended before its range has") {
  const auto sum = [](const std::vector<double>& v) { return std::accumulate(v.begin(), v.end(), 0.0); };
  // Long arguments are handed over at once, so each task can run while the next element is made.
  auto slow = std::views::iota(0, 4) | std::views::transform([](int n) {
                if (n > 0) {
                  std::this_thread::sleep_for(1ms);
                  client().spin();
                }
                return std::vector<double>(10'000, n);
              }) |
              std::views::filter([](const std::vector<double>& v) { return !v.empty(); });
  for (int i = 0; i < 20; ++i) CHECK(balanced().map_reduce(sum, std::plus<>(), slow).get(test::limit) == 60'000);
}

TEST_CASE("what is read as a result calls the library") {
  CHECK(everyone().apply_sync([] { return Caller("here"); }).size() == static_cast<std::size_t>(test::engines()));
  const Caller got = client()[0].apply_sync(named, 1);
  CHECK(got.text == "number 1");
  CHECK(got.read == 1);
  const auto several = balanced().map(named, std::views::iota(0, 1000));
  CHECK(several.get(test::limit).back().text == "number 999");
  // Of a range that does not know its length, whose results come before the last of it.
  auto some = std::views::iota(0, 5000) | std::views::filter([](int n) { return n % 2 == 0; });
  const auto even = balanced().map(named, some);
  REQUIRE(even.size() == 2500);
  for (std::size_t i = 0; i < even.size(); ++i) CHECK(even[i].text == "number " + std::to_string(2 * i));
  // With attachments.
  const auto pairs = balanced().map([](int n) { return std::pair(std::vector<double>(10'000, n), named(n)); }, std::views::iota(0, 20));
  for (const auto& [values, name] : pairs.get(test::limit)) CHECK(name.text == "number " + std::to_string(static_cast<int>(values.back())));
}

TEST_CASE("what is read as a result waits for a task") {
  const Waiter got = client()[0].apply_sync([] { return Waiter{7, 0}; });
  CHECK(got.value == 7);
  CHECK(got.waited == 1);
  const auto several = balanced().map([](int n) { return Waiter{n, 0}; }, std::views::iota(0, 50));
  int waited = 0;
  for (const Waiter& each : several.get(test::limit)) waited += each.waited;
  CHECK(waited == 50);
  const auto folded = balanced().map_reduce(
      [](int n) {
        return Waiter{n, 0};
      },
      [](const Waiter& a, const Waiter& b) {
        return Waiter{a.value + b.value, 0};
      },
      std::views::iota(0, 50));
  CHECK(folded.get(test::limit).value == 1225);
}

TEST_CASE("what is destroyed calls the library") {
  destroyed = 0;
  {
    std::pair<std::vector<double>, Caller> argument(std::vector<double>(100'000), Caller("moved in"));
    const auto result =
        balanced().apply([](const std::pair<std::vector<double>, Caller>& both) { return both.first.size(); }, std::move(argument));
    CHECK(result.get(test::limit) == 100'000);
  }
  CHECK(client().wait(test::limit));
  CHECK(destroyed >= 1);
  // Results that nobody has asked for, while they come and behind that.
  for (int i = 0; i < 20; ++i) {
    static_cast<void>(balanced().map(named, std::views::iota(0, 100)));
    auto waited_for = balanced().map(named, std::views::iota(0, 100));
    CHECK(waited_for.wait(test::limit));
  }
  CHECK(client().wait(test::limit));
  // Arguments that are results, read by whoever releases the task.
  const auto first = balanced().apply(named, 1);
  const auto second = balanced().apply([](const Caller& of) { return Caller(of.text + ", and more"); }, first);
  const auto third = balanced().apply([](const Caller& a, const Caller& b) { return a.text.size() + b.text.size(); }, first, second);
  CHECK(third.get(test::limit) == 8 + 18);
  // Callables with state, which go with their call.
  const auto shared = std::string("state");
  CHECK(balanced().map(Stateful{Caller(shared)}, std::views::iota(0, 10)).get(test::limit).back() == 14);
  CHECK(test::alive());
}

TEST_CASE("what is encoded as an argument waits for a task", "[user_code]") {
  const auto before = balanced().apply([] { return Asking{41}; });
  CHECK(balanced().apply([](const Asking& a) { return a.value; }, before).get(test::limit) == 42);
  const auto number = balanced().apply(one);
  CHECK(balanced().apply([](int n, const Asking& a) { return n + a.value; }, number, Asking{10}).get(test::limit) == 12);
}

TEST_CASE("an error that calls the library when it is asked what it says") {
  SECTION("it is asked by the metadata of its task") {
    auto failed = calling_failure();
    CHECK(failed.wait(test::limit));
    CHECK(failed.metadata().error == "it calls");
    CHECK_THROWS_AS(failed.get(), CallingError);
  }
  SECTION("a task depends on the one that failed with it") {
    auto failed = calling_failure();
    auto after = balanced().with({.after = failed}).apply(one);
    CHECK(test::contains(test::thrown<rv::ImpossibleDependency>([&] { after.get(test::limit); }).what(), "which failed: it calls"));
    auto again = balanced().with({.after = failed}).apply(one);
    CHECK(test::contains(test::thrown<rv::ImpossibleDependency>([&] { again.get(test::limit); }).what(), "which failed: it calls"));
  }
  SECTION("nobody asks for the result, before its task ends and behind that") {
    static_cast<void>(calling_failure());
    CHECK(client().wait(test::limit));
    {
      auto failed = calling_failure();
      CHECK(failed.wait(test::limit));
    }
    CHECK(client().wait(test::limit));
  }
  SECTION("an argument cannot be encoded") {
    const auto number = balanced().apply(one);
    const auto add_up = [](int n, const Unencodable& more) { return n + more.value; };
    {
      auto failed = balanced().apply(add_up, number, Unencodable{1});
      CHECK_THROWS_AS(failed.get(test::limit), CallingError);
      CHECK(failed.metadata().error == "it calls");
    }
    static_cast<void>(balanced().apply(add_up, number, Unencodable{1}));
    CHECK(client().wait(test::limit));
  }
  SECTION("there cannot be room for results") {
    // Of a range that does not know its length, so that it is made as they come.
    auto some = std::views::iota(0, 5000) | std::views::filter([](int n) { return n % 2 == 0; });
    const auto make = [](int n) { return Unmade(n); };
    to_be_made = 1;  // with the call
    CHECK_THROWS(balanced().map(make, some).get(test::limit));
    to_be_made = 1;
    auto failed = balanced().map(make, some);
    CHECK(failed.wait(test::limit));
  }
  SECTION("an operator of map_reduce throws it") {
    const auto same = [](int n) { return n; };
    const auto op = [](int a, int b) -> int {
      if (!in_task()) throw CallingError();
      return a + b;
    };
    // Of a chunk each, so that rank 0 folds.
    auto failed = balanced().with({.chunksize = 1}).map_reduce(same, op, std::views::iota(0, 10));
    CHECK(failed.wait(test::limit));
  }
  CHECK(test::alive());
}

TEST_CASE("an error of a task calls the library when it is asked what it says") {
  const auto fails = [](auto&& run) { CHECK(test::contains(test::thrown<rv::RemoteError>(run).what(), "it calls")); };
  SECTION("the task throws it") {
    fails([] { balanced().apply([]() -> int { throw CallingError(); }).get(test::limit); });
    fails([] { client()[0].apply([]() -> int { throw CallingError(); }).get(test::limit); });
  }
  SECTION("an argument or a callable throws it when it is read") {
    fails([] { balanced().apply([](const Unreadable& a) { return a.value; }, Unreadable{1}).get(test::limit); });
    fails([] { balanced().apply(UnreadableCallable{}, 1).get(test::limit); });
  }
  SECTION("whether the engine accepts the task is not to be known") {
    const auto never = [] {
      if (in_task()) throw CallingError();
      return true;
    };
    auto refused = balanced().with({.depend = never}).apply(one);
    CHECK(refused.wait(test::limit));
    CHECK_THROWS_AS(refused.get(), rv::RemoteError);
  }
  SECTION("an operator of map_reduce throws it") {
    const auto same = [](int n) { return n; };
    const auto op = [](int a, int b) -> int {
      if (in_task()) throw CallingError();
      return a + b;
    };
    // Engines fold what they run in quick succession, and leave the rest to rank 0, so that some of it may go well; it ends in any case.
    auto failed = balanced().map_reduce(same, op, std::views::iota(0, 2000));
    CHECK(failed.wait(test::limit));
  }
  CHECK(test::alive());
}

TEST_CASE("what is gathered calls the library when it is made") {
  if (test::engines() == 0) return;
  everyone().apply_sync([] {
    rv::this_engine::vars().set("made", std::vector<Made>(3));
    rv::this_engine::vars().set("never", std::vector<NeverMade>(2));
  });
  CHECK(everyone().gather<Made>("made").get(test::limit).size() == 3 * static_cast<std::size_t>(test::engines()));
  CHECK_THROWS_AS(everyone().gather<NeverMade>("never").get(test::limit), CallingError);
  CHECK(test::alive());
}
