// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

// C++ source as the words that it consists of. Pure.
namespace rankview::execute {

enum class TokenKind : std::uint8_t {
  name,  // keywords, too
  number,
  text,  // a string or a character
  sign,  // one operator or bracket, as long as it goes
  directive,
};

struct Token {
  TokenKind kind = TokenKind::sign;
  std::string_view text;
  std::size_t offset = 0;  // in the source
  int line = 1;            // of its first character, both from 1
  int column = 1;

  friend bool operator==(const Token& token, std::string_view word) { return token.text == word; }
};

// Without space and comments. A directive is one token, with the lines that continue it. What has no end, a string or a comment, goes to
// the end of its line or of the source: the compiler will say so. The tokens look into `source`.
std::vector<Token> tokens_of(std::string_view source);

// Whether the language has taken this name for itself.
bool is_keyword(std::string_view name);

}  // namespace rankview::execute
