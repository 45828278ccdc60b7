// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "checkpoint/checkpoint.hpp"
#include "checkpoint/frames.hpp"
#include "checkpoint/index.hpp"
#include "memory_disk.hpp"
#include "support.hpp"

#include <rankview/errors.hpp>

#include "../catch.hpp"
#include "../memory_disk.hpp"
#include "../seed.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <system_error>
#include <vector>

namespace cp = rankview::checkpoint;
using namespace unit::checkpoint;
using unit::contains;

TEST_CASE("What was added to a checkpoint is found, now and by the next that opens it", "[checkpoint]") {
  MemoryDisk disk;
  Warnings warnings;
  constexpr std::uint64_t many = 1000;
  {
    cp::Checkpoint checkpoint(disk, "d", settings(warnings));
    const std::uint32_t callable = checkpoint.enlist(squares);
    CHECK(count_found(checkpoint, many) == 0);
    for (std::uint64_t i = 0; i < many; ++i) {
      CHECK(checkpoint.add(callable, key(i), bytes_of(value(i))) == i + 1);
      if (i == many / 2) CHECK(checkpoint.flush());
    }
    CHECK(count_found(checkpoint, many + 10) == many);
  }
  for (const auto& [path, kept] : disk.files) CHECK(kept->synced == kept->bytes.size());
  cp::Checkpoint again(disk, "d", settings(warnings));
  CHECK(again.size() == many);
  CHECK(count_found(again, many + 10) == many);
  CHECK(warnings.lines.empty());
  // Nothing was added, so there is no other journal.
  CHECK(disk.files.size() == 1);
}

TEST_CASE("Journals of several jobs are read together", "[checkpoint]") {
  MemoryDisk disk;
  fill(disk, 100);
  fill(disk, 100, 50);
  CHECK(disk.files.size() == 2);
  Warnings warnings;
  cp::Checkpoint checkpoint(disk, "d", settings(warnings));
  CHECK(count_found(checkpoint, 200) == 150);
}

TEST_CASE("What other jobs finish is found while they go on", "[checkpoint]") {
  MemoryDisk disk;
  Warnings warnings;
  const auto job = [&warnings] {
    cp::Checkpoint::Settings set = settings(warnings);
    set.lease = std::chrono::hours(1);
    return set;
  };
  auto first = std::make_unique<cp::Checkpoint>(disk, "d", job());
  cp::Checkpoint second(disk, "d", job());
  const std::uint32_t callable = first->enlist(squares);
  const auto add = [&](cp::Checkpoint& to, std::uint64_t number) { to.add(callable, key(number), bytes_of(value(number))); };
  second.enlist(squares);
  for (std::uint64_t i = 0; i < 100; i += 2) {
    add(*first, i);
    add(second, i + 1);
    if (i % 10 == 0) {
      CHECK(first->flush());
      CHECK(second.flush());
      first->read_on();
      second.read_on();
      // All of both, but for what the other has not written.
      CHECK(count_found(*first, 100) == i + 2);
      CHECK(count_found(second, 100) == i + 2);
    }
  }
  // Half of a record is not there yet.
  std::shared_ptr<MemoryDisk::Kept> journal;
  CHECK(first->flush());
  for (const auto& [path, kept] : disk.files) {
    if (journal == nullptr && path.ends_with(cp::journal_ending)) journal = kept;
  }
  const Content whole = journal->bytes;
  add(*first, 200);
  CHECK(first->flush());
  const Content longer = journal->bytes;
  REQUIRE(longer.size() > whole.size());
  for (std::size_t size = whole.size(); size + 8 < longer.size(); size += 7) {
    journal->bytes.assign(longer.begin(), longer.begin() + static_cast<std::ptrdiff_t>(size));
    second.read_on();
    rankview::detail::Buffer into;
    CHECK(second.find(key(200), into) == cp::Found::nothing);
  }
  journal->bytes = longer;
  first.reset();
  second.read_on();
  CHECK(count_found(second, 201) == 101);
  // A disk that fails meanwhile makes a journal anew, though others have come behind it.
  add(second, 300);
  disk.fault = [](std::size_t, std::size_t bytes) { return bytes == 0 ? MemoryDisk::none : 0; };
  CHECK(!second.flush());
  disk.fault = nullptr;
  fill(disk, 10, 400);
  second.read_on();
  while (!second.flush()) {
  }
  CHECK(count_found(second, 410) == 112);
  Warnings none;
  cp::Checkpoint third(disk, "d", settings(none));
  CHECK(count_found(third, 410) == 112);
  CHECK(none.lines.empty());
}

TEST_CASE("A failure is found as one, until there is a result", "[checkpoint]") {
  MemoryDisk disk;
  Warnings warnings;
  for (int run = 0; run < 2; ++run) {
    cp::Checkpoint checkpoint(disk, "d", settings(warnings));
    const std::uint32_t callable = checkpoint.enlist(squares);
    rankview::detail::Buffer into;
    if (run == 0) {
      checkpoint.add_failure(callable, key(1), "it did not converge");
      checkpoint.add_failure(callable, key(2), "nor this");
    }
    CHECK(checkpoint.find(key(1), into) == cp::Found::failure);
    CHECK(text_of(into) == "it did not converge");
  }
  {
    cp::Checkpoint checkpoint(disk, "d", settings(warnings));
    checkpoint.add(checkpoint.enlist(squares), key(1), bytes_of("1"));
    checkpoint.add_failure(checkpoint.enlist(squares), key(1), "again");
  }
  cp::Checkpoint checkpoint(disk, "d", settings(warnings));
  rankview::detail::Buffer into;
  CHECK(checkpoint.find(key(1), into) == cp::Found::result);
  CHECK(text_of(into) == "1");
  into = {};
  CHECK(checkpoint.find(key(2), into) == cp::Found::failure);
}

TEST_CASE("A result of another type is refused, unless its version is another", "[checkpoint]") {
  MemoryDisk disk;
  fill(disk, 3);
  Warnings warnings;
  cp::Checkpoint checkpoint(disk, "d", settings(warnings));
  try {
    checkpoint.enlist({"square", "", "double", "square(int)"});
    FAIL("was not refused");
  } catch (const rankview::UsageError& error) {
    CHECK(contains(error.what(), "are int"));
    CHECK(contains(error.what(), "gives double"));
  }
  CHECK_NOTHROW(checkpoint.enlist({"square", "2", "double", "square(int)"}));
  CHECK_NOTHROW(checkpoint.enlist({"cube", "", "double", "cube(int)"}));
  CHECK(checkpoint.versions("square") == std::vector<std::string>{"", "2"});
}

TEST_CASE("Of a journal that is cut anywhere, what is whole is found", "[checkpoint]") {
  MemoryDisk whole;
  constexpr std::uint64_t many = 20;
  for (std::uint64_t i = 0; i < many; i += 4) fill(whole, 4, i);
  // Five journals become one file, so that there are frames behind each other, with headers in between.
  Content all;
  for (const auto& [path, kept] : whole.files) all.insert(all.end(), kept->bytes.begin(), kept->bytes.end());
  std::size_t before = 0;
  // Every byte where frames begin and end; of the long values some.
  for (std::size_t cut = 0; cut <= all.size(); cut += cut % 100'000 < 2000 || all.size() - cut < 2000 ? 1 : 997) {
    MemoryDisk disk;
    disk.files["d/a.journal"] = std::make_shared<MemoryDisk::Kept>();
    disk.files["d/a.journal"]->bytes.assign(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(cut));
    Warnings warnings;
    cp::Checkpoint checkpoint(disk, "d", settings(warnings));
    const std::size_t found = count_found(checkpoint, many);
    CHECK(found >= before);
    CHECK(warnings.lines.empty());
    before = found;
  }
  CHECK(before == many);
}

TEST_CASE("Of a journal with a flipped bit or a hole, what is whole is found, and the rest is told", "[checkpoint]") {
  MemoryDisk whole;
  constexpr std::uint64_t many = 30;
  for (std::uint64_t i = 0; i < many; i += 2) {
    if (i % 14 != 0) fill(whole, 2, i);
  }
  Content all;
  for (const auto& [path, kept] : whole.files) all.insert(all.end(), kept->bytes.begin(), kept->bytes.end());
  std::mt19937_64 random(test::seed("damaged journals"));
  std::size_t told = 0;
  for (std::size_t at = 0; at<all.size(); at += all.size()> 50'000 ? 1 + random() % 100 : 1) {
    MemoryDisk disk;
    Content damaged = all;
    if (at % 3 == 2) {
      damaged.erase(damaged.begin() + static_cast<std::ptrdiff_t>(at));
    } else {
      damaged[at] ^= std::byte{1} << (random() % 8);
    }
    disk.files["d/a.journal"] = std::make_shared<MemoryDisk::Kept>();
    disk.files["d/a.journal"]->bytes = damaged;
    Warnings warnings;
    cp::Checkpoint checkpoint(disk, "d", settings(warnings));
    count_found(checkpoint, many);
    told += warnings.lines.size();
  }
  CHECK(told > 0);
}

TEST_CASE("A journal of a later format is left out, and told", "[checkpoint]") {
  MemoryDisk disk;
  fill(disk, 3);
  rankview::detail::Buffer buffer;
  cp::Origin origin;
  origin.format = cp::format_version + 1;
  cp::write(buffer, origin);
  disk.files["d/later.journal"] = std::make_shared<MemoryDisk::Kept>();
  disk.files["d/later.journal"]->bytes.assign(buffer.data(), buffer.data() + buffer.size());
  Warnings warnings;
  cp::Checkpoint checkpoint(disk, "d", settings(warnings));
  CHECK(count_found(checkpoint, 3) == 3);
  REQUIRE(warnings.lines.size() == 1);
  CHECK(contains(warnings.lines[0], "later.journal"));
}

TEST_CASE("Whichever operation of the disk fails, nothing that was said to be on disk is lost", "[checkpoint]") {
  constexpr std::uint64_t many = 60;
  bool all_fine = false;
  for (std::size_t faulty = 0; !all_fine; ++faulty) {
    REQUIRE(faulty < 200);
    MemoryDisk disk;
    bool failed = false;
    // The operation fails, and those behind it; a write is torn.
    disk.fault = [&failed, faulty](std::size_t number, std::size_t bytes) {
      if (number < faulty || number > faulty + 2) return bytes;
      failed = true;
      return bytes == 0 ? MemoryDisk::none : bytes / 2;
    };
    Warnings warnings;
    std::uint64_t durable = 0;
    {
      cp::Checkpoint checkpoint(disk, "d", settings(warnings));
      const std::uint32_t callable = checkpoint.enlist(squares);
      for (std::uint64_t i = 0; i < many; ++i) {
        checkpoint.add(callable, key(i), bytes_of(value(i)));
        if (i % 10 == 9) {
          while (!checkpoint.flush()) {
          }
        }
      }
      CHECK(count_found(checkpoint, many) == many);
      durable = checkpoint.durable();
    }
    CHECK(durable == many);
    all_fine = !failed;
    // The machine goes down: only what was synced is there.
    for (auto& [path, kept] : disk.files) kept->bytes.resize(kept->synced);
    cp::Checkpoint again(disk, "d", settings(warnings));
    CHECK(count_found(again, many) == many);
    CHECK(warnings.lines.empty() == !failed);
  }
}

TEST_CASE("What is found for a strict caller is on disk", "[checkpoint]") {
  MemoryDisk disk;
  Warnings warnings;
  cp::Checkpoint::Settings set = settings(warnings);
  set.delay = std::chrono::hours(1);
  cp::Checkpoint checkpoint(disk, "d", set);
  const std::uint32_t callable = checkpoint.enlist(squares);
  checkpoint.add(callable, key(1), bytes_of(value(1)));
  rankview::detail::Buffer into;
  CHECK(checkpoint.find(key(1), into) == cp::Found::result);
  CHECK(checkpoint.durable() == 0);
  CHECK(checkpoint.find(key(1), into, true) == cp::Found::result);
  CHECK(checkpoint.durable() == 1);
  disk.fault = [](std::size_t, std::size_t bytes) { return bytes == 0 ? MemoryDisk::none : 0; };
  checkpoint.add(callable, key(2), bytes_of(value(2)));
  CHECK(checkpoint.find(key(2), into, true) == cp::Found::nothing);
  CHECK(checkpoint.find(key(2), into) == cp::Found::result);
  disk.fault = nullptr;
}

TEST_CASE("A journal that cannot be read any further, or any more, costs what was not read", "[checkpoint]") {
  MemoryDisk disk;
  // Each longer than what is read at once, and more of them than are kept open.
  constexpr std::uint64_t each = 100;
  constexpr std::uint64_t all = 18 * each;
  for (std::uint64_t first = 0; first < all; first += each) fill(disk, each, first);
  Warnings warnings;
  disk.unreadable = disk.files.begin()->first;
  cp::Checkpoint checkpoint(disk, "d", settings(warnings));
  CHECK(warnings.lines.size() == 1);
  CHECK(checkpoint.size() > all - each);
  CHECK(checkpoint.size() < all);
  CHECK(count_found(checkpoint, all) == all - each);
  disk.unreadable = disk.files.rbegin()->first;
  CHECK(count_found(checkpoint, all) >= all - 2 * each);
  disk.unreadable.clear();
  CHECK(count_found(checkpoint, all) == checkpoint.size());
}

TEST_CASE("A disk that takes nothing costs a bounded amount of memory, and is told", "[checkpoint]") {
  MemoryDisk disk;
  disk.fault = [](std::size_t, std::size_t bytes) { return bytes == 0 ? MemoryDisk::none : 0; };
  Warnings warnings;
  cp::Checkpoint::Settings set = settings(warnings);
  set.most_unwritten = 1000;
  {
    cp::Checkpoint checkpoint(disk, "d", set);
    const std::uint32_t callable = checkpoint.enlist(squares);
    checkpoint.add(callable, key(1), bytes_of(value(1)));
    CHECK_FALSE(checkpoint.flush());
    CHECK(checkpoint.troubled());
    CHECK(contains(checkpoint.trouble(), "No space"));
    std::size_t refused = 0;
    for (std::uint64_t i = 2; i < 100; ++i) {
      if (checkpoint.add(callable, key(i), bytes_of(value(i))) == cp::Checkpoint::not_added) ++refused;
    }
    CHECK(refused > 50);
  }
  CHECK(warnings.lines.size() == 2);
  CHECK(contains(warnings.lines.back(), "lacks 99 tasks"));
}

TEST_CASE("An index finds what was added, and not more", "[checkpoint]") {
  cp::Index index;
  cp::Place place;
  CHECK_FALSE(index.find(key(1), place));
  constexpr std::uint64_t many = 10'000;
  for (std::uint64_t i = 0; i < many; ++i) index.add(key(i), {static_cast<std::uint32_t>(i % 100), i + 1, i % 3 == 0});
  CHECK(index.size() == many);
  for (std::uint64_t i = 0; i < many; ++i) {
    REQUIRE(index.find(key(i), place));
    CHECK(place.journal == i % 100);
    CHECK(place.offset == i + 1);
    CHECK(place.failed == (i % 3 == 0));
    CHECK_FALSE(index.find(key(many + i), place));
  }
  index.add(key(3), {1, 2, false});
  index.add(key(4), {1, 2, false});
  REQUIRE(index.find(key(3), place));
  CHECK(place.offset == 2);
  REQUIRE(index.find(key(4), place));
  CHECK(place.offset == 5);
}
