// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "execute/items.hpp"
#include "execute/library.hpp"

#include <rankview/detail/execute.hpp>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace rankview::execute {

// What is to be made a program of.
struct Snippet {
  std::string file;  // as whose its lines are told
  const TopLevel& code;
  int block = 0;       // of what it declares, in the library
  std::string result;  // the type of its value; empty for none
};

// A source file for the compiler.
struct Program {
  std::string text;
  std::string identity;  // all of it but for what earlier snippets have included, which changes nothing of what compiles without
};

// Names that engines are to be asked about: those that the code uses, and what it uses of earlier snippets'.
std::vector<std::string> names_to_ask(const Snippet& snippet, const Library& library);

// The program that is a snippet. Variables: their names and types, of those that engines have. Throws CompileError for what no compiler
// need be asked about.
Program program_of(const Snippet& snippet, const Library& library, const std::vector<detail::NamedType>& variables);

}  // namespace rankview::execute
