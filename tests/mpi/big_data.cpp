// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <cstdint>
#include <cstring>
#include <ranges>
#include <string>
#include <vector>

using test::balanced;
using test::client;
using test::engines;
using test::everyone;

namespace {

// 1 kB that says which it is, at both ends.
using Kilobyte = std::vector<std::uint32_t>;

Kilobyte kilobyte(int n) {
  Kilobyte block(250, static_cast<std::uint32_t>(n));
  block.back() = ~static_cast<std::uint32_t>(n);
  return block;
}

Kilobyte swapped(Kilobyte block) {
  std::swap(block.front(), block.back());
  return block;
}

constexpr std::size_t gib = std::size_t{1} << 30U;

// Marks at the ends and around each boundary of 1 GiB, where the pieces of a long message meet.
std::vector<std::size_t> marks(std::size_t size) {
  std::vector<std::size_t> at = {0, size - 1};
  for (std::size_t n = gib; n < size; n += gib) at.insert(at.end(), {n - 1, n});
  return at;
}

std::uint8_t mark(std::size_t at) { return static_cast<std::uint8_t>(1 + at / 1'000'003 % 255); }

std::vector<std::uint8_t> marked(std::size_t size) {
  std::vector<std::uint8_t> bytes(size);
  for (const std::size_t at : marks(size)) bytes[at] = mark(at);
  return bytes;
}

bool right(const std::vector<std::uint8_t>& bytes, std::size_t size) {
  if (bytes.size() != size) return false;
  for (const std::size_t at : marks(size)) {
    if (bytes[at] != mark(at)) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("100,000 tasks with 1 kB each way") {
  const int count = 100'000;
  const auto results = balanced().map_sync(swapped, std::views::iota(0, count) | std::views::transform(kilobyte));
  REQUIRE(results.size() == static_cast<std::size_t>(count));
  int wrong = 0;
  for (int n = 0; n < count; ++n) {
    const Kilobyte& block = results[static_cast<std::size_t>(n)];
    if (block.size() != 250 || block.back() != static_cast<std::uint32_t>(n) || block.front() != ~static_cast<std::uint32_t>(n)) ++wrong;
  }
  CHECK(wrong == 0);
}

TEST_CASE("tens of megabytes to every engine and back") {
  const std::size_t size = (std::size_t{64} << 20U) / static_cast<std::size_t>(engines());
  const auto results = everyone().apply_sync([](std::vector<std::uint8_t> bytes) { return bytes; }, marked(size));
  REQUIRE(results.size() == client().size());
  for (const auto& bytes : results) CHECK(right(bytes, size));
}

// Two cases, so that the first one's memory is given back before the second needs its own.
TEST_CASE("an argument of 3 GiB", "[.][big]") {
  const std::vector<std::uint8_t> bytes = marked(3 * gib + 5);
  CHECK(client()[0].apply_sync([](const std::vector<std::uint8_t>& b) { return right(b, 3 * gib + 5); }, bytes));
}

TEST_CASE("a result of 3 GiB", "[.][big]") {
  const auto bytes = client()[0].apply_sync([] { return marked(3 * gib + 5); });
  CHECK(right(bytes, 3 * gib + 5));
}

TEST_CASE("an argument and a result of more than 2^31 elements' bytes, asynchronously", "[.][big]") {
  std::vector<std::uint64_t> numbers(3 * gib / 8 + 1, 1);
  numbers.back() = 3;
  const auto sum = client()[0].apply(
      [](const std::vector<std::uint64_t>& v) {
        std::uint64_t total = 0;
        for (const std::uint64_t n : v) total += n;
        return total;
      },
      rv::borrow(numbers));
  CHECK(sum.get(test::limit) == 3 * gib / 8 + 3);
}

TEST_CASE("more than 2^31 elements scattered, reduced, gathered and pushed", "[.][big]") {
  const std::size_t size = 2 * gib + 11;
  std::vector<std::uint8_t> bytes = marked(size);
  everyone().scatter_sync("bytes", bytes);
  CHECK(everyone().apply_sync([](const std::vector<std::uint8_t>& b) { return b.size(); }, rv::ref("bytes")).front() ==
        (size + client().size() - 1) / client().size());
  bytes.assign(size, 0);
  everyone().gather_into_sync("bytes", bytes);
  CHECK(right(bytes, size));
  if (client().size() == 1) CHECK(right(everyone().reduce_sync<std::vector<std::uint8_t>>("bytes", std::bit_or<>()), size));
  everyone().scatter_sync("bytes", bytes, {.dist = rv::round_robin});
  bytes.assign(size, 0);
  everyone().gather_into_sync("bytes", bytes, {.dist = rv::round_robin});
  CHECK(right(bytes, size));
  everyone().push_sync("bytes", bytes);
  CHECK(everyone().apply_sync([](const std::vector<std::uint8_t>& b) { return right(b, 2 * gib + 11); }, rv::ref("bytes")).back());
  everyone().clear_sync();
}
