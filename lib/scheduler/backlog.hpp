// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "scheduler/fifo.hpp"
#include "scheduler/terms.hpp"

#include <boost/container/small_vector.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

// What an engine has in hand. What is called for each item that ends is here, so that it is inlined.
namespace rankview::scheduler {

// Items [first, first + count) of a call that an engine has, of one grant.
struct Assignment {
  SharedTerms terms;
  std::uint64_t call = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;

  [[nodiscard]] std::uint64_t end() const { return first + count; }
  [[nodiscard]] bool whole() const { return terms->in_chunks && count > 1; }
  // Nanoseconds of work; nothing if it is of unknown kind.
  [[nodiscard]] std::optional<double> time() const {
    if (terms->kind->samples == 0) return std::nullopt;
    return terms->kind->mean * static_cast<double>(count);
  }
  void cut(std::uint64_t from, std::uint64_t to) {
    first = from;
    count = to - from;
  }
};

// What an engine has in hand but for the oldest assignment, in the order in which it runs them.
//
// Cost: as of Fifo; time() is linear in the number of kinds.
class Backlog {
 public:
  [[nodiscard]] std::size_t size() const { return assignments_.size(); }
  [[nodiscard]] const Assignment& operator[](std::size_t i) const { return assignments_[i]; }
  // Nanoseconds of work; nothing if some of it is of unknown kind.
  [[nodiscard]] std::optional<double> time() const {
    double backlog = 0;
    for (const OfKind& of_kind : of_kinds_) {
      if (of_kind.kind->samples == 0) return std::nullopt;
      backlog += of_kind.kind->mean * static_cast<double>(of_kind.items);
    }
    return backlog;
  }
  [[nodiscard]] std::uint64_t items_of(const Duration& kind) const {
    const OfKind* const of_kind = find(kind);
    return of_kind == nullptr ? 0 : of_kind->items;
  }
  void insert(std::size_t i, Assignment assignment) {
    count(assignment);
    assignments_.insert(i, std::move(assignment));
  }
  Assignment take(std::size_t i) {
    discount(assignments_[i]);
    Assignment assignment = std::move(assignments_[i]);
    assignments_.erase(i);
    return assignment;
  }
  void cut(std::size_t i, std::uint64_t first, std::uint64_t end) {
    discount(assignments_[i]);
    assignments_[i].cut(first, end);
    count(assignments_[i]);
  }
  // Has the cache fetch it.
  void prefetch() const {
    __builtin_prefetch(&assignments_);
    __builtin_prefetch(&of_kinds_);
  }

 private:
  // Items of one kind.
  struct OfKind {
    const Duration* kind;
    std::uint64_t items;
  };

  [[nodiscard]] const OfKind* find(const Duration& kind) const {
    const auto found = std::find_if(of_kinds_.begin(), of_kinds_.end(), [&kind](const OfKind& of_kind) { return of_kind.kind == &kind; });
    return found == of_kinds_.end() ? nullptr : &*found;
  }

  void count(const Assignment& assignment) {
    if (auto* const known = const_cast<OfKind*>(find(*assignment.terms->kind)); known != nullptr) {
      known->items += assignment.count;
    } else {
      of_kinds_.push_back({assignment.terms->kind, assignment.count});
    }
  }

  void discount(const Assignment& assignment) {
    auto* const known = const_cast<OfKind*>(find(*assignment.terms->kind));
    known->items -= assignment.count;
    if (known->items != 0) return;
    *known = of_kinds_.back();
    of_kinds_.pop_back();
  }

  Fifo<Assignment> assignments_;
  boost::container::small_vector<OfKind, 1> of_kinds_;
};

}  // namespace rankview::scheduler
