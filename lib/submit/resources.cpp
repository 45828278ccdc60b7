// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "submit/resources.hpp"

#include <rankview/errors.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <string_view>
#include <vector>

namespace rankview::submit {
namespace {

using std::chrono::seconds;

constexpr std::int64_t longest_time = 10LL * 365 * 24 * 3600;

[[noreturn]] void refuse_time(const std::string& text) {
  throw UsageError("\"" + text + "\" is not a time: write 2:00:00, 1-12:00:00 (a day and a half), 90m, 1h30m, 2d or 45s");
}

// The number at the beginning, which is taken off.
std::int64_t take_number(std::string_view& rest, const std::string& text) {
  std::int64_t number = 0;
  const auto [behind, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
  if (error != std::errc() || number < 0 || number > longest_time) refuse_time(text);
  rest.remove_prefix(static_cast<std::size_t>(behind - rest.data()));
  return number;
}

// [DAYS-]HOURS:MINUTES:SECONDS.
std::int64_t parse_clock(const std::string& text) {
  std::string_view rest = text;
  std::int64_t days = 0;
  if (text.find('-') != std::string::npos) {
    days = take_number(rest, text);
    if (!rest.starts_with('-')) refuse_time(text);
    rest.remove_prefix(1);
  }
  std::vector<std::int64_t> parts{take_number(rest, text)};
  while (rest.starts_with(':')) {
    rest.remove_prefix(1);
    parts.push_back(take_number(rest, text));
  }
  if (!rest.empty() || parts.size() != 3 || parts[1] > 59 || parts[2] > 59) refuse_time(text);
  return ((days * 24 + parts[0]) * 60 + parts[1]) * 60 + parts[2];
}

// Numbers with units, the larger ones first.
std::int64_t parse_units(const std::string& text) {
  constexpr std::string_view units = "dhms";
  constexpr std::int64_t lengths[] = {24 * 3600, 3600, 60, 1};
  std::int64_t time = 0;
  std::size_t least = 0;
  for (std::string_view rest = text; !rest.empty();) {
    const std::int64_t number = take_number(rest, text);
    const std::size_t unit = rest.empty() ? std::string_view::npos : units.find(rest.front());
    if (unit == std::string_view::npos || unit < least) refuse_time(text);
    rest.remove_prefix(1);
    time += number * lengths[unit];
    least = unit + 1;
    if (time > longest_time) refuse_time(text);
  }
  return time;
}

}  // namespace

seconds parse_time(const std::string& text) {
  const std::int64_t time = text.find(':') != std::string::npos ? parse_clock(text) : parse_units(text);
  if (time <= 0 || time > longest_time) refuse_time(text);
  return seconds(time);
}

std::uint64_t parse_memory(const std::string& text) {
  double number = 0;
  const auto [behind, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view unit(behind, static_cast<std::size_t>(text.data() + text.size() - behind));
  constexpr std::string_view letters = "KMGT";
  const std::size_t power = unit.empty() ? std::string_view::npos : letters.find(static_cast<char>(unit.front() & ~0x20));
  if (!unit.empty()) unit.remove_prefix(1);
  const bool ends_well = unit.empty() || unit == "B" || unit == "b" || unit == "iB";
  if (error != std::errc() || power == std::string_view::npos || !ends_well || !(number > 0))
    throw UsageError("\"" + text + "\" is not an amount of memory: write 4G, 500M or 1.5T");
  const double bytes = number * std::pow(1024.0, static_cast<double>(power + 1));
  if (bytes >= static_cast<double>(std::numeric_limits<std::int64_t>::max()))
    throw UsageError("\"" + text + "\" is more memory than there can be");
  return static_cast<std::uint64_t>(bytes);
}

Shape shape_of(const Resources& wanted) {
  Shape shape;
  shape.nodes = wanted.nodes;
  shape.per_node = wanted.per_node;
  shape.cores = std::max(1, wanted.cores);
  if (wanted.engines != 0) shape.ranks = wanted.engines + 1;  // and rank 0
  if (wanted.nodes != 0 && wanted.per_node != 0) {
    const int ranks = wanted.nodes * wanted.per_node;
    if (shape.ranks != 0 && shape.ranks > ranks)
      throw UsageError(std::to_string(wanted.engines) + " engines and rank 0 are more than " + std::to_string(wanted.nodes) +
                       " nodes with " + std::to_string(wanted.per_node) + " ranks each have");
    if (shape.ranks == 0) shape.ranks = ranks;
  } else if (shape.ranks != 0 && wanted.per_node != 0) {
    shape.nodes = (shape.ranks + wanted.per_node - 1) / wanted.per_node;
  } else if (shape.ranks != 0 && wanted.nodes != 0) {
    shape.per_node = (shape.ranks + wanted.nodes - 1) / wanted.nodes;
  }
  if (shape.ranks == 0)
    throw UsageError("how large is it to be? -n 64 for so many engines, or --nodes 4 --per-node 16 for the ranks of whole nodes");
  return shape;
}

}  // namespace rankview::submit
