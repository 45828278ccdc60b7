// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "checkpoint/key.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace rankview::checkpoint {

// Where the entry of a key lies.
struct Place {
  static constexpr std::uint64_t offset_bits = 48;
  static constexpr std::uint64_t journal_bits = 15;

  std::uint32_t journal = 0;
  std::uint64_t offset = 0;
  bool failed = false;  // it is a failure's
};

// Finds places by keys, of which it keeps a half: whoever is given a place looks at the entry there for the rest. 16 bytes a key, and as
// much again at most for room (open addressing with linear probing; Knuth, TAOCP 3, 6.4). In sixteen tables, of which one is copied at a
// time when it grows.
class Index {
 public:
  // A key whose half is there already stays where it was, unless that has failed and this has not.
  void add(const Key& key, const Place& place) {
    Table& table = tables_[table_of(key)];
    if ((table.count + 1) * 4 > table.slots.size() * 3) grow(table.slots);
    Slot& slot = table.slots[slot_of(table.slots, key.low)];
    if (slot.place == 0) {
      slot.low = key.low;
      ++table.count;
    } else if (!unpacked(slot.place).failed || place.failed) {
      return;
    }
    slot.place = packed(place);
  }
  // Has what is known of the key lie elsewhere, if that is of the same kind.
  void move(const Key& key, const Place& place) {
    Slots& slots = tables_[table_of(key)].slots;
    if (slots.empty()) return;
    Slot& slot = slots[slot_of(slots, key.low)];
    if (slot.place != 0 && unpacked(slot.place).failed == place.failed) slot.place = packed(place);
  }
  // Where it may lie. False if it is not there.
  bool find(const Key& key, Place& place) const {
    const Slots& slots = tables_[table_of(key)].slots;
    if (slots.empty()) return false;
    const Slot& slot = slots[slot_of(slots, key.low)];
    if (slot.place == 0) return false;
    place = unpacked(slot.place);
    return true;
  }

  [[nodiscard]] std::size_t size() const {
    std::size_t sum = 0;
    for (const Table& table : tables_) sum += table.count;
    return sum;
  }

 private:
  struct Slot {
    std::uint64_t low = 0;
    std::uint64_t place = 0;  // no entry lies at the beginning of a journal
  };
  using Slots = std::vector<Slot>;
  struct Table {
    Slots slots;  // a power of two of them, or none
    std::size_t count = 0;
  };

  static std::size_t table_of(const Key& key) { return key.low >> 60U; }
  static std::uint64_t packed(const Place& place) {
    return std::uint64_t{place.failed ? 1U : 0U} << 63 | std::uint64_t{place.journal} << Place::offset_bits | place.offset;
  }
  static Place unpacked(std::uint64_t place) {
    return {static_cast<std::uint32_t>(place >> Place::offset_bits & ((1U << Place::journal_bits) - 1)),
            place & ((std::uint64_t{1} << Place::offset_bits) - 1), place >> 63 != 0};
  }
  // The slot of a key, or the free one that it would get. Keys are hashes already.
  static std::size_t slot_of(const Slots& slots, std::uint64_t low) {
    const std::size_t mask = slots.size() - 1;
    std::size_t at = static_cast<std::size_t>(low) & mask;
    while (slots[at].place != 0 && slots[at].low != low) at = (at + 1) & mask;
    return at;
  }
  static void grow(Slots& slots) {
    Slots larger(slots.empty() ? 64 : slots.size() * 2);
    for (const Slot& slot : slots) {
      if (slot.place != 0) larger[slot_of(larger, slot.low)] = slot;
    }
    slots = std::move(larger);
  }

  std::array<Table, 16> tables_;  // by the highest bits
};

}  // namespace rankview::checkpoint
