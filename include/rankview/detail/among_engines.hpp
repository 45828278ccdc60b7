// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/collective_call.hpp>

#include <algorithm>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// What the engines of a view do among themselves: rank 0 only takes the vote.
namespace rankview::inline abi_0_1::detail {

struct Barrier {
  static void run(Invocation& invocation) { invocation.group->barrier(); }
};

inline std::shared_ptr<Results<void>> barrier(const Caller& caller) {
  auto call = new_collective<Barrier, Results<void>>(caller, RootPart::Kind::none);
  submit_verb(call, caller);
  return call;
}

// Everybody's elements, everywhere, in target order. Two rounds of voting: how much there is in all is known after the first.
template <class T>
struct Allgather {
  static void run(Invocation& invocation) {
    Group& group = *invocation.group;
    const std::string name(invocation.arguments.text());
    const std::string into(invocation.arguments.text());
    auto& counts = kept_value(group, std::vector<std::uint64_t>(group.size()));
    if constexpr (Bulk<T>) {
      const std::span<const T> own = elements_of<T>(group, name);
      Destination<std::vector<T>> to(group, into, group.agree(own.size()), into != name);
      group.agree(0);
      group.allgather_counts(own.size(), counts);
      group.allgather(own.data(), to.data(), counts, sizeof(T));
      to.commit();
    } else {
      auto& own = kept_value(group, Writer());
      own.flat = true;
      Variables& vars = this_engine::vars();
      if (const T* const one = vars.find<T>(name)) {
        own.value(std::uint64_t{1});
        codec<T>::save(own, *one);
      } else {
        codec<std::vector<T>>::save(own, vars.get<std::vector<T>>(name));
      }
      auto& all = kept_value(group, Buffer());
      all.extend(static_cast<std::size_t>(group.agree(own.bytes.size())));
      group.agree(0);
      group.allgather_counts(own.bytes.size(), counts);
      group.allgather(own.bytes.data(), all.data(), counts, 1);
      std::vector<T> whole;
      Reader in(all.bytes(), Flat());
      for (std::size_t i = 0; i < counts.size(); ++i) {
        auto part = codec<std::vector<T>>::load(in);
        std::move(part.begin(), part.end(), std::back_inserter(whole));
      }
      vars.set(into, std::move(whole));
    }
  }
};

template <class T>
std::shared_ptr<Results<void>> allgather(const Caller& caller, std::string_view name, std::string_view into) {
  auto call = new_collective<Allgather<T>, Results<void>>(caller, RootPart::Kind::attend);
  call->root.edit().rounds = 2;
  call->root.edit().what = quoted("allgather", name);
  submit_verb(call, caller, name, into);
  return call;
}

// One engine's variable, on all of the view. Only that engine knows its type, and says where the others find the code for it.
struct Broadcast {
  static void run(Invocation& invocation) {
    Group& group = *invocation.group;
    const std::string name(invocation.arguments.text());
    const auto source = static_cast<std::size_t>(load<std::uint64_t>(invocation.arguments));
    Variables& vars = this_engine::vars();
    auto& value = kept_value(group, Writer());
    value.flat = true;
    const bool mine = group.index() == source;
    if (mine) {
      const Variables::Variable& variable = vars.raw(name);
      if (variable.type->save == nullptr)
        throw UsageError("variable \"" + name + "\" is of a type that is not known to be sendable, so it cannot be broadcast");
      value.value(code_address(variable.type));
      variable.type->save(value, variable.value.get());
    }
    const std::uint64_t size = group.agree(value.bytes.size());
    if (!mine) value.bytes.extend(static_cast<std::size_t>(size));
    group.agree(0);
    group.share(value.bytes.data(), size, source);
    if (mine) return;
    Reader in(value.bytes.bytes(), Flat());
    const auto* const type = static_cast<const VariableType*>(local_address(in.value<CodeAddress>()));
    vars.put(name, *type, type->load(in));
  }
};

inline std::shared_ptr<Results<void>> broadcast(const Caller& caller, int from, std::string_view name) {
  const auto found = std::find(caller.engines.begin(), caller.engines.end(), from);
  if (found == caller.engines.end())
    throw UsageError(quoted("broadcast", name) + ": engine " + std::to_string(from) + " is not one of the view's");
  auto call = new_collective<Broadcast, Results<void>>(caller, RootPart::Kind::attend);
  call->root.edit().rounds = 2;
  call->root.edit().what = quoted("broadcast", name);
  submit_verb(call, caller, name, static_cast<std::uint64_t>(found - caller.engines.begin()));
  return call;
}

}  // namespace rankview::detail
