// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "execute/library.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace rankview::execute {
namespace {

constexpr std::string_view space_prefix = "rankview_space_";

// Blocks that a type's text names.
std::vector<int> blocks_in(std::string_view type) {
  std::vector<int> blocks;
  for (std::size_t at = type.find(space_prefix); at != std::string_view::npos; at = type.find(space_prefix, at + 1))
    blocks.push_back(std::atoi(std::string(type.substr(at + space_prefix.size(), 9)).c_str()));
  return blocks;
}

}  // namespace

std::string as_literal(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c == '\n' ? ' ' : c;
  }
  return quoted + "\"";
}

std::string placed(std::string_view file, const Token& first, std::string_view text) {
  std::string all = "#line " + std::to_string(first.line) + " " + as_literal(file) + "\n";
  all.append(static_cast<std::size_t>(first.column) - 1, ' ');
  all += text;
  return all + "\n";
}

std::string made_here(std::string_view why) { return "#line 1 " + as_literal(std::string(made_here_prefix) + std::string(why)) + "\n"; }

std::string space_of(int block) { return std::string(space_prefix) + std::to_string(block); }

void Library::begin_with(const std::string& header) { macros_.push_back(made_here("include") + "#include \"" + header + "\"\n"); }

bool Library::add_preamble(const std::string& text, std::string_view word) {
  std::vector<std::string>& all = word.find("include") != std::string_view::npos && word.starts_with('#') ? includes_ : macros_;
  if (std::find(all.begin(), all.end(), text) != all.end()) return false;
  all.push_back(text);
  return true;
}

Library::Added Library::add(std::string_view file, const TopLevel& code) {
  Added added;
  Block block;
  for (const Item& item : code.items()) {
    const std::string text = placed(file, code.tokens()[item.begin], code.text(item));
    if (item.kind == ItemKind::preamble && add_preamble(text, code.text(item))) added.lines.push_back(text);
    if (item.kind != ItemKind::declaration) continue;
    block.text += text;
    for (Declared& declared : code.declared(item)) block.declared.push_back(std::move(declared));
    for (std::string& name : code.names(item)) block.names.push_back(std::move(name));
  }
  if (block.text.empty()) return added;
  const auto own = [&block](const std::string& name) {
    return std::any_of(block.declared.begin(), block.declared.end(), [&name](const Declared& declared) { return declared.name == name; });
  };
  std::erase_if(block.names, own);
  for (const std::string& name : block.names) {
    if (const int from = declares(name); from != 0) block.imports[name] = from;
  }
  const auto same = std::find_if(blocks_.begin(), blocks_.end(),
                                 [&block](const Block& other) { return other.text == block.text && other.imports == block.imports; });
  block.number = same == blocks_.end() ? static_cast<int>(blocks_.size()) + 1 : same->number;
  for (const Declared& declared : block.declared) {
    std::vector<int>& blocks = declared_in_[declared.name];
    std::erase(blocks, block.number);
    blocks.push_back(block.number);
  }
  added.block = block.number;
  if (same == blocks_.end()) blocks_.push_back(std::move(block));
  return added;
}

void Library::forget(const Added& added) {
  for (auto& [name, blocks] : declared_in_) std::erase(blocks, added.block);
  for (const std::string& line : added.lines) {
    std::erase(includes_, line);
    std::erase(macros_, line);
  }
}

std::vector<std::string> Library::names() const {
  std::vector<std::string> all;
  for (const Block& block : blocks_) all.insert(all.end(), block.names.begin(), block.names.end());
  return all;
}

int Library::declares(const std::string& name) const {
  const auto found = declared_in_.find(name);
  return found == declared_in_.end() || found->second.empty() ? 0 : found->second.back();
}

bool Library::is_namespace(int number, const std::string& name) const {
  const std::vector<Declared>& all = block(number).declared;
  return std::find(all.begin(), all.end(), Declared{name, true}) != all.end();
}

std::set<int> Library::needed(const std::vector<std::string>& names, const std::vector<std::string>& types) const {
  std::set<int> all;
  std::vector<int> open;
  open.reserve(names.size());
  for (const std::string& name : names) open.push_back(declares(name));
  for (const std::string& type : types) {
    const std::vector<int> named = blocks_in(type);
    open.insert(open.end(), named.begin(), named.end());
  }
  while (!open.empty()) {
    const int number = open.back();
    open.pop_back();
    if (number < 1 || number > static_cast<int>(blocks_.size()) || !all.insert(number).second) continue;
    for (const auto& [name, from] : block(number).imports) open.push_back(from);
  }
  return all;
}

}  // namespace rankview::execute
