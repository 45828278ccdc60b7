// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <unistd.h>
#include <array>
#include <atomic>
#include <complex>
#include <cstring>
#include <filesystem>
#include <map>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

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
