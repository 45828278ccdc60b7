// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rankview::farm {

// What one command is made from: one argument of each source, or one for each column.
using Arguments = std::vector<std::string>;

// A command whose slot is not known yet: the number of that belongs at these places, each behind so many bytes of the text.
struct Expanded {
  std::string text;
  std::vector<std::size_t> slots;
};
std::string with_slot(const Expanded& expanded, unsigned slot);

// A command with places for arguments, as GNU parallel has them: {} {.} {/} {//} {/.}, {1} {1.} {-1} and their like, {#} and {%}. What is
// put in is quoted for the shell, unless the command begins with a place.
class Template {
 public:
  enum class Ending { as_is, arguments };  // a command without places gets {} behind it, a tag does not

  // Throws UsageError for a Perl expression, which GNU parallel would evaluate.
  Template(std::string_view text, Ending ending);
  // Lines that are commands themselves.
  static Template of_lines() { return {"{}", Ending::as_is}; }

  [[nodiscard]] Expanded expand(const Arguments& arguments, std::uint64_t number) const;
  // The same without quotes, as for a tag. A slot is not known there.
  [[nodiscard]] std::string expand_plain(const Arguments& arguments, std::uint64_t number) const;

 private:
  enum class What { text, argument, number, slot };
  enum class Form { whole, without_extension, base, directory, base_without_extension };
  struct Piece {
    What what = What::text;
    Form form = Form::whole;
    int argument = 0;    // 0 for all of them, negative from the end
    std::string text{};  // as it stands there
  };

  static Form form_of(std::string_view name, bool& known);
  static bool parse(std::string_view inside, Piece& piece);
  static std::string formed(const std::string& argument, Form form);
  static const std::string* find(const Arguments& arguments, int which);

  void add_text(std::string_view text);
  template <class Quote>
  void put(std::string& to, const Piece& piece, const Arguments& arguments, const Quote& quote) const;

  std::vector<Piece> pieces_;
};

}  // namespace rankview::farm
