// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/template.hpp"

#include "farm/quoting.hpp"

#include <rankview/errors.hpp>

#include <charconv>
#include <system_error>

namespace rankview::farm {
namespace {

std::string_view without_extension(std::string_view path) {
  const std::size_t dot = path.rfind('.');
  if (dot == std::string_view::npos || path.find('/', dot) != std::string_view::npos) return path;
  return path.substr(0, dot);
}

std::string_view base_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// As dirname(1) gives it.
std::string_view directory_of(std::string_view path) {
  const std::size_t last = path.find_last_not_of('/');
  if (last == std::string_view::npos) return path.empty() ? "." : "/";
  const std::size_t slash = path.rfind('/', last);
  if (slash == std::string_view::npos) return ".";
  const std::size_t end = path.find_last_not_of('/', slash);
  return end == std::string_view::npos ? "/" : path.substr(0, end + 1);
}

}  // namespace

std::string with_slot(const Expanded& expanded, unsigned slot) {
  std::string text;
  std::size_t from = 0;
  for (const std::size_t place : expanded.slots) {
    text.append(expanded.text, from, place - from);
    text += std::to_string(slot);
    from = place;
  }
  return text.append(expanded.text, from);
}

Template::Template(std::string_view text, Ending ending) {
  bool any = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t open = text.find('{', at);
    if (open == std::string_view::npos) {
      add_text(text.substr(at));
      break;
    }
    if (text.substr(open, 2) == "{=")
      throw UsageError("{= ... =} would be a Perl expression for GNU parallel, and means nothing to rankview farm");
    add_text(text.substr(at, open - at));
    const std::size_t close = text.find('}', open);
    Piece piece;
    if (close != std::string_view::npos && parse(text.substr(open + 1, close - open - 1), piece)) {
      piece.text = text.substr(open, close - open + 1);
      pieces_.push_back(piece);
      any = true;
      at = close + 1;
    } else {
      add_text("{");
      at = open + 1;
    }
  }
  if (any || ending == Ending::as_is) return;
  add_text(" ");
  pieces_.push_back({What::argument, Form::whole, 0, "{}"});
}

Template::Form Template::form_of(std::string_view name, bool& known) {
  known = true;
  if (name.empty()) return Form::whole;
  if (name == ".") return Form::without_extension;
  if (name == "/") return Form::base;
  if (name == "//") return Form::directory;
  if (name == "/.") return Form::base_without_extension;
  known = false;
  return Form::whole;
}

// Whether that stands between the braces of a place, and of which.
bool Template::parse(std::string_view inside, Piece& piece) {
  if (inside == "#" || inside == "%") {
    piece.what = inside == "#" ? What::number : What::slot;
    return true;
  }
  piece.what = What::argument;
  const char* const end = inside.data() + inside.size();
  const auto [behind, error] = std::from_chars(inside.data(), end, piece.argument);
  if (error == std::errc::result_out_of_range) return false;
  bool known = false;
  piece.form = form_of(std::string_view(behind, static_cast<std::size_t>(end - behind)), known);
  return known;
}

void Template::add_text(std::string_view text) {
  if (text.empty()) return;
  if (pieces_.empty() || pieces_.back().what != What::text) pieces_.push_back({What::text, Form::whole, 0, ""});
  pieces_.back().text += text;
}

std::string Template::formed(const std::string& argument, Form form) {
  switch (form) {
    case Form::without_extension:
      return std::string(without_extension(argument));
    case Form::base:
      return std::string(base_of(argument));
    case Form::directory:
      return std::string(directory_of(argument));
    case Form::base_without_extension:
      return std::string(without_extension(base_of(argument)));
    default:
      return argument;
  }
}

// Null if there are not as many.
const std::string* Template::find(const Arguments& arguments, int which) {
  const auto count = static_cast<std::ptrdiff_t>(arguments.size());
  const std::ptrdiff_t place = which > 0 ? which - 1 : count + which;
  return place < 0 || place >= count ? nullptr : &arguments[static_cast<std::size_t>(place)];
}

template <class Quote>
void Template::put(std::string& to, const Piece& piece, const Arguments& arguments, const Quote& quote) const {
  if (piece.argument != 0) {
    if (const std::string* const argument = find(arguments, piece.argument)) to += quote(formed(*argument, piece.form));
    return;
  }
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (i != 0) to += ' ';
    to += quote(formed(arguments[i], piece.form));
  }
}

Expanded Template::expand(const Arguments& arguments, std::uint64_t number) const {
  Expanded expanded;
  const bool quotes = pieces_.empty() || pieces_.front().what == What::text;
  for (const Piece& piece : pieces_) {
    switch (piece.what) {
      case What::text:
        expanded.text += piece.text;
        break;
      case What::number:
        expanded.text += std::to_string(number);
        break;
      case What::slot:
        expanded.slots.push_back(expanded.text.size());
        break;
      case What::argument:
        if (quotes) {
          put(expanded.text, piece, arguments, [](const std::string& text) { return shell_quoted(text); });
        } else {
          put(expanded.text, piece, arguments, [](std::string text) { return text; });
        }
        break;
    }
  }
  return expanded;
}

std::string Template::expand_plain(const Arguments& arguments, std::uint64_t number) const {
  std::string text;
  for (const Piece& piece : pieces_) {
    if (piece.what == What::number) {
      text += std::to_string(number);
    } else if (piece.what == What::argument) {
      put(text, piece, arguments, [](std::string argument) { return argument; });
    } else {
      text += piece.text;
    }
  }
  return text;
}

}  // namespace rankview::farm
