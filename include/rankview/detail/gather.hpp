// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/collective_call.hpp>

#include <algorithm>
#include <iterator>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// gather: the parts that the engines hold become one vector on rank 0.
namespace rankview::inline abi_0_1::detail {

// Elements that travel as they lie in memory: MPI_Igatherv, from the engines' variables into the result.
template <class T>
struct Gather {
  static void run(Invocation& invocation) {
    Group& group = *invocation.group;
    const std::string name(invocation.arguments.text());
    auto deal = load<Deal>(invocation.arguments);
    const std::span<const T> elements = elements_of<T>(group, name);
    deal.total = group.agree(elements.size());
    group.gather(elements.data(), elements.size(), deal);
  }
};

template <class T>
class Gathered final : public Results<std::vector<T>> {
 public:
  void grow(std::uint64_t, std::uint64_t) override {}
  void load(std::uint64_t, Reader&) override {}
  std::byte* room(std::uint64_t count) override {
    std::vector<T>& whole = this->slot(0);
    whole.resize(static_cast<std::size_t>(count));
    return reinterpret_cast<std::byte*>(whole.data());
  }
};

// Into memory of the caller's.
template <class T>
class GatheredInto final : public Results<void> {
 public:
  explicit GatheredInto(std::span<T> into) : into_(into) {}
  std::byte* room(std::uint64_t count) override {
    if (count != into_.size())
      throw UsageError(root->what + ": there are " + std::to_string(count) + " elements on the engines, and room for " +
                       std::to_string(into_.size()));
    return reinterpret_cast<std::byte*>(into_.data());
  }

 private:
  std::span<T> into_;
};

// Elements that must be encoded: each engine returns its part.
template <class T>
struct GatherEncoded {
  static_assert(std::is_copy_constructible_v<T>,
                "rankview: gather() wants elements that can be copied; what is gathered stays where it is");

  static void run(Invocation& invocation) {
    const std::string name(invocation.arguments.text());
    Variables& vars = this_engine::vars();
    // A copy, since the next task may change the variable before what is long has left.
    const T* const one = vars.find<T>(name);
    give_result(invocation, one != nullptr ? std::vector<T>(1, *one) : std::vector<T>(vars.get<std::vector<T>>(name)));
  }
};

template <class T>
class GatheredParts final : public Results<std::vector<T>> {
 public:
  explicit GatheredParts(Distribution dist) : dist_(dist) { this->completes = true; }
  void grow(std::uint64_t count, std::uint64_t) override { parts_.resize(count); }
  void load(std::uint64_t item, Reader& in) override { parts_[item] = codec<std::vector<T>>::load(in); }
  void discard() noexcept override {
    parts_.clear();
    Results<std::vector<T>>::discard();
  }

  void complete() override {
    std::vector<std::uint64_t> sizes;
    for (const auto& part : parts_) sizes.push_back(part.size());
    if (dist_ == round_robin) check_round_robin(this->root->what, sizes);
    std::vector<T>& whole = this->slot(0);
    whole.reserve(static_cast<std::size_t>(std::accumulate(sizes.begin(), sizes.end(), std::uint64_t{0})));
    if (dist_ == block) {
      for (auto& part : parts_) std::move(part.begin(), part.end(), std::back_inserter(whole));
    } else {
      for (std::size_t i = 0; !parts_.empty() && i < parts_.front().size(); ++i) {
        for (auto& part : parts_) {
          if (i < part.size()) whole.push_back(std::move(part[i]));
        }
      }
    }
    parts_.clear();
  }

 private:
  Distribution dist_;
  std::vector<std::vector<T>> parts_;  // by engine
};

template <class T, class C>
void submit_gather(const std::shared_ptr<C>& call, const Caller& caller, std::string_view name, Layout layout) {
  call->root.edit().what = quoted("gather", name);
  call->root.edit().deal = {0, sizeof(T), layout.dist};
  submit_verb(call, caller, name, call->root->deal);
}

template <class T>
std::shared_ptr<Results<std::vector<T>>> gather(const Caller& caller, std::string_view name, Layout layout) {
  if constexpr (Bulk<T>) {
    auto call = new_collective<Gather<T>, Gathered<T>>(caller, RootPart::Kind::gather);
    submit_gather<T>(call, caller, name, layout);
    return call;
  } else {
    auto call = make_call<GatheredParts<T>>(layout.dist);
    prepare_verb_call<GatherEncoded<T>>(*call, caller);
    call->root.edit().what = quoted("gather", name);
    submit_verb(call, caller, name);
    return call;
  }
}

template <class T>
std::shared_ptr<Results<void>> gather_into(const Caller& caller, std::string_view name, std::span<T> into, Layout layout) {
  static_assert(Bulk<T>, "rankview: gather_into() wants elements that can be copied as bytes; use gather()");
  auto call = make_call<GatheredInto<T>>(into);
  prepare_collective<Gather<T>>(*call, caller, RootPart::Kind::gather);
  submit_gather<T>(call, caller, name, layout);
  return call;
}

}  // namespace rankview::detail
