// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
// Whatever lies in the journals of a checkpoint, it is read or told; and what is found there is found unchanged when they have been made
// one.
//
// The first byte says of what the others are: 0 and 1, the bytes of a journal, or of two; 2 and 3, what frames say, of each its kind, its
// age, two bytes for its length and that many, and the frames are whole.
#include "checkpoint/frames.hpp"
#include "checkpoint/key.hpp"
#include "checkpoint/survey.hpp"
#include "checkpoint/upkeep.hpp"
#include "memory_disk.hpp"

#include <rankview/errors.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

using namespace rankview::checkpoint;

namespace {

using Input = std::span<const std::uint8_t>;

void expect(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "not right: %s\n", what);
  std::abort();
}

std::vector<std::byte> raw(Input input) {
  const auto bytes = std::as_bytes(input);
  return {bytes.begin(), bytes.end()};
}

void put(std::vector<std::byte>& to, const void* from, std::size_t size) {
  const auto* const bytes = static_cast<const std::byte*>(from);
  to.insert(to.end(), bytes, bytes + size);
}

std::vector<std::byte> framed(Input input) {
  std::vector<std::byte> journal;
  while (input.size() >= 4) {
    const std::uint32_t kind = input[0];
    const std::uint32_t age = input[1];
    const std::size_t size = std::min(input[2] + std::size_t{256} * input[3], input.size() - 4);
    const auto payload = std::as_bytes(input.subspan(4, size));
    const std::uint64_t begins = 0x314e52554f4a5652;
    const std::uint64_t length = size;
    const std::uint64_t check = checksum(payload, std::uint64_t{age} << 32U | kind);
    put(journal, &begins, sizeof(begins));
    put(journal, &kind, sizeof(kind));
    put(journal, &age, sizeof(age));
    put(journal, &length, sizeof(length));
    put(journal, &check, sizeof(check));
    put(journal, payload.data(), payload.size());
    while (journal.size() % 8 != 0) journal.push_back(std::byte{0});
    input = input.subspan(4 + size);
  }
  return journal;
}

void add(test::MemoryDisk& disk, const std::string& name, std::vector<std::byte> bytes) {
  const auto file = disk.create("d/" + name);
  file->append(bytes);
  file->sync();
}

// What a job would find: the value of each key, or how it failed.
using Found = std::map<std::pair<std::uint64_t, std::uint64_t>, std::pair<bool, std::vector<std::byte>>>;

// Nothing where this is no checkpoint.
std::optional<Found> found_in(test::MemoryDisk& disk) {
  try {
    Survey survey(disk, "d");
    Found found;
    survey.each([&found](const Known& known) {
      const std::vector<std::byte> value = known.value();
      if (known.counts && known.callable != nullptr)
        found[{known.finished.key.high, known.finished.key.low}] = {known.finished.failed, value};
    });
    return found;
  } catch (const rankview::UsageError&) {
    return std::nullopt;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Input input(data + 1, size - 1);
  const bool frames = (*data & 2U) != 0;
  const auto journal = [frames](Input bytes) { return frames ? framed(bytes) : raw(bytes); };
  test::MemoryDisk disk;
  if ((*data & 1U) == 0) {
    add(disk, "a.journal", journal(input));
  } else {
    add(disk, "a.journal", journal(input.first(input.size() / 2)));
    add(disk, "b.journal", journal(input.subspan(input.size() / 2)));
  }
  // A directory, whatever becomes of these.
  disk.create("d/in-use");
  const auto before = found_in(disk);
  if (!before) return 0;
  try {
    static_cast<void>(compact(disk, "d", {.host = "here", .process = 1, .began = 5, .program = "fuzzer"}));
  } catch (const rankview::UsageError&) {
    return 0;
  }
  const auto after = found_in(disk);
  expect(after.value_or(Found()) == *before, "what was found is found when the journals have been made one");
  return 0;
}
