// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "catch.hpp"
#include "isolation/symbols.hpp"
#include "isolation/trace.hpp"

#include <execinfo.h>
#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

namespace {

using rankview::isolation::describe_places;
using rankview::isolation::Place;
using rankview::isolation::Trace;
using namespace std::chrono_literals;

// Not among what the program shows to others.
[[gnu::noinline]] Trace trace_of_here() {
  std::array<void*, 8> addresses{};
  const int count = backtrace(addresses.data(), static_cast<int>(addresses.size()));
  Trace trace;
  rankview::isolation::locate(std::span(addresses).first(static_cast<std::size_t>(count)), trace);
  return trace;
}

Place place_of(const Trace& trace, std::size_t call) { return {std::string(trace.path_of(trace.calls[call])), trace.calls[call].byte}; }

std::string described(const Place& place) { return describe_places({&place, 1}, 10s).at(0).back(); }

// A file that goes away again.
class Copy {
 public:
  explicit Copy(const std::string& content) { std::ofstream(path_, std::ios::binary) << content; }
  Copy(const Copy&) = delete;
  Copy& operator=(const Copy&) = delete;
  ~Copy() { std::filesystem::remove(path_); }

  [[nodiscard]] std::string path() const { return path_; }

 private:
  const std::string path_ = std::filesystem::temp_directory_path() /
                            ("rankview_symbols." + std::to_string(std::chrono::steady_clock::now().time_since_epoch().count()));
};

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST_CASE("a place in this program is called by its function's name", "[symbols]") {
  const Trace trace = trace_of_here();
  REQUIRE(trace.count >= 2);
  CHECK(std::filesystem::equivalent(trace.path_of(trace.calls[0]), "/proc/self/exe"));
  // A sanitizer's own backtrace() may come before it. A second time it is remembered.
  for (int time = 0; time < 2; ++time) {
    const bool named = described(place_of(trace, 0)).find("trace_of_here()") != std::string::npos ||
                       described(place_of(trace, 1)).find("trace_of_here()") != std::string::npos;
    CHECK(named);
  }
}

TEST_CASE("a function has the linker's name", "[symbols]") {
  const std::string name = rankview::isolation::linker_name(reinterpret_cast<const void*>(&trace_of_here));
  CHECK(name.find("trace_of_here") != std::string::npos);
  CHECK(name.starts_with("_Z"));
  CHECK(rankview::isolation::linker_name(reinterpret_cast<const void*>(&trace_of_here)) == name);
  int nothing = 0;
  CHECK(rankview::isolation::linker_name(&nothing).empty());
  CHECK(rankview::isolation::linker_name(nullptr).empty());
}

// A constant with a name.
extern const std::array<int, 3> named_numbers;
const std::array<int, 3> named_numbers{1, 2, 3};

TEST_CASE("and is found by it, as a constant is", "[symbols]") {
  for (const void* const place : {reinterpret_cast<const void*>(&trace_of_here), static_cast<const void*>(&named_numbers)}) {
    const std::string name = rankview::isolation::linker_name(place);
    REQUIRE(!name.empty());
    CHECK(rankview::isolation::place_named(name) == place);
  }
  CHECK(rankview::isolation::place_named("free") != nullptr);  // of a library
  CHECK(rankview::isolation::place_named("nobody_is_called_so") == nullptr);
}

TEST_CASE("a trace has a line for each call, the innermost first", "[symbols]") {
  const std::string text = trace_text(trace_of_here());
  CHECK(text.starts_with("\n  at "));
  const std::size_t second = text.find('\n', 1);
  CHECK(text.find("trace_of_here()") < text.find('\n', second + 1));
}

TEST_CASE("addresses that no file has are told as they are", "[symbols]") {
  std::array<std::byte, 64> data{};
  const std::array<void*, 2> addresses{nullptr, data.data()};
  Trace trace;
  rankview::isolation::locate(addresses, trace);
  REQUIRE(trace.count == 2);
  CHECK(trace.path_of(trace.calls[0]).empty());
  CHECK(trace.path_of(trace.calls[1]).empty());
  CHECK(trace_text(trace).starts_with("\n  at 0x0\n  at 0x"));
}

TEST_CASE("more calls than there is room for are cut", "[symbols]") {
  const std::vector<void*> addresses(1000, nullptr);
  Trace trace;
  rankview::isolation::locate(addresses, trace);
  CHECK(trace.count == Trace::most);
  CHECK(trace_text(trace) == "\n  at 0x0, 64 times");
}

TEST_CASE("a file that is no code, or none at all, has no names", "[symbols]") {
  CHECK(described({"/nowhere/at/all", 0x1139}) == "(/nowhere/at/all+0x1139)");
  CHECK(described({"/proc/self/maps", 0x10}) == "(/proc/self/maps+0x10)");
  const Copy text("not code");
  CHECK(described({text.path(), 3}) == "(" + text.path() + "+0x3)");
}

TEST_CASE("what a damaged file says of symbols is not believed", "[symbols]") {
  const std::string whole = bytes_of("/bin/sh");
  REQUIRE(whole.size() > 0x5000);
  SECTION("cut short") {
    for (const std::size_t size : {std::size_t{10}, std::size_t{63}, std::size_t{200}, whole.size() / 2, whole.size() - 1}) {
      const Copy file(whole.substr(0, size));
      CHECK(described({file.path(), 0x5000}).find(file.path()) != std::string::npos);
    }
  }
  SECTION("with large numbers in its head") {
    for (std::size_t at = 16; at < 64; at += 4) {
      std::string damaged = whole;
      damaged.replace(at, 4, "\xff\xff\xff\x7f");
      const Copy file(damaged);
      CHECK(described({file.path(), 0x5000}).find(file.path()) != std::string::npos);
    }
  }
}

}  // namespace
