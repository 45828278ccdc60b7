// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "execute/tokens.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// What stands side by side at the top level of a snippet. Pure.
namespace rankview::execute {

enum class ItemKind : std::uint8_t {
  preamble,     // a directive, or `using namespace`: goes before everything
  declaration,  // of a function, a type, a constant, a template: goes to namespace scope
  assignment,   // `name = expression;`
  statement,    // all else
};

struct Item {
  ItemKind kind = ItemKind::statement;
  std::size_t begin = 0;  // its tokens
  std::size_t end = 0;
};

// What a declaration makes known.
struct Declared {
  std::string name;
  bool is_namespace = false;

  friend bool operator==(const Declared&, const Declared&) = default;
};

// Where a bracket has no other, which no compiler need be asked about.
struct Unbalanced {
  int line = 0;
  int column = 0;
  std::string text;
};

// A snippet, cut into items. What it is made from has to outlive it.
//
// The language cannot be told apart without all that is declared, so this goes by looks: what begins as a declaration does, or is a type, a
// name, parameters and a block, is a declaration. What is taken for a statement by mistake is one that the compiler may refuse.
class TopLevel {
 public:
  explicit TopLevel(std::string_view source);

  [[nodiscard]] const std::vector<Token>& tokens() const { return tokens_; }
  [[nodiscard]] const std::vector<Item>& items() const { return items_; }
  // The text of an item, without the semicolon of a statement.
  [[nodiscard]] std::string_view text(const Item& item) const;
  [[nodiscard]] std::string_view text(std::size_t begin, std::size_t end) const;

  // The first bracket that has no other, if any.
  [[nodiscard]] const std::vector<Unbalanced>& unbalanced() const { return unbalanced_; }

  // What the declaration declares.
  [[nodiscard]] std::vector<Declared> declared(const Item& item) const;
  // What the statement declares, as the beginning of a declaration of variables does.
  [[nodiscard]] std::vector<std::string> locals(const Item& item) const;
  // Names in these tokens that may be those of variables, each once.
  [[nodiscard]] std::vector<std::string> names(std::size_t begin, std::size_t end) const;
  [[nodiscard]] std::vector<std::string> names(const Item& item) const { return names(item.begin, item.end); }
  // Whether the value of the statement can be that of the snippet.
  [[nodiscard]] bool is_expression(const Item& item) const;
  [[nodiscard]] bool begins_with(const Item& item, std::string_view word) const;

 private:
  void balance();
  void split();
  [[nodiscard]] bool is(std::size_t at, std::string_view text) const { return at < tokens_.size() && tokens_[at] == text; }
  [[nodiscard]] bool is_name(std::size_t at) const;
  [[nodiscard]] bool is_any(std::size_t at, std::initializer_list<std::string_view> words) const;
  // Behind the bracket that closes the one at `at`.
  [[nodiscard]] std::size_t behind(std::size_t at) const;
  [[nodiscard]] std::size_t behind_angles(std::size_t at) const;
  [[nodiscard]] std::size_t behind_semicolon(std::size_t at) const;
  [[nodiscard]] std::size_t behind_statement(std::size_t at) const;
  [[nodiscard]] std::size_t behind_type(std::size_t at) const;
  // Behind a function's body, or 0 if none is defined there; where its name is.
  [[nodiscard]] std::size_t behind_function(std::size_t at, std::size_t& name) const;
  [[nodiscard]] std::size_t behind_specifiers(std::size_t at) const;
  [[nodiscard]] Item directive(std::size_t at) const;
  [[nodiscard]] Item next_item(std::size_t at) const;
  [[nodiscard]] bool assigns(std::size_t begin, std::size_t end) const;

  std::string_view source_;
  std::vector<Token> tokens_;
  std::vector<std::size_t> partner_;  // of each bracket, the other; of others, npos
  std::vector<Item> items_;
  std::vector<Unbalanced> unbalanced_;
};

}  // namespace rankview::execute
