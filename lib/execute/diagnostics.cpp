// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "execute/diagnostics.hpp"

#include "execute/library.hpp"

#include <charconv>
#include <cstddef>
#include <optional>
#include <utility>

namespace rankview::execute {
namespace {

struct Place {
  std::string_view file;
  int line = 0;
  int column = 0;
  std::string_view rest;  // of the text
};

std::optional<int> number_at(std::string_view& text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

// `file:3:5: ...`, where the file's own name may have colons.
std::optional<Place> place_in(std::string_view text) {
  for (std::size_t colon = text.find(':'); colon != std::string_view::npos; colon = text.find(':', colon + 1)) {
    Place place{text.substr(0, colon), 0, 0, text.substr(colon + 1)};
    const auto line = number_at(place.rest);
    if (!line || !place.rest.starts_with(':')) continue;
    place.line = *line;
    place.rest.remove_prefix(1);
    if (const auto column = number_at(place.rest); column && place.rest.starts_with(':')) {
      place.column = *column;
      place.rest.remove_prefix(1);
    }
    return place;
  }
  return std::nullopt;
}

std::string without(std::string text, std::string_view prefix, bool and_digits) {
  for (std::size_t at = text.find(prefix); at != std::string::npos; at = text.find(prefix, at)) {
    std::size_t end = at + prefix.size();
    while (and_digits && end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
    if (and_digits && text.compare(end, 2, "::") == 0) end += 2;
    if (at >= 2 && text.compare(at - 2, 2, "::") == 0 && (at == 2 || text[at - 3] == '\'' || text[at - 3] == ' ')) at -= 2;
    text.erase(at, end - at);
  }
  return text;
}

// The compiler's words without the names that only make the program work.
std::string plain(std::string_view words) {
  while (words.starts_with(' ')) words.remove_prefix(1);
  std::string text = without(std::string(words), "rankview_space_", true);
  text = without(std::move(text), "rankview_variables::", false);
  return without(std::move(text), "rankview_snippet::", false);
}

// Of what was written here: why it was.
std::string why_not(std::string_view file, std::string_view words) {
  file.remove_prefix(made_here_prefix.size());
  constexpr std::string_view of_variable = "variable:";
  if (file.starts_with(of_variable))
    return "the engines' variable " + std::string(file.substr(of_variable.size())) +
           " is of a type that the code does not know; include its header: " + plain(words);
  return file == "include" ? "Options::execute_include: " + plain(words) : plain(words);
}

}  // namespace

std::vector<CompileError::Message> errors_in(std::string_view said, std::string_view file) {
  std::vector<CompileError::Message> errors;
  CompileError::Message from;  // the line of the code that the next error comes from, as GCC tells it
  bool elsewhere = false;      // the last error was in a header, and clang tells of the code's line behind it
  while (!said.empty()) {
    const std::size_t end = said.find('\n');
    const std::string_view line = said.substr(0, end);
    said.remove_prefix(end == std::string_view::npos ? said.size() : end + 1);
    const auto place = place_in(line);
    if (!place) continue;
    const bool of_code = place->file == file;
    std::string_view words = place->rest;
    for (const std::string_view kind : {" error:", " fatal error:"}) {
      if (!words.starts_with(kind)) continue;
      words.remove_prefix(kind.size());
      CompileError::Message error{std::string(file), place->line, place->column, plain(words)};
      if (!of_code) {
        error.line = from.line;
        error.column = from.column;
        if (place->file.starts_with(made_here_prefix)) error.text = why_not(place->file, words);
      }
      elsewhere = !of_code && from.line == 0;
      from = {};
      errors.push_back(std::move(error));
      break;
    }
    if (words.data() != place->rest.data() || !of_code) continue;
    if (words.find("required from") != std::string_view::npos) {
      from.line = place->line;
      from.column = place->column;
    } else if (elsewhere && words.starts_with(" note:")) {
      errors.back().line = place->line;
      errors.back().column = place->column;
      elsewhere = false;
    }
  }
  return errors;
}

}  // namespace rankview::execute
