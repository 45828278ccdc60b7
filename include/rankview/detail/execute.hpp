// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/continuation.hpp>
#include <rankview/detail/view.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

// C++ source as a task. Engines are asked what the names in it are; rank 0 compiles it in a thread of its own; and what comes of that is an
// argument of an ordinary call, which waits for it as for any result.
namespace rankview::inline abi_0_1::detail {

// A variable and its type as written in C++.
struct NamedType {
  std::string name;
  std::string type;
};

// Those of these names that the engine has.
std::vector<NamedType> types_of(const Variables& variables, const std::vector<std::string>& names);
struct TypesOf {
  std::vector<NamedType> operator()(const std::vector<std::string>& names) const { return types_of(this_engine::vars(), names); }
};

// Compiled code, as it travels; or why there is none.
struct CompiledCode {
  std::uint64_t key[2] = {0, 0};       // names it
  std::string bytes;                   // empty if whoever runs it has it already
  std::vector<std::string> arguments;  // of a file
  std::exception_ptr error;
};
template <>
struct lane<CompiledCode> {
  using parts = Types<std::uint64_t, std::string, std::vector<std::string>>;
  // Throws the error, if it has one.
  static void save(Writer& out, const CompiledCode& code);
  static void save(Writer&, const CompiledCode&&) = delete;  // what is attached is borrowed
  static CompiledCode load(Reader& in);
};

// Runs code on an engine. `result`: memory for its value, which is as large as that; null for none. Throws what the code throws.
void run_code(const CompiledCode& code, void* result, std::size_t size);

template <class T>
struct RunCode {
  T operator()(const CompiledCode& code) const {
    if constexpr (std::is_void_v<T>) {
      run_code(code, nullptr, 0);
    } else {
      // Made there by the code, destroyed here.
      alignas(T) std::byte place[sizeof(T)];
      run_code(code, place, sizeof(T));
      struct Made {
        T* value;
        ~Made() { std::destroy_at(value); }
      };
      const Made made{std::launder(reinterpret_cast<T*>(place))};
      return std::move(*made.value);
    }
  }
};

// As whose the lines of code are told that is no file.
inline constexpr const char* code_name = "<code>";

// Source code that is to be run somewhere.
struct SourceText {
  std::string text;
  std::string file;                        // as whose its lines are told
  std::vector<std::string> arguments{};    // of a file
  const std::type_info* result = nullptr;  // of its value, null for none
};
// A file as it is now. Throws UsageError if it cannot be read.
SourceText source_of(const std::string& path, std::vector<std::string> arguments);

class SourceRequest;  // known to the runtime alone
using CompiledCall = std::shared_ptr<Local<CompiledCode>>;

// The code is wanted for these engines. `ships`: whoever runs it may not have what its engine has.
std::shared_ptr<SourceRequest> request_code(Controller& controller, SourceText source, std::vector<int> engines, bool ships);
// What engines are to be asked about.
const std::vector<std::string>& names_wanted(const SourceRequest& request);
// Has the code compiled, and put into the call, which then ends. Does not wait.
void compile(const std::shared_ptr<SourceRequest>& request, std::vector<NamedType> variables, const CompiledCall& into) noexcept;
// Engines that have run it have it: noted now, and when the call ends, if anybody has a handle of it by then.
void note_run(SourceRequest& request, Call& call);
void note_run_at_end(const std::shared_ptr<SourceRequest>& request, Call& call);

// Of what several engines have, the first's: others say so when they come to it.
void add_types(std::vector<NamedType>& all, const std::vector<NamedType>& more);
inline void add_answers(std::vector<NamedType>& all, const AsyncResult<std::vector<NamedType>>& answer) { add_types(all, answer.get()); }
inline void add_answers(std::vector<NamedType>& all, const AsyncResult<std::vector<std::vector<NamedType>>>& answers) {
  for (const auto& answer : answers.results()) {
    if (answer) add_types(all, *answer);
  }
}

// Has the code compiled as soon as engines have answered.
template <class Answers>
class CompileThen final : public Continuation {
 public:
  CompileThen(std::shared_ptr<SourceRequest> request, Answers answers, CompiledCall into)
      : request_(std::move(request)), answers_(std::move(answers)), into_(std::move(into)) {}

  void run() noexcept override {
    std::vector<NamedType> variables;
    try {
      add_answers(variables, answers_);
    } catch (...) {
      // Where engines cannot answer, they cannot run it either, and say why then.
      static_cast<void>(caught());
    }
    compile(request_, std::move(variables), into_);
  }

 private:
  std::shared_ptr<SourceRequest> request_;
  Answers answers_;
  CompiledCall into_;
};

// The flags of a call, as far as they say when and where it runs.
Flags flags_of_question(const Flags& flags);

// What the source is for these engines, as an argument of a call. `ask`: has them asked.
template <class Ask>
AsyncResult<CompiledCode> compiled(const std::shared_ptr<Controller>& controller, const std::shared_ptr<SourceRequest>& request, Ask ask) {
  auto call = make_call<Local<CompiledCode>>();
  begin_local(call, controller);
  AsyncResult<CompiledCode> result(call);
  const std::vector<std::string>& names = names_wanted(*request);
  if (names.empty()) {
    compile(request, {}, call);
  } else {
    auto answers = ask(names);
    Call& asked = CallOf::of(answers);
    continue_with(asked, std::make_shared<CompileThen<decltype(answers)>>(request, std::move(answers), call));
  }
  return result;
}

// Code on its way: the call that runs it, what comes before that, and what it was made of.
template <class T>
struct Execution {
  AsyncResult<T> result;
  AsyncResult<CompiledCode> code;
  std::shared_ptr<SourceRequest> request;
};

template <class T>
Execution(AsyncResult<T>, AsyncResult<CompiledCode>, std::shared_ptr<SourceRequest>) -> Execution<T>;

// Waits for the end; first for the compiler, since a continuation that waits has others run only for what rank 0 does itself.
template <class T>
T end_execute(Execution<T> running) {
  running.code.wait();
  running.result.wait();
  note_run(*running.request, CallOf::of(running.result));
  return std::move(running.result).get();
}

}  // namespace rankview::detail
