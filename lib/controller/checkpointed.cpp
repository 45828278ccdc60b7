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

#include <span>
#include <utility>

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

}  // namespace

void note_failure(const Checkpointed& call, std::uint64_t item, const std::string& why) {
  // What was not submitted to its end has no key.
  if (item < call.keys.size()) call.in->add_failure(call.callable, call.keys[item], why);
}

std::uint64_t seed_of(const checkpoint::Callable& as, std::span<const std::byte> state) {
  Writer out;
  out.text(key_scheme);
  out.text(as.name);
  out.text(as.version);
  out.raw(state.data(), state.size());
  return checkpoint::checksum(out.bytes.bytes());
}

checkpoint::Key key_of(const Writer& arguments, const Writer::Mark& mark, std::size_t skipped, std::uint64_t seed) {
  checkpoint::Key key = checkpoint::key_of(arguments.bytes.bytes().subspan(mark.bytes + skipped), seed);
  for (std::size_t i = mark.attachments; i < arguments.attachments.size(); ++i) {
    const Attachment& attached = arguments.attachments[i];
    const checkpoint::Key both[] = {key, checkpoint::key_of({attached.data, attached.size}, seed)};
    key = checkpoint::key_of(std::as_bytes(std::span(both)), attached.size);
  }
  return key;
}

void set_checkpoint(Call& call, const Flags& flags, const CalledAs& as) {
  Checkpointed checkpointed;
  checkpointed.as = name_of(call, as);
  checkpointed.as.version = flags.version;
  checkpointed.as.result = engine::type_name(as.result);
  if (as.result_bytes != 0) checkpointed.as.result += " of " + std::to_string(as.result_bytes) + " bytes";
  checkpointed.seed = seed_of(checkpointed.as, call.function.object->bytes.bytes());
  checkpointed.strict = flags.durable == Durable::strict;
  checkpointed.retry_failed = flags.retry_failed;
  call.controller->checkpoints().tell_apart(checkpointed.as, as.callable, call.function.code);
  checkpointed.in = call.controller->checkpoints().open(flags.checkpoint);
  checkpointed.callable = checkpointed.in->enlist(checkpointed.as);
  if (checkpointed.strict) checkpointed.in->hurry();
  call.life().more.edit().checkpointed.edit() = std::move(checkpointed);
  call.life().checkpointed = true;
}

}  // namespace rankview::detail
