// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/call_table.hpp"
#include "support.hpp"

#include <rankview/detail/call_memory.hpp>
#include <rankview/detail/rare.hpp>
#include <rankview/detail/results.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace {

using rankview::detail::allocate_call;
using rankview::detail::call_alignment;
using rankview::detail::CallTable;
using rankview::detail::free_call;
using rankview::detail::Rare;
using rankview::detail::Results;

struct Block {
  unsigned char* at;
  std::size_t size;
  unsigned char mark;

  [[nodiscard]] bool intact() const {
    return std::all_of(at, at + size, [this](unsigned char c) { return c == mark; });
  }
};

// Takes and gives back blocks in no order, each filled with a mark of its own. Whether all stayed intact.
bool exercise(unsigned seed, int steps) {
  std::mt19937 random(seed);
  std::vector<Block> blocks;
  bool intact = true;
  const auto give_back = [&](std::size_t i) {
    intact = intact && blocks[i].intact();
    free_call(blocks[i].at, blocks[i].size);
    blocks[i] = blocks.back();
    blocks.pop_back();
  };
  for (int step = 0; step < steps; ++step) {
    // More come than go for a while, then the other way round, so that slabs fill and empty.
    const bool growing = (step / (steps / 4)) % 2 == 0;
    if (blocks.empty() || random() % 4 < (growing ? 3U : 1U)) {
      const std::size_t size = 1 + random() % 1200;
      Block block{static_cast<unsigned char*>(allocate_call(size)), size, static_cast<unsigned char>(random())};
      intact = intact && reinterpret_cast<std::uintptr_t>(block.at) % call_alignment == 0;
      std::memset(block.at, block.mark, block.size);
      blocks.push_back(block);
    } else {
      give_back(random() % blocks.size());
    }
  }
  while (!blocks.empty()) give_back(blocks.size() - 1);
  return intact;
}

}  // namespace

TEST_CASE("blocks for calls do not overlap", "[call_memory]") {
  const std::uint32_t seed = test::seed("call_memory");
  INFO("RANKVIEW_TEST_SEED=" << seed);
  CHECK(exercise(seed, 100'000));
}

TEST_CASE("blocks for calls are taken and given back by several threads", "[call_memory]") {
  const std::uint32_t seed = test::seed("call_memory in threads");
  INFO("RANKVIEW_TEST_SEED=" << seed);
  std::vector<std::thread> threads;
  std::vector<char> intact(4, 0);
  for (unsigned i = 0; i < intact.size(); ++i) threads.emplace_back([&intact, seed, i] { intact[i] = exercise(seed + i, 20'000) ? 1 : 0; });
  for (std::thread& thread : threads) thread.join();
  CHECK(std::count(intact.begin(), intact.end(), 1) == 4);
}

TEST_CASE("calls are found by their numbers, and their slots stay where they are", "[call_memory]") {
  Results<void> call;
  CallTable table;
  std::vector<const void*> slots;
  constexpr std::uint64_t count = 10'000;
  for (std::uint64_t id = 1; id <= count; ++id) slots.push_back(&table.add(id, call));
  CHECK(table.find(0) == nullptr);
  CHECK(table.find(count + 1) == nullptr);
  for (std::uint64_t id = 1; id <= count; ++id) {
    if (id % 100 != 0) table.remove(id);
  }
  table.remove(1);
  table.remove(count + 1'000);
  std::uint64_t left = 0;
  table.for_each([&left](const auto&) { ++left; });
  CHECK(left == count / 100);
  bool right = true;
  for (std::uint64_t id = 1; id <= count; ++id) {
    right = right && (table.find(id) != nullptr) == (id % 100 == 0);
    if (id % 100 == 0) right = right && static_cast<const rankview::detail::CallSlot*>(slots[id - 1])->call == &call;
  }
  CHECK(right);
}

TEST_CASE("pages whose calls have gone are used again", "[call_memory]") {
  Results<void> call;
  CallTable table;
  std::set<const void*> slots;
  for (std::uint64_t id = 1; id <= 100'000; ++id) {
    slots.insert(&table.add(id, call));
    table.remove(id);
  }
  CHECK(slots.size() < 1'000);
}

TEST_CASE("what is rare reads as nothing until it is written to", "[call_memory]") {
  Rare<std::string> text;
  CHECK_FALSE(text);
  CHECK(text->empty());
  text.edit() = "now";
  CHECK(text);
  CHECK(*text == "now");
  text.reset();
  CHECK(text->empty());
  STATIC_REQUIRE(sizeof(text) == sizeof(void*));
}
