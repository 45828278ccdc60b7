// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/collective_call.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

// push: a value becomes a variable of each engine. What is short travels with the call, what is long is broadcast.
namespace rankview::inline abi_0_1::detail {

// A vector or string whose elements are broadcast from the caller's memory into the engines' own: MPI_Ibcast.
template <class V>
struct PushBlock {
  static void run(Invocation& invocation) {
    const std::string name(invocation.arguments.text());
    const auto count = load<std::uint64_t>(invocation.arguments);
    Destination<V> to(*invocation.group, name, count);
    invocation.group->agree(count);
    invocation.group->broadcast(to.data(), count * sizeof(typename V::value_type));
    to.commit();
  }
};

// Reads a variable into its place.
template <class T>
void load_variable(std::string_view name, Reader& in) {
  this_engine::vars().put(name, variable_type<T>, load_shared<T>(in));
}

// Anything else that is long, in its encoded form.
template <class T>
struct PushEncoded {
  static void run(Invocation& invocation) {
    const std::string name(invocation.arguments.text());
    const auto size = load<std::uint64_t>(invocation.arguments);
    auto& bytes = kept_value(*invocation.group, Buffer());
    bytes.extend(static_cast<std::size_t>(size));
    invocation.group->agree(size);
    invocation.group->broadcast(bytes.data(), size);
    Reader in(bytes.bytes(), Flat());
    load_variable<T>(name, in);
  }
};

// What fits into the message.
template <class T>
struct PushShort {
  static void run(Invocation& invocation) {
    const std::string name(invocation.arguments.text());
    load_variable<T>(name, invocation.arguments);
  }
};

template <class V>
// NOLINTNEXTLINE(performance-unnecessary-value-param): it is moved from
std::shared_ptr<Results<void>> push_block(const Caller& caller, std::string_view name, const V& value, std::shared_ptr<const void> kept) {
  auto call = new_collective<PushBlock<V>, Results<void>>(caller, RootPart::Kind::broadcast);
  call->root.edit().from = reinterpret_cast<const std::byte*>(value.data());
  call->root.edit().kept = std::move(kept);
  call->root.edit().deal = {value.size() * sizeof(typename V::value_type), 1, block};
  submit_verb(call, caller, name, static_cast<std::uint64_t>(value.size()));
  return call;
}

template <class T>
std::shared_ptr<Results<void>> push_encoded(const Caller& caller, std::string_view name, const T& value) {
  Writer encoded;
  encoded.flat = true;
  codec<T>::save(encoded, value);
  if (encoded.bytes.size() < attach_bytes) {
    auto call = make_call<Results<void>>();
    prepare_verb_call<PushShort<T>>(*call, caller);
    Submission submission(call, std::nullopt);
    Writer& out = submission.begin_item(0);
    out.text(name);
    out.raw(encoded.bytes.data(), encoded.bytes.size());
    submission.end_item();
    submission.finish(caller.unattended);
    return call;
  }
  auto call = new_collective<PushEncoded<T>, Results<void>>(caller, RootPart::Kind::broadcast);
  const auto kept = std::make_shared<const Buffer>(std::move(encoded.bytes));
  call->root.edit().from = kept->data();
  call->root.edit().deal = {kept->size(), 1, block};
  call->root.edit().kept = kept;
  submit_verb(call, caller, name, static_cast<std::uint64_t>(kept->size()));
  return call;
}

template <class A>
std::shared_ptr<Results<void>> push(const Caller& caller, Lifetime lifetime, std::string_view name, A&& value) {
  using T = wire_t<A, Deduced>;
  if constexpr (!std::is_same_v<unborrowed_t<A>, std::remove_cvref_t<A>>) {
    return push(caller, Lifetime::call, name, *value.value);
  } else if constexpr (is_view<std::remove_cvref_t<A>>::value) {
    return push(caller, Lifetime::result, name, T(value.begin(), value.end()));
  } else if constexpr (!std::is_same_v<std::remove_cvref_t<A>, T>) {
    return push(caller, Lifetime::result, name, T(std::forward<A>(value)));
  } else {
    if constexpr (is_block<T>::value) {
      if (value.size() * sizeof(typename T::value_type) >= attach_bytes) {
        if (lifetime == Lifetime::call) return push_block<T>(caller, name, value, nullptr);
        const auto kept = std::make_shared<const T>(std::forward<A>(value));
        return push_block<T>(caller, name, *kept, kept);
      }
    }
    return push_encoded<T>(caller, name, value);
  }
}

}  // namespace rankview::detail
