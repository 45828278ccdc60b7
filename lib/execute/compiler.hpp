// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <memory>
#include <string>

namespace rankview::execute {

// Makes a shared library of a program's text. Interface, since tests do it without a compiler.
class Compiler {
 public:
  struct Result {
    std::string library;  // the file's bytes; empty if there are errors
    std::string said;     // by the compiler
  };

  Compiler() = default;
  Compiler(const Compiler&) = delete;
  Compiler& operator=(const Compiler&) = delete;
  virtual ~Compiler() = default;

  // Behind the header that `prelude` is. Throws CompileError if there is no compiler, or it cannot be started. For one thread at a time.
  virtual Result compile(const std::string& prelude, const std::string& program) = 0;
};

// The compiler that is installed: RANKVIEW_CXX, else the one that this was built with, else what is found. It is a child process.
std::unique_ptr<Compiler> installed_compiler();

}  // namespace rankview::execute
