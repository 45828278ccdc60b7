// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "execute/items.hpp"

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace rankview::execute {

// A piece of source with directives that tell the compiler whose line it is.
std::string placed(std::string_view file, const Token& first, std::string_view text);
// The same for what was made here, for this reason; see diagnostics.hpp.
std::string made_here(std::string_view why);
inline constexpr std::string_view made_here_prefix = "rankview:";
// As a C++ string.
std::string as_literal(std::string_view text);
// The namespace of a block.
std::string space_of(int block);

// What one snippet has declared: it goes to a namespace of its own, so that the next may declare the same names anew.
struct Block {
  int number = 0;
  std::string text;  // of the declarations
  std::vector<Declared> declared;
  std::vector<std::string> names;      // that it uses
  std::map<std::string, int> imports;  // of those, the ones that other blocks declare
};

// What snippets have declared so far, for those that follow. Pure.
class Library {
 public:
  // A header that all are to include.
  void begin_with(const std::string& header);
  // What a snippet has brought.
  struct Added {
    int block = 0;                   // of what it declares, 0 if it declares nothing
    std::vector<std::string> lines;  // directives that were not there
  };
  // Takes that in. The same declarations as before are the same block.
  Added add(std::string_view file, const TopLevel& code);
  // It does not compile.
  void forget(const Added& added);

  // Names that any block uses.
  [[nodiscard]] std::vector<std::string> names() const;
  // Blocks that are needed for these names, and for types with these texts, with all that these need, in the order in which they were made.
  [[nodiscard]] std::set<int> needed(const std::vector<std::string>& names, const std::vector<std::string>& types) const;
  [[nodiscard]] const Block& block(int number) const { return blocks_.at(static_cast<std::size_t>(number) - 1); }
  // Which block has declared the name last; 0 if none has.
  [[nodiscard]] int declares(const std::string& name) const;
  [[nodiscard]] bool is_namespace(int block, const std::string& name) const;

  // Directives, in the order in which they came: those that include something, and others.
  [[nodiscard]] const std::vector<std::string>& includes() const { return includes_; }
  [[nodiscard]] const std::vector<std::string>& macros() const { return macros_; }

 private:
  bool add_preamble(const std::string& text, std::string_view word);

  std::vector<Block> blocks_;
  std::map<std::string, std::vector<int>> declared_in_;  // the last counts
  std::vector<std::string> includes_;
  std::vector<std::string> macros_;
};

}  // namespace rankview::execute
