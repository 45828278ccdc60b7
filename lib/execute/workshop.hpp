// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "execute/compiler.hpp"
#include "execute/items.hpp"
#include "execute/library.hpp"
#include "execute/program.hpp"

#include <rankview/detail/execute.hpp>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace rankview::execute {

class Workshop;

// Compiled code that rank 0 keeps, and which engines have it, too.
struct Kept {
  std::uint64_t number = 0;
  std::string bytes;
  std::set<int> holders;
};

}  // namespace rankview::execute

namespace rankview::inline abi_0_1::detail {

// Code that somebody wants to run, from the call of the verb on.
class SourceRequest {
 public:
  SourceRequest(SourceText what, std::vector<int> where, bool always) : source(std::move(what)), engines(std::move(where)), ships(always) {}
  SourceRequest(const SourceRequest&) = delete;
  SourceRequest& operator=(const SourceRequest&) = delete;

  const SourceText source;
  const std::vector<int> engines;  // who may run it
  const bool ships;                // what runs it does not have what its engine has
  const rankview::execute::TopLevel code{source.text};
  std::shared_ptr<rankview::execute::Workshop> workshop;
  // Under the workshop's lock.
  rankview::execute::Library::Added added;  // to what code may use
  std::vector<std::string> names;           // engines are asked about
  std::shared_ptr<rankview::execute::Kept> kept;
};

}  // namespace rankview::detail

namespace rankview::execute {

using detail::CompiledCall;
using detail::CompiledCode;
using detail::NamedType;
using detail::SourceRequest;

// Where rank 0 makes code of source: remembers what has been compiled and declared, and compiles one after the other, in a thread that
// lives as long as there is something to do. Thread-safe.
class Workshop : public std::enable_shared_from_this<Workshop> {
 public:
  // `include`: a header that all code is to include, or nothing.
  Workshop(std::unique_ptr<Compiler> compiler, const std::string& include);

  // What it declares is there for those that come later from here on, unless it turns out not to compile.
  std::shared_ptr<SourceRequest> add(detail::SourceText source, std::vector<int> engines, bool ships);
  // Compiles it, and ends the call; at once where that has been done before.
  void compile(std::shared_ptr<SourceRequest> request, std::vector<NamedType> variables, CompiledCall into);
  // These engines have it.
  void note_holders(SourceRequest& request, const std::vector<int>& engines);

 private:
  struct Job {
    std::shared_ptr<SourceRequest> request;
    std::vector<NamedType> variables;
    CompiledCall into;
  };

  void work();
  bool deliver_known(SourceRequest& request, const std::vector<NamedType>& variables, CompiledCode& code);
  [[nodiscard]] Program write(const SourceRequest& request, const std::vector<NamedType>& variables) const;
  CompiledCode make(SourceRequest& request, const std::vector<NamedType>& variables);
  CompiledCode deliver(SourceRequest& request, const std::shared_ptr<Kept>& kept);

  const std::unique_ptr<Compiler> compiler_;
  const std::uint64_t number_;  // among all that have ever been
  std::mutex mutex_;            // guards what follows
  Library library_;
  std::map<std::string, std::shared_ptr<Kept>> kept_;  // by what identifies the program
  std::deque<Job> jobs_;
  bool working_ = false;
};

}  // namespace rankview::execute
