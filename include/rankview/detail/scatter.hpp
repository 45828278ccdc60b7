// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/collective_call.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// scatter: the parts of a range become a variable of the engines.
namespace rankview::inline abi_0_1::detail {

// Elements that travel as they lie in memory: MPI_Iscatterv, from the caller's memory into the engines' vectors.
template <class T>
struct Scatter {
  static void run(Invocation& invocation) {
    Group& group = *invocation.group;
    const std::string name(invocation.arguments.text());
    const auto deal = load<Deal>(invocation.arguments);
    const bool flatten = load<bool>(invocation.arguments);
    if (flatten) {
      T& element = kept_value(group, T());
      group.agree(1);
      group.scatter(&element, deal);
      this_engine::vars().set(name, element);
      return;
    }
    const std::uint64_t count = part_size(deal.total, group.size(), group.index());
    Destination<std::vector<T>> to(group, name, count);
    group.agree(count);
    group.scatter(to.data(), deal);
    to.commit();
  }
};

// Elements that must be encoded: each engine has its part among the arguments of its task.
template <class T>
struct ScatterEncoded {
  static void run(Invocation& invocation) {
    const std::string name(invocation.arguments.text());
    const bool flatten = load<bool>(invocation.arguments);
    auto part = load<std::vector<T>>(invocation.arguments);
    invocation.await_attachments();
    invocation.group->agree(part.size());
    if (flatten) {
      this_engine::vars().set(name, T(std::move(part.front())));
    } else {
      this_engine::vars().set(name, std::move(part));
    }
  }
};

template <class Range>
std::shared_ptr<Results<void>> scatter(const Caller& caller, Lifetime lifetime, std::string_view name, Range&& range, Layout layout) {
  const Contiguous<Range> source(range, lifetime);
  using T = typename Contiguous<Range>::Value;
  const std::size_t parts = caller.engines.size();
  const std::size_t total = source.size();
  if (parts == 0 && total != 0)
    throw UsageError(quoted("scatter", name) + ": the view has no engines for its " + std::to_string(total) + " elements");
  if (layout.flatten && total != parts)
    throw UsageError(quoted("scatter", name) + " with flatten: there must be one element for each engine, and there are " +
                     std::to_string(total) + " for " + std::to_string(parts));
  if constexpr (Contiguous<Range>::bulk) {
    auto call = new_collective<Scatter<T>, Results<void>>(caller, RootPart::Kind::scatter);
    call->root.edit().from = reinterpret_cast<const std::byte*>(source.elements.data());
    call->root.edit().kept = source.kept;
    call->root.edit().deal = {total, sizeof(T), layout.dist};
    submit_verb(call, caller, name, call->root->deal, layout.flatten);
    return call;
  } else {
    auto call = new_collective<ScatterEncoded<T>, Results<void>>(caller, RootPart::Kind::attend);
    call->root.edit().kept = source.kept;  // what is long is not copied into the messages
    call->same_arguments = false;
    Submission submission(call, parts);
    for (std::size_t part = 0; part < parts; ++part) {
      Writer& out = submission.begin_item(0);
      out.text(name);
      save(out, layout.flatten);
      const std::uint64_t count = part_size(total, parts, part);
      out.value(count);
      const SessionOf<T> session(out);
      for (std::uint64_t i = 0; i < count; ++i)
        source.save(out, layout.dist == block ? part_begin(total, parts, part) + i : part + i * parts);
      submission.end_item();
    }
    submission.finish(caller.unattended);
    return call;
  }
}

}  // namespace rankview::detail
