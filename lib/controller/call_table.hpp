// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/slab.hpp"

#include <rankview/detail/handle.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

namespace rankview::inline abi_0_1::detail {

// Calls by number. Numbers are given in turn, so those of about the same time lie side by side, in pages, and these in slabs, so that a
// million calls are a few thousand pages of memory. Does not own the calls; slots stay where they are.
//
// Cost: constant. Memory: 16 bytes for each call where all stay, a page for each that stays alone; slabs are kept to the end.
class CallTable {
 public:
  // Numbers only grow.
  CallSlot& add(std::uint64_t id, Call& call) {
    if (newest_ == nullptr || newest_number_ != id / page_size) turn_page(id / page_size);
    ++newest_->used;
    CallSlot& slot = newest_->slots[id % page_size];
    slot.call = &call;
    return slot;
  }

  // Null if there is none of that number.
  [[nodiscard]] Call* find(std::uint64_t id) const {
    const Page* const at = page(id / page_size);
    return at == nullptr ? nullptr : at->slots[id % page_size].call;
  }

  void remove(std::uint64_t id) {
    Page* const at = page(id / page_size);
    if (at == nullptr || at->slots[id % page_size].call == nullptr) return;
    at->slots[id % page_size].call = nullptr;
    if (--at->used == 0 && at != newest_) drop(id / page_size, at);
  }

  // Calls must not be added or removed meanwhile.
  template <class F>
  void for_each(F f) const {
    for (const auto& [number, page] : pages_) {
      for (const CallSlot& slot : page->slots) {
        if (slot.call != nullptr) f(*slot.call);
      }
    }
  }

 private:
  static constexpr std::uint64_t page_size = 64;
  struct Page {
    std::array<CallSlot, page_size> slots{};
    std::uint64_t used = 0;
  };

  // The page of a number, which is then the last one looked up.
  Page* page(std::uint64_t number) const {
    if (last_ == nullptr || last_number_ != number) {
      const auto found = pages_.find(number);
      if (found == pages_.end()) return nullptr;
      last_ = found->second;
      last_number_ = number;
    }
    return last_;
  }

  // The next call is the first of another page.
  void turn_page(std::uint64_t number) {
    if (newest_ != nullptr && newest_->used == 0) drop(newest_number_, newest_);
    newest_ = new_page();
    newest_number_ = number;
    pages_.emplace(number, newest_);
  }

  void drop(std::uint64_t number, Page* page) {
    free_.push_back(page);
    pages_.erase(number);
    if (last_ == page) last_ = nullptr;
  }

  Page* new_page() {
    if (!free_.empty()) {
      Page* const page = free_.back();
      free_.pop_back();
      return std::construct_at(page);
    }
    if (slabs_.empty() || begun_ == controller::slab_bytes / sizeof(Page)) {
      slabs_.push_back(controller::new_slab(!slabs_.empty()));
      begun_ = 0;
    }
    return std::construct_at(static_cast<Page*>(slabs_.back().get()) + begun_++);
  }

  std::vector<controller::Slab> slabs_;
  std::size_t begun_ = 0;                           // pages of the last slab that were ever in use
  std::vector<Page*> free_;                         // those that no longer are
  std::unordered_map<std::uint64_t, Page*> pages_;  // in use
  Page* newest_ = nullptr;
  std::uint64_t newest_number_ = 0;
  mutable Page* last_ = nullptr;
  mutable std::uint64_t last_number_ = 0;
};

}  // namespace rankview::detail
