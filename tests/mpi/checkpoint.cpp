// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include "checkpoint/disk.hpp"
#include "checkpoint/leases.hpp"

#include <unistd.h>
#include <array>
#include <atomic>
#include <chrono>
#include <complex>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

using rv::checkpoint::Leases;
using test::balanced;
using test::client;
using test::contains;

namespace {

// A directory of the test's own.
class Directory {
 public:
  Directory() {
    std::string name = (std::filesystem::temp_directory_path() / "rankview-checkpoint-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
    made_.paths.push_back(path_);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory() = default;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  // They go when the run has ended, since until then they are written to.
  struct Made {
    std::vector<std::string> paths;
    ~Made() {
      for (const std::string& path : paths) std::filesystem::remove_all(path);
    }
  };
  static inline Made made_;

  std::string path_;
};

// How often tasks have run in this process since it was asked.
std::atomic<int> runs{0};

int runs_since_last() {
  const std::vector<int> counts = client()[rv::all].apply([] { return runs.exchange(0); }).get();
  return std::accumulate(counts.begin(), counts.end(), 0);
}

struct Square {
  int operator()(int n) const {
    ++runs;
    return n * n;
  }
};

// Known to its file only.
int cube(int n) {
  ++runs;
  return n * n * n;
}

std::string cube_text(int n) { return std::to_string(n * n * n); }

std::vector<int> numbers(int count, int first = 0) {
  std::vector<int> all(static_cast<std::size_t>(count));
  std::iota(all.begin(), all.end(), first);
  return all;
}

std::vector<int> squares(const std::vector<int>& of) {
  std::vector<int> all;
  for (const int n : of) all.push_back(n * n);
  return all;
}

struct Body {
  std::string name;
  std::vector<double> mass;
  std::map<int, std::string> notes;

  bool operator==(const Body&) const = default;
};

struct Describe {
  Body operator()(const std::string& name, int n) const {
    ++runs;
    return {name, std::vector<double>(static_cast<std::size_t>(n), 0.5), {{n, name}}};
  }
};

// Has bytes that are no member's.
struct Gappy {
  char kind;
  double x;
  std::array<short, 3> parts;
  long double precise;
};

// One whose other bytes are these.
Gappy gappy(int n, int other) {
  Gappy value;
  std::memset(static_cast<void*>(&value), other, sizeof(value));
  value.kind = 'k';
  value.x = n;
  value.parts = {1, 2, static_cast<short>(n)};
  value.precise = n;
  return value;
}

// Another job, here in the same process, looks until that is how it stands.
void look_until(Leases& job, Leases::Mode mode) {
  const auto limit = std::chrono::steady_clock::now() + test::limit;
  while (job.mode() != mode) {
    REQUIRE(std::chrono::steady_clock::now() < limit);
    static_cast<void>(job.look());
    // Nobody else had begun anything, so this one was the first to come to have all of it.
    if (job.mode() == Leases::Mode::asked && mode == Leases::Mode::sharing) static_cast<void>(job.share({}));
    std::this_thread::yield();
  }
}

}  // namespace

TEST_CASE("arguments are the same whatever lies between their members", "[checkpoint]") {
  static_assert(rv::detail::padded<Gappy> && !rv::detail::padded<std::complex<double>> && !rv::detail::padded<std::array<int, 3>>);
  const Directory directory;
  const auto view = balanced().with({.checkpoint = directory.path()});
  const auto f = [](const Gappy& value) {
    ++runs;
    return static_cast<double>(value.precise) + value.x + value.parts[2];
  };
  const auto sum = [](const std::vector<Gappy>& values) {
    ++runs;
    return values.back().x;
  };
  runs_since_last();
  CHECK(view.apply(f, gappy(5, 0)).get() == 15);
  CHECK(view.apply(f, gappy(5, 0xff)).get() == 15);
  CHECK(view.apply(f, gappy(6, 0xff)).get() == 18);
  CHECK(runs_since_last() == 2);
  // Those that travel on their own, too.
  const int count = GENERATE(3, 3000);
  std::vector<Gappy> few;
  std::vector<Gappy> others;
  for (int i = 0; i < count; ++i) {
    few.push_back(gappy(i, 0));
    others.push_back(gappy(i, i));
  }
  CHECK(view.apply(sum, few).get() == count - 1);
  CHECK(view.apply(sum, others).get() == count - 1);
  CHECK(runs_since_last() == 1);
}

TEST_CASE("things of one name that are not the same are told apart", "[checkpoint]") {
  const Directory directory;
  const auto view = balanced().with({.checkpoint = directory.path()});
  const auto first = [&view] {
    struct Named {
      int operator()(int n) const { return n; }
    };
    return view.apply_sync(Named(), 2);
  };
  const auto second = [&view] {
    struct Named {
      int operator()(int n) const { return -n; }
    };
    return view.apply_sync(Named(), 2);
  };
  CHECK(first() == 2);
  CHECK(second() == -2);
  CHECK(first() == 2);
  {
    struct Named {
      int operator()(int n) const { return 10 * n; }
    };
    CHECK(view.apply_sync(Named(), 2) == 20);
  }
  {
    struct Named {
      int operator()(int n) const { return 20 * n; }
    };
    CHECK(view.apply_sync(Named(), 2) == 40);
  }
}

TEST_CASE("a directory that is named in several ways is one", "[checkpoint]") {
  const Directory directory;
  const std::string name = directory.path() + "/made";
  std::filesystem::current_path(directory.path());
  runs_since_last();
  balanced().with({.checkpoint = "made"}).apply_sync(Square(), 3);
  balanced().with({.checkpoint = "./made/"}).apply_sync(Square(), 3);
  balanced().with({.checkpoint = name}).apply_sync(Square(), 3);
  CHECK(runs_since_last() == 1);
  std::filesystem::current_path("/");
}

TEST_CASE("what is in the checkpoint is not done again, whatever else is asked for", "[checkpoint]") {
  const Directory directory;
  const auto view = balanced().with({.checkpoint = directory.path()});
  runs_since_last();
  CHECK(view.map(Square(), numbers(500)).get() == squares(numbers(500)));
  CHECK(runs_since_last() == 500);
  CHECK(view.map(Square(), numbers(500)).get() == squares(numbers(500)));
  CHECK(runs_since_last() == 0);
  // Some are new, at the beginning and at the end; others are gone, and the order is another.
  CHECK(view.map(Square(), numbers(600, -50)).get() == squares(numbers(600, -50)));
  CHECK(runs_since_last() == 100);
  std::vector<int> mixed = numbers(300, 450);
  std::swap(mixed.front(), mixed.back());
  mixed.insert(mixed.begin() + 100, {1000, 7, 1000, 7, 2000});
  CHECK(view.map_sync(Square(), mixed) == squares(mixed));
  CHECK(runs_since_last() >= 200 + 2);
  CHECK(view.map_sync(Square(), mixed) == squares(mixed));
  CHECK(runs_since_last() == 0);
  // Without one it is done.
  CHECK(balanced().map_sync(Square(), numbers(10)) == squares(numbers(10)));
  CHECK(runs_since_last() == 10);
}

TEST_CASE("every other item found", "[checkpoint]") {
  const Directory directory;
  const auto view = balanced().with({.checkpoint = directory.path()});
  std::vector<int> even;
  for (int i = 0; i < 2000; i += 2) even.push_back(i);
  view.map_sync(Square(), even);
  runs_since_last();
  const auto chunks = GENERATE(1, 7);
  CAPTURE(chunks);
  CHECK(view.with({.chunksize = chunks}).map(Square(), numbers(2000)).get() == squares(numbers(2000)));
  CHECK(runs_since_last() == 1000);
}

TEST_CASE("apply and imap find what map has kept", "[checkpoint]") {
  const Directory directory;
  const auto view = balanced().with({.checkpoint = directory.path()});
  view.map_sync(Square(), numbers(50));
  runs_since_last();
  CHECK(view.apply(Square(), 7).get() == 49);
  CHECK(view.apply_sync(Square(), 8) == 64);
  CHECK(view.apply_sync(Square(), 100) == 10000);
  CHECK(runs_since_last() == 1);
  std::vector<int> all;
  for (const int n : view.imap(Square(), numbers(60))) all.push_back(n);
  CHECK(all == squares(numbers(60)));
  CHECK(runs_since_last() == 10);
}

TEST_CASE("values of any type are kept, long ones too", "[checkpoint]") {
  const Directory directory;
  const auto durable = GENERATE(rv::Durable::soon, rv::strict);
  const auto view = balanced().with({.checkpoint = directory.path(), .durable = durable});
  const std::vector<std::string> names{"a", "bb", std::string(100'000, 'c')};
  const std::vector<int> sizes{3, 100'000, 5};
  runs_since_last();
  const auto first = view.map(Describe(), names, sizes).get();
  REQUIRE(first.size() == 3);
  CHECK(first[1].mass.size() == 100'000);
  CHECK(runs_since_last() == 3);
  CHECK(view.map(Describe(), names, sizes).get() == first);
  CHECK(runs_since_last() == 0);
  const auto longer = [](int n) {
    ++runs;
    return std::vector<double>(static_cast<std::size_t>(n), 1.5);
  };
  const auto whole = view.map(longer, numbers(10, 10'000)).get();
  CHECK(view.map(longer, numbers(10, 10'000)).get() == whole);
  const auto nothing = [](int) { ++runs; };
  view.map(nothing, numbers(10)).get();
  runs_since_last();
  view.map(nothing, numbers(10)).get();
  CHECK(runs_since_last() == 0);
}

TEST_CASE("strict results are on disk when they are there", "[checkpoint]") {
  const Directory directory;
  const auto view = balanced().with({.checkpoint = directory.path(), .durable = rv::strict});
  for (int i = 0; i < 3; ++i) {
    view.apply_sync(Square(), i);
    std::uintmax_t bytes = 0;
    for (const auto& file : std::filesystem::directory_iterator(directory.path())) bytes += file.file_size();
    CHECK(bytes >= static_cast<std::uintmax_t>(i + 1) * (16 + 8 + sizeof(int)));
  }
}

TEST_CASE("what failed is run again, unless it is not to be", "[checkpoint]") {
  const Directory directory;
  const auto view = balanced().with({.checkpoint = directory.path()});
  const auto f = [](int n) {
    ++runs;
    if (n == 3) throw std::domain_error("three is too many");
    return n;
  };
  runs_since_last();
  CHECK_THROWS(view.map(f, numbers(5)).get());
  CHECK(runs_since_last() == 5);
  CHECK_THROWS(view.map(f, numbers(5)).get());
  CHECK(runs_since_last() == 1);
  const auto result = view.with({.retry_failed = false}).map(f, numbers(5));
  REQUIRE(result.wait(test::limit));
  CHECK(runs_since_last() == 0);
  CHECK(result[2] == 2);
  try {
    result.get();
    FAIL("did not fail");
  } catch (const rv::CompositeError& error) {
    REQUIRE(error.failures().size() == 1);
    CHECK(error.failures()[0].index == 3);
    CHECK(contains(error.what(), "in an earlier run"));
    CHECK(contains(error.what(), "three is too many"));
  }
}

TEST_CASE("a function is known by its name", "[checkpoint]") {
  const Directory directory;
  const auto view = balanced().with({.checkpoint = directory.path()});
  runs_since_last();
  CHECK(view.map_sync(cube, numbers(5)) == std::vector<int>{0, 1, 8, 27, 64});
  CHECK(view.map_sync(&cube, numbers(5)) == std::vector<int>{0, 1, 8, 27, 64});
  CHECK(runs_since_last() == 5);
}

TEST_CASE("another version is another task", "[checkpoint]") {
  const Directory directory;
  const auto view = balanced().with({.checkpoint = directory.path()});
  view.map_sync(Square(), numbers(20));
  runs_since_last();
  view.with({.version = "2"}).map_sync(Square(), numbers(20));
  CHECK(runs_since_last() == 20);
  view.with({.version = "2"}).map_sync(Square(), numbers(20));
  view.map_sync(Square(), numbers(20));
  CHECK(runs_since_last() == 0);
}

TEST_CASE("a key of the user's says which task is which", "[checkpoint]") {
  const Directory directory;
  const auto view = balanced().with({.checkpoint = directory.path(), .key = [](const Body& body) { return body.name; }});
  const auto size = [](const Body& body) {
    ++runs;
    return body.mass.size();
  };
  std::vector<Body> bodies;
  for (int i = 0; i < 20; ++i) bodies.push_back({std::to_string(i), std::vector<double>(static_cast<std::size_t>(i)), {}});
  runs_since_last();
  const auto first = view.map(size, bodies).get();
  CHECK(first[7] == 7);
  CHECK(runs_since_last() == 20);
  // Whatever else is in them, long or short.
  for (Body& body : bodies) body.mass.resize(body.name.size() > 1 ? 100'000 : 1);
  CHECK(view.map(size, bodies).get() == first);
  CHECK(runs_since_last() == 0);
  bodies[3].name = "another";
  bodies[13].name = "yet another";
  CHECK(view.map_sync(size, bodies)[13] == 100'000);
  CHECK(runs_since_last() == 2);
  CHECK(view.apply(size, bodies[7]).get() == 7);
  CHECK(view.apply_sync(size, bodies[13]) == 100'000);
  std::vector<std::size_t> sizes;
  for (const std::size_t n : view.imap(size, bodies)) sizes.push_back(n);
  CHECK(sizes[7] == 7);
  CHECK(sizes[13] == 100'000);
  CHECK(runs_since_last() == 0);
  // By another callable, too, unless its version is another.
  const auto zero = [](const Body&) {
    ++runs;
    return std::size_t{0};
  };
  CHECK(view.apply(zero, bodies[7]).get() == 7);
  CHECK(runs_since_last() == 0);
  CHECK(view.with({.version = "2"}).apply(zero, bodies[7]).get() == 0);
  // Without a key it is what it was.
  CHECK(view.with({.key = {}}).apply(size, bodies[7]).get() == 1);
  CHECK(runs_since_last() == 2);
}

namespace {

int by_length(std::string_view text, const std::vector<double>& values) { return static_cast<int>(text.size() + values.size()); }

}  // namespace

TEST_CASE("a key is of any parameters and of any type", "[checkpoint]") {
  const Directory directory;
  const auto view = balanced().with({.checkpoint = directory.path()});
  const auto f = [](const std::string& text, std::vector<double> values) {
    ++runs;
    return text + std::to_string(values.size());
  };
  runs_since_last();
  // Arguments that travel on their own.
  const std::vector<double> many(50'000, 1.5);
  CHECK(view.with({.key = by_length}).apply(f, "ab", many).get() == "ab50000");
  CHECK(view.with({.key = &by_length}).apply(f, std::string("cd"), many).get() == "ab50000");
  CHECK(runs_since_last() == 1);
  const int offset = test::engines();
  const auto with_state = [offset](std::string text, const std::vector<double>& values) {
    return std::pair<std::size_t, std::vector<int>>(text.size(), {offset, static_cast<int>(values.front())});
  };
  CHECK(view.with({.key = with_state}).apply(f, "ef", many).get() == "ef50000");
  CHECK(view.with({.key = with_state}).apply(f, "gh", std::vector<double>{1.25}).get() == "ef50000");
  CHECK(view.with({.key = with_state}).apply(f, "gh", std::vector<double>{2.25}).get() == "gh1");
  CHECK(runs_since_last() == 2);
  // Numbers of two types are two.
  const auto other = view.with({.version = "numbers"});
  const auto negative = [](int n) {
    ++runs;
    return -n;
  };
  const auto by_tens = other.with({.key = [](int n) { return n / 10; }});
  CHECK(by_tens.apply_sync(negative, 31) == -31);
  CHECK(by_tens.map_sync(negative, std::vector{32, 41}) == std::vector<int>{-31, -41});
  CHECK(other.with({.key = [](int n) { return static_cast<long>(n / 10); }}).apply_sync(negative, 33) == -33);
  CHECK(runs_since_last() == 3);
  // There is nothing to tell tasks without arguments apart by.
  const auto constant = [] {
    ++runs;
    return 5;
  };
  const auto named = other.with({.key = [] { return std::string("constant"); }});
  CHECK(named.apply(constant).get() == 5);
  CHECK(named.apply(constant).get() == 5);
  CHECK(runs_since_last() == 1);
  // A null pointer is none.
  int (*const none)(int) = nullptr;
  CHECK(other.with({.key = none}).apply(negative, 3).get() == -3);
  CHECK(other.with({.key = none}).apply(negative, 4).get() == -4);
}

TEST_CASE("a key that does not fit is refused, and what it throws is thrown", "[checkpoint]") {
  const Directory directory;
  const auto view = balanced().with({.checkpoint = directory.path()});
  const auto message = [](const auto& act) -> std::string {
    try {
      act();
    } catch (const rv::UsageError& error) {
      return error.what();
    }
    return "";
  };
  const auto name = [](const std::string& text) { return text; };
  const std::string text = message([&] { view.with({.key = name}).apply(Square(), 3); });
  CHECK(contains(text, "is a function of (std::string)"));
  CHECK(contains(text, "Square are (int)"));
  CHECK(contains(message([&] { view.with({.key = [](int, int) { return 1; }}).map(Square(), numbers(3)); }), "of (int, int)"));
  CHECK(contains(message([&] { static_cast<void>(view.with({.key = name}).imap(Square(), numbers(3))); }), "are (int)"));
  const auto throwing = view.with({.key = [](int n) {
    if (n == 70) throw std::domain_error("no key for 70");
    return n;
  }});
  CHECK_THROWS_AS(throwing.map(Square(), numbers(100)), std::domain_error);
  CHECK_THROWS_AS(throwing.apply(Square(), 70), std::domain_error);
  CHECK(throwing.map(Square(), numbers(50)).get() == squares(numbers(50)));
  // One of another result, with nothing to tell them apart.
  CHECK(contains(message([&] { throwing.apply(cube_text, 3); }), "give it another Flags::version"));
  CHECK(throwing.with({.version = "text"}).apply(cube_text, 3).get() == "27");
}

TEST_CASE("a key may ask the client", "[checkpoint]") {
  const Directory directory;
  const auto view = balanced().with({.checkpoint = directory.path(), .key = [](int n) {
                                       static_cast<void>(client().queue_status());
                                       return n + balanced().apply_sync([] { return 0; });
                                     }});
  runs_since_last();
  CHECK(view.map(Square(), numbers(10)).get() == squares(numbers(10)));
  CHECK(view.map_sync(Square(), numbers(12)) == squares(numbers(12)));
  CHECK(runs_since_last() == 12);
}

TEST_CASE("results are kept of which no handle is left", "[checkpoint]") {
  const Directory directory;
  const auto view = balanced().with({.checkpoint = directory.path()});
  {
    const auto result = view.map(Square(), numbers(100));
    const auto longer = view.map(Describe(), std::vector<std::string>(3, "x"), std::vector<int>{100'000, 1, 2});
  }
  REQUIRE(client().wait(test::limit));
  runs_since_last();
  CHECK(view.map_sync(Square(), numbers(100)) == squares(numbers(100)));
  CHECK(view.map_sync(Describe(), std::vector<std::string>(3, "x"), std::vector<int>{100'000, 1, 2}).size() == 3);
  CHECK(runs_since_last() == 0);
}

TEST_CASE("found items after others, and aborted ones", "[checkpoint]") {
  const Directory directory;
  const auto view = balanced().with({.checkpoint = directory.path()});
  view.map_sync(Square(), numbers(10));
  runs_since_last();
  const auto before = balanced().apply([] { return 1; });
  CHECK(view.with({.after = before}).map(Square(), numbers(20)).get() == squares(numbers(20)));
  CHECK(runs_since_last() == 10);
  const auto aborted = view.with({.after = balanced().apply([] { return 1; })}).map(Square(), numbers(40));
  aborted.abort();
  REQUIRE(aborted.wait(test::limit));
  CHECK(aborted[3] == 9);
}

TEST_CASE("a job that has found all of its tasks lets another have those that are left", "[checkpoint]") {
  const Directory directory;
  const auto view = balanced().with({.checkpoint = directory.path()});
  runs_since_last();
  view.map_sync(Square(), numbers(10));
  CHECK(view.map_sync(Square(), numbers(10)) == squares(numbers(10)));
  CHECK(runs_since_last() == 10);
  Leases other(rv::checkpoint::posix_disk(), directory.path(), "other", test::limit);
  // Whatever this client does meanwhile.
  look_until(other, Leases::Mode::sharing);
  CHECK(other.get({1, 2, 3}, 2).gained == std::vector<std::uint32_t>{1, 2});
  other.give_back(1);
  other.give_back(2);
}

TEST_CASE("tasks that another job has are waited for, and done when it does not", "[checkpoint]") {
  const Directory directory;
  auto other = std::make_unique<Leases>(rv::checkpoint::posix_disk(), directory.path(), "other", test::limit);
  look_until(*other, Leases::Mode::alone);
  runs_since_last();
  const auto chunks = GENERATE(1, 7);
  const auto result = balanced().with({.chunksize = chunks, .checkpoint = directory.path()}).map(Square(), numbers(200));
  look_until(*other, Leases::Mode::asked);
  CHECK(!result.ready());
  CHECK(runs_since_last() == 0);
  // What it has begun stays with it.
  std::vector<std::uint32_t> begun(Leases::buckets / 2);
  std::iota(begun.begin(), begun.end(), 0U);
  CHECK(other->share(begun).gained == begun);
  const auto limit = std::chrono::steady_clock::now() + test::limit;
  while (result.progress() == 0 && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
  CHECK(result.progress() != 0);
  CHECK(!result.ready());
  other.reset();
  CHECK(result.get(test::limit) == squares(numbers(200)));
  CHECK(runs_since_last() == 200);
}

TEST_CASE("a checkpoint that cannot be used is refused", "[checkpoint]") {
  const Directory directory;
  const auto view = balanced().with({.checkpoint = directory.path()});
  CHECK_THROWS_AS(balanced().with({.checkpoint = "/proc/no/such/place"}).apply(Square(), 1), rv::UsageError);
  CHECK_THROWS_AS(view.map_reduce(Square(), std::plus<>(), numbers(3)), rv::UsageError);
  CHECK_THROWS_AS(view.apply(Square(), balanced().apply(Square(), 1)), rv::UsageError);
  CHECK_THROWS_AS(client()[rv::all].with({.checkpoint = directory.path()}).apply(Square(), 1), rv::UsageError);
  std::filesystem::permissions(directory.path(), std::filesystem::perms::others_write, std::filesystem::perm_options::add);
  const auto other = std::filesystem::path(directory.path()) / "others";
  std::filesystem::create_directory(other);
  std::filesystem::permissions(other, std::filesystem::perms::all);
  CHECK_THROWS_AS(balanced().with({.checkpoint = other.string()}).apply(Square(), 1), rv::UsageError);
}
