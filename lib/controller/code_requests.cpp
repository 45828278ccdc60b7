// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/call_life.hpp"
#include "controller/controller.hpp"
#include "execute/workshop.hpp"

#include <rankview/detail/execute.hpp>
#include <rankview/errors.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

// What the templates of execute() and run() ask of rank 0.
namespace rankview::inline abi_0_1::detail {

void lane<CompiledCode>::save(Writer& out, const CompiledCode& code) {
  if (code.error != nullptr) std::rethrow_exception(code.error);
  out.value(code.key[0]);
  out.value(code.key[1]);
  codec<std::string>::save(out, code.bytes);
  codec<std::vector<std::string>>::save(out, code.arguments);
}

CompiledCode lane<CompiledCode>::load(Reader& in) {
  CompiledCode code;
  code.key[0] = in.value<std::uint64_t>();
  code.key[1] = in.value<std::uint64_t>();
  // What is attached arrives later, in the place where it is read to.
  read(in, code.bytes);
  code.arguments = codec<std::vector<std::string>>::load(in);
  return code;
}

rankview::execute::Workshop& Controller::workshop() const {
  if (settings_.workshop == nullptr) throw UsageError("there is no compiler here");
  return *settings_.workshop;
}

SourceText source_of(const std::string& path, std::vector<std::string> arguments) {
  std::ifstream in(path, std::ios::binary);
  SourceText source{{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()}, path, std::move(arguments)};
  if (!in.is_open() || in.bad()) throw UsageError("the file to run cannot be read: " + path + ": " + std::strerror(errno));
  return source;
}

std::shared_ptr<SourceRequest> request_code(Controller& controller, SourceText source, std::vector<int> engines, bool ships) {
  check_open(controller);
  return controller.workshop().add(std::move(source), std::move(engines), ships);
}

const std::vector<std::string>& names_wanted(const SourceRequest& request) { return request.names; }

void compile(const std::shared_ptr<SourceRequest>& request, std::vector<NamedType> variables, const CompiledCall& into) noexcept {
  try {
    request->workshop->compile(request, std::move(variables), into);
  } catch (...) {
    // There is no thread to be had.
    if (!enter_local(*into)) return;
    CompiledCode failed;
    failed.error = std::current_exception();
    into->put(std::move(failed));
    end_local(*into, nullptr);
  }
}

void note_run(SourceRequest& request, Call& call) {
  std::vector<int> engines;
  call.controller->locked([&call, &engines] {
    for (const ItemRecord& item : call.life().items) {
      if (item.status == Status::completed && item.engine >= 0) engines.push_back(item.engine);
    }
  });
  request.workshop->note_holders(request, engines);
}

namespace {

class NoteRun final : public Continuation {
 public:
  NoteRun(std::shared_ptr<SourceRequest> request, std::weak_ptr<Call> call) : request_(std::move(request)), call_(std::move(call)) {}
  void run() noexcept override {
    if (const std::shared_ptr<Call> call = call_.lock()) note_run(*request_, *call);
  }

 private:
  std::shared_ptr<SourceRequest> request_;
  std::weak_ptr<Call> call_;
};

}  // namespace

void note_run_at_end(const std::shared_ptr<SourceRequest>& request, Call& call) {
  std::weak_ptr<Call> running = call.controller->locked([&call] { return std::weak_ptr<Call>(call.life().self); });
  continue_with(call, std::make_shared<NoteRun>(request, std::move(running)));
}

void add_types(std::vector<NamedType>& all, const std::vector<NamedType>& more) {
  for (const NamedType& type : more) {
    if (std::none_of(all.begin(), all.end(), [&type](const NamedType& known) { return known.name == type.name; })) all.push_back(type);
  }
}

Flags flags_of_question(const Flags& flags) {
  Flags of_question;
  of_question.after = flags.after;
  of_question.follow = flags.follow;
  of_question.targets = flags.targets;
  of_question.priority = flags.priority;
  return of_question;
}

}  // namespace rankview::detail
