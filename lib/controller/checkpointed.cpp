// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/checkpointed.hpp"

#include "checkpoint/checkpoint.hpp"
#include "controller/call_life.hpp"
#include "controller/controller.hpp"
#include "engine/type_name.hpp"
#include "isolation/symbols.hpp"

#include <rankview/detail/call.hpp>
#include <rankview/errors.hpp>
#include <rankview/flags.hpp>

#include <cstring>
#include <span>
#include <utility>
#include <vector>

// As what the items of a call are known in a checkpoint.
namespace rankview::inline abi_0_1::detail {
namespace {

// With it changes what keys mean.
constexpr std::string_view key_scheme = "rankview 1";

std::string name_of_function(const void* function) {
  std::string name = isolation::linker_name(function);
  if (name.empty())
    throw UsageError(
        "a checkpoint knows a function by its name, which the program does not have (it was stripped), or has for several (static "
        "functions "
        "of several files): call it from a function object");
  return name;
}

checkpoint::Callable name_of(const Call& call, const CalledAs& as) {
  checkpoint::Callable callable;
  if (call.function.code != nullptr) {
    callable.name = name_of_function(call.function.code);
  } else {
    callable.name = as.callable.name();
  }
  callable.shown = engine::type_name(callable.name.c_str());
  if (as.arguments != nullptr) {
    callable.name += std::string(" ") + as.arguments->name();
    callable.shown += " of " + engine::type_name(*as.arguments);
  }
  return callable;
}

// As void(int, std::string) is shown to people.
std::string parameter_list(const std::type_info& function) {
  const std::string name = engine::type_name(function);
  return name.substr(name.find('('));
}

// Of what a user's function identifies nobody needs to know how it is called.
std::string name_by(const KeyFunction& key, const CalledAs& as, const std::string& shown) {
  if (key.function().parameters() != as.travelling)
    throw UsageError("Flags::key is a function of " + parameter_list(key.function().parameters()) + ", and the arguments of " + shown +
                     " are " + parameter_list(as.travelling) + ": it has to take these");
  return std::string("key ") + key.function().result().name();
}

// What the user's function gives for arguments, encoded.
Buffer given_by(const ErasedKey& function, std::span<const std::byte> bytes, std::span<const Attachment> attachments) {
  std::vector<std::uint64_t> sizes;
  for (const Attachment& attached : attachments) sizes.push_back(attached.size);
  Claims claims(sizes);
  Reader in(bytes, &claims);
  const auto fetch = [&] {
    if (!in.done() || claims.places().size() != attachments.size()) throw DecodeError("the arguments of a task are not those of its key");
    for (std::size_t i = 0; i < attachments.size(); ++i) std::memcpy(claims.places()[i].data, attachments[i].data, attachments[i].size);
  };
  Writer out;
  out.flat = true;
  out.canonical = true;
  function.write(in, fetch, out);
  return std::move(out.bytes);
}

}  // namespace

void note_failure(const Checkpointed& call, std::uint64_t item, const std::string& why) {
  // What was not submitted to its end has no key.
  if (item < call.keys.size()) call.in->add_failure(call.callable, call.keys[item], why);
}

Keys::Keys(const Call& call, const checkpoint::Callable& as) : function_(call.life().more->checkpointed->key) {
  Writer out;
  out.text(key_scheme);
  out.text(as.name);
  out.text(as.version);
  if (!function_) {
    const Buffer& state = call.function.object->bytes;
    out.raw(state.data(), state.size());
  }
  seed_ = checkpoint::checksum(out.bytes.bytes());
}

checkpoint::Key Keys::of(const Writer& arguments, const Writer::Mark& mark, std::size_t skipped) const {
  const auto bytes = arguments.bytes.bytes().subspan(mark.bytes + skipped);
  const std::span attachments = std::span(arguments.attachments).subspan(mark.attachments);
  if (function_) return checkpoint::key_of(given_by(function_.function(), bytes, attachments).bytes(), seed_);
  checkpoint::Key key = checkpoint::key_of(bytes, seed_);
  for (const Attachment& attached : attachments) {
    const checkpoint::Key both[] = {key, checkpoint::key_of({attached.data, attached.size}, seed_)};
    key = checkpoint::key_of(std::as_bytes(std::span(both)), attached.size);
  }
  return key;
}

void set_checkpoint(Call& call, const Flags& flags, const CalledAs& as) {
  Checkpointed checkpointed;
  checkpointed.as = name_of(call, as);
  checkpointed.as.version = flags.version;
  checkpointed.key = flags.key;
  if (checkpointed.key) checkpointed.as.name = name_by(checkpointed.key, as, checkpointed.as.shown);
  checkpointed.as.result = engine::type_name(as.result);
  if (as.result_bytes != 0) checkpointed.as.result += " of " + std::to_string(as.result_bytes) + " bytes";
  checkpointed.strict = flags.durable == Durable::strict;
  checkpointed.retry_failed = flags.retry_failed;
  if (!checkpointed.key) call.controller->checkpoints().tell_apart(checkpointed.as, as.callable, call.function.code);
  checkpointed.in = call.controller->checkpoints().open(flags.checkpoint);
  checkpointed.callable = checkpointed.in->enlist(
      checkpointed.as,
      checkpointed.key ? "tasks whose key is of type " + engine::type_name(checkpointed.key.function().result()) : checkpointed.as.shown);
  if (checkpointed.strict) checkpointed.in->hurry();
  if (checkpointed.in->sharing() != nullptr) call.controller->share(checkpointed.in);
  call.life().more.edit().checkpointed.edit() = std::move(checkpointed);
  call.life().checkpointed = true;
  call.life().saves = true;
}

}  // namespace rankview::detail
