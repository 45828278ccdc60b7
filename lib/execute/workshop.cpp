// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "execute/workshop.hpp"

#include "engine/type_name.hpp"
#include "execute/diagnostics.hpp"
#include "execute/prelude.hpp"

#include <rankview/detail/caught.hpp>
#include <rankview/errors.hpp>

#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <exception>
#include <thread>
#include <utility>

namespace rankview::execute {
namespace {

// Engines may outlive a cluster and know code of another one.
std::uint64_t new_workshop_number() {
  const auto time = static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  return time * 0x9e3779b97f4a7c15U ^ static_cast<std::uint64_t>(::getpid());
}

void finish(detail::Local<CompiledCode>& call, CompiledCode code) {
  if (!detail::enter_local(call)) return;
  call.put(std::move(code));
  detail::end_local(call, nullptr);
}

}  // namespace

Workshop::Workshop(std::unique_ptr<Compiler> compiler, const std::string& include)
    : compiler_(std::move(compiler)), number_(new_workshop_number()) {
  if (!include.empty()) library_.begin_with(include);
}

std::shared_ptr<SourceRequest> Workshop::add(detail::SourceText source, std::vector<int> engines, bool ships) {
  auto request = std::make_shared<SourceRequest>(std::move(source), std::move(engines), ships);
  request->workshop = shared_from_this();
  const std::lock_guard guard(mutex_);
  if (!request->code.unbalanced().empty()) return request;
  request->added = library_.add(request->source.file, request->code);
  request->names = names_to_ask({request->source.file, request->code, request->added.block, ""}, library_);
  return request;
}

void Workshop::compile(std::shared_ptr<SourceRequest> request, std::vector<NamedType> variables, CompiledCall into) {
  CompiledCode code;
  {
    const std::lock_guard guard(mutex_);
    if (working_ || !deliver_known(*request, variables, code)) {
      jobs_.push_back({std::move(request), std::move(variables), std::move(into)});
      if (std::exchange(working_, true)) return;
      try {
        std::thread([self = shared_from_this()] { self->work(); }).detach();
      } catch (...) {
        working_ = false;
        jobs_.pop_back();
        throw;
      }
      return;
    }
  }
  finish(*into, std::move(code));
}

// Under the lock: whether it has been compiled, as far as that is soon seen, since others may wait for the calling thread.
bool Workshop::deliver_known(SourceRequest& request, const std::vector<NamedType>& variables, CompiledCode& code) {
  constexpr std::size_t much = 64 * 1024;
  if (kept_.empty() || request.source.text.size() > much) return false;
  try {
    const auto known = kept_.find(write(request, variables).identity);
    if (known == kept_.end()) return false;
    code = deliver(request, known->second);
    return true;
  } catch (const CompileError&) {
    // Told in its turn.
    return false;
  }
}

void Workshop::work() {
  while (true) {
    Job job;
    {
      const std::lock_guard guard(mutex_);
      if (jobs_.empty()) {
        working_ = false;
        return;
      }
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    CompiledCode code;
    try {
      code = make(*job.request, job.variables);
    } catch (...) {
      code.error = detail::caught();
    }
    finish(*job.into, std::move(code));
  }
}

Program Workshop::write(const SourceRequest& request, const std::vector<NamedType>& variables) const {
  const std::string result = request.source.result == nullptr ? "" : engine::type_name(*request.source.result);
  return program_of({request.source.file, request.code, request.added.block, result}, library_, variables);
}

CompiledCode Workshop::make(SourceRequest& request, const std::vector<NamedType>& variables) {
  Program program;
  {
    const std::lock_guard guard(mutex_);
    try {
      program = write(request, variables);
    } catch (...) {
      library_.forget(request.added);
      throw;
    }
    if (const auto known = kept_.find(program.identity); known != kept_.end()) return deliver(request, known->second);
  }
  Compiler::Result compiled = compiler_->compile(prelude(), program.text);
  const std::lock_guard guard(mutex_);
  if (compiled.library.empty()) {
    library_.forget(request.added);
    auto errors = errors_in(compiled.said, request.source.file);
    if (errors.empty()) throw CompileError("the code does not compile: " + compiled.said);
    throw CompileError(std::move(errors));
  }
  auto fresh = std::make_shared<Kept>();
  fresh->number = kept_.size() + 1;
  fresh->bytes = std::move(compiled.library);
  kept_[program.identity] = fresh;
  return deliver(request, fresh);
}

// Under the lock.
CompiledCode Workshop::deliver(SourceRequest& request, const std::shared_ptr<Kept>& kept) {
  request.kept = kept;
  CompiledCode code;
  code.key[0] = number_;
  code.key[1] = kept->number;
  code.arguments = request.source.arguments;
  const bool all_have_it =
      std::all_of(request.engines.begin(), request.engines.end(), [&kept](int id) { return kept->holders.contains(id); });
  if (request.ships || !all_have_it) code.bytes = kept->bytes;
  return code;
}

void Workshop::note_holders(SourceRequest& request, const std::vector<int>& engines) {
  if (request.ships) return;
  const std::lock_guard guard(mutex_);
  if (request.kept != nullptr) request.kept->holders.insert(engines.begin(), engines.end());
}

}  // namespace rankview::execute
