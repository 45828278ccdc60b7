// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "execute/items.hpp"

#include <algorithm>
#include <initializer_list>
#include <utility>

namespace rankview::execute {
namespace {

constexpr auto no_token = static_cast<std::size_t>(-1);

std::string_view closing(std::string_view bracket) {
  if (bracket == "(") return ")";
  if (bracket == "[") return "]";
  return bracket == "{" ? "}" : "";
}

// The word behind the # of a directive.
std::string_view word_of(const Token& directive) {
  const std::size_t begin = directive.text.find_first_not_of(" \t", 1);
  if (begin == std::string_view::npos) return "";
  return directive.text.substr(begin, directive.text.find_first_of(" \t\r\n\"<(", begin) - begin);
}

}  // namespace

TopLevel::TopLevel(std::string_view source) : source_(source), tokens_(tokens_of(source)) {
  balance();
  if (unbalanced_.empty()) split();
}

std::string_view TopLevel::text(std::size_t begin, std::size_t end) const {
  if (begin == end) return {};
  const Token& last = tokens_[end - 1];
  return source_.substr(tokens_[begin].offset, last.offset + last.text.size() - tokens_[begin].offset);
}

std::string_view TopLevel::text(const Item& item) const {
  const bool ends_itself = item.kind == ItemKind::assignment || item.kind == ItemKind::statement;
  return text(item.begin, ends_itself && is(item.end - 1, ";") ? item.end - 1 : item.end);
}

bool TopLevel::is_any(std::size_t at, std::initializer_list<std::string_view> words) const {
  return at < tokens_.size() && std::find(words.begin(), words.end(), tokens_[at].text) != words.end();
}

bool TopLevel::is_name(std::size_t at) const {
  return at < tokens_.size() && tokens_[at].kind == TokenKind::name && !is_keyword(tokens_[at].text);
}

bool TopLevel::begins_with(const Item& item, std::string_view word) const { return item.begin < item.end && is(item.begin, word); }

// ---- brackets ----------------------------------------------------------------------------------------------------------------

void TopLevel::balance() {
  partner_.assign(tokens_.size(), no_token);
  std::vector<std::size_t> open;
  const auto complain = [this](std::size_t at, const std::string& why) {
    std::string text("'");
    text.append(tokens_[at].text).append("' ").append(why);
    unbalanced_.push_back({tokens_[at].line, tokens_[at].column, std::move(text)});
  };
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    if (tokens_[i].kind != TokenKind::sign) continue;
    if (!closing(tokens_[i].text).empty()) {
      open.push_back(i);
    } else if (is_any(i, {")", "]", "}"})) {
      if (open.empty()) return complain(i, "closes nothing");
      if (closing(tokens_[open.back()].text) != tokens_[i].text) return complain(open.back(), "is not closed");
      partner_[i] = open.back();
      partner_[open.back()] = i;
      open.pop_back();
    }
  }
  if (!open.empty()) complain(open.back(), "is not closed");
}

std::size_t TopLevel::behind(std::size_t at) const {
  if (at >= tokens_.size()) return tokens_.size();
  return partner_[at] == no_token || partner_[at] < at ? at + 1 : partner_[at] + 1;
}

// Of `<...>`, as in a type; `at` itself where it is none.
std::size_t TopLevel::behind_angles(std::size_t at) const {
  if (!is(at, "<")) return at;
  int depth = 0;
  for (std::size_t i = at; i < tokens_.size() && !is_any(i, {";", "{", "}"}); i = behind(i)) {
    if (is(i, "<")) ++depth;
    if (is(i, ">")) --depth;
    if (is(i, ">>")) depth -= 2;
    if (depth <= 0) return i + 1;
  }
  return at;
}

std::size_t TopLevel::behind_semicolon(std::size_t at) const {
  while (at < tokens_.size() && !is(at, ";")) at = behind(at);
  return std::min(at + 1, tokens_.size());
}

// ---- items -------------------------------------------------------------------------------------------------------------------

void TopLevel::split() {
  for (std::size_t at = 0; at < tokens_.size();) {
    if (is(at, ";")) {
      ++at;
      continue;
    }
    const Item item = next_item(at);
    items_.push_back(item);
    at = item.end;
  }
}

// One directive, or all from an #if to its #endif.
Item TopLevel::directive(std::size_t at) const {
  const std::string_view word = word_of(tokens_[at]);
  if (word == "pragma") return {ItemKind::statement, at, at + 1};
  if (!word.starts_with("if")) return {ItemKind::preamble, at, at + 1};
  int depth = 0;
  bool alone = true;  // there is nothing else in it
  for (std::size_t end = at; end < tokens_.size(); ++end) {
    if (tokens_[end].kind != TokenKind::directive) {
      alone = false;
      continue;
    }
    if (word_of(tokens_[end]).starts_with("if")) ++depth;
    if (word_of(tokens_[end]) == "endif" && --depth == 0) return {alone ? ItemKind::preamble : ItemKind::statement, at, end + 1};
  }
  return {ItemKind::preamble, at, at + 1};
}

std::size_t TopLevel::behind_statement(std::size_t at) const {
  if (is(at, "{")) return behind(at);
  if (is(at, "if")) {
    while (true) {
      at += is(at + 1, "constexpr") || is(at + 1, "consteval") ? 2 : 1;
      at = behind_statement(is(at, "(") ? behind(at) : at);
      if (!is(at, "else")) return at;
      if (!is(++at, "if")) return behind_statement(at);
    }
  }
  if (is_any(at, {"for", "while", "switch"})) return behind_statement(is(at + 1, "(") ? behind(at + 1) : at + 1);
  if (is(at, "do")) return behind_semicolon(behind_statement(at + 1));
  if (is(at, "try")) {
    for (at = behind(at + 1); is(at, "catch");) at = behind(behind(at + 1));
    return at;
  }
  return behind_semicolon(at);
}

// What may come before a declaration's type, or instead of it.
std::size_t TopLevel::behind_specifiers(std::size_t at) const {
  while (at < tokens_.size()) {
    if (is(at, "template")) {
      at = behind_angles(at + 1);
      if (is(at, "requires") && is(at + 1, "(")) at = behind(at + 1);
    } else if (is(at, "[") && is(at + 1, "[")) {
      at = behind(at);
    } else if (is_any(at, {"static", "inline", "constexpr", "consteval", "constinit", "extern", "thread_local", "virtual", "explicit"})) {
      ++at;
    } else {
      return at;
    }
  }
  return at;
}

std::size_t TopLevel::behind_function(std::size_t at, std::size_t& name) const {
  bool parameters = false;
  for (std::size_t i = at; i < tokens_.size(); i = behind(i)) {
    const bool of_operator = i > at && is(i - 1, "operator");
    if (is(i, ";") || (is(i, "=") && !of_operator)) return 0;
    if (is(i, "{")) return parameters ? behind(i) : 0;
    if (is(i, "(") && i > at + 1 && !parameters) {
      const bool named = is_name(i - 1) || is_any(i - 1, {">", ">>"}) || (i > at + 2 && is(i - 2, "operator")) || of_operator;
      // A type comes before the name, and no operator that a type cannot have.
      if (!named || is_any(i - 2, {".", "->", "+", "-", "/", "<<", "==", "?"})) return 0;
      parameters = true;
      name = i - 1;
    }
  }
  return 0;
}

Item TopLevel::next_item(std::size_t at) const {
  if (tokens_[at].kind == TokenKind::directive) return directive(at);
  if (is(at, "using") && is(at + 1, "namespace")) return {ItemKind::preamble, at, behind_semicolon(at)};
  if (is_any(at, {"if", "for", "while", "switch", "do", "try", "{"})) return {ItemKind::statement, at, behind_statement(at)};
  if (is_any(at, {"return", "throw", "goto", "delete", "break", "continue", "co_return", "co_await", "static_assert"}))
    return {ItemKind::statement, at, behind_semicolon(at)};
  if (is_any(at, {"using", "typedef", "concept"})) return {ItemKind::declaration, at, behind_semicolon(at)};
  const bool inline_namespace = is(at, "inline") && is(at + 1, "namespace");
  if (is(at, "namespace") || inline_namespace || (is(at, "extern") && at + 1 < tokens_.size() && tokens_[at + 1].kind == TokenKind::text)) {
    std::size_t end = at;
    while (end < tokens_.size() && !is_any(end, {"{", ";"})) ++end;
    return {ItemKind::declaration, at, behind(end)};
  }
  const std::size_t type = behind_specifiers(at);
  std::size_t name = 0;
  if (const std::size_t end = behind_function(type, name); end != 0) return {ItemKind::declaration, at, end};
  const bool of_class = is_any(type, {"struct", "class", "union", "enum"});
  const bool to_live = is_any(at, {"template", "inline", "constexpr", "constinit", "consteval", "extern"});
  if (of_class || to_live) return {ItemKind::declaration, at, behind_semicolon(at)};
  const std::size_t end = behind_semicolon(at);
  return {assigns(at, end) ? ItemKind::assignment : ItemKind::statement, at, end};
}

bool TopLevel::assigns(std::size_t begin, std::size_t end) const {
  if (!is_name(begin) || !is(begin + 1, "=") || begin + 2 >= end || is(begin + 2, ";")) return false;
  for (std::size_t i = begin + 2; i < end; i = behind(i)) {
    if (is(i, ",")) return false;
  }
  return true;
}

// ---- names -------------------------------------------------------------------------------------------------------------------

std::vector<Declared> TopLevel::declared(const Item& item) const {
  std::vector<Declared> names;
  const auto add = [&](std::size_t at, bool is_namespace = false) {
    if (is_name(at)) names.push_back({std::string(tokens_[at].text), is_namespace});
  };
  std::size_t at = behind_specifiers(item.begin);
  if (is(at, "namespace")) {
    add(at + 1, true);
    return names;
  }
  if (is(at, "concept")) {
    add(at + 1);
    return names;
  }
  if (is(at, "using")) {
    if (is(at + 2, "=")) {
      add(at + 1);
    } else {
      add(item.end - 2);
    }
    return names;
  }
  std::size_t name = 0;
  if (behind_function(at, name) != 0) {
    // What is defined outside of its class is known with that.
    if (!is(name - 1, "operator") && !is(name - 1, "::")) add(name);
    return names;
  }
  if (is_any(at, {"struct", "class", "union", "enum"})) {
    const bool unscoped = is(at, "enum") && !is_any(at + 1, {"class", "struct"});
    for (++at; at < item.end && !is_name(at); at = behind(at)) {
      if (is_any(at, {"{", ";"})) break;
    }
    add(at);
    while (at < item.end && !is_any(at, {"{", ";"})) ++at;
    if (!unscoped || !is(at, "{")) return names;
    const std::size_t end = behind(at) - 1;
    for (std::size_t i = at + 1; i < end; i = behind(i)) {
      if (i == at + 1 || is(i - 1, ",")) add(i);
    }
    return names;
  }
  if (is(at, "typedef")) {
    for (std::size_t i = item.begin; i + 1 < item.end; ++i) {
      if (is(i, "(") && is(i + 1, "*")) {
        add(i + 2);
        return names;
      }
    }
    add(item.end - 2);
    return names;
  }
  for (std::size_t i = at; i < item.end; i = behind(i)) {
    if (!is_any(i, {"=", "{", ";", "("}) || i == at) continue;
    add(i - 1);
    break;
  }
  return names;
}

// Behind what looks like a type; `at` itself if nothing does.
std::size_t TopLevel::behind_type(std::size_t at) const {
  const std::size_t begin = at;
  bool named = false;
  while (at < tokens_.size()) {
    if (is_any(at, {"const", "volatile", "static", "thread_local", "constexpr", "typename", "struct", "class", "enum", "union"})) {
      ++at;
    } else if (is_any(at, {"unsigned", "signed", "long", "short", "int", "char", "double", "float", "bool", "auto", "void", "wchar_t",
                           "char8_t", "char16_t", "char32_t"})) {
      named = true;
      ++at;
    } else if (is(at, "decltype") && !named) {
      named = true;
      at = behind(at + 1);
    } else if ((is_name(at) || is(at, "::")) && !named) {
      if (is(at, "::")) ++at;
      at = behind_angles(at + 1);
      while (is(at, "::")) at = behind_angles(at + 2);
      named = true;
    } else if (named && is_any(at, {"*", "&", "&&"})) {
      ++at;
    } else {
      break;
    }
  }
  return named ? at : begin;
}

std::vector<std::string> TopLevel::locals(const Item& item) const {
  std::vector<std::string> names;
  if (item.kind != ItemKind::statement) return names;
  std::size_t at = behind_type(item.begin);
  if (at == item.begin) return names;
  if (is(at, "[")) {
    for (std::size_t i = at + 1; i + 1 < behind(at); ++i) {
      if (is_name(i)) names.emplace_back(tokens_[i].text);
    }
    return names;
  }
  if (!is_name(at) || !(at + 1 == item.end || is_any(at + 1, {"=", ";", "(", "{", "[", ","}))) return names;
  // `a * b` is a product, unless a is a type for sure.
  const auto of_types = [](const Token& token) { return is_keyword(token.text) || token == ">" || token == "::"; };
  const auto* const first = &tokens_[item.begin];
  if (is_any(at - 1, {"*", "&", "&&"}) && !is(at + 1, "=") && std::none_of(first, &tokens_[at], of_types)) return names;
  names.emplace_back(tokens_[at].text);
  for (; at < item.end; at = behind(at)) {
    if (is(at, ",") && is_name(at + 1) && (at + 2 == item.end || is_any(at + 2, {"=", ";", "(", "{", "[", ","})))
      names.emplace_back(tokens_[at + 1].text);
  }
  return names;
}

std::vector<std::string> TopLevel::names(std::size_t begin, std::size_t end) const {
  std::vector<std::string> all;
  for (std::size_t i = begin; i < end; ++i) {
    if (!is_name(i) || is(i + 1, "::") || (i > 0 && is_any(i - 1, {".", "->", "::", ".*"}))) continue;
    all.emplace_back(tokens_[i].text);
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

bool TopLevel::is_expression(const Item& item) const {
  if (item.kind != ItemKind::statement || tokens_[item.begin].kind == TokenKind::directive) return false;
  if (is_any(item.begin, {"if", "for", "while", "switch", "do", "try", "{", "return", "throw", "goto", "delete", "break", "continue",
                          "co_return", "static_assert", "asm"}))
    return false;
  return locals(item).empty();
}

}  // namespace rankview::execute
