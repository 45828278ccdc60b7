// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "execute/tokens.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace rankview::execute {
namespace {

bool begins_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool goes_on_name(char c) { return begins_name(c) || is_digit(c); }

// In alphabetical order.
constexpr std::array<std::string_view, 92> keywords{
    "alignas",   "alignof",  "and",      "and_eq",       "asm",       "auto",       "bitand",        "bitor",       "bool",
    "break",     "case",     "catch",    "char",         "char16_t",  "char32_t",   "char8_t",       "class",       "co_await",
    "co_return", "co_yield", "compl",    "concept",      "const",     "const_cast", "consteval",     "constexpr",   "constinit",
    "continue",  "decltype", "default",  "delete",       "do",        "double",     "dynamic_cast",  "else",        "enum",
    "explicit",  "export",   "extern",   "false",        "float",     "for",        "friend",        "goto",        "if",
    "inline",    "int",      "long",     "mutable",      "namespace", "new",        "noexcept",      "not",         "not_eq",
    "nullptr",   "operator", "or",       "or_eq",        "private",   "protected",  "public",        "register",    "reinterpret_cast",
    "requires",  "return",   "short",    "signed",       "sizeof",    "static",     "static_assert", "static_cast", "struct",
    "switch",    "template", "this",     "thread_local", "throw",     "true",       "try",           "typedef",     "typeid",
    "typename",  "union",    "unsigned", "using",        "virtual",   "void",       "volatile",      "wchar_t",     "while",
    "xor",       "xor_eq"};

constexpr std::array<std::string_view, 27> long_signs{
    "<=>", "<<=", ">>=", "...", "->*", "::", "->", "==", "!=", "<=", ">=", "+=", "-=", "*=",
    "/=",  "%=",  "^=",  "&=",  "|=",  "<<", ">>", "&&", "||", "++", "--", ".*", "##"};

// Goes through a source once.
class Tokenizer {
 public:
  explicit Tokenizer(std::string_view source) : source_(source) {}

  std::vector<Token> all() {
    while (skip_space()) {
      const std::size_t begin = at_;
      Token token{TokenKind::sign, {}, begin, line_, static_cast<int>(begin - line_begin_) + 1};
      token.kind = pass_token();
      token.text = source_.substr(begin, at_ - begin);
      tokens_.push_back(token);
      fresh_line_ = token.kind == TokenKind::directive;
    }
    return std::move(tokens_);
  }

 private:
  [[nodiscard]] bool at(std::string_view text) const { return source_.substr(at_).starts_with(text); }
  [[nodiscard]] char next(std::size_t ahead = 0) const { return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0'; }
  void pass() {
    if (source_[at_++] != '\n') return;
    ++line_;
    line_begin_ = at_;
  }
  void pass(std::size_t count) {
    for (; count > 0 && at_ < source_.size(); --count) pass();
  }
  void pass_until(std::string_view end) {
    while (at_ < source_.size() && !at(end)) pass();
    pass(end.size());
  }

  // Whether anything follows.
  bool skip_space() {
    while (at_ < source_.size()) {
      if (next() == '\n') {
        fresh_line_ = true;
        pass();
      } else if (next() == ' ' || next() == '\t' || next() == '\r' || next() == '\f' || next() == '\v') {
        pass();
      } else if (at("\\\n")) {
        pass(2);
      } else if (at("//")) {
        pass_line();
      } else if (at("/*")) {
        pass(2);
        pass_until("*/");
      } else {
        return true;
      }
    }
    return false;
  }
  // To the end of the line, which a backslash continues.
  void pass_line() {
    while (at_ < source_.size() && next() != '\n') pass(at("\\\n") ? 2 : 1);
  }

  TokenKind pass_token() {
    const char c = next();
    if (c == '#' && fresh_line_) {
      pass_line();
      return TokenKind::directive;
    }
    if (is_digit(c) || (c == '.' && is_digit(next(1)))) {
      pass_number();
      return TokenKind::number;
    }
    if (begins_name(c)) return pass_name();
    if (c == '"' || c == '\'') {
      pass_quoted(c);
      return TokenKind::text;
    }
    const auto* const sign = std::find_if(long_signs.begin(), long_signs.end(), [this](std::string_view text) { return at(text); });
    pass(sign == long_signs.end() ? 1 : sign->size());
    return TokenKind::sign;
  }

  void pass_number() {
    for (char before = '\0'; at_ < source_.size(); pass()) {
      const char c = next();
      const bool sign_of_exponent = (c == '+' || c == '-') && (before == 'e' || before == 'E' || before == 'p' || before == 'P');
      const bool separator = c == '\'' && goes_on_name(next(1));
      if (!goes_on_name(c) && c != '.' && !sign_of_exponent && !separator) return;
      before = c;
    }
  }

  // What begins with a name may be a string: u8"x", R"(x)".
  TokenKind pass_name() {
    const std::size_t begin = at_;
    while (at_ < source_.size() && goes_on_name(next())) pass();
    const std::string_view name = source_.substr(begin, at_ - begin);
    const bool raw = next() == '"' && (name == "R" || name == "LR" || name == "uR" || name == "UR" || name == "u8R");
    const bool prefix = (next() == '"' || next() == '\'') && (name == "L" || name == "u" || name == "U" || name == "u8");
    if (raw) {
      const std::size_t open = source_.find('(', at_);
      if (open == std::string_view::npos) {
        pass_line();
      } else {
        std::string end(1, ')');
        end.append(source_.substr(at_ + 1, open - at_ - 1)).append(1, '"');
        pass(open + 1 - at_);
        pass_until(end);
      }
    } else if (prefix) {
      pass_quoted(next());
    }
    return raw || prefix ? TokenKind::text : TokenKind::name;
  }

  void pass_quoted(char quote) {
    pass();
    while (at_ < source_.size() && next() != '\n') {
      const char c = next();
      pass(c == '\\' ? 2 : 1);
      if (c == quote) return;
    }
  }

  std::string_view source_;
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  std::size_t line_begin_ = 0;
  int line_ = 1;
  bool fresh_line_ = true;  // nothing but space has come on this line
};

}  // namespace

std::vector<Token> tokens_of(std::string_view source) { return Tokenizer(source).all(); }

bool is_keyword(std::string_view name) { return std::binary_search(keywords.begin(), keywords.end(), name); }

}  // namespace rankview::execute
