// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "scheduler/terms.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <utility>
#include <vector>

// Work that waits.
namespace rankview::scheduler {

// Work that several engines are handed at once; it stands in the queue of each for what only that engine may run (gang scheduling;
// Ousterhout, Scheduling techniques for concurrent systems, ICDCS 1982).
struct Gang {
  std::vector<int> engines;
  std::size_t ready = 0;  // engines whose turn it is
};

// Pending items [first, first + count) of a call, and how far they were handed out.
struct Entry {
  SharedTerms terms;
  std::uint64_t call = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::uint64_t chunks = 0;
  std::uint64_t chunk = 0;  // next to hand out
  std::shared_ptr<Gang> gang{};

  // Where a chunk begins.
  [[nodiscard]] std::uint64_t boundary(std::uint64_t chunk_index) const {
    if (chunks == count) return first + chunk_index;
    const std::uint64_t size = count / chunks;
    const std::uint64_t longer = count % chunks;
    return first + chunk_index * size + std::min(chunk_index, longer);
  }
  [[nodiscard]] std::uint64_t end() const { return first + count; }
  [[nodiscard]] std::uint64_t left() const { return end() - boundary(chunk); }
  [[nodiscard]] bool over() const { return chunk == chunks; }
  // Whether it is still to be handed out.
  [[nodiscard]] bool has(std::uint64_t item) const { return !over() && boundary(chunk) <= item && item < end(); }
  // Takes an item out that it has: gives what is left behind it, or of chunks, which stay whole but for that item, all that is left.
  std::vector<Entry> cut_out(std::uint64_t item);
  // By call, and within a call by what comes next of it. Since no two have an item in common, handing out does not change it.
  [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> place() const { return {call, boundary(chunk)}; }
};

// The entries of a queue, in order of calls except where bound to one engine. Mostly they come in that order; those that do not, such as
// calls that have waited for others, stand apart, so that each costs a logarithm of their number.
class Entries {
 public:
  [[nodiscard]] bool empty() const { return in_order_.empty() && late_.empty(); }
  Entry& front() { return late_first() ? const_cast<Entry&>(*late_.begin()) : in_order_.front(); }
  [[nodiscard]] const Entry& front() const { return const_cast<Entries*>(this)->front(); }
  void pop_front() {
    if (late_first()) {
      late_.erase(late_.begin());
    } else {
      in_order_.pop_front();
    }
  }
  // Those at the front that are over.
  void skip_over() {
    while (!empty() && front().over()) pop_front();
  }
  void clear() {
    in_order_.clear();
    late_.clear();
  }
  // The one that came last of those that came in order, null if there is none.
  Entry* last() { return in_order_.empty() ? nullptr : &in_order_.back(); }
  void append(Entry entry) { in_order_.push_back(std::move(entry)); }
  void insert(Entry entry) {
    if (in_order_.empty() || in_order_.back().place() <= entry.place()) {
      in_order_.push_back(std::move(entry));
    } else {
      late_.insert(std::move(entry));
    }
  }
  template <class F>
  void for_each(F f) {
    for (Entry& entry : in_order_) f(entry);
    for (const Entry& entry : late_) f(const_cast<Entry&>(entry));
  }
  template <class F>
  void for_each(F f) const {
    for (const Entry& entry : in_order_) f(entry);
    for (const Entry& entry : late_) f(entry);
  }
  // Those of one call, where they are in order of calls.
  template <class F>
  void for_each_of(std::uint64_t call, F f) {
    auto entry = std::lower_bound(in_order_.begin(), in_order_.end(), call,
                                  [](const Entry& there, std::uint64_t wanted) { return there.call < wanted; });
    for (; entry != in_order_.end() && entry->call == call; ++entry) f(*entry);
    Entry first;
    first.call = call;
    for (auto late = late_.lower_bound(first); late != late_.end() && late->call == call; ++late) f(const_cast<Entry&>(*late));
  }
  // Cuts an item of a call out of the entry that has it.
  bool cut_out(std::uint64_t call, std::uint64_t item);
  template <class F>
  void erase_if(F f) {
    std::erase_if(in_order_, f);
    std::erase_if(late_, f);
  }

 private:
  [[nodiscard]] bool late_first() const {
    return in_order_.empty() || (!late_.empty() && late_.begin()->place() < in_order_.front().place());
  }

  struct Earlier {
    bool operator()(const Entry& a, const Entry& b) const { return a.place() < b.place(); }
  };

  std::deque<Entry> in_order_;
  std::multiset<Entry, Earlier> late_;
};

}  // namespace rankview::scheduler
